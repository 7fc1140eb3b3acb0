"""Aliases, catch-alls, reserved addresses, domains that move, in routes.sqlite: tables, and what Postfix asks of them.

Purpose: Postfix resolves aliases while every Python process is stopped, and a mailbox that closes is out of all aliases
         in the same moment: what is asked are views over the mailboxes that exist.
Process: written by the worker (``projections``); read by ``postfix`` and ``mailgate``. No Django.
Hostile: the addresses that Postfix asks for; it quotes them.
Source:  docs/decisions/0043-aliases-and-catch-all.md; sqlite_table(5), virtual(5), access(5).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field

SCHEMA = """
CREATE TABLE IF NOT EXISTS alias (address TEXT PRIMARY KEY, sends INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alias_target (address TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (address, target))
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS catch_all (domain TEXT PRIMARY KEY, target TEXT NOT NULL, until INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reserved (address TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS full_mailbox (address TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS moving (domain TEXT PRIMARY KEY, host TEXT NOT NULL) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS alias_live AS SELECT t.address, t.target, a.sends FROM alias_target t
  JOIN alias a ON a.address = t.address JOIN mailbox m ON m.address = t.target;
CREATE VIEW IF NOT EXISTS catch_all_live AS SELECT c.domain, c.target FROM catch_all c
  JOIN mailbox m ON m.address = c.target
  WHERE c.until > unixepoch() AND c.target NOT IN (SELECT address FROM full_mailbox);
"""

# A mailbox, and what is reserved, leads to itself: without these the catch-all would swallow them.
ALIASES_QUERY = (
    "SELECT target FROM alias_live WHERE address='%s'"
    " UNION ALL SELECT address FROM mailbox WHERE address='%s'"
    " UNION ALL SELECT address FROM reserved WHERE address='%s'"
    " UNION ALL SELECT target FROM catch_all_live WHERE '@' || domain='%s'"
)
_OPENING = "'450 4.3.2 Mailboxes of this server are being opened, try again later'"
CLOSED_QUERY = (
    f"SELECT {_OPENING} FROM opening WHERE address='%s'"  # noqa: S608 - no value of anybody's
    " UNION ALL SELECT '550 5.1.1 This address is closed' FROM reserved WHERE address='%s'"
    " UNION ALL SELECT '550 5.1.1 Nobody reads this address any more' FROM alias WHERE address='%s'"
    " AND NOT EXISTS (SELECT 1 FROM alias_live l WHERE l.address=alias.address)"
)
FULL_QUERY = (
    "SELECT answer FROM full_domain WHERE name='%s'"
    " UNION ALL SELECT '452 4.2.2 The mailboxes behind this address are full, try again later' FROM alias"
    " WHERE address='%s'"
    " AND EXISTS (SELECT 1 FROM alias_live l WHERE l.address=alias.address)"
    " AND NOT EXISTS (SELECT 1 FROM alias_live l WHERE l.address=alias.address"
    " AND l.target NOT IN (SELECT address FROM full_mailbox))"
)
SENDERS_QUERY = (
    "SELECT target FROM alias_live WHERE address='%s' AND sends=1"
    " UNION ALL SELECT login.login FROM alias_live JOIN login ON login.address=alias_live.target"
    " WHERE alias_live.address='%s' AND sends=1"
)
# Asked for whole addresses alone: without a domain, %d asks nothing.
AWAITED_QUERY = (
    f"SELECT {_OPENING} FROM awaited"  # noqa: S608 - no value of anybody's
    " WHERE until_s > unixepoch() AND '%d' <> '' AND NOT EXISTS (SELECT 1 FROM mailbox WHERE address='%s')"
)
# The same where people of ours write: what they send elsewhere is none of it.
AWAITED_HERE_QUERY = AWAITED_QUERY + " AND '%d' IN (SELECT name FROM domain)"  # noqa: S608 - no value of anybody's
# A domain that is moving: who is not here yet has the mailbox on the old server. Postfix asks for the whole address,
# then without "+detail", last for the domain; what is here ends the search.
MOVING_MAILBOXES_QUERY = "SELECT domain FROM moving WHERE '@' || domain='%s'"
MOVING_TRANSPORT_QUERY = (
    "SELECT ':' FROM mailbox WHERE address='%s'"
    " UNION ALL SELECT 'smtp:[' || host || ']' FROM moving WHERE domain='%s'"
)
MOVING_ACCESS_QUERY = (
    "SELECT 'DUNNO' FROM mailbox WHERE address='%s'"
    " UNION ALL SELECT 'DUNNO' FROM alias WHERE address='%s'"
    " UNION ALL SELECT 'beffroi_old_server' FROM moving WHERE domain='%s'"
)


@dataclass(frozen=True)
class MailRoutes:
    """All there is, each time. ``aliases``: address -> whether its readers may write with it; ``targets``: (address,
    mailbox); ``catch_alls``: (domain, mailbox, until in epoch seconds); ``reserved``: closed mailboxes and ended
    aliases; ``full``: mailboxes without room; ``moving``: domain -> host of the server that still has some of its
    mailboxes; ``left``: domains that are strangers' by now."""

    aliases: dict[str, bool] = field(default_factory=dict)
    targets: Collection[tuple[str, str]] = ()
    catch_alls: Collection[tuple[str, str, int]] = ()
    reserved: Collection[str] = ()
    full: Collection[str] = ()
    moving: Mapping[str, str] = field(default_factory=dict)
    left: Set[str] = frozenset()


def write(routes: sqlite3.Connection, wanted: MailRoutes) -> None:
    """Make the tables say this, in the caller's transaction; what is unchanged is not written."""
    # A domain may have no mailbox of its own.
    names = {one.rpartition("@")[2] for one in wanted.aliases} | {one[0] for one in wanted.catch_alls}
    routes.executemany(
        "INSERT OR IGNORE INTO domain (name) VALUES (?)", [(one,) for one in names - wanted.left]
    )
    _replace(routes, "alias", 2, {(address, int(sends)) for address, sends in wanted.aliases.items()})
    _replace(routes, "alias_target", 2, set(wanted.targets))
    _replace(routes, "catch_all", 3, set(wanted.catch_alls))
    _replace(routes, "reserved", 1, {(one,) for one in wanted.reserved})
    _replace(routes, "full_mailbox", 1, {(one,) for one in wanted.full})
    _replace(routes, "moving", 2, set(wanted.moving.items()))


def _replace(routes: sqlite3.Connection, table: str, columns: int, rows: set[tuple[object, ...]]) -> None:
    if set(routes.execute(f"SELECT * FROM {table}")) != rows:  # noqa: S608 - names of our own
        routes.execute(f"DELETE FROM {table}")  # noqa: S608
        places = ", ".join("?" * columns)
        routes.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608
