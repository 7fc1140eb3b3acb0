"""The metadata of a collectivité keep their promises on every database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from beffroi.drive.store import locks, look, names, room, schema, shares, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import (
    AbsentNode,
    Act,
    Changed,
    IntoItself,
    KindDiffers,
    Locked,
    NameTaken,
    Node,
    ParentAbsent,
    QuotaFull,
    RootFixed,
)
from beffroi.drive.store.shares import Wish
from beffroi.drive.store.writing import Writing
from beffroi.lib.errors import NotFound, Unavailable
from beffroi.lib.ids import new_id

from tests.drive_trees import (
    ME,
    NOW_S,
    OTHER,
    Open,
    content,
    folder,
    listing,
    loose,
    put,
    require_whole,
    seen,
)
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_drive_store"]


def test_every_folder_above_a_change_has_a_new_etag_and_its_size(metadata: Database, home: Node) -> None:
    a = folder(metadata, home.id, "a")
    b = folder(metadata, a.id, "b")
    beside = folder(metadata, home.id, "beside")
    before = {one: seen(metadata, one).etag for one in (home.id, a.id, b.id, beside.id)}
    put(metadata, b.id, "x", b"12345")
    after = {one: seen(metadata, one).etag for one in before}
    assert [one for one in before if before[one] != after[one]] == [home.id, a.id, b.id]
    assert listing(metadata, home.id) == {"a": 5, "a/b": 5, "a/b/x": 5, "beside": 0}
    assert seen(metadata, home.id).size_bytes == 5


def test_a_content_that_is_replaced_becomes_a_version(metadata: Database, home: Node) -> None:
    first = put(metadata, home.id, "x", b"one")
    second = put(metadata, home.id, "x", b"second")
    assert (first.id, second.etag > first.etag) == (second.id, True)
    with metadata.reading() as reading:
        kept = reading.all("SELECT etag, size_bytes, sha1, manifest FROM version WHERE node = ?", (first.id,))
    assert [(row[0], row[1], row[2], bytes(row[3])) for row in kept] == [
        (first.etag, 3, first.sha1, first.manifest)
    ]
    assert (loose(metadata), seen(metadata, home.id).size_bytes) == (0, 6)


def test_what_is_to_be_new_is_not_put_over_something(metadata: Database, home: Node) -> None:
    put(metadata, home.id, "x", b"one")
    with pytest.raises(Changed):
        metadata.write(lambda w: tree.put(w, ME, home.id, "x", content(b"two"), if_absent=True))


def test_what_moves_takes_its_size_along(metadata: Database, home: Node) -> None:
    a, b = folder(metadata, home.id, "a"), folder(metadata, home.id, "b")
    put(metadata, a.id, "x", b"12345")
    moved, fresh = metadata.write(lambda w: tree.move(w, ME, a.id, b.id, "c"))
    assert (moved.id, fresh) == (a.id, True)
    assert listing(metadata, home.id) == {"b": 5, "b/c": 5, "b/c/x": 5}
    with pytest.raises(IntoItself):
        metadata.write(lambda w: tree.move(w, ME, b.id, a.id, "d"))
    with pytest.raises(RootFixed):
        metadata.write(lambda w: tree.move(w, ME, home.id, b.id, "d"))


def test_what_stood_in_the_way_lies_in_the_trash(metadata: Database, home: Node) -> None:
    one, two = put(metadata, home.id, "one", b"1"), put(metadata, home.id, "two", b"22")
    with pytest.raises(NameTaken):
        metadata.write(lambda w: tree.move(w, ME, one.id, home.id, "two"))
    _, fresh = metadata.write(lambda w: tree.move(w, ME, one.id, home.id, "two", overwrite=True))
    assert (fresh, listing(metadata, home.id)) == (False, {"two": 1})
    with metadata.reading() as reading:
        assert reading.all("SELECT node, name, path, root FROM trash") == [(two.id, "two", "two", home.id)]
        trash = look.root(reading, schema.TRASH)
    assert trash is not None and trash.size_bytes == 2


def test_a_copy_shares_its_chunks_and_each_counts(metadata: Database, home: Node) -> None:
    a = folder(metadata, home.id, "a")
    put(metadata, a.id, "x", b"12345")
    metadata.write(lambda w: tree.copy(w, ME, a.id, home.id, "b"))
    assert listing(metadata, home.id) == {"a": 5, "a/x": 5, "b": 5, "b/x": 5}
    with metadata.reading() as reading:
        assert reading.all("SELECT refs FROM chunk") == [(2,)]


def test_one_spelling_of_a_name_keeps_out_its_others(metadata: Database, home: Node) -> None:
    one = put(metadata, home.id, "Délibération.pdf", b"1")
    with pytest.raises(NameTaken):
        put(metadata, home.id, "DÉLIBÉRATION.pdf", b"2")
    assert names.normal("Délibération.pdf".encode().decode()) == "Délibération.pdf"
    renamed, _ = metadata.write(lambda w: tree.move(w, ME, one.id, home.id, "DÉLIBÉRATION.pdf"))
    assert renamed.id == one.id
    with metadata.reading() as reading:
        assert look.child(reading, home.id, "Délibération.pdf") is None


def test_files_and_folders_do_not_replace_one_another(metadata: Database, home: Node) -> None:
    folder(metadata, home.id, "a")
    x = put(metadata, home.id, "x", b"1")
    with pytest.raises(KindDiffers):
        put(metadata, home.id, "a", b"1")
    with pytest.raises(ParentAbsent):
        put(metadata, x.id, "y", b"1")
    with pytest.raises(ParentAbsent):
        put(metadata, 10**9, "y", b"1")
    with pytest.raises(AbsentNode):
        metadata.write(lambda w: tree.delete(w, ME, 10**9))


def test_a_limit_holds_also_among_changes_of_one_moment(metadata: Database, home: Node) -> None:
    metadata.write(lambda w: tree.set_limit(w, home.id, 30))
    hold = threading.Event()
    waiting = metadata.submit(lambda w: hold.wait(PATIENCE_S))
    futures = [
        metadata.submit(lambda w, n=n: tree.put(w, ME, home.id, f"f{n}", content(b"%010d" % n)))
        for n in range(5)
    ]
    hold.set()
    assert waiting.result()
    outcomes = [type(one.exception()) for one in futures]
    assert outcomes == [type(None)] * 3 + [QuotaFull] * 2
    assert seen(metadata, home.id).size_bytes == 30
    with metadata.reading() as reading:
        assert room.room(reading, home.id) == (30, 30)


def test_a_change_that_fails_leaves_nothing_and_takes_no_other_along(metadata: Database, home: Node) -> None:
    class Broken(NameTaken):
        """Something broke: {}"""

    def broken(writing: object) -> None:
        tree.put(writing, ME, home.id, "half", content(b"half"))  # type: ignore[arg-type]
        raise Broken("here")

    hold = threading.Event()
    waiting = metadata.submit(lambda w: hold.wait(PATIENCE_S))
    first = metadata.submit(lambda w: tree.put(w, ME, home.id, "a", content(b"1")))
    second = metadata.submit(broken)
    third = metadata.submit(lambda w: tree.put(w, ME, home.id, "b", content(b"22")))
    hold.set()
    assert waiting.result() and first.result()[1] and third.result()[1]
    assert isinstance(second.exception(), Broken)
    assert listing(metadata, home.id) == {"a": 1, "b": 2}
    assert seen(metadata, home.id).size_bytes == 3


def test_who_locked_it_changes_it_and_nobody_else(metadata: Database, home: Node) -> None:
    a = folder(metadata, home.id, "a")
    x = put(metadata, a.id, "x", b"1")
    held = metadata.write(lambda w: locks.lock(w, ME, a.id, deep=True, shared=False, owner="", timeout_s=60))
    shown = Act(ME.person_id, ME.device_id, ME.now_s, frozenset({held.token}))
    stolen = Act(OTHER.person_id, OTHER.device_id, OTHER.now_s, frozenset({held.token}))
    for act in (ME, OTHER, stolen):
        with pytest.raises(Locked):
            put(metadata, a.id, "x", b"2", act)
        with pytest.raises(Locked):
            metadata.write(lambda w, act=act: tree.delete(w, act, a.id))
    put(metadata, a.id, "x", b"3", shown)
    later = Act(OTHER.person_id, "", ME.now_s + 61)
    put(metadata, a.id, "x", b"4", later)
    assert seen(metadata, x.id).size_bytes == 1
    assert metadata.write(lambda w: locks.unlock(w, ME, a.id, held.token))
    put(metadata, a.id, "x", b"5", OTHER)


def test_all_is_there_after_it_is_opened_again(opens: Open) -> None:
    first = opens()
    root = first.write(lambda w: tree.make_root(w, schema.COMMON, now_s=1))
    made = put(first, root.id, "x", b"1")
    first.close()
    again = opens()
    assert seen(again, made.id) == made
    assert put(again, root.id, "y", b"2").id > made.etag


def test_one_that_was_closed_opens_again_for_whoever_still_holds_it(metadata: Database, home: Node) -> None:
    metadata.close()
    assert put(metadata, home.id, "x", b"1").name == "x"
    metadata.close()
    assert listing(metadata, home.id) == {"x": 1}


def test_a_change_that_nobody_waits_for_any_more_stops_no_other(metadata: Database, home: Node) -> None:
    hold, started = threading.Event(), threading.Event()
    running = metadata.submit(lambda w: started.set() or hold.wait(PATIENCE_S))
    assert started.wait(PATIENCE_S)
    given_up = metadata.submit(lambda w: tree.put(w, ME, home.id, "given up", content(b"1")))
    kept = metadata.submit(lambda w: tree.put(w, ME, home.id, "kept", content(b"2")))
    assert (given_up.cancel(), running.cancel()) == (True, False)
    hold.set()
    assert kept.result(10)[0].name == "kept"
    assert listing(metadata, home.id) == {"kept": 1}
    assert put(metadata, home.id, "later", b"3").name == "later"


def test_a_fault_of_one_change_or_of_a_listener_is_its_own(metadata: Database, home: Node) -> None:
    def told(roots: set[int]) -> None:
        raise ZeroDivisionError

    metadata.on_change = told
    hold = threading.Event()
    waiting = metadata.submit(lambda w: hold.wait(PATIENCE_S))
    broken = metadata.submit(lambda w: 1 // 0)
    beside = metadata.submit(lambda w: tree.put(w, ME, home.id, "x", content(b"1")))
    hold.set()
    assert waiting.result() and isinstance(broken.exception(), ZeroDivisionError)
    assert beside.result()[0].name == "x"
    assert put(metadata, home.id, "y", b"2").name == "y"


def test_an_error_of_the_database_in_one_change_takes_no_other_along(metadata: Database, home: Node) -> None:
    hold = threading.Event()
    waiting = metadata.submit(lambda w: hold.wait(PATIENCE_S))
    before = metadata.submit(lambda w: tree.put(w, ME, home.id, "a", content(b"1")))

    def broken(writing: Writing) -> None:
        tree.put(writing, ME, home.id, "b", content(b"22"))
        writing.run("INSERT INTO meta (name, value) VALUES ('number', 'twice')")

    failed = metadata.submit(broken)
    after = metadata.submit(lambda w: tree.put(w, ME, home.id, "c", content(b"333")))
    hold.set()
    assert waiting.result(10) and before.result(10) and after.result(10)
    assert isinstance(failed.exception(10), Unavailable)
    assert listing(metadata, home.id) == {"a": 1, "c": 3}


def test_locks_that_are_over_go(metadata: Database, home: Node) -> None:
    one = put(metadata, home.id, "x", b"1")
    for timeout_s in (10, 1000):
        lock = {"deep": False, "shared": True, "owner": "", "timeout_s": timeout_s}
        metadata.write(lambda w, given=lock: locks.lock(w, ME, one.id, **given))
    locks.expire(metadata, now_s=ME.now_s + 11)
    with metadata.reading() as reading:
        assert [one.expires_s for one in locks.held(reading, one.id, now_s=ME.now_s)] == [ME.now_s + 1000]
        assert len(reading.all("SELECT token FROM dav_lock")) == 1


def test_the_limit_of_the_whole_holds_also_between_roots_in_one_moment(
    metadata: Database, home: Node
) -> None:
    common = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=ME.now_s))
    metadata.write(lambda w: tree.set_limit(w, 0, 15))
    hold = threading.Event()
    waiting = metadata.submit(lambda w: hold.wait(PATIENCE_S))
    outcomes = [
        metadata.submit(lambda w, root=root: tree.put(w, ME, root, "x", content(b"0123456789")))
        for root in (home.id, common.id)
    ]
    hold.set()
    assert waiting.result()
    assert [type(one.exception()) for one in outcomes] == [type(None), QuotaFull]
    there = metadata.write(lambda w: tree.move(w, ME, outcomes[0].result()[0].id, common.id, "x"))
    assert there[0].size_bytes == 10, "what moves makes the whole no larger"


def test_what_was_moved_by_a_change_that_failed_counts_where_it_still_is(
    metadata: Database, home: Node
) -> None:
    common = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=ME.now_s))
    a = folder(metadata, home.id, "a")
    metadata.write(lambda w: tree.set_limit(w, common.id, 5))
    metadata.write(lambda w: tree.set_limit(w, home.id, 100))

    def moves_and_fails(writing: object) -> None:
        tree.put(writing, ME, a.id, "x", content(b"12345"))  # type: ignore[arg-type]
        tree.move(writing, ME, a.id, common.id, "a")  # type: ignore[arg-type]
        tree.put(writing, ME, a.id, "y", content(b"123456"))  # type: ignore[arg-type]

    hold = threading.Event()
    waiting = metadata.submit(lambda w: hold.wait(PATIENCE_S))
    first = metadata.submit(lambda w: tree.put(w, ME, a.id, "z", content(b"1")))
    failing = metadata.submit(moves_and_fails)
    second = metadata.submit(lambda w: tree.put(w, ME, common.id, "x", content(b"54321")))
    hold.set()
    assert waiting.result() and first.result()
    assert (type(failing.exception()), second.exception()) == (QuotaFull, None)


def test_two_processes_that_write_one_file_at_once_lose_no_content(opens: Open) -> None:
    one, two = opens(), opens()
    root = one.write(lambda w: tree.make_root(w, schema.COMMON, now_s=1))
    with ThreadPoolExecutor(2) as both:

        def write(which: Database, letter: bytes) -> list[Node]:
            return [put(which, root.id, "same", letter * (n + 1)) for n in range(40)]

        written = [*both.map(write, (one, two), (b"a", b"b"))]
    etags = [node.etag for nodes in written for node in nodes]
    assert len(set(etags)) == 80
    with two.reading() as reading:
        kept = {row[0] for row in reading.all("SELECT etag FROM version")}
        present = look.child(reading, root.id, "same")
        require_whole(reading)
    assert present is not None
    assert kept | {present.etag} == set(etags), "each acknowledged content is the present one or a version"


def test_who_waits_too_long_for_another_process_hears_that_the_database_is_busy(
    opens: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for backend in ("sqlite", "postgres"):
        monkeypatch.setattr(f"beffroi.drive.store.{backend}.BUSY_S", 0.3)
    one, other = opens(), opens()
    home = one.write(lambda w: tree.make_root(w, schema.HOME + "per_me", now_s=NOW_S))
    folder(other, home.id, "before")
    begun, over = threading.Event(), threading.Event()

    def long(writing: Writing) -> None:
        begun.set()
        assert over.wait(PATIENCE_S)

    busy = one.submit(long)
    assert begun.wait(PATIENCE_S)
    try:
        with pytest.raises(Unavailable):
            other.submit(lambda w: tree.make_root(w, schema.HOME + "per_other", now_s=NOW_S)).result(10)
        assert listing(other, home.id) == {"before": 0}, "who reads waits for nobody"
    finally:
        over.set()
    busy.result(30)
    folder(other, home.id, "after")
    assert listing(one, home.id) == {"before": 0, "after": 0}
    with one.reading() as reading:
        assert look.root(reading, schema.HOME + "per_other") is None


def test_a_picture_is_not_disturbed_by_what_is_written_meanwhile(metadata: Database, home: Node) -> None:
    with metadata.reading() as reading:
        assert look.children(reading, home.id) == []
        put(metadata, home.id, "x", b"1")
        assert look.children(reading, home.id) == []
    assert listing(metadata, home.id) == {"x": 1}


def test_nothing_is_taken_out_of_a_folder_that_another_person_locked(metadata: Database, home: Node) -> None:
    a = folder(metadata, home.id, "a")
    x = put(metadata, a.id, "x", b"1")
    metadata.write(lambda w: shares.make(w, ME, a.id, Wish("person", OTHER.person_id, rights="write")))
    metadata.write(lambda w: locks.lock(w, OTHER, a.id, deep=False, shared=False, owner="", timeout_s=60))
    with pytest.raises(Locked):
        metadata.write(lambda w: tree.move(w, ME, x.id, home.id, "x"))


def test_the_centres_database_says_where_metadata_lie_and_each_collectivite_has_its_own(
    backend_url: str, tmp_path: Path
) -> None:
    one, two = new_id("col"), new_id("col")
    with ThreadPoolExecutor(2) as pool:
        communes = Communes(tmp_path, pool, backend_url)
        roots = {
            which: communes.metadata(which).write(lambda w: tree.make_root(w, schema.COMMON, now_s=1)).id
            for which in (one, two)
        }
        put(communes.metadata(one), roots[one], "x", b"1")
        assert listing(communes.metadata(one), roots[one]) == {"x": 1}
        assert listing(communes.metadata(two), roots[two]) == {}
        for wrong in ("col_../x", "public", ""):
            with pytest.raises(NotFound):
                communes.metadata(wrong)
        communes.close()
    on_disk = {path.parent.name for path in tmp_path.glob("*/metadata.db")}
    assert on_disk == (set() if backend_url.startswith("postgresql:") else {one, two})


def test_a_name_is_found_whatever_number_of_them_is_taken(metadata: Database, home: Node) -> None:
    """Without looking at each: what comes back from the trash finds its place among thousands."""
    for number in range(1, 40):
        put(metadata, home.id, "PV.pdf" if number == 1 else f"PV ({number}).pdf", b"1")
    with metadata.reading() as reading:
        assert look.free_name(reading, home.id, "PV.pdf") == "PV (40).pdf"
        assert look.free_name(reading, home.id, "pv.PDF") == "pv (40).PDF", "capitals make no other name"
        assert look.free_name(reading, home.id, "Autre.pdf") == "Autre.pdf"
    put(metadata, home.id, "PV (40).pdf", b"1")
    with metadata.reading() as reading:
        assert look.free_name(reading, home.id, "PV.pdf") == "PV (80).pdf"
