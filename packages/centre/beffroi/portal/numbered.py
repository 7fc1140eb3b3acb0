"""A long list on pages that have numbers: its part, the pages beside it, what narrows it. Pure; input: hostile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from beffroi.lib import digits

ROWS = 50


@dataclass(frozen=True)
class Numbered[Row]:
    """``rows``: of page ``number`` of ``pages``. ``query``, ``earlier``, ``later``: what leads to this page and to
    those beside it, "" where it leads to the first with nothing chosen, or there is none."""

    rows: Sequence[Row]
    found: int
    number: int
    pages: int
    query: str
    earlier: str
    later: str


def numbered[Row](rows: Sequence[Row], asked: str, chosen: Mapping[str, str]) -> Numbered[Row]:
    """``asked``: the number as the address has it; one that there is not is the nearest. ``chosen``: name and value
    of what the list is narrowed by; empty ones are left out."""
    pages = max(1, -(-len(rows) // ROWS))
    number = min(pages, digits.number(asked) or 1)
    kept = {name: value for name, value in chosen.items() if value}

    def leads(to: int) -> str:
        return urlencode({**kept, **({"page": str(to)} if to > 1 else {})})

    return Numbered(
        rows[(number - 1) * ROWS : number * ROWS],
        len(rows),
        number,
        pages,
        leads(number),
        urlencode({**kept, "page": number - 1}) if number > 1 else "",
        leads(number + 1) if number < pages else "",
    )


def filters(
    names: Iterable[tuple[str, str, int]], chosen: str, also: Mapping[str, str]
) -> list[dict[str, object]]:
    """``names``: value of the parameter *etat*, "" for all, with its label and how many there are. ``also``: name and
    value of what else is chosen; empty ones are left out."""
    return [
        {
            "label": label,
            "count": count,
            "current": name == chosen,
            "query": urlencode({key: value for key, value in {"etat": name, **also}.items() if value}),
        }
        for name, label, count in names
    ]
