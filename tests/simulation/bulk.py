"""Bulk lists: what the centre publishes, how their files arrive, and the box's loader without a child and a kernel.

Real:    the content and its checks, ``download``, ``load`` (unpacking, cutting out what is protected), ``ListKeeper``,
         ``DoorLists``, the files' route of the publisher.
Stands in: the writes of ``core.decisions.lists``; the child process; netlink; HTTP. A file arrives whole, cut off,
         or as another list of the same size.
"""

from __future__ import annotations

import hashlib
import http
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from beffroi.core.planes import files, outbox
from beffroi.core.planes.db import Database
from beffroi.lib import clock, durable
from beffroi_box.errors import CentreRefused
from beffroi_protocol import lists as content
from beffroi_protocol.indicators import Kind
from beffroi_protocol.messages import Action, BulkList

from tests.simulation.rows import NOWHERE, insert


@dataclass(frozen=True)
class Version:
    """One content of a list that was ever published."""

    scope: str
    kind: Kind
    values: frozenset[str]
    blocks: bool


class Lists:
    """The table ``indicator_list``, its files, and what every version held."""

    def __init__(self, database: Database, state: Any, versions: dict[str, list[Version]]) -> None:
        self._database = database
        self._state = state
        self.versions = versions
        self.withdrawn_at = 0.0

    def in_force(self) -> list[tuple[str, BulkList]]:
        """(scope, list) of what is blocked."""
        return [(scope, one) for scope, one in self.every() if one.action is Action.BLOCK]

    def on_trial(self) -> list[BulkList]:
        return [one for _, one in self.every() if one.action is Action.WARN]

    def named(self, name: str) -> frozenset[str]:
        """What the list of this name holds now, blocked or on trial."""
        return next((self.values(one) for _, one in self.every() if one.name == name), frozenset())

    def every(self) -> list[tuple[str, BulkList]]:
        rows = self._database.execute(
            "SELECT scope, name, kind, sha256, size_bytes, count, action, expires_at, threat FROM indicator_list"
            " ORDER BY name"
        )
        return [
            (r[0], BulkList(r[1], Kind(r[2]), r[3], r[4], r[5], Action(r[6]), self._end(r[7]), "", r[8]))
            for r in rows
        ]

    def values(self, one: BulkList) -> frozenset[str]:
        return self.versions[one.sha256][0].values

    def _end(self, value: Any) -> int:
        return int(self._database.time(value).timestamp()) if value else 0

    def publish(
        self, name: str, kind: Kind, values: Sequence[str], *, scope: str, ends: int, threat: str = "",
        action: Action = Action.BLOCK,
    ) -> BulkList:  # fmt: skip
        """One of the same name is replaced. ``ends``: epoch seconds, 0 for never."""
        data = content.content(values)
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.versions:
            (self._state / "lists").mkdir(exist_ok=True)
            durable.write(files.list_file(self._state, digest), files.compressed(data))
        self.versions.setdefault(digest, []).append(
            Version(scope, kind, frozenset(values), action is Action.BLOCK)
        )
        made = BulkList(name, kind, digest, len(data), len(set(values)), action, ends, "", threat)
        with self._database.transaction():
            for before_scope, before in self.every():
                if before.name == name:
                    self._database.execute("DELETE FROM indicator_list WHERE name = ?", (name,))
                    if (before_scope, before.kind) != (scope, kind):  # other channels carried it
                        self._tell("list:withdrawn", before_scope, before)
            insert(
                self._database, "indicator_list", id=f"lst_{name}", name=name, kind=kind.value, scope=scope,
                action=action.value, threat=threat, sha256=digest, size_bytes=made.size_bytes, count=made.count,
                published_at=clock.now(), expires_at=datetime.fromtimestamp(ends, UTC) if ends else None,
            )  # fmt: skip
            self._tell("list:published", scope, made)
        return made

    def withdraw(self, name: str) -> None:
        self.withdrawn_at = clock.epoch()
        with self._database.transaction():
            for scope, one in self.every():
                if one.name == name:
                    self._database.execute("DELETE FROM indicator_list WHERE name = ?", (name,))
                    self._tell("list:withdrawn", scope, one)

    def expire_due(self) -> None:
        for row in self._database.execute(
            "SELECT name FROM indicator_list WHERE expires_at <= ?", (clock.now(),)
        ):
            self.withdraw(row[0])

    def _tell(self, kind: str, scope: str, one: BulkList) -> None:
        payload = {"kind": one.kind.value, "scope": scope, "list": msgspec.to_builtins(one)}
        outbox.publish(
            self._database, kind, payload, run=NOWHERE, collectivite_id=None if scope == "all" else scope
        )


# -- the way of a file --------------------------------------------------------------------------------------


def on_its_way(packed: bytes, rng: random.Random) -> tuple[bytes, bool]:
    """Return (what arrives, whether the connection is cut after it)."""
    fate = rng.random()
    if fate < 0.2:
        return packed[: rng.randrange(len(packed))], True
    if fate < 0.35:  # a proxy, a disk, an attacker: a sound list of the same size, but not this one
        plain = zlib.decompress(packed)
        at = rng.randrange(len(plain))
        other = plain[:at] + (b"7" if plain[at : at + 1] != b"7" else b"3") + plain[at + 1 :]
        return zlib.compress(other), False
    if fate < 0.4:
        return rng.randbytes(len(packed)), False
    return packed, False


class Response:
    """What ``get_file`` returns."""

    def __init__(self, packed: bytes, start: int, *, cut: bool) -> None:
        self.status = http.HTTPStatus.PARTIAL_CONTENT if start else http.HTTPStatus.OK
        self._rest = packed[start:]
        self._cut = cut

    def getheader(self, _: str) -> str:
        return str(len(self._rest) + self._cut)

    def read1(self, _: int) -> bytes:
        piece, self._rest = self._rest, b""
        return piece


def answer(packed: bytes, start: int, *, cut: bool) -> Response:
    """Errors: CentreRefused, when ``start`` is the end."""
    if start and start >= len(packed):
        raise CentreRefused(http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "range")
    return Response(packed, start, cut=cut)
