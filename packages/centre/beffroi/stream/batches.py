"""From decisions to batches: what each channel says next. Pure: no I/O, no clock, no keys.

Purpose: one batch a channel a wake-up, made from the outbox rows in their order.
Input:   decisions of the centre's own database: canonical indicators, trusted.
Rule:    a decision for all goes to every base channel that carries its kind; a decision for one collectivité
         goes to that collectivité's overlays, so that no other commune ever sees it.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from beffroi_protocol.messages import VERSION, Batch, Entry, Snapshot
from beffroi_protocol.signing import payload_hash
from beffroi_protocol.table import CHANNEL_KINDS, overlay

SCOPE_ALL = "all"
MAX_ENTRIES_A_BATCH = 2000
"""Keeps a batch of the longest values under MAX_MESSAGE_BYTES."""


@dataclass(frozen=True)
class DecisionEvent:
    """One outbox row about a decision. ``entry`` None: the decision ended."""

    decision_id: str
    kind: str
    scope: str
    entry: Entry | None


@dataclass(frozen=True)
class Stamp:
    """What every signed message of one wake-up shares. Units: epoch seconds."""

    issued_at: int
    valid_until: int
    audit_head: str = ""


@dataclass
class Channel:
    """Where a channel stands. Entries are those that a follower at ``version`` holds."""

    name: str
    epoch: int
    version: int = 0
    head: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)

    def apply(self, batch: Batch, payload: bytes) -> None:
        """Follow a batch of one's own making."""
        for entry_id in batch.removed:
            self.entries.pop(entry_id, None)
        for entry in batch.added:
            self.entries[entry.id] = entry
        if batch.to_version != batch.from_version:
            self.version, self.head = batch.to_version, payload_hash(payload)

    def copy(self) -> Channel:
        return Channel(self.name, self.epoch, self.version, self.head, dict(self.entries))


def route(event: DecisionEvent) -> tuple[str, ...]:
    """Return the names of the channels that carry the event."""
    bases = (name for name, kinds in CHANNEL_KINDS.items() if event.kind in kinds)
    if event.scope == SCOPE_ALL:
        return tuple(bases)
    return tuple(overlay(name, event.scope) for name in bases)


def by_channel(events: Iterable[DecisionEvent]) -> dict[str, list[DecisionEvent]]:
    """Sort events to their channels, keeping their order."""
    routed: dict[str, list[DecisionEvent]] = {}
    for event in events:
        for name in route(event):
            routed.setdefault(name, []).append(event)
    return routed


def next_batch(channel: Channel, events: Sequence[DecisionEvent], stamp: Stamp) -> Batch | None:
    """Return the step that leads ``channel`` over ``events``, or None when nothing changes for a follower
    (a decision that came and went within one wake-up)."""
    last: dict[str, Entry | None] = {event.decision_id: event.entry for event in events}
    added = tuple(e for i, e in last.items() if e is not None and channel.entries.get(i) != e)
    removed = tuple(i for i, e in last.items() if e is None and i in channel.entries)
    if not added and not removed:
        return None
    return Batch(
        v=VERSION,
        channel=channel.name,
        epoch=channel.epoch,
        from_version=channel.version,
        to_version=channel.version + 1,
        issued_at=stamp.issued_at,
        valid_until=stamp.valid_until,
        prev=channel.head,
        added=added,
        removed=removed,
        audit_head=stamp.audit_head,
    )


def heartbeat(channel: Channel, stamp: Stamp) -> Batch:
    """Return the empty batch that carries time, validity and the head of the audit log."""
    return Batch(
        v=VERSION,
        channel=channel.name,
        epoch=channel.epoch,
        from_version=channel.version,
        to_version=channel.version,
        issued_at=stamp.issued_at,
        valid_until=stamp.valid_until,
        prev=channel.head,
        audit_head=stamp.audit_head,
    )


def snapshot(channel: Channel, stamp: Stamp) -> Snapshot:
    """Return the whole of the channel, entries in order of their ids (the same state gives the same list)."""
    return Snapshot(
        v=VERSION,
        channel=channel.name,
        epoch=channel.epoch,
        version=channel.version,
        issued_at=stamp.issued_at,
        valid_until=stamp.valid_until,
        head=channel.head,
        entries=tuple(sorted(channel.entries.values())),
        audit_head=stamp.audit_head,
    )
