"""Faults at moments that a seed chooses, inside the steps of a scenario.

Purpose: a schedule of killed and restarted processes and cut lines; the scenario must end as without them.
Process: the laboratory's own, one thread a fault. A killed agent is started again after a moment, as the appliance's
         service manager does; the centre's own processes are the supervisor's business.
Rule:    one seed gives one schedule: the same faults at the same moments of the same steps. What they meet at that
         moment is the machine's: a run is not repeated to the millisecond.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from beffroi_lab.report import Report
from beffroi_lab.topology import LabFailed
from beffroi_lab.world import World

STEPS = ("deliver", "sight", "block", "undo")
FAULTS_A_STEP = 2
KILLED = ("mailgate", "stream", "worker", "remediation")
RESTARTED = ("web", "console", "front", "postfix", "dovecot", "rspamd", "unbound")
_CUT_S, _AGENT_S = (1.0, 6.0), (0.2, 2.0)


@dataclass(frozen=True)
class Fault:
    """``share``: when, as a share of the step's usual length. ``lasts_s``: of a cut, or until an agent is back."""

    step: str
    share: float
    kind: str
    target: str
    lasts_s: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.kind} {self.target}{lasts}"


def schedule(seed: int, letters: Sequence[str]) -> list[Fault]:
    """Return the faults of a seed, in the order of steps and moments. Pure."""
    choose = random.Random(seed)
    found: list[Fault] = []
    for step in STEPS:
        shares = sorted(choose.random() for _ in range(FAULTS_A_STEP))
        found += [_fault(choose, step, share, letters) for share in shares]
    return found


def _fault(choose: random.Random, step: str, share: float, letters: Sequence[str]) -> Fault:
    kind = choose.choices(("kill", "restart", "kill agent", "cut"), (4, 2, 2, 2))[0]
    if kind == "kill":
        return Fault(step, share, kind, choose.choice(KILLED))
    if kind == "restart":
        return Fault(step, share, kind, choose.choice(RESTARTED))
    lasts_s = choose.uniform(*(_AGENT_S if kind == "kill agent" else _CUT_S))
    return Fault(step, share, kind, choose.choice(letters), round(lasts_s, 1))


class Faults:
    """Makes the faults of one seed happen while the steps run."""

    def __init__(self, world: World, report: Report, seed: int) -> None:
        self._world = world
        self._report = report
        self._line = threading.Lock()
        letters = [c.letter for c in world.plan.communes]
        # Two faults of one target come one after the other: a line is not cut twice at a time.
        self._target = {name: threading.Lock() for name in (*KILLED, *RESTARTED, *letters)}
        self._planned = schedule(seed, letters)
        report.figures["faults_seed"] = seed
        report.figures["faults"] = []
        report.tell(f"faults of seed {seed}: {'; '.join(f'{f.step}: {f}' for f in self._planned)}")

    @contextmanager
    def during(self, step: str, usual_s: float) -> Iterator[None]:
        """The faults of ``step`` happen while the block runs; it is left when the last has passed."""
        due = [f for f in self._planned if f.step == step]
        threads = [threading.Thread(target=self._happen, args=(f, usual_s), daemon=True) for f in due]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()

    def _happen(self, fault: Fault, usual_s: float) -> None:
        time.sleep(fault.share * usual_s)
        with self._target[fault.target]:
            with self._line:
                at_ms = self._report.tell(f"FAULT  {fault}")
                self._report.figures["faults"].append(
                    {"at_ms": at_ms, "step": fault.step, "what": str(fault)}
                )
            try:
                self._act(fault)
            except (KeyError, ProcessLookupError):
                self._report.tell(f"{fault.target} was down already")
            except (LabFailed, OSError, subprocess.SubprocessError) as error:
                self._report.prove("faults_made", False, f"{fault} could not be made: {error}")

    def _act(self, fault: Fault) -> None:
        if fault.kind == "kill":
            self._world.centre.kill(fault.target)
        elif fault.kind == "restart":
            self._world.centre.restart(fault.target)
        elif fault.kind == "kill agent":
            self._world.boxes[fault.target].kill_agent()
            time.sleep(fault.lasts_s)
            self._world.boxes[fault.target].start_agent()
        else:
            self._world.network.cut(fault.target, down=True)
            time.sleep(fault.lasts_s)
            self._world.network.cut(fault.target, down=False)
