"""The rig of `bench fanout`: the laboratory's centre, and the simulated boxes in the internet's namespace.

Purpose: boxes are entered and started, decisions made, and waited for; what each process took is counted.
Process: as bench.fanout; each process of boxes is bench.fleet.
"""

from __future__ import annotations

import collections
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab.centre import BOX_PORT, BOXES, USER, Centre
from beffroi_lab.running import Hands, wait_until
from beffroi_lab.topology import LabFailed, Network, memory_bytes

from bench.kernel_books import own_cpu_s

SOURCES = ("88.160.0.0/16", "88.161.0.0/16")
BOXES_A_PROCESS = 4000
SAMPLE = 5
"""Boxes of each process that verify every line."""
ROUND_LIMIT_S = 300.0
JOIN_LIMIT_S = 600.0
PARTS = {"front": ("front", "box-front-"), "stream": ("stream", "relay-")}
"""Of each part of the centre, the first process and the beginning of the others' names."""


@dataclass(frozen=True)
class Load:
    """Processor seconds and memory of the centre's parts and of the boxes."""

    cpu_s: dict[str, float]
    memory_bytes: dict[str, int]
    at: float


@dataclass(frozen=True)
class Found:
    """``each``: for a decision, a process: (lines, acknowledgements, last line ms, last acknowledgement ms)."""

    each: list[list[tuple[int, int, float, float]]]
    line_ms: collections.Counter[int]
    ack_ms: collections.Counter[int]
    batches: int


class Rig:
    def __init__(self, centre: Centre, boxes: int) -> None:
        self.centre, self.boxes = centre, boxes
        self.fleets: list[Hands] = []
        self._settings: list[dict[str, Any]] = []
        self._address = 0

    def settle(self, network: Network, directory: Path, stack: ExitStack) -> None:
        """Enter the boxes in the centre's database, and start the processes that play them."""
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

    def connect(self) -> None:
        """Start all boxes, and wait until each has said what it enforces."""
        for fleet, settings in zip(self.fleets, self._settings, strict=True):
            fleet.ask("start", **settings)
        self.wait(lambda s: s["acknowledged"], "said what they enforce")

    def next_address(self) -> str:
        self._address += 1
        return f"185.203.{self._address // 250}.{self._address % 250 + 1}"

    def decide(self) -> dict[str, int]:
        """One decision more, and when it was made (epoch ms)."""
        since = int(time.time() * 1000) - 1
        made = self.centre.ask("block", kind="ip", value=self.next_address())
        return self.began([made["decision_id"]], since)

    def began(self, made: list[str], since: int) -> dict[str, int]:
        """When each decision was made, before its commit (epoch ms)."""
        rows = self.centre.ask("decided", since_ms=since)["decisions"]
        began = {d["id"]: int(d["activated_ms"]) for d in rows}
        return {decision_id: began[decision_id] for decision_id in made}

    def until_acknowledged(self, decisions: dict[str, int]) -> int:
        """Wait until the centre has committed of every box that it enforces the last of the decisions; return how many
        ms after that decision the last one was."""
        last, began_ms = max(decisions.items(), key=lambda item: item[1])
        deadline = time.monotonic() + ROUND_LIMIT_S
        while (said := self.centre.ask("acknowledged", decision_id=last))["boxes"] < self.boxes:
            if time.monotonic() > deadline:
                raise LabFailed(f"{said['boxes']} acknowledged within {ROUND_LIMIT_S:g} s: {self.states()}")
            # Asking makes the centre count its acknowledgements: less often where there are more of them.
            time.sleep(max(0.01, self.boxes / 50_000))
        return int(said["last_ms"]) - began_ms

    def until_received(self, decisions: dict[str, int]) -> None:
        """Wait until all boxes have the last of the decisions."""
        last = dict([max(decisions.items(), key=lambda item: item[1])])
        deadline = time.monotonic() + ROUND_LIMIT_S
        while sum(e[0] for each in self.times(last).each for e in each) < self.boxes:
            if time.monotonic() > deadline:
                raise LabFailed(f"not all boxes within {ROUND_LIMIT_S:g} s: {self.states()}")
            # Asking costs the simulator a walk over its boxes: it pauses the longer, the more there are.
            time.sleep(self.boxes / 200_000)

    def times_of_all(self, decisions: dict[str, int], what: str) -> Found:
        """Errors: LabFailed, when one of the decisions did not reach every box."""
        found = self.times(decisions)
        missing = [each for each in found.each if sum(e[0] for e in each) < self.boxes]
        if missing:
            raise LabFailed(f"{what}: {len(missing)} did not reach all boxes")
        return found

    def times(self, decisions: dict[str, int]) -> Found:
        answers = [f.ask("times", decisions=decisions) for f in self.fleets]
        lines: collections.Counter[int] = collections.Counter()
        acks: collections.Counter[int] = collections.Counter()
        for answer in answers:
            lines.update({int(ms): n for ms, n in answer["line_ms"].items()})
            acks.update({int(ms): n for ms, n in answer["ack_ms"].items()})
        each = [[a["each"][decision_id] for a in answers] for decision_id in decisions]
        return Found(each, lines, acks, answers[0]["batches"])

    def states(self, since: float = 0.0) -> list[dict[str, Any]]:
        return [fleet.ask("state", since=since) for fleet in self.fleets]

    def wait(self, how_many: Callable[[dict[str, Any]], int], words: str, *, since: float = 0.0) -> None:
        if not wait_until(lambda: sum(map(how_many, self.states(since))) >= self.boxes, JOIN_LIMIT_S):
            raise LabFailed(f"not all boxes {words} within {JOIN_LIMIT_S:g} s: {self.states()}")

    def pids(self, part: str) -> list[int]:
        first, others = PARTS[part]
        return [pid for name, pid in self.centre.pids().items() if name == first or name.startswith(others)]

    def load(self) -> Load:
        pids = {part: self.pids(part) for part in PARTS}
        cpu = {part: sum(map(own_cpu_s, each)) for part, each in pids.items()}
        cpu["boxes"] = sum(state["cpu_s"] for state in self.states())
        memory = {part: sum(map(memory_bytes, each)) for part, each in pids.items()}
        return Load(cpu, memory, time.monotonic())


def rank(counted: collections.Counter[int], share: float) -> float | None:
    """The value at ``share`` of all that were counted, nearest rank."""
    wanted, seen = share * counted.total(), 0
    for value in sorted(counted):
        seen += counted[value]
        if seen >= wanted:
            return value
    return None
