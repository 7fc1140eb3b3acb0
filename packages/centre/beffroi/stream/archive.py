"""STATE/feed: saved snapshots, and the epoch with the high-water mark of every channel.

Purpose: start in milliseconds after years of decisions, and notice a database that was restored from a
         backup: its versions are then lower than the mark, the epoch rises, and every door takes a snapshot.
Process: stream.
Fails:   a missing or damaged snapshot costs a new epoch, nothing else. A mark that cannot be written (full
         disk) is logged; the feed goes on.
Format:  ``epoch``: JSON {"epoch": 1, "versions": {channel: version}}. ``CHANNEL.json``: JSON {"epoch",
         "version", "sha256"} naming ``SHA256.snapshot.zlib``: the signed line, compressed; the name is the
         SHA-256 of the line.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from pathlib import Path

import msgspec
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import MAX_MESSAGE_BYTES, Snapshot, decode_feed
from beffroi_protocol.signing import split_line

log = logging.getLogger("beffroi.stream")


class Mark(msgspec.Struct):
    """The newest state that was ever sent out."""

    epoch: int = 0
    versions: dict[str, int] = {}


class _Pointer(msgspec.Struct, frozen=True):
    epoch: int
    version: int
    sha256: str


class Archive:
    """The directory STATE/feed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def read_mark(self) -> Mark:
        try:
            return msgspec.json.decode((self.directory / "epoch").read_bytes(), type=Mark)
        except FileNotFoundError:
            return Mark()
        except (OSError, msgspec.MsgspecError) as error:
            log.error("mark of the feed is not readable: %s", type(error).__name__)
            return Mark()

    def write_mark(self, mark: Mark) -> None:
        self._write("epoch", msgspec.json.encode(mark))

    def save_snapshot(self, channel: str, epoch: int, version: int, line: bytes) -> bool:
        """Keep the line as the channel's starting point; the one before is deleted. True when it is safe."""
        digest = hashlib.sha256(line).hexdigest()
        before = self._pointer(channel)
        pointer = msgspec.json.encode(_Pointer(epoch, version, digest))
        saved = self._write(_snapshot_name(digest), zlib.compress(line)) and self._write(
            f"{channel}.json", pointer
        )
        if saved and before is not None and before.sha256 != digest:
            (self.directory / _snapshot_name(before.sha256)).unlink(missing_ok=True)
        return saved

    def load_snapshot(self, channel: str, epoch: int) -> Snapshot | None:
        """Return the saved snapshot of this epoch, or None."""
        pointer = self._pointer(channel)
        if pointer is None or pointer.epoch != epoch:
            return None
        try:
            packed = (self.directory / _snapshot_name(pointer.sha256)).read_bytes()
            line = zlib.decompressobj().decompress(packed, MAX_MESSAGE_BYTES + 1)
            if hashlib.sha256(line).hexdigest() != pointer.sha256:
                raise zlib.error("checksum")
            message = decode_feed(split_line(line)[2])
        except (OSError, zlib.error, ProtocolError) as error:
            log.error("snapshot of channel %s is not usable: %s", channel, type(error).__name__)
            return None
        return message if isinstance(message, Snapshot) else None

    def _pointer(self, channel: str) -> _Pointer | None:
        try:
            return msgspec.json.decode((self.directory / f"{channel}.json").read_bytes(), type=_Pointer)
        except (OSError, msgspec.MsgspecError):
            return None

    def _write(self, name: str, data: bytes) -> bool:
        """Write whole or not at all: temporary file, fsync, rename, fsync of the directory."""
        path = self.directory / name
        temporary = path.with_name(name + ".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            directory = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            log.error("%s of the feed is not written: %s", name, error.strerror)
            return False
        return True


def _snapshot_name(digest: str) -> str:
    return f"{digest}.snapshot.zlib"
