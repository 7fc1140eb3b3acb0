"""A clock of the machine that is wrong for a while, ahead or behind: nothing of a drive ends by it, and terms go on."""

from __future__ import annotations

import pytest
from beffroi.drive.store import departed, look, moments, tree, uploads, versions
from beffroi.drive.upkeep import DAY_S
from beffroi.lib import clock

from tests.drive_place import LARGE, Place, place
from tests.fixtures_drive import noise

__all__ = ["place"]


def test_a_clock_that_jumps_destroys_nothing(place: Place) -> None:
    gone = place.put("jeté.bin", noise(LARGE))
    place.database.write(lambda w: tree.delete(w, place.act(), gone.id))
    clock.paced()
    with clock.jumped(3650 * DAY_S):
        place.work.round()
        place.work.round()
    with place.database.reading() as reading:
        assert look.node(reading, gone.id) is not None
    assert len(place.objects()) == 1


def test_a_year_ahead_for_some_hours_ends_nothing_that_people_left_here(place: Place) -> None:
    gone = place.put("jeté.bin", b"gone")
    place.put("réécrit.bin", b"before")
    place.put("réécrit.bin", b"after")
    place.database.write(lambda w: tree.delete(w, place.act(), gone.id))
    part = place.taken(b"part")
    place.database.write(lambda w: uploads.begin(w, place.act(), "u1"))
    place.database.write(lambda w: uploads.put_part(w, place.act(), "u1", 1, part))
    left_s = clock.epoch_s()
    place.database.write(lambda w: departed.take(w, "per_left", "group", ["grp_a"], left_s=left_s))

    def kept() -> tuple[int, ...]:
        tables = ("trash", "version", "upload", "part", "departed", "change")
        with place.database.reading() as reading:
            return tuple(len(reading.all(f"SELECT 1 FROM {table}")) for table in tables)

    before = kept()
    assert 0 not in before
    place.work.round()
    with clock.jumped(3650 * DAY_S):
        clock.paced()
        for hours in (2, 10):
            with clock.shifted(hours * 3600):  # by then it is believed
                assert clock.paced_s() > left_s + 3000 * DAY_S
                place.work.round()
    place.work.round()
    assert kept() == before
    with clock.shifted(2 * DAY_S):
        place.work.round()
        assert kept() == before, "nor by what was noted under the wrong one"


def test_what_went_while_the_clock_was_behind_stays_as_long_as_anything(place: Place) -> None:
    """A machine without a battery starts years ago; some minutes later its clock is right."""
    place.put("avant.bin", b"some change of today")
    old = place.put("réécrit.bin", b"since long")
    with clock.jumped(-3650 * DAY_S):
        gone = place.put("jeté.bin", noise(LARGE))
        place.database.write(lambda w: tree.delete(w, place.act(), gone.id))
        for n in range(5):
            place.put("réécrit.bin", b"%d" % n)
    place.put("réécrit.bin", b"later")

    def kept() -> tuple[bool, int]:
        with place.database.reading() as reading:
            return look.node(reading, gone.id) is not None, len(versions.of(reading, old.id))

    place.work.round()
    assert kept() == (True, 6)
    with clock.shifted(2 * DAY_S):
        place.put("suite.bin", b"x")
        place.work.round()
        assert kept()[0], "its term has begun when it was deleted"
        with place.database.reading() as reading:
            assert old.etag in {one.etag for one in versions.of(reading, old.id)}
    with clock.shifted(
        max(place.config.drive_trash_days, place.config.drive_version_days) * DAY_S + 3 * DAY_S
    ):
        place.put("fin.bin", b"x")
        place.next_round()
        assert kept() == (False, 0)


def test_an_upload_that_began_while_the_clock_was_behind_has_its_whole_term(place: Place) -> None:
    """The rest of a film, sent by a computer that was switched off for the night."""
    place.root()
    place.work.round()
    with clock.jumped(-3650 * DAY_S):
        place.database.write(lambda w: uploads.begin(w, place.act(), "u1"))
    found = []
    for day in range(1, 7):
        with clock.shifted(day * (DAY_S + 60)):
            place.work.round()
        with place.database.reading() as reading:
            found.append(bool(reading.one("SELECT 1 FROM upload")))
    assert found == [True] * 3 + [False] * 3


def test_a_past_is_shown_again_once_a_clock_that_ran_ahead_is_right(place: Place) -> None:
    root = place.root()
    with clock.shifted(3 * place.config.drive_version_days * DAY_S):
        place.put("plan.bin", b"1")
        place.work.round()
    place.put("plan.bin", b"22")
    then_s = clock.epoch_s()
    with clock.shifted(DAY_S + 60):
        place.put("plan.bin", b"333")
        place.work.round()
        with place.database.reading() as reading:
            then = moments.seen(reading, root.id, then_s, clock.epoch_s())
            assert [one.size_bytes for one in then.children(root.id)] == [2]
        place.work.round()
        with place.database.reading() as reading, pytest.raises(moments.MomentForgotten):
            moments.seen(reading, root.id, then_s - place.config.drive_version_days * DAY_S, clock.epoch_s())
