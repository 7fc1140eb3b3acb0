"""When the certificates of the centre's own names end: of its pages (portal.pem), of its mail (mail.pem). No Django.

Purpose: whoever put one of a public authority in their place has to renew it, and nothing else asks for that.
Process: the supervisor looks each hour, as root: portal.pem holds its key. It writes STATE/tls/ends.json, which the
         console and `./beffroi status` read.
Input:   files that a person put there: one without a certificate is told as such.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509

from beffroi.lib import json_file
from beffroi.lib.config import Config

FILES = ("portal.pem", "mail.pem")
SOON_S = 30 * 86400


class End(msgspec.Struct, frozen=True):
    """``ends_at``: epoch seconds, the earliest of the certificate and its chain, 0 where the file holds none.
    ``ours``: of the centre's own authority, and renewed at its start."""

    file: str
    ends_at: int
    ours: bool = False


def folder(config: Config) -> Path:
    return config.state / "tls"


def note(config: Config) -> None:
    """Look and write down. Errors: OSError."""
    folder(config).mkdir(exist_ok=True)
    found = [_end(folder(config) / name, folder(config) / "ca.pem") for name in FILES]
    json_file.write(folder(config) / "ends.json", found, mode=0o644)


def soon(config: Config, *, now: int) -> list[End]:
    """Those that end within ``SOON_S``, have ended, or cannot be read."""
    try:
        known = msgspec.json.decode((folder(config) / "ends.json").read_bytes(), type=list[End])
    except (OSError, msgspec.MsgspecError):
        return []
    return [one for one in known if one.ends_at - now < SOON_S]


def problem(config: Config, *, now: int) -> str:
    """Sentences with the next step, or ""."""
    return " ".join(_sentence(config, one, now=now) for one in soon(config, now=now))


def _sentence(config: Config, one: End, *, now: int) -> str:
    path = folder(config) / one.file
    again = "./beffroi stop, then ./beffroi up"
    day = datetime.fromtimestamp(one.ends_at, UTC)
    if not one.ends_at:
        said = "holds no certificate that can be read."
    elif one.ends_at <= now:
        said = f"ended on {day:%Y-%m-%d}."
    else:
        said = f"ends on {day:%Y-%m-%d}, in {(one.ends_at - now) // 86400} days."
    if one.ours:
        return f"The certificate {path} {said} Next: {again}, which renews it."
    key = "then its key" if one.file == FILES[0] else "its key in mail.key"
    return f"The certificate {path} {said} Next: put the new one there (with its chain, {key}); {again}."


def _end(path: Path, authority: Path) -> End:
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return End(path.name, 0)
    ends_at = min(int(one.not_valid_after_utc.timestamp()) for one in chain)
    return End(path.name, ends_at, ours=_is_ours(chain[0], authority))


def _is_ours(leaf: x509.Certificate, authority: Path) -> bool:
    try:
        return leaf.issuer == x509.load_pem_x509_certificate(authority.read_bytes()).subject
    except (OSError, ValueError):
        return False
