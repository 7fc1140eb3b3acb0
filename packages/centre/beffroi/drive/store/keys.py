"""The keys of a collectivité's files: made, replaced by generations, destroyed with a certificate.

Purpose: destroying one small file makes every file of a commune unreadable, wherever copies lie.
Process: every one that opens files; the master key is STATE/secrets/commune-master.key.
Hostile: whoever can write STATE/drive can take keys away or bring old ones back, never read or forge one.
Fails:   closed (KeysMissing, KeysErased, KeyUnreadable). What another process did (a new generation, an erasure) holds
         here from the next operation on: each one asks the file system whether the file is still the one that was read.
Format:  docs/internals/drive-format.md.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from blake3 import blake3

from beffroi.lib import clock, durable, envelopes, ids
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

VERSION = 1
_KEY_BYTES = 32
_FINGERPRINT = "beffroi drive 1 fingerprint of a key"
_BEFORE = ".keys.json.before"
_FILE, _CERTIFICATE, _ERASING, _LOCK = "keys.json", "erased.json", "erasing.json", "keys.lock"
_MADE = b"made\n"
"""In the lock's file, once keys were made: from then on their absence is a loss, and no reason to make others."""


class KeysMissing(BeffroiError):
    """The keys of the files of {} are not there; restore STATE/drive from a backup."""

    code = "drive.keys_missing"


class KeysErased(BeffroiError):
    """The keys of the files of {} were destroyed: nobody can open these files any more."""

    code = "drive.keys_erased"
    http_status = 410


class KeysDiffer(BeffroiError):
    """The keys of the files of {} were made after those of its backups were lost; restore it from its backup."""

    code = "drive.keys_differ"


class WrappedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``fingerprint``: 32 hex digits that name the key and tell nothing of it. ``made_at``: ISO 8601, UTC."""

    number: int
    wrapped: str
    fingerprint: str
    made_at: str


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What keys.json holds. ``naming`` names chunks and is never replaced: names are what deduplication rests on."""

    version: int
    collectivite_id: str
    naming: WrappedKey
    generations: tuple[WrappedKey, ...]


class Destroyed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key that is no more. ``number``: 0 for the key that named chunks."""

    number: int
    fingerprint: str
    made_at: str


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was destroyed, when (ISO 8601, UTC) and by whom (an identifier)."""

    version: int
    collectivite_id: str
    keys: tuple[Destroyed, ...]
    erased_at: str
    erased_by: str


class Keys:
    """The keys of one collectivité. Any thread may call any method.

    Errors of every method: KeysMissing, KeysErased, KeyUnreadable, SettingInvalid, OSError.
    """

    def __init__(self, config: Config, collectivite_id: str) -> None:
        self._config, self.collectivite_id = config, collectivite_id
        self._folder = _folder(config, collectivite_id)
        self._file = self._folder / _FILE
        self._file_name = str(self._file)
        self._guard = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._generations: dict[int, bytes] = {}
        self._naming = b""

    def current(self) -> tuple[int, bytes]:
        """Number and data key of the generation that seals."""
        with self._guard:
            self._refresh()
            number = max(self._generations)
            return number, self._generations[number]

    def generation(self, number: int) -> bytes | None:
        """The data key of a generation; None where there never was such a one."""
        with self._guard:
            self._refresh()
            return self._generations.get(number)

    def naming(self) -> bytes:
        """The key that names chunks."""
        with self._guard:
            self._refresh()
            return self._naming

    def cutting_seed(self) -> int:
        """Where bodies are cut differs by commune: the sizes of chunks tell nobody which known file this is."""
        return int.from_bytes(blake3(b"beffroi drive 1 cutting", key=self.naming()).digest(8)) >> 1

    def proved(self, kept: bytes | None = None) -> bytes:
        """The file of the wrapped keys as it lies there, each of which was opened now. ``kept``: what it is to take the
        place of. Errors: KeyUnreadable; KeysDiffer."""
        with _locked(self._folder):
            file = self._read()
            raw = self._file.read_bytes()
        if not all(self._opens(one) for one in (file.naming, *file.generations)):
            raise envelopes.KeyUnreadable(self.collectivite_id)
        if kept is not None and names_otherwise(self.collectivite_id, file, kept):
            raise KeysDiffer(self.collectivite_id)
        return raw

    def rotate(self, *, after: int = 0) -> int:
        """Seal by a new key from now on; what was sealed before still opens. Return the generation's number.

        ``after``: the generation that it follows; where there is a later one already, none is made."""
        with _locked(self._folder):
            file = self._read()
            if after and file.generations[-1].number > after:
                return file.generations[-1].number
            number = file.generations[-1].number + 1
            new = self._wrap(number, secrets.token_bytes(_KEY_BYTES))
            _write(self._file, msgspec.structs.replace(file, generations=(*file.generations, new)))
        return number

    def generations(self) -> tuple[WrappedKey, ...]:
        """Oldest first; the last one seals."""
        with _locked(self._folder):
            return self._read().generations

    def destroy_before(self, number: int) -> tuple[WrappedKey, ...]:
        """Destroy the generations before this one: nothing may be sealed under them any more. Return them.

        What a crash leaves of the file before is destroyed by the next call, and by ``erase``.
        """
        kept = self._folder / _BEFORE
        with _locked(self._folder):
            if kept.exists() and self._file.exists() and kept.samefile(self._file):
                kept.unlink()  # cut off before the new file was there: it is the keys of today
            _destroy(kept)
            file = self._read()
            gone = tuple(one for one in file.generations if one.number < number)
            rest = tuple(one for one in file.generations if one.number >= number)
            if gone and rest:
                os.link(self._file, kept)
                _write(self._file, msgspec.structs.replace(file, generations=rest))
                _destroy(kept)
                durable.sync_directory(self._folder)
        return gone if rest else ()

    def erase(self, by: str) -> Certificate:
        """Destroy all keys. Called again, it finishes what a crash left, and returns the same certificate. Of a damaged
        file it names none.

        What is overwritten here may live on in the disk's own spare blocks and in backups of STATE/drive: those copies
        are wrapped, and end with the backups' term (docs/internals/drive-format.md).
        """
        with _locked(self._folder):
            done = certificate(self._config, self.collectivite_id)
            if done is not None:
                return done
            draft = self._folder / _ERASING
            if draft.exists():
                found = msgspec.json.decode(draft.read_bytes(), type=Certificate)
            else:
                named: tuple[WrappedKey, ...] = ()
                with suppress(envelopes.KeyUnreadable):  # which they were, a damaged file does not say
                    file = self._read()
                    named = (file.naming, *file.generations)
                keys = tuple(Destroyed(k.number, k.fingerprint, k.made_at) for k in named)
                found = Certificate(VERSION, self.collectivite_id, keys, clock.now().isoformat(), by)
                _write(draft, found)
            for path in (self._file, *self._folder.glob(f".{_FILE}.*")):
                _destroy(path)
            durable.sync_directory(self._folder)
            draft.rename(self._folder / _CERTIFICATE)
            durable.sync_directory(self._folder)
        with self._guard:
            self._forget()
        return found

    def _refresh(self) -> None:
        try:
            now = os.stat(self._file_name)  # noqa: PTH116 - at each operation
        except FileNotFoundError:
            self._forget()
            raise _absent(self._folder)(self.collectivite_id) from None
        seen = (now.st_ino, now.st_mtime_ns, now.st_size)
        if seen == self._seen:
            return
        self._forget()
        file = self._read()
        generations = {one.number: self._unwrap(one) for one in file.generations}
        self._naming, self._generations, self._seen = self._unwrap(file.naming), generations, seen

    def _forget(self) -> None:
        self._seen, self._naming, self._generations = None, b"", {}

    def _read(self) -> KeyFile:
        if (self._folder / _ERASING).exists():
            raise KeysErased(self.collectivite_id)
        try:
            return _decoded(self.collectivite_id, self._file.read_bytes())
        except FileNotFoundError:
            raise _absent(self._folder)(self.collectivite_id) from None

    def _wrap(self, number: int, key: bytes) -> WrappedKey:
        owner = f"{self.collectivite_id}/drive/{number}"
        wrapped = envelopes.wrap(self._outer(), key, owner)
        return WrappedKey(number, wrapped, fingerprint(key), clock.now().isoformat())

    def _unwrap(self, one: WrappedKey) -> bytes:
        return envelopes.unwrap(self._outer(), one.wrapped, f"{self.collectivite_id}/drive/{one.number}")

    def _opens(self, one: WrappedKey) -> bool:
        try:
            return fingerprint(self._unwrap(one)) == one.fingerprint
        except envelopes.KeyUnreadable:
            return False

    def _outer(self) -> bytes:
        # Whatever its spelling on disk, the file's bytes give one 256-bit key, another than the one of mail.
        return hashlib.sha256(
            b"beffroi/drive-master/1\n" + self._config.secret("commune-master.key")
        ).digest()


def make(config: Config, collectivite_id: str, *, anew: bool = False) -> Keys:
    """The keys of a collectivité, made at its first file. ``anew``: also where those that were made are lost.

    Errors: KeysErased, KeysMissing: what was destroyed, or lost, is not replaced behind anybody's back; those of Keys.
    """
    keys, folder = Keys(config, collectivite_id), _folder(config, collectivite_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        if _absent(folder) is KeysErased:
            raise KeysErased(collectivite_id)
        if not (folder / _FILE).exists():
            if not anew and were_made(folder):
                raise KeysMissing(collectivite_id)
            naming, first = (keys._wrap(number, secrets.token_bytes(_KEY_BYTES)) for number in (0, 1))
            _write(folder / _FILE, KeyFile(VERSION, collectivite_id, naming, (first,)))
            for parent in (folder.parent, folder.parent.parent):
                durable.sync_directory(parent)
        _note_made(folder)
    return keys


def adopt(config: Config, collectivite_id: str, file: bytes, *, replaces: bool = False) -> bool:
    """Take over from a backup's file what is lost, or does not open any more; False where all opens.

    A key that opens stays, and so does one that the backup does not have. ``replaces``: keys that name chunks by
    another key, made since the loss, make way: by them nothing of the backup opens. Errors: KeysErased, KeyUnreadable.
    """
    keys, folder = Keys(config, collectivite_id), _folder(config, collectivite_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        if is_erased(folder):
            raise KeysErased(collectivite_id)
        try:
            own = keys._read()
        except (KeysMissing, envelopes.KeyUnreadable):
            own = None
        if own is not None and replaces and names_otherwise(collectivite_id, own, file):
            own = None
        if own is not None and all(keys._opens(one) for one in (own.naming, *own.generations)):
            return False
        kept = _decoded(collectivite_id, file)
        if own is not None:
            copies = (kept.naming, *kept.generations)
            same = {one.number: one for one in copies} | {one.fingerprint: one for one in copies}
            naming, *generations = (
                one if keys._opens(one) else same.get(one.number) or same.get(one.fingerprint) or one
                for one in (own.naming, *own.generations)
            )
            kept = msgspec.structs.replace(own, naming=naming, generations=tuple(generations))
        for one in (kept.naming, *kept.generations):
            keys._unwrap(one)
        _write(folder / _FILE, kept)
        _note_made(folder)
    return True


def names_otherwise(collectivite_id: str, own: KeyFile, file: bytes) -> bool:
    """Whether a backup's file holds another key that names chunks; False where it cannot be read."""
    try:
        return _decoded(collectivite_id, file).naming.fingerprint != own.naming.fingerprint
    except envelopes.KeyUnreadable:
        return False


def certificate(config: Config, collectivite_id: str) -> Certificate | None:
    """The certificate of a collectivité whose keys were destroyed; None where they were not."""
    path = _folder(config, collectivite_id) / _CERTIFICATE
    return msgspec.json.decode(path.read_bytes(), type=Certificate) if path.exists() else None


def is_erased(folder: Path | str) -> bool:
    """``folder``: of a collectivité, in STATE/drive. Also while an erasure is under way. Asked several times a request:
    no Path is made for it, and no exception."""
    return os.access(f"{folder}/{_CERTIFICATE}", os.F_OK) or os.access(f"{folder}/{_ERASING}", os.F_OK)


def were_made(folder: Path) -> bool:
    """Whether a collectivité ever had keys: where they are not there, they are lost. ``folder``: as ``is_erased``."""
    try:
        return (folder / _LOCK).stat().st_size > 0
    except FileNotFoundError:
        return False


def fingerprint(key: bytes) -> str:
    return blake3(key, derive_key_context=_FINGERPRINT).digest(16).hex()


def _folder(config: Config, collectivite_id: str) -> Path:
    if not ids.is_id(collectivite_id, "col"):
        raise KeysMissing(collectivite_id)
    return config.state / "drive" / collectivite_id


def _decoded(collectivite_id: str, data: bytes) -> KeyFile:
    """Errors: KeyUnreadable."""
    try:
        file = msgspec.json.decode(data, type=KeyFile)
    except UNDECODABLE:
        raise envelopes.KeyUnreadable(collectivite_id) from None
    if file.version != VERSION or file.collectivite_id != collectivite_id or not file.generations:
        raise envelopes.KeyUnreadable(collectivite_id)
    return file


def _absent(folder: Path) -> type[KeysMissing | KeysErased]:
    return KeysErased if is_erased(folder) else KeysMissing


def _note_made(folder: Path) -> None:
    """After the keys are there, under their lock."""
    with (folder / _LOCK).open("ab") as file:
        if not file.tell():
            file.write(_MADE)
            file.flush()
            os.fsync(file.fileno())


def _write(path: Path, value: msgspec.Struct) -> None:
    durable.write(path, (msgspec.json.format(msgspec.json.encode(value)), b"\n"), mode=0o600)


def _destroy(path: Path) -> None:
    if not path.exists():
        return
    with path.open("r+b", buffering=0) as file:
        file.write(os.urandom(os.fstat(file.fileno()).st_size))
        os.fsync(file.fileno())
    path.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time makes, replaces or destroys keys: two first keys would be one too many."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise KeysMissing(folder.name) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
