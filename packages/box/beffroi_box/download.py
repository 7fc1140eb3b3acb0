"""Files named by their digest, fetched from the centre: bulk lists to disk, large snapshots to memory.

Process: the agent's threads ``lists`` (lists) and ``follow`` (snapshots), each with its own connection.
Input:   the centre's bytes are hostile until their digest was compared; what is written or held is bounded.
Fails:   a cut leaves the part that came, on the disk or in memory; the next attempt asks for the rest.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from beffroi_protocol.errors import FileMismatch
from beffroi_protocol.messages import BulkList

from beffroi_box.errors import CentreRefused, CentreUnreachable

PIECE_BYTES = 1 << 16
_RANGE_BEYOND = http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


class Files(Protocol):
    """``client.SignedSession``."""

    def get_file(self, sha256: str, *, start: int) -> http.client.HTTPResponse: ...

    def close(self) -> None: ...


def most_packed_bytes(size_bytes: int) -> int:
    """zlib never makes content much longer."""
    return size_bytes + size_bytes // 100 + 1024


def fetch_list(files: Files, wanted: BulkList, part: Path, stopping: Callable[[], bool]) -> None:
    """Bring ``part`` (compressed) to its end.

    Errors: CentreUnreachable, CentreRefused, FileMismatch, OSError (disk).
    """
    start = part.stat().st_size if part.exists() else 0
    try:
        response = files.get_file(wanted.sha256, start=start)
    except CentreRefused as error:
        if start and error.status == _RANGE_BEYOND:
            return  # all of it is here; the check tells
        raise
    resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
    room = most_packed_bytes(wanted.size_bytes) - (start if resumed else 0)
    try:
        with part.open("ab" if resumed else "wb") as file:
            for piece in _pieces(response):
                room -= len(piece)
                if room < 0:
                    raise FileMismatch("it is longer")
                file.write(piece)
                if stopping():
                    raise CentreUnreachable("the agent stops")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        files.close()
        raise


class Wanted(Protocol):
    """A file that a signed line named: ``session.FileWanted``, ``messages.Release``."""

    @property
    def sha256(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...


class _Part:
    """What came so far of one file, decompressed."""

    def __init__(self, wanted: Wanted) -> None:
        self.sha256 = wanted.sha256
        self.packed_bytes = 0
        self.content = bytearray()
        self._size_bytes = wanted.size_bytes
        self._opener = zlib.decompressobj()

    def take(self, piece: bytes) -> None:
        """Errors: FileMismatch."""
        try:
            self.content += self._opener.decompress(piece, self._size_bytes + 1 - len(self.content))
        except zlib.error:
            raise FileMismatch("it cannot be decompressed") from None
        if self._opener.unconsumed_tail or len(self.content) > self._size_bytes:
            raise FileMismatch("it is longer")
        self.packed_bytes += len(piece)


class MemoryDownload:
    """Files that are held in memory, one at a time: snapshots, packages."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._part: _Part | None = None
        self.came = False
        """Whether the last attempt brought something."""

    def fetch(self, wanted: Wanted) -> bytes:
        """Return the content of a file; after a cut the next call goes on.

        Errors: CentreUnreachable, CentreRefused, FileMismatch.
        """
        kept, self._part, self.came = self._part, None, False
        part = kept if kept is not None and kept.sha256 == wanted.sha256 else _Part(wanted)
        try:
            response = self._files.get_file(wanted.sha256, start=part.packed_bytes)
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                part = _Part(wanted)
            for piece in _pieces(response):
                part.take(piece)
                self.came = True
        except (CentreUnreachable, CentreRefused) as error:
            # A centre that packed it anew may have less of it than came.
            if not isinstance(error, CentreRefused) or error.status != _RANGE_BEYOND:
                self._part = part
            raise
        finally:
            self._files.close()
        if hashlib.sha256(part.content).hexdigest() != wanted.sha256:
            raise FileMismatch("digest")
        return bytes(part.content)


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    left = int(response.getheader("Content-Length") or -1)
    try:
        # What is there: on a line of 16 kbit/s no piece comes whole.
        while piece := response.read1(PIECE_BYTES):
            left -= len(piece)
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise CentreUnreachable(f"a download was cut ({type(error).__name__})") from None
    if left > 0:
        raise CentreUnreachable("a download was cut")
