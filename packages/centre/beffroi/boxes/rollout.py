"""Which boxes get new software next, and when to stop. Pure: the caller brings the boxes and the time.

Purpose: one commune first, then 1 %, 10 %, all; each stage waits for the one before and for a pause; a release that
         harms stops by itself before it reaches the rest.
Rule:    the stage of a box follows from its identifier and the release's number alone, so it is the same at every look,
         and another tenth goes first at the next release. A box that is away is asked when it comes back.
Units:   ``*_s`` in epoch seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

STAGES = (0, 1, 10, 100)
"""Percent of the boxes; the first is the canary commune alone."""
PAUSE_S = 6 * 3600
SILENT_S = 30 * 60
LIMIT_PERCENT = 2
"""More failures than this share of those asked stop a release: any one in the first stages."""
AT_ONCE, AT_ONCE_PERCENT = 10, 5
"""So many boxes change their software at a time, at most: what harms late is seen before most have it."""


@dataclass(frozen=True)
class BoxView:
    """``outcome``: "" while nothing was told; ``asked_s`` 0: not asked yet."""

    id: str
    collectivite_id: str
    last_seen_s: int
    asked_s: int = 0
    outcome: str = ""
    told_s: int = 0


@dataclass(frozen=True)
class Rollout:
    """``stage``: index in STAGES, begun at ``stage_s``. ``resumed_s``: a person looked at the failures of before."""

    number: int
    canary_id: str
    stage: int
    stage_s: int
    resumed_s: int = 0


@dataclass(frozen=True)
class Step:
    """What to do now: ask ``ask``; then go to ``stage``. ``stop``: why it stops, "" for not. ``done``: all have it."""

    ask: tuple[str, ...] = ()
    stage: int = 0
    stop: str = ""
    done: bool = False


def stage_of(box: BoxView, rollout: Rollout) -> int:
    """The index of the first stage that this box belongs to."""
    if box.collectivite_id == rollout.canary_id:
        return 0
    digest = hashlib.sha256(f"{rollout.number}:{box.id}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32 * 100
    return next(at for at, percent in enumerate(STAGES) if share < percent)


def failures(rollout: Rollout, boxes: Sequence[BoxView], now_s: int) -> dict[str, str]:
    """Box -> why: rolled back, refused, or silent since it was asked. Those of before the last resume do not count."""
    found = {}
    for box in boxes:
        if not box.asked_s:
            continue
        if box.outcome in ("rolled_back", "refused"):
            if box.told_s > rollout.resumed_s:
                found[box.id] = box.outcome
        elif now_s - max(box.last_seen_s, box.asked_s, rollout.resumed_s) > SILENT_S:
            found[box.id] = "silent"
    return found


def step(rollout: Rollout, boxes: Sequence[BoxView], now_s: int) -> Step:
    """Look at all active boxes and say what to do now."""
    asked = [box for box in boxes if box.asked_s]
    failed = failures(rollout, boxes, now_s)
    if len(failed) * 100 > LIMIT_PERCENT * len(asked):
        words = sorted(set(failed.values()))
        return Step(stage=rollout.stage, stop=f"{len(failed)} of {len(asked)}: {', '.join(words)}")
    mine = [box for box in boxes if stage_of(box, rollout) <= rollout.stage]
    present = [box for box in mine if now_s - box.last_seen_s <= SILENT_S]
    unasked = [box.id for box in present if not box.asked_s]
    waiting = [box for box in mine if box.asked_s and not box.outcome and box.id not in failed]
    room = max(AT_ONCE, len(boxes) * AT_ONCE_PERCENT // 100) - len(waiting)
    ask = tuple(unasked[: max(0, room)])
    if unasked or waiting or now_s - rollout.stage_s < PAUSE_S:
        return Step(ask=ask, stage=rollout.stage)
    if rollout.stage + 1 < len(STAGES):
        return Step(stage=rollout.stage + 1)
    return Step(stage=rollout.stage, done=all(box.outcome for box in mine))
