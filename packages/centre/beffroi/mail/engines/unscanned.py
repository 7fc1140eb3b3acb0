"""While an administrator allows it, incoming mail passes when rspamd is away, marked for the sweep.

Purpose: Postfix alone decides at each connection: is there a term in routes.sqlite, and is it not over? Then its milter
         fails open for incoming mail, and a mail gets our identifier and ``X-Beffroi-Unchecked`` at DATA. rspamd, where
         it answers, removes both and stamps its own. Mail of signed-in people still waits: nothing would sign it.
Hostile: headers of strangers. Our own pass under a name that only this machine knows; all other ``X-Beffroi-`` go.
Fails:   closed: without a term, or past it, rspamd away means 451. No process has to live for a term to end.
Source:  postconf(5) smtpd_milter_maps, access(5) PREPEND, header_checks(5); lib/ids.py.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.mail.engines import layout

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_MS = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
LONGEST_S = 24 * 3600 + 300
"""A term that ends later was allowed by a clock that was ahead, and is over."""
_NOW = "CAST(strftime('%%s', 'now') AS INTEGER)"
_OPEN = f"EXISTS (SELECT 1 FROM unscanned WHERE until_s > {_NOW} AND until_s <= {_NOW} + {LONGEST_S})"  # noqa: S608 - names of our own


def _digit(value: str) -> str:
    return f"substr('{_ALPHABET}', 1 + ({value}), 1)"


def _id() -> str:
    """SQL of a new identifier of a mail, as rspamd's rule makes them: milliseconds, then chance."""
    moment = [_digit(f"(({_MS} << 2) >> {5 * (9 - at)}) & 31") for at in range(10)]
    return " || ".join(["'msg_'", *moment, *[_digit("random() & 31")] * 16])


def _at_an(address: str, result: str) -> str:
    return f"SELECT CASE WHEN {_OPEN} THEN {result} ELSE 'DUNNO' END WHERE {address}"


def write(config: Config, etc: Path, routes: Path) -> None:
    """Write the maps, for root alone: their readers open them before they give root up."""
    name = _secret_name(config)
    milter = f"{{ inet:127.0.0.1:{config.rspamd_proxy_port}, default_action=accept }}"
    # Postfix looks for the client's name first, which is "unknown" (smtpd_peername_lookup = no).
    address = "'%s' GLOB '*[.:]*'"
    # DUNNO: Postfix does not go on to ask for the networks of an address.
    for file, query in (
        ("unscanned-milter.cf", f"SELECT '{milter}' WHERE '%s' <> '' AND {_OPEN}"),
        ("unscanned-id.cf", _at_an(address, f"'PREPEND {name}-Id: ' || {_id()}")),
        ("unscanned-mark.cf", _at_an(address, f"'PREPEND {name}-Unchecked: yes; ip=' || '%s'")),
    ):
        layout.write(etc / file, f"dbpath = {routes}\nquery = {query}\n", 0o600)
    checks = f"/^{name}-(Id|Unchecked): (.*)/ REPLACE X-Beffroi-$1: $2\n/^X-Beffroi-/ IGNORE\n"
    layout.write(etc / "door-headers", checks, 0o600)


def is_open(until_s: int, *, now: int) -> bool:
    """As Postfix asks (``_OPEN``)."""
    return 0 < until_s - now <= LONGEST_S


def sentence(config: Config, *, now: int) -> str:
    """For `status`: that a term is open; "" when none is, or who asks may not read it."""
    routes = layout.Paths(config.state).routes
    try:
        with closing(sqlite3.connect(f"file:{routes}?mode=ro", uri=True)) as database:
            (until_s,) = database.execute("SELECT MAX(until_s) FROM unscanned").fetchone()
    except sqlite3.Error:
        return ""
    if until_s is None or not is_open(until_s, now=now):
        return ""
    end = datetime.fromtimestamp(until_s, UTC)
    return (
        f"Until {end:%Y-%m-%d %H:%M} UTC incoming mail passes unscanned while rspamd is away. "
        "Earlier end: ./beffroi mail unscanned stop"
    )


def _secret_name(config: Config) -> str:
    """Begins a header's name; the same at each start."""
    key = config.secret("mailgate.key")
    return "X-Beffroi-" + hmac.new(key, b"unscanned-header", hashlib.sha256).hexdigest()[:32]
