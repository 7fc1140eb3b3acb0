"""An IMAP client for somebody else than the owner: what is personal does not exist in it.

Purpose: the one place where others' eyes are limited. Whatever page works with such a client (lists, search,
         conversation, attachments, counts, drafts) cannot meet a hidden folder or mail, not by a guessed number either.
         What is not written here is not there for a delegate (AttributeError): a new command is refused until someone
         thought about it.
Process: web and webmail.
Hostile: numbers and folder names of forms; headers of mails.
Fails:   closed: a mail whose headers are not returned is hidden; a folder that is not listed cannot be opened.
Source:  RFC 9051; docs/decisions/0044-delegation-for-a-period.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import batched
from typing import Any

from imapclient.exceptions import IMAPClientError

from beffroi.mail import compose, privacy
from beffroi.mail.decoding import header_text
from beffroi.mail.drafts import DRAFTS, TRASH
from beffroi.mail.heads import MessageSummary
from beffroi.mail.reader import MAX_LIST, MailboxReader, MessageView

_HEADERS = f"BODY.PEEK[HEADER.FIELDS (SUBJECT SENSITIVITY {compose.AUTHOR_HEADER.upper()})]"
_FIELD = re.compile(rb"^([A-Za-z-]+)[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.MULTILINE)
_KEPT_AWAY = (b"\\Junk", b"\\Trash")
_NO_FOLDER = (b"\\Noselect", b"\\NonExistent")
"""Only the name of what lies below: it is not there, and hides nothing."""
_FLAGS = {b"\\Seen", b"\\Flagged", b"\\Answered", b"$Forwarded"}
_DRAFT_FLAGS = {b"\\Draft", b"\\Deleted"}
_SLICE = 100
MAX_LOOKED = 1000
"""Hits of a search whose headers are asked for, the latest: the first search of an old mailbox opens each of them."""


class GuardedClient:
    """The commands that a delegate's pages use. ``person_id``: the delegate, who sees of the drafts the own ones;
    ``writes``: without it every folder is opened read-only, and that of the drafts not at all."""

    def __init__(self, client: Any, *, person_id: str, writes: bool) -> None:
        self._client = client
        self._person_id = person_id
        self._writes = writes
        self._places: dict[str, tuple[Any, ...]] | None = None
        self._folder = ""
        self._separator = "/"
        self._known: dict[int, bool] = {}

    def list_folders(self) -> list[tuple[Any, ...]]:
        """Without what is personal, and without what was thrown away or set aside."""
        if self._places is None:
            found = [row for row in self._client.list_folders() if isinstance(row[2], str)]
            shut = [row[2] for row in found if self._shut(row)]
            self._places = {
                name: (flags, separator, name)
                for flags, separator, name in found
                if not any(one in flags for one in _NO_FOLDER)
                and not any(name == one or name.startswith(one + separator_text(separator)) for one in shut)
            }
        return list(self._places.values())

    def _shut(self, row: tuple[Any, ...]) -> bool:
        flags, separator, name = row
        if any(one in flags for one in _KEPT_AWAY):
            return True
        return privacy.is_private_folder(name, separator_text(separator)) or (
            name == DRAFTS and not self._writes
        )

    def select_folder(self, name: str, readonly: bool = False) -> Any:
        places = {row[2]: row for row in self.list_folders()}
        if name not in places:
            raise IMAPClientError("no such folder")
        chosen = self._client.select_folder(name, readonly=readonly or not self._writes)
        self._folder, self._separator, self._known = name, separator_text(places[name][1]), {}
        return chosen

    def folder_status(self, name: str, what: Sequence[str]) -> dict[bytes, int]:
        """UNSEEN alone, counted of what is visible; the folder that was open is open again."""
        if list(what) != ["UNSEEN"]:
            raise IMAPClientError("not for a delegate")
        before = self._folder
        self.select_folder(name, readonly=True)
        count = len(self.search("UNSEEN"))
        if before:
            self.select_folder(before, readonly=True)
        return {b"UNSEEN": count}

    def search(self, criteria: Any, charset: str | None = None) -> list[int]:
        """The visible ones among the latest ``MAX_LOOKED`` hits, in ascending order."""
        return self.visible(sorted(self._client.search(criteria, charset=charset))[-MAX_LOOKED:])

    def newest(self, criteria: Any, limit: int) -> list[int]:
        """As ``search``, the highest numbers first and no more than ``limit``: looks at no more mails than it must."""
        out: list[int] = []
        for part in batched(sorted(self._client.search(criteria), reverse=True), _SLICE, strict=False):
            out += self.visible(part)
            if len(out) >= limit:
                break
        return out[:limit]

    def fetch(self, uids: Sequence[int], parts: Sequence[str]) -> dict[int, Any]:
        seen = self.visible(uids)
        return dict(self._client.fetch(seen, parts)) if seen else {}

    def add_flags(self, uids: Sequence[int], flags: Iterable[bytes], silent: bool = True) -> None:
        self._flag(self._client.add_flags, uids, flags)

    def remove_flags(self, uids: Sequence[int], flags: Iterable[bytes], silent: bool = True) -> None:
        self._flag(self._client.remove_flags, uids, flags)

    def _flag(self, change: Callable[..., Any], uids: Sequence[int], flags: Iterable[bytes]) -> None:
        wanted = list(flags)
        allowed = _FLAGS | _DRAFT_FLAGS if self._folder == DRAFTS else _FLAGS
        if not self._writes or not set(wanted) <= allowed:
            raise IMAPClientError("not for a delegate")
        if seen := self.visible(uids):
            change(seen, wanted, silent=True)

    def append(self, name: str, data: bytes, **more: Any) -> Any:
        if not self._writes or name != DRAFTS:
            raise IMAPClientError("not for a delegate")
        return self._client.append(name, data, **more)

    def move(self, uids: Sequence[int], name: str) -> None:
        """A draft that is thrown away; nothing else is moved."""
        if not self._writes or self._folder != DRAFTS or name != TRASH:
            raise IMAPClientError("not for a delegate")
        if seen := self.visible(uids):
            self._client.move(seen, name)

    def expunge(self, uids: Sequence[int]) -> None:
        """Former states of the own drafts."""
        if not self._writes or self._folder != DRAFTS:
            raise IMAPClientError("not for a delegate")
        if seen := self.visible(uids):
            self._client.expunge(seen)

    def visible(self, uids: Iterable[int]) -> list[int]:
        """Those that exist for the delegate in the folder that is open, in their order; asks for what it does not know
        yet."""
        wanted = list(uids)
        fresh = [uid for uid in wanted if uid not in self._known]
        for part in batched(fresh, 2000, strict=False):
            rows = self._client.fetch(list(part), [_HEADERS])
            self._known.update({uid: uid in rows and self._open(rows[uid]) for uid in part})
        return [uid for uid in wanted if self._known[uid]]

    def _open(self, row: dict[bytes, Any]) -> bool:
        raw = next((v for k, v in row.items() if k.startswith(b"BODY[HEADER") and isinstance(v, bytes)), None)
        if raw is None:
            return False
        fields: dict[str, list[str]] = {}
        for name, value in _FIELD.findall(raw):
            one = header_text(re.sub(rb"\r?\n[ \t]+", b" ", value))
            fields.setdefault(name.decode("ascii").lower(), []).append(one)
        if self._folder == DRAFTS:
            return fields.get(compose.AUTHOR_HEADER.lower()) == [self._person_id]
        return not privacy.is_private(
            folder=self._folder,
            separator=self._separator,
            subjects=fields.get("subject", ()),
            sensitivities=fields.get("sensitivity", ()),
        )


class GuardedReader(MailboxReader):
    """A mailbox that is read in its owner's stead. ``opened``: told of each mail that is read, before it is shown."""

    def __init__(self, client: GuardedClient, opened: Callable[[str, MessageSummary], None]) -> None:
        super().__init__(client)
        self._opened = opened

    def list(
        self, folder: str = "INBOX", limit: int = 50, before_uid: int | None = None
    ) -> list[MessageSummary]:
        self._select(folder)
        if before_uid is not None and before_uid <= 1:
            return []
        criteria = "ALL" if before_uid is None else f"UID 1:{max(1, before_uid - 1)}"
        return self.summaries(self._client.newest(criteria, min(max(limit, 1), MAX_LIST)))

    def read(self, uid: int, folder: str = "INBOX") -> MessageView:
        view = super().read(uid, folder)
        if folder != DRAFTS:
            self._opened(folder, view.summary)
        return view

    def attachment(self, uid: int, section: str, folder: str = "INBOX") -> tuple[Any, bytes]:
        found = super().attachment(uid, section, folder)
        if folder != DRAFTS:
            self._opened(folder, self.summaries([uid])[0])
        return found


def separator_text(separator: Any) -> str:
    return separator.decode("ascii", "replace") if isinstance(separator, bytes) else str(separator or "/")
