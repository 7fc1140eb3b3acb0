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
from typing import Any

import imapclient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from beffroi.lib.config import Config
from beffroi.mail import tokens
from beffroi.mail.engines import layout
from beffroi.mail.importing import letters, source
from beffroi.mail.importing.errors import NewMailboxAway
from beffroi.mail.importing.letters import Letter

TIMEOUT_S = 120.0
FETCH = 1000
_AWAY = re.compile(r"\[(?:TRYCREATE|SERVERBUG|UNAVAILABLE|INUSE|NOPERM)\]")
"""Says nothing of the mail: its owner deleted the folder meanwhile, the storage takes nothing."""
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


class NewMailbox:
    """An open new mailbox. Errors of every method: NewMailboxAway, by ``open_target``."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def ensure(self, folder: str) -> None:
        """The folder is there and shown afterwards."""
        if not self._client.folder_exists(folder):
            self._client.create_folder(folder)
            self._client.subscribe_folder(folder)

    def known(self, folder: str) -> set[bytes]:
        """Keys of the mails in a folder; empty when there is none."""
        if not self._client.folder_exists(folder):
            return set()
        selected = source.selected(self._client.select_folder(folder, readonly=True))
        found: set[bytes] = set()
        for uids in source.uid_lists(self._client, selected, after=0):
            for start in range(0, len(uids), FETCH):
                rows = self._client.fetch(uids[start : start + FETCH], _FIELDS)
                heads = [source.head(uid, row) for uid, row in rows.items()]
                found.update(one.key for one in heads if one.key)
                found.update(self._by_header([one.uid for one in heads if not one.key]))
        return found

    def _by_header(self, uids: Sequence[int]) -> Iterator[bytes]:
        """Keys of mails without a Message-ID."""
        rows = self._client.fetch(uids, ["RFC822.SIZE", "BODY.PEEK[HEADER]"]) if uids else {}
        for row in rows.values():
            yield letters.key(row.get(b"BODY[HEADER]") or b"", row[b"RFC822.SIZE"])

    def append(self, folder: str, found: Sequence[Letter]) -> list[str]:
        """Save mails; return for each "" or why it was refused ("mailbox_full", "too_large", "refused")."""
        if len(found) > 1:
            messages = [{"msg": one.data, "flags": one.flags, "date": one.at} for one in found]
            try:
                kind, _ = self._client.multiappend(folder, messages)
            except IMAPClientAbortError:
                raise
            except IMAPClientError:
                kind = "BAD"
            if kind == "OK":
                return [""] * len(found)
        return [self._append(folder, one) for one in found]

    def _append(self, folder: str, one: Letter) -> str:
        try:
            self._client.append(folder, one.data, one.flags, one.at)
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            text = str(error).upper()
            if _AWAY.search(text):
                raise
            if "OVERQUOTA" in text:
                return "mailbox_full"
            return "too_large" if "TOOBIG" in text or "[LIMIT]" in text else "refused"
        return ""
