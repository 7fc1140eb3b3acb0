"""A publisher on a real database that can be thrown away and started again, and a follower in the same loop."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from beffroi.core.planes import files
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.stream.feedlog import parse_since
from beffroi.stream.hub import Hub, Subscriber
from beffroi.stream.publisher import Publisher
from beffroi.stream.store import Store
from beffroi_protocol.indicators import Kind
from beffroi_protocol.messages import MAX_SNAPSHOT_FILE_BYTES, BulkList
from beffroi_protocol.session import FeedSession, FileWanted, Refused, TrustedClock
from beffroi_protocol.signing import Signer, TrustStore, delegate, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT, FEED = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DELEGATION = delegate(ROOT, public_bytes(FEED), serial=1, not_before=0, not_after=2**37)
TABLES = ("outbox", "feed_batch", "feed_channel", "publish_cursor", "decision", "indicator_list")


class Door:
    """A follower in the same loop."""

    def __init__(self, *channels: str) -> None:
        self.session = FeedSession(TrustStore(public_bytes(ROOT)), channels, TrustedClock())
        self.session.receive(DELEGATION, monotonic=0.0)
        self.subscriber: Subscriber | None = None
        self.publisher: Publisher | None = None
        self.files = 0
        self.refused: list[Refused] = []

    def connect(self, publisher: Publisher, hub: Hub) -> None:
        since = parse_since(self.session.since())
        self.publisher = publisher
        self.subscriber = Subscriber("door", list(self.session.tables), publisher.answer(since))
        hub.add(self.subscriber, at_most=100)

    async def read(self) -> None:
        """Take in everything that waits."""
        while self.subscriber is not None and (data := self.subscriber.take()):
            for line in data.splitlines():
                result = self.session.receive(line, monotonic=time.monotonic())
                if isinstance(result, FileWanted):
                    self.files += 1
                    result = self.session.supply(self.fetch(result), monotonic=time.monotonic())
                if isinstance(result, Refused):
                    self.refused.append(result)

    def fetch(self, wanted: FileWanted) -> bytes:
        assert self.publisher is not None
        path = self.publisher.file(wanted.sha256, lambda name: name == wanted.channel)
        assert path is not None
        return b"".join(files.decompressed([path.read_bytes()], limit_bytes=MAX_SNAPSHOT_FILE_BYTES))

    def held(self) -> dict[str, list[object]]:
        """Entries and lists by channel."""
        return {n: [*sorted(table), *sorted(table.lists.items())] for n, table in self.session.tables.items()}


@dataclass
class Bench:
    """A publisher that can be thrown away and started again on the same database and directory."""

    database: Database
    config: Config
    hub: Hub
    publisher: Publisher | None = None

    async def restart(self) -> Publisher:
        if self.publisher is not None:
            self.publisher.close()
        self.hub.close_all()
        store = Store(self.database, self.config.run)
        self.publisher = Publisher(self.config, store, Signer(FEED), self.hub, lambda _: None)
        await self.publisher.start()
        return self.publisher

    def clear(self) -> None:
        for table in TABLES:
            self.database.execute(f"DELETE FROM {table}")
        shutil.rmtree(self.config.state / "feed", ignore_errors=True)

    def publish(self, kind: str, number: int, *, scope: str = "all", indicator: str = "ip") -> None:
        value = f"185.203.{number // 250}.{number % 250 + 1}" if indicator == "ip" else f"n{number}.lure.fr"
        payload = {
            "decision_id": f"dec_{indicator}{scope}{number}",
            "kind": indicator,
            "value": value,
            "action": "block",
            "scope": scope,
            "reason": "two_communes",
            "expires_at": 4_000_000_000,
            "campaign_id": "",
            "state": "active" if kind == "decision:activated" else "revoked",
        }
        now = clock.now()
        with self.database.transaction():
            self.database.execute(
                "INSERT INTO outbox (kind, collectivite_id, payload, created_at) VALUES (?, ?, ?, ?)",
                (kind, None if scope == "all" else scope, json.dumps(payload), now),
            )
            self.database.execute("DELETE FROM decision WHERE id = ?", (payload["decision_id"],))
            self.database.execute(
                "INSERT INTO decision (id, kind, value, action, scope, state, reason, evidence, rule, campaign_id,"
                " proposed_at, activated_at, expires_at, decided_by, ended_by, end_reason, strength, state_since,"
                " canaries, review_reason)"
                " VALUES (?, ?, ?, 'block', ?, ?, 'two_communes', '{}', 'r', '', ?, ?, ?, 'x', '', '', 'strong', ?,"
                " '', '')",
                (
                    payload["decision_id"],
                    indicator,
                    value,
                    scope,
                    payload["state"],
                    now,
                    now,
                    clock.now().replace(year=2096),
                    now,
                ),
            )

    def publish_list(self, kind: str, number: int, *, scope: str = "all", indicator: str = "ip") -> None:
        bulk = BulkList(f"{indicator}.{scope}{number}", Kind(indicator), f"{number:064x}", 9, 1)
        payload = {"kind": indicator, "scope": scope, "list": msgspec.to_builtins(bulk)}
        now = clock.now()
        with self.database.transaction():
            self.database.execute(
                "INSERT INTO outbox (kind, collectivite_id, payload, created_at) VALUES (?, ?, ?, ?)",
                (kind, None if scope == "all" else scope, json.dumps(payload), now),
            )
            self.database.execute("DELETE FROM indicator_list WHERE name = ?", (bulk.name,))
            if kind == "list:published":
                self.database.execute(
                    "INSERT INTO indicator_list (id, name, kind, scope, action, reason, sha256, size_bytes, count,"
                    " source, licence, threat, published_at, published_by)"
                    " VALUES (?, ?, ?, ?, 'block', '', ?, 9, 1, 's', 'l', '', ?, 'x')",
                    (f"lst_{bulk.name}", bulk.name, indicator, scope, bulk.sha256, now),
                )


@pytest.fixture
def bench(plane: Database, config: Config) -> Iterator[Bench]:
    state = Path(tempfile.mkdtemp(prefix="bfp-"))
    made = Bench(plane, replace(config, state=state), Hub())
    yield made
    if made.publisher is not None:
        made.publisher.close()
    shutil.rmtree(state, ignore_errors=True)


async def steps(publisher: Publisher) -> None:
    while await publisher.step():
        pass
