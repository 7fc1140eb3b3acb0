"""Copies that cannot be read in the place of what was deleted or emptied, whatever the order: seen, and taken back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from beffroi.drive import recovery

from tests import drive_attacks
from tests.drive_alarming import (
    COMMON,
    DEVICE,
    act,
    content_of,
    drive,
    hash_of,
    judged,
    metadata,
    raised,
    stopped_after,
    town_hall,
)
from tests.drive_files import made
from tests.drive_server import PORTABLE, Served

__all__ = ["drive"]


def test_copies_with_originals_deleted_are_seen_and_taken_back(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    refused = False
    for number, path in enumerate(sorted(files, key=hash_of)):
        data = drive_attacks.full_with_footer(files[path], number)
        done = drive.ask("PUT", f"{COMMON}/{path}.k9x2", data)[0]
        refused = 403 in (done, drive.ask("DELETE", f"{COMMON}/{path}")[0])
        if refused:
            break
        judged(drive)
    assert refused and number <= 4
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files
    assert content_of(drive, {f"{path}.k9x2": b"" for path in files}) == {}


def test_copies_made_before_anything_is_deleted_are_seen_once_it_is(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    for number, path in enumerate(files):
        folder = path.partition("/")[0]
        data = drive_attacks.full_with_footer(files[path], number)
        assert drive.ask("PUT", f"{COMMON}/{folder}/{number * 7919:08x}", data)[0] == 201, "of another name"
    judged(drive)
    assert raised(drive) == []
    lost = 0
    for path in sorted(files, key=hash_of):
        if drive.ask("DELETE", f"{COMMON}/{path}")[0] == 403:
            break
        lost += 1
        judged(drive)
    assert 3 <= lost <= 4


def test_originals_deleted_before_their_copies_come_are_seen(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        assert drive.ask("DELETE", f"{COMMON}/{path}")[0] in (204, 403)
        data = drive_attacks.full_with_footer(files[path], number)
        return [drive.ask("PUT", f"{COMMON}/{path.partition('/')[0]}/{number * 7919:08x}", data)[0]]

    assert stopped_after(drive, files, step) <= 4


def test_copies_made_elsewhere_and_moved_to_where_originals_were_deleted_are_seen(drive: Served) -> None:
    files = town_hall(drive)
    assert drive.ask("MKCOL", f"{COMMON}/ailleurs")[0] == 201
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        data = drive_attacks.full(files[path], number) + bytes(9000)
        made_at, target = f"{COMMON}/ailleurs/{number}", f"{COMMON}/{path}"
        done = [drive.ask("PUT", made_at, data)[0], drive.ask("DELETE", target)[0]]
        done.append(drive.ask("PUT", f"{COMMON}/ailleurs/journal.txt", b"x" * number)[0])
        return [*done, drive.ask("MOVE", made_at, Destination=target)[0]]

    assert stopped_after(drive, files, step) <= 4


@pytest.mark.parametrize("is_copied_first", [True, False])
def test_originals_moved_away_before_they_are_deleted_are_seen_where_they_were(
    drive: Served, is_copied_first: bool
) -> None:
    files = town_hall(drive)
    assert drive.ask("MKCOL", f"{COMMON}/ailleurs")[0] == 201
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        away = f"{COMMON}/ailleurs/{number:04}.tmp"
        data = drive_attacks.full_with_footer(files[path], number)
        done = [drive.ask("MOVE", f"{COMMON}/{path}", Destination=away)[0]]
        for is_copy in (is_copied_first, not is_copied_first):
            judged(drive)
            made_of_it = (
                drive.ask("PUT", f"{COMMON}/{path}.k9x2", data) if is_copy else drive.ask("DELETE", away)
            )
            done.append(made_of_it[0])
        return done

    assert stopped_after(drive, files, step) <= 4
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files, "where they were, too"


def elsewhere(drive: Served, number: int, path: str, data: bytes) -> list[int]:
    for folder in ("copies", f"copies/{path.partition('/')[0]}"):
        drive.ask("MKCOL", f"{COMMON}/{folder}")
    done = [drive.ask("PUT", f"{COMMON}/copies/{path}.k9x2", data)[0]]
    return [*done, drive.ask("DELETE", f"{COMMON}/{path}")[0]]


def moved_away(drive: Served, number: int, path: str, data: bytes) -> list[int]:
    drive.ask("MKCOL", f"{COMMON}/copies")
    copy = f"{COMMON}/{path.partition('/')[0]}/{number * 7919:08x}"
    done = [drive.ask("PUT", copy, data)[0]]
    done.append(drive.ask("MOVE", copy, Destination=f"{COMMON}/copies/{number}")[0])
    return [*done, drive.ask("DELETE", f"{COMMON}/{path}")[0]]


def by_two_devices(drive: Served, number: int, path: str, data: bytes) -> list[int]:
    done = [drive.ask("PUT", f"{COMMON}/{path}.k9x2", data)[0]]
    return [*done, drive.ask("DELETE", f"{COMMON}/{path}", login=PORTABLE)[0]]


def empty_first(drive: Served, number: int, path: str, data: bytes) -> list[int]:
    copy = f"{COMMON}/{path.partition('/')[0]}/{number * 7919:08x}"
    return [
        drive.ask("PUT", copy)[0],
        drive.ask("PUT", copy, data)[0],
        drive.ask("DELETE", f"{COMMON}/{path}")[0],
    ]


def empty_and_written_last(drive: Served, number: int, path: str, data: bytes) -> list[int]:
    copy = f"{COMMON}/{path.partition('/')[0]}/{number * 7919:08x}"
    return [
        drive.ask("PUT", copy)[0],
        drive.ask("DELETE", f"{COMMON}/{path}")[0],
        drive.ask("PUT", copy, data)[0],
    ]


def emptied_by_another(drive: Served, number: int, path: str, data: bytes) -> list[int]:
    done = [drive.ask("PUT", f"{COMMON}/{path}", login=PORTABLE)[0]]
    return [*done, drive.ask("PUT", f"{COMMON}/{path}", data)[0]]


@pytest.mark.parametrize(
    "way", [elsewhere, moved_away, by_two_devices, empty_first, empty_and_written_last, emptied_by_another]
)
def test_a_copy_is_seen_wherever_and_by_whatever_device_it_was_made_and_all_comes_back(
    drive: Served, way: Callable[[Served, int, str, bytes], list[int]]
) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        return way(drive, number, path, drive_attacks.full_with_footer(files[path], number))

    assert stopped_after(drive, files, step) <= 4
    with metadata(drive) as database:
        for one in raised(drive):
            assert recovery.carry_out(database, act(), one.device_id).missed == 0
    assert content_of(drive, files) == files


def test_a_folder_that_is_deleted_whole_after_its_files_were_encrypted_into_another_is_seen(
    drive: Served,
) -> None:
    files = town_hall(drive)
    judged(drive)
    for folder in range(8):
        done = [drive.ask("MKCOL", f"{COMMON}/f{folder}.locked")[0]]
        for number, path in enumerate(path for path in files if path.startswith(f"f{folder}/")):
            copy = f"{COMMON}/f{folder}.locked/{path.partition('/')[2]}"
            done.append(drive.ask("PUT", copy, drive_attacks.full_with_footer(files[path], number))[0])
        done.append(drive.ask("DELETE", f"{COMMON}/f{folder}")[0])
        if 403 in done:
            break
        drive.ask("PUT", f"{COMMON}/journal.txt", b"x" * (1 + folder))
        judged(drive)
    assert folder == 1, "the first one was enough"
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files


def test_a_folder_that_is_deleted_whole_alone_stops_nobody(drive: Served) -> None:
    """Nor one that its owner packed before, or brought elsewhere file by file."""
    files = town_hall(drive)
    assert drive.ask("DELETE", f"{COMMON}/f0")[0] == 204
    assert drive.ask("PUT", f"{COMMON}/f1.7z", made("7z", 1))[0] == 201
    assert drive.ask("DELETE", f"{COMMON}/f1")[0] == 204
    assert drive.ask("MKCOL", f"{COMMON}/archives")[0] == 201
    for path in files:
        if path.startswith("f2/"):
            assert drive.ask("PUT", f"{COMMON}/archives/{path.partition('/')[2]}", files[path])[0] == 201
    assert drive.ask("DELETE", f"{COMMON}/f2")[0] == 204
    assert drive.ask("PUT", f"{COMMON}/journal.txt", b"fini")[0] == 201
    judged(drive)
    assert raised(drive) == []


def test_one_file_that_cannot_be_read_answers_for_one_deletion(drive: Served) -> None:
    """A vault of Cryptomator or GnuPG beside what its owner tidies away."""
    data = made("docx", 1)
    for number in range(12):
        assert drive.ask("PUT", f"{COMMON}/piece{number}.docx", data)[0] == 201
    assert drive.ask("PUT", f"{COMMON}/coffre.c9r", drive_attacks.full_with_footer(data, 1))[0] == 201
    for number in range(12):
        assert drive.ask("DELETE", f"{COMMON}/piece{number}.docx")[0] == 204
    judged(drive)
    assert raised(drive) == []


def test_a_temporary_file_moved_over_the_original_is_a_change_of_it(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        temporary = f"{COMMON}/{path.partition('/')[0]}/.upload{number}.tmp"
        first = drive.ask("PUT", temporary, drive_attacks.full(files[path], number))[0]
        return [first, drive.ask("MOVE", temporary, Destination=f"{COMMON}/{path}", Overwrite="T")[0]]

    assert stopped_after(drive, files, step) <= 4
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files


@pytest.mark.parametrize("between", [b"", b"\0" * 3000], ids=["emptied", "blanked"])
def test_what_is_emptied_before_it_is_encrypted_is_judged_by_what_it_was(
    drive: Served, between: bytes
) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        data = drive_attacks.full(files[path], number)
        return [drive.ask("PUT", f"{COMMON}/{path}", one)[0] for one in (between, data)]

    assert stopped_after(drive, files, step) <= 4
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files


def test_what_is_emptied_before_its_copy_replaces_it_is_judged_by_what_it_was(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        data = drive_attacks.full_with_footer(files[path], number)
        done = [drive.ask("PUT", f"{COMMON}/{path}.k9x2", data)[0]]
        return [*done, drive.ask("PUT", f"{COMMON}/{path}")[0], drive.ask("DELETE", f"{COMMON}/{path}")[0]]

    assert stopped_after(drive, files, step) <= 4


def test_an_explorer_that_empties_a_file_before_it_saves_it_stops_nobody(drive: Served) -> None:
    files = town_hall(drive)
    for path in files:
        assert drive.ask("PUT", f"{COMMON}/{path}")[0] == 204
        assert drive.ask("PUT", f"{COMMON}/{path}", made(path.partition(".")[2], 60 + int(path[1])))[0] == 204
    judged(drive)
    assert raised(drive) == []


@pytest.mark.parametrize(
    ("place", "is_whole"),
    [("f{0}.7z", True), ("f{0}.7z", False), ("f{0}/f{0}.7z", False)],
    ids=["beside it, folder by folder", "beside it, file by file", "in it, file by file"],
)
def test_who_packs_each_folder_with_a_password_and_deletes_what_was_in_it_is_seen(
    drive: Served, place: str, is_whole: bool
) -> None:
    files = town_hall(drive)
    judged(drive)
    for folder in range(8):
        done = [drive.ask("PUT", f"{COMMON}/{place.format(folder)}", made("7z", folder))[0]]
        inside = [path for path in files if path.startswith(f"f{folder}/")]
        gone = [f"f{folder}"] if is_whole else inside
        done += [drive.ask("DELETE", f"{COMMON}/{path}")[0] for path in gone]
        if 403 in done:
            break
        drive.ask("PUT", f"{COMMON}/journal.txt", b"x" * (1 + folder))
        judged(drive)
    assert 5 <= folder <= 6, "six are enough"
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files


def test_folders_that_were_unpacked_from_archives_of_their_names_are_deleted_again_without_an_alarm(
    drive: Served,
) -> None:
    """What a tender brings behind a password: unpacked, read, tidied away."""
    for folder in range(8):
        assert drive.ask("PUT", f"{COMMON}/lot{folder}.7z", made("7z", folder))[0] == 201
        assert drive.ask("MKCOL", f"{COMMON}/lot{folder}")[0] == 201
        for kind in (("pdf", "docx"), ("docx", "pdf"))[folder % 2]:
            assert drive.ask("PUT", f"{COMMON}/lot{folder}/offre.{kind}", made(kind, folder))[0] == 201
    for folder in range(8):
        assert drive.ask("DELETE", f"{COMMON}/lot{folder}")[0] == 204
    assert drive.ask("PUT", f"{COMMON}/journal.txt", b"fini")[0] == 201
    judged(drive)
    assert raised(drive) == []


def test_five_folders_that_are_packed_and_archives_of_other_names_stop_nobody(drive: Served) -> None:
    town_hall(drive)
    for folder in range(8):
        name = f"f{folder}" if folder < 5 else f"acte-{folder}"
        assert drive.ask("PUT", f"{COMMON}/{name}.7z", made("7z", folder))[0] == 201
        assert drive.ask("DELETE", f"{COMMON}/f{folder}")[0] == 204
    assert drive.ask("PUT", f"{COMMON}/journal.txt", b"fini")[0] == 201
    judged(drive)
    assert raised(drive) == []
