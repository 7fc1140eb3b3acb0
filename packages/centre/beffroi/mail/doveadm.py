"""doveadm over Dovecot's HTTP interface: find, move and fetch messages by *our* header identifier.

Purpose: the only way into quarantine. Batches of commands, some requests at a time. What a command costs is the
         opening of a mailbox (2 ms), as long as Dovecot keeps its process for the next request (dovecot.conf).
Process: worker and remediation; loopback only, with STATE/secrets/doveadm.key; Dovecot lists the allowed commands.
Hostile: header values in answers; they are compared, never interpreted.
Fails:   DoveadmUnavailable (retryable) when Dovecot does not answer; a refused command gives ``None``.
Source:  doc.dovecot.org, "doveadm HTTP API".
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched, islice
from typing import Any

from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable
from beffroi.mail.engines import layout

PARALLEL = 8
"""More than processors: a move waits for the disk seven times."""
BATCH = 8
"""Short ones, so that all requests end at about the same time."""
TIMEOUT_S = 30.0
ID_HEADER = "x-beffroi-id"

Command = tuple[str, dict[str, Any]]
Rows = list[dict[str, str]]


class DoveadmUnavailable(Unavailable):
    """{} does not answer at the moment; try again shortly."""

    code = "mail.doveadm_unavailable"


@dataclass(frozen=True)
class Copy:
    """One copy of a message in a mailbox."""

    folder: str
    uid: str
    flags: str


class Doveadm:
    def __init__(self, config: Config) -> None:
        self._port = config.doveadm_port
        self.quarantine = layout.quarantine_folder(config)
        """A folder in a namespace that exists for doveadm and delivery only (dovecot.conf)."""
        key = base64.b64encode(config.secret("doveadm.key")).decode()
        self._headers = {"Authorization": f"X-Dovecot-API {key}", "Content-Type": "application/json"}

    def run(self, commands: Sequence[Command], *, at_once: int = PARALLEL) -> list[Rows | None]:
        """Return one result a command, in order; None where Dovecot refused. ``at_once``: requests, each of which
        keeps a process of 4 MB busy. Errors: DoveadmUnavailable."""
        return [rows for (rows,) in self.run_groups([[one] for one in commands], at_once=at_once)]

    def opens(self, address: str) -> bool:
        """Whether Dovecot knows a mailbox and its key pair; its quarantine is there afterwards.

        Errors: DoveadmUnavailable.
        """
        ((_, found),) = self.run_groups(
            [[create_folder(address, self.quarantine), uids(address, self.quarantine)]]
        )
        return found is not None

    def run_groups(
        self, groups: Sequence[Sequence[Command]], *, at_once: int = PARALLEL
    ) -> list[list[Rows | None]]:
        """As ``run``, for commands that must follow one another: a group stays in one request."""
        size = max(1, BATCH // max((len(g) for g in groups), default=1))
        chunks = list(batched(groups, size, strict=False))
        if len(chunks) <= 1 or at_once == 1:
            return [answers for chunk in chunks for answers in self._post_groups(chunk)]
        with ThreadPoolExecutor(max_workers=min(at_once, len(chunks))) as pool:
            return [answers for chunk in pool.map(self._post_groups, chunks) for answers in chunk]

    def _post_groups(self, groups: Sequence[Sequence[Command]]) -> list[list[Rows | None]]:
        answers = iter(self._post([command for group in groups for command in group]))
        return [list(islice(answers, len(group))) for group in groups]

    def _post(self, commands: Sequence[Command]) -> list[Rows | None]:
        body = json.dumps([[name, arguments, str(i)] for i, (name, arguments) in enumerate(commands)])
        connection = http.client.HTTPConnection(layout.LOOPBACK, self._port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/doveadm/v1", body, self._headers)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException):
            raise DoveadmUnavailable("Dovecot") from None
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise DoveadmUnavailable("Dovecot")
        return _results(data, len(commands))


def _results(data: bytes, count: int) -> list[Rows | None]:
    out: list[Rows | None] = [None] * count
    try:
        answers = json.loads(data)
    except ValueError:
        raise DoveadmUnavailable("Dovecot") from None
    for kind, rows, tag in answers:
        if kind == "doveadmResponse":
            out[int(tag)] = [{str(k): str(v) for k, v in row.items()} for row in rows]
    return out


# -- commands ------------------------------------------------------------------------------------------------


def find(address: str, beffroi_id: str, folder: str = "*") -> Command:
    """Copies of a message; "*" does not reach into quarantine."""
    query = ["mailbox", folder, "header", ID_HEADER, beffroi_id]
    return "fetch", {"user": address, "field": ["mailbox", "uid", "flags"], "query": query}


def text(address: str, beffroi_id: str, folder: str = "*") -> Command:
    """Whole copies of a message; "*" as in ``find``."""
    query = ["mailbox", folder, "header", ID_HEADER, beffroi_id]
    return "fetch", {"user": address, "field": ["text"], "query": query}


def move(address: str, beffroi_id: str, source: str, destination: str, *, uid: str = "") -> Command:
    """Flags, received date and encryption stay as they are. ``uid``: of one copy alone."""
    query = ["mailbox", source, *(("uid", uid) if uid else ()), "header", ID_HEADER, beffroi_id]
    return "move", {"user": address, "destinationMailbox": destination, "query": query}


def expunge(address: str, beffroi_id: str, folder: str, uids: Sequence[str]) -> Command:
    """These copies, and only if they are of this message."""
    query = ["mailbox", folder, "uid", ",".join(uids), "header", ID_HEADER, beffroi_id]
    return "expunge", {"user": address, "query": query}


def create_folder(address: str, folder: str) -> Command:
    """An existing folder gives None, which is no failure."""
    return "mailboxCreate", {"user": address, "mailbox": [folder]}


def delete_empty_folder(address: str, folder: str) -> Command:
    """One that holds a mail gives None, which is no failure: Dovecot asks itself, so no mail that arrives is lost."""
    return "mailboxDelete", {
        "user": address,
        "mailbox": [folder],
        "requireEmpty": True,
        "subscriptions": True,
    }


def kick(address: str) -> Command:
    """End every connection of this mailbox; none gives None, which is no failure."""
    return "kick", {"mask": [address]}


def who(address: str) -> Command:
    """The connections of this mailbox that are open; an empty list for none."""
    return "who", {"mask": [address]}


def quota(address: str) -> Command:
    """Rows of type STORAGE (KiB) and MESSAGE, without what was deleted or lies in quarantine."""
    return "quotaGet", {"user": address}


def expunge_saved_before(address: str, folder: str, before_s: int) -> Command:
    """For good: expunged by doveadm, a mail is kept nowhere. ``before_s``: UTC epoch seconds."""
    return "expunge", {"user": address, "query": ["mailbox", folder, "savedbefore", str(before_s)]}


def purge(address: str) -> Command:
    """Rewrite the files that hold expunged mails; without it the disk gets no room back."""
    return "purge", {"user": address}


def uids(address: str, folder: str) -> Command:
    """One row for each mail of a folder, also of a hidden one."""
    return "fetch", {"user": address, "field": ["uid"], "query": ["mailbox", folder]}


def by_message_id(address: str, message_id: str) -> Command:
    """Candidates by Message-ID, with our own headers."""
    return "fetch", {
        "user": address,
        "field": ["mailbox", "uid", "hdr.x-beffroi-id", "hdr.x-beffroi-unchecked"],
        "query": ["mailbox", "*", "header", "message-id", message_id],
    }


def unchecked(address: str, days: int) -> Command:
    """Copies of the last days that passed unchecked and were not checked since; headers from Dovecot's cache."""
    marked = ("header", "x-beffroi-unchecked", "", "not", "keyword", "$BeffroiChecked")
    return _saved_since(address, "*", f"{days}d", *marked)


def saved_since(address: str, at_s: int, folder: str = "*") -> Command:
    """Copies that were saved, moved or restored since (epoch seconds) and came by our door; "*" as in ``find``."""
    return _saved_since(address, folder, str(at_s), "header", ID_HEADER, "")


def _saved_since(address: str, folder: str, date: str, *query: str) -> Command:
    return "fetch", {
        "user": address,
        "field": ["mailbox", "uid", "date.saved.unixtime", "hdr.x-beffroi-id"],
        "query": ["mailbox", folder, "savedsince", date, *query],
    }


def mark_checked(address: str, beffroi_id: str) -> Command:
    return "flagsAdd", {
        "user": address,
        "flag": ["$BeffroiChecked"],
        "query": ["mailbox", "*", "header", ID_HEADER, beffroi_id],
    }


def copies(rows: Rows | None) -> list[Copy]:
    return [Copy(r["mailbox"], r.get("uid", ""), r.get("flags", "")) for r in rows or () if "mailbox" in r]
