"""DecisionTable: what one channel says is blocked, and how a door asks it.

Purpose: apply snapshots and batches in order, match facts, save and load. Pure: no I/O, no clock.
Fails:   a message that does not follow changes nothing; an expired feed raises ``stale``, it never unloads.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from beffroi_protocol.errors import (
    UNDECODABLE,
    BatchReplayed,
    ChainBroken,
    EpochBehind,
    StateDamaged,
    VersionUnknown,
)
from beffroi_protocol.indicators import Indicator, Kind, is_canonical, normalise, registered_names
from beffroi_protocol.messages import (
    MAX_LIST_BYTES,
    Action,
    Batch,
    BulkList,
    Entry,
    Snapshot,
    without_tomorrow,
)
from beffroi_protocol.protected import too_wide
from beffroi_protocol.signing import payload_hash
from beffroi_protocol.sketches import Sketches

STATE_VERSION = 1
CHANNEL_KINDS: dict[str, frozenset[Kind]] = {
    "box": frozenset({Kind.IP, Kind.CIDR, Kind.DOMAIN}),
    "mail": frozenset({Kind.IP, Kind.CIDR, Kind.DOMAIN, Kind.URL, Kind.SHA256, Kind.SENDER, Kind.SKETCH}),
    "login": frozenset({Kind.IP, Kind.CIDR}),
    "drive": frozenset({Kind.IP, Kind.CIDR, Kind.SHA256}),
}
"""Which indicators a channel carries: a box never receives mail senders or sketches."""

WORDS = 1
"""Raised with each kind, action, or kind of a channel that is new: what was kept by software that did not know it may
lack entries."""

OVERLAY = "@"
STRICTNESS = {Action.BLOCK: 3, Action.QUARANTINE: 2, Action.THROTTLE: 1}
"""Actions that refuse something; the others are never the answer to "is this refused?"."""


def overlay(channel: str, collectivite_id: str) -> str:
    """Name of the channel that lies over ``channel`` for one collectivité."""
    return f"{channel}{OVERLAY}{collectivite_id}"


EVERY = "*"


def every_overlay(channel: str) -> str:
    """What a door that serves all collectivités asks for: each overlay over this base channel (or over the base of
    this overlay), those to come too."""
    return overlay(channel.partition(OVERLAY)[0], EVERY)


def strictest(entries: Iterable[Entry | None]) -> Entry | None:
    """Return the entry that refuses most (the first of equals), None where nothing refuses."""
    refusing = (e for e in entries if e is not None and e.action in STRICTNESS)
    return max(refusing, key=lambda e: STRICTNESS[e.action], default=None)


@dataclass(frozen=True)
class Change:
    """What an applied message changed. ``reset`` means: replace all, not add.

    ``removed`` also holds the former form of an entry that came again with another indicator, so whoever
    follows removes first, then adds. ``refused``: entries that this channel does not carry or that are not
    canonical; they are left out, and the rest is enforced. Lists likewise; a replaced list is in both
    ``lists_removed`` (as it was) and ``lists_added``.
    """

    channel: str
    epoch: int
    version: int
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    reset: bool = False
    refused: tuple[Entry, ...] = ()
    lists_added: tuple[BulkList, ...] = ()
    lists_removed: tuple[BulkList, ...] = ()
    lists_refused: tuple[BulkList, ...] = ()


class _StateVersion(msgspec.Struct):
    state_v: int


class _State(msgspec.Struct, omit_defaults=True):
    state_v: int
    channel: str
    epoch: int
    version: int
    head: str
    issued_at: int
    valid_until: int
    entries: tuple[Entry, ...]
    lists: tuple[BulkList, ...] = ()
    words: int = 1


class DecisionTable:
    """The entries of one channel, indexed for matching."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.epoch = 0
        self.version = 0
        self.head = ""
        self.issued_at = 0
        self.valid_until = 0
        self.lists: dict[str, BulkList] = {}
        """Lists in force by name: what they are, not their content."""
        self.lacking = False
        """Kept by software that knew other words: only a snapshot tells what it left out."""
        self._entries: dict[str, Entry] = {}
        self._by_indicator: dict[Indicator, dict[str, Entry]] = {}
        self._networks: dict[tuple[int, int], dict[int, Indicator]] = {}  # (family, prefix length)
        self._sketches = Sketches()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, entry_id: str) -> Entry | None:
        return self._entries.get(entry_id)

    def apply(self, message: Batch | Snapshot, payload: bytes) -> Change:
        """Apply a verified message; ``payload`` is its exact bytes (for the chain).

        Errors: EpochBehind, BatchReplayed, ChainBroken. On error the table is as before.
        """
        if isinstance(message, Snapshot):
            return self._apply_snapshot(message)
        return self._apply_batch(message, payload)

    def check_position(self, epoch: int, version: int) -> None:
        """Refuse a snapshot of the past. Errors: EpochBehind, BatchReplayed."""
        if epoch < self.epoch:
            raise EpochBehind(self.channel, self.epoch, epoch)
        if epoch == self.epoch and version < self.version:
            raise BatchReplayed(self.channel, self.version, version)

    def _apply_snapshot(self, snapshot: Snapshot) -> Change:
        self.check_position(snapshot.epoch, snapshot.version)
        same_epoch = snapshot.epoch == self.epoch
        fork = same_epoch and snapshot.version == self.version and snapshot.head != self.head
        if fork and snapshot.issued_at <= self.issued_at:
            # A centre restored from a backup may fork; the later word counts, else the old could return.
            raise BatchReplayed(self.channel, self.version, snapshot.version)
        before, lists_before = self._entries, self.lists
        added, refused = self._sort(snapshot.entries)
        lists, lists_refused = self._sort_lists(snapshot.lists)
        self._reset(added)
        self.lists = {one.name: one for one in lists}
        self.lacking = False
        self.epoch, self.version, self.head = snapshot.epoch, snapshot.version, snapshot.head
        self.issued_at = max(self.issued_at, snapshot.issued_at) if same_epoch else snapshot.issued_at
        self.valid_until = max(self.valid_until, snapshot.valid_until) if same_epoch else snapshot.valid_until
        removed = tuple(e for e in before.values() if not self._holds(e))
        lists_removed = tuple(one for one in lists_before.values() if self.lists.get(one.name) != one)
        return Change(
            self.channel, self.epoch, self.version, added, removed, True, refused,
            lists, lists_removed, lists_refused,
        )  # fmt: skip

    def _apply_batch(self, batch: Batch, payload: bytes) -> Change:
        if batch.epoch < self.epoch:
            raise EpochBehind(self.channel, self.epoch, batch.epoch)
        if batch.epoch > self.epoch or batch.from_version > self.version:
            raise ChainBroken(self.channel, self.version)
        heartbeat = batch.from_version == batch.to_version
        if batch.to_version < self.version or (batch.to_version == self.version and not heartbeat):
            raise BatchReplayed(self.channel, self.version, batch.to_version)
        if batch.from_version != self.version or batch.prev != self.head:
            raise ChainBroken(self.channel, self.version)
        self.issued_at = max(self.issued_at, batch.issued_at)
        self.valid_until = max(self.valid_until, batch.valid_until)
        if heartbeat:
            return Change(self.channel, self.epoch, self.version, (), ())
        added, refused = self._sort(batch.added)
        gone = dict.fromkeys((*batch.removed, *(e.id for e in batch.added)))
        before = [e for i in gone if (e := self._entries.get(i)) is not None]
        for entry in before:
            self._remove(entry)
        for entry in added:
            self._add(entry)
        self.version, self.head = batch.to_version, payload_hash(payload)
        removed = tuple(e for e in before if not self._holds(e))
        lists, lists_refused = self._sort_lists(batch.lists)
        names = (*batch.lists_removed, *(one.name for one in batch.lists))
        lists_removed = tuple(one for name in names if (one := self.lists.pop(name, None)) is not None)
        self.lists.update({one.name: one for one in lists})
        return Change(
            self.channel, self.epoch, self.version, added, removed, False, refused,
            lists, lists_removed, lists_refused,
        )  # fmt: skip

    def _sort(self, entries: Iterable[Entry]) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Return (usable, refused): a signed entry that an engine would read differently is left out alone,
        because refusing the whole message would keep all later decisions from every door."""
        kinds = self._kinds()
        local = OVERLAY in self.channel
        usable: list[Entry] = []
        refused: list[Entry] = []
        for entry in entries:
            fits = entry.indicator.kind in kinds and is_canonical(entry.indicator)
            # For all, "never again" opens one thing: no signature makes a whole range or suffix harmless.
            fits = fits and (local or entry.action is not Action.ALLOW or not too_wide(entry.indicator))
            (usable if fits else refused).append(entry)
        return tuple(usable), tuple(refused)

    def _sort_lists(self, lists: Iterable[BulkList]) -> tuple[tuple[BulkList, ...], tuple[BulkList, ...]]:
        kinds = self._kinds()
        usable: list[BulkList] = []
        refused: list[BulkList] = []
        for one in lists:
            fits = one.kind in kinds and one.size_bytes <= MAX_LIST_BYTES and one.action is not Action.ALLOW
            (usable if fits else refused).append(one)
        return tuple(usable), tuple(refused)

    def _kinds(self) -> frozenset[Kind]:
        return CHANNEL_KINDS.get(self.channel.partition(OVERLAY)[0], frozenset(Kind))

    def _holds(self, entry: Entry) -> bool:
        """True when the entry is still here, about the same indicator."""
        return (now := self._entries.get(entry.id)) is not None and now.indicator == entry.indicator

    def _reset(self, entries: Iterable[Entry]) -> None:
        self._entries, self._by_indicator, self._networks = {}, {}, {}
        self._sketches = Sketches()
        for entry in entries:
            if (old := self._entries.get(entry.id)) is not None:
                self._remove(old)
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        self._by_indicator.setdefault(entry.indicator, {})[entry.id] = entry
        if entry.indicator.kind is Kind.SKETCH:
            self._sketches.add(entry.indicator.value)
        if entry.indicator.kind is Kind.CIDR:
            network = ipaddress.ip_network(entry.indicator.value)
            length = self._networks.setdefault((network.version, network.prefixlen), {})
            length[int(network.network_address)] = entry.indicator

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.id]
        holders = self._by_indicator[entry.indicator]
        del holders[entry.id]
        if holders:
            return
        del self._by_indicator[entry.indicator]
        if entry.indicator.kind is Kind.SKETCH:
            self._sketches.remove(entry.indicator.value)
        if entry.indicator.kind is Kind.CIDR:
            network = ipaddress.ip_network(entry.indicator.value)
            length = self._networks[network.version, network.prefixlen]
            del length[int(network.network_address)]
            if not length:
                del self._networks[network.version, network.prefixlen]

    def match(self, indicator: Indicator, *, now: int) -> Entry | None:
        """Return the strictest active entry that refuses exactly this canonical indicator."""
        return strictest(self._active(indicator, now)) if indicator in self._by_indicator else None

    def match_address(self, address: str, *, now: int) -> Entry | None:
        """Return the strictest entry that covers this IPv4 or IPv6 address. Errors: IndicatorInvalid."""
        covering = self._covering(normalise(Kind.IP, address))
        return strictest(self.match(indicator, now=now) for indicator in covering)

    def match_name(self, name: str, *, now: int) -> Entry | None:
        """Return the strictest entry for this name or one of its parents. Errors: IndicatorInvalid."""
        covering = self._covering(normalise(Kind.DOMAIN, name))
        return strictest(self.match(indicator, now=now) for indicator in covering)

    def near(self, sketch: str) -> list[str]:
        """Return the sketches that some entry, whatever it does, names and that are near to this one."""
        return self._sketches.near(sketch)

    def exception(self, indicator: Indicator, *, now: int) -> Entry | None:
        """Return the exception that covers this canonical indicator: its own, a parent's for a name, a
        range's for an address or a range in it."""
        found = (
            entry
            for covering in self._covering(indicator)
            for entry in self._active(covering, now)
            if entry.action is Action.ALLOW
        )
        return next(found, None)

    def _active(self, indicator: Indicator, now: int) -> Iterator[Entry]:
        return (e for e in self._by_indicator.get(indicator, {}).values() if e.expires_at > now)

    def _covering(self, indicator: Indicator) -> Iterator[Indicator]:
        """The indicators here that say something about this one: itself, parents of a name, ranges around."""
        if indicator.kind is Kind.DOMAIN:
            yield from (Indicator(Kind.DOMAIN, parent) for parent in registered_names(indicator.value))
            return
        yield indicator
        if indicator.kind not in (Kind.IP, Kind.CIDR) or not self._networks:
            return
        network = ipaddress.ip_network(indicator.value)
        number, bits = int(network.network_address), network.max_prefixlen
        for (family, length), networks in self._networks.items():
            if family == network.version and length <= network.prefixlen:
                found = networks.get(number >> (bits - length) << (bits - length))
                if found is not None and found != indicator:
                    yield found

    def stale(self, *, now: int) -> bool:
        """True when the last signed message is past its validity: an alarm, never a reason to unload."""
        return now > self.valid_until

    def dump(self) -> bytes:
        """Return the state for the disk, with its checksum: half-written files are recognised."""
        body = msgspec.json.encode(
            _State(
                STATE_VERSION,
                self.channel,
                self.epoch,
                self.version,
                self.head,
                self.issued_at,
                self.valid_until,
                tuple(sorted(self._entries.values())),
                tuple(one for _, one in sorted(self.lists.items())),
                0 if self.lacking else WORDS,
            )
        )
        return hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    @classmethod
    def load(cls, data: bytes) -> DecisionTable:
        """Errors: StateDamaged, VersionUnknown (a state of a later version)."""
        digest, _, body = data.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise StateDamaged("checksum")
        try:
            state_v = msgspec.json.decode(body, type=_StateVersion).state_v
            if state_v > STATE_VERSION:
                raise VersionUnknown(state_v, 1, STATE_VERSION)
            state = _state(body)
        except UNDECODABLE as error:
            raise StateDamaged(str(error)[:200]) from None
        table = cls(state.channel)
        table._reset(table._sort(state.entries)[0])
        table.lists = {one.name: one for one in table._sort_lists(state.lists)[0]}
        table.epoch, table.version, table.head = state.epoch, state.version, state.head
        table.issued_at, table.valid_until = state.issued_at, state.valid_until
        table.lacking = state.words != WORDS
        return table


def _state(body: bytes) -> _State:
    """Errors: UNDECODABLE's."""
    try:
        return msgspec.json.decode(body, type=_State)
    except UNDECODABLE:
        known = without_tomorrow(body)  # of software that was taken back
        if known is None:
            raise
    state = msgspec.json.decode(known, type=_State)
    return msgspec.structs.replace(state, words=0)
