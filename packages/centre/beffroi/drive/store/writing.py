"""What a change of a collectivité's metadata is made with: readings, one consistent picture, and the group's own view.

Purpose: a change gets a ``Writing``: statements, numbers, and what its group has decided and the tables do not hold
         yet: etags and sizes of folders are brought up once a group, room is judged with what the others take.
Process: every one that opens metadata. A ``Writing`` is used by one thread at a time.
Source:  docs/internals/drive.md, "Metadata".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, LiteralString, Protocol

from beffroi.drive.store import room, weights
from beffroi.drive.store.model import NO_LIMIT, NOTHING, Limits, Weight

MOST_REMEMBERED = 64
"""Rows of one picture; long walks ask for each but once."""
Row = tuple[Any, ...]
_NOT_A_ROW = frozenset({"SUM", "COUNT", "MAX", "MIN", "COALESCE", "JOIN", "ORDER", "EXISTS"})


class GroupLost(Exception):
    """A change failed, and its transaction with it; the cause says how."""


class Reading(Protocol):
    """One consistent picture. SQL is constant text with ``?``; values travel as parameters."""

    def one(self, sql: LiteralString, parameters: Sequence[object] = ()) -> Row | None: ...
    def all(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[Row]: ...


class Statements(Reading, Protocol):
    """What a change says to the database."""

    def run(self, sql: LiteralString, parameters: Sequence[object] = ()) -> int:
        """Return how many rows it changed."""

    def many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None: ...


class Session(Statements, Protocol):
    """One connection of a backend."""

    def begin(self, *, is_patient: bool = True) -> bool:
        """As the only writer of this collectivité. False, where not ``is_patient``: another process is that now."""

    def commit(self) -> None:
        """Others see it, and the next group may begin; it may not be on the disk yet."""

    def flush(self) -> None:
        """What was committed is on the disk. From any thread. Errors: StoreFull, Unavailable: it may be lost."""

    def rollback(self) -> None: ...


class Picture:
    """A ``Reading`` of what does not change meanwhile: a row that is asked for again comes from memory. A request asks
    for the same folders several times: where it leads, whether it may, whether there is room."""

    def __init__(self, on: Reading) -> None:
        self._on, self.all = on, on.all
        self._rows: dict[str, dict[tuple[object, ...], Row]] = {}
        self._absent: dict[str, set[tuple[object, ...]]] = {}

    def one(self, sql: LiteralString, parameters: Sequence[object] = ()) -> Row | None:
        key, rows = tuple(parameters), self._rows.get(sql)
        if rows is None:
            rows, self._absent[sql] = self._rows.setdefault(sql, {}), set()
        found = rows.get(key)
        if found is not None or key in (absent := self._absent[sql]):
            return found
        found = self._on.one(sql, parameters)
        if len(rows) + len(absent) < MOST_REMEMBERED:
            if found is None:
                absent.add(key)
            else:
                rows[key] = found
        return found

    def forget(self) -> None:
        self._rows.clear()
        self._absent.clear()


class Writing(Picture):
    """What a change may do. It belongs to one group; only the group's thread uses it."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        found = self.one("SELECT value FROM meta WHERE name = 'number'")
        assert found is not None, "prepared"
        self._number = self._kept = int(found[0])
        self._grown: dict[int, Weight] = {}
        self._mine: dict[int, Weight] = {}
        self._heard: set[int] = set()
        self._mine_heard: set[int] = set()
        self._is_replaced = False
        self._rooms: dict[int, tuple[room.Use, int, int]] = {}
        self._roots: dict[int, int] = {}
        self.has_locks = self.one("SELECT 1 FROM dav_lock LIMIT 1") is not None
        self.heeds_locks = True
        self.has_limits = self.one("SELECT 1 FROM quota LIMIT 1") is not None or room.usual(self) != Limits()
        self.seals: Any = None
        """What ``seals`` read of this group, None where it was not asked, or must look again."""
        self.touched_roots: set[int] = set()

    def run(self, sql: LiteralString, parameters: Sequence[object] = ()) -> int:
        """Return how many rows it changed."""
        self._forget(sql)
        return self._session.run(sql, parameters)

    def many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        self._forget(sql)
        self._session.many(sql, rows)

    def _forget(self, sql: str) -> None:
        """What a statement may change of what is remembered. The files of a group lie in one folder, mostly, which is
        looked up once."""
        table, only_adds = _written(sql)
        for asked, rows in self._rows.items():
            words, is_one_row = _read(asked)
            if table and table not in words:
                continue
            self._absent[asked].clear()
            if not (only_adds and is_one_row):  # another row leaves those that there were as they are
                rows.clear()

    def number(self) -> int:
        """The next number: an identifier, an etag."""
        self._number += 1
        return self._number

    def touch(self, folder: int, grown: Weight = NOTHING) -> None:
        """Something in this folder changed; what is in it grew by so much."""
        self._mine_heard.add(folder)
        self._mine[folder] = self._mine.get(folder, NOTHING).plus(grown)

    def weigh(self, folder: int, grown: Weight) -> None:
        """As ``touch``, of what no client hears of: versions."""
        self._mine[folder] = self._mine.get(folder, NOTHING).plus(grown)

    def moved(self) -> None:
        """A folder may lie below another root now."""
        self._roots.clear()

    def begin_anew(self, number: int) -> None:
        """Everything was replaced by a picture of an earlier moment; the next number is above this one."""
        self._number, self._is_replaced = number, True
        self._mine, self._mine_heard = {}, set()
        self._roots.clear()
        self._rooms.clear()
        self.has_limits = self.has_locks = True
        self.seals = None

    def root_of(self, folder: int) -> int:
        """The root above a folder; 0 for one that is not there."""
        above = folder
        while row := self.one("SELECT parent FROM node WHERE id = ?", (above,)):
            if not row[0]:
                return above
            above = row[0]
        return 0

    def growing(self, root: int) -> Weight:
        """Growth below a root (0: of all) that this group has decided, and the tables do not hold yet."""
        grown = NOTHING
        for folder, one in chain(self._grown.items(), self._mine.items()):
            if root and folder not in self._roots:
                self._roots[folder] = self.root_of(folder)
            if not root or self._roots[folder] == root:
                grown = grown.plus(one)
        return grown

    def growing_below(self, top: int) -> Weight:
        """The same of one folder, with all below it."""
        grown = NOTHING
        for folder, one in chain(self._grown.items(), self._mine.items()):
            above = folder
            while above and above != top:
                row = self.one("SELECT parent FROM node WHERE id = ?", (above,))
                above = row[0] if row else 0
            grown = grown.plus(one) if above else grown
        return grown

    def kept_room(self, place: int) -> tuple[room.Use, int, int]:
        """What the tables say of a root or of all (0): what it holds, how much it may, and how many entries. Looked up
        once a group: what the group adds is ``growing``."""
        found = self._rooms.get(place)
        if found is None:
            entries = room.usual(self).entries if place == room.WHOLE else NO_LIMIT
            found = self._rooms[place] = room.use(self, place), room.limit(self, place), entries
        return found

    def forget_rooms(self) -> None:
        """A limit changed, or what lies beside the tree."""
        self._rooms.clear()

    @contextmanager
    def beyond_room(self) -> Iterator[None]:
        """Within it nothing is refused for lack of room: of what lies here already, as versions, nothing more comes
        onto the disk."""
        before, self.has_limits = self.has_limits, False
        try:
            yield
        finally:
            self.has_limits = before

    @contextmanager
    def beyond_locks(self) -> Iterator[None]:
        """Within it no lock hinders; it ends as with any move, and else stays with who has it."""
        self.heeds_locks = False
        try:
            yield
        finally:
            self.heeds_locks = True

    def apart[T](self, change: Callable[[Writing], T]) -> T:
        """Make one change of the group: whole or not at all. Errors: those of ``change``, GroupLost."""
        self._session.run("SAVEPOINT change")
        self._mine, self._mine_heard, self._is_replaced = {}, set(), False
        try:
            result = change(self)
        except BaseException:
            self.forget()
            try:
                self._session.run("ROLLBACK TO SAVEPOINT change")
                self._session.run("RELEASE SAVEPOINT change")
            except Exception as lost:
                raise GroupLost from lost
            self._mine, self._mine_heard = {}, set()
            self._roots.clear()  # it may have moved folders that are back now
            self._rooms.clear()
            self.seals = None
            raise
        self._session.run("RELEASE SAVEPOINT change")
        if self._is_replaced:  # what the group did before is gone, and so is its growth
            self._grown, self._heard = {}, set()
            self.forget()
        for folder, grown in self._mine.items():
            self._grown[folder] = self._grown.get(folder, NOTHING).plus(grown)
        self._heard |= self._mine_heard
        self._mine, self._mine_heard = {}, set()
        return result

    def settle(self) -> None:
        """Bring up etags and sizes from the changed folders to their roots; each folder once."""
        parents: dict[int, int] = {}
        for folder in self._grown:
            above = folder
            while above and above not in parents:
                row = self.one("SELECT parent FROM node WHERE id = ?", (above,))
                if row is None:
                    break
                parents[above] = above = row[0]
        grown = dict.fromkeys(parents, NOTHING)
        told: set[int] = set()
        for folder, one in self._grown.items():
            above = folder
            while above in parents:
                grown[above] = grown[above].plus(one)
                if folder in self._heard:
                    told.add(above)
                above = parents[above]
        self.many(
            "UPDATE node SET etag = ?, size_bytes = size_bytes + ? WHERE id = ?",
            [(self.number(), grown[folder].size_bytes, folder) for folder in told],
        )
        weights.add(self, grown)
        self.touched_roots = {folder for folder in told if not parents[folder]}
        if self._number != self._kept:
            self.run("UPDATE meta SET value = ? WHERE name = 'number'", (str(self._number),))


def _words(sql: str) -> list[str]:
    return re.findall(r"\w+", sql)


@lru_cache(1024)
def _read(sql: str) -> tuple[frozenset[str], bool]:
    """(its words, among them all tables that it reads; whether the answer is a row as it stands: nothing that sums,
    joins or chooses among several)."""
    words = _words(sql)
    is_plain = _NOT_A_ROW.isdisjoint(words) and words.count("SELECT") == 1
    return frozenset(words), is_plain


@lru_cache(1024)
def _written(sql: str) -> tuple[str, bool]:
    """(the table, "" for any; whether it only gets new rows)."""
    match _words(sql):
        case ["INSERT", "INTO", table, *rest]:
            return table, "CONFLICT" not in rest
        case ["UPDATE", table, *_] | ["DELETE", "FROM", table, *_]:
            return table, False
    return "", False
