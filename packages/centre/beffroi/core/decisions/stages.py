"""From weak evidence to a block, step by step, and back. Pure: counts in, the next step out.

Rule:    strong evidence is in force at once. Weak evidence is observed first: boxes look back and count, none
         refuses anything. Where hardly a commune lives on it, a few communes block for a time, then all; where more
         do, a person decides. What one commune alone says is never blocked without a person. What turns out to hit
         communes is withdrawn everywhere and waits for a person. Time counts while people work: a night tries nothing.
Input:   counts of boxes of which some lie: a lie can only delay, and hand a weak decision to a person.
Source:  docs/internals/decisions.md, Stages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

STRONG = "strong"
REGULAR_DAYS = 3
"""A commune that talked to something on so many of the last 30 days lives on it."""
PERSON_ONLY = frozenset({"one_commune", "automatic_name"})
"""Weak rules whose decisions a person alone puts in force: one liar, or a stranger who writes to three communes, makes
their evidence. A new supplier's first newsletter looks the same, and nobody has talked to its site yet."""
ASKS_A_PERSON = frozenset({"automatic_name"})
"""Those of them that come to a person by themselves; the lone word of a commune waits for a second one."""
DEPARTEMENT, LANDING = "departement", "landing_address"


class Step(StrEnum):
    STAY = "stay"
    CANARY = "canary"
    ALL = "active"
    REVIEW = "review"


@dataclass(frozen=True)
class Budget:
    """How much a decision may hit. Percentages are of the communes with such a door; times in seconds of
    working time."""

    observe_s: int = 900
    canary_s: int = 1800
    canary_percent: int = 5
    blast_communes: int = 1
    blast_percent: int = 1
    rollback_s: int = 3600
    objections: int = 3
    objections_percent: int = 2

    def blast(self, communes: int) -> int:
        """Most communes that a weak decision may touch without a person."""
        return max(self.blast_communes, communes * self.blast_percent // 100)

    def most_objections(self, communes: int) -> int:
        """Most communes that may object to a strong decision; less would let a few liars undo it."""
        return max(self.objections, communes * self.objections_percent // 100)


@dataclass(frozen=True)
class Standing:
    """A decision and what is known of its effect. ``exposed_s``: working time since its present state
    began. ``communes``: those with a door that tries it; ``trying``: canaries whose door works now.

    ``regular``: communes that live on it. ``hit``: communes whose own traffic to it was refused. ``objecting``:
    communes that let it through locally or contest it.
    """

    state: str
    strength: str
    rule: str
    exposed_s: float
    communes: int
    trying: int = 1
    regular: int = 0
    hit: int = 0
    objecting: int = 0
    command_server: bool = False


@dataclass(frozen=True)
class Next:
    step: Step
    reason: str = ""


STAY = Next(Step.STAY)


def next_step(now: Standing, budget: Budget) -> Next:
    """Return what becomes of the decision. ``reason`` is a stable code."""
    if now.state == "observed":
        return _observed(now, budget)
    if now.state == "canary":
        if now.objecting:
            return Next(Step.REVIEW, "canary_objects")
        if now.regular > budget.blast(now.communes):
            return Next(Step.REVIEW, "over_budget")
        passed = now.trying and now.exposed_s >= budget.canary_s
        return Next(Step.ALL, "canary_passed") if passed else STAY
    if now.state == "active" and now.exposed_s <= budget.rollback_s:
        return _rollback(now, budget)
    return STAY


def _observed(now: Standing, budget: Budget) -> Next:
    if now.rule in PERSON_ONLY:
        asks = now.rule in ASKS_A_PERSON and now.exposed_s >= budget.observe_s
        return Next(Step.REVIEW, now.rule) if asks else STAY
    if now.regular > budget.blast(now.communes):
        return Next(Step.REVIEW, "over_budget")
    ready = now.communes and now.exposed_s >= budget.observe_s
    return Next(Step.CANARY, "under_budget") if ready else STAY


def _rollback(now: Standing, budget: Budget) -> Next:
    if now.rule == DEPARTEMENT or now.command_server:
        return STAY
    if now.rule == LANDING and now.regular > budget.blast(now.communes):
        # A lure's name leads there, and so do town halls: a shared host. The name stays blocked.
        return Next(Step.REVIEW, "shared_host")
    if now.strength == STRONG:
        over = now.objecting > budget.most_objections(now.communes)
        return Next(Step.REVIEW, "objections") if over else STAY
    if now.objecting > budget.blast_communes:
        return Next(Step.REVIEW, "objections")
    # Of a weak decision nobody knows yet whether what it refuses is an attack or a town hall at work.
    if max(now.hit, now.regular) > budget.blast(now.communes):
        return Next(Step.REVIEW, "blast")
    return STAY


def canaries(decision_id: str, communes: Iterable[str], budget: Budget) -> list[str]:
    """Return the communes that block first: the same ones whenever asked, others for another decision."""
    found = sorted(communes, key=lambda c: hashlib.sha256(f"{decision_id}:{c}".encode()).digest())
    count = -(-len(found) * budget.canary_percent // 100)
    return sorted(found[:count])
