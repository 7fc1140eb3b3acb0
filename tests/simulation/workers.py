"""Seeds on all processors; what a seed does to its process is the failure of that seed alone.

Process: the run's own, and one worker a processor, forked; each plays one seed at a time and answers by a pipe.
Fails:   a seed that takes longer than ``limit_s``, that forks, or that ends its worker fails, and the run goes on, with
         a new worker if need be. KeyboardInterrupt ends the run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

LIMIT_S = 120.0
"""Seconds for one seed, by any clock on the wall: thousands of times what one takes."""
AGAIN_S = 5.0
DEAF_S = 30.0
"""So much later a worker is killed that even the alarm did not reach."""

_context = multiprocessing.get_context("fork")
_children_forbidden = False


class TookTooLong(BaseException):
    """No code that is played may swallow it."""


class Forked(BaseException):
    """A seed began a process."""


@contextmanager
def limited(limit_s: float) -> Iterator[None]:
    """Raise TookTooLong in this block after ``limit_s`` seconds, and Forked where it begins a process.

    Only in a main thread: there alone Python runs what a signal asks."""

    def ring(*_: object) -> None:
        raise TookTooLong(f"more than {limit_s:g} s")

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with _no_children():
            signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _no_children() -> Iterator[None]:
    global _children_forbidden  # noqa: PLW0603 - a hook of the interpreter is there for good, so it asks
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_refuse_children)
    _children_forbidden = True
    try:
        yield
    finally:
        _children_forbidden = False


_hooked: list[bool] = []


def _refuse_children(event: str, _: object) -> None:
    if _children_forbidden and event in {"os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"}:
        raise Forked(event)


@dataclass(eq=False)
class _Worker:
    """``deadline``: of time.monotonic; ``seed``: None while it waits for one."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    seed: int | None = None
    deadline: float = 0.0

    def give(self, seed: int, limit_s: float) -> None:
        self.seed, self.deadline = seed, time.monotonic() + limit_s + DEAF_S
        self.pipe.send(seed)

    def end(self) -> int:
        """Return its exit code as multiprocessing gives it: a negative one is a signal's number."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode or 0


def spread[R](
    play: Callable[[int], R],
    lost: Callable[[int, str], R],
    seeds: Iterable[int],
    *,
    processes: int | None,
    limit_s: float,
) -> Iterator[R]:
    """Yield what ``play`` returns for each seed, in the order of their ends; ``lost(seed, why)`` where it never did.

    Errors: KeyboardInterrupt, also one that a worker met."""
    waiting = iter(seeds)
    workers: list[_Worker] = []

    def give(worker: _Worker) -> None:
        seed = next(waiting, None)
        if seed is None:
            workers.remove(worker)
            worker.end()
        else:
            worker.give(seed, limit_s)

    def replace(worker: _Worker) -> None:
        workers.remove(worker)
        workers.append(new := _begin(play, workers))
        give(new)

    try:
        for _ in range(processes or os.cpu_count() or 1):
            workers.append(_begin(play, workers))
        for worker in list(workers):
            give(worker)
        while workers:
            soonest = min(w.deadline for w in workers)
            ready = wait([w.pipe for w in workers], max(0.0, soonest - time.monotonic()))
            for worker in [w for w in workers if w.pipe in ready or w.deadline <= time.monotonic()]:
                seed = worker.seed
                assert seed is not None
                why = ""
                try:
                    if worker.pipe in ready:
                        answer = worker.pipe.recv()
                    else:
                        worker.end()
                        why = f"its worker did not hear the alarm after {limit_s:g} s and was killed"
                except (EOFError, OSError):
                    worker.process.join(AGAIN_S)
                    why = f"its worker ended: exit code {worker.end()}"
                if why:
                    answer = lost(seed, why)
                    replace(worker)
                elif isinstance(answer, KeyboardInterrupt):
                    raise answer
                else:
                    give(worker)
                yield answer
    finally:
        for worker in workers:
            worker.end()


def _begin[R](play: Callable[[int], R], others: list[_Worker]) -> _Worker:
    ours, theirs = _context.Pipe()
    process = _context.Process(
        target=_serve, args=(play, theirs, [ours, *(w.pipe for w in others)]), daemon=True
    )
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve[R](play: Callable[[int], R], pipe: Connection, inherited: list[Connection]) -> None:
    for other in inherited:  # else no end of a pipe would ever be noticed
        other.close()
    try:
        while True:
            pipe.send(play(pipe.recv()))
    except EOFError:
        return  # the run is over
    except KeyboardInterrupt as interrupt:
        pipe.send(interrupt)
