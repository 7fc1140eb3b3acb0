"""The old mailbox, over IMAP: folders, heads, mails. One connection, read only.

Process: a child of ``import`` with limits of memory and time.
Hostile: the server and everything it says. The name is looked up once and its addresses are checked, so an address
         typed on a page reaches nothing behind the centre; TLS always, certificate and name always verified; whatever
         is no IMAP becomes an error of ours. Names, passwords and answers never reach the log.
Fails:   closed (errors.py).
Source:  RFC 9051, RFC 6154, RFC 8314.
"""

from __future__ import annotations

import imaplib
import ipaddress
import logging
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import imapclient
from imapclient import imap_utf7
from imapclient.exceptions import CapabilityError, IMAPClientAbortError, IMAPClientError, LoginError

from beffroi.lib import clock, public
from beffroi.lib.config import Config
from beffroi.mail.decoding import fetched
from beffroi.mail.importing import letters
from beffroi.mail.importing.errors import (
    AddressInside,
    ImportStopped,
    NotTrusted,
    NotUnderstood,
    SignInRefused,
    Throttled,
    TooManyFolders,
    Unreachable,
)
from beffroi.mail.importing.letters import Head

TIMEOUT_S = 60.0
MAX_FOLDERS = 900
"""The mailbox's page lists 1,000, and the form that chooses among these is one request of as many fields."""
PORTS = {"implicit": 993, "starttls": 143}
UID_WINDOW = 20_000
"""UIDs asked for in one SEARCH: its answer is one line, and imaplib takes no line above 1 MB."""
_LAST_UID = 2**32 - 1
_HEAD_FIELDS = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]"
_HEAD = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", _HEAD_FIELDS]
_BUSY = re.compile(
    r"\[(?:THROTTLED|OVERQUOTA|LIMIT|INUSE|UNAVAILABLE)\]|too many|bandwidth|try again later", re.I
)
_NO_IMAP = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, MemoryError, RecursionError,
)  # fmt: skip
"""What a parser raises on what is no IMAP."""
# It would write commands and answers: at no level of ours.
logging.getLogger("imapclient").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Where:
    """An account at an old provider. ``tls``: "implicit" or "starttls"."""

    host: str
    port: int
    tls: str
    username: str
    password: str


@dataclass(frozen=True)
class OldFolder:
    """``total``: mails in it."""

    name: str
    delimiter: str
    flags: tuple[str, ...]
    total: int


@dataclass(frozen=True)
class Selected:
    uidvalidity: int
    uidnext: int
    total: int


class _Checked(imaplib.IMAP4):
    """Connects to addresses that were checked: the name is not asked again, so it cannot answer differently."""

    def __init__(self, where: Where, addresses: Sequence[str], context: ssl.SSLContext | None) -> None:
        self._addresses, self._tls = addresses, context
        super().__init__(where.host, where.port, timeout=TIMEOUT_S)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        failure: OSError = OSError("no address")
        for address in self._addresses:
            try:
                plain = socket.create_connection((address, self.port), timeout=timeout)
            except OSError as error:
                failure = error
                continue
            return self._tls.wrap_socket(plain, server_hostname=self.host) if self._tls else plain
        raise failure


class _Client(imapclient.IMAPClient):  # type: ignore[misc]
    def __init__(self, where: Where, addresses: Sequence[str], context: ssl.SSLContext) -> None:
        self._where, self._addresses, self._context = where, addresses, context
        implicit = where.tls == "implicit"
        super().__init__(where.host, where.port, ssl=implicit, timeout=TIMEOUT_S)
        self.normalise_times = False
        self.folder_encode = False  # _name and _wire know what servers send that follow no standard
        self._imap._encoding = "latin-1"  # any byte as it is: imaplib's own is ASCII
        if not implicit:
            self.starttls(context)

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - imapclient's name
        return _Checked(
            self._where, self._addresses, self._context if self._where.tls == "implicit" else None
        )


@contextmanager
def open_source(config: Config, where: Where) -> Iterator[OldMailbox]:
    """Sign in at the old provider. Errors: ImportStopped of every kind."""
    addresses = _addresses(config, where)
    context = ssl.create_default_context()
    if config.import_ca:
        context.load_verify_locations(cafile=config.import_ca)
    with _speaking(where.host):
        client = _Client(where, addresses, context)
    try:
        with _speaking(where.host):
            if client.has_capability("AUTH=PLAIN"):
                client.plain_login(where.username, where.password)
            else:
                # imaplib quotes the password alone: a name such as MAIRIE\agent is no atom.
                client.login(client._imap._quote(_bytewise(where.username)), _bytewise(where.password))
        yield OldMailbox(client, where.host)
    finally:
        try:
            client.logout()
        except (OSError, IMAPClientError, ValueError):
            pass


def _addresses(config: Config, where: Where) -> list[str]:
    """The host's addresses, all of which may be asked. Errors: Unreachable, AddressInside."""
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(where.host) from None
    networks = [ipaddress.ip_network(text) for text in config.import_networks.split()]
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        address = public.reached(text)
        if any(address in network for network in networks):
            continue
        if not public.is_public(address) or where.port != PORTS.get(where.tls):
            raise AddressInside(where.host)
    return addresses


@contextmanager
def _speaking(host: str) -> Iterator[None]:
    """Whatever goes wrong while talking, as an error of ours; what the server said stays here."""
    try:
        yield
    except ImportStopped:
        raise
    except ssl.SSLCertVerificationError:
        raise NotTrusted(host) from None
    except LoginError as error:
        if _BUSY.search(str(error)):
            raise Throttled(host) from None
        cut = isinstance(error.__context__, IMAPClientAbortError)
        raise (Unreachable if cut else SignInRefused)(host) from None
    except IMAPClientAbortError as error:
        raise (Throttled if _BUSY.search(str(error)) else Unreachable)(host) from None
    except OSError:
        raise Unreachable(host) from None
    except CapabilityError:
        raise NotTrusted(host) from None  # it offers no TLS
    except IMAPClientError as error:
        raise (Throttled if _BUSY.search(str(error)) else NotUnderstood)(host) from None
    except _NO_IMAP:
        raise NotUnderstood(host) from None


class OldMailbox:
    """An open old mailbox. Every method raises ImportStopped."""

    def __init__(self, client: Any, host: str) -> None:
        self._client, self._host = client, host

    def folders(self) -> list[OldFolder]:
        """Those that hold mails, with their number."""
        found = {}
        with _speaking(self._host):
            listed = self._listed()
            if len(listed) > MAX_FOLDERS:
                raise TooManyFolders(self._host)
            for raw, (words, delimiter) in listed.items():
                total = self._total(raw)
                if total is not None:
                    found[_name(raw)] = OldFolder(_name(raw), delimiter, words, total)
        return list(found.values())

    def _listed(self, pattern: str = "*") -> dict[bytes, tuple[tuple[str, ...], str]]:
        """Folders that can be opened, by their name on the wire: flags and delimiter."""
        found = {}
        for flags, delimiter, name in self._client.list_folders("", pattern):
            words = tuple(_text(flag) for flag in flags)
            if not {word.lower() for word in words} & {"\\noselect", "\\nonexistent"}:
                raw = name if isinstance(name, bytes) else str(name).encode()
                found[raw] = (words, _text(delimiter or b""))
        return found

    def _total(self, raw: bytes) -> int | None:
        try:
            return int(self._client.folder_status(raw.decode("latin-1"), ["MESSAGES"])[b"MESSAGES"])
        except IMAPClientAbortError:
            raise
        except (IMAPClientError, KeyError) as error:
            if _BUSY.search(str(error)):
                raise
            return None  # a folder that is listed and does not open

    def select(self, name: str) -> Selected | None:
        """None for a folder that is no more."""
        with _speaking(self._host):
            for wire in _wire(name):
                try:
                    answer = self._client.select_folder(wire, readonly=True)
                except IMAPClientAbortError:
                    raise
                except IMAPClientError:
                    if wire.encode("latin-1") in self._listed(wire):
                        raise
                    continue
                return selected(answer)
        return None

    def uids(self, selected: Selected, *, after: int) -> Iterator[list[int]]:
        """Lists of UIDs above ``after``, ascending."""
        with _speaking(self._host):
            yield from uid_lists(self._client, selected, after=after)

    def heads(self, uids: Sequence[int]) -> list[Head]:
        """In the order of ``uids``; a mail that is gone meanwhile is left out."""
        with _speaking(self._host):
            rows = self._client.fetch(uids, _HEAD)
            return [head(uid, rows[uid]) for uid in uids if uid in rows]

    def bodies(self, uids: Sequence[int]) -> dict[int, bytes]:
        """Whole mails; one that the server cannot give is left out."""
        with _speaking(self._host):
            try:
                rows = self._client.fetch(uids, ["BODY.PEEK[]"])
            except IMAPClientAbortError:
                raise
            except IMAPClientError as error:
                if _BUSY.search(str(error)):
                    raise
                if len(uids) == 1:
                    return {}
                rows = None
            if rows is not None:
                found = {uid: rows[uid].get(b"BODY[]") for uid in uids if uid in rows}
                return {uid: raw for uid, raw in found.items() if isinstance(raw, bytes)}
        # One of them spoils the answer: ask for each alone.
        return {uid: raw for one in uids for uid, raw in self.bodies([one]).items()}


def selected(answer: dict[bytes, Any]) -> Selected:
    """What SELECT said of a folder."""
    numbers = (int(answer.get(name, 0)) for name in (b"UIDVALIDITY", b"UIDNEXT", b"EXISTS"))
    return Selected(*numbers)


def uid_lists(client: Any, folder: Selected, *, after: int) -> Iterator[list[int]]:
    """Lists of UIDs above ``after`` in the folder that is selected, ascending."""
    if not folder.total:
        return
    last = folder.uidnext - 1 if folder.uidnext else _LAST_UID
    start = after + 1
    while start <= last:
        end = last if folder.total <= UID_WINDOW or not folder.uidnext else start + UID_WINDOW - 1
        found = [int(one) for one in client.search(["UID", f"{start}:{min(end, last)}"])]
        # "n:m" with m below n names m too, so the answer may hold what was not asked for.
        if wanted := sorted(one for one in set(found) if start <= one <= min(end, last)):
            yield wanted
        start = end + 1


def head(uid: int, row: dict[bytes, Any]) -> Head:
    """What FETCH said of one mail. Used for both mailboxes, so that both give the same key."""
    at = row.get(b"INTERNALDATE")
    size = row.get(b"RFC822.SIZE", 0)
    fields = fetched(row).replace(b"\r\n", b"\n")
    size_bytes = size if isinstance(size, int) else 0
    date = letters.field(fields, b"date")
    return Head(
        uid,
        letters.kept_flags([one for one in row.get(b"FLAGS", ()) if isinstance(one, bytes)]),
        at if isinstance(at, datetime) and at.tzinfo else letters.dated(date) or clock.now(),
        size_bytes,
        letters.partial_key(fields, size_bytes),
    )


def _name(raw: bytes) -> str:
    """A folder's name as people read it. Servers should send modified UTF-7 (RFC 3501); some pass on what a program
    once sent them: "R&D", or UTF-8."""
    try:
        name = str(imap_utf7.decode(raw))
        if imap_utf7.encode(name) == raw and "\0" not in name:
            return name
    except UnicodeError:
        pass
    return raw.decode("utf-8", "replace").replace("\0", "\ufffd")


def _wire(name: str) -> list[str]:
    """How the server may call a folder, byte by byte; what it should be called first."""
    return list(dict.fromkeys((_bytewise(imap_utf7.encode(name).decode()), _bytewise(name))))


def _bytewise(text: str) -> str:
    return text.encode().decode("latin-1")


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
