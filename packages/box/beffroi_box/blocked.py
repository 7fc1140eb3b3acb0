"""What was blocked, as the kernel and the resolver tell it: to the facts, to the page, to the watch.

Process: the agent's threads ``read_packets`` and ``read_refusals``.
Input:   headers and names of the internet and the LAN: hostile; ``nflog`` and ``refusals`` check every length.
Fails:   without it nothing is counted by name; the kernel and dnsdist refuse all the same.
Source:  docs/internals/counting.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Entry
from beffroi_protocol.threats import NEVER_LIFTED

from beffroi_box.config import BoxConfig
from beffroi_box.enforce import Enforcer
from beffroi_box.facts import FactSpool
from beffroi_box.listed import Listed
from beffroi_box.local import RecentBlocks
from beffroi_box.nflog import PacketLog
from beffroi_box.refusals import Question, RefusalSocket
from beffroi_box.resolver import PACED, RELOAD, refusals_socket
from beffroi_box.store import user_id
from beffroi_box.watch import Watch


class Blocked:
    """``recent``: the last ones, for the page. ``now`` returns trusted epoch seconds."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        config: BoxConfig,
        enforcer: Enforcer,
        lists: Listed,
        watch: Watch,
        spool: FactSpool,
        now: Callable[[], int],
    ) -> None:
        self._config = config
        self._enforcer = enforcer
        self._lists = lists
        self._watch = watch
        self._spool = spool
        self._now = now
        self.recent = RecentBlocks()

    def entry_for_address(self, address: str) -> Entry | None:
        """Return what blocks this address: a decision, or a value of a list; None where the policy enforces none."""
        if not self._enforcer.policy.enforce:
            return None
        return self._enforcer.entry_for_address(address) or self._lists.entry_for_address(address)

    def entry_for_name(self, name: str) -> Entry | None:
        """Return what this name is refused for: likewise."""
        if not self._enforcer.policy.enforce:
            return None
        return self._enforcer.entry_for_name(name) or self._lists.entry_for_name(name)

    def read_packets(self, stopping: threading.Event) -> None:
        """Errors: OSError."""
        packets = PacketLog(self._config.nflog_group)
        try:
            for blocked in packets:
                if not self._enforcer.policy.enforce:
                    continue  # it passed: nothing was refused
                entry = self.entry_for_address(blocked.remote)
                if blocked.direction == "also":
                    if entry and (machine := self._caller(entry, blocked.local)):
                        self._spool.called(entry, blocked.protocol, blocked.port, self._now(), machine)
                    continue
                indicator = entry.indicator if entry else Indicator(Kind.IP, blocked.remote)
                self._spool.flow(
                    indicator,
                    blocked.direction,
                    blocked.protocol,
                    blocked.port,
                    entry.id if entry else "",
                    self._now(),
                    self._caller(entry, blocked.local) if blocked.direction == "out" else "",
                )
                self._show(entry, blocked.direction, blocked.remote)
                if stopping.is_set():
                    return
        finally:
            packets.close()

    def read_refusals(self, stopping: threading.Event) -> None:
        """Errors: OSError."""
        if not self._config.resolver:
            stopping.wait()
            return
        refused = RefusalSocket(refusals_socket(self._config), user_id(self._config.dnsdist_user))
        try:
            for question in refused:
                if question.told_as == PACED:
                    self._watch.asked_too_fast(question.machine)
                elif question.name != RELOAD:
                    self.refused(question)
        finally:
            refused.close()

    def refused(self, question: Question) -> None:
        """A name that dnsdist or the inspection engine told. Both tell of one attempt: the facts count it once."""
        name = question.name
        entry = self.entry_for_name(name)
        if entry is not None and not self._enforcer.is_spared_name(name):
            self._spool.name(entry.indicator, entry.id, self._now(), self._caller(entry, question.machine))
            self._show(entry, "out", name)
        else:
            self._watch.asked(question)

    def _caller(self, entry: Entry | None, address: str) -> str:
        """The label of who called a command server, whom somebody must find; "" for all else that is refused."""
        return self._watch.label(address) if entry and address and entry.reason in NEVER_LIFTED else ""

    def _show(self, entry: Entry | None, direction: str, value: str) -> None:
        kind = "ip" if direction == "in" or value[-1:].isdigit() or ":" in value else "domain"
        reason, entry_id = (entry.reason, entry.id) if entry else ("", "")
        self.recent.note(kind, value, reason=reason, entry_id=entry_id, direction=direction, at=self._now())
