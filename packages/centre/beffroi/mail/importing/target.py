"""The new mailbox, over IMAP on loopback with a short token: what it holds already, and mails added to it.

Process: a child of ``import``. Dovecot encrypts what is appended with the mailbox's own key, whoever is away; it is no
         delivery, so neither the journal nor anything that counts mail hears of it.
Fails:   NewMailboxAway (retried) when Dovecot does not answer.
Source:  RFC 9051; RFC 3502 (several mails in one APPEND: all or none).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from typing import Any

import imapclient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from beffroi.lib.config import Config
from beffroi.mail import tokens
from beffroi.mail.engines import layout
from beffroi.mail.folders import numbers
from beffroi.mail.importing import letters, source
from beffroi.mail.importing.errors import NewMailboxAway
from beffroi.mail.importing.letters import Letter
from beffroi.mail.importing.source import Selected

TIMEOUT_S = 120.0
FETCH = 1000
_AWAY = re.compile(r"\[(?:TRYCREATE|SERVERBUG|UNAVAILABLE|INUSE|NOPERM)\]")
"""Says nothing of the mail: its owner deleted the folder meanwhile, the storage takes nothing."""
_APPENDUID = re.compile(rb"\[APPENDUID \d+ ([\d:,]+)\]")
_FIELDS = ["RFC822.SIZE", "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]"]


@contextmanager
def open_target(config: Config, address: str) -> Iterator[NewMailbox]:
    """Errors: NewMailboxAway."""
    client = None
    try:
        client = imapclient.IMAPClient(layout.LOOPBACK, config.imap_local_port, ssl=False, timeout=TIMEOUT_S)
        client.normalise_times = False
        client.oauthbearer_login(address, tokens.mailbox_token(config, address))
        yield NewMailbox(client)
    except (OSError, IMAPClientError):
        raise NewMailboxAway from None
    finally:
        if client is not None:
            try:
                client.logout()
            except (OSError, IMAPClientError):
                pass


@dataclass(frozen=True)
class Saved:
    """What became of a mail. ``reason``: why it was refused ("mailbox_full", "too_large", "refused"), or "". ``uid``:
    its number in the folder; 0 where that is not known."""

    reason: str = ""
    uid: int = 0


class NewMailbox:
    """An open new mailbox. Errors of every method: NewMailboxAway, by ``open_target``."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def ensure(self, folder: str) -> bool:
        """The folder is there and shown afterwards. True where it was made now."""
        if self._is_there(folder):
            return False
        self.client.create_folder(folder)
        self.client.subscribe_folder(folder)
        return True

    def _is_there(self, folder: str) -> bool:
        """What is only above another folder is listed and does not open."""
        listed = self.client.list_folders("", folder)
        return any({b"\\Noselect", b"\\NonExistent"}.isdisjoint(flags) for flags, _, _ in listed)

    def numbers(self, folder: str) -> tuple[int, int]:
        """UIDVALIDITY and UIDNEXT."""
        found = self.client.folder_status(folder, ["UIDVALIDITY", "UIDNEXT"])
        return int(found[b"UIDVALIDITY"]), int(found[b"UIDNEXT"])

    def known(self, folder: str) -> set[bytes]:
        """Keys of the mails in a folder; empty when there is none."""
        if not self._is_there(folder):
            return set()
        selected = source.selected(self.client.select_folder(folder, readonly=True))
        return {key for _, key in keyed(self.client, selected)}

    def append(self, folder: str, found: Sequence[Letter]) -> list[Saved]:
        """Save mails; return for each what became of it."""
        if len(found) > 1:
            messages = [{"msg": one.data, "flags": one.flags, "date": one.at} for one in found]
            try:
                kind, told = self.client.multiappend(folder, messages)
            except IMAPClientAbortError:
                raise
            except IMAPClientError:
                kind, told = "BAD", []
            if kind == "OK":
                uids = _appended(told[-1] if told else b"")
                return [Saved(uid=one) for one in (uids if len(uids) == len(found) else [0] * len(found))]
        return [self._append(folder, one) for one in found]

    def _append(self, folder: str, one: Letter) -> Saved:
        try:
            told = self.client.append(folder, one.data, one.flags, one.at)
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            text = str(error).upper()
            if _AWAY.search(text):
                raise
            if "OVERQUOTA" in text:
                return Saved("mailbox_full")
            return Saved("too_large" if "TOOBIG" in text or "[LIMIT]" in text else "refused")
        return Saved(uid=next(iter(_appended(told)), 0))


def keyed(client: Any, selected: Selected, *, after: int = 0) -> Iterator[tuple[int, bytes]]:
    """Number and key of each mail above ``after`` in the folder that is open."""
    for uids in source.uid_lists(client, selected, after=after):
        for some in batched(uids, FETCH, strict=False):
            rows = client.fetch(some, _FIELDS)
            heads = [source.head(uid, row) for uid, row in rows.items()]
            yield from ((one.uid, one.key) for one in heads if one.key)
            yield from _by_header(client, [one.uid for one in heads if not one.key])


def _by_header(client: Any, uids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The same of mails without a Message-ID."""
    rows = client.fetch(uids, ["RFC822.SIZE", "BODY.PEEK[HEADER]"]) if uids else {}
    for uid, row in rows.items():
        yield uid, letters.key(row.get(b"BODY[HEADER]") or b"", row[b"RFC822.SIZE"])


def _appended(told: object) -> list[int]:
    """The numbers that Dovecot gave, in the order of the mails (RFC 4315)."""
    found = _APPENDUID.search(told) if isinstance(told, bytes) else None
    return numbers(found[1]) if found else []
