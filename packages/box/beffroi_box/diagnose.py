"""How the box is, told to the Département when it asks with a signed question. No shell, no command, no choice of what.

Purpose: versions, links, own addresses, rules, lists, resolver, disk, memory, clock, last errors by code.
Process: the agent, in a thread of its own; ``ip`` is run with a time limit.
Privacy: nothing of the machines and people behind the box: no LAN address but the box's own, no name that was asked.
Input:   a question is verified by the feed's key before it comes here; each is answered once, and at most one in
         ``PAUSE_S``, so that a centre gone wrong cannot keep the box busy.
"""

from __future__ import annotations

import os
import platform
import queue
import secrets
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.facts import Diagnosis
from beffroi_protocol.messages import Question

from beffroi_box import AGENT_VERSION
from beffroi_box.config import BoxConfig
from beffroi_box.facts import FactSpool
from beffroi_box.status import Report

PAUSE_S = 5.0
REMEMBERED = 50
WAITING = 4
MAX_TEXT = 200
COMMAND_TIMEOUT_S = 3.0


class Doctor:
    """Answers questions. ``report``: the agent's status; ``has_rules``: whether they are in the kernel."""

    def __init__(
        self,
        config: BoxConfig,
        box_id: str,
        spool: FactSpool,
        now: Callable[[], int],
        *,
        report: Callable[[], Report],
        has_rules: Callable[[], bool],
    ) -> None:
        self._config = config
        self._box_id = box_id
        self._spool = spool
        self._now = now
        self._report = report
        self._has_rules = has_rules
        self._questions: queue.Queue[Question] = queue.Queue(WAITING)
        self._answered: deque[str] = deque(maxlen=REMEMBERED)

    def ask(self, question: Question) -> None:
        """Take a verified question; one for another box, out of date, or asked before is dropped."""
        if question.box_id != self._box_id or question.valid_until < self._now():
            return
        if question.id in self._answered:
            return
        try:
            self._questions.put_nowait(question)
        except queue.Full:
            return
        self._answered.append(question.id)

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                question = self._questions.get(timeout=1.0)
            except queue.Empty:
                continue
            self.answer(question)
            stopping.wait(PAUSE_S)

    def answer(self, question: Question) -> None:
        texts = {name: text[:MAX_TEXT] for name, text in self.examine().items() if text}
        self._spool.tell(Diagnosis(f"dia_{secrets.token_hex(12)}", question.id, self._now(), texts))

    def examine(self) -> dict[str, str]:
        """How this box is, by fixed names; "" where nothing is to say. Nothing of who did what in the LAN."""
        status = self._report()
        disk = shutil.disk_usage(self._config.state)
        memory = _meminfo()
        found = {
            "agent": AGENT_VERSION,
            "system": _system(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "mode": self._config.mode,
            "settings_trouble": self._config.settings_trouble,
            "network_trouble": self._config.network_trouble,
            "uptime_s": Path("/proc/uptime").read_text("ascii").split(".")[0],
            "load": f"{os.getloadavg()[0]:.2f}",
            "rules": "loaded" if self._loaded() else "missing",
            "policy_version": str(status.policy_version),
            "rolled_back": str(status.rolled_back or ""),
            "lists": ", ".join(
                f"{channel} {version}" for channel, version in sorted(status.versions.items())
            ),
            "addresses_blocked": str(status.addresses),
            "addresses_left_out": str(status.addresses_left_out or ""),
            "networks_blocked": str(status.networks),
            "names_blocked": str(status.names),
            "bulk_lists": f"{status.lists} ({status.lists_waiting} waiting)",
            "bulk_lists_trouble": status.lists_trouble,
            "resolver": status.resolver_trouble or ("ok" if self._config.resolver else "off"),
            "inspection": status.inspection,
            "list_stale": "yes" if status.stale else "no",
            "disk_trouble": status.disk_trouble,
            "disk_free_bytes": str(disk.free),
            "disk_total_bytes": str(disk.total),
            "memory_available_kib": str(memory.get("MemAvailable", 0)),
            "memory_total_kib": str(memory.get("MemTotal", 0)),
            "agent_memory_kib": str(status.memory_kib),
            "clock_offset_s": str(int(time.time()) - self._now()),
            "facts_waiting": str(status.facts_waiting),
            "facts_dropped": str(status.facts_dropped),
            "last_line_refused": status.refused,
        }
        for side, name in (("wan", self._config.wan), ("lan", self._config.lan)):
            found[f"{side}_link"] = link(name)
            found[f"{side}_addresses"] = ", ".join(addresses(name))
        return found

    def _loaded(self) -> bool:
        try:
            return self._has_rules()
        except OSError:
            return False


def link(name: str, root: Path = Path("/sys/class/net")) -> str:
    """``up 1000``, ``up``, ``down``, or ``absent``; the number is Mbit/s, where the card tells it."""
    shown = _interface(name)
    if shown is None:
        return "absent"
    if "LOWER_UP" not in shown.flags:
        return "down"
    speed = _read(root / name / "speed")
    return f"up {speed}" if speed.isdigit() else "up"


def addresses(name: str) -> list[str]:
    """The box's own addresses on one interface, with prefix lengths; [] where they cannot be read."""
    shown = _interface(name)
    found = shown.addr_info if shown is not None else []
    return [f"{one.local}/{one.prefixlen}" for one in found if one.scope == "global"]


def _interface(name: str) -> _Interface | None:
    """What the kernel of this network namespace says; None where there is no such interface."""
    try:
        shown = subprocess.run(
            ["ip", "-json", "address", "show", "dev", name],
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        ).stdout
        rows = msgspec.json.decode(shown, type=list[_Interface])
    except (OSError, subprocess.SubprocessError, *UNDECODABLE):
        return None
    return rows[0] if rows else None


class _Address(msgspec.Struct):
    local: str
    prefixlen: int
    scope: str = ""


class _Interface(msgspec.Struct):
    flags: list[str] = []
    addr_info: list[_Address] = []


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _meminfo() -> Mapping[str, int]:
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest}


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
