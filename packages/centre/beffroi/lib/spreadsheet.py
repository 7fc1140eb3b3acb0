"""Cells of a table that a person opens in a spreadsheet. Pure.

Hostile: what a cell says: an address that a sender chose may begin as a formula does.
"""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet computes."""


def inert(cell: str) -> str:
    """``cell`` as text that is not computed."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
