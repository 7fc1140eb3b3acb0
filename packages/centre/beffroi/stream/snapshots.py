"""What a follower is given whom deltas do not help: a signed snapshot, or the name of its file and the deltas since.

Purpose: a channel of 200,000 decisions is written to disk once, in a thread, and served to everyone who comes
         within the next some hundred versions; a small channel travels in the line itself, as it is now.
Process: stream. ``save`` runs in a thread; everything else in the event loop.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

from collections.abc import Callable

from beffroi_protocol.messages import MAX_MESSAGE_BYTES, Snapshot, encode
from beffroi_protocol.signing import Signer

from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.stream.archive import Archive
from beffroi.stream.batches import Channel, Saved, Stamp, snapshot, snapshot_file
from beffroi.stream.feedlog import Log, Since

INLINE_BYTES = 1024 * 1024
"""A longer snapshot travels as a file."""
FRESH_S = 30
"""A door of a fork takes only a snapshot that is later than its last line, so none is kept for long."""


class Snapshots:
    """``saved``: the file of each channel's last checkpoint. ``stamp``: what a message of now carries."""

    def __init__(self, archive: Archive, signer: Signer, stamp: Callable[[], Stamp]) -> None:
        self.saved: dict[str, Saved] = {}
        self._archive = archive
        self._signer = signer
        self._stamp = stamp
        self._lines: dict[str, tuple[Snapshot, bytes]] = {}

    def clear(self) -> None:
        """A new epoch: nothing of before is told any more."""
        self.saved.clear()
        self._lines.clear()

    def save(self, channel: Channel) -> Saved | None:
        """In a thread, on a copy: write the checkpoint. None: the disk did not take it."""
        return self._archive.save_snapshot(snapshot(channel, self._stamp()))

    def needs_file(self, log: Log, part: Since) -> bool:
        """True when ``lines`` would have to write a large file first."""
        if log.after(part) is not None or self._since_file(log, part) is not None:
            return False
        return self._kept(log, part) is None and _is_large(log.channel)

    def lines(self, log: Log, part: Since) -> list[bytes]:
        """Return the lines that lead a follower from anywhere to now. Errors: Unavailable (no file can be written)."""
        if (deltas := self._since_file(log, part)) is not None:
            return [self._announcement(log.channel.name), *deltas]
        if (line := self._kept(log, part)) is not None:
            return [line]  # hundreds may come within a moment
        if _is_large(log.channel):
            # The rare case: the channel moved past its file since ``needs_file`` was asked.
            if (saved := self.save(log.channel)) is not None:
                self.saved[log.channel.name] = saved
                return [self._announcement(log.channel.name)]
            line = self._signer.line(snapshot(log.channel, self._stamp()))
            if len(line) > MAX_MESSAGE_BYTES:
                raise Unavailable("The feed")
            return [line]
        message = snapshot(log.channel, self._stamp())
        line = self._signer.line(message)
        self._lines[log.channel.name] = (message, line)
        return [line]

    def _since_file(self, log: Log, part: Since) -> list[bytes] | None:
        """The lines after the saved file, when file and lines together serve this follower."""
        saved = self.saved.get(log.channel.name)
        if saved is None or saved.size_bytes <= INLINE_BYTES:
            return None
        if part.epoch == saved.epoch and part.version > saved.version:
            return None  # to that door the file is a replay
        deltas = log.after(Since(log.channel.name, saved.epoch, saved.version, saved.head))
        own = f"bf1 {self._signer.kid} ".encode()
        if deltas is None or not all(line.startswith(own) for line in deltas):
            return None  # lines of a key that was rotated away: a newcomer cannot read them, and would ask for ever
        return deltas

    def _announcement(self, name: str) -> bytes:
        return self._signer.line(snapshot_file(name, self.saved[name], self._stamp()))

    def _kept(self, log: Log, part: Since) -> bytes | None:
        """The line that was made for another follower, where it says what is so now."""
        channel = log.channel
        message, line = self._lines.get(channel.name, (None, b""))
        if message is None or clock.paced_s() - message.issued_at >= (1 if log.forked(part) else FRESH_S):
            return None
        same = (message.epoch, message.version, message.head) == (
            channel.epoch,
            channel.version,
            channel.head,
        )
        return line if same else None


def _is_large(channel: Channel) -> bool:
    """Counts no further than the limit: some milliseconds at most."""
    room = INLINE_BYTES
    for one in (*channel.lists.values(), *channel.entries.values()):
        room -= len(encode(one)) + 1
        if room < 0:
            return True
    return False
