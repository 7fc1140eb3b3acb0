"""What the stream process reads and writes in the database: plain SQL on the core's tables.

Process: stream, in a thread of its own (a commit waits for the disk; the event loop must not).
Input:   values of the boxes' messages, checked by the caller; they travel as parameters only.
Fails:   Unavailable when the database does not answer; nothing is acknowledged then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from pathlib import Path
from typing import Any

import msgspec
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Ack, Action, BulkList, Entry, Policy, PolicyMessage

from beffroi.core.planes import outbox
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.stream.batches import SCOPE_ALL, ChannelEvent, DecisionEvent, ListEvent

CURSOR = "stream"
ACTIVATED = "decision:activated"
EXTENDED = "decision:extended"
OBSERVED = "decision:observed"
CANARY = "decision:canary"
REVIEW = "decision:review"
ENDED = "decision:ended"
ALLOWED = "exception:allowed"
CLOSED = "exception:ended"
SPARED = "never_again:set"
NOT_SPARED = "never_again:taken_back"
LIST_PUBLISHED = "list:published"
LIST_WITHDRAWN = "list:withdrawn"
IN_FORCE = ("observed", "canary", "active")
"""States of decisions that doors hold an entry of."""
_OF_DECISIONS = (ACTIVATED, EXTENDED, OBSERVED, CANARY, REVIEW, ENDED)
EXCEPTION = "local_exception"
NEVER_AGAIN = "never_again"
FOREVER = 253_402_300_799
"""The last second that a message can say."""
OLD_LINES = timedelta(days=28)
"""Older ones are due at the next purge (``core.decisions.retention``), if a snapshot stands for them."""
IDS_A_QUERY = 500


@dataclass(frozen=True)
class Event:
    """One row of the outbox."""

    id: int
    kind: str
    collectivite_id: str | None
    payload: dict[str, Any]


@dataclass(frozen=True)
class ChannelRow:
    channel: str
    epoch: int
    version: int
    head: str


@dataclass(frozen=True)
class NewBatch:
    """A signed batch and where its channel stands after it."""

    row: ChannelRow
    line: bytes


@dataclass(frozen=True)
class BoxRow:
    id: str
    collectivite_id: str
    public_key: str
    state: str
    told: int = 0
    """Up to which number all its posts of facts are here."""
    run: str = ""
    """The number of the agent's start that opened the feed last (``runs``)."""


@dataclass(frozen=True)
class FactRow:
    id: str
    kind: str
    payload: str


class Store:
    """The queries. One object a thread."""

    def __init__(self, database: Database, run: Path) -> None:
        self.database = database
        self._run = run

    # -- the feed ----------------------------------------------------------------------------------------

    def cursor(self) -> int:
        rows = self.database.execute("SELECT position FROM publish_cursor WHERE name = ?", (CURSOR,))
        return int(rows[0][0]) if rows else 0

    def last_event(self) -> int:
        return int(self.database.execute("SELECT COALESCE(MAX(id), 0) FROM outbox")[0][0])

    def events_after(self, position: int, limit: int) -> list[Event]:
        rows = self.database.execute(
            "SELECT id, kind, collectivite_id, payload FROM outbox WHERE id > ? ORDER BY id LIMIT ?",
            (position, limit),
        )
        return [Event(int(r[0]), r[1], r[2], json.loads(r[3])) for r in rows]

    def channels(self) -> list[ChannelRow]:
        rows = self.database.execute("SELECT channel, epoch, version, head FROM feed_channel")
        return [ChannelRow(r[0], int(r[1]), int(r[2]), r[3]) for r in rows]

    def lines(self, channel: str, epoch: int, after_version: int) -> list[bytes]:
        rows = self.database.execute(
            "SELECT line FROM feed_batch WHERE channel = ? AND epoch = ? AND to_version > ?"
            " ORDER BY to_version",
            (channel, epoch, after_version),
        )
        return [bytes(r[0]) for r in rows]

    def last_line(self) -> int:
        return int(self.database.execute("SELECT COALESCE(MAX(id), 0) FROM feed_batch")[0][0])

    def lines_after(self, line_id: int, base: str, limit: int) -> list[tuple[int, str, bytes]]:
        """Return (id, channel, line) of a base channel and its overlays, in the order of their commit."""
        rows = self.database.execute(
            "SELECT id, channel, line FROM feed_batch WHERE id > ? AND (channel = ? OR channel LIKE ?)"
            " ORDER BY id LIMIT ?",
            (line_id, base, f"{base}@%", limit),
        )
        return [(int(r[0]), str(r[1]), bytes(r[2])) for r in rows]

    def epoch(self) -> int:
        """The epoch of all channels; 0 while there is none."""
        rows = self.database.execute("SELECT epoch FROM feed_channel LIMIT 1")
        return int(rows[0][0]) if rows else 0

    def audit_head(self) -> str:
        rows = self.database.execute("SELECT hash FROM audit_seal ORDER BY position DESC LIMIT 1")
        return str(rows[0][0]) if rows else ""

    def commit(self, batches: Sequence[NewBatch], position: int) -> None:
        """Batches, channels and cursor: all or nothing."""
        now = clock.now()
        with self.database.transaction():
            self.database.executemany(
                "INSERT INTO feed_batch (channel, epoch, to_version, line, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [(b.row.channel, b.row.epoch, b.row.version, b.line, now) for b in batches],
            )
            self._put_channels([b.row for b in batches])
            self._put_cursor(position)

    def restart(self, channels: Sequence[ChannelRow], position: int) -> None:
        """Begin a new epoch: the channels as given, no lines before them."""
        with self.database.transaction():
            self.database.execute("DELETE FROM feed_channel")
            self._put_channels(channels)
            self._put_cursor(position)

    def note_saved(self, channel: str, epoch: int, version: int) -> None:
        """A snapshot stands on disk: the purge may delete the lines that lead to it, once they are old."""
        with self.database.transaction():
            self.database.execute(
                "UPDATE feed_channel SET saved_version = ? WHERE channel = ? AND epoch = ?",
                (version, channel, epoch),
            )

    def unsaved(self) -> list[str]:
        """Channels with old lines that no snapshot stands for; the last line of a channel stays in any case."""
        rows = self.database.execute(
            "SELECT DISTINCT c.channel FROM feed_channel c JOIN feed_batch b"
            " ON b.channel = c.channel AND b.epoch = c.epoch AND b.to_version > c.saved_version"
            " AND b.to_version < c.version WHERE b.created_at < ?",
            (clock.now() - OLD_LINES,),
        )
        return [str(row[0]) for row in rows]

    def _put_channels(self, rows: Iterable[ChannelRow]) -> None:
        self.database.executemany(
            "INSERT INTO feed_channel (channel, epoch, version, head, updated_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (channel) DO UPDATE SET"
            " epoch = excluded.epoch, version = excluded.version, head = excluded.head,"
            " updated_at = excluded.updated_at",
            [(r.channel, r.epoch, r.version, r.head, clock.now()) for r in rows],
        )

    def _put_cursor(self, position: int) -> None:
        self.database.execute(
            "INSERT INTO publish_cursor (name, position) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET position = excluded.position",
            (CURSOR, position),
        )

    def in_force(self) -> tuple[list[ChannelEvent], int]:
        """Return every active decision and list, and the outbox position that this state belongs to."""
        with self.database.transaction():
            self.database.serialise_outbox()
            decisions = self.database.execute(
                "SELECT id, kind, value, action, scope, reason, expires_at, state, canaries FROM decision"
                " WHERE state IN ('observed', 'canary', 'active') ORDER BY id"
            )
            exceptions = self.database.execute(
                "SELECT id, kind, value, collectivite_id, expires_at FROM local_exception"
                " WHERE state = 'active' ORDER BY id"
            )
            spared = self.database.execute(
                "SELECT id, kind, value, until FROM never_again WHERE revoked_at IS NULL ORDER BY id"
            )
            lists = self.database.execute(
                "SELECT name, kind, scope, sha256, size_bytes, count, action, expires_at, reason,"
                " threat FROM indicator_list ORDER BY name"
            )
            position = self.last_event()
        events: list[ChannelEvent] = []
        for r in decisions:
            entry = Entry(r[0], Indicator(Kind(r[1]), r[2]), Action(r[3]), self._seconds(r[6]), r[5])
            base = entry if r[7] == "active" else msgspec.structs.replace(entry, action=Action.WARN)
            events.append(DecisionEvent(r[0], r[1], r[4], base))
            if r[7] == "canary":
                events += [DecisionEvent(r[0], r[1], commune, entry) for commune in r[8].split()]
        for r in exceptions:
            entry = Entry(r[0], Indicator(Kind(r[1]), r[2]), Action.ALLOW, self._seconds(r[4]), EXCEPTION)
            events.append(DecisionEvent(r[0], r[1], r[3], entry))
        for r in spared:
            end = self._seconds(r[3]) or FOREVER
            entry = Entry(r[0], Indicator(Kind(r[1]), r[2]), Action.ALLOW, end, NEVER_AGAIN)
            events.append(DecisionEvent(r[0], r[1], SCOPE_ALL, entry))
        for r in lists:
            bulk = BulkList(
                r[0], Kind(r[1]), r[3], int(r[4]), int(r[5]), Action(r[6]), self._seconds(r[7]), r[8], r[9]
            )
            events.append(ListEvent(r[0], r[1], r[2], bulk))
        return events, position

    def _seconds(self, value: Any) -> int:
        return int(self.database.time(value).timestamp()) if value is not None else 0

    # -- boxes -------------------------------------------------------------------------------------------

    def boxes(self, ids: Iterable[str]) -> dict[str, BoxRow]:
        """Return those that exist, by id."""
        found: dict[str, BoxRow] = {}
        for part in batched(ids, IDS_A_QUERY, strict=False):
            marks = ", ".join("?" * len(part))
            rows = self.database.execute(
                "SELECT id, collectivite_id, public_key, state, COALESCE(box_told.number, 0),"  # noqa: S608
                " COALESCE(box_run.number, '') FROM box LEFT JOIN box_told ON box_told.box_id = box.id"
                f" LEFT JOIN box_run ON box_run.box_id = box.id WHERE id IN ({marks})",
                part,
            )
            found.update((row[0], BoxRow(*row)) for row in rows)
        return found

    def collectivites_with_boxes(self) -> int:
        rows = self.database.execute("SELECT COUNT(DISTINCT collectivite_id) FROM box WHERE state = 'active'")
        return int(rows[0][0])

    def policy(self, collectivite_id: str) -> PolicyMessage | None:
        """Return the latest policy of a collectivité, unsigned and stamped 0."""
        rows = self.database.execute(
            "SELECT policy_version, policy, changed_by, reason, COALESCE(collectivite.name, '')"
            " FROM box_policy LEFT JOIN collectivite ON collectivite.id = collectivite_id WHERE collectivite_id = ?"
            " ORDER BY policy_version DESC LIMIT 1",
            (collectivite_id,),
        )
        if not rows:
            return None
        content = rows[0][1]
        by, why, name = (str(one) for one in rows[0][2:])
        return PolicyMessage(1, collectivite_id, int(rows[0][0]), 0, read_policy(content), by, why, name)

    def seen(self, box_ids: Sequence[str]) -> None:
        now = clock.now()
        for part in batched(box_ids, IDS_A_QUERY, strict=False):  # a decision must not wait for thousands
            with self.database.transaction():
                self.database.executemany(
                    "UPDATE box SET last_seen_at = ? WHERE id = ?", [(now, box_id) for box_id in part]
                )

    def put_acks(self, acks: Sequence[tuple[str, Ack]], boxes: dict[str, tuple[int, str]]) -> None:
        """Keep the newest acknowledgement of each box and channel. ``boxes``: versions that are new."""
        now = clock.now()
        with self.database.transaction():
            self.database.executemany(
                "INSERT INTO box_ack (box_id, channel, epoch, version, enforced_at_ms, received_at)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (box_id, channel) DO UPDATE SET"
                " epoch = excluded.epoch, version = excluded.version,"
                " enforced_at_ms = excluded.enforced_at_ms, received_at = excluded.received_at"
                " WHERE excluded.epoch > box_ack.epoch"
                " OR (excluded.epoch = box_ack.epoch AND excluded.version > box_ack.version)",
                [(box, a.channel, a.epoch, a.version, a.enforced_at_ms, now) for box, a in acks],
            )
            self.database.executemany(
                "UPDATE box SET last_seen_at = ?, policy_version = ?, agent_version = ? WHERE id = ?",
                [(now, policy, agent, box) for box, (policy, agent) in boxes.items()],
            )

    def put_facts(self, box: BoxRow, facts: Sequence[FactRow], *, after: int = 0, number: int = 0) -> int:
        """Store facts durably, each with its event; return up to which number all posts of the box are here.

        ``number``: of this post, 0 for none. It counts where all up to ``after`` is here: after a restore a box may
        tell something new before it has told again what is lacking."""
        now = clock.now()
        with self.database.transaction():
            for fact in facts:
                rows = self.database.execute(
                    "INSERT INTO inbox_fact (id, source, collectivite_id, kind, payload, received_at)"
                    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING id",
                    (fact.id, box.id, box.collectivite_id, fact.kind, fact.payload, now),
                )
                if rows:
                    outbox.publish(
                        self.database,
                        "fact:received",
                        {
                            "fact_id": fact.id,
                            "kind": fact.kind,
                            "source": box.id,
                            "collectivite_id": box.collectivite_id,
                        },
                        run=self._run,
                        collectivite_id=box.collectivite_id,
                    )
            if number:
                new = "INSERT INTO box_told (box_id, number) VALUES (?, 0) ON CONFLICT (box_id) DO NOTHING"
                self.database.execute(new, (box.id,))
                self.database.execute(
                    "UPDATE box_told SET number = ? WHERE box_id = ? AND number >= ? AND number < ?",
                    (number, box.id, after, number),
                )
            told = self.database.execute("SELECT number FROM box_told WHERE box_id = ?", (box.id,))
        return int(told[0][0]) if told else 0


def read_policy(content: str | dict[str, Any]) -> Policy:
    """A policy column: JSON text, or what the driver already decoded from it."""
    data = json.loads(content) if isinstance(content, str) else content
    return msgspec.convert(data, Policy)


def channel_events(event: Event) -> tuple[ChannelEvent, ...]:
    """Return what an outbox row changes on the feed: decisions, exceptions, "never again", lists; else nothing."""
    p = event.payload
    if event.kind in (LIST_PUBLISHED, LIST_WITHDRAWN):
        bulk = msgspec.convert(p["list"], BulkList)
        return (ListEvent(bulk.name, p["kind"], p["scope"], bulk if event.kind == LIST_PUBLISHED else None),)
    if event.kind in (ALLOWED, CLOSED):
        entry = _entry(p, p["exception_id"], Action.ALLOW, EXCEPTION) if event.kind == ALLOWED else None
        return (DecisionEvent(p["exception_id"], p["kind"], p["scope"], entry),)
    if event.kind in (SPARED, NOT_SPARED):
        if "value" not in p:
            return ()  # of a version that published lists anew instead; its migration says it again
        spared = {**p, "expires_at": p["until"] or FOREVER}
        entry = (
            _entry(spared, p["never_again_id"], Action.ALLOW, NEVER_AGAIN) if event.kind == SPARED else None
        )
        return (DecisionEvent(p["never_again_id"], p["kind"], SCOPE_ALL, entry),)
    if event.kind not in _OF_DECISIONS:
        return ()
    decision_id = p["decision_id"]
    # Whatever an event is called: what is not in force by its own words goes off the feed.
    ended = event.kind in (ENDED, REVIEW) or p.get("state", "active") not in IN_FORCE
    entry = None if ended else _entry(p, decision_id, Action(p["action"]), p["reason"])
    in_canaries = None
    if p.get("state") == "canary" and not ended:
        in_canaries = _entry(p, decision_id, Action(p["canary_action"]), p["reason"])
    return (
        DecisionEvent(decision_id, p["kind"], p["scope"], entry),
        *(DecisionEvent(decision_id, p["kind"], one, in_canaries) for one in p.get("canaries", ())),
    )


def _entry(p: dict[str, Any], entry_id: str, action: Action, reason: str) -> Entry:
    return Entry(entry_id, Indicator(Kind(p["kind"]), p["value"]), action, int(p["expires_at"]), reason)
