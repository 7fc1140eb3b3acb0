"""The mail door's verdict. Pure: observations and a way to ask the table in, a Verdict out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, Entry

from beffroi.mail.gate.facts import Observation

Lookup = Callable[[Indicator], Entry | None]
_WEIGHT = {Action.BLOCK: 2, Action.QUARANTINE: 1}


@dataclass(frozen=True)
class Verdict:
    """``action``: reject, quarantine or none. ``text`` is what the sending server is told."""

    action: str = "none"
    decision_id: str = ""
    reason: str = ""
    text: str = ""


def judge(
    observations: Iterable[Observation], match: Lookup, match_address: Callable[[str], Entry | None]
) -> Verdict:
    """Return the strictest verdict among the active entries that match.

    Parents of names are observations of their own, so every look-up is exact; addresses also match ranges.
    """
    strictest: Entry | None = None
    for seen in observations:
        entry = (
            match_address(seen.indicator.value) if seen.indicator.kind is Kind.IP else match(seen.indicator)
        )
        if entry is None or entry.action not in _WEIGHT:
            continue
        if strictest is None or _WEIGHT[entry.action] > _WEIGHT[strictest.action]:
            strictest = entry
    if strictest is None:
        return Verdict()
    if strictest.action is Action.BLOCK:
        text = f"Blocked by collective immunity ({strictest.reason or 'decision'}; {strictest.id})"
        return Verdict("reject", strictest.id, strictest.reason, _printable(text))
    return Verdict("quarantine", strictest.id, strictest.reason)


def _printable(text: str) -> str:
    """An SMTP reply is one line of ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:400]
