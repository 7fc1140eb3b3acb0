"""STATE/feed: saved snapshots, and the epoch with the high-water mark of every channel.

Purpose: start in milliseconds after years of decisions, and notice a database that was restored from a
         backup: its versions are then lower than the mark, the epoch rises, and every door takes a snapshot.
Process: stream.
Fails:   a missing or damaged snapshot costs a new epoch, nothing else. A mark that cannot be written (full
         disk) is logged; the feed goes on.
Format:  ``epoch``: JSON {"epoch": 1, "versions": {channel: version}}. ``CHANNEL.json``: JSON {"epoch",
         "version", "sha256"} naming ``SHA256.snapshot.zlib``: the snapshot's JSON, compressed; the name is the
         SHA-256 of the JSON. Doors fetch large ones by that name.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
import zlib
from collections.abc import Collection
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE, ProtocolError
from beffroi_protocol.messages import MAX_SNAPSHOT_FILE_BYTES, Snapshot, decode_snapshot_file, encode

from beffroi.core.planes import feed_mark, files
from beffroi.core.planes.feed_mark import Mark
from beffroi.lib import durable, json_file
from beffroi.stream.batches import Saved

log = logging.getLogger("beffroi.stream")

KEEP_S = 3600.0
"""A door that is slow, or was cut, may still fetch the snapshot before the last."""


class _Pointer(msgspec.Struct, frozen=True):
    epoch: int
    version: int
    sha256: str


class Archive:
    """The directory STATE/feed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._replaced: dict[str, tuple[str, float]] = {}  # digest: (channel, when)
        directory.mkdir(parents=True, exist_ok=True)

    def read_mark(self) -> Mark:
        try:
            return msgspec.json.decode((self.directory / feed_mark.NAME).read_bytes(), type=Mark)
        except FileNotFoundError:
            return Mark()
        except (OSError, *UNDECODABLE) as error:
            log.error("mark of the feed is not readable: %s", type(error).__name__)
            return Mark()

    def write_mark(self, mark: Mark) -> None:
        self._write(self.directory / feed_mark.NAME, msgspec.json.encode(mark))

    def save_snapshot(self, snapshot: Snapshot) -> Saved | None:
        """Keep it as the channel's starting point; the one before stays for ``KEEP_S``. None: not written."""
        payload = encode(snapshot)
        digest = hashlib.sha256(payload).hexdigest()
        before = self._pointer(snapshot.channel)
        pointer = msgspec.json.encode(_Pointer(snapshot.epoch, snapshot.version, digest))
        path = self.directory / f"{snapshot.channel}.json"
        if not self._write(self.snapshot_file(digest), payload, compress=True) or not self._write(
            path, pointer
        ):
            return None
        if before is not None and before.sha256 != digest:
            self._replaced[before.sha256] = (snapshot.channel, time.monotonic())
        self._replaced.pop(digest, None)
        self._prune()
        return Saved(snapshot.epoch, snapshot.version, snapshot.head, digest, len(payload))

    def load_snapshot(self, channel: str, epoch: int) -> tuple[Snapshot, Saved] | None:
        """Return the saved snapshot of this epoch, or None: also where its file is damaged, which is logged."""
        pointer = self._pointer(channel)
        if pointer is None or pointer.epoch != epoch:
            return None
        try:
            packed = self.snapshot_file(pointer.sha256).read_bytes()
            payload = b"".join(files.decompressed([packed], limit_bytes=MAX_SNAPSHOT_FILE_BYTES))
            if hashlib.sha256(payload).hexdigest() != pointer.sha256:
                raise zlib.error("checksum")
            found = decode_snapshot_file(payload)
        except (OSError, zlib.error, ProtocolError) as error:
            log.error("snapshot of channel %s is not usable: %s", channel, type(error).__name__)
            return None
        return found, Saved(epoch, found.version, found.head, pointer.sha256, len(payload))

    def snapshot_file(self, digest: str) -> Path:
        return self.directory / f"{digest}.snapshot.zlib"

    def replaced_channel(self, digest: str) -> str:
        """The channel of a file that was announced until a moment ago; "" when there is none."""
        return self._replaced.get(digest, ("", 0.0))[0]

    def sweep(self, relays: Collection[str] = ()) -> None:
        """At the start: delete snapshots that nothing names, left by a process that was killed, and the directories of
        relays other than these, which the settings ask for no longer."""
        for path in self.directory.glob("relay-*/"):
            if path.name not in relays:
                shutil.rmtree(path, ignore_errors=True)
        names = [path.name.removesuffix(".json") for path in self.directory.glob("*.json")]
        named = {pointer.sha256 for name in names if (pointer := self._pointer(name)) is not None}
        for path in (*self.directory.glob("*.snapshot.zlib"), *self.directory.glob(".*")):
            if path.name.partition(".")[0] not in named:
                path.unlink(missing_ok=True)

    def _prune(self) -> None:
        now_s = time.monotonic()
        for digest in [d for d, (_, at_s) in self._replaced.items() if now_s - at_s > KEEP_S]:
            self.snapshot_file(digest).unlink(missing_ok=True)
            del self._replaced[digest]

    def _pointer(self, channel: str) -> _Pointer | None:
        return json_file.read(self.directory / f"{channel}.json", _Pointer)

    def _write(self, path: Path, data: bytes, *, compress: bool = False) -> bool:
        try:
            durable.write(path, files.compressed(data) if compress else (data,))
        except OSError as error:
            log.error("%s of the feed is not written: %s", path.name, error.strerror)
            return False
        return True
