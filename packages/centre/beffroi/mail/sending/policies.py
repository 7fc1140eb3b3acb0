"""The projection that tells Postfix which partners demand a proved certificate, and with whom the Département demands
encryption: projections/tls-policy.sqlite.

Purpose: MTA-STS holds while every Python process is stopped.
Process: written by sources; read by ``postfix`` (proxymap), as the other projections are.
Format:  one row a domain, kept also where it demands nothing: when it was asked. What is over answers nothing.
Source:  mail/projections.py for why it is never replaced by rename; mail/lookup_tables.py for how it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.mail import lookup_tables
from beffroi.mail.projections import Owner
from beffroi.mail.sending.sts import Known

QUERY = (
    "SELECT row FROM (SELECT row, 0 AS n FROM policy WHERE domain='%s' AND row<>'' AND until_s>CAST(strftime('%%s','now') AS INTEGER)"  # noqa: E501
    " UNION ALL SELECT row, 1 AS n FROM chosen WHERE domain='%s') ORDER BY n LIMIT 1"
)
"""A policy of the partner's own says more than that it was chosen."""
SENDERS_QUERY = "SELECT 'reject_plaintext_session' FROM chosen WHERE domain='%s'"
"""Asked with the domain of who sends to us, and with each one above it."""
CHOSEN_ROWS = ("encrypt", "dane-only")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS policy (domain TEXT PRIMARY KEY, id TEXT NOT NULL, row TEXT NOT NULL,
  until_s INTEGER NOT NULL, asked_s INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chosen (domain TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
"""


def path(config: Config) -> Path:
    return config.state / "projections" / "tls-policy.sqlite"


def create(config: Config, *, python: Owner) -> None:
    """Make the file where it is missing; the folder is ``projections.create``'s."""
    lookup_tables.give(path(config), uid=python.uid, gid=python.gid, mode=0o644)
    with lookup_tables.writing(path(config)) as connection:
        connection.executescript(_SCHEMA)


def known(config: Config, domain: str) -> Known:
    with lookup_tables.writing(path(config)) as connection:
        found = connection.execute("SELECT * FROM policy WHERE domain = ?", (domain,)).fetchone()
    return Known(*found) if found else Known(domain)


def put(config: Config, one: Known) -> None:
    with lookup_tables.writing(path(config)) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO policy (domain, id, row, until_s, asked_s) VALUES (?, ?, ?, ?, ?)",
            (one.domain, one.id, one.row, one.until_s, one.asked_s),
        )


def chosen(config: Config) -> dict[str, str]:
    """Partners with whom mail passes encrypted or not at all, with Postfix's row for what we send."""
    with lookup_tables.writing(path(config)) as connection:
        return dict(connection.execute("SELECT domain, row FROM chosen"))


def put_chosen(config: Config, rows: Mapping[str, str]) -> None:
    """Make the projection say exactly these."""
    with lookup_tables.writing(path(config)) as connection:
        before = dict(connection.execute("SELECT domain, row FROM chosen"))
        if before == rows:
            return
        connection.execute("DELETE FROM chosen")
        connection.executemany("INSERT INTO chosen (domain, row) VALUES (?, ?)", rows.items())


def due(config: Config, *, asked_before_s: int, limit: int) -> list[Known]:
    """Those with something demanded that were not asked since; the oldest first."""
    with lookup_tables.writing(path(config)) as connection:
        rows = connection.execute(
            "SELECT * FROM policy WHERE row <> '' AND asked_s < ? ORDER BY asked_s LIMIT ?",
            (asked_before_s, limit),
        )
        return [Known(*row) for row in rows]
