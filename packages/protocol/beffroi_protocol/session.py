"""FeedSession: following the feed, without I/O.

Purpose: every door (mail, login, file, packet) feeds received lines in and gets typed results out; only
         the sockets differ. Keeps the tables, the trust and the trusted time.
Input:   hostile; a refused line is reported and changes nothing.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from beffroi_protocol.errors import ChainBroken, FileMismatch, MessageMalformed, ProtocolError
from beffroi_protocol.messages import (
    Batch,
    Delegation,
    PolicyMessage,
    Question,
    Release,
    Snapshot,
    SnapshotFile,
    decode_snapshot_file,
)
from beffroi_protocol.signing import ROOT_KID, TrustStore, payload_hash, split_line
from beffroi_protocol.table import OVERLAY, Change, DecisionTable, every_overlay


class TrustedClock:
    """Time taken from signed messages, never going back; the local clock only until the first one.

    Units: epoch seconds; ``monotonic`` in seconds of any steady clock.
    """

    def __init__(self, *, floor: int = 0) -> None:
        self.floor = floor
        self._offset: float | None = None

    def learn(self, issued_at: int, *, monotonic: float) -> None:
        """Later time is believed; an old message, sent again and again, must not hold the time still."""
        if issued_at < self.floor:
            return
        self.floor = issued_at
        offset = issued_at - monotonic
        self._offset = offset if self._offset is None else max(self._offset, offset)

    def now(self, *, local: float, monotonic: float) -> int:
        if self._offset is not None:
            return max(self.floor, int(monotonic + self._offset))
        return max(self.floor, int(local))


@dataclass(frozen=True)
class Refused:
    """A line that was not used, and why. ``resync`` asks the caller to reconnect for a snapshot."""

    error: ProtocolError
    resync: bool = False


@dataclass(frozen=True)
class FileWanted:
    """The snapshot of ``channel`` is the file with this digest. Fetch it (``GET /v1/files/SHA256``) before the
    next line is read, and ``supply`` it; where that fails, connect again: ``since`` still asks for it."""

    channel: str
    sha256: str
    size_bytes: int


Result = Change | PolicyMessage | Question | Release | Delegation | FileWanted | Refused


class FeedSession:
    """State of one door's reading of its channels."""

    def __init__(self, trust: TrustStore, channels: Iterable[str], clock: TrustedClock) -> None:
        self.trust = trust
        self.clock = clock
        asked = tuple(channels)
        self.every = frozenset(c for c in asked if c == every_overlay(c))
        """What was asked for as a whole: ``mail@*``. Its tables appear as the centre tells of them."""
        self.tables = {channel: DecisionTable(channel) for channel in asked if channel not in self.every}
        self._resync: set[str] = set()
        self._announced: dict[str, SnapshotFile] = {}
        self._unsaid: set[str] = set()
        self._forgotten: list[Change] = []

    def since(self) -> str:
        """Value of the ``since`` parameter: ``channel:epoch:version:head``, joined by commas. The head
        lets the centre see a fork (a centre restored from a backup) and answer with a snapshot. Overlays that were
        asked for as a whole come as snapshots: they are short. Asked at the beginning of each connection."""
        self._unsaid = {c for c in self.tables if self._as_a_whole(c)}
        named = (
            # To this head no lines fit; the version stays, or the centre would send a file of before it.
            f"{c}:{t.epoch}:{t.version}:{'?' if c in self._resync or t.lacking else t.head}"
            for c, t in self.tables.items()
            if not self._as_a_whole(c)
        )
        return ",".join((*named, *(f"{c}:0:0:" for c in sorted(self.every))))

    def receive(self, line: bytes, *, monotonic: float) -> Result:
        """Verify and apply one line (without its line feed)."""
        try:
            parts = kid, _, _ = split_line(line)
            if kid == ROOT_KID:
                return self.trust.add_delegation(line)
            message, payload = self.trust.verify_parts(parts, now=self.clock.floor, role=self.trust.role(kid))
            if isinstance(message, Release):
                return message  # signed offline, long ago: it tells no time
            if isinstance(message, Batch | Snapshot):
                return self._apply(message, payload, monotonic)
            if isinstance(message, SnapshotFile):
                return self._announce(message, monotonic)
            if isinstance(message, Delegation):
                raise MessageMalformed("a delegation must be signed by the root")
            self.clock.learn(message.issued_at, monotonic=monotonic)
            return message
        except ProtocolError as error:
            return Refused(error)

    def supply(self, payload: bytes, *, monotonic: float) -> Change | Refused:
        """Apply the snapshot file that a signed line announced; no other bytes are accepted."""
        digest = payload_hash(payload)
        announced = next((a for a in self._announced.values() if a.sha256 == digest), None)
        if announced is None:
            return Refused(FileMismatch("no snapshot was announced with this digest"))
        del self._announced[announced.channel]
        if len(payload) != announced.size_bytes:
            return Refused(FileMismatch("size"))
        try:
            snapshot = decode_snapshot_file(payload, at_door=True)
        except ProtocolError as error:
            return Refused(error)
        if (snapshot.channel, snapshot.epoch, snapshot.version) != (
            announced.channel,
            announced.epoch,
            announced.version,
        ):
            return Refused(FileMismatch("channel, epoch or version"))
        current = msgspec.structs.replace(
            snapshot, issued_at=announced.issued_at, valid_until=announced.valid_until
        )
        return self._apply(current, payload, monotonic)

    def forgotten(self) -> tuple[Change, ...]:
        """Return, once, what left with the last line: overlays asked for as a whole of which this connection said
        nothing before the base channel's first heartbeat. The centre does not know them: it was restored from a backup
        of before them."""
        gone, self._forgotten = tuple(self._forgotten), []
        return gone

    def _answered(self, base: str) -> None:
        """The lines of an answer come before its heartbeats, so what was not said by now is not there."""
        if OVERLAY in base or every_overlay(base) not in self.every:
            return
        for channel in sorted(c for c in self._unsaid if c.startswith(base + OVERLAY)):
            table = self.tables.pop(channel)
            lists = tuple(table.lists.values())
            self._forgotten.append(
                Change(channel, table.epoch, table.version, (), tuple(table), reset=True, lists_removed=lists)
            )
            self._unsaid.discard(channel)

    def _as_a_whole(self, channel: str) -> bool:
        """True for an overlay that ``every`` stands for."""
        return OVERLAY in channel and every_overlay(channel) in self.every

    def _table(self, channel: str) -> DecisionTable | None:
        found = self.tables.get(channel)
        if found is None and self._as_a_whole(channel):
            found = self.tables[channel] = DecisionTable(channel)
        return found

    def _announce(self, message: SnapshotFile, monotonic: float) -> FileWanted | Refused:
        self._unsaid.discard(message.channel)
        table = self._table(message.channel)
        if table is None:
            return Refused(MessageMalformed(f"channel {message.channel[:60]} was not asked for"))
        try:
            table.check_position(message.epoch, message.version)
        except ProtocolError as error:
            return Refused(error)
        self._announced[message.channel] = message
        self.clock.learn(message.issued_at, monotonic=monotonic)
        return FileWanted(message.channel, message.sha256, message.size_bytes)

    def _apply(self, message: Batch | Snapshot, payload: bytes, monotonic: float) -> Change | Refused:
        self._unsaid.discard(message.channel)
        table = self._table(message.channel)
        if table is None:
            return Refused(MessageMalformed(f"channel {message.channel[:60]} was not asked for"))
        try:
            change = table.apply(message, payload)
        except ChainBroken as error:
            self._resync.add(message.channel)
            return Refused(error, resync=True)
        except ProtocolError as error:
            return Refused(error)
        self._resync.discard(message.channel)
        if isinstance(message, Snapshot):
            self._announced.pop(message.channel, None)
        elif message.from_version == message.to_version:
            self._answered(message.channel)
        self.clock.learn(message.issued_at, monotonic=monotonic)
        return change
