"""ZIP, written piece by piece: no seeking, no second copy, a piece of memory however large the package is.

Process: whoever sends the pieces on; one that stops asking stops the reading, too.
Fails:   what raises in between leaves a ZIP without directory. A broken-off export starts again from the first byte:
         nothing of it is kept.
Source:  APPNOTE 6.3.10 (ZIP64, data descriptors).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

_DOS_FIRST, _DOS_LAST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
MODE, FOLDER_MODE = 0o644, 0o755


class Sink:
    """A file that can only be written to; ``taken`` gives what was written since the last time, if anything was."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        if data:  # an empty piece ends a chunked answer of HTTP
            self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> Iterator[bytes]:
        if self._pieces:
            yield b"".join(self._pieces)
            self._pieces.clear()


class ZipStream:
    """Every member is deflated, at the least effort: readers that stream refuse a stored one whose size stands behind
    it. Sizes of 4 GiB and more, and more than 65,535 members, by ZIP64."""

    def __init__(self) -> None:
        self._sink = Sink()
        self._zip = zipfile.ZipFile(self._sink, "w")

    def member(
        self, name: str, size_bytes: int | None, mtime_s: int, pieces: Iterable[bytes]
    ) -> Iterator[bytes]:
        """``size_bytes``: None where it is not known before."""
        info = zipfile.ZipInfo(name, _dos_time(mtime_s))
        info.compress_type, info.compress_level = zipfile.ZIP_DEFLATED, 1
        info.external_attr, info.create_system = (0o100000 | MODE) << 16, 3
        info.file_size = size_bytes or 0
        with self._zip.open(info, "w", force_zip64=size_bytes is None) as out:
            for piece in pieces:
                out.write(piece)
                yield from self._sink.taken()
        yield from self._sink.taken()

    def folder(self, name: str) -> Iterator[bytes]:
        self._zip.mkdir(name, FOLDER_MODE)
        yield from self._sink.taken()

    def close(self) -> Iterator[bytes]:
        self._zip.close()
        yield from self._sink.taken()


def _dos_time(mtime_s: int) -> tuple[int, int, int, int, int, int]:
    try:
        at = min(max(datetime.fromtimestamp(mtime_s, UTC), _DOS_FIRST), _DOS_LAST)
    except (OverflowError, ValueError, OSError):
        at = _DOS_FIRST
    return at.year, at.month, at.day, at.hour, at.minute, at.second
