"""A table of contacts, as Outlook and Google write it in French and English, made into vCard 3.0. Pure.

Hostile: all of it. A cell of more than 128 KiB, as a quote that never closes makes one, ends the table as broken.
Rule:    a table is one of contacts where its first line names a name and an address or a number. Only what is listed
         here is taken, the first ten of each; of days of birth those that can be read in one way.
Source:  Outlook for Windows ("Exporter, valeurs séparées par des virgules"), Outlook on the web, Google Contacts
         (formats of before and after 2023): their first lines, in tests/unit/test_csv_cards.py.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from beffroi.drive.calendars.itip_text import escaped
from beffroi.lib import accents

MAX_COLUMNS = 300
MAX_EACH = 10
_FIELDS = {
    "prefix": ("name prefix",),
    "given": ("first name", "given name", "prenom"),
    "middle": ("middle name", "additional name", "deuxieme prenom"),
    "family": ("last name", "family name", "nom", "nom de famille"),
    "suffix": ("suffix", "name suffix", "suffixe"),
    "whole": ("name", "display name", "nom complet", "nom a afficher"),
    "organisation": (
        *("company", "organization name", "organization 1 - name", "societe", "entreprise"),
        *("organisme", "nom de l'organisation"),
    ),
    "department": ("department", "organization department", "organization 1 - department", "service"),
    "role": ("job title", "organization title", "organization 1 - title", "fonction", "profession"),
    "note": ("notes", "note", "remarques"),
    "born": ("birthday", "anniversaire", "date de naissance"),
    "page": ("web page", "website 1 - value", "page web"),
    "labels": ("labels", "group membership", "categories"),
    "private": ("sensitivity", "critere de diffusion"),
}
_NAMED = {"given", "family", "whole", "organisation"}
_TITLES = ("title", "titre")
"""Of a person where what they do stands in another column, after it; else this."""
_EMAIL = re.compile(r"e-?mail|courriel|courrier|\bmessagerie|adresse electronique")
_NO_EMAIL = re.compile(r"type|label|libelle|display|\bnom\b|name")
_FAX = re.compile(r"fax|telecop")
_PHONE = re.compile(r"\btel\b|telephone|phone|mobile|portable|fax|telecop")
_NO_PHONE = re.compile(r"telex|phonet|label|libelle|type|tty|pager|assistant")
_PLACE = re.compile(r"(?:bureau|domicile|autre)(?=\))|^(?:business|home|other)\b|^address [0-9]+(?= - )")
_PARTS = tuple(
    re.compile(rf"\b(?:{words})\b")
    for words in ("po box", "extended address", "street|rue", "city|ville", "state|region",
                  "postal code|code postal", "country|pays")
)  # fmt: skip
"""Of an address, as vCard has them."""
_TYPES = {
    "CELL": re.compile(r"mobile|portable"),
    "FAX": _FAX,
    "WORK": re.compile(r"business|work|company|bureau|travail|professionnel|societe"),
    "HOME": re.compile(r"home|domicile|personnel"),
}
_PRIVATE = frozenset({"private", "prive", "personal", "personnel", "confidential", "confidentiel"})
_MANY = re.compile(r"\s*:::\s*")
"""How Google says several of one kind in a cell."""
_LABELS = re.compile(r"\s*(?::::|;)\s*")


type Cell = Callable[[int | None], str]
"""What stands in a column of this row; "" without one."""


class Row(NamedTuple):
    """``card`` "" where the row is broken."""

    line: int
    card: str


class _Column(NamedTuple):
    """``label``: of the column that says its type. ``head``: of an address, which one; ``part``: what of it."""

    at: int
    head: str
    label: int | None
    part: int = 0


class _Columns(NamedTuple):
    fields: dict[str, int]
    is_french: bool
    emails: list[_Column]
    phones: list[_Column]
    places: list[_Column]


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
    first_at = {head: at for at, head in reversed([*enumerate(heads)])}

    def label_of(begun: str) -> int | None:
        return next((first_at[one] for one in (f"{begun}label", f"{begun}type") if one in first_at), None)

    fields = {
        name: min(first_at[one] for one in known if one in first_at)
        for name, known in _FIELDS.items()
        if not first_at.keys().isdisjoint(known)
    }
    if titles := [at for at, head in enumerate(heads) if head in _TITLES]:
        if "role" in fields or len(titles) > 1:
            fields["prefix"] = titles[0]
        fields.setdefault("role", titles[-1])
    emails, phones, places = [], [], []
    for at, head in enumerate(heads):
        place = _PLACE.search(head)
        parts = [number for number, words in enumerate(_PARTS) if words.search(head)]
        if place and parts:  # of "Pays/Région", the country
            places.append(_Column(at, place[0], label_of(f"{place[0]} - "), parts[-1]))
        elif _EMAIL.search(head) and not _NO_EMAIL.search(head):
            emails.append(_Column(at, head, None))
        elif _PHONE.search(head) and not _NO_PHONE.search(head):
            phones.append(_Column(at, head, label_of(head.removesuffix("value"))))
    if fields.keys().isdisjoint(_NAMED) or not (emails or phones):
        return None
    phones.sort(key=lambda one: bool(_FAX.search(one.head)))
    return _Columns(fields, not first_at.keys().isdisjoint(("prenom", "nom")), emails, phones, places)


def _card(columns: _Columns, cells: list[str]) -> str:
    def cell(at: int | None) -> str:
        return cells[at].strip() if at is not None and at < len(cells) else ""

    said = {name: cell(columns.fields.get(name)) for name in _FIELDS}
    given, family, whole = said["given"], said["family"], said["whole"]
    name = (family or ("" if given else whole), given, said["middle"], said["prefix"], said["suffix"])
    title = f"{given} {family}".strip() or whole or said["organisation"]
    organisation = (said["organisation"], said["department"])
    labels = [one for one in _LABELS.split(said["labels"]) if one and not one.startswith("*")]
    texts = (
        *(("FN", title), ("TITLE", said["role"]), ("NOTE", said["note"])),
        ("BDAY", _day(said["born"], is_french=columns.is_french)),
    )
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"N:{';'.join(map(escaped, name))}",
        *(f"{name}:{escaped(text)}" for name, text in texts if text),
        *([f"ORG:{';'.join(map(escaped, organisation))}".removesuffix(";")] if any(organisation) else []),
        *([f"URL:{''.join(said['page'].split())}"] if said["page"] else []),
        *([f"CATEGORIES:{','.join(map(escaped, labels))}"] if labels else []),
        *(["CLASS:PRIVATE"] if accents.bare(said["private"]) in _PRIVATE else []),
        *_each(cell, "EMAIL", [one for one in columns.emails if "@" in cell(one.at)]),
        *_each(cell, "TEL", columns.phones),
        *_addresses(cell, columns.places),
    ]
    return "\r\n".join((*lines, "END:VCARD", ""))


def _each(cell: Cell, name: str, some: list[_Column]) -> list[str]:
    found: dict[str, str] = {}
    for column in some:
        types = _types(column.head, cell(column.label)) if name == "TEL" else ""
        for one in filter(None, _MANY.split(cell(column.at))):
            found.setdefault(one, f"{name}{types}:{escaped(one)}")
    return list(found.values())[:MAX_EACH]


def _addresses(cell: Cell, places: list[_Column]) -> list[str]:
    found: dict[str, list[list[str]]] = {}
    types: dict[str, str] = {}
    for column in places:
        if text := cell(column.at):
            found.setdefault(column.head, [[] for _ in _PARTS])[column.part].append(text)
            types[column.head] = _types(column.head, cell(column.label))
    return [
        f"ADR{types[head]}:{';'.join(escaped('\n'.join(part)) for part in parts)}"
        for head, parts in list(found.items())[:MAX_EACH]
    ]


def _types(head: str, label: str) -> str:
    said = f"{head} {accents.bare(label)}"
    types = [one for one, words in _TYPES.items() if words.search(said)]
    return f";TYPE={','.join(types)}" if types else ""


def _day(text: str, *, is_french: bool) -> str:
    """As vCard has it; "" for none, and for what may be two days."""
    for form in ("%Y-%m-%d", "%d/%m/%Y") if is_french else ("%Y-%m-%d",):
        try:
            return f"{datetime.strptime(text, form):%Y-%m-%d}"  # noqa: DTZ007 - a day, nowhere
        except ValueError:
            continue
    return ""
