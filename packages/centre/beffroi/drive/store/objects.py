"""Sealed chunks by name behind one Protocol, and what its implementations share: names, sizes, errors.

Process: every one that opens files.
Hostile: nothing that is read is believed here: ``sealing`` proves it. Names are ours and checked all the same. Who may
         write in the store may put anything there: no more than a chunk is read, and only our names are listed.
Fails:   closed (ObjectMissing, StoreFull, StoreUnavailable). What was acknowledged is on the disk; what was not is
         whole or not to be seen.
Source:  docs/internals/drive-format.md; docs/decisions/0067-what-the-drive-s-content-rests-on.md
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from obstore.exceptions import BaseError

from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.sealing import MOST_SEALED_BYTES, Bytes, ObjectDamaged
from beffroi.lib.errors import BeffroiError

_NAME = re.compile(r"[a-z]{2,5}_[0-9a-z]{26}/[0-9a-f]{2}/[0-9a-f]{62}", re.ASCII)
_FULL = re.compile(
    r"status code: 507\b|StorageFull|InsufficientStorage|QuotaExceeded|no space left|disk quota",
    re.IGNORECASE,
)
"""How S3 services say it, since S3 itself has no word for it: RFC 4918, MinIO, Ceph, and the file system below. The
number alone also stands in names of buckets, and in how long an answer took."""
BAD_SECTOR = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)
"""What is there and cannot be read: no walk waits for it, and a copy takes its place."""
_WHY = re.compile(r"<Code>(\w{1,60})<|status code: (\d{3})\b|HttpError {\s+kind: (\w+)")
BLOCK_BYTES = 4096
"""What the memory for a read past the page cache is a multiple of."""


class ObjectMissing(BeffroiError):
    """Object {} is not in the store; bring it back from a backup or a replica."""

    code = "drive.object_missing"


class StoreUnavailable(BeffroiError):
    """The store of files does not work at the moment: {}"""

    code = "drive.store_unavailable"
    http_status = 503
    retryable = True


@dataclass(frozen=True)
class Stored:
    """One object in a list. ``age_s``: seconds since it was written, by the store's clock; never below 0."""

    name: str
    size_bytes: int
    age_s: float


class Objects(Protocol):
    """Objects by name (``object_name``). Any thread may call any method; each blocks.

    Errors of each: StoreUnavailable.
    """

    def put(self, name: str, data: Bytes) -> None:
        """Store an object, or replace it in one step; it is on the disk when this returns. Errors: StoreFull."""

    def get(self, name: str, room: memoryview | None = None) -> Bytes:
        """``room``: memory where it may lie instead of new one, whole blocks.

        Errors: ObjectMissing; ObjectDamaged, for what is longer than any of ours."""

    def get_range(self, name: str, start: int, end: int) -> Bytes:
        """Bytes ``start`` to ``end`` (exclusive), fewer where it ends before. Errors: ObjectMissing."""

    def exists(self, name: str) -> bool: ...

    def delete(self, name: str) -> None:
        """Nothing happens where there is none. After a power cut it may be there again."""

    def list(self, collectivite_id: str) -> Iterator[Stored]:
        """The objects of a collectivité, in any order, one perhaps twice; what comes or goes meanwhile may be missing
        or there. What has no name of ours, or is no file, is not among them: nobody reads or deletes it."""

    def sweep(self, older_than_s: float) -> int:
        """Remove what writers that were killed left behind; return how much. A living one's is younger than that."""


def object_name(collectivite_id: str, chunk_id: bytes) -> str:
    """``col_.../ab/cdef...``: folders of a 256th each."""
    digits = chunk_id.hex()
    return f"{collectivite_id}/{digits[:2]}/{digits[2:]}"


def chunk_of(name: str) -> bytes:
    """The chunk's name in an object's name."""
    return bytes.fromhex(name.partition("/")[2].replace("/", ""))


def is_ours(name: str) -> bool:
    """Whether a name has the form that ``object_name`` gives."""
    return _NAME.fullmatch(name) is not None


def checked(name: str) -> str:
    """The name, where it is ours. Errors: ObjectMissing."""
    if not is_ours(name):
        raise ObjectMissing(name)
    return name


def bounded(name: str, size_bytes: int) -> int:
    """The size, where an object of ours may have it. Errors: ObjectDamaged."""
    if size_bytes > MOST_SEALED_BYTES:
        raise ObjectDamaged(chunk_of(name))
    return size_bytes


@contextmanager
def failures(name: str = "") -> Iterator[None]:
    """Speak of every failure in our own errors; ``name``: of the object that must be there."""
    try:
        yield
    except OSError as error:
        if name and isinstance(error, FileNotFoundError):
            raise ObjectMissing(name) from None
        if name and error.errno in BAD_SECTOR:
            raise ObjectDamaged(chunk_of(name)) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull from None
        raise StoreUnavailable(_reason(error)) from error
    except BaseError as error:
        text = str(error)
        if _FULL.search(text):
            raise StoreFull from None
        words = dict.fromkeys(word for found in _WHY.findall(text) for word in found if word)
        raise StoreUnavailable(" ".join((type(error).__name__, *words))) from error


def _reason(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
