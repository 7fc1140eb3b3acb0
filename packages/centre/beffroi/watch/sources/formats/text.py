"""Plain lists, tables (CSV) and hosts files. Pure.

Input:  hostile text, already decoded and bounded.
Fails:  a table without the named column, or with a broken quote, is refused whole; a line that is no indicator is
        counted.
Source: RFC 4180; hosts(5).
"""

from __future__ import annotations

import csv
import io

from beffroi_protocol.indicators import Kind

from beffroi.lib import digits
from beffroi.watch.sources.errors import Unreadable
from beffroi.watch.sources.formats import misp
from beffroi.watch.sources.formats.values import Found, lines, of_text
from beffroi.watch.sources.handover import MAX_LINE_BYTES, Ask

_SINKS = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})  # noqa: S104 - what hosts files lead to
_LOCAL_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback"}
)


def plain(ask: Ask, text: str) -> Found:
    """One indicator a line; what follows a blank or a tab is a remark."""
    found = Found()
    for line in lines(text):
        found.add(of_text(line.split(maxsplit=1)[0].rstrip(",;")))
    return found


def hosts(ask: Ask, text: str) -> Found:
    """``0.0.0.0 NAME ...``: the names are what is listed; a line that leads elsewhere lists nothing."""
    found = Found()
    for line in lines(text):
        address, *names = line.split("#", 1)[0].split()
        if address not in _SINKS:
            found.unsupported += 1
            continue
        for name in names:
            if name.lower() in _LOCAL_NAMES or name in _SINKS:
                continue
            value = of_text(name)
            found.add(value if value is not None and value.kind == Kind.DOMAIN else None)
    return found


def table(ask: Ask, text: str) -> Found:
    """One indicator a row, in ``ask.column`` (a name, or a number from 1). Errors: Unreadable."""
    found = Found()
    kept = "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    delimiter = {"tab": "\t", "\\t": "\t", "": ","}.get(ask.delimiter, ask.delimiter)
    if len(delimiter) != 1:
        raise Unreadable("the delimiter is one character")
    csv.field_size_limit(MAX_LINE_BYTES * 8)
    try:
        rows = csv.reader(
            io.StringIO(kept, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
        )
        names = next(rows, None) if ask.header else None
        at = _column(ask.column or "1", names)
        type_at = _column(ask.type_column, names) if ask.type_column else -1
        for row in rows:
            if max(at, type_at) >= len(row):
                found.invalid += 1
            elif type_at >= 0:
                misp.add_attribute(found, row[type_at], row[at])
            else:
                found.add(of_text(row[at]))
    except csv.Error as error:
        raise Unreadable(error) from None
    return found


def _column(wanted: str, names: list[str] | None) -> int:
    if 0 < (nth := digits.number(wanted) or 0) <= 1000:
        return nth - 1
    if names is None or wanted not in (bare := [name.strip().strip("#").strip() for name in names]):
        raise Unreadable(f"no column {wanted[:40]}")
    return bare.index(wanted)
