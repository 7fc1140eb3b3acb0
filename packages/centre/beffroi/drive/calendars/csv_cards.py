"""A table of contacts, as Outlook and Google write it in French and English, made into vCard 3.0. Pure.

Hostile: all of it. A cell of more than 128 KiB, as a quote that never closes makes one, ends the table as broken.
Rule:    a table is one of contacts where its first line names a name and an address or a number. Only what is listed
         here is taken: names, organisation, addresses, numbers, note; the first ten of each.
Source:  Outlook for Windows ("Exporter, valeurs séparées par des virgules"), Outlook on the web, Google Contacts
         (formats of before and after 2023): their first lines, in tests/unit/test_csv_cards.py.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from beffroi.drive.calendars.itip_text import escaped
from beffroi.lib import accents

MAX_COLUMNS = 300
MAX_EACH = 10
_GIVEN = frozenset({"first name", "given name", "prenom"})
_FAMILY = frozenset({"last name", "family name", "nom", "nom de famille"})
_WHOLE = frozenset({"name", "display name", "nom complet", "nom a afficher"})
_ORGANISATION = frozenset(
    {"company", "organization name", "organization 1 - name", "societe", "entreprise", "organisme",
     "nom de l'organisation"}
)  # fmt: skip
_NOTE = frozenset({"notes", "note", "remarques"})
_EMAIL = re.compile(r"e-?mail|courriel|\bmessagerie|adresse electronique")
_NO_EMAIL = re.compile(r"type|label|libelle|display|\bnom\b|name")
_PHONE = re.compile(r"\btel\b|telephone|phone|mobile|portable")
_NO_PHONE = re.compile(r"fax|telecop|telex|phonet|label|libelle|type|tty|pager|assistant")
_MANY = re.compile(r"\s*:::\s*")
"""How Google says several of one kind in a cell."""


class Row(NamedTuple):
    """``card`` "" where the row is broken."""

    line: int
    card: str


class _Columns(NamedTuple):
    given: int | None
    family: int | None
    whole: int | None
    organisation: int | None
    note: int | None
    emails: list[int]
    phones: list[int]


def rows(text: str) -> Iterator[Row]:
    """None of what is no table of contacts."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        columns = _columns(next(table, []))
        while columns is not None:
            line = table.line_num + 1
            cells = next(table, None)
            if cells is None:
                return
            if any(one.strip() for one in cells):
                yield Row(line, _card(columns, cells))
    except csv.Error:
        # Where a cell ends is not known from here on.
        yield Row(line, "")


def _columns(first: list[str]) -> _Columns | None:
    if len(first) > MAX_COLUMNS:
        return None
    heads = [accents.bare(one).strip().replace("’", "'") for one in first]

    def one_of(names: frozenset[str]) -> int | None:
        return next((at for at, head in enumerate(heads) if head in names), None)

    found = _Columns(
        one_of(_GIVEN),
        one_of(_FAMILY),
        one_of(_WHOLE),
        one_of(_ORGANISATION),
        one_of(_NOTE),
        [at for at, head in enumerate(heads) if _EMAIL.search(head) and not _NO_EMAIL.search(head)],
        [at for at, head in enumerate(heads) if _PHONE.search(head) and not _NO_PHONE.search(head)],
    )
    named = any(one is not None for one in found[:4])
    return found if named and (found.emails or found.phones) else None


def _card(columns: _Columns, cells: list[str]) -> str:
    def cell(at: int | None) -> str:
        return cells[at].strip() if at is not None and at < len(cells) else ""

    given, family, organisation = cell(columns.given), cell(columns.family), cell(columns.organisation)
    whole, note = cell(columns.whole), cell(columns.note)
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"N:{escaped(family or ('' if given else whole))};{escaped(given)};;;",
    ]
    title = f"{given} {family}".strip() or whole or organisation
    if title:
        lines.append(f"FN:{escaped(title)}")
    if organisation:
        lines.append(f"ORG:{escaped(organisation)}")
    lines += [f"EMAIL:{escaped(one)}" for one in _each(cell, columns.emails) if "@" in one]
    lines += [f"TEL:{escaped(one)}" for one in _each(cell, columns.phones)]
    if note:
        lines.append(f"NOTE:{escaped(note)}")
    return "\r\n".join((*lines, "END:VCARD", ""))


def _each(cell: Callable[[int], str], some: list[int]) -> list[str]:
    found = [one for at in some for one in _MANY.split(cell(at)) if one]
    return list(dict.fromkeys(found))[:MAX_EACH]
