"""Folders of one mailbox: list them, move and mark messages, search.

Process: web; the caller has checked the mailbox with ``queries.access_mailbox``.
Hostile: folder names from the form; names of folders and what messages say. Dovecot searches, nothing is parsed here.
Fails:   MailboxUnavailable when Dovecot does not answer; NotFound for a folder that is not there. Nothing is erased
         but in the trash, and there by a word of its own.
Source:  RFC 9051 (SEARCH, MOVE), RFC 6154 (special use), RFC 5256 (THREAD).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from imapclient.exceptions import IMAPClientError

from beffroi.lib.errors import Invalid, NotFound, Unavailable
from beffroi.lib.unseen import CONTROLS, HALVES, LINE_ENDS
from beffroi.mail import seeking
from beffroi.mail.decoding import fetched
from beffroi.mail.heads import MessageSummary
from beffroi.mail.quota.rules import Room
from beffroi.mail.reader import MailboxReader

MAX_FOLDERS = 1000
"""Half a millisecond each. An old mailbox that was brought here has hundreds; what is not listed is not searched."""
MAX_UIDS = 500
MAX_NAME_CHARS = 100
MAX_PATH_CHARS = 255
"""With the folders above it: what programs made, what was brought over or restored."""
HITS = 50
MAX_CONVERSATION = 50
MAX_MET_FOLDERS = 20
MAX_MET = 50
ROLES = {b"\\Drafts": "drafts", b"\\Sent": "sent", b"\\Junk": "junk", b"\\Trash": "trash"}
_ORDER = ("inbox", "drafts", "sent", "junk", "trash", "")
FLAGS = {
    "read": (True, b"\\Seen"),
    "unread": (False, b"\\Seen"),
    "star": (True, b"\\Flagged"),
    "unstar": (False, b"\\Flagged"),
}
MOVES = {"trash": "Trash", "junk": "Junk", "inbox": "INBOX"}
_MESSAGE_ID = re.compile(rb'<[^<>\s"\\(){}%*\x00-\x1f\x7f-\xff]{3,250}>')
_CONTROL = re.compile(f"[{CONTROLS}{LINE_ENDS}{HALVES}]")


class WordsNotReady(Unavailable):
    """{} is not ready: the words of many new mails are still being noted; try again in some minutes."""

    code = "mail.words_not_ready"


@dataclass(frozen=True)
class Folder:
    """``role``: inbox, drafts, sent, junk, trash, or "" for one of the owner's own."""

    name: str
    role: str
    unseen: int


def checked_name(name: str) -> str:
    """Errors: Invalid."""
    if not name or len(name) > MAX_PATH_CHARS or _CONTROL.search(name):
        raise Invalid("folder")
    return name


def listing(opened: MailboxReader) -> list[Folder]:
    """The folders in the order of their use."""
    found = []
    for flags, _separator, name in opened.client.list_folders():
        if b"\\Noselect" in flags or b"\\NonExistent" in flags or not isinstance(name, str):
            continue
        role = "inbox" if name.upper() == "INBOX" else next((ROLES[f] for f in flags if f in ROLES), "")
        found.append((_ORDER.index(role), name.lower(), name, role))
    out = []
    for _use, _sorted, name, role in sorted(found)[:MAX_FOLDERS]:
        unseen = opened.client.folder_status(name, ["UNSEEN"]).get(b"UNSEEN", 0)
        out.append(Folder(name, role, int(unseen)))
    return out


def unseen(opened: MailboxReader) -> int:
    """Unread mails of the inbox."""
    return int(opened.client.folder_status("INBOX", ["UNSEEN"]).get(b"UNSEEN", 0))


def room(opened: MailboxReader) -> Room | None:
    """How much the mailbox holds, as Dovecot counts at this moment; None where nothing limits it."""
    _roots, found = opened.client.get_quota_root("INBOX")
    return next(
        (Room(one.usage * 1024, one.limit * 1024) for one in found if one.resource == "STORAGE"), None
    )


def create(opened: MailboxReader, name: str) -> None:
    """Errors: Invalid (also when it exists)."""
    name = checked_name(name.strip())
    if len(name) > MAX_NAME_CHARS or re.search(r'[/\\*%"~]|^\.|^beffroi', name, re.IGNORECASE):
        raise Invalid("folder")
    try:
        opened.client.create_folder(name)
        opened.client.subscribe_folder(name)
    except IMAPClientError:
        raise Invalid("folder") from None


@dataclass(frozen=True)
class Acted:
    """``count``: the messages that were there. ``place``, ``uids``: where they lie since they were moved, and their
    numbers there; none where they were not."""

    count: int
    place: str = ""
    uids: Sequence[int] = ()


def act(opened: MailboxReader, folder: str, uids: Sequence[int], what: str, target: str = "") -> Acted:
    """Mark or move these messages. ``what``: a key of FLAGS or MOVES, "move" (to ``target``), or "erase" (in the trash
    only). Errors: NotFound, Invalid."""
    if what not in {*FLAGS, *MOVES, "move", "erase"} or (what == "erase" and folder != MOVES["trash"]):
        raise Invalid("what")
    try:
        opened.client.select_folder(folder)
    except IMAPClientError:
        raise NotFound("folder") from None
    wanted = sorted(set(uids))[:MAX_UIDS]
    there = list(opened.client.search(["UID", ",".join(str(one) for one in wanted)])) if wanted else []
    if not there:
        return Acted(0)
    if what in FLAGS:
        add, flag = FLAGS[what]
        (opened.client.add_flags if add else opened.client.remove_flags)(there, [flag], silent=True)
    elif what == "erase":
        opened.client.add_flags(there, [b"\\Deleted"], silent=True)
        opened.client.expunge(there)
    else:
        place = MOVES.get(what) or checked_name(target)
        if place == folder:
            return Acted(0)
        try:
            opened.client.move(there, place)
        except IMAPClientError:
            raise NotFound("folder") from None
        return Acted(len(there), place, _moved(opened))
    return Acted(len(there))


def numbers(uid_set: bytes) -> list[int]:
    """What ``3:5,9`` stands for, in its order (RFC 9051, sequence-set)."""
    runs = [[int(one) for one in part.split(b":")] for part in uid_set.split(b",")]
    return [uid for run in runs for uid in range(run[0], run[-1] + 1)]


def _moved(opened: MailboxReader) -> list[int]:
    """The numbers that Dovecot gave to what was moved just now (RFC 4315); imapclient passes no response codes on."""
    _code, (told, *_) = opened.client._imap.response("COPYUID")
    return numbers(told.split()[2]) if told else []


@dataclass(frozen=True)
class Hits:
    """One page of a search. ``rows``: (folder, message); ``total``: how many match in all folders that were asked."""

    rows: list[tuple[str, MessageSummary]]
    total: int


def search(opened: MailboxReader, places: Sequence[Folder], text: str, *, skip: int = 0) -> Hits:
    """The newest ``HITS`` messages after ``skip`` for which all is true that was typed (``seeking``; words in subject,
    people, text or names of attachments); what lies in Junk and Trash comes after all others.

    In each folder the highest numbers count as the newest. A folder that is not there, or not for this reader, holds
    nothing. Cost: one SEARCH a folder that is not empty, and one FETCH where it found something. Errors:
    WordsNotReady.
    """
    criteria = seeking.criteria(text)
    if not criteria:
        return Hits([], 0)
    wanted, total = skip + HITS, 0
    found: list[tuple[bool, float, str, int]] = []
    for place in places:
        try:
            if not opened.client.select_folder(place.name, readonly=True)[b"EXISTS"]:
                continue
        except IMAPClientError:
            continue
        try:
            uids = sorted(opened.client.search(criteria, charset="UTF-8"), reverse=True)
        except IMAPClientError as error:
            if "[INUSE]" in str(error):
                raise WordsNotReady("The search") from None
            raise
        total += len(uids)
        dates = opened.client.fetch(uids[:wanted], ["INTERNALDATE"]) if uids else {}
        aside = place.role in ("junk", "trash")
        found += [(aside, -row[b"INTERNALDATE"].timestamp(), place.name, -uid) for uid, row in dates.items()]
    chosen = [(name, -uid) for _aside, _age, name, uid in sorted(found)[skip:wanted]]
    shown: dict[tuple[str, int], MessageSummary] = {}
    for name in dict.fromkeys(name for name, _uid in chosen):
        opened.client.select_folder(name, readonly=True)
        summaries = opened.summaries([uid for of, uid in chosen if of == name])
        shown |= {(name, one.uid): one for one in summaries}
    return Hits([(one[0], shown[one]) for one in chosen if one in shown], total)


def conversation(opened: MailboxReader, folder: str, uid: int) -> list[tuple[str, MessageSummary]]:
    """The messages of the conversation of this one, here and in Sent, oldest first; empty when it stands alone.

    They are those that name its first message (RFC 5322: every answer carries it along), and those that answer it.
    """
    opened.client.select_folder(folder, readonly=True)
    rows = opened.client.fetch([uid], ["BODY.PEEK[HEADER.FIELDS (MESSAGE-ID REFERENCES IN-REPLY-TO)]"])
    raw = fetched(rows.get(uid, {}))
    own = _identifiers(raw, b"message-id")[:1]
    above = _identifiers(raw, b"references") or _identifiers(raw, b"in-reply-to")
    named = [*above[:1], *own]
    if not named:
        return []
    keys: list[str | list[str]] = []
    for one in dict.fromkeys(named):
        for header in ("MESSAGE-ID", "REFERENCES", "IN-REPLY-TO"):
            keys = ["OR", *keys, "HEADER", header, one] if keys else ["HEADER", header, one]
    found: list[tuple[str, MessageSummary]] = []
    for place in dict.fromkeys((folder, "INBOX", "Sent")):
        try:
            opened.client.select_folder(place, readonly=True)
        except IMAPClientError:
            continue
        uids = sorted(opened.client.search(keys))[-MAX_CONVERSATION:]
        found += [(place, one) for one in opened.summaries(uids)]
    return sorted(found, key=lambda pair: pair[1].received_at)[-MAX_CONVERSATION:] if len(found) > 1 else []


def first_contact(opened: MailboxReader, folder: str, one: MessageSummary, places: Sequence[Folder]) -> bool:
    """Whether this address never wrote here before this message, and was never written to, as far as the folders tell.

    What lies in Junk makes nobody known. Where a mailbox has more than MAX_MET_FOLDERS folders, those of everybody come
    first; imported mail counts as any other. Errors: none for a folder that is gone meanwhile.
    """
    if not one.from_address:
        return False
    searched = [place for place in places if place.role not in ("drafts", "junk")]
    for place in searched[:MAX_MET_FOLDERS]:
        try:
            opened.client.select_folder(place.name, readonly=True)
            if _met(opened, one, sent=place.role == "sent", here=place.name == folder):
                return False
        except IMAPClientError:
            continue
    return True


def _met(opened: MailboxReader, one: MessageSummary, *, sent: bool, here: bool) -> bool:
    """In the folder that is open; ``here``: that of the message. The index finds words, so each hit is compared."""
    asked = one.from_address
    keys = ["OR", "TO", asked, "CC", asked] if sent else ["FROM", asked]
    found = sorted(opened.client.search(keys, charset="UTF-8"))[:MAX_MET]
    if sent:
        return bool(found)
    return any(
        earlier.from_address.lower() == asked.lower()
        # Times are of whole seconds; two mails of one second have their numbers.
        and (earlier.received_at < one.received_at or (here and earlier.uid < one.uid))
        for earlier in opened.summaries(found)
    )


def _identifiers(raw: bytes, name: bytes) -> list[str]:
    field = re.search(rb"^" + name + rb":((?:[^\r\n]|\r?\n[ \t]){0,8000})", raw, re.IGNORECASE | re.MULTILINE)
    return [one.decode("ascii") for one in _MESSAGE_ID.findall(field[1])] if field else []
