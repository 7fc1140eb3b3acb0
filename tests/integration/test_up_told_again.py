"""A centre whose database is restored as the runbook says is told again what it lost, by the box's own client, spool
and sender through the real front door. Everything counts once.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.core.planes.db import connect
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi_box import retelling
from beffroi_box.client import Centre, SignedSession
from beffroi_box.config import BoxConfig
from beffroi_box.errors import CentreUnreachable
from beffroi_box.facts import FactSpool
from beffroi_box.sender import Sender
from beffroi_protocol.facts import EntryRefused, Sighting
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.requests import FACTS_HEADER
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import front_planes
from tests.mail_post import Engines
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.slow]

PLANES = ("web", "console", "worker", "front")
EVIL = Indicator(Kind.IP, "45.83.64.7")
LURE = Indicator(Kind.DOMAIN, "colis-suivi-bourgogne.com")
_DAY_S = 86400
NOW = min(int(time.time()), (int(time.time()) // _DAY_S + 1) * _DAY_S - 3600)
"""So long before midnight that all of it is of one day."""
COUNTED = {
    "flows": "SELECT value, direction, count FROM box_flow_count ORDER BY value, direction",
    "packets": "SELECT direction, packets, attempts FROM box_refused_day ORDER BY direction",
    "notices": "SELECT kind, COUNT(*) FROM box_notice GROUP BY kind",
    "sightings": "SELECT detector, COUNT(*) FROM watch_sighting GROUP BY detector ORDER BY detector",
    "facts": "SELECT kind, COUNT(*) FROM inbox_fact GROUP BY kind ORDER BY kind",
}

WHOLE = {
    "flows": [(EVIL.value, "in", 4), (LURE.value, "name", 4)],
    "packets": [("in", 20, 4)],
    "notices": [("entry_refused", 4)],
    "sightings": [("box_honeyport", 4)],
    "facts": [
        (kind, 4)
        for kind in ("entry_refused", "flows_blocked", "names_refused", "refused_totals", "sighting")
    ],
}
"""All that a box told four times."""


@pytest.fixture(scope="module")
def centre() -> Iterator[Engines]:
    with front_planes.running("bft-", 23180, {"heartbeat_s": 1}, *PLANES) as engines:
        yield engines


class Box:
    """The parts of an agent that tell."""

    def __init__(self, centre: Engines, directory: Path) -> None:
        key, box_id = Ed25519PrivateKey.generate(), new_id("box")
        ask(
            centre,
            "INSERT INTO box (id, collectivite_id, serial, public_key, fingerprint, state, agent_version,"
            " created_at, confirmed_by, policy_version, rolled_back_version, replaces)"
            " VALUES (?, 'col_a', ?, ?, ?, 'active', '', ?, '', 0, 0, '')",
            (box_id, box_id[-8:], b64(public_bytes(key)), box_id, clock.now()),
        )
        config = BoxConfig(
            state=directory,
            centre=f"https://localhost:{centre.config.box_port}",
            centre_addresses=("127.0.0.1",),
            ca=str(centre.config.state / "tls" / "ca.pem"),
        )
        (directory / "spool").mkdir()
        self.feed, self.posts = (SignedSession(Centre(config), lambda: box_id, key) for _ in range(2))
        self.spool = FactSpool(directory / "spool", box_id, keep_s=86400)
        self.sender = Sender(self.posts.post, self.spool)
        self.monotonic = 0.0

    def tell(self, number: int) -> None:
        """An alarm, a refused entry and counts: all that a centre adds up."""
        self.spool.flow(EVIL, "in", "tcp", 22, "", NOW)
        self.spool.name(LURE, "", NOW + 400 * number)
        self.spool.totals("in", 5, 1, NOW, NOW + 30)
        self.spool.tell(Sighting(f"sig_{number}", "honeyport", (EVIL,), NOW))
        self.spool.tell(EntryRefused(f"ref_{number}", "dec_1", EVIL, "the State", NOW))
        while self.spool.waiting():
            assert self.send()

    def send(self) -> bool:
        self.monotonic = max(self.monotonic + 3.0, min(self.sender.again.due, self.monotonic + 3600))
        return self.sender.send_facts(monotonic=self.monotonic)

    def join(self) -> bool:
        """Follow the feed, as after an interruption; False: not yet."""
        self.feed.close()
        self.posts.close()
        try:
            answer = self.feed.open_feed("/v1/feed?since=box:0:0:", read_timeout_s=10)
        except CentreUnreachable:
            return False
        self.sender.again.joined(answer.getheader(FACTS_HEADER), monotonic=self.monotonic)
        return True


def ask(centre: Engines, query: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    database = connect(centre.config.database)
    try:
        return database.execute(query, parameters)
    finally:
        database.close()


def counted(centre: Engines) -> dict[str, object]:
    return {name: ask(centre, query) for name, query in COUNTED.items()}


def copied(place: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(place, to)


def test_what_was_told_since_the_backup_is_back_once(centre: Engines, tmp_path: Path) -> None:
    box = Box(centre, tmp_path)
    assert box.join()
    box.tell(1)
    until(lambda: ask(centre, COUNTED["sightings"]) == [("box_honeyport", 1)], "the worker counts")
    planes = ("stream", "worker")
    database = centre.config.state / "db"
    centre.kill(*planes)
    copied(database, tmp_path / "backup")
    centre.start(*planes)
    until(box.join, "it follows again")
    for number in (2, 3, 4):
        box.tell(number)
    until(lambda: counted(centre) == WHOLE, "the worker counts and sums")

    centre.kill(*planes)  # as docs/runbooks/restore-epoch.md: stop, restore the database alone, start
    copied(tmp_path / "backup", database)
    assert counted(centre)["sightings"] == [("box_honeyport", 1)]
    centre.start(*planes)
    until(box.join, "it follows again")
    assert box.sender.again.due - box.monotonic <= retelling.SPREAD_S
    until(lambda: box.send() and not box.spool.owes(), "all is told again")
    until(lambda: counted(centre) == WHOLE, "the same figures as before the restore")

    box.join()
    assert not box.spool.owes()  # and the centre says so itself
    box.spool._has = 0  # a box that believes that all is lost, or lies
    for _, post in list(box.spool.lacking()):
        box.spool.tell(post.facts[0]) if post.facts else None
    while box.spool.waiting():
        assert box.send()
    box.tell(5)
    until(lambda: ask(centre, COUNTED["sightings"]) == [("box_honeyport", 5)], "what is new counts")
    until(lambda: ask(centre, COUNTED["packets"]) == [("in", 25, 5)], "once")
    assert ask(centre, COUNTED["notices"]) == [("entry_refused", 5)]
