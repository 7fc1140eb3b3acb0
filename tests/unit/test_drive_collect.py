"""Collection never takes a chunk that a kept manifest names, wherever writers and it are stopped in between."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
from beffroi.drive.store import collect, look, refs, schema, trash, tree
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.model import Act, Content
from beffroi.drive.store.objects import StoreUnavailable, object_name
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.lib import clock
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.drive_trees import NOW_S, chunk_ids, packed, require_whole

LETTERS = st.sampled_from([b"a", b"a", b"a", b"ab"])  # few: writers and collection must meet
DAYS = st.sampled_from([0.02, 1.1, 1.1, 8.0])
DAY_S = 86400


class Memory:
    """Objects of one collectivité; a step of collection may be stopped before each deletion. ``stuck``: by their place
    among deletions, those that fail and that the service does later all the same."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.kept: dict[bytes, int] = {}
        self.left: int | None = None
        self.stuck: frozenset[int] = frozenset()
        self.asked = 0
        self.late: set[bytes] = set()

    def put(self, chunk_id: bytes) -> None:
        self.kept[chunk_id] = self.now_s

    def list(self) -> Iterator[collect.Stored]:
        for chunk_id, at_s in sorted(self.kept.items()):
            yield collect.Stored(chunk_id, 1, self.now_s - at_s)

    def delete(self, chunk_id: bytes) -> None:
        self.asked += 1
        if self.asked in self.stuck:
            self.late.add(chunk_id)
            raise StoreUnavailable("a service that answers late")
        if self.left is not None:
            if not self.left:
                raise Stopped
            self.left -= 1
        self.kept.pop(chunk_id, None)

    def pass_time(self, seconds: int) -> None:
        self.land()
        self.now_s += seconds

    def land(self) -> None:
        """No request is under way for ten minutes."""
        for one in self.late:
            self.kept.pop(one, None)
        self.late.clear()


class Stopped(Exception):
    """The process was killed here."""


def name(letter: int) -> bytes:
    return hashlib.blake2s(bytes([letter])).digest()


class Writer:
    """A body on its way: it looks, puts what it does not find, and commits; anything may happen in between."""

    def __init__(self, file: str, letters: bytes) -> None:
        self.file, self.letters = file, letters
        self.since: int | None = None
        self.known: set[bytes] = set()
        self.stored: dict[bytes, int] = {}

    def steps_left(self) -> list[int]:
        return [one for one in self.letters if name(one) not in self.known and name(one) not in self.stored]

    def content(self) -> Content:
        assert self.since is not None
        manifest = packed(*((name(one), 1) for one in self.letters))
        digest = hashlib.sha1(self.letters).hexdigest()
        return Content(len(self.letters), digest, "", manifest, stored=self.stored, since=self.since)


class CollectMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory(prefix="bfcollect-")
        self.pool = ThreadPoolExecutor(2)
        self.drive = SqliteDatabase(Path(self.place.name) / "metadata.db", self.pool)
        self.objects = Memory()
        self.writers: list[Writer] = []
        self.committed: dict[str, bytes] = {}
        self.collector: Iterator[None] | None = None

    def teardown(self) -> None:
        self.drive.close()
        self.pool.shutdown()
        self.place.cleanup()

    @initialize()
    def root(self) -> None:
        self.home = self.drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id

    @property
    def act(self) -> Act:
        return Act("per_me", "", self.objects.now_s)

    # -- writers ------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.writers) < 3)
    @rule(file=st.sampled_from(["x", "y"]), letters=LETTERS)
    def begins(self, file: str, letters: bytes) -> None:
        writer = Writer(file, letters)
        with self.drive.reading() as reading:
            writer.since = refs.now(reading)
            writer.known = refs.known(reading, [name(one) for one in letters])
        self.writers.append(writer)

    @precondition(lambda self: any(one.steps_left() for one in self.writers))
    @rule(which=st.integers(0, 99))
    def puts_one(self, which: int) -> None:
        busy = [one for one in self.writers if one.steps_left()]
        writer = busy[which % len(busy)]
        chunk_id = name(writer.steps_left()[0])
        self.objects.put(chunk_id)
        writer.stored[chunk_id] = 1

    @precondition(lambda self: any(not one.steps_left() for one in self.writers))
    @rule(which=st.integers(0, 99))
    def commits(self, which: int) -> None:
        ready = [one for one in self.writers if not one.steps_left()]
        writer = ready[which % len(ready)]
        self.writers.remove(writer)
        try:
            self.drive.write(lambda w: tree.put(w, self.act, self.home, writer.file, writer.content()))
        except refs.ChunkVanished:
            return
        self.committed[writer.file] = writer.letters

    @precondition(lambda self: self.committed)
    @rule(which=st.integers(0, 99))
    def deletes_for_good(self, which: int) -> None:
        file = sorted(self.committed)[which % len(self.committed)]
        del self.committed[file]

        def change(w):  # type: ignore[no-untyped-def]
            found = look.child(w, self.home, file)
            assert found is not None
            tree.delete(w, self.act, found.id)
            trash.forget(w, self.act, self.home, found.id)
            trash.destroy(w, self.act)

        self.drive.write(change)

    # -- time and collection ------------------------------------------------------------------------------------

    @precondition(lambda self: self.collector is None)  # one at a time
    @rule(
        days=DAYS,
        stopped_before=st.sampled_from([None, None, 0, 1, 2]),
        stuck=st.frozensets(st.integers(1, 3), max_size=2),
    )
    def time_passes_and_it_collects(
        self, days: float, stopped_before: int | None, stuck: frozenset[int]
    ) -> None:
        self.objects.pass_time(int(days * DAY_S))
        self.objects.left, self.objects.stuck, self.objects.asked = stopped_before, stuck, 0
        try:
            collect.run(self.drive, self.objects, now_s=self.objects.now_s)
        except Stopped:
            pass
        self.objects.left, self.objects.stuck = None, frozenset()

    @precondition(lambda self: self.objects.late)
    @rule()
    def a_late_deletion_is_done(self) -> None:
        self.objects.land()

    @precondition(lambda self: self.collector is None)
    @rule(seconds=st.sampled_from([0, collect.REDO_AFTER_S + 1]))
    def time_passes_and_what_was_left_is_over(self, seconds: int) -> None:
        if seconds:
            self.objects.pass_time(seconds)
        collect.finish(self.drive, now_s=self.objects.now_s)

    @precondition(lambda self: self.objects.late and self.collector is None)
    @rule()
    def it_collects_again_at_once(self) -> None:
        collect.run(self.drive, self.objects, now_s=self.objects.now_s)

    @precondition(lambda self: self.collector is None)
    @rule(days=DAYS)
    def time_passes_and_collection_begins(self, days: float) -> None:
        """The same by single steps, so that writers go on between any two of them."""
        self.objects.pass_time(int(days * DAY_S))
        self.collector = self._steps()

    @precondition(lambda self: self.collector is not None)
    @rule(killed=st.sampled_from([False] * 7 + [True]))
    def collection_takes_a_step(self, killed: bool) -> None:
        assert self.collector is not None
        if killed or next(self.collector, self) is self:
            self.collector = None

    def _steps(self) -> Iterator[None]:
        now_s = self.objects.now_s
        listed = [one.chunk_id for one in self.objects.list() if one.age_s > collect.GRACE_S]
        yield
        dooms: tuple[Callable[[], list[bytes]], ...] = (
            lambda: self.drive.write(lambda w: collect.doom_loose(w, now_s=now_s))[0],
            lambda: self.drive.write(lambda w: collect.doom_unknown(w, listed, now_s=now_s)),
        )
        for doom in dooms:
            doomed = doom()
            yield
            for chunk_id in doomed:
                self.objects.delete(chunk_id)
                yield
            collect.delete(self.drive, Nothing(), doomed, now_s=now_s)
            yield

    @precondition(lambda self: self.collector is None)
    @rule()
    def all_is_collected(self) -> None:
        """Nobody is at work, two days pass: nothing is left that nobody needs."""
        self.writers.clear()
        self.objects.pass_time(2 * DAY_S)
        collect.run(self.drive, self.objects, now_s=self.objects.now_s)
        with self.drive.reading() as reading:
            needed = {row[0] for row in reading.all("SELECT id FROM chunk WHERE refs > 0")}
        assert set(self.objects.kept) == needed

    @invariant()
    def every_chunk_that_is_named_is_there(self) -> None:
        with self.drive.reading() as reading:
            require_whole(reading)
            named = {
                chunk_id
                for table in ("node", "version", "part")
                for row in reading.all(f"SELECT manifest FROM {table}")
                for chunk_id in chunk_ids(row[0])
            }
        assert named <= self.objects.kept.keys()


class Nothing:
    """Deletes nothing: it was deleted step by step."""

    def list(self) -> Iterator[collect.Stored]:
        return iter(())

    def delete(self, chunk_id: bytes) -> None: ...


TestCollect = CollectMachine.TestCase
TestCollect.settings = hypothesis.settings(max_examples=100, stateful_step_count=60)


@pytest.mark.parametrize("began_before", [True, False])
def test_an_object_that_was_written_again_counts_only_after_its_deletion(
    tmp_path: Path, began_before: bool
) -> None:
    chunk = name(ord("a"))
    with ThreadPoolExecutor(2) as pool:
        drive, objects = SqliteDatabase(tmp_path / "m.db", pool), Memory()
        home = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
        objects.put(chunk)
        objects.now_s += 2 * DAY_S
        with drive.reading() as reading:
            since = refs.now(reading)
        assert collect.run(drive, objects, now_s=objects.now_s).objects == 1
        if not began_before:
            with drive.reading() as reading:
                since = refs.now(reading)
        objects.put(chunk)
        content = Content(1, "", "", packed((chunk, 1)), stored={chunk: 1}, since=since)
        act = Act("per_me", "", NOW_S)
        if began_before:
            with pytest.raises(refs.ChunkVanished):
                drive.write(lambda w: tree.put(w, act, home, "x", content))
        else:
            assert drive.write(lambda w: tree.put(w, act, home, "x", content))[1]
        drive.close()


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[SqliteDatabase]:
    with ThreadPoolExecutor(2) as pool:
        found = SqliteDatabase(tmp_path / "m.db", pool)
        yield found
        found.close()


def test_an_object_that_cannot_be_deleted_stops_no_other_and_is_tried_again(
    drive: SqliteDatabase, tmp_path: Path
) -> None:
    """On a real disk: a folder lies where the object's file should."""
    commune = "col_" + "0" * 26
    kept = LocalObjects(tmp_path / "objects")

    class Listed:
        def list(self) -> Iterator[collect.Stored]:
            for letter in b"abc":
                if (tmp_path / "objects" / object_name(commune, name(letter))).exists():
                    yield collect.Stored(name(letter), 1, 2.0 * DAY_S)

        def delete(self, chunk_id: bytes) -> None:
            kept.delete(object_name(commune, chunk_id))

    for letter in b"bc":
        kept.put(object_name(commune, name(letter)), b"x")
    stuck = tmp_path / "objects" / object_name(commune, name(ord("a")))
    stuck.mkdir(parents=True)
    code = StoreUnavailable.code
    assert collect.run(drive, Listed(), now_s=NOW_S) == collect.Collected(0, 2, 1, code)
    soon = NOW_S + collect.REDO_AFTER_S
    assert collect.run(drive, Listed(), now_s=soon) == collect.Collected(0, 0), (
        "its deletion may be under way"
    )
    assert collect.run(drive, Listed(), now_s=soon + 60) == collect.Collected(0, 0, 1, code)
    stuck.rmdir()
    stuck.write_bytes(b"x")
    assert collect.run(drive, Listed(), now_s=soon + 120) == collect.Collected(0, 0), (
        "it was tried a minute ago"
    )
    assert collect.run(drive, Listed(), now_s=soon + 60 + DAY_S) == collect.Collected(0, 1)
    assert not stuck.exists()


def test_a_store_that_is_away_ends_the_run(drive: SqliteDatabase) -> None:
    objects = Memory()
    for letter in b"abc":
        objects.put(name(letter))
    objects.now_s += 2 * DAY_S

    def slow(_: bytes) -> None:
        objects.asked += 1
        time.enter_context(clock.shifted(collect.PATIENCE_S * 0.75))
        raise StoreUnavailable("away")

    objects.delete = slow
    with ExitStack() as time, pytest.raises(StoreUnavailable):
        collect.run(drive, objects, now_s=objects.now_s)
    assert objects.asked == 2
