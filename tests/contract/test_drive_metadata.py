"""The metadata of a collectivité keep their promises on every database."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive.store import locks, look, names, schema, tree
from beffroi.drive.store.database import Database, Writing
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.model import (
    AbsentNode,
    Act,
    Changed,
    Content,
    InlineChunk,
    IntoItself,
    KindDiffers,
    Locked,
    NameTaken,
    Node,
    ParentAbsent,
    QuotaFull,
    RootFixed,
)
from beffroi.drive.store.sqlite import SqliteDatabase

ME, OTHER = Act("per_me", "app_1", 1_800_000_000), Act("per_other", "app_2", 1_800_000_000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with ThreadPoolExecutor(2) as pool:
        made = SqliteDatabase(tmp_path / "metadata.db", pool)
        yield made
        made.close()


@pytest.fixture
def home(database: Database) -> Node:
    return database.write(lambda w: tree.make_root(w, schema.HOME + "per_me", now_s=ME.now_s))


def content(data: bytes) -> Content:
    chunk_id = hashlib.blake2s(data).digest()
    inline = (InlineChunk(chunk_id, b"sealed " + data),)
    manifest = Manifest((Chunk(chunk_id, len(data)),)).pack()
    sha1, sha256 = hashlib.sha1(data).hexdigest(), hashlib.sha256(data).hexdigest()
    return Content(len(data), sha1, sha256, manifest, inline)


def put(database: Database, parent: int, name: str, data: bytes, act: Act = ME) -> Node:
    return database.write(lambda w: tree.put(w, act, parent, name, content(data)))[0]


def folder(database: Database, parent: int, name: str) -> Node:
    return database.write(lambda w: tree.make_folder(w, ME, parent, name))


def seen(database: Database, node_id: int) -> Node:
    with database.reading() as reading:
        found = look.node(reading, node_id)
    assert found is not None
    return found


def listing(database: Database, root: int) -> dict[str, int]:
    with database.reading() as reading:
        return {look.path_of(reading, one.id): one.size_bytes for one in look.below(reading, root)}


def loose(database: Database) -> int:
    with database.reading() as reading:
        return len(reading.all("SELECT id FROM chunk WHERE loose_s IS NOT NULL"))


def test_every_folder_above_a_change_has_a_new_etag_and_its_size(database: Database, home: Node) -> None:
    a = folder(database, home.id, "a")
    b = folder(database, a.id, "b")
    beside = folder(database, home.id, "beside")
    before = {one: seen(database, one).etag for one in (home.id, a.id, b.id, beside.id)}
    put(database, b.id, "x", b"12345")
    after = {one: seen(database, one).etag for one in before}
    assert [one for one in before if before[one] != after[one]] == [home.id, a.id, b.id]
    assert listing(database, home.id) == {"a": 5, "a/b": 5, "a/b/x": 5, "beside": 0}
    assert seen(database, home.id).size_bytes == 5


def test_a_content_that_is_replaced_becomes_a_version(database: Database, home: Node) -> None:
    first = put(database, home.id, "x", b"one")
    second = put(database, home.id, "x", b"second")
    assert (first.id, second.etag > first.etag) == (second.id, True)
    with database.reading() as reading:
        kept = reading.all("SELECT etag, size_bytes, sha1, manifest FROM version WHERE node = ?", (first.id,))
    assert [(row[0], row[1], row[2], bytes(row[3])) for row in kept] == [
        (first.etag, 3, first.sha1, first.manifest)
    ]
    assert (loose(database), seen(database, home.id).size_bytes) == (0, 6)


def test_a_condition_on_the_state_before_is_kept(database: Database, home: Node) -> None:
    first = put(database, home.id, "x", b"one")
    put(database, home.id, "x", b"two")
    for conditions in ({"if_etag": first.etag}, {"if_absent": True}):
        with pytest.raises(Changed):
            database.write(lambda w, c=conditions: tree.put(w, ME, home.id, "x", content(b"three"), **c))  # type: ignore[misc]
    with pytest.raises(Changed):
        database.write(lambda w: tree.delete(w, ME, seen(database, first.id).id, if_etag=first.etag))


def test_what_moves_takes_its_size_along(database: Database, home: Node) -> None:
    a, b = folder(database, home.id, "a"), folder(database, home.id, "b")
    put(database, a.id, "x", b"12345")
    moved, fresh = database.write(lambda w: tree.move(w, ME, a.id, b.id, "c"))
    assert (moved.id, fresh) == (a.id, True)
    assert listing(database, home.id) == {"b": 5, "b/c": 5, "b/c/x": 5}
    with pytest.raises(IntoItself):
        database.write(lambda w: tree.move(w, ME, b.id, a.id, "d"))
    with pytest.raises(RootFixed):
        database.write(lambda w: tree.move(w, ME, home.id, b.id, "d"))


def test_what_stood_in_the_way_lies_in_the_trash(database: Database, home: Node) -> None:
    one, two = put(database, home.id, "one", b"1"), put(database, home.id, "two", b"22")
    with pytest.raises(NameTaken):
        database.write(lambda w: tree.move(w, ME, one.id, home.id, "two"))
    _, fresh = database.write(lambda w: tree.move(w, ME, one.id, home.id, "two", overwrite=True))
    assert (fresh, listing(database, home.id)) == (False, {"two": 1})
    with database.reading() as reading:
        assert reading.all("SELECT node, name, path, root FROM trash") == [(two.id, "two", "two", home.id)]
        trash = look.root(reading, schema.TRASH)
    assert trash is not None and trash.size_bytes == 2


def test_a_copy_shares_its_chunks_and_each_counts(database: Database, home: Node) -> None:
    a = folder(database, home.id, "a")
    put(database, a.id, "x", b"12345")
    database.write(lambda w: tree.copy(w, ME, a.id, home.id, "b"))
    assert listing(database, home.id) == {"a": 5, "a/x": 5, "b": 5, "b/x": 5}
    with database.reading() as reading:
        assert reading.all("SELECT refs FROM chunk") == [(2,)]


def test_one_spelling_of_a_name_keeps_out_its_others(database: Database, home: Node) -> None:
    one = put(database, home.id, "Délibération.pdf", b"1")
    with pytest.raises(NameTaken):
        put(database, home.id, "DÉLIBÉRATION.pdf", b"2")
    assert names.normal("Délibération.pdf".encode().decode()) == "Délibération.pdf"
    renamed, _ = database.write(lambda w: tree.move(w, ME, one.id, home.id, "DÉLIBÉRATION.pdf"))
    assert renamed.id == one.id
    with database.reading() as reading:
        assert look.child(reading, home.id, "Délibération.pdf") is None


def test_files_and_folders_do_not_replace_one_another(database: Database, home: Node) -> None:
    folder(database, home.id, "a")
    x = put(database, home.id, "x", b"1")
    with pytest.raises(KindDiffers):
        put(database, home.id, "a", b"1")
    with pytest.raises(ParentAbsent):
        put(database, x.id, "y", b"1")
    with pytest.raises(ParentAbsent):
        put(database, 10**9, "y", b"1")
    with pytest.raises(AbsentNode):
        database.write(lambda w: tree.delete(w, ME, 10**9))


def test_a_limit_holds_also_among_changes_of_one_moment(database: Database, home: Node) -> None:
    database.write(lambda w: tree.set_limit(w, home.id, 30))
    hold = threading.Event()
    waiting = database.submit(lambda w: hold.wait(10))
    futures = [
        database.submit(lambda w, n=n: tree.put(w, ME, home.id, f"f{n}", content(b"%010d" % n)))  # type: ignore[misc]
        for n in range(5)
    ]
    hold.set()
    assert waiting.result()
    outcomes = [type(one.exception()) for one in futures]
    assert outcomes == [type(None)] * 3 + [QuotaFull] * 2
    assert seen(database, home.id).size_bytes == 30
    with database.reading() as reading:
        assert look.room(reading, home.id) == (30, 30)


def test_a_change_that_fails_leaves_nothing_and_takes_no_other_along(database: Database, home: Node) -> None:
    class Broken(NameTaken):
        """Something broke: {}"""

    def broken(writing: object) -> None:
        tree.put(writing, ME, home.id, "half", content(b"half"))  # type: ignore[arg-type]
        raise Broken("here")

    hold = threading.Event()
    waiting = database.submit(lambda w: hold.wait(10))
    first = database.submit(lambda w: tree.put(w, ME, home.id, "a", content(b"1")))
    second = database.submit(broken)
    third = database.submit(lambda w: tree.put(w, ME, home.id, "b", content(b"22")))
    hold.set()
    assert waiting.result() and first.result()[1] and third.result()[1]
    assert isinstance(second.exception(), Broken)
    assert listing(database, home.id) == {"a": 1, "b": 2}
    assert seen(database, home.id).size_bytes == 3


def test_who_locked_it_changes_it_and_nobody_else(database: Database, home: Node) -> None:
    a = folder(database, home.id, "a")
    x = put(database, a.id, "x", b"1")
    held = database.write(lambda w: locks.lock(w, ME, a.id, deep=True, shared=False, owner="", timeout_s=60))
    shown = Act(ME.person_id, ME.device_id, ME.now_s, frozenset({held.token}))
    stolen = Act(OTHER.person_id, OTHER.device_id, OTHER.now_s, frozenset({held.token}))
    for act in (ME, OTHER, stolen):
        with pytest.raises(Locked):
            put(database, a.id, "x", b"2", act)
        with pytest.raises(Locked):
            database.write(lambda w, act=act: tree.delete(w, act, a.id))  # type: ignore[misc]
    put(database, a.id, "x", b"3", shown)
    later = Act(OTHER.person_id, "", ME.now_s + 61)
    put(database, a.id, "x", b"4", later)
    assert seen(database, x.id).size_bytes == 1
    assert database.write(lambda w: locks.unlock(w, ME, a.id, held.token))
    put(database, a.id, "x", b"5", OTHER)


def test_all_is_there_after_it_is_opened_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = SqliteDatabase(tmp_path / "m.db", pool)
        root = first.write(lambda w: tree.make_root(w, schema.COMMON, now_s=1))
        made = put(first, root.id, "x", b"1")
        first.close()
        again = SqliteDatabase(tmp_path / "m.db", pool)
        assert seen(again, made.id) == made
        assert put(again, root.id, "y", b"2").id > made.etag
        again.close()


def test_a_caller_that_is_gone_stops_nobody(database: Database, home: Node) -> None:
    """A request that was cut off cancels what it waits for; the others of its group get their answers."""
    held, begun = threading.Event(), threading.Event()

    def wait(writing: Writing) -> None:
        begun.set()
        assert held.wait(20)

    first = database.submit(wait)
    assert begun.wait(20)
    gone = database.submit(lambda w: tree.make_folder(w, ME, home.id, "gone"))
    other = database.submit(lambda w: tree.make_folder(w, ME, home.id, "other"))
    assert gone.cancel() and not first.cancel()
    held.set()
    assert other.result(20).name == "other"
    assert folder(database, home.id, "later").name == "later"
    assert set(listing(database, home.id)) == {"other", "later"}


def test_nothing_is_moved_or_copied_deeper_than_a_path_can_be(database: Database, home: Node) -> None:
    top = deep = folder(database, home.id, "top")
    for _ in range(names.MAX_DEPTH - 2):
        deep = folder(database, deep.id, "d")
    put(database, deep.id, "x", b"1")
    high = folder(database, home.id, "high")
    for change in (tree.move, tree.copy):
        with pytest.raises(names.TooDeep):
            database.write(lambda w, do=change: do(w, ME, top.id, high.id, "top"))  # type: ignore[misc]
    assert database.write(lambda w: tree.move(w, ME, top.id, home.id, "renamed"))[0].name == "renamed"


def test_a_lock_stays_behind_when_its_file_moves_and_holds_its_folder(database: Database, home: Node) -> None:
    a, b = folder(database, home.id, "a"), folder(database, home.id, "b")
    x = put(database, a.id, "x", b"1")
    on_folder = database.write(
        lambda w: locks.lock(w, ME, a.id, deep=False, shared=False, owner="", timeout_s=60)
    )
    on_file = database.write(
        lambda w: locks.lock(w, ME, x.id, deep=False, shared=False, owner="", timeout_s=60)
    )
    for shown in (set(), {on_file.token}, {on_folder.token}):
        with pytest.raises(Locked):
            database.write(
                lambda w, t=frozenset(shown): tree.move(w, replace(ME, lock_tokens=t), x.id, b.id, "x")  # type: ignore[misc]
            )
    both = replace(ME, lock_tokens=frozenset({on_file.token, on_folder.token}))
    database.write(lambda w: tree.move(w, both, x.id, b.id, "x"))
    assert put(database, b.id, "x", b"free").id == x.id
