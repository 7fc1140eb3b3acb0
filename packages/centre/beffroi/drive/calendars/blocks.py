"""A file of contacts or of entries, cut into what it holds, each with its line; nothing is understood of it yet. Pure.

Hostile: all of it. A component that does not end is broken alone; lines are walked through one by one, never kept as a
         list.
Source:  RFC 6350, 3.2; RFC 5545, 3.4; vCard 2.1, 2.1.3 for its lines.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Collection, Iterator
from typing import NamedTuple

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Block(NamedTuple):
    """``line``: of its BEGIN, from 1; ``text``: its lines as they came; ``whole``: it has an end."""

    name: str
    line: int
    text: str
    whole: bool


def decoded(data: bytes) -> str:
    """As it says, as UTF-8, or as Windows in France writes. Errors: ValueError: no text."""
    said = next((encoding for bom, encoding in _BOMS if data.startswith(bom)), "")
    try:
        text = data.decode(said or "utf-8")
    except UnicodeDecodeError:
        if said:
            raise
        text = data.decode("cp1252")
    if "\0" in text:
        raise ValueError("no text")
    return text


def cut(text: str, names: Collection[str]) -> Iterator[Block]:
    """Components of these names (upper case), in their order; what lies in one belongs to it."""
    name, begin, taken = "", 0, io.StringIO()
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        word, _, value = line.strip().upper().partition(":")
        is_begin = word == "BEGIN" and value in names and not line[0].isspace()
        if name and is_begin and value == name:
            yield Block(name, begin, taken.getvalue(), whole=False)
            name = ""
        if not name and is_begin:
            name, begin, taken = value, number, io.StringIO()
        if name:
            taken.write(line.rstrip("\n") + "\r\n")
            if word == "END" and value == name:
                yield Block(name, begin, taken.getvalue(), whole=True)
                name = ""
    if name:
        yield Block(name, begin, taken.getvalue(), whole=False)
