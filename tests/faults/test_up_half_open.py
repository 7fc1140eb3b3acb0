"""Boîtiers that vanish without a word, behind the real front door: their connections are found, freed and replaced."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from beffroi.core.planes.db import Database, connect
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.supervise import front, front_listeners
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import front_planes
from tests.fixtures_stream import UnixConnection
from tests.mail_post import Engines
from tests.town_hall_network import inside, run
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]

NAMESPACE = f"bfhalf-{os.getpid()}"
# Each box reaches the front door by an address of its own, which can be cut.
STAYS, VANISHES, RETURNS = "127.0.9.1", "127.0.9.2", "127.0.9.3"
SPEAKER = Path(__file__).parents[1] / "box_speaker.py"


@dataclass
class Place:
    """Stream behind HAProxy in a namespace, whose limit of silence is seconds instead of minutes."""

    centre: Engines
    database: Database
    boxes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def box(self) -> tuple[str, Ed25519PrivateKey]:
        key, box_id = Ed25519PrivateKey.generate(), new_id("box")
        self.database.execute(
            "INSERT INTO box (id, collectivite_id, serial, public_key, fingerprint, state, agent_version,"
            " created_at, confirmed_by, policy_version, rolled_back_version, replaces)"
            " VALUES (?, 'col_a', ?, ?, ?, 'active', '', ?, '', 0, 0, '')",
            (box_id, box_id[-8:], b64(public_bytes(key)), box_id, clock.now()),
        )
        return box_id, key

    def speak(
        self, box: tuple[str, Ed25519PrivateKey], address: str, version: int
    ) -> subprocess.Popen[bytes]:
        """Start the box's client: it acknowledges ``version`` and then says several times a second that it is there."""
        box_id, key = box
        config = self.centre.config
        argv = [sys.executable, str(SPEAKER), str(config.state), config.box_name, str(config.box_port)]
        started = subprocess.Popen(
            inside(NAMESPACE, *argv, address, box_id, str(version)), stdin=subprocess.PIPE
        )
        self.boxes.append(started)
        assert started.stdin is not None
        started.stdin.write(b64(key.private_bytes_raw()).encode())
        started.stdin.close()
        until(lambda: self.stored(box_id) >= version, f"{address} is heard")
        return started

    def stored(self, box_id: str) -> int:
        rows = self.database.execute("SELECT MAX(version) FROM box_ack WHERE box_id = ?", (box_id,))
        return int(rows[0][0] or 0)

    def followers(self) -> int:
        with contextlib.closing(UnixConnection(self.centre.config.run / "stream.sock")) as asked:
            asked.request("GET", "/healthz")
            return int(msgspec.json.decode(asked.getresponse().read())["followers"])

    def drop(self, address: str) -> None:
        """From now on no packet passes, and nobody is told."""
        chain = "add chain ip lost out { type filter hook output priority 0; }"
        rules = (f"add rule ip lost out ip {end} {address} drop" for end in ("saddr", "daddr"))
        run(*inside(NAMESPACE, "nft", "-f", "-"), stdin="\n".join(("add table ip lost", chain, *rules, "")))

    def held_by_front(self, address: str) -> bool:
        """The front door's end of the connection still is there, in whatever state but that of having ended."""
        found = run(*inside(NAMESPACE, "ss", "-Htn", "state", "established", "src", address))
        return f"{address}:{self.centre.config.box_port} " in found


@pytest.fixture
def place() -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        for module in (front, front_listeners):
            patch.setattr(module, "HELD_TIMEOUT", "5s")
        run("ip", "netns", "add", NAMESPACE)
        stack.callback(run, "ip", "netns", "delete", NAMESPACE)
        run("ip", "-n", NAMESPACE, "link", "set", "lo", "up")
        settings = {"listen": '"*"', "heartbeat_s": 1}
        centre = stack.enter_context(front_planes.running("bfo-", 23160, settings))
        log = stack.enter_context((centre.config.log / "front.out").open("ab"))
        argv = inside(NAMESPACE, "haproxy", "-db", "-f", str(front.config_path(centre.config)))
        haproxy = stack.enter_context(subprocess.Popen(argv, stdout=log, stderr=log))
        stack.callback(haproxy.terminate)
        found = Place(centre, connect(centre.config.database))
        stack.callback(found.database.close)
        yield found
        for one in found.boxes:
            one.kill()
            one.wait()


def _vanish(place: Place, speaker: subprocess.Popen[bytes]) -> None:
    place.drop(VANISHES)


def _freeze(place: Place, speaker: subprocess.Popen[bytes]) -> None:
    speaker.send_signal(signal.SIGSTOP)


@pytest.mark.parametrize("end", [_vanish, _freeze])
def test_a_box_that_is_gone_without_a_word_is_found_and_freed_and_comes_back(
    place: Place, end: Callable[[Place, subprocess.Popen[bytes]], None]
) -> None:
    other, gone = place.box(), place.box()
    stays = place.speak(other, STAYS, 1)
    speaker = place.speak(gone, VANISHES, 1)
    assert place.followers() == 2
    end(place, speaker)
    assert place.followers() == 2  # nobody can know yet
    until(lambda: place.followers() == 1, "found")
    until(lambda: not place.held_by_front(VANISHES), "freed in the front door too")
    place.speak(gone, RETURNS, 2)
    assert place.followers() == 2
    assert stays.poll() is None, "who speaks is not cut, however long it takes"


def test_a_box_that_comes_back_first_takes_the_place_of_its_lost_connection(place: Place) -> None:
    gone = place.box()
    place.speak(gone, VANISHES, 1)
    place.drop(VANISHES)
    returned = place.speak(gone, RETURNS, 2)
    assert place.followers() == 1
    until(lambda: not place.held_by_front(VANISHES), "the lost one is freed")
    assert returned.poll() is None
    assert place.followers() == 1
