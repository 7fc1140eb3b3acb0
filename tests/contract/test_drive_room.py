"""Room of a drive: everything that takes some counts once, where it should, whatever moves where."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.store import room, schema, trash, tree, uploads, versions, weights
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import NO_LIMIT, Act, Content, Limits, Node, QuotaFull, TooManyEntries, Weight
from beffroi.drive.store.room import WHOLE
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.drive.store.writing import Writing

from tests.drive_trees import ME, OTHER, Open, content, folder, put, require_whole
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_drive_store"]


@pytest.fixture
def metadata(opens: Open) -> Iterator[Database]:
    made = opens()
    yield made
    with made.reading() as reading:
        require_whole(reading)


@pytest.fixture
def home(metadata: Database) -> Node:
    return root(metadata, schema.HOME + ME.person_id)


def root(metadata: Database, name: str) -> Node:
    return metadata.write(lambda w: tree.make_root(w, name, now_s=ME.now_s))


def used(metadata: Database, place: int) -> int:
    with metadata.reading() as reading:
        return room.use(reading, place).used_bytes


def entries(metadata: Database, place: int) -> int:
    with metadata.reading() as reading:
        return room.use(reading, place).weight.entries


def usually(metadata: Database, limits: Limits) -> None:
    def keep(writing: Writing) -> None:
        room.keep_usual(writing, limits)

    metadata.write(keep)


def finish(metadata: Database, home: Node, joined: uploads.Joined) -> None:
    whole = Content(joined.size_bytes, "1", "2", joined.manifest)
    metadata.write(lambda w: uploads.finish(w, ME, "u", joined, whole, parent=home.id, name="a"))


def test_a_version_takes_room_until_it_goes(metadata: Database, home: Node) -> None:
    one = put(metadata, home.id, "a", b"12345")
    put(metadata, home.id, "a", b"123")
    assert (used(metadata, home.id), entries(metadata, home.id)) == (8, 2)
    with metadata.reading() as reading:
        (kept,) = versions.of(reading, one.id)
    metadata.write(lambda w: versions.delete(w, ME, one.id, kept.etag))
    assert (used(metadata, home.id), entries(metadata, home.id)) == (3, 1)


def test_versions_and_all_that_lies_below_go_along_with_what_moves(metadata: Database, home: Node) -> None:
    common = root(metadata, schema.COMMON)
    box = folder(metadata, home.id, "box")
    inner = folder(metadata, box.id, "inner")
    for data in (b"1234", b"12", b"1"):
        put(metadata, inner.id, "a", data)
    assert (used(metadata, home.id), entries(metadata, home.id)) == (7, 5)
    metadata.write(lambda w: tree.move(w, ME, box.id, common.id, "box"))
    assert (used(metadata, home.id), entries(metadata, home.id)) == (0, 0)
    assert (used(metadata, common.id), entries(metadata, common.id)) == (7, 5)
    metadata.write(lambda w: tree.delete(w, ME, inner.id))
    assert (used(metadata, common.id), used(metadata, WHOLE)) == (0, 7), "the trash is the collectivité's"
    metadata.write(lambda w: trash.forget(w, ME, common.id, inner.id))
    trash.destroy_all(metadata, ME)
    assert (used(metadata, WHOLE), entries(metadata, WHOLE)) == (0, 1)


def test_the_root_that_something_moves_to_has_room_for_its_versions(metadata: Database, home: Node) -> None:
    other = root(metadata, schema.HOME + OTHER.person_id)
    box = folder(metadata, home.id, "box")
    put(metadata, box.id, "a", b"1234")
    put(metadata, box.id, "a", b"1")
    metadata.write(lambda w: tree.set_limit(w, other.id, 4))
    with pytest.raises(QuotaFull):
        metadata.write(lambda w: tree.move(w, ME, box.id, other.id, "box"))
    metadata.write(lambda w: tree.set_limit(w, other.id, 5))
    assert metadata.write(lambda w: tree.move(w, ME, box.id, other.id, "box"))[1]


def test_what_a_copy_takes_the_place_of_takes_no_room_beside_it(metadata: Database, home: Node) -> None:
    """It goes to the trash, which is not its person's room; the collectivité's holds both."""
    common = root(metadata, schema.COMMON)
    old, new = (put(metadata, place.id, "a", data) for place, data in ((home, b"12345"), (common, b"123456")))

    def copied() -> Node:
        return metadata.write(lambda w: tree.copy(w, ME, new.id, home.id, "a", overwrite=True))[0]

    metadata.write(lambda w: tree.set_limit(w, home.id, 5))
    with pytest.raises(QuotaFull):
        copied()
    assert used(metadata, home.id) == 5 and trash_of(metadata, home.id) == []
    metadata.write(lambda w: tree.set_limit(w, home.id, 6))
    metadata.write(lambda w: tree.set_limit(w, WHOLE, 16))
    with pytest.raises(QuotaFull):
        copied()
    metadata.write(lambda w: tree.set_limit(w, WHOLE, 17))
    assert copied().size_bytes == 6
    assert (used(metadata, home.id), used(metadata, WHOLE)) == (6, 17)
    assert trash_of(metadata, home.id) == [old.id]


def trash_of(metadata: Database, root_id: int) -> list[int]:
    with metadata.reading() as reading:
        return [one.node for one in trash.page(reading, root_id)]


def test_what_one_moment_writes_into_a_folder_counts_where_the_same_moment_moves_it(
    metadata: Database, home: Node
) -> None:
    other = root(metadata, schema.HOME + OTHER.person_id)
    box = folder(metadata, home.id, "box")
    metadata.write(lambda w: tree.set_limit(w, other.id, 4))
    outcomes = together(
        metadata,
        lambda w: tree.put(w, ME, box.id, "a", content(b"12345")),
        lambda w: tree.move(w, ME, box.id, other.id, "box"),
    )
    assert [type(one) for one in outcomes] == [type(None), QuotaFull]


def together(metadata: Database, *changes: Callable[[Writing], Any]) -> list[BaseException | None]:
    """What becomes of changes that wait together."""
    hold = threading.Event()
    waiting = metadata.submit(lambda w: hold.wait(PATIENCE_S))
    futures = [metadata.submit(one) for one in changes]
    hold.set()
    assert waiting.result(10)
    return [one.exception(10) for one in futures]


def test_parts_count_for_the_collectivite_and_once_only_when_they_become_a_file(
    metadata: Database, home: Node
) -> None:
    metadata.write(lambda w: tree.set_limit(w, WHOLE, 10))
    metadata.write(lambda w: uploads.begin(w, ME, "u"))
    for number, data in ((1, b"1234"), (2, b"56"), (2, b"567")):
        metadata.write(lambda w, n=number, d=data: uploads.put_part(w, ME, "u", n, content(d)))
    assert (used(metadata, WHOLE), used(metadata, home.id)) == (7, 0)
    with pytest.raises(QuotaFull):
        put(metadata, home.id, "b", b"1234")
    with metadata.reading() as reading:
        joined = uploads.join(reading, ME.person_id, "u")
        room.require(reading, home.id, 7, waiting_bytes=uploads.waiting_bytes(reading, ME.person_id, "u"))
    finish(metadata, home, joined)
    assert (used(metadata, WHOLE), used(metadata, home.id)) == (7, 7)
    metadata.write(lambda w: uploads.begin(w, ME, "v"))
    metadata.write(lambda w: uploads.put_part(w, ME, "v", 1, content(b"123")))
    metadata.write(lambda w: uploads.abort(w, ME, "v"))
    assert used(metadata, WHOLE) == 7


def test_an_end_that_is_refused_leaves_the_parts(metadata: Database, home: Node) -> None:
    metadata.write(lambda w: tree.set_limit(w, home.id, 3))
    metadata.write(lambda w: uploads.begin(w, ME, "u"))
    metadata.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"1234")))
    with metadata.reading() as reading:
        joined = uploads.join(reading, ME.person_id, "u")
    with pytest.raises(QuotaFull):
        finish(metadata, home, joined)
    with metadata.reading() as reading:
        assert [one.number for one in uploads.parts(reading, ME.person_id, "u")] == [1]
    assert used(metadata, WHOLE) == 4


def test_what_is_usual_holds_where_nothing_else_is_said(metadata: Database, home: Node) -> None:
    other, common = root(metadata, schema.HOME + OTHER.person_id), root(metadata, schema.COMMON)
    usually(metadata, Limits(person_bytes=4, whole_bytes=12))
    with pytest.raises(QuotaFull):
        put(metadata, home.id, "a", b"12345")
    put(metadata, other.id, "a", b"1234")
    put(metadata, common.id, "a", b"12345")
    metadata.write(lambda w: tree.set_limit(w, home.id, 5))
    with pytest.raises(QuotaFull):
        put(metadata, home.id, "a", b"12345")  # the collectivité has 3 left
    metadata.write(lambda w: tree.set_limit(w, WHOLE, 14))
    put(metadata, home.id, "a", b"12345")
    with metadata.reading() as reading:
        assert room.reached(reading, other.id) == (4, 4)
        assert room.reached(reading, common.id) == (5, 5)
    metadata.write(lambda w: tree.set_limit(w, home.id, -1))
    with metadata.reading() as reading:
        assert (room.room(reading, home.id), room.has_own_limit(reading, home.id)) == ((5, 4), False)


def test_files_of_no_bytes_have_an_end_and_so_have_their_versions(metadata: Database, home: Node) -> None:
    usually(metadata, Limits(entries=3))
    put(metadata, home.id, "a", b"")
    folder(metadata, home.id, "b")
    put(metadata, home.id, "a", b"")
    for change in (
        lambda w: tree.put(w, ME, home.id, "c", content(b"")),
        lambda w: tree.put(w, ME, home.id, "a", content(b"")),
        lambda w: tree.make_folder(w, ME, home.id, "c"),
        lambda w: tree.copy(w, ME, _a(w, home), home.id, "c"),
    ):
        with pytest.raises(TooManyEntries):
            metadata.write(change)
    metadata.write(lambda w: tree.delete(w, ME, _a(w, home)))
    with pytest.raises(TooManyEntries):
        folder(metadata, home.id, "c")
    trash_of_home(metadata, home)
    assert folder(metadata, home.id, "c").name == "c"
    outcomes = together(
        metadata,
        lambda w: tree.make_folder(w, ME, home.id, "d"),
        lambda w: tree.make_folder(w, ME, home.id, "e"),
    )
    assert [type(one) for one in outcomes] == [type(None), TooManyEntries]


def _a(writing: Writing, home: Node) -> int:
    row = writing.one("SELECT id FROM node WHERE parent = ? AND name = 'a'", (home.id,))
    assert row is not None
    return int(row[0])


def trash_of_home(metadata: Database, home: Node) -> None:
    metadata.write(lambda w: trash.empty(w, ME, home.id))
    trash.destroy_all(metadata, ME)


def test_calendars_count_with_who_owns_them(metadata: Database, home: Node) -> None:
    common = root(metadata, schema.COMMON)
    metadata.write(lambda w: room.keep_calendars(w, {ME.person_id: 6, room.SHARED_CALENDARS: 2}))
    assert [used(metadata, place) for place in (home.id, common.id, WHOLE)] == [6, 2, 8]
    metadata.write(lambda w: tree.set_limit(w, home.id, 10))
    with pytest.raises(QuotaFull):
        put(metadata, home.id, "a", b"12345")
    metadata.write(lambda w: room.keep_calendars(w, {ME.person_id: 5}))
    assert put(metadata, home.id, "a", b"12345").size_bytes == 5
    assert [used(metadata, place) for place in (home.id, common.id, WHOLE)] == [10, 0, 10]


def test_calendars_of_who_has_no_root_count_and_are_limited_as_everybodys(metadata: Database) -> None:
    usually(metadata, Limits(person_bytes=10))
    metadata.write(lambda w: room.keep_calendars(w, {ME.person_id: 6, room.SHARED_CALENDARS: 20}))
    mine, shared = schema.HOME + ME.person_id, schema.COMMON

    def judged() -> list[tuple[str, int, int]]:
        with metadata.reading() as reading:
            room.require_beside(reading, mine, 4)
            with pytest.raises(QuotaFull):
                room.require_beside(reading, mine, 5)
            room.require_beside(reading, schema.HOME + OTHER.person_id, 10)
            with pytest.raises(QuotaFull):
                room.require_beside(reading, schema.HOME + OTHER.person_id, 11)
            room.require_beside(reading, shared, 10**9)
            return [(one.name, one.use.used_bytes, one.limit_bytes) for one in room.lines(reading)]

    told = [(shared, 20, NO_LIMIT), (mine, 6, 10)]
    assert judged() == told
    home = root(metadata, mine)
    assert judged() == told, "the same once the root is there"
    metadata.write(lambda w: tree.set_limit(w, home.id, 12))
    with metadata.reading() as reading:
        room.require_beside(reading, mine, 6)
        assert room.line(reading, mine).is_own
    metadata.write(lambda w: tree.set_limit(w, WHOLE, 27))
    with metadata.reading() as reading:
        for name in (mine, shared, schema.HOME + OTHER.person_id):
            room.require_beside(reading, name, 1)
            with pytest.raises(QuotaFull):
                room.require_beside(reading, name, 2)
            room.require_beside(reading, name, 2, waiting_bytes=1)


def test_drift_is_said_and_mended(opens: Open) -> None:
    metadata = opens()
    home = root(metadata, schema.HOME + ME.person_id)
    box = folder(metadata, home.id, "box")
    put(metadata, box.id, "a", b"123")
    put(metadata, box.id, "a", b"12")
    metadata.write(lambda w: uploads.begin(w, ME, "u"))
    metadata.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"1234")))

    def break_it(writing: Writing) -> None:
        writing.run("UPDATE weight SET entries = 9, version_bytes = 1 WHERE node = ?", (box.id,))
        writing.run("UPDATE node SET size_bytes = 77 WHERE id = ?", (home.id,))
        writing.run("UPDATE beside SET size_bytes = 1")

    metadata.write(break_it)
    told = {one.node: (one.kept, one.counted) for one in metadata.write(weights.mend)}
    assert told == {
        box.id: (Weight(2, 9, 1), Weight(2, 2, 3)),
        home.id: (Weight(77, 3, 3), Weight(2, 3, 3)),
        0: (Weight(1), Weight(4)),
    }
    assert metadata.write(weights.mend) == []
    with metadata.reading() as reading:
        require_whole(reading)


def test_metadata_from_before_are_counted_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        metadata = SqliteDatabase(tmp_path / "m.db", pool)
        home = root(metadata, schema.HOME + ME.person_id)
        put(metadata, folder(metadata, home.id, "box").id, "a", b"123")
        metadata.close()
        with sqlite3.connect(tmp_path / "m.db") as raw:
            raw.executescript("DROP TABLE weight; DROP TABLE beside")
            raw.execute("DELETE FROM meta WHERE name IN ('weighed', 'tables')")
        raw.close()
        again = SqliteDatabase(tmp_path / "m.db", pool, Limits(7, 8, 9))
        with again.reading() as reading:
            require_whole(reading)
            assert (room.use(reading, WHOLE).weight, room.usual(reading)) == (Weight(3, 2), Limits(7, 8, 9))
        again.close()


@pytest.mark.parametrize("what", ["put", "over", "move", "delete", "part"])
def test_a_change_says_as_much_to_the_database_however_many_files_there_are(opens: Open, what: str) -> None:
    metadata = opens()
    home, common = root(metadata, schema.HOME + ME.person_id), root(metadata, schema.COMMON)
    usually(metadata, Limits(10**9, 10**9, 10**6))
    metadata.write(lambda w: uploads.begin(w, ME, "u"))
    box = folder(metadata, home.id, "box")
    put(metadata, box.id, "over", b"1")

    def statements(act: Callable[[Writing], object]) -> int:
        said = 0

        def counted(writing: Writing) -> None:
            nonlocal said
            run, one, all_ = writing.run, writing.one, writing.all

            def counting(inner: Callable[..., Any]) -> Callable[..., Any]:
                def call(*given: Any) -> Any:
                    nonlocal said
                    said += 1
                    return inner(*given)

                return call

            writing.run, writing.one, writing.all = counting(run), counting(one), counting(all_)
            act(writing)

        metadata.write(counted)
        return said

    def do(number: int) -> int:
        made = put(metadata, box.id, f"moved {number}", b"1")
        name, me = f"new {number}", Act(ME.person_id, "", ME.now_s)
        acts: dict[str, Callable[[Writing], object]] = {
            "put": lambda w: tree.put(w, me, box.id, name, content(b"12")),
            "over": lambda w: tree.put(w, me, box.id, "over", content(b"12")),
            "move": lambda w: tree.move(w, me, made.id, common.id, name),
            "delete": lambda w: tree.delete(w, me, made.id),
            "part": lambda w: uploads.put_part(w, me, "u", number, content(b"12")),
        }
        return statements(acts[what])

    do(1)
    few = do(2)
    metadata.write(lambda w: [tree.put(w, ME, box.id, f"x{n}", content(b"%d" % n)) for n in range(300)])
    metadata.write(lambda w: [uploads.put_part(w, ME, "u", n, content(b"%d" % n)) for n in range(10, 300)])
    assert do(3) == few
