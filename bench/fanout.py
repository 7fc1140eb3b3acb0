"""`bench fanout`: one decision to hundreds or thousands of boxes, and their acknowledgements.

What:    the real centre under its supervisor (front door with TLS, stream, worker, all the rest) in the laboratory's
         datacenter; simulated boxes (bench.fleet) in the internet's namespace, each with an address, a key, a held
         connection on which it acknowledges. Decisions are made as the console makes them; times begin before their
         commit, and end with the centre's commit of an acknowledgement (its column received_at).
         Up to some thousand boxes the centre is as it is installed; for more it gets relays and front doors of its own
         (settings stream_relays, box_fronts), as many as the open files of a process here demand.
Peers:   none: nothing else at hand pushes to boxes; the peers' pull intervals are in docs/figures.md, as documented.
Process: root; the laboratory's namespaces. The boxes take their time from the same processors; their share is a row.
"""

from __future__ import annotations

import argparse
import collections
import math
import os
import resource
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from beffroi_lab.report import percentiles
from beffroi_lab.topology import LabImpossible

from bench.datacenter import started
from bench.fanout_rig import PARTS, SAMPLE, Load, Rig, rank
from bench.rows import Row

QUIET_S = 33
"""Longer than a front door beside others keeps a connection that is silent, and usual between two decisions."""
QUIET_ROUNDS = 2
IDLE_S = 40
"""Two heartbeats, whenever it begins."""
POSTS_AT_ONCE, SPARE_FILES = 400, 200
MAX_PROCESSES = 16
PROCESSORS = 2
"""Of the centre that the targets mean; and so many relays at least, where there are any."""


@dataclass(frozen=True)
class Shape:
    """The centre's settings for so many boxes."""

    connections: int
    relays: int
    fronts: int

    def lines(self) -> str:
        return (
            f"connections = {self.connections}\nstream_relays = {self.relays}\nbox_fronts = {self.fronts}\n"
        )


def shape(boxes: int, files: int) -> Shape:
    """One process of each kind where that is enough, else as many as ``files`` open files a process demand."""
    room = files - SPARE_FILES
    connections = max(4000, boxes + POSTS_AT_ONCE)
    if 2 * connections <= room:
        return Shape(connections, 0, 0)
    # The kernel and the hash of the addresses do not deal quite evenly: a tenth more for each.
    fronts = math.ceil(2 * 1.1 * connections / room)
    relays = max(PROCESSORS, math.ceil(1.1 * boxes / (room - POSTS_AT_ONCE * fronts)))
    return Shape(connections, relays, max(2, fronts))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--boxes", type=int, default=700)
    parser.add_argument("--rounds", type=int, default=30, help="single decisions, one after the other")
    parser.add_argument("--seconds", type=int, default=60, help="10 decisions a second for so long")


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    """Errors: LabImpossible, LabFailed."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    centre_shape = shape(options.boxes, files)
    if max(centre_shape.relays, centre_shape.fronts) > MAX_PROCESSES:
        raise LabImpossible(
            f"{options.boxes} boxes need {centre_shape.fronts} front doors of {files} open files, and a centre has at"
            f" most {MAX_PROCESSES}."
        )
    say(
        f"{files} open files a process: {centre_shape.relays} relays, {centre_shape.fronts} front doors for boxes;"
        f" load {_uptime()}"
    )
    with started(say, settings=centre_shape.lines()) as at, ExitStack() as stack:
        rig = Rig(at.centre, int(options.boxes))
        say(f"entering {rig.boxes} boxes")
        rig.settle(at.network, at.directory, stack)
        bench = _Bench(rig, options, say)
        steps = (
            bench.join,
            bench.idle,
            bench.rounds,
            bench.after_silence,
            bench.many,
            bench.storm,
            bench.proofs,
        )
        rows: list[Row] = []
        for step in steps:
            made = step()
            for row in made:
                say(f"  {row.work}: {row.ours} {row.unit}")
            rows += made
        say(f"load {_uptime()}")
        return rows


class _Bench:
    """The steps, in their order; each returns its rows."""

    def __init__(self, rig: Rig, options: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.rig, self.options, self.say = rig, options, say
        self.boxes = rig.boxes
        self._idle: dict[str, float] = {}  # processors that a part takes when nothing happens

    def join(self) -> list[Row]:
        self.rig.decide()  # no channel is empty
        before = self.rig.load()
        self.say(f"{self.boxes} boxes connect")
        began = time.time()
        self.rig.connect()
        taken_s = max(s["last_joined"] for s in self.rig.states()) - began
        after = self.rig.load()
        rows = [Row(f"{self.boxes} boxes connect for the first time", "s", round(taken_s, 1))]
        total = 0.0
        for part in PARTS:
            kilobytes = (after.memory_bytes[part] - before.memory_bytes[part]) / 1000 / self.boxes
            total += kilobytes
            rows.append(Row(f"memory of {part} a connected box", "kB", round(kilobytes, 1)))
        rows.append(
            Row("memory of the centre a connected box, TLS included", "kB", round(total, 1), target=100)
        )
        return rows

    def idle(self) -> list[Row]:
        """What heartbeats cost: it is taken off what a decision costs."""
        self.say(f"{IDLE_S} s without a decision")
        before = self.rig.load()
        time.sleep(IDLE_S)
        used = self.rig.load()
        rows = []
        for part in PARTS:
            self._idle[part] = (used.cpu_s[part] - before.cpu_s[part]) / (used.at - before.at)
            share = round(100 * self._idle[part], 1)
            rows.append(Row(f"no decision, a heartbeat each 20 s: {part}, of one processor", "%", share))
        return rows

    def _spent_ms(self, part: str, since: Load, until: Load) -> float:
        """Processor time of a part beyond that of its heartbeats."""
        idle_s = self._idle.get(part, 0.0) * (until.at - since.at)
        return 1000 * (until.cpu_s[part] - since.cpu_s[part] - idle_s)

    def rounds(self) -> list[Row]:
        count = self.options.rounds
        self.say(f"{count} decisions, one after the other")
        before = self.rig.load()
        decisions: dict[str, int] = {}
        to_receipt_ms: list[float] = []
        last_ack_ms: list[int] = []
        for _ in range(count):
            start = self.rig.load()
            decisions.update(self.rig.decide())
            self.rig.until_received(decisions)
            received = self.rig.load()
            to_receipt_ms.append(sum(self._spent_ms(part, start, received) for part in PARTS))
            last_ack_ms.append(self.rig.until_acknowledged(decisions))
            # The pause after a batch (of up to 1200 boxes) is over: the next one goes out at once.
            time.sleep(0.3)
        used = self.rig.load()
        found = self.rig.times_of_all(decisions, "single decisions")
        slowest_line = percentiles(max(e[2] for e in each) for each in found.each)
        slowest_ack = percentiles(last_ack_ms)
        target = 500 if self.boxes <= 700 else 2000
        rows = [
            Row("decision to a box's receipt, p50", "ms", rank(found.line_ms, 0.5)),
            Row("decision to a box's receipt, p99", "ms", rank(found.line_ms, 0.99), target=target),
            Row(
                "decision to the last box's receipt, slowest round", "ms", slowest_line["max"], target=target
            ),
            Row("decision to the last acknowledgement, half of the rounds", "ms", slowest_ack["p50"]),
            Row(
                "decision to the last acknowledgement, p99 of the rounds",
                "ms",
                slowest_ack["p99"],
                target=target if self.boxes <= 700 else None,
            ),
            Row("decision to the last acknowledgement, slowest round", "ms", slowest_ack["max"]),
        ]
        centre_ms = 0.0
        for part in (*PARTS, "boxes"):
            cpu_ms = self._spent_ms(part, before, used) / count
            centre_ms += cpu_ms if part in PARTS else 0.0
            words = "the simulated boxes" if part == "boxes" else part
            rows.append(Row(f"processor time of {words} a decision", "ms", round(cpu_ms, 1)))
        target_ms = 2000 if self.boxes > 700 else None
        note = (
            f"processor time of the centre, without that of heartbeats, over {PROCESSORS}: what they need when nobody"
            " else is there"
        )
        for until, all_ms in (
            ("receipt", sum(to_receipt_ms) / count),
            ("acknowledgement", centre_ms),
        ):
            work = f"server time of a decision to the last {until}"
            rows.append(Row(work, "ms", round(all_ms / PROCESSORS), target=target_ms, note=note))
        return rows

    def after_silence(self) -> list[Row]:
        """The usual case: a decision is rare."""
        self.say(f"{QUIET_ROUNDS} decisions, each after {QUIET_S} s of silence")
        decisions: dict[str, int] = {}
        last_ack_ms = 0
        for _ in range(QUIET_ROUNDS):
            time.sleep(QUIET_S)
            decisions.update(self.rig.decide())
            last_ack_ms = max(last_ack_ms, self.rig.until_acknowledged(decisions))
        found = self.rig.times_of_all(decisions, "decisions after silence")
        return [
            Row("after silence: decision to a box's receipt, p99", "ms", rank(found.line_ms, 0.99)),
            Row("after silence: decision to the last acknowledgement, worst", "ms", last_ack_ms),
        ]

    def many(self) -> list[Row]:
        seconds = self.options.seconds
        if not seconds:
            return []
        self.say(f"10 decisions a second for {seconds} s")
        before = self.rig.load()
        futures = []
        began = time.monotonic()
        since = int(time.time() * 1000) - 1
        for number in range(10 * seconds):
            time.sleep(max(0.0, began + number / 10 - time.monotonic()))
            futures.append(self.rig.centre.clerk.start("block", kind="ip", value=self.rig.next_address()))
        answers = [future.result(60) for future in futures]
        made = [answer["decision_id"] for answer in answers if answer["ok"]]
        refused = collections.Counter(answer["code"] for answer in answers if not answer["ok"])
        used = self.rig.load()
        decisions = self.rig.began(made, since)
        self.rig.until_acknowledged(decisions)
        found = self.rig.times_of_all(decisions, "decisions at 10 a second")
        lasted_s = used.at - before.at
        rows = [
            Row("10 decisions a second: to a box's receipt, p99", "ms", rank(found.line_ms, 0.99)),
            Row(
                "10 decisions a second: to a box's word that it enforces, p99", "ms", rank(found.ack_ms, 0.99)
            ),
            Row(
                "10 decisions a second: batches a second",
                "count",
                round(found.batches / seconds, 2),
                target=2 if self.boxes > 700 else None,
            ),
            Row(
                "10 decisions a second: decisions in one batch", "count", round(len(made) / found.batches, 1)
            ),
            Row(
                "10 decisions a second: refused to the operator",
                "count",
                refused.total(),
                target=0,
                note=str(dict(refused) or ""),
            ),
        ]
        for part in (*PARTS, "boxes"):
            share = 100 * (used.cpu_s[part] - before.cpu_s[part]) / lasted_s
            words = "the simulated boxes" if part == "boxes" else part
            rows.append(Row(f"10 decisions a second: {words}, of one processor", "%", round(share, 1)))
        return rows

    def storm(self) -> list[Row]:
        self.say("front and stream end, all processes of them, and are started again")
        pids, began = [pid for part in PARTS for pid in self.rig.pids(part)], time.time()
        before = self.rig.load().cpu_s["boxes"]
        for pid in pids:
            os.kill(pid, 15)
        self.rig.wait(lambda s: s["following"], "follow again", since=began)
        last = max(s["last_joined"] for s in self.rig.states(since=began))
        used = self.rig.load().cpu_s  # of the centre's: of processes that are new
        decisions = self.rig.decide()
        self.rig.until_acknowledged(decisions)
        return [
            Row("restart of front and stream until all boxes follow again", "s", round(last - began, 1)),
            Row(
                "the same, processor time of the centre a box",
                "ms",
                round(1000 * sum(used[part] for part in PARTS) / self.boxes, 2),
            ),
            Row(
                "the same, processor time of the simulator a box",
                "ms",
                round(1000 * (used["boxes"] - before) / self.boxes, 2),
            ),
        ]

    def proofs(self) -> list[Row]:
        counts: collections.Counter[str] = collections.Counter()
        for state in self.rig.states():
            counts.update(state["counts"])
        verified = counts.pop("verified", 0)
        refused = {what: n for what, n in counts.items() if what.startswith("line refused")}
        for what, number in counts.items():
            self.say(f"{number} times {what}")
        note = f"{verified} lines verified by {SAMPLE * len(self.rig.fleets)} boxes; {refused or ''}"
        return [
            Row("lines that a verifying box refused", "count", sum(refused.values()), target=0, note=note)
        ]


def _uptime() -> str:
    return " ".join(f"{number:.1f}" for number in os.getloadavg())
