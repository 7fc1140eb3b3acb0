"""One row of a benchmark, and how it is shown. Pure.

Rule:    ``ours`` and ``peer`` of a row were measured in the same run on the same machine; a peer that could not run
         is None and ``note`` says why. ``ratio`` above 1: we are better, peer / ours for times, ours / peer for rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """``target`` is a bound in ``unit``: the most, or the least if ``more_is_better``; None where none was set.
    ``spread``: of ours, the largest of several rounds divided by the smallest."""

    work: str
    unit: str
    ours: float | None
    peer: float | None = None
    peer_name: str = ""
    target: float | None = None
    note: str = ""
    more_is_better: bool = False
    spread: float | None = None

    @property
    def ratio(self) -> float | None:
        if not self.ours or not self.peer:
            return None
        return round(self.ours / self.peer, 2) if self.more_is_better else round(self.peer / self.ours, 1)

    @property
    def met(self) -> bool | None:
        """None without a target; False where nothing could be measured."""
        if self.target is None:
            return None
        if self.ours is None:
            return False
        return self.ours >= self.target if self.more_is_better else self.ours <= self.target

    def as_object(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def table(rows: Iterable[Row]) -> list[str]:
    """Lines for a person."""
    lines = [f"{'work':<58}{'unit':>6}{'ours':>10}{'peer':>10}{'ratio':>8}{'target':>9}  met"]
    for row in rows:
        cells = [_text(row.ours), _text(row.peer), _text(row.ratio), _text(row.target)]
        met = {True: "yes", False: "NO", None: "-"}[row.met]
        lines.append(
            f"{row.work:<58}{row.unit:>6}{cells[0]:>10}{cells[1]:>10}{cells[2]:>8}{cells[3]:>9}  {met}"
        )
        if row.peer_name or row.note:
            lines.append(f"    {row.peer_name}{': ' if row.peer_name and row.note else ''}{row.note}")
    return lines


def matrix(rows: Sequence[Row]) -> list[str]:
    """Lines of a Markdown table for works with several peers: a column each, with the ratio; then what each is, and
    how much the machine disturbed."""
    peers = list(dict.fromkeys(row.peer_name for row in rows if row.peer_name))
    lines = ["| work | ours | " + " | ".join(peers) + " | target |", "|---" * (len(peers) + 3) + "|"]
    for work in dict.fromkeys(row.work for row in rows):
        of = {row.peer_name: row for row in rows if row.work == work}
        first = next(iter(of.values()))
        cells = [
            f"{_text(of[name].peer)} ({_text(of[name].ratio)})" if name in of and of[name].peer else ""
            for name in peers
        ]
        aimed = next((row for row in of.values() if row.target is not None), None)
        target = f"{_text(aimed.target)}: {'met' if aimed.met else 'NOT met'}" if aimed else ""
        lines.append(f"| {work} | {_text(first.ours)} {first.unit} | {' | '.join(cells)} | {target} |")
    notes = {row.peer_name: row.note for row in rows if row.peer_name and row.note}
    lines += ["", *(f"{name}: {note}." for name, note in notes.items())]
    noisiest = max((row for row in rows if row.spread), key=lambda row: row.spread or 0, default=None)
    if noisiest is not None:
        said = f"ours differed most by a factor of {_text(noisiest.spread)} ({noisiest.work})"
        lines.append(f"Medians of rounds in which the servers took turns; between rounds {said}.")
    return lines


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
