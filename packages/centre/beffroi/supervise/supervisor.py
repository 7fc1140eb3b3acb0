"""Start all processes, watch them, stop them: what `./beffroi up` becomes once everything is prepared.

Purpose: one Keeper a process; the status file; the end of all on SIGINT, SIGTERM or SIGHUP, bounded in time.
Process: supervisor; root in production (it starts engines that drop privileges by themselves).
Hostile: nothing reaches it from the network; it reads only its own files.
Fails:   a process that will not start at first ends the start as a whole (nothing half-started); one that dies
         later is started again, and the rest goes on. If the supervisor is killed, mail and pages go on, and the
         next start ends what is left by its recorded number and start time.
Source:  docs/internals/supervisor.md.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from beffroi.lib import clock, clock_steps
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.process import Process
from beffroi.supervise import children, status
from beffroi.supervise.keeper import Keeper, StopEvent

FAILED_STARTS = 3
FULL_BYTES = 8 * 2**20
STATUS_EVERY_S = 10.0
KEEP_UP_EVERY_S = 3600.0
_LOG_LINES = 4


class StartFailed(BeffroiError):
    """{} will not start: {} {}"""

    code = "supervise.start_failed"


class Supervisor:
    """Use: ``start()``, ``wait_ready()``, ``wait()``, ``stop()``; the caller holds the Lock."""

    def __init__(
        self,
        config: Config,
        processes: Sequence[Process],
        *,
        say: Callable[[str], None],
        addresses: dict[str, str] | None = None,
    ) -> None:
        self._config = config
        self._say = say
        self._stop = StopEvent()
        self._asked_to_end: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._write_lock = threading.Lock()
        self.keepers = [
            Keeper(
                process,
                log=config.log / f"{process.name}.log",
                log_days=config.log_days,
                stop=self._stop,
                changed=self.write_status,
                say=say,
            )
            for process in processes
        ]
        self.status = status.CentreStatus(
            os.getpid(), str(config.state), clock.epoch_s(), addresses=addresses or {}
        )
        self.status.processes = [keeper.status for keeper in self.keepers]

    def start(self) -> None:
        config = self._config
        config.log.mkdir(parents=True, exist_ok=True)
        config.run.mkdir(parents=True, exist_ok=True)
        status.ready_path(config).unlink(missing_ok=True)
        ended = children.end_leftovers(self._records_path)
        if ended:
            self._say(f"ended what an earlier run had left: {', '.join(ended)}.")
        self.write_status()
        for keeper in self.keepers:
            keeper.start()

    def wait_ready(self) -> bool:
        """Wait until all are healthy; each has its start_timeout_s, doubled. False if the end was asked for.

        Errors: StartFailed.
        """
        began = time.monotonic()
        while not self._ends_within(0.1):
            waiting = [keeper for keeper in self.keepers if keeper.status.state != "healthy"]
            if not waiting:
                self.status.ready = True
                self.write_status()
                status.write(
                    status.ready_path(self._config),
                    self.status,
                    draft_directory=status.directory(self._config),
                )
                return True
            self._refuse_failed(waiting, elapsed_s=time.monotonic() - began)
        return False

    def _refuse_failed(self, waiting: list[Keeper], *, elapsed_s: float) -> None:
        new = [keeper for keeper in waiting if not keeper.was_ready]
        failed = [keeper for keeper in new if keeper.status.restarts >= FAILED_STARTS]
        # Rows stand in the order of need: the first that waits is the cause, a later one may only show it.
        late = new if any(elapsed_s > keeper.patience_s for keeper in new) else []
        for keeper in (failed or late)[:1]:
            problem = keeper.status.problem or "it ended again and again."
            if shutil.disk_usage(self._config.state).free < FULL_BYTES:
                problem += f" The disk of {self._config.state} is full: free some space first."
            raise StartFailed(
                keeper.process.name, problem, f"{keeper.process.advice}\n{self._last_lines(keeper)}"
            )

    def wait(self, keep_up: Callable[[], list[str]]) -> None:
        """Until the end is asked for. ``keep_up``: done each hour; returns what a person should know."""
        done = time.monotonic()
        while not self._ends_within(STATUS_EVERY_S):
            if time.monotonic() - done >= KEEP_UP_EVERY_S:
                done = time.monotonic()
                try:
                    self.status.notices = keep_up()
                except Exception as error:  # noqa: BLE001 - outermost loop; the next hour tries again
                    self._say(f"hourly work failed: {error}")
            with contextlib.suppress(OSError):
                clock_steps.look(self._config)
            self.write_status()

    def stop(self) -> None:
        """Stop all at once and wait; each takes at most its own stop_timeout_s. Nobody is left after this."""
        self.status.stopping, self.status.ready = True, False
        self._stop.set()
        children.forget(status.ready_path(self._config))
        for keeper in self.keepers:
            if keeper.is_alive():
                keeper.join(keeper.process.stop_timeout_s + 15)
        self.write_status()
        children.forget(self._records_path)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP ask for the end while the block runs."""

        def asked(_number: int, _frame: FrameType | None) -> None:
            self._asked_to_end.put(0)

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, asked) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ends_within(self, timeout_s: float) -> bool:
        """Whether the end was asked for, waiting for it. No event: a handler's ``set`` would wait for ever for the lock
        that ``wait`` holds for a moment, in the same thread."""
        try:
            self._asked_to_end.put(self._asked_to_end.get(timeout=timeout_s))
        except queue.Empty:
            return False
        return True

    @property
    def _records_path(self) -> Path:
        return status.directory(self._config) / "children.json"

    def write_status(self) -> None:
        # A full disk must not stop the watch: the next change tries again.
        with self._write_lock, contextlib.suppress(OSError):
            self.status.written_at = clock.epoch_s()
            folder = status.directory(self._config)
            records = [keeper.record for keeper in self.keepers if keeper.record]
            if records:
                children.write_records(folder / "children.json", records)
            status.write(status.status_path(self._config), self.status, draft_directory=folder)

    def _last_lines(self, keeper: Keeper) -> str:
        try:
            lines = keeper.log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        except OSError:
            return ""
        return "\n".join(f"    {line[:200]}" for line in lines)


def stop_running(config: Config, *, timeout_s: float = 60) -> bool:
    """Ask the supervisor of a state directory to stop, wait for it; False if it did not end in time."""
    pid = status.running_pid(config)
    if not pid:
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while status.running_pid(config):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
