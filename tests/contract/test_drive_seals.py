"""A sealed folder refuses every change, by whatever function, on every database; what is beside it does not."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive import recovery_steps
from beffroi.drive.archives.rules import Sealed
from beffroi.drive.guard.steps import Copy, Move, Remove, Revert, Revive, Step
from beffroi.drive.store import (
    collect,
    look,
    moments,
    seal_checks,
    seal_ends,
    seals,
    tags,
    trash,
    tree,
    uploads,
    versions,
    ways,
)
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import EMPTY, Node
from beffroi.drive.store.seal_ends import Elimination
from beffroi.drive.store.seals import SealRefused
from beffroi.drive.store.writing import Writing
from beffroi.drive.who import Who
from beffroi.lib import clock
from beffroi.lib.ids import new_id

from tests.drive_seal_rows import a_seal, sealed
from tests.drive_trees import (
    ME,
    NOW_S,
    at,
    content,
    folder,
    go_back,
    listing,
    loose,
    put,
    require_whole,
    seen,
    way_to,
)

pytest_plugins = ["tests.fixtures_drive_store"]
DAY_S = 86400


@dataclass
class World:
    """home: year/ holds the sealed folder (a, sub/b), beside/ and c; ``old``: of the sealed folder, in the trash;
    ``etag``: of a version of a."""

    database: Database
    home: Node
    year: Node
    sealed: Node
    sub: Node
    a: Node
    b: Node
    beside: Node
    c: Node
    old: Node
    etag: int


@pytest.fixture
def world(metadata: Database, home: Node) -> World:
    year = folder(metadata, home.id, "2026")
    inner = folder(metadata, year.id, "Factures")
    sub = folder(metadata, inner.id, "Mars")
    first = put(metadata, inner.id, "a.pdf", b"first")
    a = put(metadata, inner.id, "a.pdf", b"second")
    b = put(metadata, sub.id, "b.pdf", b"b")
    old = put(metadata, inner.id, "ancien.pdf", b"old")
    metadata.write(lambda w: tree.delete(w, ME, old.id))
    beside = folder(metadata, year.id, "Courrier")
    c = put(metadata, beside.id, "c.pdf", b"c")
    sealed(metadata, inner)
    return World(metadata, home, year, inner, sub, a, b, beside, c, old, first.etag)


def _upload(w: Writing, x: World) -> None:
    uploads.begin(w, ME, "up")
    uploads.put_part(w, ME, "up", 1, content(b"part"))
    joined = uploads.join(w, ME.person_id, "up")
    uploads.finish(w, ME, "up", joined, EMPTY, parent=x.sub.id, name="n", mtime_s=1)


def _take(w: Writing, x: World, step: ways.Step) -> None:
    ways.take(w, ME, x.year.id, step, {})


def _past(x: World, one: Node) -> moments.Past:
    return moments.Past(one.id, x.beside.id, "autre", False, 1, 1, one.etag, True, True)


def _recover(w: Writing, step: Step) -> None:
    """As after an alarm, where such a step is passed over and counted."""
    before = w.all("SELECT * FROM node ORDER BY id"), w.all("SELECT * FROM chunk ORDER BY id")
    assert not recovery_steps.taken(w, ME, "per_me", step)
    after = w.all("SELECT * FROM node ORDER BY id"), w.all("SELECT * FROM chunk ORDER BY id")
    assert after == before, "nothing is half done where the error is caught"
    recovery_steps.take(w, ME, "per_me", step)


def _moved_in(w: Writing, x: World) -> None:
    """Two steps in one change: a node that was looked at outside is looked at again where it lies then."""
    tree.set_properties(w, ME, x.c.id, "", mtime_s=5)
    tree.move(w, ME, x.c.id, x.sub.id, "c.pdf")


TAGGING = Who(ME.person_id, "mem_me", "col_" + "1" * 26, "agent", "me", "Me", "")


def _tagged(w: Writing, x: World) -> tags.Tag:
    made = tags.make(w, ME, "signé", visible=True, assignable=True)
    for node in (x.c, x.a):
        tags.assign(w, TAGGING, node.id, made.id)
    return made


def _changed(w: Writing, x: World, **fields: object) -> None:
    """Of all files, by who made it: of what is sealed, too."""
    tags.change(w, TAGGING, _tagged(w, x)._replace(**fields))  # type: ignore[arg-type]


type Change = Callable[[Writing, World], object]
REFUSED: dict[str, Change] = {
    "make_folder": lambda w, x: tree.make_folder(w, ME, x.sub.id, "n"),
    "put, new": lambda w, x: tree.put(w, ME, x.sealed.id, "n", content(b"n")),
    "put, over": lambda w, x: tree.put(w, ME, x.sealed.id, "a.pdf", content(b"n")),
    "replace": lambda w, x: tree.replace(w, ME, x.a, content(b""), mtime_s=1),
    "move, within": lambda w, x: tree.move(w, ME, x.a.id, x.sub.id, "a.pdf"),
    "move, renamed": lambda w, x: tree.move(w, ME, x.a.id, x.sealed.id, "z.pdf"),
    "move, out": lambda w, x: tree.move(w, ME, x.a.id, x.beside.id, "a.pdf"),
    "move, in": lambda w, x: tree.move(w, ME, x.c.id, x.sub.id, "c.pdf"),
    "move, in, after another change": _moved_in,
    "move, over": lambda w, x: tree.move(w, ME, x.c.id, x.sealed.id, "a.pdf", overwrite=True),
    "move, itself": lambda w, x: tree.move(w, ME, x.sealed.id, x.beside.id, "F"),
    "move, itself renamed": lambda w, x: tree.move(w, ME, x.sealed.id, x.year.id, "F"),
    "move, the one above": lambda w, x: tree.move(w, ME, x.year.id, x.home.id, "2027"),
    "move, over the one above": lambda w, x: tree.move(
        w, ME, x.beside.id, x.home.id, "2026", overwrite=True
    ),
    "relocate": lambda w, x: tree.relocate(w, ME, x.c, x.sub, "c", kind="moved"),
    "copy, in": lambda w, x: tree.copy(w, ME, x.c.id, x.sub.id, "c.pdf"),
    "copy, over": lambda w, x: tree.copy(w, ME, x.c.id, x.sealed.id, "a.pdf", overwrite=True),
    "delete, a file": lambda w, x: tree.delete(w, ME, x.b.id),
    "delete, itself": lambda w, x: tree.delete(w, ME, x.sealed.id),
    "delete, the one above": lambda w, x: tree.delete(w, ME, x.year.id),
    "discard": lambda w, x: tree.discard(w, ME, x.sub),
    "set_properties": lambda w, x: tree.set_properties(w, ME, x.a.id, "{}"),
    "set_properties, time": lambda w, x: tree.set_properties(w, ME, x.sealed.id, "", mtime_s=1),
    "insert, noted": lambda w, x: tree.note(
        w, ME, "created",
        tree.insert(w, x.sub.id, "n", True, content(b""), mtime_s=1, now_s=NOW_S), w.number(), before=0,
    ),
    "trash.restore": lambda w, x: trash.restore(w, ME, x.home.id, x.old.id),
    "trash.bring_back": lambda w, x: trash.bring_back(w, ME, x.old.id, x.sub.id, "n"),
    "trash.forget": lambda w, x: trash._forget(w, ME, [x.sealed.id]),
    "trash.destroy": lambda w, x: trash._destroyed(w, ME, x.b),
    "versions.restore": lambda w, x: versions.restore(w, ME, x.a.id, x.etag),
    "versions.delete": lambda w, x: versions.delete(w, ME, x.a.id, x.etag),
    "uploads.finish": _upload,
    "ways, remove": lambda w, x: _take(w, x, ways.Step("remove", x.b.id)),
    "ways, place": lambda w, x: _take(w, x, ways.Step("place", x.b.id, _past(x, x.b))),
    "ways, plan": lambda w, x: way_to(w, x.sub.id, NOW_S),
    "recovery, revert": lambda w, x: _recover(w, Revert(str(x.a.id), str(x.etag))),
    "recovery, move": lambda w, x: _recover(w, Move(str(x.a.id), str(x.beside.id), "n")),
    "recovery, revive": lambda w, x: _recover(w, Revive(str(x.old.id), str(x.sub.id), "n", "present")),
    "recovery, copy": lambda w, x: _recover(w, Copy(str(x.a.id), str(x.etag), str(x.sub.id), "n")),
    "recovery, remove": lambda w, x: _recover(w, Remove(str(x.b.id))),
    "tags.remove": lambda w, x: tags.remove(w, TAGGING, _tagged(w, x).id),
    "tags.change, name": lambda w, x: _changed(w, x, name="refusé"),
    "tags.change, hidden": lambda w, x: _changed(w, x, is_visible=0),
    "seals.begin, within": lambda w, x: seals.begin(w, a_seal(x.sub)),
}  # fmt: skip
CHANGERS = {
    "tree.insert": "insert, noted",
    "tree.replace": "replace",
    "tree.relocate": "relocate",
    "tree.discard": "discard",
    "tree.set_properties": "set_properties",
    "trash._forget": "trash.forget",
    "trash._destroyed": "trash.destroy",
    "versions._drop": "versions.delete",
    "weights.mend": "",  # sizes of folders alone
    "scrub._relist": "",  # the list of the same content again, from a copy
    "writing.settle": "",  # etags and sizes of folders, after changes that were asked about
}
"""Each function of the store that writes nodes, versions or the trash, and the row above that shows its refusal."""


def test_every_function_that_changes_something_is_shown_to_refuse() -> None:
    found = set()
    for path in sorted(Path(inspect.getfile(tree)).parents[1].rglob("*.py")):
        for one in ast.walk(ast.parse(path.read_text())):
            if isinstance(one, ast.FunctionDef) and any(
                isinstance(text, ast.Constant)
                and isinstance(text.value, str)
                and text.value.lstrip().startswith(
                    tuple(
                        f"{verb} {table} "
                        for verb in ("INSERT INTO", "UPDATE", "DELETE FROM")
                        for table in ("node", "version", "trash")
                    )
                )
                for text in ast.walk(one)
            ):
                found.add(f"{path.stem}.{one.name}")
    assert found == set(CHANGERS)
    assert {row for row in CHANGERS.values() if row} <= set(REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_sealed_refuses(world: World, name: str) -> None:
    before = listing(world.database, world.home.id)
    with pytest.raises(Sealed):
        world.database.write(lambda w: REFUSED[name](w, world))
    assert listing(world.database, world.home.id) == before
    with world.database.reading() as reading:
        require_whole(reading)
        assert len(versions.of(reading, world.a.id)) == 1


ALLOWED: dict[str, Change] = {
    "a file beside": lambda w, x: tree.put(w, ME, x.beside.id, "n", content(b"n")),
    "a folder in the one above": lambda w, x: tree.make_folder(w, ME, x.year.id, "n"),
    "delete beside": lambda w, x: tree.delete(w, ME, x.beside.id),
    "move beside": lambda w, x: tree.move(w, ME, x.beside.id, x.home.id, "n"),
    "copy out": lambda w, x: tree.copy(w, ME, x.sealed.id, x.beside.id, "copie"),
    "properties of the one above": lambda w, x: tree.set_properties(w, ME, x.year.id, "{}", mtime_s=5),
    "old trash of it": lambda w, x: trash.forget(w, ME, x.home.id, x.old.id),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_beside_a_sealed_folder_changes_as_before(world: World, name: str) -> None:
    world.database.write(lambda w: ALLOWED[name](w, world))
    copied = world.database.write(lambda w: tree.copy(w, ME, world.sealed.id, world.home.id, "copie"))[0]
    world.database.write(lambda w: tree.delete(w, ME, copied.id))
    with world.database.reading() as reading:
        require_whole(reading)


def test_a_change_in_the_group_that_seals_is_refused_too(metadata: Database, home: Node) -> None:
    one = folder(metadata, home.id, "Factures")

    def both(writing: Writing) -> None:
        tree.put(writing, ME, one.id, "a", content(b"a"))  # asked before it was sealed
        seals.begin(writing, a_seal(one))
        tree.put(writing, ME, one.id, "b", content(b"b"))

    with pytest.raises(Sealed):
        metadata.write(both)
    assert listing(metadata, home.id) == {"Factures": 0}
    put(metadata, one.id, "a", b"a")


def test_thinning_collection_and_terms_leave_what_is_sealed(world: World) -> None:
    later_s = NOW_S + 4000 * DAY_S
    versions.thin_all(world.database, now_s=later_s, keep_s=DAY_S)
    world.database.write(lambda w: trash.expire(w, at(later_s), before_s=later_s))
    trash.destroy_all(world.database, at(later_s))

    class Nothing:
        def list(self) -> list[Any]:
            return []

        def delete(self, chunk_id: bytes) -> None:
            raise AssertionError(chunk_id)

    collect.run(world.database, Nothing(), now_s=later_s)  # type: ignore[arg-type]
    with world.database.reading() as reading:
        assert len(versions.of(reading, world.a.id)) == 1
        assert look.node(reading, world.old.id) is None
        require_whole(reading)
    assert loose(world.database) == 1, "of the file that lay in the trash"
    assert listing(world.database, world.home.id)["2026/Factures/a.pdf"] == len(b"second")


def test_a_way_back_goes_round_what_is_sealed(world: World) -> None:
    put(world.database, world.beside.id, "d.pdf", b"later", at(NOW_S + 50))
    with world.database.reading() as reading:
        way = way_to(reading, world.home.id, NOW_S)
        first = way_to(reading, world.home.id, NOW_S - 1)
    assert (way.removed, way.moved, way.rewritten) == (1, 0, 0)
    go_back(world.database, way, NOW_S + 60)
    assert "2026/Courrier/d.pdf" not in listing(world.database, world.home.id)
    go_back(world.database, first, NOW_S + 61)
    kept = {"2026": 7, "2026/Factures": 7, "2026/Factures/a.pdf": 6, "2026/Factures/Mars": 1}
    assert listing(world.database, world.home.id) == {**kept, "2026/Factures/Mars/b.pdf": 1}


def test_one_seal_stands_on_a_path(world: World) -> None:
    with pytest.raises(SealRefused):
        world.database.write(lambda w: seals.begin(w, a_seal(world.year)))
    with pytest.raises(SealRefused):
        world.database.write(lambda w: seals.begin(w, a_seal(world.home)))
    with pytest.raises(SealRefused):
        world.database.write(lambda w: seals.begin(w, a_seal(world.c)))
    with pytest.raises(Sealed):
        world.database.write(lambda w: seals.begin(w, a_seal(world.sealed)))
    sealed(world.database, world.beside)
    with world.database.reading() as reading:
        looking = seals.Looking(reading)
        reaches = {one.name: looking.reach(one) for one in look.below(reading, world.home.id)}
        assert looking.reach(seen(world.database, world.home.id)) == "above"
        found = seals.covering(reading, world.b.id)
        assert found is not None and found.node == world.sealed.id
        assert seals.covering(reading, world.year.id) is None
    inside = {"Factures", "Mars", "a.pdf", "b.pdf", "Courrier", "c.pdf"}
    assert reaches == {"2026": "above", **dict.fromkeys(inside, "inside")}


def test_folders_have_new_etags_for_sync_clients_and_files_keep_theirs(
    metadata: Database, home: Node
) -> None:
    one = folder(metadata, home.id, "Factures")
    sub = folder(metadata, one.id, "Mars")
    file = put(metadata, sub.id, "a.pdf", b"a")
    before = [seen(metadata, node).etag for node in (home.id, one.id, sub.id, file.id)]
    sealed(metadata, one)
    after = [seen(metadata, node).etag for node in (home.id, one.id, sub.id, file.id)]
    assert [late > early for early, late in zip(before, after, strict=True)] == [True, True, True, False]


def test_no_clock_opens_a_sealed_folder(metadata: Database, home: Node) -> None:
    one = folder(metadata, home.id, "Factures")
    made = sealed(metadata, one, until_s=NOW_S + DAY_S)
    for jump_s in (-40 * 365 * DAY_S, 40 * 365 * DAY_S):
        with clock.jumped(jump_s), pytest.raises(Sealed):
            metadata.write(lambda w: tree.put(w, at(clock.epoch_s()), one.id, "a", content(b"a")))
    with metadata.reading() as reading:
        assert seals.find(reading, made.id).until_s == NOW_S + DAY_S


def test_what_is_lifted_changes_again_and_its_texts_stay(world: World) -> None:
    with world.database.reading() as reading:
        seal = seals.covering(reading, world.sealed.id)
    assert seal is not None
    assert world.database.write(lambda w: seals.end(w, seal.id, "lifted", now_s=NOW_S, by="per_me"))
    assert not world.database.write(lambda w: seals.end(w, seal.id, "lifted", now_s=NOW_S, by="per_me"))
    put(world.database, world.sub.id, "n", b"n")
    with world.database.reading() as reading:
        assert seals.texts(reading, seal.id) == {"sceau.txt": b"x"}
        assert seals.find(reading, seal.id).state == "lifted"
    sealed(world.database, world.sealed)


def test_a_sealing_that_failed_frees_the_folder(metadata: Database, home: Node) -> None:
    one = folder(metadata, home.id, "Factures")
    made = a_seal(one)
    metadata.write(lambda w: seals.begin(w, made))
    for name in (b"a\n", b"b\n"):
        metadata.write(
            lambda w, name=name: seals.read_to(w, made.id, reached=1, files=1, size_bytes=2, damaged=name)
        )
    with pytest.raises(Sealed):
        put(metadata, one.id, "n", b"n")
    metadata.write(lambda w: seals.fail(w, made.id, now_s=NOW_S))
    put(metadata, one.id, "n", b"n")
    with metadata.reading() as reading:
        found = seals.find(reading, made.id)
        assert (found.state, found.done_files, found.done_bytes) == ("failed", 2, 4)
        assert seals.texts(reading, made.id) == {seals.DAMAGED: b"a\nb\n"}


def test_an_elimination_destroys_once_and_leaves_a_record(world: World) -> None:
    with world.database.reading() as reading:
        seal = seals.covering(reading, world.sealed.id)
    assert seal is not None
    record = Elimination(seal.id, "apr_1", "per_me", "per_other", "AD21-1", "2036-01-02", "AD21", NOW_S)
    assert world.database.write(lambda w: seal_ends.eliminate(w, ME, record))
    assert not world.database.write(lambda w: seal_ends.eliminate(w, ME, record))
    trash.destroy_all(world.database, ME)
    with world.database.reading() as reading:
        require_whole(reading)
        assert look.node(reading, world.a.id) is None and look.node(reading, world.c.id) is not None
        assert seal_ends.of(reading, seal.id) == record
        assert seals.find(reading, seal.id).state == "destroyed"
        assert [one.node for one in trash.page(reading, world.home.id)] == [world.old.id]


def test_checks_wait_once_and_the_oldest_reports_go(world: World) -> None:
    seal_id = new_id("seal")
    database = world.database
    first = database.write(lambda w: seal_checks.ask(w, seal_id, person_id="per_me", now_s=NOW_S))
    assert (
        database.write(lambda w: seal_checks.ask(w, seal_id, person_id="per_other", now_s=NOW_S + 1)) == first
    )
    for number in range(seal_checks.MOST_KEPT + 5):
        one = database.write(
            lambda w, at=NOW_S + number: seal_checks.ask(w, seal_id, person_id="per_me", now_s=at)
        )
        database.write(lambda w, it=one.id: seal_checks.finish(w, it, b"{}", now_s=NOW_S))
        database.write(lambda w, it=one.id: seal_checks.told(w, it, now_s=NOW_S))
    with database.reading() as reading:
        row = reading.one("SELECT COUNT(*) FROM seal_check WHERE seal = ?", (seal_id,))
        assert row is not None and row[0] == seal_checks.MOST_KEPT
        found = seal_checks.last(reading, seal_id)
        assert found is not None and found.id == one.id
        assert reading.one("SELECT id FROM seal_check WHERE id = ?", (first.id,)) is None
