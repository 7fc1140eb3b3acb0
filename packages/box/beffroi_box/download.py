"""Files named by their digest, fetched from the centre: bulk lists to disk, large snapshots to memory.

Process: the agent's threads ``lists`` (lists) and ``follow`` (snapshots), each with its own connection.
Input:   the centre's bytes are hostile until their digest was compared; what is written or held is bounded.
Fails:   a cut leaves the part that came; the next attempt asks for the rest.
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
from beffroi_protocol.session import FileWanted

from beffroi_box.errors import CentreRefused, CentreUnreachable

PIECE_BYTES = 1 << 16
_RANGE_BEYOND = 416


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


def fetch_snapshot(files: Files, wanted: FileWanted) -> bytes:
    """Return the payload of a snapshot file. Errors: CentreUnreachable, CentreRefused, FileMismatch."""
    opener, found = zlib.decompressobj(), bytearray()
    try:
        for piece in _pieces(files.get_file(wanted.sha256, start=0)):
            found += opener.decompress(piece, wanted.size_bytes + 1 - len(found))
            if opener.unconsumed_tail or len(found) > wanted.size_bytes:
                raise FileMismatch("it is longer")
    except zlib.error:
        raise FileMismatch("it cannot be decompressed") from None
    finally:
        files.close()
    if hashlib.sha256(found).hexdigest() != wanted.sha256:
        raise FileMismatch("digest")
    return bytes(found)


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    left = int(response.getheader("Content-Length") or -1)
    try:
        while piece := response.read(PIECE_BYTES):
            left -= len(piece)
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise CentreUnreachable(f"a download was cut ({type(error).__name__})") from None
    if left > 0:
        raise CentreUnreachable("a download was cut")
