"""`bench fanout`: one decision to hundreds or thousands of boxes, and their acknowledgements.

What:    the real centre under its supervisor (front door with TLS, stream, worker, all the rest) in the laboratory's
         datacenter; simulated boxes (bench.fleet) in the internet's namespace, each with an address, a key, a held
         response and posts of its own. Decisions are made as the console makes them; times begin before their commit.
Peers:   none: nothing else at hand pushes to boxes; the peers' pull intervals are in README, as documented.
Process: root; the laboratory's namespaces. The boxes take their time from the same processors; their share is a row.
"""

from __future__ import annotations

import argparse
import collections
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
from beffroi_lab.topology import LabFailed, LabImpossible, Network

from bench.rows import Row

SOURCES = ("88.160.0.0/16", "88.161.0.0/16")
BOXES_A_PROCESS = 4000
SAMPLE = 5
"""Boxes of each process that verify every line."""
ROUND_LIMIT_S = 60.0
JOIN_LIMIT_S = 600.0
KEEP_POSTS_UP_TO = 4500
"""With more boxes, each post closes its connection: there are not enough open files for two a box."""
QUIET_S = 33
"""Longer than the front door keeps a connection that is silent: after it each acknowledgement makes a new one."""
QUIET_ROUNDS = 2
POSTS_AT_ONCE, SPARE_FILES = 400, 200
_TICKS = os.sysconf("SC_CLK_TCK")
_PARTS = ("front", "stream")


def _connections(boxes: int) -> int:
    """Of the front door: each box's held response, and its posts."""
    return max(4000, (2 * boxes if boxes <= KEEP_POSTS_UP_TO else boxes) + POSTS_AT_ONCE)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--boxes", type=int, default=700)
    parser.add_argument("--rounds", type=int, default=30, help="single decisions, one after the other")
    parser.add_argument("--seconds", type=int, default=60, help="10 decisions a second for so long")


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    """Errors: LabImpossible, LabFailed."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = 2 * _connections(options.boxes) + SPARE_FILES
    if needed > limit:
        raise LabImpossible(
            f"{options.boxes} boxes need {needed} open files in the front door; a process here may have {limit}."
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
            file.write(f"connections = {_connections(options.boxes)}\n")
        stack.callback(centre.stop)
        centre.start()
        bench = _Bench(centre, options, say)
        bench.settle(network, directory, stack)
        steps = (bench.join, bench.rounds, bench.after_silence, bench.many, bench.storm, bench.proofs)
        return [row for step in steps for row in step()]


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
                    "keep_posts": self.boxes <= KEEP_POSTS_UP_TO,
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

    def rounds(self) -> list[Row]:
        count = self.options.rounds
        self.say(f"{count} decisions, one after the other")
        before = self._load()
        decisions: dict[str, int] = {}
        for _ in range(count):
            decisions.update(self._decide())
            self._until_acknowledged(decisions)
            # The pause after a batch (of up to 1200 boxes) is over: the next one goes out at once.
            time.sleep(0.3)
        used = self._load()
        found = self._times(decisions)
        slowest_line = percentiles(max(e[2] for e in each) for each in found.each)
        slowest_ack = percentiles(max(e[3] for e in each) for each in found.each)
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
        for part in (*_PARTS, "boxes"):
            cpu_ms = (used.cpu_s[part] - before.cpu_s[part]) * 1000 / count
            words = "the simulated boxes" if part == "boxes" else part
            rows.append(Row(f"processor time of {words} a decision", "ms", round(cpu_ms, 1)))
        return rows

    def after_silence(self) -> list[Row]:
        """The usual case: a decision is rare, and every box opens a connection to acknowledge it."""
        self.say(f"{QUIET_ROUNDS} decisions, each after {QUIET_S} s of silence")
        decisions: dict[str, int] = {}
        for _ in range(QUIET_ROUNDS):
            time.sleep(QUIET_S)
            decisions.update(self._decide())
            self._until_acknowledged(decisions)
        found = self._times(decisions)
        self._complete(found, "decisions after silence")
        last_ack_ms = max(e[3] for each in found.each for e in each)
        return [
            Row("after silence: decision to a box's receipt, p99", "ms", rank(found.line_ms, 0.99)),
            Row("after silence: decision to the last acknowledgement, worst", "ms", round(last_ack_ms)),
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
        made = [future.result(60)["decision_id"] for future in futures]
        used = self._load()
        decisions = self._began(made, since)
        self._until_acknowledged(decisions)
        found = self._times(decisions)
        self._complete(found, "decisions at 10 a second")
        lasted_s = used.at - before.at
        rows = [
            Row("10 decisions a second: to a box's receipt, p99", "ms", rank(found.line_ms, 0.99)),
            Row("10 decisions a second: to a box's acknowledgement, p99", "ms", rank(found.ack_ms, 0.99)),
            Row(
                "10 decisions a second: decisions in one batch", "count", round(len(made) / found.batches, 1)
            ),
        ]
        for part in (*_PARTS, "boxes"):
            share = 100 * (used.cpu_s[part] - before.cpu_s[part]) / lasted_s
            words = "the simulated boxes" if part == "boxes" else part
            rows.append(Row(f"10 decisions a second: {words}, of one processor", "%", round(share, 1)))
        return rows

    def storm(self) -> list[Row]:
        self.say("stream ends and is started again")
        pid, began = self.centre.pid_of("stream"), time.time()
        os.kill(pid, 15)
        self._all(lambda s: s["following"], "follow again", since=began)
        last = max(s["last_joined"] for s in self._states(since=began))
        decisions = self._decide()
        self._until_acknowledged(decisions)
        return [Row("restart of stream until all boxes follow again", "s", round(last - began, 1))]

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

    def _until_acknowledged(self, decisions: dict[str, int]) -> None:
        last = dict([max(decisions.items(), key=lambda item: item[1])])
        done = wait_until(
            lambda: sum(e[1] for each in self._times(last).each for e in each) >= self.boxes, ROUND_LIMIT_S
        )
        if not done:
            raise LabFailed(f"not acknowledged by all boxes within {ROUND_LIMIT_S:g} s: {self._states()}")

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

    def _load(self) -> _Load:
        pids = {part: self.centre.pid_of(part) for part in _PARTS}
        cpu = {part: _cpu_s(pid) for part, pid in pids.items()}
        cpu["boxes"] = sum(state["cpu_s"] for state in self._states())
        memory = {part: _memory_bytes(pid) for part, pid in pids.items()}
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


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_bytes(pid: int) -> int:
    """Resident memory; what the kernel holds for the sockets is not in it."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
