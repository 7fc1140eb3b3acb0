"""Where sealed chunks lie: a local directory or an S3 service, behind one Protocol.

Process: every one that opens files.
Hostile: nothing that is read is believed here: ``sealing`` proves it. Names are ours and checked all the same. Who may
         write in the store may put anything there: no more than a chunk is read, and only our names are listed.
Fails:   closed (ObjectMissing, StoreFull, StoreUnavailable). What was acknowledged is on the disk; what was not is
         whole or not to be seen.
Source:  docs/internals/drive-format.md; docs/decisions/0067-what-the-drive-s-content-rests-on.md
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import obstore
from obstore.exceptions import BaseError, GenericError, InvalidPathError
from obstore.store import S3Store

from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.sealing import MOST_SEALED_BYTES, Bytes, ObjectDamaged
from beffroi.lib import clock, durable
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import BeffroiError

S3_SECRET = "drive-objects.key"  # noqa: S105 - the name of the file
_NAME = re.compile(r"[a-z]{2,5}_[0-9a-z]{26}/[0-9a-f]{2}/[0-9a-f]{62}", re.ASCII)
_DRAFTS = ".new"
_FULL = re.compile(
    r"\b507\b|StorageFull|InsufficientStorage|QuotaExceeded|no space left|disk quota", re.IGNORECASE
)
"""How S3 services say it, since S3 itself has no word for it: MinIO, RFC 4918, Ceph, and the file system below."""
_NOT_PARTIAL = "non-partial response"  # obstore's word for an answer 200 where 206 was asked for
BLOCK_BYTES = 4096
"""What the memory and the lengths of a write past the page cache are multiples of."""
DIRECT_BYTES = 1 << 20
"""From there on an object is written past the page cache: less than half of the processor's work."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_SAID_CHARS = 1200
"""Of what is said of a key, which has 1,024 bytes at most."""
log = logging.getLogger("beffroi.drive.objects")


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
        """The objects of a collectivité, in any order; what comes or goes meanwhile may be missing or there. What has
        no name of ours, or is no file, is not among them: nobody reads or deletes it."""

    def sweep(self, older_than_s: float) -> int:
        """Remove what writers that were killed left behind; return how much. A living one's is younger than that."""


def object_name(collectivite_id: str, chunk_id: bytes) -> str:
    """``col_.../ab/cdef...``: folders of a 256th each."""
    digits = chunk_id.hex()
    return f"{collectivite_id}/{digits[:2]}/{digits[2:]}"


def chunk_of(name: str) -> bytes:
    """The chunk's name in an object's name."""
    return bytes.fromhex(name.partition("/")[2].replace("/", ""))


def open_objects(config: Config) -> Objects:
    """The store that the settings name. Errors: SettingInvalid, StoreUnavailable."""
    if not config.drive_objects:
        return LocalObjects(config.state / "drive" / "objects")
    return S3Objects(s3_place(config))


class LocalObjects:
    """A directory: temporary file, fsync, rename, fsync of the directories, shared by those who wait for one."""

    def __init__(self, root: Path) -> None:
        self._root, self._drafts = root, root / _DRAFTS
        self._settling = Settling()
        self._lasting: set[Path] = set()
        with failures():
            self._drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in (root, root.parent):
                durable.sync_directory(made)

    def put(self, name: str, data: Bytes) -> None:
        path = self._path(name)
        draft = self._drafts / secrets.token_hex(12)
        with failures():
            try:
                with open(draft, "xb", buffering=0, opener=_private) as file:
                    done = _write_directly(file.fileno(), data) if len(data) >= DIRECT_BYTES else 0
                    _write_all(file.fileno(), data, done)
                    os.fsync(file.fileno())
                new = self._make(path.parent)
                draft.rename(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
            self._settling.settle(path.parent, *new)
            self._lasting.add(path.parent)

    def get(self, name: str, room: memoryview | None = None) -> Bytes:
        with failures(name), open(self._path(name), "rb", buffering=0, opener=_plain) as file:
            size_bytes = _bounded(name, os.fstat(file.fileno()).st_size)
            if room is not None and DIRECT_BYTES <= size_bytes <= len(room):
                done = _read_directly(file.fileno(), room)
                if done == size_bytes:
                    return room[:done]
                file.seek(0)
            return file.read()

    def get_range(self, name: str, start: int, end: int) -> Bytes:
        with failures(name), open(self._path(name), "rb", buffering=0, opener=_plain) as file:
            return os.pread(file.fileno(), end - start, start)

    def exists(self, name: str) -> bool:
        with failures():
            return self._path(name).exists()

    def delete(self, name: str) -> None:
        with failures():
            self._path(name).unlink(missing_ok=True)

    def list(self, collectivite_id: str) -> Iterator[Stored]:
        now = clock.epoch()
        with failures():
            for folder in _entries(self._root / collectivite_id):
                if not folder.is_dir(follow_symlinks=False):
                    continue
                for entry in _entries(Path(folder.path)):
                    name = f"{collectivite_id}/{folder.name}/{entry.name}"
                    try:
                        known = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # deleted since the folder was read
                        continue
                    if not _is_ours(name) or not stat.S_ISREG(known.st_mode):
                        continue
                    yield Stored(name, known.st_size, max(0.0, now - known.st_mtime))

    def sweep(self, older_than_s: float) -> int:
        now, swept = clock.epoch(), 0
        with failures():
            for entry in _entries(self._drafts):
                try:
                    if now - entry.stat(follow_symlinks=False).st_mtime >= older_than_s:
                        Path(entry.path).unlink()
                        swept += 1
                except FileNotFoundError:  # its writer has finished
                    continue
        return swept

    def _path(self, name: str) -> Path:
        return self._root / _checked(name)

    def _make(self, folder: Path) -> tuple[Path, ...]:
        """Make a folder; return those that must be synced so that it survives a power cut."""
        if folder in self._lasting and folder.is_dir():
            return ()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.parent, folder.parent.parent


class Settling:
    """fsync of directories for many writers: who comes while one is under way shares the next with all who wait."""

    def __init__(self) -> None:
        self._asking, self._turn = threading.Lock(), threading.Lock()
        self._asked = self._settled = 0
        self._pending: set[Path] = set()

    def settle(self, *directories: Path) -> None:
        """What came into them before this call is on the disk when it returns. Errors: OSError."""
        with self._asking:
            self._asked += 1
            mine = self._asked
            self._pending.update(directories)
        with self._turn:
            if self._settled >= mine:
                return
            with self._asking:
                upto, pending = self._asked, self._pending
                self._pending = set()
            try:
                for one in pending:
                    durable.sync_directory(one)
            except OSError:
                with self._asking:  # the others must not be told that theirs are on the disk
                    self._pending |= pending
                raise
            self._settled = upto


@dataclass(frozen=True)
class S3Place:
    """Where the bucket is and who asks. ``folder``: within the bucket, no slash at its ends; empty: all of it."""

    bucket: str
    folder: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)

    def below(self, folder: str) -> S3Place:
        return replace(self, folder=f"{self.folder}/{folder}" if self.folder else folder)


class S3Objects:
    """A bucket of an S3 service, or a folder of one. A put is one request: nothing half-written, nothing to sweep."""

    def __init__(self, place: S3Place) -> None:
        self._folder = f"{place.folder}/" if place.folder else ""
        self._ranges = True
        self.store = S3Store(
            place.bucket,
            endpoint=place.endpoint,
            region=place.region,
            access_key_id=place.access_key,
            secret_access_key=place.secret_key,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": urlsplit(place.endpoint).hostname in _LOOPBACK,
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=60),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        )

    def put(self, name: str, data: Bytes) -> None:
        with failures():
            obstore.put(self.store, self._key(name), data, use_multipart=False)

    def get(self, name: str, room: memoryview | None = None) -> Bytes:
        with failures(name):
            found = obstore.get(self.store, self._key(name))
            _bounded(name, found.meta["size"])
            return memoryview(found.bytes())

    def get_range(self, name: str, start: int, end: int) -> Bytes:
        if self._ranges:
            with failures(name):
                try:
                    return memoryview(obstore.get_range(self.store, self._key(name), start=start, end=end))
                except GenericError as error:
                    if _NOT_PARTIAL not in str(error):
                        raise
                    self._ranges = False
        return self.get(name)[start:end]  # RFC 9110: who serves may ignore a range; no object is long

    def exists(self, name: str) -> bool:
        key = self._key(name)
        try:
            with failures(name):
                obstore.head(self.store, key)
        except ObjectMissing:
            return False
        return True

    def delete(self, name: str) -> None:
        key = self._key(name)
        try:
            with failures(name):
                obstore.delete(self.store, key)
        except ObjectMissing:
            return

    def list(self, collectivite_id: str) -> Iterator[Stored]:
        now = clock.epoch()
        with failures():
            for batch in obstore.list(self.store, f"{self._folder}{collectivite_id}"):
                for one in batch:
                    age_s = max(0.0, now - one["last_modified"].timestamp())
                    if _is_ours(name := one["path"].removeprefix(self._folder)):
                        yield Stored(name, one["size"], age_s)

    def sweep(self, older_than_s: float) -> int:
        return 0

    def _key(self, name: str) -> str:
        return self._folder + _checked(name)


def s3_place(config: Config, setting: str = "drive_objects", secret: str = S3_SECRET) -> S3Place:
    """What a setting and its secret's two words say. Errors: SettingInvalid."""
    parts, file = urlsplit(str(getattr(config, setting))), config.state / "beffroi.toml"
    wanted = parse_qs(parts.query)
    endpoint, region = (
        wanted.get(name, [usual])[0] for name, usual in (("endpoint", ""), ("region", "us-east-1"))
    )
    door = urlsplit(endpoint)
    if (
        parts.scheme != "s3"
        or not parts.netloc
        or "@" in parts.netloc
        or set(wanted) - {"endpoint", "region"}
    ):
        raise SettingInvalid(setting, file, "must be s3://BUCKET/FOLDER?endpoint=https://HOST or empty")
    if door.scheme != "https" and not (door.scheme == "http" and door.hostname in _LOOPBACK):
        raise SettingInvalid(setting, file, "its endpoint must be https://HOST")
    said = config.secret(secret).decode("ascii", "replace").split()
    if len(said) != 2:
        raise SettingInvalid(f"secrets/{secret}", config.state, "two words: access key, secret key")
    return S3Place(parts.netloc, parts.path.strip("/"), endpoint, region, *said)


def _is_ours(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _checked(name: str) -> str:
    if not _is_ours(name):
        raise ObjectMissing(name)
    return name


def _bounded(name: str, size_bytes: int) -> int:
    if size_bytes > MOST_SEALED_BYTES:
        raise ObjectDamaged(chunk_of(name))
    return size_bytes


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _plain(path: str, flags: int) -> int:
    """A file: no link is followed, and nothing is waited for. What is something else is not there."""
    try:
        found = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise FileNotFoundError(errno.ENOENT, "no file") from None
        raise
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(errno.ENOENT, "no file")
    return found


def _write_directly(descriptor: int, data: Bytes) -> int:
    """Write what fills whole blocks past the page cache; return how much that is, 0 where it cannot be done."""
    with memoryview(data)[: len(data) - len(data) % BLOCK_BYTES] as blocks:
        return _directly(descriptor, lambda: os.write(descriptor, blocks)) or 0


def _read_directly(descriptor: int, room: memoryview) -> int | None:
    return _directly(descriptor, lambda: os.readv(descriptor, (room,)))


def _directly(descriptor: int, work: Callable[[], int]) -> int | None:
    """None where it cannot be done: not on this file system, nor with memory that does not begin with a block."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        return work()
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _write_all(descriptor: int, data: Bytes, done: int) -> None:
    with memoryview(data) as left:
        while done < len(left):
            done += os.write(descriptor, left[done:])


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except FileNotFoundError:
        return


@contextmanager
def failures(name: str = "") -> Iterator[None]:
    """Speak of every failure in our own errors; ``name``: of the object that must be there."""
    try:
        yield
    except OSError as error:
        if name and isinstance(error, FileNotFoundError):
            raise ObjectMissing(name) from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull from None
        raise StoreUnavailable(_reason(error)) from error
    except InvalidPathError as error:
        # A key that no object of ours has, in a bucket where others write, ends the list that it stands in.
        log.warning("remove from the bucket what others put there: %a", str(error)[:MOST_SAID_CHARS])
        raise StoreUnavailable("a foreign key in the bucket, which the log names") from None
    except BaseError as error:
        if _FULL.search(str(error)):
            raise StoreFull from None
        raise StoreUnavailable(type(error).__name__) from error


def _reason(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
