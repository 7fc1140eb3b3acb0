"""Repositories of restic that open at once: restic makes its key of the password as long as the machine bears, which is
0.6 s of processor for each ``init`` and 0.1 to 0.3 s for each of the hundreds of runs that tests wait for.

What restic made once in a process is written again for each store, with a number of its own, and its key opens by the
password at the lowest cost of scrypt. Repositories that commands of ours make are restic's own.
Source: restic.readthedocs.io/en/stable/design.html, "Keys, Encryption and MAC".
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beffroi.mail.backup.store import KEY, Store
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

_NONCE_BYTES = _TAG_BYTES = 16
_LOWEST = {"N": 2, "r": 1, "p": 1}
_run = Store._run


@dataclass(frozen=True)
class _Key:
    """``encrypt``: 32 bytes of AES-256; ``k``, ``r``: 16 each of Poly1305-AES."""

    encrypt: bytes
    k: bytes
    r: bytes

    @classmethod
    def of_password(cls, password: bytes, told: dict[str, Any]) -> _Key:
        cost = {name.lower(): told[name] for name in _LOWEST}
        made = hashlib.scrypt(password, salt=b64decode(told["salt"]), dklen=64, maxmem=1 << 28, **cost)
        return cls(made[:32], made[32:48], made[48:])

    @classmethod
    def of_master(cls, told: dict[str, Any]) -> _Key:
        return cls(b64decode(told["encrypt"]), b64decode(told["mac"]["k"]), b64decode(told["mac"]["r"]))

    def seal(self, plain: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _aes(self.encrypt, modes.CTR(nonce), plain)
        return nonce + sealed + self._tag(nonce, sealed)

    def opened(self, sealed: bytes) -> bytes:
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:-_TAG_BYTES]
        assert self._tag(nonce, body) == sealed[-_TAG_BYTES:]
        return _aes(self.encrypt, modes.CTR(nonce), body)

    def _tag(self, nonce: bytes, body: bytes) -> bytes:
        return Poly1305.generate_tag(self.r + _aes(self.k, modes.ECB(), nonce), body)


def _aes(key: bytes, mode: modes.CTR | modes.ECB, data: bytes) -> bytes:
    made = Cipher(algorithms.AES(key), mode).encryptor()
    return made.update(data) + made.finalize()


@dataclass(frozen=True)
class _Empty:
    """A repository without content. ``key``: of its file, without what a password opens, which is ``master``;
    ``config``: what ``config`` says, but for its number."""

    folders: tuple[Path, ...]
    key: dict[str, Any]
    master: bytes
    config: dict[str, Any]

    @classmethod
    def of(cls, repository: Path, password: bytes) -> _Empty:
        (file,) = (repository / "keys").iterdir()
        key = json.loads(file.read_bytes())
        master = _Key.of_password(password, key).opened(b64decode(key["data"]))
        config = _Key.of_master(json.loads(master)).opened((repository / "config").read_bytes())
        folders = (one.relative_to(repository) for one in sorted(repository.rglob("*")) if one.is_dir())
        return cls(tuple(folders), key | _LOWEST, master, json.loads(config))

    def write(self, repository: Path, password: bytes) -> None:
        repository.mkdir(mode=0o700)
        for folder in self.folders:
            (repository / folder).mkdir(mode=0o700)
        opening = _Key.of_password(password, self.key).seal(self.master)
        text = json.dumps(self.key | {"data": b64encode(opening).decode()}).encode()
        (repository / "keys" / hashlib.sha256(text).hexdigest()).write_bytes(text)
        config = json.dumps(self.config | {"id": secrets.token_hex(32)}).encode()
        (repository / "config").write_bytes(_Key.of_master(json.loads(self.master)).seal(config))


_empty: list[_Empty] = []


def hold() -> None:
    """From now on, in this process."""
    Store._run = _run_quickly


def _run_quickly(store: Store, *words: str, **how: Any) -> list[Any]:
    if words != ("init",):
        return _run(store, *words, **how)
    password = (store._config.secrets / KEY).read_bytes().strip()
    if not _empty:
        _run(store, *words, **how)
        _empty.append(_Empty.of(store.path, password))
        shutil.rmtree(store.path)
    try:
        _empty[0].write(store.path, password)
    except OSError:  # a disk that is full: restic says what it says of it
        shutil.rmtree(store.path, ignore_errors=True)
        return _run(store, *words, **how)
    return []
