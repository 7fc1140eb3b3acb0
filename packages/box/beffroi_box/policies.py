"""Policies that the centre sent: each is tried in its turn, proved or rolled back, written down and told.

Process: the agent's thread ``prove_policies``; the feed's thread only offers.
Input:   verified messages of this box's own collectivité.
Fails:   the policy in force stays; a disk that takes nothing stops no proof.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from beffroi_protocol.messages import PolicyMessage

from beffroi_box.enforce import Enforcer
from beffroi_box.facts import FactSpool
from beffroi_box.local import PolicyLog
from beffroi_box.status import Status
from beffroi_box.store import Store
from beffroi_box.trials import Trials

log = logging.getLogger("beffroi_box.policies")


class Policies:
    """``now`` returns trusted epoch seconds; ``save`` writes to the disk as far as it can; ``changed`` is told of each
    policy that was proved."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        state: Path,
        enforcer: Enforcer,
        store: Store,
        spool: FactSpool,
        status: Status,
        now: Callable[[], int],
        *,
        save: Callable[[Callable[[], None]], bool],
        changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._enforcer = enforcer
        self._store = store
        self._spool = spool
        self._status = status
        self._now = now
        self._save = save
        self._changed = changed
        self._offered: queue.Queue[tuple[PolicyMessage, bytes]] = queue.Queue()
        self.log = PolicyLog(state / "policy-log.json")

    def offer(self, message: PolicyMessage, line: bytes) -> None:
        """``line``: as it was signed; empty for the candidate of the disk."""
        self._offered.put((message, line))

    def run(self, stopping: threading.Event) -> None:
        trials = Trials(self._state / "policy-failed.json", monotonic=time.monotonic())
        while not stopping.is_set():
            try:
                trials.offer(*self._offered.get(timeout=1.0))
            except queue.Empty:
                pass
            in_force = self._enforcer.policy_version
            if (trial := trials.due(in_force=in_force, monotonic=time.monotonic())) is None:
                continue
            if self.prove(*trial):
                trials.proved()
            else:
                trials.failed(trial[0].policy_version, monotonic=time.monotonic())

    def prove(self, message: PolicyMessage, line: bytes) -> bool:
        kept = self._enforcer.policy_version
        if reason := self._enforcer.try_policy(message):
            log.warning("policy %d rolled back, %d kept: %s", message.policy_version, kept, reason)
            self._spool.rolled_back(message.policy_version, kept, reason, self._now())
            self._spool.keep()
            self._status.note(rolled_back=message.policy_version)
            self._save(lambda: self.log.note(message, self._now(), outcome=reason))
            return False
        log.info("policy %d proved", message.policy_version)
        self._save(lambda: self.log.note(message, self._now()))
        if line:
            self._save(lambda: self._store.save_policy(line))
        else:
            self._save(self._store.promote_candidate)
        self._changed()
        return True
