"""Secrets of a new centre, made on first run and never changed here.

Purpose: every key in a file of its own, so that rotating or taking one away touches nothing else.
Process: the supervisor, before it starts anything; as root in production.
Modes:   STATE/secrets is 0710 root:USER; every file is root's, and at most one group may read it (0640): what
         only the feed's signer needs, what only the Django processes need, what several kinds of process need.
         Owner and mode are put right at each start. Written with fsync, then renamed.
Fails:   closed. A file that exists is never overwritten; one that is empty or no key stops the start, and so does the
         master key where it is missing and something was encrypted: what came in under a new one would be lost.
Source:  docs/internals/secrets.md.
"""

from __future__ import annotations

import grp
import os
import pwd
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import Delegation, decode_feed
from beffroi_protocol.signing import b64, delegate, public_bytes, split_line, unb64
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from beffroi.core.audit.signing import KEY as AUDIT_KEY
from beffroi.core.audit.signing import PUBLIC as AUDIT_PUBLIC
from beffroi.lib import clock, durable, pem
from beffroi.lib.config import DATABASE_PASSWORD, Config
from beffroi.lib.errors import BeffroiError

DELEGATION_LIFE_S = 90 * 86400
RENEW_BEFORE_S = 45 * 86400
MASTER_KEY = "commune-master.key"
ROOT_KEY, ROOT_PUBLIC, FEED_KEY, DELEGATION = (
    "feed-root.key",
    "feed-root.pub",
    "feed.key",
    "feed-delegation.line",
)


class UserMissing(BeffroiError):
    """The system user or group {} does not exist; run ./beffroi up as root once, it makes it."""

    code = "supervise.user_missing"


class SecretUnusable(BeffroiError):
    """The secret {} of {} is {}. Put its copy back; what it is for: docs/internals/secrets.md"""

    code = "supervise.secret_unusable"


@dataclass(frozen=True)
class Owner:
    uid: int
    gid: int


def python_owner(config: Config) -> Owner:
    """Who runs the Python processes. Errors: UserMissing."""
    return user_owner(config.user) if config.user else Owner(os.getuid(), os.getgid())


def user_owner(name: str) -> Owner:
    """Errors: UserMissing."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UserMissing(name) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def supervisor_owner() -> Owner:
    return Owner(os.getuid(), os.getgid())


def write_file(path: Path, data: bytes, *, mode: int, owner: Owner) -> None:
    """Put a file in place in one step, on disk when this returns; never through a symbolic link."""
    durable.write(path, (data,), mode=mode, owner=(owner.uid, owner.gid))


def _hex() -> bytes:
    return secrets.token_hex(32).encode()


def _ed25519() -> bytes:
    return b64(Ed25519PrivateKey.generate().private_bytes_raw()).encode()


def _es256() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return pem.of_key(key)


FEED, PAGES, ALL, NOBODY = "feed", "pages", "", None
"""Readers besides root: stream; web, console, worker, remediation; every Python process; none."""

_OURS: dict[str, tuple[Callable[[], bytes], str | None]] = {
    FEED_KEY: (_ed25519, FEED),
    AUDIT_KEY: (_ed25519, PAGES),
    "django.key": (_hex, PAGES),
    MASTER_KEY: (_hex, PAGES),
    "oauth.key": (_es256, PAGES),
    "doveadm.key": (_hex, PAGES),
    "managesieve.key": (_hex, PAGES),
    "door.token": (_hex, ALL),
    "live.key": (_hex, ALL),
    "drive-grant.key": (_hex, PAGES),
    "mailgate.key": (_hex, ALL),
    "policy.key": (_hex, NOBODY),
    "bank.key": (_hex, NOBODY),
    "backup.key": (_hex, NOBODY),
}
_READERS: dict[str, str | None] = {
    **{name: readers for name, (_maker, readers) in _OURS.items()},
    ROOT_KEY: NOBODY,
    DELEGATION: ALL,
    DATABASE_PASSWORD: ALL,
    "dns-update.key": PAGES,
    "drive-objects.key": PAGES,
    "drive-backup.key": PAGES,
    "profile-signing.pem": PAGES,
}


def group(config: Config, readers: str) -> str | None:
    """Name of the system group of these readers; None where everything runs as one user without a name."""
    if not config.user:
        return None
    return f"{config.user}-{readers}" if readers else config.user


def user_of(config: Config, process: str) -> str | None:
    """The system user of a process that reads what strangers made or say, or holds keys that nobody else needs: it is
    in no group of ours and opens no secret but its own. None where everything runs as one user."""
    return f"{config.user}-{process}" if config.user else None


def put(config: Config, name: str, data: bytes) -> None:
    """Write STATE/secrets/NAME for those who may read it. Errors: UserMissing."""
    owner, mode = _owner_and_mode(config, name)
    write_file(config.secrets / name, data, mode=mode, owner=owner)


def settle_files(config: Config) -> None:
    """Put owner and mode of every secret right; an unknown file becomes root's alone. Errors: UserMissing."""
    for path in config.secrets.iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        owner, mode = _owner_and_mode(config, path.name)
        os.chown(path, owner.uid, owner.gid)
        path.chmod(mode)


def _owner_and_mode(config: Config, name: str) -> tuple[Owner, int]:
    if name in (ROOT_PUBLIC, AUDIT_PUBLIC):
        return supervisor_owner(), 0o644
    readers = _READERS.get(name, NOBODY)
    wanted = None if readers is None else group(config, readers)
    if wanted is None:
        return supervisor_owner(), 0o600
    try:
        return Owner(os.getuid(), grp.getgrnam(wanted).gr_gid), 0o640
    except KeyError:
        raise UserMissing(wanted) from None


def settle_directory(config: Config) -> None:
    """Give STATE/secrets its owner and mode."""
    owner = python_owner(config)
    config.secrets.mkdir(parents=True, exist_ok=True)
    os.chown(config.secrets, os.getuid(), owner.gid)
    config.secrets.chmod(0o710 if config.user else 0o700)


def generate(config: Config) -> list[str]:
    """Make every missing secret; return the names of those made. Errors: UserMissing, SecretUnusable, OSError."""
    settle_directory(config)
    made = []
    for name, (maker, _readers) in _OURS.items():
        if not (config.secrets / name).exists():
            if name == MASTER_KEY and _holds_something(config):
                raise SecretUnusable(name, config.state, "missing: no mailbox and no file opens without it")
            put(config, name, maker() + b"\n")
            made.append(name)
        elif not config.secret(name):  # a word that nobody has to know
            raise SecretUnusable(name, config.state, "empty")
    if not (config.secrets / ROOT_PUBLIC).exists():
        if not (config.secrets / ROOT_KEY).exists():
            put(config, ROOT_KEY, _ed25519() + b"\n")
            made.append(ROOT_KEY)
        put(config, ROOT_PUBLIC, b64(public_bytes(_load(config, ROOT_KEY))).encode() + b"\n")
        made.append(ROOT_PUBLIC)
    _keep_audit_public(config)
    settle_files(config)
    return made


def _holds_something(config: Config) -> bool:
    """Whether this centre has begun to work: a first start that was cut off leaves these empty."""
    folders = (config.state / name for name in ("db", "mailboxes", "drive"))
    return any(one.is_dir() and any(one.iterdir()) for one in folders)


def _keep_audit_public(config: Config) -> None:
    """The present key of the audit log first, then former ones: what they signed stays verifiable."""
    path = config.secrets / AUDIT_PUBLIC
    known = path.read_bytes().split() if path.exists() else []
    present = b64(public_bytes(_load(config, AUDIT_KEY))).encode()
    if not known or known[0] != present:
        keys = [present, *(key for key in known if key != present)]
        put(config, AUDIT_PUBLIC, b"\n".join(keys) + b"\n")


def renew_delegation(config: Config) -> str:
    """Let the root key delegate to the feed key when that is due; return "" or what a person has to do.

    The root key may have been taken away, as it should be in production: then only the date is checked.
    Errors: SecretUnusable, SettingInvalid, UserMissing, OSError.
    """
    known = _read_delegation(config)
    feed_public = public_bytes(_load(config, FEED_KEY))
    now = clock.paced_s()
    # One that begins later was made by a clock that was ahead: doors refuse what is signed before it.
    fits = known if known and known.public_key == b64(feed_public) and known.not_before <= now else None
    if fits and fits.not_after - now > RENEW_BEFORE_S:
        return ""
    if not (config.secrets / ROOT_KEY).exists():
        days = max(0, (fits.not_after - now) // 86400) if fits else 0
        return f"The feed key is delegated for {days} more days; sign a new delegation with the root key."
    line = delegate(
        _load(config, ROOT_KEY),
        feed_public,
        serial=(known.serial + 1) if known else 1,
        not_before=now - 3600,
        not_after=now + DELEGATION_LIFE_S,
    )
    put(config, DELEGATION, line + b"\n")
    return ""


def _load(config: Config, name: str) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(unb64(config.secret(name).decode("ascii")))
    except (ProtocolError, ValueError):
        raise SecretUnusable(name, config.state, "not a key") from None


def _read_delegation(config: Config) -> Delegation | None:
    if not (config.secrets / DELEGATION).exists():
        return None
    try:
        message = decode_feed(split_line(config.secret(DELEGATION))[2])
    except ProtocolError:
        raise SecretUnusable(DELEGATION, config.state, "not a delegation") from None
    return message if isinstance(message, Delegation) else None
