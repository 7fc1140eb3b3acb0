"""The keys that rspamd signs outgoing mail with: one file a domain, and the map that names the selector in use.

Purpose: a projection, as routes and auth: mail is signed while every Python process is stopped.
Process: written by the worker; read by ``_rspamd`` through the group of the folder, by nobody else.
Hostile: nothing; but a name becomes a file's name, so its form is checked.
Format:  projections/dkim/SELECTOR.DOMAIN.pem (0640) and ``selectors``, a line "DOMAIN SELECTOR" each.
Fails:   a domain without a key is sent unsigned. A key that left the list stays for a while: rspamd reads the map
         some seconds later.
Source:  docs.rspamd.com, "DKIM signing module"; RFC 6376; docs/internals/mail-engines.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

KEPT_S = 600
_FORM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class SigningKeyInvalid(BeffroiError):
    """The signing key {} of {} has a name that cannot be used."""

    code = "mail.signing_key_invalid"


@dataclass(frozen=True)
class SigningKey:
    """The key that signs now for one domain. ``private``: PEM."""

    domain: str
    selector: str
    private: str


class _Owner(Protocol):
    @property
    def uid(self) -> int: ...


def _folder(config: Config) -> Path:
    return config.state / "projections" / "dkim"


def create(config: Config, *, python: _Owner, rspamd_gid: int) -> None:
    """Make the folder; its group passes on to what the worker writes in it."""
    folder = _folder(config)
    folder.mkdir(exist_ok=True)
    os.chown(folder, python.uid, rspamd_gid)
    folder.chmod(0o2750)
    selectors = folder / "selectors"
    if not selectors.exists():
        _write(selectors, "")
    os.chown(selectors, python.uid, rspamd_gid)


def put(config: Config, keys: Iterable[SigningKey]) -> None:
    """Make the files say exactly these keys, at most one a domain. Errors: SigningKeyInvalid, before any change."""
    folder = _folder(config)
    if not folder.is_dir():
        return  # no engine was prepared here
    wanted = {one.domain: one for one in keys}
    for one in wanted.values():
        if not (_FORM.fullmatch(one.domain) and _FORM.fullmatch(one.selector)):
            raise SigningKeyInvalid(one.selector, one.domain)
    names = {f"{one.selector}.{one.domain}.pem": one for one in wanted.values()}
    for name, one in names.items():
        _write(folder / name, one.private)
    lines = "".join(f"{one.domain} {one.selector}\n" for _, one in sorted(wanted.items()))
    _write(folder / "selectors", lines)
    changed_s = (folder / "selectors").stat().st_mtime
    for path in folder.glob("*.pem"):
        if path.name not in names and clock.epoch() - changed_s > KEPT_S:
            path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    data = text.encode("ascii")
    if path.exists() and path.read_bytes() == data:
        return
    durable.write(path, (data,), mode=0o640)
