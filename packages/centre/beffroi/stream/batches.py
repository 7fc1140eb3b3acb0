"""From decisions to batches: what each channel says next. Pure: no I/O, no clock, no keys.

Purpose: one batch a channel a wake-up, made from the outbox rows in their order.
Input:   decisions of the centre's own database: canonical indicators, trusted.
Rule:    a decision for all goes to every base channel that carries its kind; a decision for one collectivité
         goes to that collectivité's overlays, so that no other commune ever sees it.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from beffroi_protocol.messages import VERSION, Batch, BulkList, Entry, Snapshot, SnapshotFile
from beffroi_protocol.signing import payload_hash
from beffroi_protocol.table import CHANNEL_KINDS, overlay

SCOPE_ALL = "all"
PAUSE_MAX_S = 1.0
OVERLAYS_A_BEAT = 1000


@dataclass(frozen=True)
class DecisionEvent:
    """One outbox row about a decision. ``entry`` None: the decision ended."""

    decision_id: str
    kind: str
    scope: str
    entry: Entry | None


@dataclass(frozen=True)
class ListEvent:
    """One outbox row about a bulk list. ``bulk`` None: it was withdrawn."""

    name: str
    kind: str
    scope: str
    bulk: BulkList | None


ChannelEvent = DecisionEvent | ListEvent


@dataclass(frozen=True)
class Stamp:
    """What every signed message of one wake-up shares. Units: epoch seconds."""

    issued_at: int
    valid_until: int
    audit_head: str = ""


@dataclass(frozen=True)
class Saved:
    """A snapshot on disk: where its channel stood, and the file's name and size (uncompressed)."""

    epoch: int
    version: int
    head: str
    sha256: str
    size_bytes: int


@dataclass
class Channel:
    """Where a channel stands. Entries and lists are those that a follower at ``version`` holds. ``changed_at``: when
    its last line, or the snapshot that it was loaded from, was issued; 0: neither is known."""

    name: str
    epoch: int
    version: int = 0
    head: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    lists: dict[str, BulkList] = field(default_factory=dict)
    changed_at: int = 0

    def begin(self, events: Iterable[ChannelEvent]) -> None:
        """Take the state itself, not a step from another one."""
        for event in events:
            if isinstance(event, DecisionEvent) and event.entry is not None:
                self.entries[event.decision_id] = event.entry
            elif isinstance(event, ListEvent) and event.bulk is not None:
                self.lists[event.name] = event.bulk

    def apply(self, batch: Batch, payload: bytes) -> None:
        """Follow a batch of one's own making."""
        for entry_id in batch.removed:
            self.entries.pop(entry_id, None)
        for entry in batch.added:
            self.entries[entry.id] = entry
        for name in batch.lists_removed:
            self.lists.pop(name, None)
        for bulk in batch.lists:
            self.lists[bulk.name] = bulk
        if batch.to_version != batch.from_version:
            self.version, self.head = batch.to_version, payload_hash(payload)
            self.changed_at = batch.issued_at

    def copy(self) -> Channel:
        return replace(self, entries=dict(self.entries), lists=dict(self.lists))


def route(event: ChannelEvent) -> tuple[str, ...]:
    """Return the names of the channels that carry the event."""
    bases = (name for name, kinds in CHANNEL_KINDS.items() if event.kind in kinds)
    if event.scope == SCOPE_ALL:
        return tuple(bases)
    return tuple(overlay(name, event.scope) for name in bases)


def by_channel(events: Iterable[ChannelEvent]) -> dict[str, list[ChannelEvent]]:
    """Sort events to their channels, keeping their order."""
    routed: dict[str, list[ChannelEvent]] = {}
    for event in events:
        for name in route(event):
            routed.setdefault(name, []).append(event)
    return routed


def next_batch(channel: Channel, events: Sequence[ChannelEvent], stamp: Stamp) -> Batch | None:
    """Return the step that leads ``channel`` over ``events``, or None when nothing changes for a follower
    (a decision that came and went within one wake-up)."""
    last = {e.decision_id: e.entry for e in events if isinstance(e, DecisionEvent)}
    last_lists = {e.name: e.bulk for e in events if isinstance(e, ListEvent)}
    added = tuple(e for i, e in last.items() if e is not None and channel.entries.get(i) != e)
    removed = tuple(i for i, e in last.items() if e is None and i in channel.entries)
    lists = tuple(b for n, b in last_lists.items() if b is not None and channel.lists.get(n) != b)
    lists_removed = tuple(n for n, b in last_lists.items() if b is None and n in channel.lists)
    if not (added or removed or lists or lists_removed):
        return None
    return msgspec.structs.replace(
        heartbeat(channel, stamp),
        to_version=channel.version + 1,
        added=added,
        removed=removed,
        lists=lists,
        lists_removed=lists_removed,
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
        entries=tuple(channel.entries[i] for i in sorted(channel.entries)),
        lists=tuple(channel.lists[n] for n in sorted(channel.lists)),
        audit_head=stamp.audit_head,
    )


def snapshot_file(channel: str, saved: Saved, stamp: Stamp) -> SnapshotFile:
    """Return the message that names the file of a snapshot."""
    return SnapshotFile(
        v=VERSION,
        channel=channel,
        epoch=saved.epoch,
        version=saved.version,
        issued_at=stamp.issued_at,
        valid_until=stamp.valid_until,
        sha256=saved.sha256,
        size_bytes=saved.size_bytes,
    )


def pause_between_s(followers: int, pause_ms: int) -> float:
    """Return the pause after a batch, ``pause_ms`` for each 1000 followers: each batch costs every one of them a line
    and an acknowledgement."""
    return min(PAUSE_MAX_S, followers * pause_ms / 1e6)


def overlays_a_beat(overlays: int, *, heartbeat_s: int, valid_s: int) -> int:
    """Return how many overlays one heartbeat carries: all of some hundred; of more so many that each has its own four
    times within ``valid_s``. The base channel, which brings time to every door, is in each heartbeat."""
    beats = max(1, valid_s // (4 * heartbeat_s))
    return max(OVERLAYS_A_BEAT, -(-overlays // beats))


def next_in_turn(names: Iterable[str], after: str, count: int) -> tuple[list[str], str]:
    """Return the next ``count`` of ``names`` in their order, and the last of them: ``after`` of the next time."""
    ordered = sorted(names)
    chosen = [name for name in ordered if name > after][:count]
    if len(chosen) < count:
        chosen += ordered[: min(count - len(chosen), len(ordered) - len(chosen))]
    return chosen, chosen[-1] if chosen else ""
