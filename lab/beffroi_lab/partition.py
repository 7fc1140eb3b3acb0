"""A box without its centre: it enforces its last list, the town hall browses on, and it catches up.

Process: the laboratory's own; only packets between the box and the centre are dropped.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import time

from beffroi_lab.attack_steps import Stage
from beffroi_lab.doors import now_ms
from beffroi_lab.topology import LabFailed


def partition(stage: Stage, lasts_s: float) -> int | None:
    """Return how long after the cut the box refuses what was decided during it, in ms; None if it never did."""
    report, cut = stage.report, stage.communes[-1]
    others = stage.communes[:-1]
    old, new = stage.feed.addresses[2], stage.feed.addresses[3]
    before = stage.watch(old, open_=False)
    decided = [_block(stage, old)]
    stage.moments(before)
    stage.world.network.cut_centre(cut.letter, down=True)
    report.tell(f"the box of {cut.name} loses its centre for {lasts_s:.0f} s")
    began = time.monotonic()
    elsewhere = stage.watch(new, open_=False, communes=others)
    decided.append(_block(stage, new))
    everywhere_else = len(stage.moments(elsewhere)) == 2 * len(others)
    time.sleep(max(0.0, lasts_s - (time.monotonic() - began)))
    held, missed = stage.tries([old], [cut]), stage.tries([new], [cut])
    seen = everywhere_else and stage.none_passes(held) and stage.all_pass(missed)
    report.prove(
        "partition_enforces_last_list",
        seen,
        f"the box without its centre: {held}, {missed}",
        {"old": held, "new": missed},
    )
    watchers = stage.watch(new, open_=False, communes=[cut])
    healed_ms = now_ms()
    stage.world.network.cut_centre(cut.letter, down=False)
    moments = stage.moments(watchers)
    caught_up = max(moments) - healed_ms if len(moments) == 2 else None
    report.prove("partition_caught_up", caught_up is not None, "the box did not catch up")
    report.tell(
        f"it enforced its last list all the while, and caught up {caught_up} ms after its centre was back"
    )
    for one in decided:
        stage.world.centre.ask("withdraw", decision_id=one)
    stage.moments([*stage.watch(old, open_=True), *stage.watch(new, open_=True)])
    return caught_up


def _block(stage: Stage, address: str) -> str:
    """The Département's word. Errors: LabFailed."""
    made = stage.world.centre.ask("block", kind="ip", value=address)
    if not made["ok"]:
        raise LabFailed(f"{address} was not blocked: {made['code']}")
    return str(made["decision_id"])
