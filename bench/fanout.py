"""`bench fanout`: one decision to hundreds or thousands of boxes, and their acknowledgements.

What:    the real centre under its supervisor (front door with TLS, stream, worker, all the rest) in the laboratory's
         datacenter; simulated boxes (bench.fleet) in the internet's namespace, each with an address, a key, a held
         connection on which it acknowledges. Decisions are made as the console makes them; times begin before their
         commit, and end with the centre's commit of an acknowledgement (its column received_at).
         Up to some thousand boxes the centre is as it is installed; for more it gets relays and front doors of its own
         (settings stream_relays, box_fronts), as many as the open files of a process here demand.
Peers:   none: nothing else at hand pushes to boxes; the peers' pull intervals are in README, as documented.
Process: root; the laboratory's namespaces. The boxes take their time from the same processors; their share is a row.
"""

from __future__ import annotations

import argparse
import collections
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab import topology
from beffroi_lab.centre import BOX_PORT, BOXES, USER, Centre
from beffroi_lab.report import percentiles
from beffroi_lab.running import Hands, wait_until
from beffroi_lab.topology import LabFailed, LabImpossible, Network, memory_bytes

from bench.kernel_books import own_cpu_s
from bench.rows import Row

SOURCES = ("88.160.0.0/16", "88.161.0.0/16")
BOXES_A_PROCESS = 4000
SAMPLE = 5
"""Boxes of each process that verify every line."""
ROUND_LIMIT_S = 300.0
JOIN_LIMIT_S = 600.0
QUIET_S = 33
"""Longer than a front door beside others keeps a connection that is silent, and usual between two decisions."""
QUIET_ROUNDS = 2
IDLE_S = 40
"""Two heartbeats, whenever it begins."""
POSTS_AT_ONCE, SPARE_FILES = 400, 200
MAX_PROCESSES = 16
PROCESSORS = 2
"""Of the centre that the targets mean; and so many relays at least, where there are any."""
_PARTS = {"front": ("front", "box-front-"), "stream": ("stream", "relay-")}
"""Of each part, the first process and the beginning of the others' names."""


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
    topology.check_possible()
    with tempfile.TemporaryDirectory(prefix=f"beffroi-bench-{os.getpid()}-") as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        plan = plans.make(3)
        network = stack.enter_context(topology.network(plan, directory))
        say("starting the centre")
        centre = Centre(network, plan, directory)
        with (centre.state / "beffroi.toml").open("a", encoding="utf-8") as file:
            file.write(centre_shape.lines())
        stack.callback(centre.stop)
        centre.start()
        bench = _Bench(centre, options, say)
        bench.settle(network, directory, stack)
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


@dataclass(frozen=True)
class _Load:
    """Processor seconds and memory of the centre's parts and of the boxes."""

    cpu_s: dict[str, float]
    memory_bytes: dict[str, int]
    at: float


class _Bench:
    def __init__(self, centre: Centre, options: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.centre, self.options, self.say = centre, options, say
        self.boxes = int(options.boxes)
        self.fleets: list[Hands] = []
        self._settings: list[dict[str, Any]] = []
        self._address = 0
        self._idle: dict[str, float] = {}  # processors that a part takes when nothing happens

    def settle(self, network: Network, directory: Path, stack: ExitStack) -> None:
        """Enter the boxes in the centre's database, and start the processes that play them."""
        self.say(f"entering {self.boxes} boxes")
        register = directory / "register.json"
        environment = [f"BEFFROI_STATE={self.centre.state}", "DJANGO_SETTINGS_MODULE=beffroi.settings.base"]
        user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
        command = ["env", *environment, *user, sys.executable, "-m", "bench.registrar", str(self.boxes)]
        register.touch(mode=0o600)
        register.write_text(network["dc"].run(command), "utf-8")
        known = f"{{ {', '.join(SOURCES)} }}"
        network["inet"].run(["nft", "add", "element", "inet", "beffroi_lab", "known4", known])
        for net in SOURCES:
            network["inet"].run(["ip", "route", "add", "local", net, "dev", "lo"])
        for number, first in enumerate(range(0, self.boxes, BOXES_A_PROCESS)):
            fleet = Hands(network["inet"], directory / f"fleet{number}.log", module="bench.fleet")
            stack.callback(fleet.stop)
            self.fleets.append(fleet)
            self._settings.append(
                {
                    "register": str(register),
                    "authority": str(self.centre.authority),
                    "host": BOXES,
                    "address": plans.CENTRE.v4,
                    "port": BOX_PORT,
                    "first": first,
                    "count": min(BOXES_A_PROCESS, self.boxes - first),
                    "sample": SAMPLE,
                }
            )

    # -- steps -------------------------------------------------------------------------------------------

    def join(self) -> list[Row]:
        self._decide()  # no channel is empty
        before = self._load()
        self.say(f"{self.boxes} boxes connect")
        began = time.time()
        for fleet, settings in zip(self.fleets, self._settings, strict=True):
            fleet.ask("start", **settings)
        self._all(lambda s: s["acknowledged"], "said what they enforce")
        taken_s = max(s["last_joined"] for s in self._states()) - began
        after = self._load()
        rows = [Row(f"{self.boxes} boxes connect for the first time", "s", round(taken_s, 1))]
        total = 0.0
        for part in _PARTS:
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
        before = self._load()
        time.sleep(IDLE_S)
        used = self._load()
        rows = []
        for part in _PARTS:
            self._idle[part] = (used.cpu_s[part] - before.cpu_s[part]) / (used.at - before.at)
            share = round(100 * self._idle[part], 1)
            rows.append(Row(f"no decision, a heartbeat each 20 s: {part}, of one processor", "%", share))
        return rows

    def _spent_ms(self, part: str, since: _Load, until: _Load) -> float:
        """Processor time of a part beyond that of its heartbeats."""
        idle_s = self._idle.get(part, 0.0) * (until.at - since.at)
        return 1000 * (until.cpu_s[part] - since.cpu_s[part] - idle_s)

    def rounds(self) -> list[Row]:
        count = self.options.rounds
        self.say(f"{count} decisions, one after the other")
        before = self._load()
        decisions: dict[str, int] = {}
        to_receipt_ms: list[float] = []
        last_ack_ms: list[int] = []
        for _ in range(count):
            start = self._load()
            decisions.update(self._decide())
            self._until_received(decisions)
            received = self._load()
            to_receipt_ms.append(sum(self._spent_ms(part, start, received) for part in _PARTS))
            last_ack_ms.append(self._until_acknowledged(decisions))
            # The pause after a batch (of up to 1200 boxes) is over: the next one goes out at once.
            time.sleep(0.3)
        used = self._load()
        found = self._times(decisions)
        slowest_line = percentiles(max(e[2] for e in each) for each in found.each)
        slowest_ack = percentiles(last_ack_ms)
        self._complete(found, "single decisions")
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
        for part in (*_PARTS, "boxes"):
            cpu_ms = self._spent_ms(part, before, used) / count
            centre_ms += cpu_ms if part in _PARTS else 0.0
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
            decisions.update(self._decide())
            last_ack_ms = max(last_ack_ms, self._until_acknowledged(decisions))
        found = self._times(decisions)
        self._complete(found, "decisions after silence")
        return [
            Row("after silence: decision to a box's receipt, p99", "ms", rank(found.line_ms, 0.99)),
            Row("after silence: decision to the last acknowledgement, worst", "ms", last_ack_ms),
        ]

    def many(self) -> list[Row]:
        seconds = self.options.seconds
        if not seconds:
            return []
        self.say(f"10 decisions a second for {seconds} s")
        before = self._load()
        futures = []
        began = time.monotonic()
        since = int(time.time() * 1000) - 1
        for number in range(10 * seconds):
            time.sleep(max(0.0, began + number / 10 - time.monotonic()))
            futures.append(self.centre.clerk.start("block", kind="ip", value=self._next_address()))
        answers = [future.result(60) for future in futures]
        made = [answer["decision_id"] for answer in answers if answer["ok"]]
        refused = collections.Counter(answer["code"] for answer in answers if not answer["ok"])
        used = self._load()
        decisions = self._began(made, since)
        self._until_acknowledged(decisions)
        found = self._times(decisions)
        self._complete(found, "decisions at 10 a second")
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
        for part in (*_PARTS, "boxes"):
            share = 100 * (used.cpu_s[part] - before.cpu_s[part]) / lasted_s
            words = "the simulated boxes" if part == "boxes" else part
            rows.append(Row(f"10 decisions a second: {words}, of one processor", "%", round(share, 1)))
        return rows

    def storm(self) -> list[Row]:
        self.say("front and stream end, all processes of them, and are started again")
        pids, began = [pid for part in _PARTS for pid in self._pids(part)], time.time()
        before = self._load().cpu_s["boxes"]
        for pid in pids:
            os.kill(pid, 15)
        self._all(lambda s: s["following"], "follow again", since=began)
        last = max(s["last_joined"] for s in self._states(since=began))
        used = self._load().cpu_s  # of the centre's: of processes that are new
        decisions = self._decide()
        self._until_acknowledged(decisions)
        return [
            Row("restart of front and stream until all boxes follow again", "s", round(last - began, 1)),
            Row(
                "the same, processor time of the centre a box",
                "ms",
                round(1000 * sum(used[part] for part in _PARTS) / self.boxes, 2),
            ),
            Row(
                "the same, processor time of the simulator a box",
                "ms",
                round(1000 * (used["boxes"] - before) / self.boxes, 2),
            ),
        ]

    def proofs(self) -> list[Row]:
        counts: collections.Counter[str] = collections.Counter()
        for state in self._states():
            counts.update(state["counts"])
        verified = counts.pop("verified", 0)
        refused = {what: n for what, n in counts.items() if what.startswith("line refused")}
        for what, number in counts.items():
            self.say(f"{number} times {what}")
        note = f"{verified} lines verified by {SAMPLE * len(self.fleets)} boxes; {refused or ''}"
        return [
            Row("lines that a verifying box refused", "count", sum(refused.values()), target=0, note=note)
        ]

    # -- decisions ---------------------------------------------------------------------------------------

    def _next_address(self) -> str:
        self._address += 1
        return f"185.203.{self._address // 250}.{self._address % 250 + 1}"

    def _decide(self) -> dict[str, int]:
        since = int(time.time() * 1000) - 1
        made = self.centre.ask("block", kind="ip", value=self._next_address())
        return self._began([made["decision_id"]], since)

    def _began(self, made: list[str], since: int) -> dict[str, int]:
        """When each decision was made, before its commit (epoch ms)."""
        rows = self.centre.ask("decided", since_ms=since)["decisions"]
        began = {d["id"]: int(d["activated_ms"]) for d in rows}
        return {decision_id: began[decision_id] for decision_id in made}

    def _until_acknowledged(self, decisions: dict[str, int]) -> int:
        """Wait until the centre has committed of every box that it enforces the last of the decisions; return how many
        ms after that decision the last one was."""
        last, began_ms = max(decisions.items(), key=lambda item: item[1])
        deadline = time.monotonic() + ROUND_LIMIT_S
        while (said := self.centre.ask("acknowledged", decision_id=last))["boxes"] < self.boxes:
            if time.monotonic() > deadline:
                raise LabFailed(f"{said['boxes']} acknowledged within {ROUND_LIMIT_S:g} s: {self._states()}")
            time.sleep(max(0.01, self.boxes / 50_000))
        return int(said["last_ms"]) - began_ms

    def _until_received(self, decisions: dict[str, int]) -> None:
        """Wait until all boxes have the last of the decisions."""
        last = dict([max(decisions.items(), key=lambda item: item[1])])
        deadline = time.monotonic() + ROUND_LIMIT_S
        while sum(e[0] for each in self._times(last).each for e in each) < self.boxes:
            if time.monotonic() > deadline:
                raise LabFailed(f"not all boxes within {ROUND_LIMIT_S:g} s: {self._states()}")
            # Asking costs the simulator a walk over its boxes.
            time.sleep(self.boxes / 200_000)

    def _complete(self, found: _Found, what: str) -> None:
        missing = [each for each in found.each if sum(e[0] for e in each) < self.boxes]
        if missing:
            raise LabFailed(f"{what}: {len(missing)} did not reach all boxes")

    def _times(self, decisions: dict[str, int]) -> _Found:
        answers = [f.ask("times", decisions=decisions) for f in self.fleets]
        lines: collections.Counter[int] = collections.Counter()
        acks: collections.Counter[int] = collections.Counter()
        for answer in answers:
            lines.update({int(ms): n for ms, n in answer["line_ms"].items()})
            acks.update({int(ms): n for ms, n in answer["ack_ms"].items()})
        each = [[a["each"][decision_id] for a in answers] for decision_id in decisions]
        return _Found(each, lines, acks, answers[0]["batches"])

    # -- boxes and processes -----------------------------------------------------------------------------

    def _states(self, since: float = 0.0) -> list[dict[str, Any]]:
        return [fleet.ask("state", since=since) for fleet in self.fleets]

    def _all(self, how_many: Callable[[dict[str, Any]], int], words: str, *, since: float = 0.0) -> None:
        if not wait_until(lambda: sum(map(how_many, self._states(since))) >= self.boxes, JOIN_LIMIT_S):
            raise LabFailed(f"not all boxes {words} within {JOIN_LIMIT_S:g} s: {self._states()}")

    def _pids(self, part: str) -> list[int]:
        first, others = _PARTS[part]
        return [pid for name, pid in self.centre.pids().items() if name == first or name.startswith(others)]

    def _load(self) -> _Load:
        pids = {part: self._pids(part) for part in _PARTS}
        cpu = {part: sum(map(own_cpu_s, each)) for part, each in pids.items()}
        cpu["boxes"] = sum(state["cpu_s"] for state in self._states())
        memory = {part: sum(map(memory_bytes, each)) for part, each in pids.items()}
        return _Load(cpu, memory, time.monotonic())


@dataclass(frozen=True)
class _Found:
    """``each``: for a decision, a process: (lines, acknowledgements, last line ms, last acknowledgement ms)."""

    each: list[list[tuple[int, int, float, float]]]
    line_ms: collections.Counter[int]
    ack_ms: collections.Counter[int]
    batches: int


def rank(counted: collections.Counter[int], share: float) -> float | None:
    """The value at ``share`` of all that were counted, nearest rank."""
    wanted, seen = share * counted.total(), 0
    for value in sorted(counted):
        seen += counted[value]
        if seen >= wanted:
            return value
    return None


def _uptime() -> str:
    return " ".join(f"{number:.1f}" for number in os.getloadavg())
