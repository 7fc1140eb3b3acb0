"""The keys that rspamd signs outgoing mail with: one file a domain, and the map that names the selector in use.

Purpose: a projection, as routes and auth: mail is signed while every Python process is stopped.
Process: written by the worker; read by ``_rspamd`` through the group of the folder, by nobody else.
Hostile: nothing; but a name becomes a file's name, so its form is checked.
Format:  projections/dkim/SELECTOR.DOMAIN.pem (0640) and ``selectors``, a line "DOMAIN SELECTOR" each.
Fails:   a domain without a key is sent unsigned. A key that left the list stays for a while: rspamd reads the map
         some seconds later. One that does not open keeps no other back: its file of before signs on, and log,
         status and console name its domain (STATE/run/unsigned.json).
Source:  docs.rspamd.com, "DKIM signing module"; RFC 6376; docs/internals/mail-engines.md.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from beffroi.lib import clock, durable, json_file
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail.projections import Owner

log = logging.getLogger("beffroi.mail.signing")
KEPT_S = 600
_FORM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class SigningKeyInvalid(BeffroiError):
    """The signing key {} of {} has a name that cannot be used."""

    code = "mail.signing_key_invalid"


@dataclass(frozen=True)
class SigningKey:
    """The key that signs now for one domain. ``private``: PEM; None where it does not open."""

    domain: str
    selector: str
    private: str | None


def _folder(config: Config) -> Path:
    return config.state / "projections" / "dkim"


def create(config: Config, *, python: Owner, rspamd_gid: int) -> None:
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
        if one.private is not None:
            _write(folder / name, one.private)
    signing = sorted((one.domain, one.selector) for name, one in names.items() if (folder / name).exists())
    _write(folder / "selectors", "".join(f"{domain} {selector}\n" for domain, selector in signing))
    _tell(config, sorted(one.domain for one in wanted.values() if one.private is None))
    changed_s = (folder / "selectors").stat().st_mtime
    for path in folder.glob("*.pem"):
        if path.name not in names and clock.epoch() - changed_s > KEPT_S:
            path.unlink(missing_ok=True)


def unreadable(config: Config) -> list[str]:
    """Domains whose key did not open when it was last looked at."""
    return json_file.read(_unreadable(config), list[str]) or []


def problem(config: Config) -> str:
    """One sentence with the next step, or ""."""
    found = unreadable(config)
    if not found:
        return ""
    return (
        f"The key that signs mail does not open for {', '.join(found[:3])}{', …' if len(found) > 3 else ''}:"
        " what is sent from there is signed with the file of before, or not at all."
        " Next: restore secrets/commune-master.key, or take the next key on the domain's page of the console"
    )


def _unreadable(config: Config) -> Path:
    return config.run / "unsigned.json"


def _tell(config: Config, domains: list[str]) -> None:
    if domains == unreadable(config):
        return
    if domains:
        log.error("the signing key does not open: %s", ", ".join(domains))
    json_file.write(_unreadable(config), domains, mode=0o644)


def _write(path: Path, text: str) -> None:
    data = text.encode("ascii")
    if path.exists() and path.read_bytes() == data:
        return
    durable.write(path, (data,), mode=0o640)
