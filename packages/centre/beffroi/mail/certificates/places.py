"""Where the parts of certificates meet: STATE/acme. Each file has one writer; secret are ``keys`` and ``account``.

| path | writer | what |
|---|---|---|
| wanted/DOMAIN | sources | names whose live check shows that they lead to us |
| orders/DOMAIN | certificates | a number and a signing request |
| brought/DOMAIN | acme | its number, and the chain or a code |
| told/DOMAIN | certificates | what the pages show |
| brought/.turn, told/.turn | acme, certificates | empty; when its last turn began (``health``) |
| keys/DOMAIN.key (0600) | certificates | the key of the next certificate |
| account/key.pem (0600) | the supervisor, for acme | the account |
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from josepy.b64 import b64encode
from josepy.jwk import JWKRSA

from beffroi.lib import durable

MAX_BYTES = 256 * 1024


def folder(state: Path) -> Path:
    return state / "acme"


def account_key(state: Path) -> Path:
    return folder(state) / "account" / "key.pem"


def installed(state: Path) -> Path:
    """Certificates of the communes' names, one PEM each with its key (0600): the front door reads them."""
    return state / "tls" / "domains"


def admin_socket(state: Path) -> Path:
    """HAProxy's, root's alone."""
    return state / "haproxy" / "admin.sock"


@dataclass(frozen=True)
class Told:
    """``state``: ok, waiting, failed or by_hand; ``code``: why the last try failed; times in epoch seconds, 0 for none.

    ``mark``: of the installed file where it is ours, "" else; ``former``: of the one before, which a power cut may have
    left.
    """

    state: str
    names: tuple[str, ...] = ()
    not_before: int = 0
    not_after: int = 0
    code: str = ""
    failures: int = 0
    tried_at: int = 0
    mark: str = ""
    former: str = ""


def told(state: Path, domain: str) -> Told | None:
    values = read(folder(state) / "told" / domain)
    try:
        return Told(**{**values, "names": tuple(values["names"])}) if values else None
    except (TypeError, KeyError):
        return None


def tell(state: Path, domain: str, one: Told) -> None:
    write(folder(state) / "told" / domain, asdict(one))


def read(path: Path) -> dict[str, Any]:
    """A JSON object of another process; {} where there is none. Never through a link, never much."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return {}
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return {}
        data = file.read(MAX_BYTES + 1)
    try:
        found = json.loads(data) if len(data) <= MAX_BYTES else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, value: dict[str, Any]) -> None:
    durable.write(path, (json.dumps(value).encode(),), mode=0o644)


def thumbprint(state: Path) -> str:
    """Of the account (RFC 7638), by which our front door answers challenges; "" where there is no account."""
    try:
        key = JWKRSA.load(account_key(state).read_bytes())
    except (OSError, ValueError):
        return ""
    return b64encode(key.thumbprint()).decode()
