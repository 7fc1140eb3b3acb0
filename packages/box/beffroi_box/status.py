"""What the agent says about itself: STATE/status.json, read by ``beffroi-box status``.

Process: the agent; root. Holds counts, versions and codes only.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from beffroi_protocol.errors import UNDECODABLE

if TYPE_CHECKING:
    from beffroi_box.agent import Agent


class Report(msgspec.Struct, omit_defaults=False):
    """``*_at`` in local epoch seconds; ``run``: of the agent that wrote it, another one after each start."""

    written_at: int = 0
    run: str = ""
    box_id: str = ""
    collectivite: str = ""
    connected: bool = False
    trouble: str = ""
    heard_at: int = 0
    refused: str = ""
    rolled_back: int = 0
    policy_version: int = 0
    versions: dict[str, str] = {}
    addresses: int = 0
    addresses_left_out: int = 0
    networks: int = 0
    names: int = 0
    settings_trouble: str = ""
    network_trouble: str = ""
    resolver_trouble: str = ""
    inspection: str = ""
    lists: int = 0
    lists_waiting: int = 0
    lists_trouble: str = ""
    facts_waiting: int = 0
    facts_dropped: int = 0
    observing: bool = False
    alarms_held_back: int = 0
    diary_left_out: int = 0
    stale: bool = False
    disk_trouble: str = ""
    memory_kib: int = 0


class Status:
    def __init__(self, state: Path) -> None:
        self._path = state / "status.json"
        self._report = Report()
        self.disk_trouble = ""

    @property
    def report(self) -> Report:
        """What was said last."""
        return self._report

    def note(self, **values: object) -> None:
        for name, value in values.items():
            setattr(self._report, name, value)

    def write(self, agent: Agent) -> None:
        """Errors: OSError. Not synced: it is worth nothing after a power cut."""
        enforcer, lists, tables = agent.enforcer, agent.lists, agent.session.tables.values()
        self.note(
            written_at=int(time.time()),
            run=agent.run_id,
            disk_trouble=self.disk_trouble,
            memory_kib=_memory_kib(),
            box_id=agent.identity.box_id,
            collectivite=agent.identity.collectivite_name,
            policy_version=enforcer.policy_version,
            versions={t.channel: f"{t.epoch}:{t.version}" for t in tables},
            addresses=len(enforcer.desired.hot),
            addresses_left_out=len(enforcer.desired.left_out),
            networks=len(enforcer.desired.nets),
            names=len(enforcer.desired.names),
            settings_trouble=agent.config.settings_trouble,
            network_trouble=agent.config.network_trouble,
            resolver_trouble=enforcer.resolver.trouble if enforcer.resolver else "",
            inspection=enforcer.inspection.state,
            lists=lists.in_force,
            lists_waiting=lists.waiting,
            lists_trouble=lists.trouble,
            facts_waiting=agent.spool.waiting(),
            facts_dropped=agent.spool.dropped + agent.spool.rejected,
            observing=enforcer.observes(enforcer.policy),
            alarms_held_back=agent.watch.alarms_held_back,
            diary_left_out=agent.watch.diary.left_out,
            stale=any(t.version and t.stale(now=agent.now()) for t in tables),
        )
        temporary = self._path.with_name("status.json.new")
        temporary.write_bytes(msgspec.json.encode(self._report) + b"\n")
        temporary.replace(self._path)


def read(state: Path) -> Report | None:
    try:
        return msgspec.json.decode((state / "status.json").read_bytes(), type=Report)
    except (OSError, *UNDECODABLE):
        return None


def _memory_kib() -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
