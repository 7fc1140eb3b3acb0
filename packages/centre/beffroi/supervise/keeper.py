"""Keep one process running: start, watch, restart with growing pauses, stop.

Purpose: a thread for each row of the process table; it sleeps in poll(2) on the child and on the stop event.
Process: the supervisor.
Fails:   open: whatever one process does, the others are watched on. A health question that raises counts as
         "unwell", never as the end of the watch.
Source:  docs/internals/supervisor.md.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from beffroi.lib import clock
from beffroi.lib.process import Process
from beffroi.supervise import children, logs
from beffroi.supervise.status import ProcessStatus

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0
POLL_STARTING_S = 0.25
# The end of a process is seen at once; this only finds those that hang, and each question is a line in a log.
POLL_HEALTHY_S = 15.0
UNWELL_RESTART_S = 120.0
# The machine may be busy with ten starts at once.
START_PATIENCE = 2
CLOCK_BACK_S = 5.0
_NEVER_S = 2.0**33
"""Of a timer of the wall: past the year 2200."""


class StopEvent:
    """An event that poll(2) can wait for together with a child."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self._descriptor

    def set(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def wait(self, timeout_s: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))


class _ClockSet:
    """Becomes readable when somebody sets the clock: what stood for a moment is seen, too. Source: timerfd_create(2),
    TFD_TIMER_CANCEL_ON_SET."""

    def __init__(self) -> None:
        self._descriptor = os.timerfd_create(time.CLOCK_REALTIME, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
        self.arm()

    def fileno(self) -> int:
        return self._descriptor

    def arm(self) -> None:
        """Also after it was readable: then the kernel says ECANCELED once, and has armed it all the same."""
        flags = os.TFD_TIMER_ABSTIME | os.TFD_TIMER_CANCEL_ON_SET
        with contextlib.suppress(OSError):
            os.timerfd_settime(self._descriptor, flags=flags, initial=_NEVER_S)

    def close(self) -> None:
        os.close(self._descriptor)


class Keeper(threading.Thread):
    """One process and its watch. Read ``status``; everything else is its own thread's."""

    def __init__(
        self,
        process: Process,
        *,
        log: Path,
        log_days: int,
        stop: StopEvent,
        changed: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name=f"keeper-{process.name}", daemon=True)
        self.process = process
        self.log = log
        self.log_days = log_days
        self.record: children.Record | None = None
        self.was_ready = False
        self.patience_s = process.start_timeout_s * START_PATIENCE
        self.status = ProcessStatus(process.name, advice=process.advice, log=str(log))
        self._stop_event = stop
        self._changed = changed
        self._say = say

    def run(self) -> None:
        failures = 0
        while not self._stop_event.wait(0):
            began = time.monotonic()
            reason = self._one_life()
            if self._stop_event.wait(0):
                break
            failures = 1 if time.monotonic() - began > STEADY_AFTER_S else failures + 1
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))
            self._say(f"{self.process.name} {reason}; starting it again in {pause_s:g} s.")
            self.status.restarts += 1
            self._set("restarting", f"{self.process.name} {reason}.")
            self._stop_event.wait(pause_s)
        self._set("stopped", "")

    def _one_life(self) -> str:
        """From start to end of one run; returns how it ended."""
        try:
            self._trim()
            child = children.spawn(self.process, self.log)
        except OSError as error:
            return f"cannot be started ({error.strerror}: {error.filename})"
        record = self.record = children.recorded(self.process.name, child.pid)
        self.status.pid = child.pid
        self._set("starting", "")
        reason = self._watch(child)
        children.end(
            child.pid,
            since_ticks=record.start_ticks,
            stop_signal=self.process.stop_signal,
            timeout_s=self.process.stop_timeout_s,
        )
        child.wait()
        self.record, self.status.pid = None, 0
        return reason or _how_it_ended(child.returncode)

    def _watch(self, child: subprocess.Popen[bytes]) -> str:
        """Return "" when the child ended or all must stop, else why it has to be restarted."""
        descriptor = os.pidfd_open(child.pid)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(self._stop_event.fileno(), select.POLLIN)
        was_set = _ClockSet()
        poll.register(was_set.fileno(), select.POLLIN)
        unwell_since: float | None = time.monotonic()
        ready = False
        ahead_s = _ahead_s()
        try:
            while True:
                woken = poll.poll((POLL_HEALTHY_S if ready else POLL_STARTING_S) * 1000)
                if any(one != was_set.fileno() for one, _ in woken):
                    return ""
                was_set.arm()
                back_s, ahead_s = ahead_s - _ahead_s(), _ahead_s()
                if back_s > CLOCK_BACK_S and self.process.restart_when_set_back:
                    return f"saw the clock of the machine go back by {back_s:.0f} s"
                self._trim()
                problem = self._ask()
                now = time.monotonic()
                if not problem:
                    unwell_since, ready, self.was_ready = None, True, True
                    self._set("healthy", "")
                    continue
                unwell_since = now if unwell_since is None else unwell_since
                self._set("unwell" if ready else "starting", problem)
                limit_s = UNWELL_RESTART_S if ready else self.patience_s
                if now - unwell_since > limit_s and self.process.restart_when_unwell:
                    return f"did not answer for {limit_s:g} s"
        finally:
            os.close(descriptor)
            was_set.close()

    def _trim(self) -> None:
        logs.trim(self.log, keep_days=self.log_days)
        if self.process.dies_without_log:
            logs.reserve(self.log)

    def _ask(self) -> str:
        try:
            return self.process.healthy()
        except Exception as error:  # noqa: BLE001 - outermost loop; the watch must outlive any answer
            return f"{self.process.name} gave an answer that could not be read ({type(error).__name__})."

    def _set(self, state: str, problem: str) -> None:
        if (state, problem) != (self.status.state, self.status.problem):
            if state != self.status.state:
                self.status.since = clock.epoch_s()
            self.status.state, self.status.problem = state, problem
            self._changed()


def _ahead_s() -> float:
    """The clock that people set, before the one that nobody can set."""
    return clock.epoch() - time.monotonic()


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by signal {-code}"
    return f"ended with status {code}"
