"""The two small databases that Postfix and Dovecot read.

Purpose: routes.sqlite (no secrets) tells Postfix which domains and mailboxes exist, and mailgate whose they are;
         auth.sqlite tells Dovecot where a mailbox lies, its key, and its app passwords. Mail flows and people sign in
         while every Python process is stopped. sieve/ holds one script a mailbox, where its owner set something.
Process: written by the worker's consumers only; read by ``postfix``, ``dovecot`` and ``mailgate``; scripts by delivery.
Hostile: nothing; values come from our own tables.
Format:  routes.sqlite as ``lookup_tables`` writes it; auth.sqlite in journal_mode DELETE: Dovecot waits for a lock,
         and no key stays in a log. Never replaced by rename: proxymap and auth-worker hold the file open.
Source:  docs/internals/mail-engines.md.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from beffroi.lib import durable
from beffroi.lib.config import Config
from beffroi.mail import alias_routes, lookup_tables
from beffroi.mail.alias_routes import MailRoutes
from beffroi.mail.engines.layout import Paths
from beffroi.mail.key_pairs import KeyPair

CLOSED_NAME = "@boite-fermee.invalid"
"""End of the name by which a job opens a closed mailbox (mail/closing/opening.py); no address ends so."""
FULL_ANSWER = "452 4.2.2 The mailboxes of this domain are full, try again later"
_ROUTES = (
    """
CREATE TABLE IF NOT EXISTS domain (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mailbox (address TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS opening (address TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS full_domain (name TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (account TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owner (domain TEXT PRIMARY KEY, collectivite_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS relay (login TEXT PRIMARY KEY, version INTEGER NOT NULL, hour INTEGER NOT NULL,
  recipients TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS login (login TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS login_address ON login (address);
CREATE TABLE IF NOT EXISTS attachment_policy (collectivite_id TEXT PRIMARY KEY, allowed TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unscanned (until_s INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS awaited (until_s INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS untold (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TRIGGER IF NOT EXISTS domain_came AFTER INSERT ON domain BEGIN INSERT INTO untold VALUES (NULL); END;
CREATE TRIGGER IF NOT EXISTS domain_went AFTER DELETE ON domain BEGIN INSERT INTO untold VALUES (NULL); END;
"""  # noqa: S608 - names of our own
    + alias_routes.SCHEMA
)
_AUTH = """
CREATE TABLE IF NOT EXISTS mailbox (id TEXT PRIMARY KEY, address TEXT NOT NULL UNIQUE, private_key TEXT NOT NULL,
  public_key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS app_password (id TEXT NOT NULL, address TEXT NOT NULL, sha256 TEXT NOT NULL,
  protocol TEXT NOT NULL, PRIMARY KEY (address, sha256, protocol)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS app_password_id ON app_password (id);
CREATE TABLE IF NOT EXISTS quota (address TEXT PRIMARY KEY, mib INTEGER NOT NULL) WITHOUT ROWID;
"""


class Owner(Protocol):
    """The system user that writes here."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...


def _folder(config: Config) -> Path:
    return config.state / "projections"


@contextmanager
def _auth(config: Config) -> Iterator[sqlite3.Connection]:
    """One transaction, on disk when the block ends."""
    with closing(sqlite3.connect(Paths(config.state).auth, timeout=10)) as auth:
        auth.execute("PRAGMA journal_mode = delete")
        auth.execute("PRAGMA synchronous = full")
        # A key that was taken out must not stay in the file's free pages.
        auth.execute("PRAGMA secure_delete = on")
        with auth:
            yield auth


@contextmanager
def _routes(config: Config) -> Iterator[sqlite3.Connection]:
    """Whoever comes first makes the tables: nothing in them is secret."""
    with lookup_tables.writing(Paths(config.state).routes) as routes:
        routes.executescript(_ROUTES)
        yield routes


def _replace(config: Config, table: str, columns: str, wanted: Collection[tuple[str | int, ...]]) -> None:
    """Make a table of the routes say exactly this; one that does is left alone."""
    with _routes(config) as routes:
        if set(routes.execute(f"SELECT {columns} FROM {table}")) != set(wanted):  # noqa: S608 - names of our own
            routes.execute(f"DELETE FROM {table}")  # noqa: S608
            marks = ", ".join("?" for _ in columns.split(","))
            routes.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", wanted)  # noqa: S608


def create(config: Config, *, python: Owner, dovecot_gid: int, mail_gid: int) -> None:
    """Make both files and the folder of scripts when they are missing, with their owners and modes."""
    folder = _folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, python.uid, python.gid)
    folder.chmod(0o711)
    lookup_tables.give(Paths(config.state).routes, uid=python.uid, gid=python.gid, mode=0o644)
    lookup_tables.give(Paths(config.state).auth, uid=python.uid, gid=dovecot_gid, mode=0o640)
    with _auth(config) as auth:
        auth.executescript(_AUTH)
    _put_logins(config)
    # What lies in it is of the folder's group (setgid), so that delivery, which is nobody else, may read it.
    scripts = folder / "sieve"
    scripts.mkdir(exist_ok=True)
    os.chown(scripts, python.uid, mail_gid)
    scripts.chmod(0o2750)


def _put_logins(config: Config) -> None:
    """Tell Postfix of each app password that Dovecot knows for submission."""
    with _auth(config) as auth:
        known = auth.execute("SELECT address, id FROM app_password WHERE protocol = 'smtp'").fetchall()
    with _routes(config) as routes:
        for address, app_password_id in known:
            _put_login(routes, address, app_password_id)


def _put_login(routes: sqlite3.Connection, address: str, app_password_id: str) -> None:
    login = f"{address}@{app_password_id}"
    routes.execute("INSERT OR IGNORE INTO login (login, address) VALUES (?, ?)", (login, address))


def put_mailbox_auth(config: Config, *, mailbox_id: str, address: str, pair: KeyPair) -> None:
    """Let Dovecot know a mailbox; Postfix learns of it only when Dovecot has opened it (``put_route``)."""
    with _auth(config) as auth:
        auth.execute("DELETE FROM mailbox WHERE address = ? AND id <> ?", (address, mailbox_id))
        auth.execute(
            "INSERT INTO mailbox (id, address, private_key, public_key) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET address = excluded.address, private_key = excluded.private_key,"
            " public_key = excluded.public_key",
            (mailbox_id, address, pair.private, pair.public),
        )


def open_closed(config: Config, *, mailbox_id: str, name: str, pair: KeyPair) -> bool:
    """Let Dovecot know a closed mailbox under ``name``; False where it knows it by its address."""
    with _auth(config) as auth:
        auth.execute(
            "INSERT OR IGNORE INTO mailbox (id, address, private_key, public_key) VALUES (?, ?, ?, ?)",
            (mailbox_id, name, pair.private, pair.public),
        )
        found = auth.execute("SELECT address FROM mailbox WHERE id = ?", (mailbox_id,)).fetchone()
    return bool(found == (name,))


def forget_closed(config: Config) -> None:
    """Take every closed mailbox out again; one that was reopened meanwhile has its address, and stays."""
    if Paths(config.state).auth.exists():
        with _auth(config) as auth:
            auth.execute("DELETE FROM mailbox WHERE address LIKE ?", (f"%{CLOSED_NAME}",))


def put_owners(config: Config, owners: Mapping[str, str]) -> None:
    """Tell the mail door whose each domain is. ``owners``: domain -> collectivité, all of them."""
    _replace(config, "owner", "domain, collectivite_id", owners.items())


def remove_domains(config: Config, names: Collection[str]) -> None:
    """Postfix takes nothing for these any more; a mailbox that is opened again brings its domain back."""
    with _routes(config) as routes:
        known = {name for (name,) in routes.execute("SELECT name FROM domain")}
        if gone := known & set(names):
            routes.executemany("DELETE FROM domain WHERE name = ?", [(one,) for one in gone])


def tell_of_domains(config: Config, tell: Callable[[], None]) -> None:
    """Call ``tell`` when a domain came or went since it last ended well. Errors: its own; then it is called again."""
    with _routes(config) as routes:
        (newest,) = routes.execute("SELECT max(id) FROM untold").fetchone()
    if newest is not None:
        tell()
        with _routes(config) as routes:
            routes.execute("DELETE FROM untold WHERE id <= ?", (newest,))


def put_held(config: Config, accounts: Collection[str]) -> None:
    """Tell the mail door which accounts may not send until a person gives them back: all of them."""
    _replace(config, "held", "account", [(one,) for one in accounts])


def put_unscanned(config: Config, until_s: int | None) -> None:
    """Until when (epoch seconds) incoming mail passes while rspamd is away; None: it waits."""
    with _routes(config) as routes:
        routes.execute("DELETE FROM unscanned")
        if until_s is not None:
            routes.execute("INSERT INTO unscanned (until_s) VALUES (?)", (until_s,))


def unscanned_until_s(config: Config) -> int | None:
    """The term that stands there, over or not."""
    with _routes(config) as routes:
        row = routes.execute("SELECT MAX(until_s) FROM unscanned").fetchone()
    return None if row[0] is None else int(row[0])


def await_mailboxes(config: Config, addresses: Collection[str], *, until_s: int) -> None:
    """Until then (epoch seconds) mail for unknown addresses is to come again later. Domains are said at once: Postfix
    remembers of an address that its domain is not ours."""
    domains = {one.rpartition("@")[2] for one in addresses}
    with _routes(config) as routes:
        routes.execute("DELETE FROM awaited")
        routes.execute("INSERT INTO awaited (until_s) VALUES (?)", (until_s,))
        routes.executemany("INSERT OR IGNORE INTO domain (name) VALUES (?)", [(one,) for one in domains])


def await_no_more(config: Config) -> None:
    """Mail for unknown addresses is refused again."""
    with _routes(config) as routes:
        routes.execute("DELETE FROM awaited")


def awaited_until_s(config: Config) -> int | None:
    """The term that stands there, over or not."""
    with _routes(config) as routes:
        row = routes.execute("SELECT MAX(until_s) FROM awaited").fetchone()
    return None if row[0] is None else int(row[0])


def routed(config: Config) -> set[str]:
    """Addresses of mailboxes that Postfix knows."""
    with _routes(config) as routes:
        return {address for (address,) in routes.execute("SELECT address FROM mailbox")}


def put_quota(config: Config, *, address: str, mib: int | None) -> None:
    """Let a mailbox have another limit than the usual one; None takes it back. Dovecot asks at each sign-in."""
    with _auth(config) as auth:
        if mib is None:
            auth.execute("DELETE FROM quota WHERE address = ?", (address,))
        else:
            auth.execute("INSERT OR REPLACE INTO quota (address, mib) VALUES (?, ?)", (address, mib))


def put_full_domains(config: Config, domains: Collection[str]) -> None:
    """Tell Postfix which domains take no more mail, because their collectivité is over its limit: all of them."""
    _replace(config, "full_domain", "name, answer", [(one, FULL_ANSWER) for one in domains])


def put_attachment_policies(config: Config, policies: Mapping[str, str]) -> None:
    """Tell the mail door what each collectivité lets pass: codes with spaces between, all of them."""
    _replace(config, "attachment_policy", "collectivite_id, allowed", policies.items())


def put_relays(config: Config, relays: Mapping[str, tuple[int, int, str]]) -> None:
    """Tell the mail door what each relay of copiers may send: login -> (version of the policy, mails within an hour,
    addresses and ``@domain`` with spaces between), all of them."""
    rows = [(login, *row) for login, row in relays.items()]
    _replace(config, "relay", "login, version, hour, recipients", rows)


def relay_version(config: Config, *, login: str) -> int:
    """Of which version of its policy the mail door knows what this relay may send; 0 for none."""
    path = Paths(config.state).routes
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as routes:
            row = routes.execute("SELECT version FROM relay WHERE login = ?", (login,)).fetchone()
    except sqlite3.Error:  # a file from before this table, which the worker brings up to date
        return 0
    return int(row[0]) if row else 0


def put_aliases(config: Config, wanted: MailRoutes) -> None:
    """Tell Postfix and the mail door of aliases, catch-alls and addresses that stay closed: all of them."""
    with _routes(config) as routes:
        alias_routes.write(routes, wanted)


def put_opening(config: Config, addresses: Collection[str]) -> None:
    """Mail for these is to come again later: Dovecot is about to open them."""
    domains = {one.rpartition("@")[2] for one in addresses}
    with _routes(config) as routes:
        routes.executemany("DELETE FROM reserved WHERE address = ?", [(one,) for one in addresses])
        routes.executemany(
            "INSERT OR IGNORE INTO opening (address) VALUES (?)", [(one,) for one in addresses]
        )
        routes.executemany("INSERT OR IGNORE INTO domain (name) VALUES (?)", [(one,) for one in domains])


def put_route(config: Config, *, address: str) -> None:
    with _routes(config) as routes:
        routes.execute("DELETE FROM reserved WHERE address = ?", (address,))
        routes.execute("DELETE FROM opening WHERE address = ?", (address,))
        routes.execute("INSERT OR IGNORE INTO domain (name) VALUES (?)", (address.rpartition("@")[2],))
        routes.execute("INSERT OR IGNORE INTO mailbox (address) VALUES (?)", (address,))


def has_mailbox(config: Config, *, address: str) -> bool:
    """Whether Dovecot knows it."""
    with _auth(config) as auth:
        return auth.execute("SELECT 1 FROM mailbox WHERE address = ?", (address,)).fetchone() is not None


def has_route(config: Config, *, address: str) -> bool:
    """Whether Postfix accepts mail for it; False before the engines were ever prepared."""
    if not Paths(config.state).routes.exists():
        return False
    with _routes(config) as routes:
        return routes.execute("SELECT 1 FROM mailbox WHERE address = ?", (address,)).fetchone() is not None


def remove_mailbox(config: Config, *, mailbox_id: str, address: str) -> None:
    """Take a closed mailbox out: first the route, so that nothing is accepted for it any more, not even by a
    catch-all."""
    with _routes(config) as routes:
        for table in ("mailbox", "opening", "login"):
            routes.execute(f"DELETE FROM {table} WHERE address = ?", (address,))  # noqa: S608 - names of our own
        routes.execute(
            "INSERT OR IGNORE INTO reserved SELECT ? WHERE NOT EXISTS (SELECT 1 FROM alias WHERE address = ?)",
            (address, address),
        )
    with _auth(config) as auth:
        auth.execute("DELETE FROM app_password WHERE address = ?", (address,))
        auth.execute("DELETE FROM quota WHERE address = ?", (address,))
        auth.execute("DELETE FROM mailbox WHERE id = ?", (mailbox_id,))


def known(config: Config) -> tuple[dict[str, str], list[str]]:
    """What Dovecot knows by now: mailbox -> address, and app passwords."""
    with _auth(config) as auth:
        mailboxes = dict(auth.execute("SELECT id, address FROM mailbox").fetchall())
        return mailboxes, [one for (one,) in auth.execute("SELECT DISTINCT id FROM app_password")]


def opens(config: Config, *, addresses: Collection[str], app_passwords: Collection[str]) -> bool:
    """Whether an engine would still let one of these mailboxes be opened, take mail for it or know such a password.
    Where a file is missing no engine was prepared, and it knows nobody."""
    if Paths(config.state).routes.exists():
        with _routes(config) as routes:
            if _any(routes, "mailbox", "address", addresses):
                return True
    if not Paths(config.state).auth.exists():
        return False
    with _auth(config) as auth:
        return (
            _any(auth, "mailbox", "address", addresses)
            or _any(auth, "app_password", "address", addresses)
            or _any(auth, "app_password", "id", app_passwords)
        )


def _any(database: sqlite3.Connection, table: str, column: str, values: Collection[str]) -> bool:
    asked = f"SELECT 1 FROM {table} WHERE {column} = ?"  # noqa: S608 - names of our own
    return any(database.execute(asked, (one,)).fetchone() for one in values)


class Opens(NamedTuple):
    """What an app password opens now: these mailboxes, by these protocols (as Dovecot names them)."""

    addresses: Collection[str]
    sha256: str
    protocols: Collection[str]


def put_app_passwords(
    config: Config, app_password_ids: Collection[str], read: Callable[[Collection[str]], Mapping[str, Opens]]
) -> list[str]:
    """Let them open what ``read`` says, nothing any more where it does not name them; return these.

    ``read`` is asked while nobody else writes here: what another thread read before a revocation is never written after
    it. What Postfix knows of one is only added to: a session of an account that is held is told so by the mail door. An
    open submission session of one that was taken out sends no further mail: Postfix asks at each.
    """
    if not app_password_ids:
        return []
    with _auth(config) as auth:
        auth.execute("BEGIN IMMEDIATE")
        found = read(app_password_ids)
        auth.executemany("DELETE FROM app_password WHERE id = ?", [(one,) for one in app_password_ids])
        logins = [(a, one) for one, it in found.items() if "smtp" in it.protocols for a in it.addresses]
        if logins:
            with _routes(config) as routes:
                for address, one in logins:
                    _put_login(routes, address, one)
        auth.executemany(
            "INSERT OR REPLACE INTO app_password (id, address, sha256, protocol) VALUES (?, ?, ?, ?)",
            [(one, a, it.sha256, p) for one, it in found.items() for a in it.addresses for p in it.protocols],
        )
    ended = [one for one in app_password_ids if one not in found]
    if ended:
        with _routes(config) as routes:
            routes.executemany(
                "DELETE FROM login WHERE substr(login, -?) = ?", [(len(one) + 1, f"@{one}") for one in ended]
            )
    return ended


def put_own_script(config: Config, *, mailbox_id: str, script: str) -> None:
    """The same for the script of the owner's mail program, which runs after ours."""
    put_script(config, mailbox_id=f"{mailbox_id}.own", script=script)


def put_script(config: Config, *, mailbox_id: str, script: str) -> None:
    """Replace the Sieve script of a mailbox in one step, or take it away (""); the next delivery runs it."""
    path = _folder(config) / "sieve" / f"{mailbox_id}.sieve"
    if script:
        durable.write(path, (script.encode(),), mode=0o640)
    else:
        path.unlink(missing_ok=True)
