"""A folder is encrypted on a PC, and real clients bring it to the drive: it is stopped, and all comes back."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from beffroi.drive import recovery
from beffroi.drive.store import look, moments, schema, ways
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME
from beffroi.lib import clock

from tests import drive_attacks
from tests.clients.test_drive_clients import RCLONE, mounted, needs_fuse, rclone
from tests.drive_alarming import DEVICE, Tree, act, drive, judged, metadata, raised, town_hall
from tests.drive_devices import COMMON, LONGEST_S, Device, needs_client, on_server
from tests.drive_files import OFFICE, made
from tests.drive_server import B, Served
from tests.drive_sharing import answer, share
from tests.drive_trees import go_back
from tests.waiting import until

__all__ = ["drive", "mounted"]


def everything(drive: Served) -> dict[str, str]:
    """SHA-1 by path of all files that lie in no trash."""
    with on_server(drive) as database:
        rows = database.execute("SELECT id, parent, name, is_folder, sha1 FROM node").fetchall()
    named = {node: (parent, name) for node, parent, name, _, _ in rows}

    def path(node: int) -> str:
        parent, name = named[node]
        return f"{path(parent)}/{name}" if parent else name

    found = {path(node): sha1 for node, _, _, is_folder, sha1 in rows if not is_folder}
    return {one: sha1 for one, sha1 in found.items() if not one.startswith(("trash/", "gone/"))}


def encrypted_in_place(folder: Path, files: Tree) -> None:
    for number, (path, data) in enumerate(files.items()):
        (folder / path).write_bytes(drive_attacks.full(data, number))


def encrypted_and_renamed(folder: Path, files: Tree) -> None:
    encrypted_in_place(folder, files)
    for path in files:
        one = folder / path
        one.rename(f"{one}.k9x2")
        (one.parent / "HOW_TO_DECRYPT.txt").write_text("Your files are encrypted.")


def encrypted_under_random_names(folder: Path, files: Tree) -> None:
    encrypted_in_place(folder, files)
    names = random.Random(3)
    for path in files:
        one = folder / path
        one.rename(one.with_name(names.randbytes(8).hex()))


ATTACKS = (encrypted_in_place, encrypted_and_renamed, encrypted_under_random_names)


def require_all_back(drive: Served, before: dict[str, str], device_id: str = DEVICE) -> None:
    """The device alone was stopped, and one action brings everything back."""
    until(lambda: bool(raised(drive)), "an alarm")
    judged(drive)
    (alarm,) = raised(drive)
    assert alarm.device_id == device_id
    after = everything(drive)
    assert any(after.get(path) != sha1 for path, sha1 in before.items())
    with metadata(drive) as database:
        over = recovery.carry_out(database, act(), device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert everything(drive) == before


@needs_client
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_synchronised_folder_that_is_encrypted_comes_back(
    drive: Served, tmp_path: Path, attack: Callable[[Path, Tree], None]
) -> None:
    files = town_hall(drive)
    judged(drive)
    before, pc = everything(drive), Device("pc", tmp_path, drive)
    pc.sync()
    attack(pc.folder / COMMON, files)
    assert "Cet appareil est arrêté" in sent(pc)
    require_all_back(drive, before)


@needs_client
def test_files_that_get_names_of_chance_alone_come_back_under_their_own(
    drive: Served, tmp_path: Path
) -> None:
    """Nothing is encrypted yet, and no ending is left."""
    files = town_hall(drive)
    judged(drive)
    before, pc, names = everything(drive), Device("pc", tmp_path, drive), random.Random(4)
    pc.sync()
    for path in files:
        file = pc.folder / COMMON / path
        file.rename(file.with_name(names.randbytes(8).hex()))
    sent(pc)
    require_all_back(drive, before)


def sent(pc: Device) -> str:
    """What the client says, whether it comes to its end or is stopped."""
    return pc.start().communicate(timeout=LONGEST_S)[0]


@pytest.mark.skipif(not RCLONE.exists(), reason="needs rclone")
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_rclone_brings_of_an_encrypted_folder_is_taken_back(
    drive: Served, tmp_path: Path, attack: Callable[[Path, Tree], None]
) -> None:
    files, source = town_hall(drive), tmp_path / "source"
    judged(drive)
    before = everything(drive)
    for path in files:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
    attack(source, files)
    with suppress(AssertionError):  # it is refused on its way, or was quicker
        rclone(drive, "sync", str(source), f"d:{COMMON}")
    require_all_back(drive, before)


@needs_fuse
def test_a_mount_that_is_encrypted_comes_back(drive: Served, mounted: Path) -> None:
    files = town_hall(drive)
    judged(drive)
    before = everything(drive)
    for number, (path, data) in enumerate(files.items()):
        try:
            (mounted / COMMON / path).write_bytes(drive_attacks.full(data, number))
            (mounted / COMMON / path).rename(mounted / COMMON / f"{path}.k9x2")
        except OSError:
            break
    require_all_back(drive, before)


@needs_client
@pytest.mark.parametrize("receiver", ["amir", "bruno"])
def test_what_others_share_and_a_device_of_theirs_encrypts_comes_back(
    drive: Served, tmp_path: Path, receiver: str
) -> None:
    """``bruno`` is of another collectivité."""
    files: Tree = {f"d{number % 8}/p{number}.{kind}": made(kind, 3) for number, kind in enumerate(OFFICE)}
    alice = Device("alice", tmp_path, drive)
    for path, data in files.items():
        alice.write(f"Marchés/{path}", data)
    alice.sync()
    judged(drive)
    if receiver == "bruno":
        answer(drive, share(drive, "Marchés", Wish("collectivite", B, rights="write")))
    else:
        share(drive, "Marchés", Wish("person", "per_amir", rights="write"))
    before, pc = everything(drive), Device(receiver, tmp_path, drive, receiver)
    pc.sync()
    encrypted_in_place(pc.folder / SHARED_NAME / "Marchés", files)
    sent(pc)
    require_all_back(drive, before, f"app_{receiver}")


def deleted(folder: Path) -> None:
    """Three folders whole, of the others each file."""
    for one in sorted(folder.iterdir()):
        if one.name in ("d0", "d1", "d2"):
            shutil.rmtree(one)
        else:
            for file in one.iterdir():
                file.unlink()


def renamed_at_random(folder: Path) -> None:
    """With their ending: without it thirty are an alarm."""
    names = random.Random(5)
    for file in sorted(folder.glob("*/*")):
        file.rename(file.with_name(names.randbytes(8).hex() + file.suffix))


@needs_client
@pytest.mark.parametrize("attack", [deleted, renamed_at_random])
def test_500_files_that_are_deleted_or_renamed_come_back_with_the_folder_as_it_was(
    drive: Served, tmp_path: Path, attack: Callable[[Path], None]
) -> None:
    """No alarm: people do both. One action takes both back."""
    pc = Device("pc", tmp_path, drive)
    pc.sync()
    for number in range(500):
        pc.write(f"{COMMON}/d{number % 10}/pièce {number}.txt", f"pièce {number}")
    pc.sync()
    before, at_s = everything(drive), clock.epoch_s()
    assert len(before) == 500
    until(lambda: clock.epoch_s() > at_s, "the next second")
    attack(pc.folder / COMMON)
    pc.sync()
    judged(drive)
    assert not raised(drive) and not before.keys() & everything(drive).keys()
    with metadata(drive) as database:
        with database.reading() as reading:
            common = look.root(reading, schema.COMMON)
            assert common is not None
            then = moments.seen(reading, common.id, at_s, clock.epoch_s())
            way = ways.plan(reading, common.id, then)
        go_back(database, way, clock.epoch_s())
    assert everything(drive) == before
