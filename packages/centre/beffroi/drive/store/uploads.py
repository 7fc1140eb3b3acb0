"""Large files that come in parts: each part is kept with its references until they are joined or given up.

Rule:    ``join`` says what the parts make together; whoever puts it reads it back once for SHA-1 and SHA-256, which no
         arithmetic gives from the parts' own. The reading back also proves that every chunk opens before the client
         is told to forget the file. ``finish`` refuses when a part was sent anew meanwhile.
Hostile: identifiers and numbers, from the client.
Errors:  AbsentUpload (also for another person's), UploadExists, TooManyUploads, PartRefused.
Source:  docs/internals/drive.md; chunked uploads of Nextcloud, versions 1 and 2.
"""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from beffroi.drive.store import part_names, refs, room, tree, weights
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.model import Act, Changed, Content, Node
from beffroi.drive.store.part_names import MAX_PARTS, PartRefused
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError, Conflict, NotFound

MAX_ID_BYTES = 255
KEPT_S = 2 * 86400
MOST_EXPIRED = 20
MOST_OF_A_PERSON = 1000
"""Under way: nobody sends as many files at once, and empty ones would take no room."""
_PARTS: LiteralString = "SELECT number, size_bytes, manifest FROM part WHERE upload = ? ORDER BY number"


class AbsentUpload(NotFound):
    """There is no such upload: it was finished, given up, or nothing of it came for two days."""

    code = "drive.upload_absent"


class UploadExists(Conflict):
    """An upload of this name was begun already."""

    code = "drive.upload_exists"
    http_status = 405
    allow = "PROPFIND, DELETE"


class TooManyUploads(BeffroiError):
    """This person has too many uploads under way; finish or give up some."""

    code = "drive.too_many_uploads"
    http_status = 507


class Part(NamedTuple):
    """``name``: where the client gave one that is no number of a part (``part_names``)."""

    number: int
    size_bytes: int
    manifest: bytes
    name: str = ""


class Joined(NamedTuple):
    """All parts in order: what ``finish`` puts, once it was read back."""

    size_bytes: int
    manifest: bytes
    sha256: str = ""
    """Of no content yet: it is known once all was read back."""


def begin(writing: Writing, act: Act, upload: str) -> None:
    """``upload``: the client's name for it; names of two persons never meet."""
    if not upload or len(upload.encode()) > MAX_ID_BYTES:
        raise PartRefused
    if _begun(writing, act.person_id, upload):
        raise UploadExists("upload")
    mine: LiteralString = "SELECT COUNT(*) FROM upload WHERE person_id = ?"
    if scalar(writing, mine, (act.person_id,)) >= MOST_OF_A_PERSON:
        raise TooManyUploads
    key = _key(act.person_id, upload)
    writing.run(
        "INSERT INTO upload (id, person_id, created_s) VALUES (?, ?, ?)", (key, act.person_id, act.now_s)
    )


def put_part(writing: Writing, act: Act, upload: str, number: int, content: Content) -> None:
    """Sent twice, the second one counts. It counts in the collectivité's room; in that of a root only as part of the
    file, at its end. Errors also: QuotaFull."""
    if not 0 <= number <= MAX_PARTS:
        raise PartRefused
    _put(writing, act, _require(writing, act.person_id, upload), number, content)


def put_named(writing: Writing, act: Act, upload: str, name: str, content: Content) -> None:
    """As ``put_part``; ``name``: the client's for the part."""
    key = _require(writing, act.person_id, upload)
    _put(writing, act, key, part_names.given(writing, key, name), content)


def _put(writing: Writing, act: Act, key: str, number: int, content: Content) -> None:
    refs.add(writing, content)
    before = writing.one(
        "SELECT size_bytes, manifest FROM part WHERE upload = ? AND number = ?", (key, number)
    )
    if before is not None:
        refs.drop(writing, before[1], now_s=act.now_s)
        writing.run("DELETE FROM part WHERE upload = ? AND number = ?", (key, number))
        _lie(writing, -before[0])
    writing.run("UPDATE upload SET created_s = ? WHERE id = ?", (act.now_s, key))  # a slow line takes days
    room.afford_beside(writing, content.size_bytes)
    _lie(writing, content.size_bytes)
    writing.run(
        "INSERT INTO part (upload, number, size_bytes, manifest) VALUES (?, ?, ?, ?)",
        (key, number, content.size_bytes, content.manifest),
    )


def parts(database: Reading, person_id: str, upload: str) -> list[Part]:
    """What arrived, in the order in which it is joined: a client goes on from there."""
    key = _require(database, person_id, upload)
    found, named = [Part(*row) for row in database.all(_PARTS, (key,))], part_names.of(database, key)
    if not named:
        return found
    found = [one._replace(name=named.get(one.number, "")) for one in found]
    return sorted(found, key=lambda one: (part_names.order(one.name or str(one.number)), one.name))


def waiting_bytes(database: Reading, person_id: str, upload: str) -> int:
    """What arrived of an upload; 0 where there is none."""
    row = database.one(
        "SELECT COALESCE(SUM(size_bytes), 0) FROM part WHERE upload = ?", (_key(person_id, upload),)
    )
    return int(row[0]) if row else 0


def join(database: Reading, person_id: str, upload: str) -> Joined:
    found = parts(database, person_id, upload)
    whole = Manifest.join(Manifest.unpack(one.manifest) for one in found)
    return Joined(whole.size_bytes, whole.pack())


def joined(database: Database, person_id: str, upload: str) -> Joined:
    """As ``join``, for a thread: of ten thousand parts it takes a tenth of a second. Errors: AbsentUpload."""
    with database.reading() as reading:
        return join(reading, person_id, upload)


def finish(
    writing: Writing,
    act: Act,
    upload: str,
    joined: Joined,
    content: Content,
    *,
    parent: int,
    name: str,
    mtime_s: int | None = None,
) -> tuple[Node, bool]:
    """Put what was joined; ``content``: as it was read back. The upload ends. As ``tree.put``. Errors also: Changed (a
    part was sent anew since ``join``)."""
    end(writing, act, upload, joined)  # first: what its parts took, the file takes
    return tree.put(writing, act, parent, name, content, mtime_s=mtime_s)


def end(writing: Writing, act: Act, upload: str, joined: Joined) -> None:
    """As what was joined. Errors: Changed (a part was sent anew since)."""
    if join(writing, act.person_id, upload) != joined:
        raise Changed
    abort(writing, act, upload)


def abort(writing: Writing, act: Act, upload: str) -> None:
    _end(writing, _require(writing, act.person_id, upload), now_s=act.now_s)


def expire(
    writing: Writing, *, before_s: int, now_s: int, since_s: int = 0, most: int = MOST_EXPIRED
) -> bool:
    """Give up what nothing came of since ``before_s``; True while there is more. ``since_s``: ``before_s`` of the time
    before: what says to be older was not there then, but began under a clock that was behind, and is as of now."""
    writing.run("UPDATE upload SET created_s = ? WHERE created_s < ?", (now_s, since_s))
    rows = writing.all("SELECT id FROM upload WHERE created_s < ? LIMIT ?", (before_s, most))
    for (key,) in rows:
        _end(writing, key, now_s=now_s)
    return len(rows) == most


def _end(writing: Writing, key: str, *, now_s: int) -> None:
    for row in writing.all(_PARTS, (key,)):
        refs.drop(writing, row[2], now_s=now_s)
        _lie(writing, -row[1])
    writing.run("DELETE FROM part WHERE upload = ?", (key,))
    part_names.forget(writing, key)
    writing.run("DELETE FROM upload WHERE id = ?", (key,))


def _lie(writing: Writing, grown_bytes: int) -> None:
    """What is never finished lies on the disk for two more days all the same."""
    weights.lay_beside(writing, "", weights.PARTS, grown_bytes)
    writing.forget_rooms()


def _key(person_id: str, upload: str) -> str:
    return f"{person_id}/{upload}"


def _begun(database: Reading, person_id: str, upload: str) -> bool:
    return database.one("SELECT 1 FROM upload WHERE id = ?", (_key(person_id, upload),)) is not None


def _require(database: Reading, person_id: str, upload: str) -> str:
    if not _begun(database, person_id, upload):
        raise AbsentUpload("upload")
    return _key(person_id, upload)
