"""What clients call the parts of an upload: the order of names, and the number under which a named part is kept.

Rule:    a number from 0 to MAX_PARTS stands for itself, with zeros before it or without: "7" and "00007" are one part.
         Any other name (an offset, "000000000000064-000000000000127") gets a number above those when it comes first.
         All are joined in the order of their names, where digits in a row count as one number.
Hostile: names.
Source:  docs/internals/drive-sync.md, "Parts"; Nextcloud's developer manual, "Chunked file upload", versions 1 and 2.
"""

from __future__ import annotations

import re

from beffroi.drive.store import names
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError

MAX_PARTS = 10_000
"""Of each kind: numbers, and names."""
_NUMBER, _STEPS = re.compile(r"\d{1,9}", re.ASCII), re.compile(r"\d+|\D", re.ASCII)


class PartRefused(BeffroiError):
    """The parts of an upload are numbered from 0 to 10000, or have a name of at most 255 bytes; 10000 of each."""

    code = "drive.part_refused"
    http_status = 400


def order(name: str) -> tuple[tuple[int, int], ...]:
    """Key of the order: digits in a row by their value, where a digit stands among the other signs."""
    steps = _STEPS.findall(name)
    return tuple((ord("0"), int(step)) if step.isdecimal() else (ord(step), 0) for step in steps)


def number(name: str) -> int | None:
    """The number that a name is by itself; None for any other name. Errors: PartRefused."""
    if _NUMBER.fullmatch(name) and int(name) <= MAX_PARTS:
        return int(name)
    try:
        if names.normal(name) == name and not name.startswith("."):
            return None
    except names.NameRefused:
        pass
    raise PartRefused


def given(writing: Writing, key: str, name: str) -> int:
    """The number of a part in the upload ``key``, given to its name now or before. Errors: PartRefused."""
    own = number(name)
    if own is not None:
        return own
    row = writing.one("SELECT number FROM part_name WHERE upload = ? AND name = ?", (key, name))
    if row is not None:
        return int(row[0])
    (last,) = writing.one("SELECT MAX(number) FROM part_name WHERE upload = ?", (key,)) or (None,)
    new = (MAX_PARTS if last is None else int(last)) + 1
    if new > 2 * MAX_PARTS:
        raise PartRefused
    writing.run("INSERT INTO part_name (upload, name, number) VALUES (?, ?, ?)", (key, name, new))
    return new


def of(database: Reading, key: str) -> dict[int, str]:
    """Number -> name of the parts of an upload that have one."""
    return dict(database.all("SELECT number, name FROM part_name WHERE upload = ?", (key,)))


def forget(writing: Writing, key: str) -> None:
    writing.run("DELETE FROM part_name WHERE upload = ?", (key,))
