"""Judge what a source brought: which values are canonical, which must never be blocked. Pure.

Input: hostile; each value is made canonical here, whatever the process that fetched it said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise

MAX_EXAMPLES = 20


@dataclass
class Judged:
    """``named``: ``kind TAB value`` -> until when (UTC epoch seconds, 0: no end). Counts are of different values,
    except ``invalid``. ``grave``: protected ones that no careful list names. ``examples``: some of the protected ones,
    with the reason; grave ones first."""

    named: dict[str, int] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    invalid: int = 0
    protected: int = 0
    grave: int = 0
    never: int = 0
    examples: list[list[str]] = field(default_factory=list)


def judge(
    values: Iterable[tuple[str, str, int]],
    *,
    kinds: Iterable[str],
    protected: Callable[[Indicator], str],
    never_again: str,
    now_s: int,
    grave: Callable[[Indicator], bool] = lambda _: False,
) -> Judged:
    """Sort (kind, value, valid_until); a kind of ``-KIND`` withdraws.

    ``kinds``: those that may be named, empty for all. ``protected``: why an indicator is never blocked;
    ``never_again``: the reason of those that a person took back for good: counted, and kept, since every door lets
    them pass; they say nothing against the source.
    """
    allowed = frozenset(kinds) or frozenset(Kind)
    judged = Judged()
    refused: set[str] = set()
    for given, value, until in values:
        try:
            indicator = normalise(given.removeprefix("-"), value)
        except IndicatorInvalid:
            judged.invalid += 1
            continue
        if indicator.kind not in allowed or until < 0:
            judged.invalid += 1
            continue
        key = f"{indicator.kind}\t{indicator.value}"
        if given.startswith("-"):
            judged.withdrawn.add(key)
        elif key in judged.named:
            judged.named[key] = max(judged.named[key], until) if until and judged.named[key] else 0
        elif key in refused or 0 < until <= now_s:
            continue
        elif why := protected(indicator):
            if why == never_again:
                judged.never += 1
                judged.named[key] = until
                continue
            refused.add(key)
            judged.protected += 1
            example = [indicator.kind.value, indicator.value[:200], why]
            if grave(indicator):
                judged.grave += 1
                judged.examples.insert(0, example)
            else:
                judged.examples.append(example)
            del judged.examples[MAX_EXAMPLES:]
        else:
            judged.named[key] = until
    for key in judged.withdrawn:
        judged.named.pop(key, None)
    return judged
