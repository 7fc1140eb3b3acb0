"""Metadata of one collectivité behind one interface, and grouped commits: many changes, one flush of the disk.

Purpose: ``Database.write`` queues a function that changes something; one thread at a time takes up to ``MOST_GROUPED``
         of them into one transaction. Each has a savepoint of its own, so that one that fails takes no other along.
         Etags and sizes of all folders above are brought up once a transaction. A group of quick changes is made and
         committed in the event loop that asked for them, and a thread only waits for the disk: two threads that hand
         each other the interpreter's lock at each statement cost more than the statements. The next group is made while
         it waits.
Process: drive and web; any thread may call.
Fails:   closed: a result is given when it is on the disk; a commit or a flush that fails fails all of its group.
Source:  docs/internals/drive.md, "Metadata"; the measured gain of grouping in docs/decisions.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from beffroi.drive.store.model import Limits
from beffroi.drive.store.writing import GroupLost, Reading, Session, Writing
from beffroi.lib.errors import Unavailable

BUSY_S = 20.0
"""So long a writer waits while another process writes; then its group is Unavailable."""
MOST_GROUPED = 256
MOST_IN_LOOP = 64
"""Some milliseconds, in which the event loop serves nobody else."""
GATHERING_TURNS = 10
"""Of the event loop, before it makes a group while others ask, too: who was just answered asks again, and a change in
company costs less than one alone."""
log = logging.getLogger("beffroi.drive")


class MetadataMissing(Unavailable):
    """The metadata of {} are gone, and its keys are not. Next: docs/runbooks/restore-drive.md"""

    code = "drive.metadata_missing"
    retryable = False


class _Asked(NamedTuple):
    """A change in the queue. ``future``: of a thread that waits, or of an event loop."""

    change: Callable[[Writing], Any]
    future: Future[Any] | asyncio.Future[Any]
    is_quick: bool

    def is_wanted(self) -> bool:
        """Whether its caller is still there: who is gone wants no change. Asked once, before it is made."""
        if isinstance(self.future, Future):
            return self.future.set_running_or_notify_cancel()
        return not self.future.cancelled()


class _Answer(NamedTuple):
    future: Future[Any] | asyncio.Future[Any]
    result: Any
    error: BaseException | None

    def give(self) -> None:
        if self.future.cancelled():
            return  # it was made all the same
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _Changed(NamedTuple):
    """A group that was made. ``session``: to be flushed; None where nothing was done."""

    session: Session | None
    answers: Sequence[_Answer]
    touched_roots: set[int]


def elsewhere(executor: Executor, work: Callable[..., object], *arguments: object) -> None:
    """In a thread: it may wait for the disk; here, where none takes any more work and the process ends."""
    try:
        executor.submit(work, *arguments)
    except RuntimeError:
        work(*arguments)


def _tell(answers: Sequence[_Answer]) -> None:
    """From the thread that committed: an event loop is woken once a group."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for one in answers:
        if isinstance(one.future, asyncio.Future):
            by_loop.setdefault(one.future.get_loop(), []).append(one)
        else:
            one.give()
    for loop, its_own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_give, its_own)
        except RuntimeError:
            pass  # it is closed, and nobody waits there


def _give(answers: Sequence[_Answer]) -> None:
    for one in answers:
        one.give()


class Database(ABC):
    """The metadata of one collectivité."""

    IS_LOCAL = False
    """Whether a statement costs less than handing it to a thread."""

    def __init__(self, executor: Executor, usual: Limits | None = None) -> None:
        """``usual``: the limits of the settings; None where they stay as they are."""
        self._executor, self._usual = executor, usual
        self._queue: SimpleQueue[_Asked] = SimpleQueue()
        self._lock = threading.Lock()
        self._slow = 0
        """Changes in the queue that are not quick."""
        self._is_at_work = False
        self._called: asyncio.AbstractEventLoop | None = None
        """The event loop that is to make the next group, and has not begun."""
        self._readers_at_work = 0
        self._flushing = 0
        """Groups that are committed, and not told yet."""
        self._was_company = False
        """The last group in the event loop was of more than one."""
        self._is_behind = False
        """A thread is to make the next group: ``_catch_up`` has to follow."""
        self.on_change: Callable[[set[int]], object] = lambda roots: None
        """Called after a commit with the roots in which something changed; in the group's thread."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Reading]:
        """A picture that no writer disturbs, and that disturbs none."""

    @abstractmethod
    def _session(self) -> Session:
        """The writer's connection, always the same."""

    @abstractmethod
    def close(self) -> None:
        """Give its connections back. Used again, it opens new ones: whoever still held it loses nothing."""

    def rest(self) -> Callable[[], None] | None:
        """Let its connections go; return what closes them, which may wait for the disk. None where something is
        queued, written or read: nothing is let go then."""
        with self._lock:
            is_asked = self._is_at_work or self._called is not None
            is_used = is_asked or self._readers_at_work or self._flushing
            return None if is_used else self._let_go()

    @abstractmethod
    def _let_go(self) -> Callable[[], None]:
        """Of ``rest`` and ``close``, under the lock."""

    @abstractmethod
    def _tidy(self) -> None:
        """What a backend does after a group was told, in its thread, while others are made. Raises nothing."""

    @abstractmethod
    def _catch_up(self) -> None:
        """The same between two groups, where ``_tidy`` said ``_is_behind``."""

    @abstractmethod
    def _said(self, error: Exception) -> Exception:
        """A backend's error in our words (StoreFull, Unavailable), or as it is."""

    def submit[T](self, change: Callable[[Writing], T]) -> Future[T]:
        """Queue a change; its result is there once it is on disk. Errors in the result: those of ``change``, StoreFull,
        Unavailable."""
        future: Future[T] = Future()
        self._ask(_Asked(change, future, is_quick=False))
        return future

    def write[T](self, change: Callable[[Writing], T]) -> T:
        """As ``submit``, for a thread that waits."""
        return self.submit(change).result()

    def write_portions(self, portion: Callable[[Writing], bool]) -> None:
        """A change after the other until it returns False: others write between them."""
        while self.write(portion):
            pass

    async def write_async[T](self, change: Callable[[Writing], T], *, is_quick: bool = False) -> T:
        """``is_quick``: a few statements, whatever lies in the drive; it may be made in the event loop."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._ask(_Asked(change, future, is_quick=is_quick and self.IS_LOCAL))
        return await future

    # -- who makes the next group ----------------------------------------------------------------------------

    def _ask(self, asked: _Asked) -> None:
        self._queue.put(asked)
        with self._lock:
            self._slow += not asked.is_quick
            is_called = self._called is not None and not self._called.is_closed()
            if self._is_at_work or (is_called and asked.is_quick):
                return
            # A loop that was called and has not begun loses the group to a thread: perhaps it waits for that thread.
            self._hand_on(asyncio.get_running_loop() if asked.is_quick else None)

    def _hand_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """``loop``: the event loop that is to make the next group; None for a thread. Holds ``_lock``.

        Errors: RuntimeError: no thread takes any more work."""
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._work_in_loop)
                self._called, self._is_at_work = loop, False
                return
            except RuntimeError:
                pass  # it is closed
        self._called, self._is_at_work = None, True
        self._executor.submit(self._work)

    def _go_on(self, group: Sequence[_Asked]) -> None:
        """A group ended. The next one waits for its turn: a busy collectivité keeps no thread from the others."""
        loops = (one.future.get_loop() for one in group if isinstance(one.future, asyncio.Future))
        with self._lock:
            if self._queue.empty():
                self._is_at_work = False
                return
            try:
                self._hand_on(next(loops, None) if not self._slow else None)
                return
            except RuntimeError:
                pass  # what was queued here is still written
        self._work()

    def _work(self) -> None:
        self._finish(self._taken(MOST_GROUPED))

    def _work_in_loop(self, turns: int = 0) -> None:
        with self._lock:
            if self._called is None:
                return
            if turns < GATHERING_TURNS and (self._flushing or self._was_company):
                self._called.call_soon(self._work_in_loop, turns + 1)
                return
            self._called, self._is_at_work = None, True
        group = self._taken(MOST_IN_LOOP)
        self._was_company = len(group) > 1
        is_quick = all(one.is_quick for one in group) and not self._is_behind
        changed = self._change(group, is_patient=False) if group and is_quick else None
        if changed is None:
            elsewhere(self._executor, self._finish, group)
            return
        self._go_on(group)
        elsewhere(self._executor, self._flush, group, changed)

    def _finish(self, group: Sequence[_Asked]) -> None:
        """Make a group, in a thread."""
        changed: _Changed | None = None
        try:
            if group:
                changed = self._change(group)
                if self._is_behind:
                    self._is_behind = False
                    self._catch_up()
        finally:
            self._go_on(group)
        if changed is not None:
            self._flush(group, changed)

    def _taken(self, most: int) -> list[_Asked]:
        group: list[_Asked] = []
        try:
            while len(group) < most:
                asked = self._queue.get_nowait()
                if not asked.is_quick:
                    with self._lock:
                        self._slow -= 1
                if asked.is_wanted():
                    group.append(asked)
        except Empty:
            pass
        return group

    # -- one group -------------------------------------------------------------------------------------------

    def _change(self, group: Sequence[_Asked], *, is_patient: bool = True) -> _Changed | None:
        """Make the changes of a group, on their way to the disk: ``_flush`` has to follow. None: another process
        writes, and nobody waited for it."""
        session: Session | None = None
        try:
            session = self._session()
            if not session.begin(is_patient=is_patient):
                return None
            writing = Writing(session)
            answers = [_Answer(one.future, *self._tried(writing, one.change)) for one in group]
            writing.settle()
            session.commit()
            changed = _Changed(session, answers, writing.touched_roots)
        except Exception as error:  # noqa: BLE001 - each of the group is told
            changed = self._lost(group, session, error)
        with self._lock:
            self._flushing += 1
        return changed

    def _flush(self, group: Sequence[_Asked], changed: _Changed) -> None:
        answers = changed.answers
        if changed.session is not None:
            try:
                changed.session.flush()
            except Exception as error:  # noqa: BLE001 - each of the group is told
                said = self._said(error)
                answers = [_Answer(one.future, None, said) for one in group]
        with self._lock:
            self._flushing -= 1
        _tell(answers)
        if changed.touched_roots:
            try:
                self.on_change(changed.touched_roots)
            except Exception:
                log.exception("told nobody of a change of the drive")
        if changed.session is not None:
            self._tidy()

    def _lost(self, group: Sequence[_Asked], session: Session | None, error: Exception) -> _Changed:
        """Nothing of a group was done."""
        if session is not None:
            with suppress(Exception):  # what broke it is told
                session.rollback()
        cause = error.__cause__ if isinstance(error, GroupLost) else error
        said = self._said(cause if isinstance(cause, Exception) else error)
        return _Changed(None, [_Answer(one.future, None, said) for one in group], set())

    def _tried(self, writing: Writing, change: Callable[[Writing], Any]) -> tuple[Any, BaseException | None]:
        """A change that fails, also by an error of the database, takes no other along. Errors: GroupLost."""
        try:
            return writing.apart(change), None
        except GroupLost:
            raise
        except Exception as error:  # noqa: BLE001 - who asked for the change is told
            return None, self._said(error)
