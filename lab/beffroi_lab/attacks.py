"""`lab attacks`: real attacks inside the laboratory, each seen, decided, blocked, explained and undone.

Purpose: what the watch and the boxes say they do, shown with real tools and real connections while every town hall
         goes on browsing.
Process: the laboratory's own, as root.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from beffroi_lab import feeds, history
from beffroi_lab import plan as plans
from beffroi_lab.attack_steps import Outcome, Stage
from beffroi_lab.drives import bring_malware, encrypt_files
from beffroi_lab.guessing import guess_passwords
from beffroi_lab.hosts_file import visit_by_hosts_file
from beffroi_lab.leaking import Leaks, beacon, begin, begin_beacon, tunnel, upload
from beffroi_lab.outside import outside_addresses
from beffroi_lab.partition import partition
from beffroi_lab.report import Report
from beffroi_lab.strangers import scan_ports, touch_traps
from beffroi_lab.world import World, world

ADDRESSES = 8
PARTITION_S = 60.0
BROWSE_EVERY_S = 0.05
LONGEST_GAP_MS = 1000
NIGHT_HOUR = 2
"""Local hour of the boxes in this scenario."""
STEPS: dict[str, Callable[[Stage], Outcome]] = {
    "hosts_file": visit_by_hosts_file,
    "password_guessing": guess_passwords,
    "port_scan": scan_ports,
    "traps": touch_traps,
    "ransomware": encrypt_files,
    "malicious_file": bring_malware,
}
LEAKS: dict[str, Callable[[Stage, Leaks], Outcome]] = {
    "dns_tunnel": tunnel,
    "upload_at_night": upload,
    "beacon": beacon,
}


def run(
    *,
    communes: int = 3,
    partition_s: float = PARTITION_S,
    keep: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Play every attack once. Errors: LabImpossible, LabFailed, ValueError."""
    with world(plans.make(communes), [], say=say, keep=keep, history_days=0, local_hour=NIGHT_HOUR) as made:
        report = Report(say=say)
        play(made, report, partition_s=partition_s)
        return {"communes": communes, "boxes": len(made.boxes), **report.as_object()}


def play(
    made: World,
    report: Report,
    *,
    partition_s: float = PARTITION_S,
    longest_gap_ms: float = LONGEST_GAP_MS,
) -> None:
    """Every attack in a running world, then what must be true at its end. ``longest_gap_ms``: so long may somebody wait
    for a page; on a machine with other work everybody waits, also whom no boîtier stands before."""
    feed = feeds.prepare(made.plan, made.directory, ADDRESSES)
    stage = Stage(made, report, feed)
    stage.prepare()
    with browsing(made, report, longest_gap_ms):
        leaks = begin(stage)
        outcomes = {"outside_addresses": outside_addresses(stage)}
        leaks = begin_beacon(stage, leaks)
        outcomes |= {name: step(stage) for name, step in STEPS.items()}
        report.figures["catch_up_ms"] = partition(stage, partition_s)
        outcomes |= {name: step(stage, leaks) for name, step in LEAKS.items()}
        report.figures["attacks"] = {name: one.as_object() for name, one in outcomes.items()}
    audit = made.centre.ask("verify_audit")
    report.prove("audit", bool(audit["ok"] and audit["count"] > 0), "the audit chain does not verify")
    packets, addresses = made.network.foreign()
    report.figures["foreign_packets"] = packets
    report.prove("no_foreign_packet", packets == 0, f"{packets} packets for {addresses[:5]}")
    report.tell(f"audit log of {audit['count']} entries verified; {packets} packets wanted to leave")


@contextmanager
def browsing(made: World, report: Report, longest_gap_ms: float) -> Iterator[None]:
    """A person in every town hall opens a page of an innocent site all the while, by a process of its own."""
    host = history.link_hosts()[0]
    people = made.browsing_hands()
    for hands in people.values():
        hands.ask("browse", host=host, every_s=BROWSE_EVERY_S)
    yield
    seen = {letter: hands.ask("browsed", host=host) for letter, hands in people.items()}
    longest = max(one["longest_gap_ms"] for one in seen.values())
    report.figures["longest_browsing_gap_ms"] = longest
    report.figures["pages_opened"] = sum(one["pages"] for one in seen.values())
    report.figures["pages_failed"] = sum(one["failed"] for one in seen.values())
    report.prove(
        "browsing_never_stopped",
        longest < longest_gap_ms and all(one["ok"] for one in seen.values()),
        f"nobody could open a page for {longest} ms",
        {letter: {k: one[k] for k in ("pages", "failed", "longest_gap_ms")} for letter, one in seen.items()},
    )
    report.tell(
        f"{report.figures['pages_opened']} pages were opened meanwhile; the longest wait for one was {longest} ms"
    )


def summary(result: dict[str, Any]) -> list[str]:
    """The result for a person."""
    lines = ["", f"{result['communes']} communes, {result['boxes']} boxes"]
    for name, one in result.get("attacks", {}).items():
        block = one["block_ms"]
        lines.append(
            f"{name}: seen after {one['seen_ms']} ms, decided by {one['decided_by']}, refused everywhere: "
            f"{one['refused']['seen']}, p50 {block['p50']} ms, max {block['max']} ms; undone: {one['undone']}"
        )
        lines.append(f"  the console says: {one['explained']}")
    lines += [
        f"longest wait for a page: {result.get('longest_browsing_gap_ms')} ms of "
        f"{result.get('pages_opened')} pages; a box without its centre caught up in {result.get('catch_up_ms')} ms; "
        f"foreign packets: {result.get('foreign_packets')}",
    ]
    return lines + [f"NOT SHOWN  {one}" for one in result["failures"]]
