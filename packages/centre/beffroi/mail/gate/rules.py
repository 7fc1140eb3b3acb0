"""The mail door's verdict. Pure: observations and a way to ask the table in, a Verdict out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from beffroi_protocol.indicators import Indicator, Kind, registered_names
from beffroi_protocol.messages import Action, Entry

from beffroi.mail.gate.facts import Observation


class Table(Protocol):
    """What a verdict asks."""

    def match(self, indicator: Indicator) -> Entry | None: ...
    def match_address(self, address: str) -> Entry | None: ...
    def match_name(self, name: str) -> Entry | None: ...


_WEIGHT = {Action.BLOCK: 2, Action.QUARANTINE: 1}


@dataclass(frozen=True)
class Verdict:
    """``action``: reject, later, quarantine or none. ``text`` is what the sending server is told. ``findings``: codes
    of ``attachments``, strongest first; they stand beside a decision's quarantine, for the day when it ends. ``lane``:
    how it leaves (``exits``), "" for the usual way."""

    action: str = "none"
    decision_id: str = ""
    reason: str = ""
    text: str = ""
    findings: tuple[str, ...] = ()
    lane: str = ""


def judge(observations: Iterable[Observation], table: Table) -> Verdict:
    """Return the strictest verdict among the active entries that match.

    Addresses also match ranges, and names their parents. A parent is asked through its child alone: a local exception
    for the child would else open nothing.
    """
    strictest: Entry | None = None
    for indicator in asked(observations):
        if indicator.kind is Kind.IP:
            entry = table.match_address(indicator.value)
        elif indicator.kind is Kind.DOMAIN:
            entry = table.match_name(indicator.value)
        else:
            entry = table.match(indicator)
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


def with_findings(verdict: Verdict, findings: tuple[str, ...]) -> Verdict:
    """The verdict on a mail in which the door itself found something; what is refused stays refused."""
    if not findings or verdict.action == "reject":
        return verdict
    action = "quarantine"
    return replace(verdict, action=action, reason=verdict.reason or "content", findings=findings)


def asked(observations: Iterable[Observation]) -> list[Indicator]:
    """The indicators, each once, without names that are there only as parents of others."""
    found = list(observations)
    parents = {
        (seen.role, parent)
        for seen in found
        if seen.indicator.kind is Kind.DOMAIN
        for parent in registered_names(seen.indicator.value)[1:]
    }
    return list(dict.fromkeys(s.indicator for s in found if not _is_parent(s, parents)))


def _is_parent(seen: Observation, parents: set[tuple[str, str]]) -> bool:
    if seen.indicator.kind is not Kind.DOMAIN or seen.role == "link":
        return False
    return seen.role == "link_parent" or (seen.role, seen.indicator.value) in parents


def _printable(text: str) -> str:
    """An SMTP reply is one line of ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:400]
