"""What a drive does by itself: terms end, room comes back, damage is named by its file, and no longer once mended."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest
from beffroi.drive import alarms, renewal, upkeep, used
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.renewal import Renewal
from beffroi.drive.store import (
    keys,
    look,
    moments,
    mounts,
    received,
    refs,
    schema,
    seen,
    shares,
    tags,
    trash,
    tree,
    uploads,
)
from beffroi.drive.store.collect import REDO_AFTER_S
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.objects import StoreUnavailable, chunk_of
from beffroi.drive.store.scrub import Scrub, Step
from beffroi.drive.upkeep import DAY_S, Upkeep
from beffroi.lib import clock, ids

from tests.drive_place import LARGE, Place, place
from tests.drive_trees import require_whole
from tests.fixtures_drive import noise
from tests.waiting import until

__all__ = ["place"]


def test_what_is_past_its_term_goes_with_its_objects_and_nothing_else(place: Place) -> None:
    kept = place.put("gardé.bin", noise(LARGE, b"kept"))
    gone = place.put("jeté.bin", noise(LARGE, b"gone"))
    place.put("réécrit.bin", noise(LARGE, b"before"))
    place.put("réécrit.bin", noise(LARGE, b"after"))
    part = place.taken(noise(LARGE, b"part"))
    place.database.write(lambda w: uploads.begin(w, place.act(), "u1"))
    place.database.write(lambda w: uploads.put_part(w, place.act(), "u1", 1, part))
    place.database.write(lambda w: tree.delete(w, place.act(), gone.id))
    assert len(place.objects()) == 5
    place.work.round()
    assert len(place.objects()) == 5, "nothing is due"
    with clock.shifted(place.config.drive_trash_days * DAY_S + 2 * DAY_S):
        place.age()
        place.next_round()  # terms end; what they held is loose from now on
        with place.database.reading() as reading:
            assert look.node(reading, gone.id) is None
            assert trash.page(reading, place.root().id) == []
    with clock.shifted(place.config.drive_trash_days * DAY_S + 4 * DAY_S):
        place.work.round()
        assert len(place.objects()) == 3, "the file, the rewritten one and its version"
    with place.database.reading() as reading:
        require_whole(reading)
        assert look.node(reading, kept.id) is not None
    assert upkeep.problem(place.config) == ""


def test_what_cannot_be_deleted_is_written_anew_an_hour_later_and_then_kept(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = noise(LARGE, b"stuck")
    gone = place.put("jeté.bin", data)
    place.database.write(lambda w: tree.delete(w, place.act(), gone.id))
    trash_s = place.config.drive_trash_days * DAY_S + DAY_S

    def fail(*_: object) -> None:
        raise StoreUnavailable("EIO")

    with monkeypatch.context() as patch:
        patch.setattr(LocalObjects, "delete", fail)
        for later_s in (trash_s, trash_s + 2 * DAY_S):
            with clock.shifted(later_s):
                place.age()
                place.work.round()
                assert len(place.objects()) == 1
        with clock.shifted(trash_s + 2 * DAY_S + REDO_AFTER_S / 2), pytest.raises(refs.ChunkVanished):
            place.work.round()
            place.put("de nouveau.bin", data)  # its deletion may be under way
        with clock.shifted(trash_s + 2 * DAY_S + upkeep.ROUND_S):
            place.work.round()
            kept = place.put("de nouveau.bin", data)
    with clock.shifted(trash_s + 9 * DAY_S):
        place.age()
        place.work.round()
    assert len(place.objects()) == 1
    with place.database.reading() as reading:
        require_whole(reading)
        assert look.node(reading, kept.id) is not None


def test_a_link_that_ended_is_forgotten_a_month_later(place: Place) -> None:
    file, wish = place.put("plan.bin", b"plan"), shares.Wish("link", expires_s=clock.epoch_s() + DAY_S)

    def make(wish: shares.Wish) -> str:
        return place.database.write(lambda w: shares.make(w, place.act(), file.id, wish))[0].id

    ended, open_ = make(wish), make(replace(wish, expires_s=clock.epoch_s() + 90 * DAY_S))
    for days, left in ((31, 2), (33, 1)):
        with clock.shifted(days * DAY_S):
            place.next_round()
        with place.database.reading() as reading:
            assert len(reading.all("SELECT id FROM share")) == left
    with place.database.reading() as reading:
        assert shares.find_link(reading, open_).id != ended


def test_an_offer_goes_once_its_owner_has_forgotten_the_share_and_not_before(place: Place) -> None:
    other, offered_s = ids.new_id("col"), clock.epoch_s()
    wish = shares.Wish("collectivite", target=other)
    file = place.put("plan.bin", b"plan")
    ended, stands = (
        place.database.write(lambda w: shares.make(w, place.act(), file.id, wish))[0].id for _ in range(2)
    )
    offers = (
        (ended, place.owner),
        (stands, place.owner),
        ("shr_lost", place.owner),
        ("shr_never", place.owner),
        ("shr_x", ids.new_id("col")),
    )
    theirs = place.communes.metadata(other)
    for share_id, owner in offers:
        theirs.write(
            lambda w, share_id=share_id, owner=owner: received.offer(
                w, share_id, "Plans", owner=owner, now_s=offered_s
            )
        )
    for share_id in (ended, stands, "shr_lost"):
        theirs.write(lambda w, one=share_id: received.answer(w, place.act(), one, accepted=True))
    theirs.write(lambda w: tree.make_root(w, schema.HOME + "per_b", now_s=offered_s))
    theirs.write(lambda w: mounts.rename(w, ended, "per_b", "Plans de Beaune"))
    place.database.write(lambda w: shares.end(w, ended, now_s=offered_s))

    def after(days: int) -> tuple[set[str], set[str]]:
        with clock.shifted(days * DAY_S + 60):
            place.next_round()
        with theirs.reading() as reading:
            return {one.share_id for one in received.every(reading)}, set(mounts.of(reading, "per_b"))

    assert after(0)[0] == {share_id for share_id, _ in offers}, "one that is being made is offered first"
    left = {stands, "shr_lost", "shr_x"}
    assert after(upkeep.ENDED_SHARES_DAYS) == (left | {ended}, {ended})
    with place.database.reading() as reading:
        assert shares.is_known(reading, ended)
    after(upkeep.ENDED_SHARES_DAYS + 2)
    # whose names are tidied first is as their identifiers fell; who has no metadata says nothing
    assert after(upkeep.ENDED_SHARES_DAYS + 3) == (left, set())
    with place.database.reading() as reading:
        assert not shares.is_known(reading, ended)


def test_a_share_stays_known_while_whom_it_was_for_does_not_answer(place: Place) -> None:
    """Its devices would take what ended for lost."""
    other, now_s = ids.new_id("col"), clock.epoch_s()
    file = place.put("plan.bin", b"plan")
    wish = shares.Wish("collectivite", target=other)
    made = place.database.write(lambda w: shares.make(w, place.act(), file.id, wish))[0]
    theirs = place.communes.metadata(other)
    theirs.write(lambda w: received.offer(w, made.id, "Plans", owner=place.owner, now_s=now_s))
    keys.make(place.config, other)
    place.database.write(lambda w: shares.end(w, made.id, now_s=now_s))
    place.communes._forget(other)
    metadata = place.config.state / "drive" / other / "metadata.db"
    away = metadata.rename(metadata.with_name("away"))

    def known(days: int) -> bool:
        with clock.shifted(days * DAY_S):
            place.work.round()
        with place.database.reading() as reading:
            return shares.is_known(reading, made.id)

    assert known(upkeep.ENDED_SHARES_DAYS + 1)
    away.rename(metadata)
    assert not known(upkeep.ENDED_SHARES_DAYS + 2)
    with place.communes.metadata(other).reading() as reading:
        assert received.every(reading) == []


def test_a_star_that_a_visitor_left_here_goes_and_a_members_stays(place: Place) -> None:
    file, home = place.put("plan.bin", b"plan"), schema.HOME + "per_here"
    place.database.write(lambda w: tree.make_root(w, home, now_s=clock.epoch_s()))
    rows = [(person_id, file.id) for person_id in ("per_here", "per_visitor")]
    place.database.write(lambda w: w.many("INSERT INTO favourite (person_id, node) VALUES (?, ?)", rows))
    place.work.round()
    with place.database.reading() as reading:
        assert reading.all("SELECT person_id, node FROM favourite") == rows[:1]


def test_what_outlives_what_it_names_goes_and_labels_of_files_stay(place: Place) -> None:
    file = place.put("plan.bin", b"plan")
    tag = place.database.write(lambda w: tags.make(w, place.act(), "plu", visible=True, assignable=True))
    rows = [(file.id, tag.id), (file.id + 900, tag.id)]
    place.database.write(lambda w: w.many("INSERT INTO tagged (node, tag) VALUES (?, ?)", rows))
    place.database.write(lambda w: mounts.rename(w, "shr_gone", "per_gone", "Plans"))
    place.database.write(lambda w: seen.look(w, "per_gone", now_s=clock.epoch_s()))
    erased = (file.id, file.etag, 1)
    place.database.write(lambda w: w.run("INSERT INTO version_erased VALUES (?, ?, ?)", erased))
    place.work.round()
    with place.database.reading() as reading:
        assert reading.all("SELECT node, tag FROM tagged") == rows[:1]
        for table in ("mount", "looked", "version_erased"):
            assert reading.all(f"SELECT 1 FROM {table}") == []


def test_nothing_that_a_way_back_may_need_goes_while_an_alarm_waits(place: Place) -> None:
    gone = place.put("jeté.bin", noise(LARGE, b"gone"))
    place.put("réécrit.bin", noise(LARGE, b"before"))
    place.put("réécrit.bin", noise(LARGE, b"after"))
    place.database.write(lambda w: tree.delete(w, place.act(), gone.id))
    now_s = clock.epoch_s()
    alarm = Alarm("app_a", float(now_s), 3, {})
    place.database.write(lambda w: alarms.raise_(w, alarm, now_s=now_s))
    later_s = 40 * DAY_S + place.config.drive_trash_days * DAY_S + place.config.drive_version_days * DAY_S
    for due_s, is_kept in ((later_s, True), (later_s + 2 * DAY_S, False)):
        with clock.shifted(due_s):
            place.work.round()
            with place.database.reading() as reading:
                assert (look.node(reading, gone.id) is not None) is is_kept
                assert bool(reading.all("SELECT 1 FROM version")) is is_kept
            place.database.write(lambda w: alarms.settle(w, "app_a", person_id="per_r", now_s=now_s))


def test_a_folders_past_is_known_as_long_as_versions_are(place: Place) -> None:
    file, root = place.put("plan.bin", b"before"), place.root()
    place.put("plan.bin", b"after, and longer")
    began_s, term_s = clock.epoch_s(), place.config.drive_version_days * DAY_S

    def sizes(at_s: int) -> list[int]:
        with place.database.reading() as reading:
            return [one.size_bytes for one in moments.seen(reading, root.id, at_s).children(root.id)]

    place.work.round()
    assert sizes(began_s) == [17]
    with clock.shifted(term_s + 2 * DAY_S):
        place.next_round()
        with pytest.raises(moments.MomentForgotten):
            sizes(began_s)
        with place.database.reading() as reading:
            assert reading.all("SELECT number FROM change WHERE node = ?", (file.id,)) == []
        assert sizes(clock.epoch_s() - DAY_S) == [17]


def test_a_damaged_object_is_named_by_its_file_until_it_is_whole_again(place: Place) -> None:
    place.put("plan.bin", noise(LARGE, b"plan"))
    (lies,) = place.objects()
    sound = lies.read_bytes()
    lies.write_bytes(sound[:1000] + bytes([sound[1000] ^ 1]) + sound[1001:])
    place.work.round()
    (told,) = upkeep.read_report(place.config).damages
    assert (told.collectivite_id, told.path, told.why, told.is_repaired) == (
        place.owner,
        "plan.bin",
        "damaged",
        False,
    )
    assert upkeep.report_path(place.config).stat().st_mode & 0o777 == 0o600
    assert "1 stored files of the drive are damaged" in upkeep.problem(place.config)
    lies.unlink()
    with clock.shifted(DAY_S + 1):
        place.work.round()
        (told,) = upkeep.read_report(place.config).damages
        assert told.why == "missing", "the daily walk sees it"
    lies.write_bytes(sound)
    with clock.shifted(8 * DAY_S):
        place.work.round()
    assert upkeep.problem(place.config) == ""


@pytest.mark.parametrize("kind", [Upkeep, Renewal])
def test_a_round_that_breaks_ends_no_thread(
    place: Place, kind: type[Upkeep | Renewal], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("plan.bin", noise(LARGE))
    monkeypatch.setattr(upkeep, "ROUND_S", 0.01)
    monkeypatch.setattr(renewal, "LOOK_S", 0.01)
    asked, ids_of = list[int](), place.communes.ids

    def fails() -> list[str]:
        asked.append(1)
        if len(asked) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return ids_of()

    monkeypatch.setattr(place.communes, "ids", fails)
    work = kind(place.config, place.communes)
    work.start()
    try:
        until(lambda: len(asked) > 1, "another round")
    finally:
        work.stop()


def progress(place: Place, **fields: int | str) -> None:
    """As a clock, a disk or a kill left it."""
    text = msgspec.json.encode(upkeep.Progress(**fields)).decode()  # type: ignore[arg-type]
    place.database.write(lambda w: w.run("DELETE FROM meta WHERE name = 'upkeep'"))
    place.database.write(lambda w: w.run("INSERT INTO meta (name, value) VALUES ('upkeep', ?)", (text,)))


@pytest.mark.parametrize("wrong", ["future", "place"])
def test_what_was_done_by_a_wrong_clock_or_says_no_place_is_done_again(place: Place, wrong: str) -> None:
    place.put("plan.bin", noise(LARGE))
    (lies,) = place.objects()
    lies.unlink()
    later_s = clock.epoch_s() + 3650 * DAY_S
    if wrong == "future":
        progress(place, tidied_s=later_s, light_s=later_s, deep_s=later_s)
    else:
        progress(place, tidied_s=clock.epoch_s(), light_s=clock.epoch_s(), deep_at="no place")
    place.work.round()
    assert [one.path for one in upkeep.read_report(place.config).damages] == ["plan.bin"]


def test_what_a_walk_found_is_told_although_it_is_cut_off_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        place.put(f"{number}.bin", noise(LARGE, b"%d" % number))
    first = place.objects()[0]
    data = first.read_bytes()
    first.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    deep = Scrub.deep

    def cut(self: Scrub, cursor: bytes = b"") -> Step[bytes]:
        if len(cursor) and cursor >= chunk_of(f"{place.owner}/{first.parent.name}/{first.name}"):
            raise StoreUnavailable("EIO")
        return deep(self, cursor, most=1)

    monkeypatch.setattr(Scrub, "deep", cut)
    progress(place, tidied_s=clock.epoch_s(), light_s=clock.epoch_s())
    place.work.round()
    (told,) = upkeep.read_report(place.config).damages
    assert told.why == "damaged" and told.path.endswith(".bin")


def test_what_cannot_be_removed_keeps_nothing_from_being_looked_at(place: Place) -> None:
    gone, kept = place.put("jeté.bin", noise(LARGE, b"gone")), place.put("gardé.bin", noise(LARGE, b"kept"))
    place.database.write(lambda w: tree.delete(w, place.act(), gone.id))
    with clock.shifted((place.config.drive_trash_days + 1) * DAY_S):
        place.work.round()  # loose from now on
    chunk = Manifest.unpack(kept.manifest).chunks[0].id
    (lies,) = [one for one in place.objects() if chunk.hex() == one.parent.name + one.name]
    (stuck,) = [one for one in place.objects() if one != lies]
    stuck.unlink()
    stuck.mkdir()  # no file any more, and nothing that can be deleted as one
    lies.unlink()
    with clock.shifted((place.config.drive_trash_days + 4) * DAY_S):
        place.work.round()
    assert [one.path for one in upkeep.read_report(place.config).damages] == ["gardé.bin"]


def test_a_collectivite_that_cannot_be_read_keeps_no_other_from_its_turn(place: Place) -> None:
    broken = ids.new_id("col")
    (place.config.state / "drive" / broken).mkdir(parents=True)
    (place.config.state / "drive" / broken / "metadata.db").write_bytes(b"no database" * 1000)
    place.put("plan.bin", noise(LARGE))
    (lies,) = place.objects()
    lies.unlink()
    place.work.round()
    assert [one.path for one in upkeep.read_report(place.config).damages] == ["plan.bin"]


def test_a_fault_of_ours_in_one_collectivite_keeps_no_other_from_its_turn(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = "col_" + "0" * 26
    place.communes.metadata(first)
    place.put("plan.bin", noise(LARGE))
    (lies,) = place.objects()
    lies.unlink()
    look_after = place.work.look_after

    def fails(collectivite_id: str) -> None:
        if collectivite_id == first:
            raise ValueError
        look_after(collectivite_id)

    monkeypatch.setattr(place.work, "look_after", fails)
    place.work.round()
    assert [one.path for one in upkeep.read_report(place.config).damages] == ["plan.bin"]


def test_how_much_is_kept_is_told_at_the_first_start_and_not_of_what_cannot_be_read(place: Place) -> None:
    place.put("a.txt", b"abc")
    place.put("a.txt", b"abcd")
    place.work.start()
    try:
        until(lambda: used.read(place.config) is not None, "it is told")
    finally:
        place.work.stop()
    assert _told(place) == {place.owner: used.Used(2, 7)}, "a file and its version"
    place.database.write(lambda w: w.run("UPDATE meta SET value = '999' WHERE name = 'format'"))
    place.communes._forget(place.owner)
    used.tell(place.config, place.communes)
    assert _told(place) == {place.owner: None}


def _told(place: Place) -> Mapping[str, used.Used | None]:
    told = used.read(place.config)
    assert told is not None
    return told.drives
