"""Metadata of one collectivité behind one interface, and grouped commits: many changes, one flush of the disk.

Purpose: ``Database.write`` queues a function that changes something; one thread at a time takes up to ``MOST_GROUPED``
         of them into one transaction. Each has a savepoint of its own, so that one that fails takes no other along.
         Etags and sizes of all folders above are brought up once a transaction.
Process: drive and web; any thread may call.
Fails:   closed: a result is given after the commit; a commit that fails fails all of its group.
Source:  docs/internals/drive.md, "Metadata"; the measured gain of grouping in docs/decisions.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from queue import Empty, SimpleQueue
from typing import Any, LiteralString, Protocol

from beffroi.drive.store import schema
from beffroi.lib.errors import BeffroiError

MOST_GROUPED = 256
MOST_REMEMBERED = 64
"""Rows of one picture; long walks ask for each but once."""
log = logging.getLogger("beffroi.drive")
Row = tuple[Any, ...]


class FormatUnknown(BeffroiError):
    """The drive's data are of format {}, which is newer than this program; install the release that wrote them."""

    code = "drive.format_unknown"


class Reading(Protocol):
    """One consistent picture. SQL is constant text with ``?``; values travel as parameters."""

    def one(self, sql: LiteralString, parameters: Sequence[object] = ()) -> Row | None: ...
    def all(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[Row]: ...


class Session(Reading, Protocol):
    """One connection of a backend."""

    def run(self, sql: LiteralString, parameters: Sequence[object] = ()) -> int:
        """Return how many rows it changed."""

    def many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None: ...
    def begin(self) -> None:
        """As the only writer of this collectivité."""

    def commit(self) -> None: ...
    def rollback(self) -> None: ...


class Picture:
    """A ``Reading`` of what does not change meanwhile: a row that is asked for again comes from memory. A request asks
    for the same folders several times: where it leads, whether it may, whether there is room."""

    def __init__(self, on: Reading) -> None:
        self._on, self.all = on, on.all
        self._told: dict[tuple[object, ...], Row | None] = {}

    def one(self, sql: LiteralString, parameters: Sequence[object] = ()) -> Row | None:
        key = (sql, *parameters)
        if key in self._told:
            return self._told[key]
        found = self._on.one(sql, parameters)
        if len(self._told) < MOST_REMEMBERED:
            self._told[key] = found
        return found


class Writing(Picture):
    """What a change may do. It belongs to one group; only the group's thread uses it."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        found = self.one("SELECT value FROM meta WHERE name = 'number'")
        assert found is not None, "prepared"
        self._number = self._kept = int(found[0])
        self._grown: dict[int, int] = {}
        self._mine: dict[int, int] = {}
        self._roots: dict[int, int] = {}
        self.has_locks = self.one("SELECT 1 FROM dav_lock LIMIT 1") is not None
        self.has_limits = self.one("SELECT 1 FROM quota LIMIT 1") is not None
        self.touched_roots: set[int] = set()

    def run(self, sql: LiteralString, parameters: Sequence[object] = ()) -> int:
        """Return how many rows it changed."""
        self._told.clear()
        return self._session.run(sql, parameters)

    def many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        self._told.clear()
        self._session.many(sql, rows)

    def number(self) -> int:
        """The next number: an identifier, an etag."""
        self._number += 1
        return self._number

    def touch(self, folder: int, grown_bytes: int = 0) -> None:
        """Something in this folder changed; all files in it together grew by so much."""
        self._mine[folder] = self._mine.get(folder, 0) + grown_bytes

    def moved(self) -> None:
        """A folder may lie below another root now."""
        self._roots.clear()

    def root_of(self, folder: int) -> int:
        """The root above a folder; 0 for one that is not there."""
        above = folder
        while row := self.one("SELECT parent FROM node WHERE id = ?", (above,)):
            if not row[0]:
                return above
            above = row[0]
        return 0

    def growing_bytes(self, root: int) -> int:
        """Growth below a root (0: of all) that this group has decided, and the tables do not hold yet."""
        grown = 0
        for folders in (self._grown, self._mine):
            if not root:
                grown += sum(folders.values())
                continue
            for folder, size in folders.items():
                if folder not in self._roots:
                    self._roots[folder] = self.root_of(folder)
                grown += size if self._roots[folder] == root else 0
        return grown

    @contextmanager
    def apart(self) -> Iterator[None]:
        """One change of the group: whole or not at all."""
        self._session.run("SAVEPOINT change")
        self._mine = {}
        try:
            yield
        except BaseException:
            self.run("ROLLBACK TO SAVEPOINT change")
            self._mine = {}
            self._roots.clear()  # it may have moved folders that are back now
            raise
        finally:
            self._session.run("RELEASE SAVEPOINT change")
        for folder, grown in self._mine.items():
            self._grown[folder] = self._grown.get(folder, 0) + grown
        self._mine = {}

    def settle(self) -> None:
        """Bring up etags and sizes from the changed folders to their roots; each folder once."""
        levels: dict[int, tuple[int, int]] = {}
        wanted = set(self._grown)
        while wanted:
            for folder in list(wanted):
                row = self.one("SELECT parent FROM node WHERE id = ?", (folder,))
                wanted.discard(folder)
                if row is not None and folder not in levels:
                    levels[folder] = (row[0], 0)
                    if row[0]:
                        wanted.add(row[0])
        grown = dict.fromkeys(levels, 0)
        for folder, size in self._grown.items():
            above = folder
            while above in levels:
                grown[above] += size
                above = levels[above][0]
        self.many(
            "UPDATE node SET etag = ?, size_bytes = size_bytes + ? WHERE id = ?",
            [(self.number(), size, folder) for folder, size in grown.items()],
        )
        self.touched_roots = {folder for folder, (parent, _) in levels.items() if not parent}
        if self._number != self._kept:
            self.run("UPDATE meta SET value = ? WHERE name = 'number'", (str(self._number),))


class Database(ABC):
    """The metadata of one collectivité."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._queue: SimpleQueue[tuple[Callable[[Writing], Any], Future[Any]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._at_work = False
        self._readers_at_work = 0
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

    @abstractmethod
    def _said(self, error: Exception) -> Exception:
        """A backend's error in our words (StoreFull, Unavailable), or as it is."""

    def is_idle(self) -> bool:
        """Nothing is queued, written or read: it may be closed."""
        with self._lock:
            return not self._at_work and not self._readers_at_work

    def submit[T](self, change: Callable[[Writing], T]) -> Future[T]:
        """Queue a change; its result is there once it is on disk. Errors in the result: those of ``change``, StoreFull,
        Unavailable."""
        future: Future[T] = Future()
        self._queue.put((change, future))
        with self._lock:
            start, self._at_work = not self._at_work, True
        if start:
            self._executor.submit(self._work)
        return future

    def write[T](self, change: Callable[[Writing], T]) -> T:
        """As ``submit``, for a thread that waits."""
        return self.submit(change).result()

    async def write_async[T](self, change: Callable[[Writing], T]) -> T:
        return await asyncio.wrap_future(self.submit(change))

    def _work(self) -> None:
        """One group, then to the end of the executor's queue: a busy collectivité keeps no thread from the others."""
        while True:
            group = self._taken()
            if group:
                self._commit(group)
            with self._lock:
                self._at_work = not self._queue.empty()
            if not self._at_work:
                return
            try:
                self._executor.submit(self._work)
            except RuntimeError:  # it takes no more work, but what was queued here is still written
                continue
            return

    def _taken(self) -> list[tuple[Callable[[Writing], Any], Future[Any]]]:
        group: list[tuple[Callable[[Writing], Any], Future[Any]]] = []
        try:
            while len(group) < MOST_GROUPED:
                change, future = self._queue.get_nowait()
                # A caller that is gone wants no change; from here on nobody can cancel, and the answer finds its place.
                if future.set_running_or_notify_cancel():
                    group.append((change, future))
        except Empty:
            pass
        return group

    def _commit(self, group: list[tuple[Callable[[Writing], Any], Future[Any]]]) -> None:
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        writing: Writing | None = None
        try:
            session = self._session()
            session.begin()
            try:
                writing = Writing(session)
                for change, future in group:
                    answers.append((future, *self._tried(writing, change)))
                writing.settle()
                session.commit()
            except BaseException:
                session.rollback()
                raise
        except Exception as error:  # noqa: BLE001 - each of the group is told; the thread is the pool's
            said = self._said(error)
            answers = [(future, None, said) for _, future in group]
            writing = None
        for future, result, failed in answers:
            if failed is not None:
                future.set_exception(failed)
            else:
                future.set_result(result)
        if writing is not None and writing.touched_roots:
            try:
                self.on_change(writing.touched_roots)
            except Exception:
                log.exception("told nobody of a change of the drive")

    def _tried(self, writing: Writing, change: Callable[[Writing], Any]) -> tuple[Any, BaseException | None]:
        """Errors: those of the database, which end the whole group."""
        try:
            with writing.apart():
                return change(writing), None
        except Exception as error:
            if self._said(error) is not error:
                raise
            return None, error


def prepare(session: Session, *, bytes_type: LiteralString, key_type: LiteralString) -> None:
    """Make the tables, or bring them forward. Errors: FormatUnknown."""
    for statement in schema.TABLES:
        session.run(statement.replace("{bytes}", bytes_type).replace("{key}", key_type))
    found = session.one("SELECT value FROM meta WHERE name = 'format'")
    if found is None:
        session.many(
            "INSERT INTO meta (name, value) VALUES (?, ?)",
            [("format", str(schema.FORMAT)), ("number", "0"), ("fingerprint", "")],
        )
    elif int(found[0]) > schema.FORMAT:
        raise FormatUnknown(found[0])
