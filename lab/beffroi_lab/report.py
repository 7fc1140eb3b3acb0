"""What a run says: a timeline in words, and one object of figures. Pure.

Units:   milliseconds; ``*_ms`` from the commit of the decision (its ``activated_at``, its end for the undo).
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


def percentiles(values: Iterable[float]) -> dict[str, int | None]:
    """Return p50, p99 (nearest rank) and max."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p99": None, "max": None}

    def rank(share: float) -> int:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)])

    return {"p50": rank(0.50), "p99": rank(0.99), "max": round(ordered[-1])}


@dataclass
class Report:
    """Collects the proofs. ``failures``: sentences; a run with one has not shown what it should."""

    say: Callable[[str], None] = lambda text: None
    figures: dict[str, Any] = field(default_factory=dict)
    proofs: dict[str, Any] = field(default_factory=dict)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _start: float = field(default_factory=time.time)

    def tell(self, text: str) -> int:
        """Add a line to the timeline; return its ``at_ms``."""
        at_ms = round((time.time() - self._start) * 1000)
        self.timeline.append({"at_ms": at_ms, "text": text})
        self.say(f"{at_ms / 1000:7.2f} s  {text}")
        return at_ms

    def prove(self, name: str, seen: bool, otherwise: str, detail: Any = None) -> bool:
        """Record a proof; ``otherwise`` says what is wrong when it was not seen."""
        self.proofs[name] = seen if detail is None else {"seen": seen, "detail": detail}
        if not seen:
            self.failures.append(f"{name}: {otherwise}")
            self.tell(f"NOT SHOWN  {otherwise}")
        return seen

    @property
    def ok(self) -> bool:
        return not self.failures

    def as_object(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            **self.figures,
            "proofs": self.proofs,
            "failures": self.failures,
            "timeline": self.timeline,
        }
