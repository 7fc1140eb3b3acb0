"""The feed as the stream process holds it in memory: channels, recent lines, and what a newcomer needs.

Purpose: answer ``since`` without asking the database, and never with a gap: the event loop alone touches it.
Input:   ``since`` is hostile; a part that does not parse counts as unknown and earns a snapshot.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from beffroi_protocol.table import OVERLAY, every_overlay

from beffroi.lib import digits
from beffroi.lib.errors import Invalid
from beffroi.stream.batches import Channel

KEPT_LINES = 512
"""A follower further behind gets a snapshot, which is then shorter than the lines."""
KEPT_BYTES = 1024 * 1024
MAX_SINCE_BYTES = 4096
MAX_CHANNELS = 8


@dataclass(frozen=True)
class Line:
    """A signed batch line and the state before it."""

    from_version: int
    prev: str
    data: bytes


@dataclass
class Log:
    """One channel and its recent lines, oldest first."""

    channel: Channel
    lines: deque[Line] = field(default_factory=deque)
    size_bytes: int = 0

    def append(self, line: Line) -> None:
        self.lines.append(line)
        self.size_bytes += len(line.data)
        while len(self.lines) > KEPT_LINES or (self.size_bytes > KEPT_BYTES and len(self.lines) > 1):
            self.size_bytes -= len(self.lines.popleft().data)

    def forked(self, since: Since) -> bool:
        """True when a follower has this very version with another content: a restored centre went on from an
        older state and counted up again. The same epoch heals it, by a snapshot later than what the follower has."""
        channel = self.channel
        return (since.epoch, since.version) == (channel.epoch, channel.version) and since.head != channel.head

    def after(self, since: Since) -> list[bytes] | None:
        """Return the lines that lead from ``since`` to now, or None: only a snapshot helps."""
        channel = self.channel
        if since.epoch != channel.epoch or since.version > channel.version:
            return None
        if since.version == channel.version:
            return [] if since.head == channel.head else None
        skip = since.version - (channel.version - len(self.lines))
        if skip < 0:
            return None
        wanted = [line for i, line in enumerate(self.lines) if i >= skip]
        if not wanted or wanted[0].from_version != since.version or wanted[0].prev != since.head:
            return None
        return [line.data for line in wanted]


@dataclass(frozen=True)
class Since:
    """What a follower says it has of one channel."""

    channel: str
    epoch: int = 0
    version: int = 0
    head: str = ""


def parse_since(text: str) -> list[Since]:
    """Parse ``channel:epoch:version:head,...``. Errors: Invalid (no channel at all, or too many)."""
    if not text or len(text) > MAX_SINCE_BYTES:
        raise Invalid("since")
    parts = text.split(",")
    if len(parts) > MAX_CHANNELS:
        raise Invalid("since")
    return [_parse_part(part) for part in parts]


def _parse_part(part: str) -> Since:
    name, _, rest = part.partition(":")
    if not name or len(name) > 80:
        raise Invalid("since")
    numbers = rest.split(":")
    if len(numbers) != 3:
        return Since(name)
    epoch, version = digits.number(numbers[0]), digits.number(numbers[1])
    return Since(name) if epoch is None or version is None else Since(name, epoch, version, numbers[2])


class FeedLog:
    """All channels. ``snapshot_lines`` returns the lines that bring a follower from anywhere to now."""

    def __init__(self, epoch: int, snapshot_lines: Callable[[Log, Since], list[bytes]]) -> None:
        self.epoch = epoch
        self._snapshot_lines = snapshot_lines
        self.logs: dict[str, Log] = {}

    def log(self, name: str) -> Log:
        """Return the log of a channel; a channel without decisions so far is empty, not unknown."""
        if (log := self.logs.get(name)) is None:
            log = self.logs[name] = Log(Channel(name, self.epoch))
        return log

    def expand(self, since: Iterable[Since]) -> list[Since]:
        """Put the overlays that there are in the place of ``BASE@*``, each as one that needs its snapshot, fresh: what
        the door holds of it is not said."""
        expanded: list[Since] = []
        for part in since:
            if part.channel != every_overlay(part.channel):
                expanded.append(part)
                continue
            expanded += [Since(c.name, c.epoch, c.version, "?") for c in self.overlays(part.channel)]
        return expanded

    def overlays(self, every: str) -> list[Channel]:
        """The overlays that ``BASE@*`` stands for."""
        return [
            log.channel for name, log in self.logs.items() if OVERLAY in name and every_overlay(name) == every
        ]

    def overlay_summary(self) -> dict[str, int]:
        """How many overlays there are and what they hold, and when the quietest and the last of them changed (epoch
        seconds, 0: unknown)."""
        overlays = [made.channel for name, made in self.logs.items() if OVERLAY in name]
        changed = [one.changed_at for one in overlays if one.changed_at]
        return {
            "count": len(overlays),
            "entries": sum(len(one.entries) for one in overlays),
            "lists": sum(len(one.lists) for one in overlays),
            "oldest_change_at": min(changed, default=0),
            "newest_change_at": max(changed, default=0),
        }

    def answer(self, since: Iterable[Since]) -> list[bytes]:
        """Return the lines that bring a follower up to date, each channel by deltas where that works."""
        lines: list[bytes] = []
        for part in since:
            log = self.log(part.channel)
            deltas = log.after(part)
            lines.extend(self._snapshot_lines(log, part) if deltas is None else deltas)
        return lines

    def is_ahead(self, since: Iterable[Since]) -> bool:
        """True when a follower says it knows more than the centre: the centre lost its latest state, or the
        follower lies. The same version with another head is no such claim: see ``Log.forked``."""
        return any(
            p.epoch > self.epoch
            or (p.epoch == self.epoch and p.version > self.log(p.channel).channel.version)
            for p in since
        )
