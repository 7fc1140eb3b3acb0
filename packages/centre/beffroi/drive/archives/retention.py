"""Usual terms of communal documents, to be proposed where somebody seals a folder. Pure data.

Limits:  proposals: the archives départementales decide, and may ask for longer. A kind of document for which no public
         rule was found is not here: its term is chosen by hand. Where public tables differ, the longer term stands.
Source:  each row's ``source``; docs/internals/drive-archives.md says where each was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

_2009 = "Instruction DAF/DPACI/RES/2009/018 du 28 août 2009"
_MINUTES = "CGCT, article L. 2121-15 (ordonnance n° 2021-1310 du 7 octobre 2021)"


@dataclass(frozen=True)
class Rule:
    """``years``: how long they are of use to the administration (DUA), None where no rule says; ``final``: what comes
    after, "select" for a choice that the archives make; ``title``: a French source string; ``source``: the rule."""

    code: str
    title: str
    years: int | None
    final: Literal["keep", "destroy", "select"]
    source: str


TABLE = {
    rule.code: rule
    for rule in (
        Rule("deliberations", "Délibérations", 1, "keep", f"{_2009} ; CGCT, article R. 2121-9"),
        Rule("deliberation-annexes", "Pièces annexes aux délibérations", 1, "keep", f"{_2009}, n° 1.1.2"),
        Rule("minutes", "Procès-verbaux des séances", None, "keep", _MINUTES),
        Rule("orders", "Arrêtés", 1, "keep", f"{_2009} ; CGCT, article R. 2122-7"),
        Rule("temporary-orders", "Arrêtés temporaires de voirie", 5, "select", _2009),
        Rule(
            "ledgers", "Grand livre et enregistrement annuel des dépenses et des recettes", 10, "keep", _2009
        ),
        Rule("invoices", "Factures", 10, "destroy", _2009),
        Rule("receipts", "Titres de recettes et bordereaux-journaux des titres", 10, "destroy", _2009),
        Rule("mandates", "Bordereaux-journaux des mandats", 10, "destroy", _2009),
    )
}


def until_s(rule: Rule, newest: date) -> int | None:
    """The end to propose, UTC epoch seconds: None for what is kept; else when the DUA has passed, which runs from
    ``newest``, the day of the folder's most recent document."""
    if rule.final == "keep" or rule.years is None:
        return None
    try:
        end = newest.replace(year=newest.year + rule.years)
    except ValueError:  # 29 February
        end = date(newest.year + rule.years, 3, 1)
    return int(datetime.combine(end, time(), UTC).timestamp())
