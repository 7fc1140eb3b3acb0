"""Secrets of a new centre, made on first run and never changed here.

Purpose: every key in a file of its own, so that rotating or taking one away touches nothing else.
Process: the supervisor, before it starts anything; as root in production.
Modes:   STATE/secrets is 0710 root:USER, files 0600. The Python user reads only what its processes use; the
         feed's root key and the account list stay root's. Written with fsync, then renamed.
Fails:   closed. A file that exists is never overwritten; an unreadable one stops the start.
Source:  docs/internals/secrets.md.
"""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from beffroi_protocol.messages import Delegation, decode_feed
from beffroi_protocol.signing import b64, delegate, public_bytes, split_line, unb64
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

DELEGATION_LIFE_S = 90 * 86400
RENEW_BEFORE_S = 45 * 86400
ROOT_KEY, ROOT_PUBLIC, FEED_KEY, DELEGATION = (
    "feed-root.key",
    "feed-root.pub",
    "feed.key",
    "feed-delegation.line",
)


class UserMissing(BeffroiError):
    """The system user {} does not exist; run ./beffroi up as root once, it makes it."""

    code = "supervise.user_missing"


@dataclass(frozen=True)
class Owner:
    uid: int
    gid: int


def python_owner(config: Config) -> Owner:
    """Who runs the Python processes. Errors: UserMissing."""
    if not config.user:
        return Owner(os.getuid(), os.getgid())
    try:
        entry = pwd.getpwnam(config.user)
    except KeyError:
        raise UserMissing(config.user) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def supervisor_owner() -> Owner:
    return Owner(os.getuid(), os.getgid())


def write_file(path: Path, data: bytes, *, mode: int, owner: Owner) -> None:
    """Put a file in place in one step, on disk when this returns; never through a symbolic link."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fchown(handle.fileno(), owner.uid, owner.gid)
        os.fchmod(handle.fileno(), mode)
        os.fsync(handle.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _hex() -> bytes:
    return secrets.token_hex(32).encode()


def _ed25519() -> bytes:
    return b64(Ed25519PrivateKey.generate().private_bytes_raw()).encode()


def _es256() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


_OURS: dict[str, Callable[[], bytes]] = {
    FEED_KEY: _ed25519,
    "django.key": _hex,
    "door.token": _hex,
    "live.key": _hex,
    "doveadm.key": _hex,
    "mailgate.key": _hex,
    "policy.key": _hex,
    "oauth.key": _es256,
    "commune-master.key": _hex,
}


def settle_directory(config: Config) -> None:
    """Give STATE/secrets its owner and mode."""
    owner = python_owner(config)
    config.secrets.mkdir(parents=True, exist_ok=True)
    os.chown(config.secrets, os.getuid(), owner.gid)
    config.secrets.chmod(0o710 if config.user else 0o700)


def generate(config: Config) -> list[str]:
    """Make every missing secret; return the names of those made. Errors: UserMissing, OSError."""
    settle_directory(config)
    owner, made = python_owner(config), []
    for name, maker in _OURS.items():
        path = config.secrets / name
        if not path.exists():
            write_file(path, maker() + b"\n", mode=0o600, owner=owner)
            made.append(name)
    root, public = config.secrets / ROOT_KEY, config.secrets / ROOT_PUBLIC
    if not root.exists() and not public.exists():
        key = Ed25519PrivateKey.generate()
        write_file(root, b64(key.private_bytes_raw()).encode() + b"\n", mode=0o600, owner=supervisor_owner())
        write_file(public, b64(public_bytes(key)).encode() + b"\n", mode=0o644, owner=owner)
        made += [ROOT_KEY, ROOT_PUBLIC]
    return made


def renew_delegation(config: Config) -> str:
    """Let the root key delegate to the feed key when that is due; return "" or what a person has to do.

    The root key may have been taken away, as it should be in production: then only the date is checked.
    """
    path, root_path = config.secrets / DELEGATION, config.secrets / ROOT_KEY
    current = _read_delegation(path)
    feed_public = public_bytes(_load(config, FEED_KEY))
    now = clock.epoch_s()
    if current and current.public_key == b64(feed_public) and current.not_after - now > RENEW_BEFORE_S:
        return ""
    if not root_path.exists():
        days = max(0, (current.not_after - now) // 86400) if current else 0
        return f"The feed key is delegated for {days} more days; sign a new delegation with the root key."
    line = delegate(
        _load(config, ROOT_KEY),
        feed_public,
        serial=(current.serial + 1) if current else 1,
        not_before=now - 3600,
        not_after=now + DELEGATION_LIFE_S,
    )
    write_file(path, line + b"\n", mode=0o600, owner=python_owner(config))
    return ""


def _load(config: Config, name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(unb64(config.secret(name).decode("ascii")))


def _read_delegation(path: Path) -> Delegation | None:
    if not path.exists():
        return None
    message = decode_feed(split_line(path.read_bytes().strip())[2])
    return message if isinstance(message, Delegation) else None
