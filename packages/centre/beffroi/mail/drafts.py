"""Keep what a person writes in the folder of drafts: one draft, replaced and never lost.

Purpose: every program of the owner's sees the same draft. A new state is on disk before the former one goes, so that a
         cut leaves two and never none.
Process: web (save, put away) and webmail (file as sent).
Hostile: what the form sends; the caller has checked the mailbox with ``queries.access_mailbox``.
Fails:   MailboxUnavailable; NotFound for an attachment that is not there any more.
Source:  RFC 9051 (APPEND, UID EXPUNGE, MOVE), RFC 4315 (APPENDUID).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from imapclient.exceptions import IMAPClientError

from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import compose, doveadm, reader
from beffroi.mail.compose import Draft, File

DRAFTS, SENT, TRASH = "Drafts", "Sent", "Trash"
MAX_DRAFTS = 500
_TAB = f"BODY.PEEK[HEADER.FIELDS ({compose.TAB_HEADER.upper()})]"
_TAKEN = f"BODY.PEEK[HEADER.FIELDS ({compose.TAKEN_HEADER.upper()})]"
_IDENTIFIER = f"BODY.PEEK[HEADER.FIELDS ({doveadm.ID_HEADER.upper()})]"
_CARRIED = "BODY.PEEK[HEADER.FIELDS (REPLY-TO DISPOSITION-NOTIFICATION-TO IMPORTANCE X-PRIORITY)]"
_APPENDED = re.compile(rb"APPENDUID (\d+) (\d+)")


class DraftChanged(Conflict):
    """This draft was replaced or removed elsewhere meanwhile."""

    code = "mail.draft_changed"


@dataclass(frozen=True)
class Place:
    """Where a draft lies: numbers of IMAP, which change with each state of it."""

    uid_validity: int
    uid: int


@dataclass(frozen=True)
class Saved:
    """``apart``: the state that the page came from was replaced elsewhere, so this one was kept beside it."""

    place: Place
    apart: bool


@contextmanager
def open_drafts(config: Config, address: str) -> Iterator[DraftFolder]:
    """Errors: MailboxUnavailable."""
    with reader.connect(config, address) as client:
        yield DraftFolder(client)


class DraftFolder:
    """The drafts of one open mailbox."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._reader = reader.MailboxReader(client)

    def save(
        self,
        draft: Draft,
        *,
        at: Place | None,
        replaces: Callable[[Place], object],
        keep: Sequence[str] = (),
        final: bool = False,
    ) -> Saved:
        """Write this state and remove the one it replaces, for which ``replaces`` is asked first. ``keep``: sections of
        attachments of the former state. ``final``: every field must be sound. Errors: compose.DraftInvalid,
        DraftChanged (final only), NotFound, those of ``replaces``."""
        validity = self._select()
        own = self._of_tab(draft.tab)
        former = (
            at.uid if at and at.uid_validity == validity and self._exists(at.uid) else max(own, default=None)
        )
        apart = at is not None and former is None
        if apart and (final or keep):
            raise DraftChanged
        kept = self._files(former, self._sections(former, at, keep))
        taken = f"{at.uid}:{', '.join(keep)}" if at and keep else ""
        whole = replace(draft, files=(*kept, *draft.files), taken=taken)
        data = self._carried(former) + compose.build(whole, clock.now(), lenient=not final)
        gone = {uid for uid in (*own, former) if uid is not None}
        for uid in gone:
            replaces(Place(validity, uid))
        place = self._append(data)
        self._remove(gone)
        return Saved(place, apart)

    def put(self, data: bytes) -> Place:
        """Lay finished bytes here: what no page wrote."""
        return self._append(data)

    def put_away(self, place: Place) -> None:
        """Move a draft to the trash, from where it comes back. Errors: DraftChanged."""
        self._move(place, TRASH)

    def file_as_sent(self, place: Place) -> None:
        """A move keeps its bytes where they are: no quota and no full disk stands against it. Errors: DraftChanged."""
        self._move(place, SENT)

    def message(self, place: Place) -> tuple[bytes, Any]:
        """The whole draft and its parsed envelope. Errors: DraftChanged."""
        if self._select() != place.uid_validity:
            raise DraftChanged
        row = self._client.fetch([place.uid], ["BODY.PEEK[]", "ENVELOPE"]).get(place.uid)
        if row is None:
            raise DraftChanged
        return row[b"BODY[]"], row[b"ENVELOPE"]

    def mark_source(self, source: str) -> str:
        """Mark the mail that was answered or passed on; that it is gone is no fault. Return our identifier of one that
        was answered, else ""."""
        found = re.fullmatch(r"(\d{1,10}):(\d{1,10}):(reply|all|forward):(.+)", source)
        if found is None:
            return ""
        uid, flag = int(found[2]), b"$Forwarded" if found[3] == "forward" else b"\\Answered"
        try:
            chosen = self._client.select_folder(unquote(found[4]))
            if int(chosen[b"UIDVALIDITY"]) != int(found[1]):
                return ""
            self._client.add_flags([uid], [flag], silent=True)
            return self._identifier(uid) if flag == b"\\Answered" else ""
        except IMAPClientError:
            return ""

    def _identifier(self, uid: int) -> str:
        rows = self._client.fetch([uid], [_IDENTIFIER])
        fields = b"".join(one for one in rows.get(uid, {}).values() if isinstance(one, bytes))
        return fields.partition(b":")[2].strip().decode("ascii", "replace")

    def _select(self) -> int:
        return int(self._client.select_folder(DRAFTS)[b"UIDVALIDITY"])

    def _exists(self, uid: int) -> bool:
        return bool(self._client.search(["UID", str(uid)]))

    def _of_tab(self, tab: str) -> list[int]:
        """States that the same page wrote: an answer that got lost on its way leaves no second draft."""
        if not tab:
            return []
        # Read, not searched: an index of words need not know the newest draft.
        uids = self._client.search(["ALL"])[-MAX_DRAFTS:]
        rows = self._client.fetch(uids, [_TAB]) if uids else {}
        wanted = f"{compose.TAB_HEADER}: {tab}\r\n".encode()
        return [
            uid
            for uid, row in rows.items()
            if any(isinstance(v, bytes) and wanted in v for v in row.values())
        ]

    def _sections(self, uid: int | None, at: Place | None, keep: Sequence[str]) -> Sequence[str]:
        """Where the attachments that the page names lie now. A state whose answer got lost says itself which ones it
        took from the state that the page still knows. Errors: NotFound."""
        if uid is None or at is None or uid == at.uid or not keep:
            return keep
        raw = b"".join(v for v in self._client.fetch([uid], [_TAKEN])[uid].values() if isinstance(v, bytes))
        former, _, taken = (
            re.sub(rb"\s", b"", raw.partition(b":")[2]).decode("ascii", "replace").partition(":")
        )
        if former != str(at.uid):
            raise NotFound("attachment")
        places = (one.part for one in self._reader.read(uid, DRAFTS).attachments)
        now = dict(zip(taken.split(","), places, strict=False))
        self._select()
        if not now.keys() >= set(keep):
            raise NotFound("attachment")
        return [now[one] for one in keep]

    def _files(self, uid: int | None, keep: Sequence[str]) -> list[File]:
        if not keep:
            return []
        if uid is None:
            raise NotFound("attachment")
        found = [self._reader.attachment(uid, section, DRAFTS) for section in keep[: compose.MAX_FILES]]
        self._select()
        return [File(one.file_name, data, one.content_type == "text/calendar") for one, data in found]

    def _carried(self, uid: int | None) -> bytes:
        """What another program of the owner's wrote into the head, as it is: the page does not change it."""
        row = self._client.fetch([uid], [_CARRIED]).get(uid, {}) if uid is not None else {}
        fields = b"".join(one for one in row.values() if isinstance(one, bytes)).strip(b"\r\n")
        return fields + b"\r\n" if fields else b""

    def _append(self, data: bytes) -> Place:
        answer = self._client.append(DRAFTS, data, flags=(b"\\Draft", b"\\Seen"), msg_time=clock.now())
        found = _APPENDED.search(answer)
        if found is None:
            raise reader.MailboxUnavailable("The folder of drafts")
        return Place(int(found[1]), int(found[2]))

    def _remove(self, uids: set[int]) -> None:
        if uids:
            self._client.add_flags(sorted(uids), [b"\\Deleted"], silent=True)
            self._client.expunge(sorted(uids))

    def _move(self, place: Place, folder: str) -> None:
        if self._select() != place.uid_validity or not self._exists(place.uid):
            raise DraftChanged
        self._client.remove_flags([place.uid], [b"\\Draft"], silent=True)
        self._client.move([place.uid], folder)
