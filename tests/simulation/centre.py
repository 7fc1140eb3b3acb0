"""The centre: the real publisher, feed log, hub, claims, SQL and archive, driven without threads and sockets.

Stands in: ``app.Stream`` (its ``follow`` and ``post_*`` are repeated here, in the same order of calls), the front
         door, TLS and the nonces; ``standin`` for decisions and campaigns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from beffroi.core.planes.db import SqliteDatabase
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.stream.acks import MAX_ACKS, _sound
from beffroi.stream.auth import Caller
from beffroi.stream.feedlog import parse_since
from beffroi.stream.hub import Hub, Subscriber
from beffroi.stream.posts import Facts
from beffroi.stream.publisher import POLICY_TOPIC, Publisher, Step
from beffroi.stream.store import BoxRow, Event, Store
from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import AckBatch, Policy, decode, encode
from beffroi_protocol.protected import Floor
from beffroi_protocol.signing import Signer, delegate, public_bytes
from beffroi_protocol.table import overlay

from tests.simulation.bulk import Lists, Version
from tests.simulation.disk import Disk, DiskPath
from tests.simulation.opened import Exceptions, Never
from tests.simulation.rows import NOWHERE
from tests.simulation.schema import empty_database
from tests.simulation.sources import Sources
from tests.simulation.standin import Book, Decisions, Watch
from tests.simulation.virtual import drive

DELEGATED_S = 400 * 86400
OWN_NAMES = ("boitiers.departement21.net", "courrier.departement21.net")
OWN_NETWORKS = ("185.61.20.0/28",)


@lru_cache(maxsize=4)
def _floor(names: tuple[str, ...]) -> Floor:
    return Floor(names, OWN_NETWORKS)


class CentreCrash(Exception):
    """The stream process died here."""


class Down(Exception):
    """The centre does not answer."""


class _Publisher(Publisher):
    """``crash_at``: "committed" or "marked", and then nothing of the step was sent."""

    crash_at = ""

    def _make(self) -> Step:
        if self.crash_at != "committed":
            step = super()._make()
        else:
            with patch.object(self.archive, "write_mark", self._die):
                step = super()._make()
        if self.crash_at and step.made:
            raise CentreCrash
        return step

    def _die(self, _: object) -> None:
        raise CentreCrash


@dataclass
class Backup:
    at: float
    database: bytes
    book: Book
    files: dict[str, bytes]
    members: frozenset[str]


class Centre:
    def __init__(
        self,
        make_key: Callable[[bytes], Any],
        new_id: Callable[[], str],
        own_names: tuple[str, ...],
    ) -> None:
        self.disk = Disk()
        self.place: Any = DiskPath(self.disk)
        self.config = Config(state=cast("Any", self.place), feed_valid_s=86400)
        self._make_key = make_key
        self._new_id = new_id
        self.list_versions: dict[str, list[Version]] = {}
        self.root = make_key(b"\x01" * 32)
        self.root_public = public_bytes(self.root)
        self.serial = 0
        self.delegation = b""
        self.up = False
        self.epochs_on_word = 0
        self.starts = 0
        self.floor = _floor((*OWN_NAMES, *own_names))
        self._open(empty_database(), Book())
        self.rotate()

    def _open(self, data: bytes, book: Book) -> None:
        self.database = SqliteDatabase(Path(":memory:"))
        self.database._connection.deserialize(data)
        self.database.execute("PRAGMA synchronous = OFF")
        self.book = book
        self.decisions = Decisions(self.database, self._new_id)
        self.lists = Lists(self.database, self.place, self.list_versions)
        self.exceptions = Exceptions(self.decisions, self.lists, self._new_id)
        self.decisions.close_exceptions = self.exceptions.end_touched
        self.never = Never(self.decisions, self._new_id)
        self.watch = Watch(book, self.decisions, self.protected)
        self.sources = Sources(book.sources, self.lists, self.database)

    def protected(self, indicator: Indicator) -> str:
        return self.floor.reason(indicator) or self.never.reason(indicator)

    def expire_due(self) -> None:
        """As the worker, each second."""
        self.decisions.expire_due()
        self.exceptions.expire_due()
        self.never.expire_due()
        self.lists.expire_due()

    def turned(self, *, within_s: int) -> bool:
        """True when something ended, or ends, around now."""
        ends = [o.expires_at for o in self.exceptions.every()] + [
            b.expires_at for _, b in self.lists.in_force()
        ]
        ends += [*(one.until for one in self.never.rows), int(self.lists.withdrawn_at)]
        now = clock.epoch_s()
        return self.decisions.turned(within_s=within_s) or any(abs(end - now) < within_s for end in ends)

    def rotate(self, steps: int = 1) -> None:
        """A new feed key; the stream process reads it at its next start."""
        self.serial += steps
        key = self._make_key(b"\x02" + self.serial.to_bytes(31))
        now = clock.epoch_s()
        self.delegation = delegate(
            self.root,
            public_bytes(key),
            serial=self.serial,
            not_before=now - 3600,
            not_after=now + DELEGATED_S,
        )
        self._key = key

    # -- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.store = Store(self.database, NOWHERE)
        self.hub = Hub()
        self.publisher = _Publisher(self.config, self.store, Signer(self._key), self.hub, self._on_event)
        self.facts = Facts(self._run, self.store)
        drive(self.publisher.start())
        self.up = True
        self.starts += 1

    async def _run[R](self, function: Callable[[], R]) -> R:
        return function()

    def stop(self) -> None:
        """Killed: whoever is connected notices by the cut line."""
        self.up = False
        if hasattr(self, "hub"):
            self.hub.close_all()

    def backup(self) -> Backup:
        rows = self.database.execute(
            "SELECT id FROM decision WHERE state = 'active'"
            " UNION SELECT id FROM local_exception WHERE state = 'active'"
            " UNION SELECT id FROM never_again WHERE revoked_at IS NULL"
        )
        return Backup(
            clock.epoch(), self.database._connection.serialize(), copy.deepcopy(self.book), self.disk.copy(),
            frozenset(r[0] for r in rows),
        )  # fmt: skip

    def restore(self, backup: Backup, *, with_feed: bool) -> None:
        """``with_feed``: STATE/feed comes from the backup too, so the centre cannot know that it is older."""
        self.stop()
        self.database.close()
        self._open(backup.database, copy.deepcopy(backup.book))
        if with_feed:
            self.disk.restore(backup.files)

    # -- the feed ----------------------------------------------------------------------------------------

    def publish(self) -> None:
        """Errors: CentreCrash."""
        while self.up and drive(self.publisher.step()):
            pass

    def beat(self) -> None:
        drive(self.publisher.beat())

    def _on_event(self, event: Event) -> None:
        if event.kind == "box:policy_changed":
            owner = str(event.payload["collectivite_id"])
            self.publisher.forget_policy(owner)
            if (line := drive(self.publisher.policy_line(owner))) is not None:
                self.hub.send(POLICY_TOPIC + owner, line)

    def follow(self, caller: Caller, since_text: str) -> Subscriber:
        """As ``Stream.follow``, from the parsed query on. Errors: Down."""
        if not self.up:
            raise Down
        since = parse_since(since_text)
        names = [part.channel for part in since]
        caller.check_channels(names)
        if self.publisher.feed.is_ahead(since):
            witness = caller.owner if caller.box is None else caller.box.collectivite_id
            self.epochs_on_word += drive(self.publisher.claim(witness, since, trusted=caller.box is None))
        drive(self.publisher.prepare(since))
        topics, first = names, [self.delegation + b"\n"]
        if caller.box is not None:
            topics = [*names, POLICY_TOPIC + caller.box.collectivite_id]
            policy = drive(self.publisher.policy_line(caller.box.collectivite_id))
            if policy is not None:
                first.append(policy)
        subscriber = Subscriber(caller.owner, topics, [*first, *self.publisher.answer(since)])
        self.hub.add(subscriber, at_most=caller.at_most)
        return subscriber

    # -- posts -------------------------------------------------------------------------------------------

    def post(self, box: BoxRow, path: str, body: bytes) -> bytes:
        """Return the answer. Errors: Down, and the refusals of the real code."""
        if not self.up:
            raise Down
        return encode(drive(self.facts.take(box, body)))

    def told(self, box_id: str) -> str:
        """The header of the answer on which a box follows."""
        return str(self.store.boxes([box_id])[box_id].told)

    def say(self, box: BoxRow, line: bytes) -> None:
        """A line on the connection on which the box follows; one that is not sound is not taken. Errors: Down."""
        if not self.up:
            raise Down
        batch = decode(line, AckBatch)
        own = ("box", overlay("box", box.collectivite_id))
        if len(batch.acks) <= MAX_ACKS and all(_sound(ack, own) for ack in batch.acks):
            acks = [(box.id, ack) for ack in batch.acks]
            self.store.put_acks(acks, {box.id: (batch.policy_version, batch.agent_version)})

    # -- what the console does ---------------------------------------------------------------------------

    def enrol(self, box: BoxRow) -> None:
        self.database.execute(
            "INSERT INTO box (id, collectivite_id, serial, public_key, fingerprint, state, agent_version,"
            " created_at, confirmed_by, policy_version, rolled_back_version, replaces)"
            " VALUES (?, ?, ?, ?, '', 'active', '', ?, '', 0, 0, '')",
            (box.id, box.collectivite_id, box.id, box.public_key, clock.now()),
        )

    def set_policy(self, commune: str, policy: Policy) -> int:
        """Return its version."""
        from beffroi.core.planes import outbox

        rows = self.database.execute(
            "SELECT COALESCE(MAX(policy_version), 0) FROM box_policy WHERE collectivite_id = ?", (commune,)
        )
        version = int(rows[0][0]) + 1
        with self.database.transaction():
            self.database.execute(
                "INSERT INTO box_policy (collectivite_id, policy_version, policy, changed_by, created_at, reason,"
                " restores, batch) VALUES (?, ?, ?, 'simulation', ?, '', 0, '')",
                (commune, version, encode(policy).decode(), clock.now()),
            )
            outbox.publish(
                self.database, "box:policy_changed", {"collectivite_id": commune},
                run=NOWHERE, collectivite_id=commune,
            )  # fmt: skip
        return version
