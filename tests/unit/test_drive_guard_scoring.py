"""Signs of one change, scores of devices; the tables of docs/internals/ransomware.md come from the same cases."""

from __future__ import annotations

import random

import msgspec
import pytest
from beffroi.drive.guard import signs
from beffroi.drive.guard.noise import Noise
from beffroi.drive.guard.pairs import PAIRS_KEPT
from beffroi.drive.guard.scoring import EVIDENCE_KEPT, RULES, Commune
from beffroi.drive.guard.signs import Change, Sign
from beffroi.drive.guard.structure import Structure

from tests import drive_attacks, drive_files
from tests.drive_files import made
from tests.drive_ransom_attacks import ATTACKS, copied_and_deleted, in_place
from tests.drive_ransom_cases import DOCUMENT, SEEDS, attacked, worked, written
from tests.drive_ransom_folders import ONE, START_S, run, town_hall
from tests.drive_ransom_honest import HONEST

SOUND = Structure("ooxml", "sound", "", Noise(0.9, 0.9, 0.9, 0.3))
BROKEN = Structure("ooxml", "broken", "header", Noise(1, 1, 1, 1))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_seen_within_as_few_files_as_said(name: str) -> None:
    for seed in SEEDS:
        found = attacked(name, seed)
        assert found.files is not None and found.files <= ATTACKS[name][2]
        assert all(alarm.since_s >= START_S and alarm.files for alarm in found.alarms)


@pytest.mark.parametrize("name", HONEST)
def test_honest_work_raises_no_alarm(name: str) -> None:
    for seed in SEEDS:
        assert worked(name, seed).files is None


def test_the_tables_of_the_document_are_those_of_the_code() -> None:
    document = DOCUMENT.read_text("utf-8")
    assert document == written(document), "run: python -m tests.drive_ransom_cases"


@pytest.mark.parametrize("name", ["in place: whole", "copy, encrypt, delete", "four devices in turn"])
def test_a_restart_after_each_change_forgets_nothing(name: str) -> None:
    script, kinds, _ = ATTACKS[name]
    assert run(script, town_hall(0, kinds), restarts=True) == attacked(name, 0)


def test_any_order_of_arrival_ends_in_the_same_alarm() -> None:
    changes = [change for _, change in in_place("whole", 600)(town_hall(1))][:12]
    now_s = changes[-1].at_s
    for seed in range(20):
        random.Random(seed).shuffle(changes)
        state = Commune()
        alarms = [alarm for change in changes for alarm in state.add(ONE, change, now_s)]
        assert len(alarms) == 1


def test_late_changes_of_two_attacks_a_day_apart_are_not_added_up() -> None:
    state = Commune()
    for day in range(6):
        change = lost(f"n{day}", START_S + day * 90_000)
        assert state.add(ONE, change, change.at_s) == []


def lost(node: str, at_s: float = START_S, kind: str = "ooxml") -> Change:
    before, after = Structure(kind, "sound"), Structure(kind, "broken", "header")
    return Change(at_s, node, "f", f"{node}.x", "changed", "", before, after, 100, 100)


def test_one_kind_alone_needs_twice_as_much() -> None:
    alike, mixed = Commune(), Commune()
    found = [(bool(alike.add(ONE, lost(f"n{n}"), START_S)), n) for n in range(6)]
    assert [n for alarmed, n in found if alarmed] == [5]
    found = [(bool(mixed.add(ONE, lost(f"n{n}", kind=("pdf", "jpeg")[n % 2]), START_S)), n) for n in range(4)]
    assert [n for alarmed, n in found if alarmed] == [2]


def test_a_file_spoiled_again_and_again_counts_once() -> None:
    state = Commune()
    assert not any(state.add(ONE, lost("n", START_S + n), START_S + n) for n in range(50))


def test_an_alarm_is_given_once_until_a_person_settles_it() -> None:
    state = Commune()
    first = [state.add(ONE, lost(f"n{n}"), START_S) for n in range(30)]
    assert sum(map(len, first)) == 1
    state.settle(ONE, START_S + 60)
    assert not any(state.add(ONE, lost(f"m{n}", START_S + 30), START_S + 61) for n in range(30))
    again = [state.add(ONE, lost(f"k{n}", START_S + 90), START_S + 90) for n in range(30)]
    assert sum(map(len, again)) == 1


AHEAD_S = START_S + 3650 * 86400


def test_who_was_settled_under_a_clock_that_ran_ahead_is_judged_once_it_is_right() -> None:
    state = Commune()
    state.settle(ONE, AHEAD_S)
    state.set_right(START_S)
    found = [state.add(ONE, lost(f"n{n}", START_S + n), START_S + n) for n in range(30)]
    assert sum(map(len, found)) == 1


def test_an_attack_that_began_under_a_clock_that_ran_ahead_is_seen_as_one() -> None:
    """Each time alone it would be half of an alarm; nor does what was seen then stay for years."""
    state = Commune()
    assert not any(state.add(ONE, lost(f"n{n}", AHEAD_S), AHEAD_S) for n in range(5))
    state.set_right(START_S)
    found = [state.add(ONE, lost(f"m{n}", START_S + n), START_S + n) for n in range(3)]
    assert sum(map(len, found)) == 1
    assert found[0][0].files == 6 and found[0][0].since_s <= START_S
    quiet = Commune()
    quiet.add(ONE, lost("n", AHEAD_S), AHEAD_S)
    quiet.set_right(START_S)
    quiet.forget(START_S + 2 * RULES.day_s)
    assert not quiet.windows


def test_an_alarm_says_the_first_change_of_its_evidence_where_all_of_it_is_known() -> None:
    for unknown, since in ((False, 70), (True, 0)):
        state, found = Commune(), []
        for n in range(6):
            number = 0 if unknown and n == 0 else 100 - 10 * (n % 4)
            found += state.add(ONE, msgspec.structs.replace(lost(f"n{n}"), number=number), START_S)
        assert [alarm.since for alarm in found] == [since]


def test_what_a_device_spoiled_hours_before_its_alarm_goes_back_with_the_rest() -> None:
    """Tried on two files first; what weighs little, or is of yesterday, takes back no work."""
    state, alarms = Commune(), []
    weak = Change(START_S, "w", "f", "w.docx", "changed", "", SOUND, Structure("ole", "sealed"), number=10)
    yesterday = lost("y", START_S - RULES.day_s)
    for change in (msgspec.structs.replace(yesterday, number=5), weak):
        assert state.add(ONE, change, change.at_s) == []
    for number in range(2):
        change = msgspec.structs.replace(lost(f"t{number}", START_S + 60), number=20 + number)
        assert state.add(ONE, change, change.at_s) == []
    for number in range(6):
        at_s = START_S + 3 * RULES.hour_s
        change = msgspec.structs.replace(
            lost(f"n{number}", at_s, kind=("pdf", "jpeg")[number % 2]), number=30 + number
        )
        alarms += state.add(ONE, change, change.at_s)
    (alarm,) = alarms
    assert (alarm.since, alarm.since_s, alarm.files) == (20, START_S + 60, 5)


def test_devices_that_act_together_are_all_named() -> None:
    state = Commune()
    alarms = []
    for number in range(8):
        kind = ("pdf", "jpeg")[number // 4]
        alarms += state.add(
            f"device {number % 4}", lost(f"n{number}", START_S + number, kind), START_S + number
        )
    assert {alarm.device for alarm in alarms} == {f"device {n}" for n in range(4)}


def test_a_fault_on_four_machines_in_one_kind_of_file_is_no_attack() -> None:
    state = Commune()
    assert not any(state.add(f"device {n}", lost(f"n{n}", START_S + n), START_S + n) for n in range(4))


def test_a_time_in_the_future_counts_as_now() -> None:
    state = Commune()
    for number in range(6):
        state.add(ONE, lost(f"n{number}", START_S + 1e9), START_S)
    assert state.windows[ONE].alarmed_s == START_S


def test_the_same_change_told_twice_after_a_crash_counts_once() -> None:
    once, twice = Commune(), Commune()
    for device, change in in_place("whole")(town_hall(2)):
        if once.add(device, change, change.at_s):
            break
        twice.add(device, change, change.at_s)
        assert not twice.add(device, change, change.at_s)


def test_a_flood_of_changes_keeps_the_state_small() -> None:
    state = Commune()
    rng = random.Random(1)
    noise = Structure("", "opaque", "", Noise(1, 1, 1, 1))
    for number in range(9000):
        folder = f"f{number}"
        state.add(
            ONE, Change(START_S, f"c{number}", folder, "x.bin", "created", after=noise, size_bytes=9), START_S
        )
        change = Change(START_S, f"r{number}", "one folder", f"{rng.random()}.docx.zz", "renamed", "a.docx")
        state.add(ONE, change, START_S)
    assert len(state.windows[ONE].evidence) <= EVIDENCE_KEPT and state.pairs[ONE].halves <= PAIRS_KEPT
    assert len(state.save()) < 600_000


def test_a_flood_of_notes_in_one_folder_pushes_out_nothing_that_counts() -> None:
    state, alarms = Commune(), []
    for number in range(6):
        at_s = START_S + number
        name, kind = (("a.docx", "ooxml"), ("a.pdf", "pdf"))[number % 2]
        before, after = Structure(kind, "sound"), Structure(kind, "broken", "header")
        alarms += state.add(
            ONE, Change(at_s, f"n{number}", "f", name, "changed", "", before, after, 9, 9), at_s
        )
        for note in range(EVIDENCE_KEPT):
            change = Change(at_s, f"note {number} {note}", "f", "HOW_TO_RESTORE_FILES.txt", "created")
            state.add(ONE, change, at_s)
    assert len(alarms) == 1 and alarms[0].signs[Sign.LOST] == 3


def test_state_holds_no_names() -> None:
    state = Commune()
    for _, change in in_place("whole")(town_hall(3)):
        state.add(ONE, change, change.at_s)
        state.add(
            ONE,
            Change(change.at_s, "d" + change.node, change.folder, "secret.pdf", "deleted", before=SOUND),
            START_S,
        )
    assert b"piece" not in state.save() and b"secret" not in state.save()


def test_devices_that_are_quiet_for_a_day_are_left_out() -> None:
    state = Commune()
    state.add(ONE, lost("n"), START_S)
    assert len(state.windows) == 1
    state.forget(START_S + RULES.day_s - 1)
    assert len(state.windows) == 1
    state.forget(START_S + RULES.day_s + 1)
    assert not state.windows


def test_half_of_a_pair_is_kept_until_the_other_half_comes() -> None:
    state, alarms = Commune(), []
    for _, change in copied_and_deleted(town_hall(5)):
        alarms += state.add(ONE, change, change.at_s)
        state.forget(change.at_s)
    assert [one.files for one in alarms] == [3]


# -- signs -----------------------------------------------------------------------------------------------


def changed(before: Structure, after: Structure, **more: int | str) -> tuple[Sign, ...]:
    fields = {"size_before_bytes": 50_000, "size_bytes": 50_000, "name": "a.docx", **more}
    return signs.of(Change(START_S, "n", "f", what="changed", before=before, after=after, **fields))  # type: ignore[arg-type]


def test_signs_of_a_content() -> None:
    sealed = Structure("ole", "sealed")
    text, seven, picture = (Structure(kind, "sound") for kind in ("text", "7z", "png"))
    armour = Structure("armour", "opaque", "armour")
    known, likely = Structure("armour", "sound"), Structure("armour", "sound", "not checked")
    assert changed(SOUND, BROKEN) == (Sign.LOST,)
    assert changed(SOUND, BROKEN, chunks_before=3) == (Sign.LOST, Sign.NO_OVERLAP)
    assert changed(SOUND, BROKEN, chunks_before=3, chunks_kept=1) == (Sign.LOST,)
    assert changed(BROKEN, BROKEN) == changed(SOUND, SOUND, chunks_before=9) == ()
    assert changed(SOUND, sealed) == (Sign.SEALED,)
    assert changed(sealed, SOUND) == changed(sealed, sealed) == ()
    assert changed(SOUND, armour) == changed(SOUND, seven) == (Sign.CONTAINER,)
    assert changed(text, armour) == changed(SOUND, likely) == (Sign.KIND,)
    assert (
        changed(text, known)
        == changed(SOUND, known)
        == changed(text, likely)
        == changed(armour, armour)
        == ()
    )
    assert changed(SOUND, seven, name="a.7z") == ()
    assert changed(SOUND, picture) == (Sign.KIND,)
    assert changed(SOUND, Structure("ole", "sound")) == ()


def test_what_is_blank_or_cut_off_is_a_fault_only_where_it_became_so() -> None:
    cut, blank = (
        Structure("ooxml", "torn", "cut off"),
        Structure("ooxml", "torn", "blank", Noise(1, 0, 0.5, 0.5, 0.5)),
    )
    assert changed(SOUND, cut, size_bytes=20_000) == (Sign.TORN,)
    assert changed(SOUND, cut) == (Sign.LOST,)
    assert changed(SOUND, blank) == (Sign.TORN,)
    assert changed(SOUND, blank, size_bytes=90_000) == (Sign.LOST,)
    blank_before = Structure("boxes", "sound", "", Noise(1, 0, 0.5, 0.5, 0.5))
    assert changed(blank_before, blank) == (Sign.LOST,)


def test_noise_counts_where_nothing_else_is_known_and_the_length_stayed() -> None:
    calm, loud = (
        Structure("dwg", "sound", "", Noise(0.8, 0.8, 0.8, 0)),
        Structure("dwg", "sound", "", Noise(0.8, 1, 1, 0.9)),
    )
    assert changed(calm, loud) == (Sign.NOISE,)
    assert changed(calm, loud, size_bytes=900_000) == ()
    assert changed(calm, loud, chunks_before=8, chunks_kept=7) == ()
    head = Structure("", "opaque", "", Noise(1, 0.5, 0.5, 0.06))
    assert changed(Structure("", "opaque", "", Noise(0.5, 0.5, 0.5, 0)), head) == (Sign.NOISE,)


def test_films_with_holes() -> None:
    film = Structure("boxes", "sound")
    assert changed(film, film, chunks_before=20, chunks_kept=10) == (Sign.HOLES,)
    assert changed(film, film, chunks_before=20, chunks_kept=18) == ()
    assert changed(film, film, chunks_before=3, chunks_kept=0) == ()
    assert changed(film, film, chunks_before=20, chunks_kept=10, size_bytes=70_000) == ()


@pytest.mark.parametrize("kind", ["tiff", "riff"])
def test_a_raw_scan_or_recording_may_be_made_lighter_or_louder(kind: str) -> None:
    raw, packed = (Structure(kind, "sound", "", Noise(one, one, one)) for one in (0.48, 0.98))
    louder, holes = (
        Structure(kind, "sound", "", Noise(0.48, 0.48, one, part)) for one, part in ((0.5, 0), (0.6, 0.2))
    )
    assert changed(raw, louder, chunks_before=20, chunks_kept=0) == ()
    assert Sign.HOLES in changed(raw, holes, chunks_before=20, chunks_kept=10)
    assert changed(packed, packed, chunks_before=20, chunks_kept=10) == (Sign.HOLES,)


@pytest.mark.parametrize(
    ("before", "after", "added"),
    [
        ("a.docx", "a.docx.k9x2", "k9x2"),
        ("a.docx", "a.k9x2", "k9x2"),
        ("a.docx", "a.docx.[id-1].lockbit", "lockbit"),
        ("a.docx", "b.docx", ""),
        ("a.docx", "a.pdf", ""),
        ("a.docx", "a.docx.bak", ""),
        ("a.docx", "a.docx.lock", ""),
        ("a.docx", "a.docx.aac", ""),
        ("a.docx", "a.docx.vir", ""),
        ("a.docx", "a.docx.2026-11", ""),
        ("a.docx", "a.docx.v2", ""),
        ("a.docx", "a", ""),
        ("yarn.lock", "yarn.lock.k9x2", ""),
        ("a.docx", "a.docx.locked", "locked"),
        ("a.docx", "a.other", "other"),
        ("a.docx", "a.docxlocked", "docxlocked"),
        ("a.jpg", "a.jpg_original", ""),
        ("a.txt", "a.txt~", ""),
        ("a.docx", "a.docx_old", ""),
        ("a.xlsx", "a.xlsx-2024", ""),
        ("a.xls", "a.xls.sauvegarde", ""),
        ("song.aac", "song.aac.k9x2", ""),
    ],
)
def test_extensions_that_a_rename_adds(before: str, after: str, added: str) -> None:
    assert signs.added_extension(before, after) == added
    found = signs.of(Change(START_S, "n", "f", after, "renamed", before))
    assert found == ((Sign.KNOWN,) if added == "lockbit" else (Sign.SUFFIX,) if added else ())


@pytest.mark.parametrize(
    ("before", "after", "scrambled"),
    [
        ("Budget 2026.xlsx", "9f31c2aa7d", True),
        ("Budget 2026.xlsx", "9f31c2aa7d.x7q", True),
        ("Budget 2026.xlsx", "Budget", False),
        ("Budget 2026.xlsx", "budget 2026 vu", False),
        ("Budget 2026.xlsx", "9f31c2aa7d.xlsx", False),
        ("Budget 2026.xlsx", "9f31c2aa7d.pdf", False),
        ("Budget 2026.xlsx", "9f31c2aa7d.vir", False),
        ("9f31c2aa7d", "41d0aa0733", False),
    ],
)
def test_names_that_tell_nothing_any_more(before: str, after: str, scrambled: bool) -> None:
    assert signs.is_scrambled(before, after) is scrambled


@pytest.mark.parametrize(
    ("name", "is_note"),
    [
        ("HOW_TO_RESTORE_YOUR_FILES.txt", True),
        ("README-DECRYPT.html", True),
        ("!!!RECOVER-FILES!!!.hta", True),
        ("Comment récupérer vos fichiers.txt", True),
        ("README.txt", False),
        ("LISEZMOI.txt", False),
        ("recovery.docx", False),
        ("index.html", False),
        ("note de service.txt", False),
    ],
)
def test_names_of_notes(name: str, is_note: bool) -> None:
    assert signs.is_note(name, 2000) is is_note
    assert not signs.is_note(name, 20_000_000)


def test_a_file_that_ends_in_zeros_is_not_excused_when_its_beginning_is_encrypted() -> None:
    folders = town_hall(0, ("mp4",))
    for number in range(4):
        data = drive_files.film(random.Random(number)) + b"\0\0\x20\0free" + bytes(8184)
        file = folders.put("films", f"{number}.mp4", data)
        assert file.structure.state == "sound"
        assert signs.of(folders.change(file, drive_attacks.head(data, number)))[0] is Sign.LOST


def test_a_created_file_is_unreadable_only_without_a_known_kind() -> None:
    rubbish = Structure("", "opaque", "", Noise(1, 1, 1, 1))
    assert signs.is_unreadable(rubbish) and signs.is_unreadable(BROKEN)
    assert not signs.is_unreadable(SOUND) and not signs.is_unreadable(None)
    assert made("7z")[:2] == b"7z"
    assert signs.of(Change(START_S, "n", "f", "a.docx.lockbit", "created", after=rubbish)) == (Sign.KNOWN,)
    assert signs.of(Change(START_S, "n", "f", "a.lockbit", "created", after=SOUND)) == ()
