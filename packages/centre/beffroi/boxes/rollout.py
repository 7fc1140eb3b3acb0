"""Which boxes get new software next, and when to stop. Pure: the caller brings the boxes and the time.

Purpose: one commune first, then 1 %, 10 %, all; each stage waits for the one before and for a pause; a release that
         harms stops by itself before it reaches the rest, and one box that says nothing holds nobody for ever.
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
WATCH_S = 3 * 3600
"""A box that falls silent so soon after it was asked counts; later somebody switched it off for the night."""
ANSWER_S = 6 * 3600
"""A box that was still heard so long after it was asked, and told no outcome, failed."""
GONE_S = 72 * 3600
"""One that was not heard either has so long: a weekend switched off is no failure."""
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


def trouble(box: BoxView, now_s: int) -> tuple[str, int]:
    """What is wrong with a box that was asked, and since when; ("", 0) for nothing."""
    if not box.asked_s:
        return "", 0
    if box.outcome in ("rolled_back", "refused"):
        return box.outcome, box.told_s
    if not box.outcome and box.last_seen_s - box.asked_s > ANSWER_S:
        return "unanswered", box.asked_s + ANSWER_S
    if not box.outcome and now_s - box.asked_s > GONE_S:
        return "unanswered", box.asked_s + GONE_S
    # Only one that was heard since it was asked can have been harmed by what it was asked.
    if box.asked_s < box.last_seen_s <= box.asked_s + WATCH_S and now_s - box.last_seen_s > SILENT_S:
        return "silent", box.last_seen_s + SILENT_S
    return "", 0


def failures(rollout: Rollout, boxes: Sequence[BoxView], now_s: int) -> dict[str, str]:
    """Box -> why: rolled back, refused, silent or unanswered. What was so at the last resume does not count."""
    found = ((box.id, *trouble(box, now_s)) for box in boxes)
    return {box_id: why for box_id, why, since_s in found if why and since_s > rollout.resumed_s}


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
    waiting = [box for box in mine if box.asked_s and not box.outcome and not trouble(box, now_s)[0]]
    room = max(AT_ONCE, len(boxes) * AT_ONCE_PERCENT // 100) - len(waiting)
    ask = tuple(unasked[: max(0, room)])
    # Until one box was asked nobody has tried it: a canary that is away is waited for.
    if unasked or waiting or now_s - rollout.stage_s < (PAUSE_S if asked else GONE_S):
        return Step(ask=ask, stage=rollout.stage)
    if rollout.stage + 1 < len(STAGES):
        return Step(stage=rollout.stage + 1)
    return Step(stage=rollout.stage, done=all(box.outcome or trouble(box, now_s)[0] for box in mine))
