"""Verifications that are due, how far one came, alarms and sums, on every metadata."""

from __future__ import annotations

from beffroi.drive.seals import overview
from beffroi.drive.seals.overview import SOON_S, Sums
from beffroi.drive.store import seal_alarms, seal_checks, seals
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.seal_checks import NOBODY

from tests.drive_seal_rows import sealed
from tests.drive_trees import folder

pytest_plugins = ["tests.fixtures_drive_store"]
DAY_S = 86400


def due(database: Database, before_s: int, most: int = 10, *, now_s: int = 1 << 40) -> list[str]:
    with database.reading() as reading:
        return seal_checks.due(reading, before_s=before_s, now_s=now_s, most=most)


def checked(metadata: Database, seal_id: str, at_s: int, person_id: str = "per_me") -> str:
    made = metadata.write(lambda w: seal_checks.ask(w, seal_id, person_id=person_id, now_s=at_s))
    metadata.write(lambda w: seal_checks.finish(w, made.id, b"{}", now_s=at_s + 1))
    return made.id


def test_what_was_not_verified_for_long_is_due_the_longest_ago_first(metadata: Database, home: Node) -> None:
    first, second = (sealed(metadata, folder(metadata, home.id, name)) for name in ("a", "b"))
    begun_s = first.begun_s
    assert due(metadata, begun_s) == []
    assert set(due(metadata, begun_s + 1)) == {first.id, second.id}
    checked(metadata, first.id, begun_s + 10)
    assert due(metadata, begun_s + 5) == [second.id]
    assert due(metadata, begun_s + 20) == [second.id, first.id]
    assert due(metadata, begun_s + 20, most=1) == [second.id]
    metadata.write(lambda w: seal_checks.ask(w, second.id, person_id=NOBODY, now_s=begun_s + 30))
    assert due(metadata, begun_s + 25) == [first.id], "one is under way"
    metadata.write(lambda w: seals.end(w, first.id, "lifted", now_s=begun_s, by="per_me"))
    assert due(metadata, begun_s + 25) == []


def test_how_far_a_verification_came_is_kept_until_it_is_done_or_dropped(
    metadata: Database, home: Node
) -> None:
    seal = sealed(metadata, folder(metadata, home.id, "a"))
    made = metadata.write(lambda w: seal_checks.ask(w, seal.id, person_id=NOBODY, now_s=5))
    with metadata.reading() as reading:
        assert seal_checks.reached(reading, made.id) == (0, ())
    for number, damaged in enumerate((["a\u00e9.pdf"], [], ["b.pdf", "c.pdf"]), 1):
        metadata.write(
            lambda w, number=number, damaged=damaged: seal_checks.read_to(
                w, made.id, read_up_to=number, size_bytes=10, damaged=damaged
            )
        )
    with metadata.reading() as reading:
        assert seal_checks.reached(reading, made.id) == (3, ("a\u00e9.pdf", "b.pdf", "c.pdf"))
        kept = seal_checks.waiting(reading, seal.id)
        assert kept is not None and kept.done_bytes == 30
    taken = metadata.write(lambda w: seal_checks.ask(w, seal.id, person_id="per_me", now_s=6))
    assert (taken.id, taken.person_id) == (made.id, "per_me")
    assert (
        metadata.write(lambda w: seal_checks.ask(w, seal.id, person_id="per_you", now_s=7)).person_id
        == "per_me"
    )
    metadata.write(lambda w: seal_checks.drop(w, made.id))
    with metadata.reading() as reading:
        assert seal_checks.unfinished(reading) == []
        assert reading.one("SELECT 1 FROM seal_reading") is None


def test_an_alarm_is_open_until_all_is_well_it_is_settled_or_the_seal_ends(
    metadata: Database, home: Node
) -> None:
    seal = sealed(metadata, folder(metadata, home.id, "a"))

    def note(found: str, now_s: int) -> list[tuple[int, str]]:
        metadata.write(lambda w: seal_alarms.note(w, seal.id, found, now_s=now_s))
        with metadata.reading() as reading:
            return [(one.since_s, one.found) for one in seal_alarms.open_(reading)]

    assert note("", 1) == []
    assert note("one", 2) == [(2, "one")] == note("one", 3)
    assert note("two", 4) == [(2, "two")], "it began then"
    assert note("", 5) == []
    assert note("one", 6) == [(6, "one")]

    def settle(found: str, by: str, why: str, now_s: int) -> bool:
        return metadata.write(
            lambda w: seal_alarms.settle(w, seal.id, found=found, by=by, why=why, now_s=now_s)
        )

    assert not settle("another", "per_me", "perdu", 7), "words about a damage settle no other one"
    assert settle("one", "per_me", "perdu", 7)
    assert not settle("one", "per_you", "x", 8)
    assert note("one", 9) == []
    with metadata.reading() as reading:
        kept = seal_alarms.of(reading, seal.id)
    assert kept is not None and (kept.settled_by, kept.settled_why, kept.is_open) == (
        "per_me",
        "perdu",
        False,
    )
    assert note("three", 10) == [(10, "three")]
    metadata.write(lambda w: seals.end(w, seal.id, "lifted", now_s=11, by="per_me"))
    with metadata.reading() as reading:
        assert seal_alarms.open_(reading) == [] and seal_alarms.of(reading, seal.id) is None


def test_sums_count_what_stands(metadata: Database, home: Node) -> None:
    first = sealed(metadata, folder(metadata, home.id, "a"))
    second = sealed(metadata, folder(metadata, home.id, "b"), until_s=first.begun_s + SOON_S)
    checked(metadata, first.id, first.begun_s + 5)
    metadata.write(lambda w: seal_alarms.note(w, second.id, "x", now_s=77))

    def sums(now_s: int) -> Sums:
        with metadata.reading() as reading:
            return overview.sums(reading, now_s=now_s)

    now = sums(first.begun_s)
    assert (now.folders, now.ending, now.over, now.unchecked) == (2, 1, 0, 1)
    assert (now.checked_s, now.oldest_s, now.damaged, now.since_s) == (
        first.begun_s + 6,
        first.begun_s + 6,
        1,
        77,
    )
    assert (now.files, now.size_bytes) == (first.files + second.files, first.size_bytes + second.size_bytes)
    assert sums(first.begun_s + SOON_S).over == 1 and sums(first.begun_s - DAY_S).ending == 0
    for one in (first, second):
        metadata.write(lambda w, it=one: seals.end(w, it.id, "lifted", now_s=1, by="per_me"))
    assert sums(first.begun_s) == Sums()


def test_a_clock_that_was_ahead_puts_off_neither_a_verification_nor_an_authority(
    metadata: Database, home: Node
) -> None:
    seal = sealed(metadata, folder(metadata, home.id, "a"))
    now_s, ahead_s = seal.begun_s + 100 * DAY_S, seal.begun_s + 3650 * DAY_S
    checked(metadata, seal.id, ahead_s)
    assert due(metadata, now_s - DAY_S, now_s=now_s) == [seal.id]
    made = checked(metadata, seal.id, now_s)
    assert due(metadata, now_s - DAY_S, now_s=now_s) == []
    with metadata.reading() as reading:
        newest = seal_checks.last(reading, seal.id)
    assert newest is not None and newest.id == made, "its report is the one that is shown"
    metadata.write(lambda w: w.run("UPDATE seal SET stamp = 'wanted', told_s = 1 WHERE id = ?", (seal.id,)))

    def asked(retry_before_s: int) -> list[str]:
        with metadata.reading() as reading:
            found = seals.unfinished(reading, retry_before_s=retry_before_s, now_s=now_s)
        return [one.id for one in found]

    for tried_s, is_due in ((now_s, False), (now_s - 1000, True), (ahead_s, True)):
        metadata.write(lambda w, at=tried_s: seals.tried(w, seal.id, now_s=at))
        assert asked(now_s - 900) == ([seal.id] if is_due else [])
