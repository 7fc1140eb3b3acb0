"""Entries of a collection as one file that any program takes: .ics of a calendar, .vcf of an address book. Pure.

Rule:    entries stay as their programs wrote them, their lines untouched; those of a room get one more, who booked it.
         Of time zones that several entries bring along the first of each name stands, as in Radicale's own downloads.
Hostile: entries. They are read as lines and never parsed; what is no calendar, or no card, is left out and told.
Source:  RFC 5545, 3.4 and 3.6; RFC 6350, 3.3 (cards stand one after the other).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

_NAME_CHARS = 60
_END = re.compile(rb"^(?=END:VEVENT\s*$)", re.IGNORECASE | re.MULTILINE)


def calendar(title: str, entries: Iterable[bytes], refused: Callable[[], object]) -> Iterator[bytes]:
    """``refused`` is called for each entry that is left out."""
    head = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Beffroi//Export//FR",
        f"X-WR-CALNAME:{_named(title)}",
    ]
    yield _text(head)
    zones: set[str] = set()
    for one in entries:
        parts = _parts(one, "VCALENDAR")
        if parts is None:
            refused()
            continue
        for part in parts:
            if part[0].rstrip().upper() == "BEGIN:VTIMEZONE":
                name = next((line.strip() for line in part if line.upper().startswith("TZID")), "")
                if name in zones:
                    continue
                zones.add(name)
            yield _text(part)
    yield _text(["END:VCALENDAR"])


def booked_by(entry: bytes, name: str) -> bytes:
    """An entry of a room with who booked it as its contact (RFC 5545, 3.8.4.2)."""
    line = f"CONTACT:{_named(name)}\r\n".encode()
    return _END.sub(lambda _: line, entry)


def cards(entries: Iterable[bytes], refused: Callable[[], object]) -> Iterator[bytes]:
    for one in entries:
        found = _lines(one)
        if (
            not found
            or found[0].rstrip().upper() != "BEGIN:VCARD"
            or found[-1].rstrip().upper() != "END:VCARD"
        ):
            refused()
            continue
        yield _text(found)


def _named(name: str) -> str:
    shown = "".join(sign for sign in name if sign.isprintable())[:_NAME_CHARS]
    return shown.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _parts(entry: bytes, outer: str) -> list[list[str]] | None:
    """The components of one entry, folded as they are; None for what is none."""
    found = _lines(entry)
    if len(found) < 2 or found[0].rstrip().upper() != f"BEGIN:{outer}":
        return None
    parts: list[list[str]] = []
    depth, part = 0, []
    for line in found[1:-1]:
        word = line.rstrip().upper()  # a line that goes on begins with a space, whatever it says then
        opens, ends = word.startswith("BEGIN:"), word.startswith("END:")
        depth += opens
        if depth:
            part.append(line)
        depth -= ends
        if depth < 0:
            return None
        if ends and not depth:
            parts.append(part)
            part = []
    is_closed = found[-1].rstrip().upper() == f"END:{outer}" and not depth
    return parts if is_closed and parts else None


def _lines(entry: bytes) -> list[str]:
    try:
        text = entry.decode()
    except UnicodeDecodeError:
        return []
    return [line for line in text.replace("\r\n", "\n").split("\n") if line]


def _text(found: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in found).encode()
