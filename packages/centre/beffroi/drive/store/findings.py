"""What the scan said of each content, by its SHA-256: looked at once, remembered, held back where something was found.

Rule:    a content with a finding that nobody released is frozen like one that a decision names: nobody reads or shares
         it, nothing of the same bytes is taken again. What came by a drop box is not opened before it was looked at,
         and is held for whatever a mail would be held for; what members bring, for what engines know to be malware.
Codes:   ``scan.kinds``, and VIRUS of a clamd.
Source:  docs/internals/drive.md, "The scan".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import LiteralString, NamedTuple

from beffroi.drive.store import carried
from beffroi.drive.store.frozen import Frozen, brought_by, decision_of
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError
from beffroi.scan import kinds

VIRUS = "virus"
MALICE = (VIRUS, kinds.MALWARE)
"""What freezes a content wherever it came from, and is told to all: an engine knows the file."""
CODES = (VIRUS, *kinds.ORDER)
"""Strongest first."""


class Found(Frozen):
    """This file is held back: the scan of the drive recognised it as dangerous ({})."""

    code = "drive.found"

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.is_malice = code in MALICE


class NotScanned(BeffroiError):
    """This file came from outside and was not looked at yet; it opens as soon as it was."""

    code = "drive.not_scanned"
    http_status = 423
    retryable = True


class Content(NamedTuple):
    """A content that lies somewhere in a collectivité, as ``node`` and ``version`` keep it."""

    sha256: str
    size_bytes: int
    manifest: bytes


class Scanned(NamedTuple):
    """A row of ``scanned``. ``mark``: of the rules that looked. ``found``: codes, strongest first. ``is_whole``: False
    where it was too long, or could not be read to its end by the engines."""

    sha256: str
    mark: str
    at_s: int
    found: tuple[str, ...]
    is_whole: bool


class Finding(NamedTuple):
    """A row of ``finding``. ``names``: of rules or signatures, with spaces between. ``told_s``, ``asked_s``,
    ``released_s``: epoch seconds, 0 for not yet. Until it is told: ``inside``, SHA-256 of files in it that are malware
    themselves; ``brought_by`` (``frozen.brought_by``)."""

    sha256: str
    code: str
    names: str
    at_s: int
    told_s: int
    asked_s: int
    asked_by: str
    released_s: int
    inside: tuple[str, ...] = ()
    brought_by: str = ""

    @property
    def is_malice(self) -> bool:
        return self.code in MALICE


class Result(NamedTuple):
    """What engines said of a content. ``found``: code → names of rules or signatures. ``files``: SHA-256 of files in
    it; ``malware``: of those that are malware themselves."""

    sha256: str
    mark: str
    found: dict[str, list[str]]
    is_whole: bool
    files: tuple[str, ...] = ()
    malware: tuple[str, ...] = ()


_FINDINGS: LiteralString = (
    "SELECT sha256, code, names, at_s, told_s, asked_s, asked_by, released_s FROM finding"
)


# -- the door ------------------------------------------------------------------------------------------------


def require(database: Reading, sha256: str) -> None:
    """Nothing was found in it that nobody released. Errors: Found."""
    if not sha256 or not _holds_any(database):
        return
    row = database.one("SELECT code FROM finding WHERE sha256 = ? AND released_s = 0", (sha256,))
    if row is not None:
        raise Found(row[0])


def _holds_any(database: Reading) -> bool:
    """Most collectivités hold nothing: all files of a group ask that together, once."""
    return database.one("SELECT 1 FROM finding UNION ALL SELECT 1 FROM frozen LIMIT 1") is not None


def require_new(database: Reading, sha256: str) -> None:
    """As ``require``, of what somebody brings: nor is it frozen, as what carries a decided file may be, of which the
    feed knows nothing. Errors: Frozen, Found."""
    if sha256 and _holds_any(database):
        _require_free(database, sha256)


def require_free(database: Reading, contents: Collection[str]) -> None:
    """None of them is held, by a decision or by what was found: nobody copies or shares those. ``contents``: SHA-256.

    Errors: Frozen, Found.
    """
    held = database.all("SELECT sha256 FROM frozen UNION SELECT sha256 FROM finding WHERE released_s = 0")
    for sha256 in {row[0] for row in held}.intersection(contents):
        _require_free(database, sha256)


def _require_free(database: Reading, sha256: str) -> None:
    decision_id = decision_of(database, sha256)
    if decision_id:
        raise Frozen(decision_id)
    require(database, sha256)


def require_scanned(database: Reading, sha256: str) -> None:
    """What came from outside was looked at. Errors: NotScanned."""
    if sha256 and _came_by_link(database, sha256) and of(database, sha256) is None:
        raise NotScanned


# -- look-ups ------------------------------------------------------------------------------------------------


def of(database: Reading, sha256: str) -> Scanned | None:
    """None: not yet."""
    row = database.one("SELECT sha256, mark, at_s, found, is_whole FROM scanned WHERE sha256 = ?", (sha256,))
    return Scanned(row[0], row[1], row[2], tuple(row[3].split()), bool(row[4])) if row else None


def finding(database: Reading, sha256: str) -> Finding | None:
    row = database.one(_FINDINGS + " WHERE sha256 = ?", (sha256,)) if sha256 else None
    return Finding(*row) if row else None


def untold(database: Reading) -> list[Finding]:
    """What the outbox does not have yet: malice alone is told."""
    rows = database.all(_FINDINGS + " WHERE told_s = 0 AND released_s = 0")
    return [_to_tell(database, one) for one in (Finding(*row) for row in rows) if one.is_malice]


def _to_tell(database: Reading, finding: Finding) -> Finding:
    rows = database.all("SELECT packed FROM found_inside WHERE sha256 = ?", (finding.sha256,))
    inside = tuple(row[0] for row in rows)
    return finding._replace(inside=inside, brought_by=brought_by(database, finding.sha256))


def waiting_in(database: Reading, node_ids: Collection[int]) -> list[Content]:
    """Contents of these files, present and earlier ones, that were never looked at; each once."""
    found: dict[str, Content] = {}
    for node_id in node_ids:
        for row in database.all(
            "SELECT sha256, size_bytes, manifest FROM node WHERE id = ? AND sha256 <> ''"
            " AND NOT EXISTS (SELECT 1 FROM scanned WHERE scanned.sha256 = node.sha256)"
            " UNION ALL SELECT sha256, size_bytes, manifest FROM version WHERE node = ? AND sha256 <> ''"
            " AND NOT EXISTS (SELECT 1 FROM scanned WHERE scanned.sha256 = version.sha256)",
            (node_id, node_id),
        ):
            found.setdefault(row[0], Content(row[0], row[1], bytes(row[2])))
    return list(found.values())


def after(database: Reading, sha256: str, most: int) -> list[str]:
    """The next contents that lie here, by their SHA-256: two indexes are walked, whatever the collectivité's size."""
    rows = database.all(
        "SELECT DISTINCT sha256 FROM node WHERE sha256 > ? AND sha256 <> '' ORDER BY sha256 LIMIT ?",
        (sha256, most),
    ) + database.all(
        "SELECT DISTINCT sha256 FROM version WHERE sha256 > ? ORDER BY sha256 LIMIT ?", (sha256, most)
    )
    return sorted({row[0] for row in rows if row[0]})[:most]


def content(database: Reading, sha256: str) -> Content | None:
    """Where it lies; None where it went meanwhile."""
    row = database.one(
        "SELECT sha256, size_bytes, manifest FROM node WHERE sha256 = ? AND sha256 <> '' LIMIT 1", (sha256,)
    ) or database.one("SELECT sha256, size_bytes, manifest FROM version WHERE sha256 = ? LIMIT 1", (sha256,))
    return Content(row[0], row[1], bytes(row[2])) if row else None


def all_by(database: Reading, mark: str) -> bool:
    """Whether these rules looked at everything that was looked at."""
    return database.one("SELECT 1 FROM scanned WHERE mark <> ? LIMIT 1", (mark,)) is None


def is_of_members(database: Reading, sha256: str) -> bool:
    """It lies here, was looked at and came by no link: that somebody hands the same in, a form that they were given,
    changes nothing for who has it."""
    return (
        of(database, sha256) is not None
        and not _came_by_link(database, sha256)
        and content(database, sha256) is not None
    )


def _came_by_link(database: Reading, sha256: str) -> bool:
    return database.one("SELECT 1 FROM handed WHERE sha256 = ? LIMIT 1", (sha256,)) is not None


# -- changes -------------------------------------------------------------------------------------------------


def keep(writing: Writing, results: Sequence[Result], *, now_s: int) -> bool:
    """What was looked at: remembered, frozen where something was found, free where newer rules find nothing. A look
    that did not see all of a content, because an engine failed on it, takes no word about malware back.

    Whether something waits for the door now (``carried``)."""
    is_due = False
    for one in results:
        codes = [code for code in CODES if code in one.found]
        writing.run(
            "INSERT INTO scanned (sha256, mark, at_s, found, is_whole) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (sha256) DO UPDATE SET mark = excluded.mark, at_s = excluded.at_s, found = excluded.found,"
            " is_whole = excluded.is_whole",
            (one.sha256, one.mark, now_s, " ".join(codes), int(one.is_whole)),
        )
        is_due |= carried.keep(writing, one.sha256, one.files)
        malice = next((code for code in codes if code in MALICE), "")
        known = finding(writing, one.sha256)
        if not malice and not one.is_whole and known is not None and known.is_malice:
            continue
        code = malice or (codes[0] if codes and _came_by_link(writing, one.sha256) else "")
        if code:
            _freeze(writing, one, code, now_s=now_s)
        else:
            writing.run("DELETE FROM finding WHERE sha256 = ? AND released_s = 0", (one.sha256,))
    return is_due


def _freeze(writing: Writing, result: Result, code: str, *, now_s: int) -> None:
    """A finding that is known stays as it is, released or not, unless it is another one. Who released it let the weaker
    ones pass, too: what an engine that fails cannot read, a rule that found more before."""
    sha256 = result.sha256
    known = finding(writing, sha256)
    if known is not None and known.code == code:
        return
    if known is not None and known.released_s and CODES.index(known.code) < CODES.index(code):
        return
    writing.run("DELETE FROM finding WHERE sha256 = ?", (sha256,))
    writing.run(
        "INSERT INTO finding (sha256, code, names, at_s, told_s, asked_s, asked_by, released_s, released_by)"
        " VALUES (?, ?, ?, ?, 0, 0, '', 0, '')",
        (sha256, code, " ".join(result.found[code]), now_s),
    )
    _forget_inside(writing, sha256)
    inside = [(sha256, one) for one in set(result.malware)]
    writing.many("INSERT INTO found_inside (sha256, packed) VALUES (?, ?)", inside)


def told(writing: Writing, sha256: str, *, now_s: int) -> None:
    writing.run("UPDATE finding SET told_s = ? WHERE sha256 = ?", (now_s, sha256))
    _forget_inside(writing, sha256)


def _forget_inside(writing: Writing, sha256: str) -> None:
    writing.run("DELETE FROM found_inside WHERE sha256 = ?", (sha256,))


def ask(writing: Writing, sha256: str, *, person_id: str, now_s: int) -> bool:
    """Somebody wants it looked at again. False where it was asked before, or is free. Errors: AbsentNode."""
    _there(writing, sha256)
    return bool(
        writing.run(
            "UPDATE finding SET asked_s = ?, asked_by = ? WHERE sha256 = ? AND asked_s = 0 AND released_s = 0",
            (now_s, person_id, sha256),
        )
    )


def release(writing: Writing, sha256: str, *, person_id: str, now_s: int) -> bool:
    """Free from now on, here alone. False where it was before. Errors: AbsentNode."""
    _there(writing, sha256)
    return bool(
        writing.run(
            "UPDATE finding SET released_s = ?, released_by = ? WHERE sha256 = ? AND released_s = 0",
            (now_s, person_id, sha256),
        )
    )


def _there(database: Reading, sha256: str) -> None:
    if finding(database, sha256) is None:
        raise AbsentNode("finding")


def gone(database: Reading, after: str = "", most: int = 500) -> list[str]:
    """Contents that were looked at and lie nowhere here any more, the next after one of them: together they are one
    look at each. A long look where there are many, without a lock."""
    rows = database.all(
        "SELECT sha256 FROM scanned WHERE sha256 > ?"
        " AND NOT EXISTS (SELECT 1 FROM node WHERE node.sha256 = scanned.sha256 AND node.sha256 <> '')"
        " AND NOT EXISTS (SELECT 1 FROM version WHERE version.sha256 = scanned.sha256) ORDER BY sha256 LIMIT ?",
        (after, most),
    )
    return [row[0] for row in rows]


def forget(writing: Writing, names: Sequence[str]) -> None:
    """What was said of these goes, unless they came again."""
    for sha256 in names:
        if content(writing, sha256) is None:
            writing.run("DELETE FROM scanned WHERE sha256 = ?", (sha256,))
            writing.run("DELETE FROM finding WHERE sha256 = ?", (sha256,))
            carried.keep(writing, sha256, ())
            _forget_inside(writing, sha256)


# -- how far the scan is ---------------------------------------------------------------------------------------


class Progress(NamedTuple):
    """The row of ``scanning``. ``number``: of the last change whose contents were looked at. ``mark``: of the rules of
    the last walk through everything that ended; ``walked``: where the one under way is, "" where none is; ``walk_s``:
    when the last one began."""

    number: int
    mark: str
    walked: str
    walk_s: int


FRESH_S = 3600
"""Without a row: changes of the last hour are looked at at once, what lay there before by the first walk."""


def progress(database: Reading, *, now_s: int) -> Progress:
    row = database.one("SELECT number, mark, walked, walk_s FROM scanning")
    if row is not None:
        return Progress(*row)
    before = scalar(database, "SELECT MAX(number + 0) FROM change WHERE at_s < ?", (now_s - FRESH_S,))
    return Progress(before or 0, "", "", 0)


def keep_progress(writing: Writing, progress: Progress) -> None:
    if not writing.run("UPDATE scanning SET number = ?, mark = ?, walked = ?, walk_s = ?", progress):
        writing.run(
            "INSERT INTO scanning (one, number, mark, walked, walk_s) VALUES (1, ?, ?, ?, ?)", progress
        )


def changes(database: Reading, number: int, most: int) -> tuple[list[int], int]:
    """(files that changed after ``number``, number of the last change that this covers)."""
    rows = database.all(
        "SELECT number, node, is_folder FROM change WHERE number > ? ORDER BY number LIMIT ?", (number, most)
    )
    return list(dict.fromkeys(row[1] for row in rows if not row[2])), rows[-1][0] if rows else number
