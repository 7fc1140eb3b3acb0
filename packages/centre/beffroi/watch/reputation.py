"""Reputation of reporters: whose word counts as an independent witness. Pure.

Rule:    a person, or a commune, whose reports were mostly found harmless lately does not count towards two
         communes, and a commune whose people report many different things within an hour does not either. A box's
         detectors are judged each for itself, apart from people: it speaks without anybody's will. What they report is
         kept and shown: it only carries less. An old mistake fades: it weighs half after ``HALF_LIFE_S``.
Input:   what became of earlier campaigns; nobody can raise their own reputation but by reports that others confirm.
Source:  docs/security/attack-model.md, abuse 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HALF_LIFE_S = 30 * 86400
MEMORY_S = 180 * 86400
RATIO = 2.0
"""So many times more dismissed than confirmed reports make a reputation low."""
PERSON_LEAST, COMMUNE_LEAST = 1.5, 4.5
"""Dismissed reports (decayed) below which nobody is judged: everyone errs."""
CAMPAIGNS_AN_HOUR = 20
"""Different campaigns that a person, or all other people of a commune together, may report within an hour; an attack on
it is one campaign, or a few. Who reports more is not heard on any of them."""
REPEATS_AN_HOUR = 30
"""Sightings of one campaign by one person, or one detector of a commune's boxes, that are joined to it within an hour:
they say nothing new, and all of a campaign's are read at each further one."""
NEW_CAMPAIGNS_AN_HOUR = 200
"""Campaigns that one person, or one detector of a commune, is joined to within an hour, the first ones; each costs
everybody a tenth of a second. The internet rattles at every box, so that noise is no sign of a lie. Who wants to drown
it burns as many addresses of his own, each hour; and a box that lies about the whole internet is a second witness
against so few of it. A file that a scanner knows is held there all the same, and wherever else a scanner knows it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one campaign that someone reported. Unit: seconds since then."""

    confirmed: bool
    age_s: float


def weights(outcomes: Iterable[Outcome]) -> tuple[float, float]:
    """Return (confirmed, dismissed), each outcome decayed by its age."""
    good = bad = 0.0
    for one in outcomes:
        weight = 0.5 ** (max(0.0, one.age_s) / HALF_LIFE_S)
        good, bad = (good + weight, bad) if one.confirmed else (good, bad + weight)
    return good, bad


def is_low(outcomes: Iterable[Outcome], *, least: float) -> bool:
    """Whether the reporter's word no longer counts. ``least``: PERSON_LEAST or COMMUNE_LEAST."""
    good, bad = weights(outcomes)
    return bad >= least and bad > good * RATIO
