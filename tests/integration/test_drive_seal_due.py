"""Verifications that nobody asks for: due each quarter, one portion at a time, and what they find is not forgotten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive.seals import contents, overview, verification
from beffroi.drive.seals import desk as desk_module
from beffroi.drive.seals.overview import Sums
from beffroi.drive.seals.verification import EVERY_S, Verifier, unpacked
from beffroi.drive.store import seal_alarms, seal_checks, seals, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.seal_checks import NOBODY, Check
from beffroi.drive.store.seals import NO_END
from beffroi.lib import clock
from beffroi.lib.config import SettingInvalid
from beffroi.lib.errors import Unavailable

from tests.drive_place import Place, place
from tests.drive_sealing import FILES, Told, begun, checked, damage, desk_of, filled
from tests.integration.test_drive_archives_stamps import an_authority
from tests.waiting import until

__all__ = ["place"]
DAY_S = 86400


def last(place: Place, seal_id: str) -> Check | None:
    with place.database.reading() as reading:
        return seal_checks.last(reading, seal_id)


def asked_for_due(place: Place) -> int:
    """How many verifications are under way after a sweep."""
    desk_of(place)._verifier.ask_for_due(place.database)
    with place.database.reading() as reading:
        return len(seal_checks.unfinished(reading))


def test_a_quarter_after_the_last_one_a_seal_is_verified_by_itself(place: Place) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    assert asked_for_due(place) == 0
    told = Told()
    with clock.shifted(EVERY_S + DAY_S):
        desk = desk_of(place, told)
        desk.start()
        try:
            until(lambda: last(place, seal_id) is not None and told, "it is checked and told")
        finally:
            desk.stop()
        found = last(place, seal_id)
        assert found is not None and found.person_id == NOBODY and unpacked(found.report).intact
        assert told == [
            (
                "drive:seal_checked",
                {"seal_id": seal_id, "person_id": "", "intact": 1, "absent": 0, "changed": 0, "added": 0},
            )
        ]
        assert asked_for_due(place) == 0, "not again before the next quarter"
    with clock.shifted(2 * EVERY_S + 2 * DAY_S):
        assert asked_for_due(place) == 1
        assert asked_for_due(place) == 1, "one at a time of a seal"


def test_who_asks_puts_off_the_one_that_is_due(place: Place) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    with clock.shifted(EVERY_S - DAY_S):
        assert checked(place, seal_id).intact
    with clock.shifted(EVERY_S + DAY_S):
        assert asked_for_due(place) == 0


def test_what_is_due_is_one_portion_at_a_time_and_goes_on_after_a_kill(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MOST_FILES", 1)
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    damaged = damage(place, "bit")
    with clock.shifted(EVERY_S + DAY_S):
        assert asked_for_due(place) == 1
        for number in range(len(FILES)):
            assert last(place, seal_id) is None, number
            desk_of(place).work(place.owner)  # another process each time
        with place.database.reading() as reading:
            (under_way,) = seal_checks.unfinished(reading)
            assert under_way.done_bytes == sum(map(len, FILES.values()))
            assert seal_checks.reached(reading, under_way.id).damaged == (damaged,)
        mended(place)  # what was found stays found until the next verification
        desk_of(place).work(place.owner)
    found = last(place, seal_id)
    assert found is not None and unpacked(found.report).changed == ((damaged, ("content",)),)
    with place.database.reading() as reading:
        assert reading.one("SELECT 1 FROM seal_reading") is None


def mended(place: Place) -> None:
    """The object as it was before ``damage`` with "bit"."""
    damage(place, "bit")


def test_what_failed_is_tried_again_long_before_the_next_look_at_all(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "AGAIN_S", 0.1)
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    desk = desk_of(place)
    step, failed = desk._verifier.step, list[str]()

    def failing_once(collectivite_id: str, database: Database, check: Check) -> bool:
        if not failed:
            failed.append(collectivite_id)
            raise Unavailable("The store")
        return step(collectivite_id, database, check)

    monkeypatch.setattr(desk._verifier, "step", failing_once)
    place.database.write(lambda w: seal_checks.ask(w, seal_id, person_id="per_ref", now_s=clock.epoch_s()))
    desk.start()
    try:
        until(lambda: last(place, seal_id) is not None, "it is checked")
    finally:
        desk.stop()
    assert failed == [place.owner]


def test_a_person_who_asks_takes_over_the_one_that_is_due(place: Place) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    with clock.shifted(EVERY_S + DAY_S):
        assert asked_for_due(place) == 1
        assert checked(place, seal_id).intact
    found = last(place, seal_id)
    assert found is not None and found.person_id == "per_ref"


def test_a_seal_that_ended_meanwhile_is_no_alarm(place: Place) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    with clock.shifted(EVERY_S + DAY_S):
        asked_for_due(place)
    place.database.write(lambda w: seals.end(w, seal_id, "lifted", now_s=1, by="per_ref"))
    told = Told()
    desk_of(place, told).work(place.owner)
    with place.database.reading() as reading:
        assert seal_checks.unfinished(reading) == [] and seal_alarms.open_(reading) == []
    assert told == []


def test_a_damage_is_an_alarm_until_it_is_mended_or_settled_and_another_one_opens_it_again(
    place: Place,
) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    assert overview.problem(place.config) == ""
    damage(place, "bit")
    checked(place, seal_id)
    assert overview.problem(place.config).startswith(
        "1 sealed folders of 1 collectivités are not what was sealed"
    )
    with place.database.reading() as reading:
        (alarm,) = seal_alarms.open_(reading)
    assert checked(place, seal_id) and alarms(place) == [alarm], "the same damage is the same alarm"
    mended(place)
    assert checked(place, seal_id).intact and alarms(place) == []
    assert overview.problem(place.config) == ""

    damage(place, "gone")
    checked(place, seal_id)
    settled = place.database.write(
        lambda w: seal_alarms.settle(
            w, seal_id, found=alarms(place)[0].found, by="per_ref", why="perdu, constaté", now_s=5
        )
    )
    assert settled and alarms(place) == []
    checked(place, seal_id)
    assert alarms(place) == [] and overview.problem(place.config) == "", "what is known is not told again"
    place.database.write(lambda w: w.run("UPDATE node SET mtime_s = 1 WHERE name = 'a.pdf'"))
    checked(place, seal_id)
    assert len(alarms(place)) == 1, "more was damaged than what was settled"


def alarms(place: Place) -> list[seal_alarms.Alarm]:
    with place.database.reading() as reading:
        return seal_alarms.open_(reading)


def test_the_overview_has_numbers_and_no_name(place: Place) -> None:
    folder = filled(place, FILES)
    now_s = clock.epoch_s()
    seal_id = begun(place, folder, until_s=now_s + 30 * DAY_S)
    desk_of(place).work(place.owner)
    size_bytes = sum(map(len, FILES.values()))
    assert overview.read(place.config) == {
        place.owner: Sums(folders=1, files=4, size_bytes=size_bytes, ending=1, unchecked=1)
    }
    checked(place, seal_id)
    found = overview.read(place.config)[place.owner]
    assert found.unchecked == 0 and found.checked_s == found.oldest_s >= now_s
    written = overview.path(place.config)
    assert written.stat().st_mode & 0o777 == 0o600
    assert "Factures" not in written.read_text() and "pdf" not in json.dumps(written.read_text())
    with clock.shifted(31 * DAY_S):
        desk_of(place).work(place.owner)
    found = overview.read(place.config)[place.owner]
    assert (found.ending, found.over) == (0, 1)
    place.database.write(lambda w: seals.end(w, seal_id, "lifted", now_s=1, by="per_ref"))
    desk_of(place).work(place.owner)
    assert overview.read(place.config) == {}
    place.database.write(lambda w: w.run("UPDATE seal SET state = 'sealed', until_s = ?", (NO_END,)))
    desk = desk_of(place)
    desk.work(place.owner)
    assert overview.read(place.config)[place.owner].ending == 0
    desk._overview.keep([])
    assert overview.read(place.config) == {}, "a collectivité without a drive is not in it"


@pytest.mark.parametrize("text", ["", "{", '{"col": 3}', '{"col": {"folders": "x"}}', "\x00"])
def test_an_overview_that_cannot_be_read_says_nothing(place: Place, text: str) -> None:
    overview.path(place.config).parent.mkdir(parents=True, exist_ok=True)
    overview.path(place.config).write_text(text)
    assert overview.read(place.config) == {} and overview.problem(place.config) == ""


def test_the_digest_of_a_damage_is_that_of_the_damage_alone(place: Place) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    assert verification.digest(checked(place, seal_id)) == ""
    damage(place, "gone")
    first, again = checked(place, seal_id), checked(place, seal_id)
    assert verification.digest(first) == verification.digest(again) != ""
    assert isinstance(desk_of(place)._verifier, Verifier)


def test_a_seal_that_ends_while_its_last_portion_is_read_is_no_alarm(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = filled(place, FILES)
    seal_id = begun(place, folder)
    desk_of(place).work(place.owner)
    place.database.write(lambda w: seal_checks.ask(w, seal_id, person_id="per_ref", now_s=clock.epoch_s()))
    told = Told()
    desk = desk_of(place, told)
    read = desk._verifier._read

    def reading_then_lifted(collectivite_id: str, database: Database, check: Check) -> bool:
        is_more = read(collectivite_id, database, check)
        if not is_more:
            database.write(lambda w: seals.end(w, seal_id, "lifted", now_s=1, by="per_ref"))
            database.write(lambda w: tree.make_folder(w, place.act(), folder.id, "Mai"))
            database.write(lambda w: w.run("UPDATE node SET mtime_s = 1 WHERE name = 'a.pdf'"))
        return is_more

    monkeypatch.setattr(desk._verifier, "_read", reading_then_lifted)
    desk.work(place.owner)
    with place.database.reading() as reading:
        assert seal_checks.unfinished(reading) == [] and seal_checks.last(reading, seal_id) is None
        assert reading.one("SELECT 1 FROM seal_alarm") is None
    assert told == []


def test_numbers_that_could_not_be_written_are_when_they_can(place: Place) -> None:
    path, numbers = overview.path(place.config), overview.Overview(place.config)
    path.unlink(missing_ok=True)
    path.mkdir()  # as a full disk does: nothing can be put in its place
    (path / "x").touch()
    numbers.put(place.owner, Sums(folders=1, damaged=1))
    assert overview.read(place.config) == {}
    (path / "x").unlink()
    path.rmdir()
    numbers.put(place.owner, Sums(folders=1, damaged=1))
    assert overview.read(place.config) == {place.owner: Sums(folders=1, damaged=1)}


def test_a_wrong_setting_that_holds_verifications_up_is_told_until_it_is_right(
    place: Place, tmp_path: Path
) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    roots = tmp_path / "roots.pem"
    place.config = replace(place.config, drive_time_roots=str(roots))
    place.database.write(lambda w: seal_checks.ask(w, seal_id, person_id="per_ref", now_s=clock.epoch_s()))
    desk = desk_of(place)
    for text in (None, "no certificate"):
        if text is not None:
            roots.write_text(text)
        with pytest.raises(SettingInvalid):
            while not desk.work(place.owner):
                pass
        assert last(place, seal_id) is None
        assert overview.read(place.config)[place.owner].held_up == 1
        assert overview.problem(place.config).startswith("1 verifications of sealed folders cannot end")
        assert "drive_time_roots" in overview.problem(place.config)
    an_authority(tmp_path, ("-newkey", "rsa:2048"), "sha256", "sha256")
    roots.write_bytes((tmp_path / "ca.pem").read_bytes())
    desk.work(place.owner)
    found = last(place, seal_id)
    assert found is not None and unpacked(found.report).intact
    assert overview.problem(place.config) == "" and overview.read(place.config)[place.owner].held_up == 0
