"""Drop boxes: links by which people without an account hand files in, and see nothing.

Rule:    what comes lies in the folder of the link like any other file; who sent it, and what they wrote, lies beside
         it, until the link is forgotten. Limits of one link (number, bytes together) are judged inside the change.
         Until it was looked at, a content that came here is opened by nobody (``findings.require_scanned``).
Hostile: everything that a sender says.
Source:  docs/internals/drive.md, "Drop boxes".
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from beffroi.drive.store import findings, look, names, seals, shares, tree
from beffroi.drive.store.model import AbsentNode, Act, Content, Node
from beffroi.drive.store.shares import NO_LIMIT, LinkClosed, Share
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError

MOST_FILE_BYTES = 2_000_000_000
"""Less than the scan looks at whole (``scan.values.MAX_LONG_BYTES``)."""
MOST_TOTAL_BYTES = 2_000_000_000
TOTAL_BYTES, FILES = 500_000_000, 100
"""Of a link whose maker set nothing."""
MAX_SENDER_CHARS, MAX_MESSAGE_CHARS = 120, 2000


class DropRefused(BeffroiError):
    """This cannot be handed in here."""

    code = "drive.drop_refused"
    http_status = 403


class DropTooLong(DropRefused):
    """A file that is handed in here has at most {} bytes."""

    code = "drive.drop_too_long"
    http_status = 413


class DropType(DropRefused):
    """This type of file cannot be handed in here."""

    code = "drive.drop_type"
    http_status = 415


class DropFull(DropRefused):
    """This link takes no more files; ask whoever gave it to you for another."""

    code = "drive.drop_full"
    http_status = 413


class Limits(NamedTuple):
    total_bytes: int = TOTAL_BYTES
    files: int = FILES


class Box(NamedTuple):
    """A row of ``drop_box``: what a link may take, and what it took."""

    share_id: str
    most_total_bytes: int
    most_files: int
    total_bytes: int
    files: int
    told_s: int

    @property
    def is_full(self) -> bool:
        return self.files >= self.most_files or self.total_bytes >= self.most_total_bytes


class Handing(NamedTuple):
    """A row of ``handing``: what one visit of a sender brought. ``id``: the reference on their receipt, behind the
    share's identifier."""

    id: str
    share_id: str
    sender: str
    message: str
    last_s: int
    files: int
    total_bytes: int

    @property
    def reference(self) -> str:
        return self.id.rpartition(":")[2]


class Letter(NamedTuple):
    """What a sender says. ``handing``: of which visit (``Handing.id``)."""

    handing: str
    sender: str
    message: str = ""

    @property
    def reference(self) -> str:
        return self.handing.rpartition(":")[2]


# -- look-ups ------------------------------------------------------------------------------------------------


def of(database: Reading, share_id: str) -> Box:
    row = database.one(
        "SELECT share_id, most_total_bytes, most_files, total_bytes, files, told_s FROM drop_box WHERE share_id = ?",
        (share_id,),
    )
    return Box(*row) if row else Box(share_id, TOTAL_BYTES, FILES, 0, 0, 0)


def handings(database: Reading, node_id: int) -> list[Handing]:
    """What came into a folder by its links, ended ones too until they are forgotten: the last hundred, newest first."""
    rows = database.all(
        "SELECT handing.id, share_id, sender, message, last_s, files, total_bytes"
        " FROM handing JOIN share ON share.id = handing.share_id"
        " WHERE share.node = ? ORDER BY last_s DESC, handing.id LIMIT 100",
        (node_id,),
    )
    return [Handing(*row) for row in rows]


def is_sealed(database: Reading, share: Share) -> bool:
    """Whether nothing more is put into its folder."""
    folder = look.node(database, share.node)
    return folder is None or seals.Looking(database).reach(folder) == "inside"


def check(database: Reading, share_id: str, name: str, size_bytes: int, *, now_s: int) -> Share:
    """The link, if it takes a file of this name and length now. Errors: those of ``standing``, DropFull."""
    share = standing(database, share_id, name, size_bytes, now_s=now_s)
    box = of(database, share_id)
    if box.files >= box.most_files or box.total_bytes + size_bytes > box.most_total_bytes:
        raise DropFull
    return share


def standing(database: Reading, share_id: str, name: str, size_bytes: int, *, now_s: int) -> Share:
    """The link, if it takes such files, full or not; into a sealed folder none does.

    Errors: LinkClosed, DropRefused, NameRefused."""
    try:
        share = shares.find_link(database, share_id)
    except AbsentNode:
        raise LinkClosed from None
    if (
        share.rights != "drop"
        or not shares.stands(database, share, now_s=now_s)
        or is_sealed(database, share)
    ):
        raise LinkClosed
    names.normal(name)
    may_drop(share, name, size_bytes)
    return share


def may_drop(share: Share, name: str, size_bytes: int) -> None:
    """Errors: DropTooLong, DropType."""
    if share.most_bytes != NO_LIMIT and size_bytes > share.most_bytes:
        raise DropTooLong(share.most_bytes)
    stem, _, ending = name.casefold().rpartition(".")
    # A name that is nothing but an extension has none: systems take it for a hidden file of no kind.
    if share.types and not (stem.strip(". ") and ending in share.types.split()):
        raise DropType


def came(database: Reading, folder: int, name: str, letter: Letter) -> Node | None:
    """What the same visit handed in by this name last, whatever others did since: the answer to it was lost, and it is
    sent again."""

    def fits(there: Node) -> object:
        return database.one("SELECT 1 FROM handed WHERE node = ? AND handing = ?", (there.id, letter.handing))

    return look.last_in_row(database, folder, names.normal(name), fits, numbered=True)


# -- changes -------------------------------------------------------------------------------------------------


def set_limits(writing: Writing, share_id: str, limits: Limits) -> None:
    writing.run(
        "INSERT INTO drop_box (share_id, most_total_bytes, most_files, total_bytes, files, told_s)"
        " VALUES (?, ?, ?, 0, 0, 0)"
        " ON CONFLICT (share_id) DO UPDATE SET most_total_bytes = excluded.most_total_bytes,"
        " most_files = excluded.most_files",
        (share_id, limits.total_bytes, limits.files),
    )


def hand_in(
    writing: Writing,
    share_id: str,
    name: str,
    content: Content,
    letter: Letter,
    *,
    is_scanned: bool,
    now_s: int,
) -> Node:
    """Put it into the link's folder under a free name. ``is_scanned``: False where nothing looks at files here: then
    nobody waits for it, nor for what members have here anyway. Errors: as ``check``, QuotaFull, NameTaken."""
    share = check(writing, share_id, name, content.size_bytes, now_s=now_s)
    act = Act(share.id, "", now_s)
    free = look.free_name(writing, share.node, names.normal(name))
    waits = is_scanned and not findings.is_of_members(writing, content.sha256)
    node = tree.put(writing, act, share.node, free, content, if_absent=True)[0]
    writing.run(
        "INSERT INTO handed (node, handing, sha256) VALUES (?, ?, ?)",
        (node.id, letter.handing, content.sha256 if waits else ""),
    )
    box = of(writing, share.id)
    set_limits(writing, share.id, Limits(box.most_total_bytes, box.most_files))
    writing.run(
        "UPDATE drop_box SET total_bytes = total_bytes + ?, files = files + 1 WHERE share_id = ?",
        (content.size_bytes, share.id),
    )
    writing.run(
        "INSERT INTO handing (id, share_id, sender, message, first_s, last_s, files, total_bytes)"
        " VALUES (?, ?, ?, ?, ?, ?, 1, ?) ON CONFLICT (id) DO UPDATE SET last_s = excluded.last_s,"
        " files = handing.files + 1, total_bytes = handing.total_bytes + excluded.total_bytes",
        (letter.handing, share.id, letter.sender, letter.message, now_s, now_s, content.size_bytes),
    )
    return node


def forget(writing: Writing) -> None:
    """Names and words of senders go with their link, which ``shares.forget`` deletes some weeks after its end. That a
    content came from outside is known as long as it lies here, also in copies alone."""
    writing.run(
        "DELETE FROM handing WHERE NOT EXISTS (SELECT 1 FROM share WHERE share.id = handing.share_id)"
    )
    writing.run(
        "DELETE FROM drop_box WHERE NOT EXISTS (SELECT 1 FROM share WHERE share.id = drop_box.share_id)"
    )
    writing.run(
        "DELETE FROM handed WHERE NOT EXISTS (SELECT 1 FROM node WHERE node.id = handed.node)"
        " AND NOT EXISTS (SELECT 1 FROM node WHERE node.sha256 = handed.sha256 AND node.sha256 <> '')"
        " AND NOT EXISTS (SELECT 1 FROM version WHERE version.sha256 = handed.sha256 AND version.sha256 <> '')"
    )


def plain(text: str, most_chars: int, *, lines: bool = False) -> str:
    """What a sender wrote, without signs that are none, cut to a length."""
    kept = (
        one if unicodedata.category(one)[0] != "C" or (lines and one == "\n") else " "
        for one in text.replace("\r\n", "\n")
    )
    return "".join(kept).strip()[:most_chars]
