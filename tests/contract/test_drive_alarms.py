"""What a device did is read from the journal and taken back alike on every database, also when it breaks off."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import batched
from typing import Any

import pytest
from beffroi.drive import alarms, journal, recovery, recovery_steps
from beffroi.drive.beside import Beside
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.journal import Done
from beffroi.drive.store import look, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act, Node, QuotaFull, StoreFull
from beffroi.drive.store.writing import Writing

from tests.drive_trees import (
    ME,
    NOW_S,
    OTHER,
    Counted,
    Open,
    at,
    content,
    folder,
    listing,
    put,
    require_whole,
    seen,
)

pytest_plugins = ["tests.fixtures_drive_store"]
REFERENT = Act("per_referent", "", NOW_S + 100)
EVIL = at(NOW_S + 10)


def stop(metadata: Database, since: int = 0) -> None:
    alarm = Alarm(ME.device_id, float(EVIL.now_s), 3, {Sign.LOST: 3}, since)
    metadata.write(lambda w: alarms.raise_(w, alarm, now_s=EVIL.now_s))


def done(metadata: Database, number: int = 0) -> list[Done]:
    with metadata.reading() as reading:
        rows = journal.after(reading, number, 1000)
        return [one for row in rows if (one := journal.done(reading, row)) is not None]


def last(metadata: Database) -> int:
    with metadata.reading() as reading:
        return journal.after(reading, 0, 10_000)[-1].number


@contextmanager
def breaking_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The disk is full from the step after so many on."""
    taken, left = recovery_steps.taken, [steps]

    def take(*step: Any) -> bool:
        left[0] -= 1
        if left[0] < 0:
            raise StoreFull
        return taken(*step)

    with monkeypatch.context() as patch:
        patch.setattr(recovery_steps, "taken", take)
        yield


def test_the_journal_says_what_a_file_was_before_and_after(metadata: Database, home: Node) -> None:
    one = put(metadata, home.id, "a.txt", b"first", OTHER)
    since = last(metadata)
    put(metadata, home.id, "a.txt", b"second")
    metadata.write(lambda w: tree.move(w, ME, one.id, home.id, "b.txt"))
    put(metadata, home.id, "b.txt", b"third by somebody else", OTHER)
    metadata.write(lambda w: tree.delete(w, ME, one.id))
    changed, moved, theirs, deleted = done(metadata, since)
    assert changed.before is not None and changed.after is not None
    assert (changed.before.size_bytes, changed.after.size_bytes) == (5, 6)
    assert changed.after.written == changed.row.number
    assert (moved.row.name, moved.name) == ("a.txt", "b.txt")
    assert moved.after is not None and moved.after.written == changed.row.number
    assert theirs.before == moved.after
    assert deleted.name == "b.txt" and deleted.before is not None and deleted.before.size_bytes == 22


def test_what_is_moved_or_copied_over_a_file_is_a_change_of_it(metadata: Database, home: Node) -> None:
    for way in (tree.move, tree.copy):
        put(metadata, home.id, "a.txt", b"first", OTHER)
        other = put(metadata, home.id, "tmp", b"scrambled", OTHER)
        since = last(metadata)
        metadata.write(lambda w, to=way, it=other: to(w, ME, it.id, home.id, "a.txt", overwrite=True))
        (one,) = done(metadata, since)
        assert one.over is not None and one.after is not None and one.name == "a.txt"
        assert (one.over.size_bytes, one.after.size_bytes) == (5, 9)


def test_everything_comes_back_and_nothing_is_done_twice_when_it_breaks_off(
    metadata: Database, home: Node, opens: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MOST_STEPS", 3)
    inside = folder(metadata, home.id, "Budget", OTHER)
    for number in range(8):
        put(metadata, inside.id, f"{number}.txt", b"work %d" % number, OTHER)
    before = listing(metadata, home.id)
    for number in range(8):
        put(metadata, inside.id, f"{number}.txt", b"scrambled %d" % number, EVIL)
    put(metadata, inside.id, "LISEZ-MOI.txt", b"pay", EVIL)
    new = folder(metadata, home.id, "new", EVIL)
    metadata.write(lambda w: tree.move(w, EVIL, inside.id, new.id, "moved"))
    metadata.write(lambda w: tree.delete(w, EVIL, new.id))
    stop(metadata)
    with metadata.reading() as reading:
        assert recovery.preview(reading, ME.device_id)
    for steps in (4, 0, 3):
        with breaking_after(steps, monkeypatch), pytest.raises(StoreFull):
            recovery.carry_out(metadata, REFERENT, ME.device_id)
    with metadata.reading() as reading:
        alarm = alarms.find(reading, ME.device_id)
        assert (alarm.state, alarm.done) == ("restoring", 6) and alarms.waits_for_somebody(reading)
    again = opens()
    over = recovery.carry_out(again, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, home.id) == before
    with metadata.reading() as reading:
        require_whole(reading)
        assert not alarms.waits_for_somebody(reading) and alarms.stopped(reading) == {ME.device_id}


def test_what_was_discarded_for_the_first_sign_comes_back_and_what_came_before_it_stays(
    metadata: Database, home: Node
) -> None:
    """The alarm knows the change that gave the sign; the same request deleted what stood there, one number before."""
    put(metadata, home.id, "a.txt", b"work", OTHER)
    # A clock that was set back since.
    kept = put(metadata, home.id, "honest.txt", b"of the device", at(EVIL.now_s + 5))
    other = put(metadata, home.id, "tmp", b"scrambled", at(EVIL.now_s - 5))
    metadata.write(lambda w: tree.move(w, EVIL, other.id, home.id, "a.txt", overwrite=True))
    stop(metadata, last(metadata))
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    with metadata.reading() as reading:
        found = look.children(reading, home.id)
    assert {one.name for one in found if one.size_bytes == 4} == {"a.txt"}
    assert kept.id in {one.id for one in found}


def test_what_others_made_impossible_is_counted_and_the_rest_comes_back(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MOST_STEPS", 1)
    files = [put(metadata, home.id, f"{number}.txt", b"work", OTHER) for number in range(3)]
    for one in files:
        put(metadata, home.id, one.name, b"scrambled", EVIL)
    stop(metadata)
    with breaking_after(1, monkeypatch), pytest.raises(StoreFull):
        recovery.carry_out(metadata, REFERENT, ME.device_id)
    metadata.write(lambda w: tree.delete(w, OTHER, files[1].id))
    metadata.write(lambda w: trash.forget(w, OTHER, home.id, files[1].id))
    metadata.write(lambda w: trash.destroy(w, OTHER))
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.done, over.missed) == ("restored", 3, 1)
    assert set(listing(metadata, home.id)) >= {"0.txt", "2.txt"}
    with metadata.reading() as reading:
        kept = [reading.one("SELECT sha256 FROM node WHERE id = ?", (files[at].id,)) for at in (0, 2)]
    assert kept == [(content(b"work").sha256,)] * 2


def test_what_somebody_deleted_on_the_way_stays_in_their_trash(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MOST_STEPS", 1)
    names = ("0.txt", "1.txt", "2.txt")
    files = [put(metadata, home.id, name, b"work", OTHER) for name in names]
    into = folder(metadata, home.id, "into", OTHER)
    for one in files:
        metadata.write(lambda w, it=one: tree.move(w, EVIL, it.id, into.id, it.name))
    notes = [put(metadata, home.id, f"LISEZ-MOI {number}", b"pay", EVIL) for number in range(2)]
    stop(metadata)
    with breaking_after(1, monkeypatch), pytest.raises(StoreFull):
        recovery.carry_out(metadata, REFERENT, ME.device_id)
    gone = [files[2], *(one for one in notes if one.name in listing(metadata, home.id))]
    for one in gone:
        metadata.write(lambda w, it=one: tree.delete(w, OTHER, it.id))
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (len(gone), over.state, over.done, over.missed) == (2, "restored", 5, 2)
    assert set(listing(metadata, home.id)) == {"0.txt", "1.txt", "into"}
    with metadata.reading() as reading:
        assert {one.node for one in trash.page(reading, home.id)} >= {one.id for one in gone}
        require_whole(reading)


def test_what_somebody_did_in_a_file_of_the_device_comes_back(metadata: Database, home: Node) -> None:
    """The file stays, for it is theirs, too: as they left it."""
    files = [put(metadata, home.id, name, b"begun", EVIL) for name in ("spoiled", "gone", "both")]
    for one in files:
        put(metadata, home.id, one.name, b"work on " + one.name.encode(), at(EVIL.now_s, OTHER))
    for one in (files[0], files[2]):
        put(metadata, home.id, one.name, b"scrambled", EVIL)
    for one in files[1:]:
        metadata.write(lambda w, it=one: tree.delete(w, EVIL, it.id))
    put(metadata, home.id, "LISEZ-MOI", b"pay", EVIL)
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, home.id) == {one.name: len(b"work on ") + len(one.name) for one in files}
    for one in files:
        assert seen(metadata, one.id).sha256 == content(b"work on " + one.name.encode()).sha256


def test_files_that_changed_names_come_back_with_their_folder(metadata: Database, home: Node) -> None:
    """The one that comes first moves the other out of its way."""
    inside = folder(metadata, home.id, "Budget", OTHER)
    first, second = (put(metadata, inside.id, name, name.encode(), OTHER) for name in ("a.txt", "b.txt"))
    before = listing(metadata, home.id)
    for one, name in ((first, "c.txt"), (second, "a.txt"), (first, "b.txt")):
        metadata.write(lambda w, it=one, name=name: tree.move(w, EVIL, it.id, inside.id, name))
    metadata.write(lambda w: tree.delete(w, EVIL, inside.id))
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, home.id) == before
    assert (seen(metadata, first.id).name, seen(metadata, second.id).name) == ("a.txt", "b.txt")


def test_everything_comes_back_where_no_room_is_left(metadata: Database, home: Node) -> None:
    """What was encrypted takes the room of all of it once more, and whoever holds the device may fill the rest."""
    for number in range(8):
        put(metadata, home.id, f"{number}.txt", b"work %d" % number, OTHER)
    before = listing(metadata, home.id)
    for number in range(8):
        put(metadata, home.id, f"{number}.txt", b"lost %d" % number, EVIL)
    put(metadata, home.id, "filler", bytes(100), EVIL)
    for root in (home.id, 0):
        metadata.write(lambda w, it=root: tree.set_limit(w, it, 2 * 48 + 100))
    with pytest.raises(QuotaFull):
        put(metadata, home.id, "other.txt", b"x", OTHER)
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, home.id) == before
    with pytest.raises(QuotaFull):
        put(metadata, home.id, "other.txt", b"x", OTHER)


def test_what_stands_under_a_files_name_in_a_deleted_folder_makes_room(
    metadata: Database, home: Node
) -> None:
    inside = folder(metadata, home.id, "Budget", OTHER)
    kept = put(metadata, inside.id, "a.txt", b"work", OTHER)
    before = listing(metadata, home.id)
    metadata.write(lambda w: tree.delete(w, EVIL, kept.id))
    scrambled = folder(metadata, inside.id, "a.txt", EVIL)
    put(metadata, scrambled.id, "key", b"pay", EVIL)
    metadata.write(lambda w: tree.delete(w, EVIL, inside.id))
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, home.id) == before
    assert (seen(metadata, kept.id).parent, seen(metadata, kept.id).name) == (inside.id, "a.txt")


def test_a_device_that_filled_the_quota_is_taken_back(metadata: Database, home: Node) -> None:
    """Each file that it wrote over is kept as a version: that is what filled it."""
    files = [put(metadata, home.id, f"{number}.txt", b"work %d" % number, OTHER) for number in range(4)]
    metadata.write(lambda w: tree.set_limit(w, home.id, 8 * len(b"work 0")))
    for one in files:
        put(metadata, home.id, one.name, b"!" * len(b"work 0"), EVIL)
    with pytest.raises(QuotaFull):
        put(metadata, home.id, "more", b"1", EVIL)
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert [seen(metadata, one.id).sha256 for one in files] == [
        content(b"work %d" % n).sha256 for n in range(4)
    ]
    with pytest.raises(QuotaFull):
        put(metadata, home.id, "more", b"1", OTHER)


def test_names_that_differ_in_capitals_alone_are_one_name(metadata: Database, home: Node) -> None:
    """Both come back, one beside the other."""
    one = put(metadata, home.id, "B.txt", b"work", OTHER)
    metadata.write(lambda w: tree.move(w, EVIL, one.id, home.id, "locked"))
    theirs = put(metadata, home.id, "b.txt", b"theirs", at(EVIL.now_s, OTHER))
    metadata.write(lambda w: tree.delete(w, EVIL, theirs.id))
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, home.id) in ({"B.txt": 4, "b (avant).txt": 6}, {"B (avant).txt": 4, "b.txt": 6})


def test_what_a_colleague_took_out_of_the_trash_is_as_it_was(metadata: Database, home: Node) -> None:
    """Spoiled and renamed by the device, deleted by it, brought back as it lay there: nobody else changed it."""
    one = put(metadata, home.id, "a.txt", b"work", OTHER)
    metadata.write(lambda w: tree.move(w, EVIL, one.id, home.id, "a.locked"))
    put(metadata, home.id, "a.locked", b"scrambled", EVIL)
    metadata.write(lambda w: tree.delete(w, EVIL, one.id))
    metadata.write(lambda w: trash.restore(w, at(EVIL.now_s, OTHER), home.id, one.id))
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, home.id) == {"a.txt": 4}
    assert seen(metadata, one.id).sha256 == content(b"work").sha256


def test_what_a_colleague_deleted_with_a_folder_of_the_device_comes_back(
    metadata: Database, home: Node
) -> None:
    one = put(metadata, home.id, "a.txt", b"work", OTHER)
    old = folder(metadata, home.id, "old", OTHER)
    for name in ("b.txt", "c.txt"):
        put(metadata, folder(metadata, old.id, f"in {name}", OTHER).id, name, b"work", OTHER)
    with metadata.reading() as reading:
        (b_txt,) = [each for each in look.below(reading, old.id) if each.name == "b.txt"]
    evil = folder(metadata, home.id, "LOCKED", EVIL)
    metadata.write(lambda w: tree.move(w, EVIL, one.id, evil.id, "0.locked"))
    metadata.write(lambda w: tree.move(w, EVIL, old.id, evil.id, "1.locked"))
    put(metadata, evil.id, "0.locked", b"scrambled", EVIL)
    put(metadata, b_txt.parent, "b.txt", b"scrambled", EVIL)
    put(metadata, old.id, "LISEZ-MOI", b"pay", EVIL)
    metadata.write(lambda w: tree.delete(w, at(EVIL.now_s, OTHER), evil.id))
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, home.id) == {
        "a.txt": 4,
        "old": 8,
        "old/in b.txt": 4,
        "old/in b.txt/b.txt": 4,
        "old/in c.txt": 4,
        "old/in c.txt/c.txt": 4,
    }
    for node in (one.id, b_txt.id):
        assert seen(metadata, node).sha256 == content(b"work").sha256


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_folder_that_the_device_took_out_of_the_trash_goes_again(
    metadata: Database, home: Node, is_deleted: bool
) -> None:
    old = folder(metadata, home.id, "old", OTHER)
    for name in ("a.txt", "b.txt"):
        put(metadata, folder(metadata, old.id, f"in {name}", OTHER).id, name, b"work", OTHER)
    metadata.write(lambda w: tree.delete(w, OTHER, old.id))
    metadata.write(lambda w: trash.restore(w, EVIL, home.id, old.id))
    put(metadata, old.id, "LISEZ-MOI", b"pay", EVIL)
    if is_deleted:
        metadata.write(lambda w: tree.delete(w, EVIL, old.id))
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed, listing(metadata, home.id)) == ("restored", 0, {})
    with metadata.reading() as reading:
        assert old.id in {one.node for one in trash.page(reading, home.id)}


def test_beside_a_deletion_stand_the_new_files_of_its_person_that_could_be_made_of_it(
    metadata: Database, home: Node
) -> None:
    """Of the same beginning of the name, or a little longer, made there or lying there; of both elsewhere; those of the
    name first, and nobody else's."""
    another = replace(ME, device_id="app_another")
    inside = metadata.write(lambda w: tree.make_folder(w, ME, home.id, "dedans"))
    lost = put(metadata, home.id, "Pièce_1.docx", b"x" * 100, OTHER)
    put(metadata, home.id, "longer", b"x" * 150)
    put(metadata, home.id, "PIÈCE_1.docx.k9x2", b"x" * 9000)
    put(metadata, home.id, "PièceX1.docx", b"x" * 9000)
    put(metadata, home.id, "much longer", b"x" * 5000)
    put(metadata, home.id, "shorter", b"x" * 99)
    put(metadata, home.id, "of somebody else", b"x" * 150, OTHER)
    put(metadata, inside.id, "elsewhere", b"x" * 150)
    put(metadata, inside.id, "pièce_1.too much longer", b"x" * 9000)
    put(metadata, inside.id, "pièce_1.bin", b"x" * 101, another)
    away = put(metadata, home.id, "made here", b"x" * 160)
    metadata.write(lambda w: tree.move(w, ME, away.id, inside.id, "moved away"))
    gone = put(metadata, home.id, "deleted since", b"x" * 150)
    metadata.write(lambda w: tree.delete(w, ME, gone.id))
    put(metadata, home.id, "long ago", b"x" * 150, at(NOW_S - 1000))
    metadata.write(lambda w: tree.delete(w, ME, lost.id))
    with metadata.reading() as reading:
        row = journal.after(reading, 0, 1000)[-1]
        found = Beside().created(reading, row, since_s=NOW_S - 10)
    assert [(one.name, one.parent) for one in found] == [
        ("pièce_1.bin", inside.id),
        ("PIÈCE_1.docx.k9x2", home.id),
        ("moved away", home.id),
        ("longer", home.id),
    ]
    assert [one.after.size_bytes for one in found if one.after] == [101, 9000, 160, 150]


@pytest.mark.parametrize("is_whole", [True, False], ids=["with its folder", "by itself"])
def test_a_deletion_names_the_folders_around_it_and_younger_files_of_their_names(
    metadata: Database, home: Node, is_whole: bool
) -> None:
    acts = metadata.write(lambda w: tree.make_folder(w, ME, home.id, "Actes"))
    year = metadata.write(lambda w: tree.make_folder(w, ME, acts.id, "2025"))
    put(metadata, acts.id, "2025.zip", b"older")
    lost = put(metadata, year.id, "acte.pdf", b"x", OTHER)
    put(metadata, acts.id, "2025.7z", b"beside")
    put(metadata, year.id, "2025.rar", b"in it")
    put(metadata, home.id, "actes.7z", b"beside the one above")
    put(metadata, home.id, "2025.txt", b"too far")
    put(metadata, acts.id, "2025.doc", b"of somebody else", OTHER)
    metadata.write(lambda w: tree.delete(w, ME, year.id if is_whole else lost.id))
    with metadata.reading() as reading:
        row = journal.after(reading, 0, 1000)[-1]
        rows = [one.row for one in journal.went_along(reading, row, most=64)] if is_whole else [row]
        (row,) = (one for one in rows if one.node == lost.id)
        folders, found = Beside().named(reading, row, since_s=NOW_S - 10)
        assert Beside().named(reading, row, since_s=NOW_S + 10) == ((), []), "long ago"
    assert [one for one in folders if one[0] != home.id] == [(year.id, "2025"), (acts.id, "Actes")]
    assert [one.name for one in found] == ["actes.7z", "2025.rar", "2025.7z"]


def test_what_is_held_of_a_person_is_what_they_made_and_lies_there(metadata: Database, home: Node) -> None:
    """Whatever the device and others do there meanwhile."""
    dice, held, judged = random.Random(7), Beside(), 0
    folders = [
        home,
        *(metadata.write(lambda w, n=n: tree.make_folder(w, ME, home.id, n)) for n in ("a", "b")),
    ]
    for _ in range(60):
        for _ in range(6):
            with metadata.reading() as reading:
                rows = reading.all(
                    "SELECT id FROM node WHERE is_folder = 0 AND parent IN (?, ?, ?)",
                    [one.id for one in folders],
                )
            into, who, roll = dice.choice(folders), dice.choice((ME, OTHER)), dice.randrange(6)
            name, data = f"f{dice.randrange(20)}.{dice.choice('xy')}", b"x" * dice.randrange(60)
            if roll < 3 or not rows:
                put(metadata, into.id, name, data, who)
                continue
            node = dice.choice(rows)[0]
            if roll == 3:
                metadata.write(lambda w, it=(who, node, into.id, name): tree.move(w, *it, overwrite=True))
            else:
                metadata.write(lambda w, it=(who, node): tree.delete(w, *it))
        with metadata.reading() as reading:
            changes = journal.after(reading, judged, 1000)
            judged = changes[-1].number
            held.take(reading, changes)
            for row in changes:
                if row.kind == "deleted" and not row.is_folder:
                    assert held.created(reading, row, since_s=NOW_S) == Beside().created(
                        reading, row, since_s=NOW_S
                    )


def test_a_folder_that_is_emptied_is_read_once(metadata: Database, home: Node) -> None:
    costs = []
    for count in (100, 400):
        inside = metadata.write(lambda w, count=count: tree.make_folder(w, ME, home.id, str(count)))

        def fill(writing: Writing, inside: Node = inside, count: int = count) -> None:
            for number in range(count):
                tree.put(writing, OTHER, inside.id, f"{number}.odt", content(b"1"))
                tree.put(writing, ME, inside.id, f"{number}.odt.k", content(b"12"))
            for one in look.children(writing, inside.id):
                if one.name.endswith(".odt"):
                    tree.delete(writing, ME, one.id)

        with metadata.reading() as reading:
            last = reading.one("SELECT MAX(number) FROM change") or (0,)
        metadata.write(fill)
        beside, found = Beside(), 0
        with metadata.reading() as reading:
            counted = Counted(reading)
            for some in batched(journal.after(reading, last[0], 10_000), 64, strict=False):
                beside.take(counted, some)
                for row in some:
                    if row.kind == "deleted":
                        beside_it = beside.created(counted, row, since_s=0)
                        found += beside_it[0].name == f"{row.name}.k"
        assert found == count, "each beside its own"
        costs.append(counted.rows)
    assert costs[1] < 4.4 * costs[0], costs
