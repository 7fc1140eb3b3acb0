"""When an update of a source waits for a person, what is tried first, what stays in force, when to ask again. Pure.

Rule:    a source is believed as long as it behaves as before. One that suddenly grows or shrinks, or names what must
         never be blocked, may have been taken over or broken: its former list stays until somebody looked.
Source:  docs/security/attack-model.md, abuse 3; docs/internals/sources.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

GROWTH = 2.0
SHRINK = 0.5
SMALL = 200
"""Below this, numbers double by themselves: such a list may grow by this many."""
PROTECTED_FEW = 3
PROTECTED_SHARE = 0.001
BASELINE_DAYS = 7
FIRST_PAUSE_S = 300
UNHEARD_S = 180
"""As long as a boîtier counts as heard. Where nobody looked for longer, nobody knows what was tried meanwhile."""

Entries = Mapping[str, tuple[int, int]]
"""``kind TAB value`` -> (when the source last named it, until when it said so: 0 for no end). UTC epoch seconds."""


def doubts(
    *, before: int, kept: int, protected: int, first_size: int, grave: int = 0, week: int = 0
) -> tuple[str, ...]:
    """Return why an update must wait (``first_large``, ``empty``, ``grew``, ``shrank``, ``protected``), () if not.

    ``before``: how many its last update in force named, 0 for none. ``week``: the fewest that one in force of the last
    seven days named, or that a person accepted since; 0 for none. ``kept``: how many this one names that may be
    blocked. ``protected``: how many it names that must not; ``grave``: of those, how many are the State's, a
    member's or the centre's: one is enough, once a person has not accepted that very one.
    """
    found = []
    if not before and kept > first_size:
        found.append("first_large")
    if before and not kept:
        found.append("empty")
    elif before and _grew(kept, min(before, week or before)):
        found.append("grew")
    elif before > SMALL and kept < before * SHRINK:
        found.append("shrank")
    if grave or protected > max(PROTECTED_FEW, int(kept * PROTECTED_SHARE)):
        found.append("protected")
    return tuple(found)


def _grew(kept: int, since: int) -> bool:
    return kept > max(since * GROWTH, since + SMALL)


def is_bulk(*, known: int, added: int, size: int, percent: int) -> bool:
    """Whether what a list begins to name is tried first: all that a new one names, and much at once.

    ``known``: how many it has in force or on trial. ``size``, ``percent`` of ``known``: the larger is the most that
    comes into force at once.
    """
    return bool(added) and (not known or added > max(size, known * percent // 100))


class TrialState(StrEnum):
    """``OBSERVING``: boxes count what it would refuse. ``REVIEW``: a person is to answer. ``REFUSED``: a person did not
    want it, it stays observed. ``PASSED``: to be put in force."""

    OBSERVING = "observing"
    REVIEW = "review"
    REFUSED = "refused"
    PASSED = "passed"


def after_growth(before: TrialState | None) -> TrialState:
    """What a trial becomes when much joins it: it begins anew; what a person was asked about or refused asks again."""
    return TrialState.OBSERVING if before in (None, TrialState.OBSERVING) else TrialState.REVIEW


def joins(state: TrialState, *, in_force: int) -> bool:
    """Whether the few that a list begins to name during a trial are tried with the rest: once a person refused that, no
    more, but where nothing of the list was ever in force."""
    return state is not TrialState.REFUSED or not in_force


def tried_s(before_s: float, *, passed_s: float, worked_s: float, communes: int) -> float:
    """Return how long a trial has been observed, in seconds of working time, after one more look at it.

    ``passed_s``: seconds since the look before, of which ``worked_s`` were worked; ``communes``: those with a box that
    is heard now. Time in which the centre was down, restored, or heard no box tried nothing.
    """
    return before_s + worked_s if communes and passed_s <= UNHEARD_S else before_s


def after_time(
    state: TrialState, *, exposed_s: float, communes: int, used: int, trial_s: int, most_used: int
) -> TrialState:
    """What a trial becomes as time passes. ``exposed_s``: as ``tried_s``; ``communes``: those with a box
    that is heard, without which nothing is tried; ``used``: entries that more communes live on than the budget.

    They pass when the list comes into force, but of more than ``most_used`` the list itself is in doubt.
    """
    if state is not TrialState.OBSERVING:
        return state
    if used > most_used:
        return TrialState.REVIEW
    return TrialState.PASSED if communes and exposed_s >= trial_s else state


@dataclass(frozen=True)
class Merged:
    """What is in force after an update; ``new`` and ``gone`` count the difference."""

    entries: dict[str, tuple[int, int]]
    new: int
    gone: int


def merge(
    old: Entries, named: Mapping[str, int], withdrawn: Iterable[str], *, now_s: int, ttl_s: int
) -> Merged:
    """Renew what is ``named`` (with its end), take away what is ``withdrawn``; what is neither leaves after its TTL."""
    entries = {key: (now_s, until) for key, until in named.items()}
    for key, seen in old.items():
        entries.setdefault(key, seen)
    for key in withdrawn:
        entries.pop(key, None)
    entries = alive(entries, now_s=now_s, ttl_s=ttl_s)
    return Merged(entries, len(entries.keys() - old.keys()), len(old.keys() - entries.keys()))


def alive(entries: Entries, *, now_s: int, ttl_s: int) -> dict[str, tuple[int, int]]:
    """Leave out what nobody renewed, or whose end is over."""
    return {key: seen for key, seen in entries.items() if end_s(seen, ttl_s) > now_s}


def end_s(seen: tuple[int, int], ttl_s: int) -> int:
    last, until = seen
    return min(last + ttl_s, until) if until else last + ttl_s


def renewed(entries: Entries, *, now_s: int) -> dict[str, tuple[int, int]]:
    """The source says "unchanged": what it named the last time, it names again."""
    latest = max((last for last, _ in entries.values()), default=0)
    return {key: (now_s if last == latest else last, until) for key, (last, until) in entries.items()}


def pause_s(every_s: int, failures: int) -> int:
    """How long until the next attempt."""
    return every_s if not failures else min(every_s, FIRST_PAUSE_S << min(failures - 1, 12))
