"""The attack from known addresses: a public list is imported at the centre and every box refuses what is on it.

Process: the laboratory's own; the list is imported by the operator's own command, in the datacenter.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from typing import Any

from beffroi_lab.attack_steps import Outcome, Stage
from beffroi_lab.doors import now_ms
from beffroi_lab.report import percentiles
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S, LabFailed

NAME = "adresses-hostiles"


def outside_addresses(stage: Stage) -> Outcome:
    """Errors: LabFailed."""
    report, feed, outcome = stage.report, stage.feed, Outcome()
    before = stage.tries(feed.addresses)
    report.prove(
        "outside_before", stage.all_pass(before), f"not every connection passed before: {before}", before
    )
    watchers = stage.watch(feed.addresses[0], open_=False)
    report.tell(f"the operator imports {feed.source}: {feed.count} addresses")
    lists_command(
        stage,
        "import",
        NAME,
        str(feed.file),
        "--kind",
        "ip",
        "--source",
        feed.source,
        "--licence",
        feed.licence,
    )
    row = next(one for one in json.loads(lists_command(stage, "show", "--json")) if one["name"] == NAME)
    published_ms = int(datetime.fromisoformat(row["published_at"]).timestamp() * 1000)
    moments = stage.moments(watchers)
    outcome.decided_by = "bulk_list"
    outcome.block_ms = percentiles(at - published_ms for at in moments)
    began_ms = now_ms()
    after = stage.tries(feed.addresses)
    complete = len(moments) == 2 * len(stage.communes) and stage.none_passes(after)
    outcome.refused = {"seen": complete, "addresses": len(feed.addresses), **after}
    report.prove("outside_refused", complete, f"a listed address still passes: {after}", after)
    report.tell(
        f"{row['count']} addresses are refused by every box in both directions, {outcome.block_ms['max']} ms after "
        "the list was published"
    )
    counted = wait_until(lambda: _counted(stage), PATIENCE_S, 0.2)
    outcome.seen_ms = now_ms() - began_ms if counted else None
    report.prove("outside_counted", counted, "not every box told the centre what it refused")
    outcome.explained = stage.explained("/decisions/", NAME, feed.source)
    report.prove(
        "outside_explained", bool(outcome.explained), "the console does not show the list and its source"
    )
    lists_command(stage, "withdraw", NAME)
    again = stage.moments(stage.watch(feed.addresses[0], open_=True))
    last = stage.tries(feed.addresses)
    outcome.undone = len(again) == 2 * len(stage.communes) and stage.all_pass(last)
    report.prove("outside_undone", outcome.undone, f"a withdrawn address stays refused: {last}", last)
    report.tell(
        "the refusals of every box were counted at the centre; the list is withdrawn and all passes again"
    )
    return outcome


def _counted(stage: Stage) -> bool:
    """Whether each box has told of refused flows of the list, in both directions."""
    rows = stage.world.centre.ask("facts", kind="flows_blocked")["facts"]
    told = set()
    for row in rows:
        fact: dict[str, Any] = json.loads(row["payload"])
        if fact["indicator"]["value"] in stage.feed.addresses and fact["count"] > 0:
            told.add((row["source"], fact["direction"]))
    return told >= {(box.box_id, way) for box in stage.world.boxes.values() for way in ("in", "out")}


def lists_command(stage: Stage, verb: str, *arguments: str) -> str:
    """`./beffroi lists` in the datacenter. Errors: LabFailed."""
    centre = stage.world.centre
    argv = [sys.executable, "-m", "beffroi.cli", "lists", verb, *arguments, "--state", str(centre.state)]
    done = subprocess.run(
        stage.world.network["dc"].command(argv),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode != 0:
        raise LabFailed(f"lists {verb}: {done.stderr.strip()[-400:]}")
    return done.stdout
