"""Tables and their cells that a person opens in a spreadsheet. Pure.

Hostile: what a cell says: an address that a sender chose may begin as a formula does.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet computes."""


def inert(cell: str) -> str:
    """``cell`` as text that is not computed."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A file that a French spreadsheet opens as a table: with its mark of UTF-8 and semicolons. No cell is computed."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerows(map(inert, line) for line in (head, *rows))
    return out.getvalue().encode("utf-8-sig")
