"""The real desktop client with what others share: it comes, it is changed, it is left, it ends; nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME

from tests.drive_devices import Device, needs_client
from tests.drive_server import A, B, Served, drive
from tests.drive_sharing import allow, answer, end, group, put_in, refuse, share

__all__ = ["drive"]
pytestmark = needs_client


def device(drive: Served, tmp_path: Path, login: str) -> Device:
    return Device(login, tmp_path, drive, login)


def given(drive: Served, tmp_path: Path) -> Device:
    """Alice's device, which sent a folder."""
    alice = device(drive, tmp_path, "alice")
    alice.write("Marchés/plan.txt", "un plan")
    alice.sync()
    return alice


@pytest.mark.parametrize("receiver", ["amir", "bruno"])
def test_a_shared_folder_is_kept_like_any_other(drive: Served, tmp_path: Path, receiver: str) -> None:
    alice, other = given(drive, tmp_path), device(drive, tmp_path, receiver)
    if receiver == "bruno":
        made = share(drive, "Marchés", Wish("collectivite", B, rights="write"))
        answer(drive, made)
    else:
        made = share(drive, "Marchés", Wish("person", "per_amir", rights="write"))
    other.sync()
    at = f"{SHARED_NAME}/Marchés"
    assert other.read(f"{at}/plan.txt") == b"un plan"
    other.write(f"{at}/plan.txt", "deux plans")
    other.write(f"{at}/neuf/avis.txt", "oui")
    other.sync()
    alice.sync()
    assert alice.read("Marchés/plan.txt") == b"deux plans" and alice.read("Marchés/neuf/avis.txt") == b"oui"
    alice.write("Marchés/plan.txt", "trois plans")
    alice.sync()
    other.sync()
    assert other.read(f"{at}/plan.txt") == b"trois plans"
    end(drive, made)
    other.sync()
    assert not (other.folder / at).exists()
    alice.sync()
    assert alice.read("Marchés/plan.txt") == b"trois plans"


def test_who_deletes_the_folder_on_their_computer_leaves_the_share(drive: Served, tmp_path: Path) -> None:
    alice, amir = given(drive, tmp_path), device(drive, tmp_path, "amir")
    share(drive, "Marchés", Wish("person", "per_amir", rights="write"))
    amir.sync()
    shutil.rmtree(amir.folder / SHARED_NAME / "Marchés")
    amir.sync()
    assert not (amir.folder / SHARED_NAME / "Marchés").exists()
    alice.sync()
    assert alice.read("Marchés/plan.txt") == b"un plan"


def test_what_may_only_be_read_comes_back_when_it_was_changed(drive: Served, tmp_path: Path) -> None:
    alice, amir = given(drive, tmp_path), device(drive, tmp_path, "amir")
    share(drive, "Marchés", Wish("person", "per_amir"))
    amir.sync()
    file = amir.folder / SHARED_NAME / "Marchés" / "plan.txt"
    file.unlink()
    amir.sync()
    assert file.read_bytes() == b"un plan"
    alice.sync()
    assert alice.read("Marchés/plan.txt") == b"un plan"


@pytest.mark.parametrize("inside", ["plan.txt", "lots/un/plan.txt"])
def test_a_device_may_write_what_it_only_read_and_no_more_once_it_only_reads(
    drive: Served, tmp_path: Path, inside: str
) -> None:
    alice, amir = (device(drive, tmp_path, login) for login in ("alice", "amir"))
    alice.write(f"Marchés/{inside}", "un plan")
    alice.sync()
    made = share(drive, "Marchés", Wish("person", "per_amir"))
    amir.sync()
    allow(drive, made, "write")
    amir.sync()
    file = amir.folder / SHARED_NAME / "Marchés" / inside
    file.chmod(0o600)
    file.write_bytes(b"deux plans")
    amir.sync()
    alice.sync()
    assert alice.read(f"Marchés/{inside}") == b"deux plans"
    allow(drive, made, "read")
    amir.sync()
    file.chmod(0o600)
    file.write_bytes(b"trois plans")
    amir.sync()
    assert file.read_bytes() == b"deux plans" and b"trois plans" in amir.tree().values(), "kept beside it"


def test_what_came_on_a_computer_before_it_only_read_stays_there(drive: Served, tmp_path: Path) -> None:
    alice, amir = given(drive, tmp_path), device(drive, tmp_path, "amir")
    made = share(drive, "Marchés", Wish("person", "per_amir", rights="write"))
    amir.sync()
    at = f"{SHARED_NAME}/Marchés"
    amir.write(f"{at}/neuf.txt", "neuf")
    amir.write(f"{at}/lots/un.txt", "un")
    allow(drive, made, "read")
    for _ in range(2):
        amir.sync(fails=True)
        assert amir.read(f"{at}/neuf.txt") == b"neuf" and amir.read(f"{at}/lots/un.txt") == b"un"
    alice.sync()
    assert alice.tree() == {"Marchés": None, "Marchés/plan.txt": b"un plan"}


@pytest.mark.parametrize("more", ["", "Autre"], ids=["the only share", "one of two"])
def test_what_was_written_on_a_computer_while_the_share_ended_stays_there(
    drive: Served, tmp_path: Path, more: str
) -> None:
    alice, amir = given(drive, tmp_path), device(drive, tmp_path, "amir")
    wish = Wish("person", "per_amir", rights="write")
    if more:
        alice.write(f"{more}/x.txt", "x")
        alice.sync()
        share(drive, more, wish)
    made = share(drive, "Marchés", wish)
    amir.sync()
    at = f"{SHARED_NAME}/Marchés"
    amir.write(f"{at}/plan.txt", "deux plans")
    amir.write(f"{at}/neuf.txt", "neuf")
    end(drive, made)
    for _ in range(2):
        amir.sync(fails=True)
        assert amir.read(f"{at}/plan.txt") == b"deux plans" and amir.read(f"{at}/neuf.txt") == b"neuf"
    alice.sync()
    assert alice.read("Marchés/plan.txt") == b"un plan", "nothing of it came there"


@pytest.mark.parametrize("begins_anew", [False, True])
def test_a_commune_that_lost_its_drive_takes_no_file_from_devices_of_another(
    drive: Served, tmp_path: Path, begins_anew: bool
) -> None:
    """Keys and metadata gone: theirs may be the last copies."""
    given(drive, tmp_path)
    bruno = device(drive, tmp_path, "bruno")
    made = share(drive, "Marchés", Wish("collectivite", B, rights="write"))
    answer(drive, made)
    bruno.sync()
    before = bruno.tree()
    assert before[f"{SHARED_NAME}/Marchés/plan.txt"] == b"un plan"
    drive.kill()
    shutil.rmtree(drive.directory / "drive" / A)
    drive.start()
    if begins_anew:
        assert drive.ask("PROPFIND", "/remote.php/dav/files/alice/")[0] == 207
    for _ in range(2):
        bruno.sync(fails=True)
        assert bruno.tree() == before
    assert "drive.share_lost" in drive.log
    refuse(drive, made)
    for _ in range(2):
        bruno.sync(fails=True)
        assert bruno.tree() == before, "kept, and said not to be sent"
    bruno.write("lettre.txt", "une lettre")
    bruno.sync(fails=True)
    assert drive.ask("GET", "/remote.php/dav/files/bruno/lettre.txt", login="bruno")[2] == b"une lettre"


def test_a_file_carried_between_two_communes_arrives_and_its_owner_keeps_it(
    drive: Served, tmp_path: Path
) -> None:
    alice, bruno = given(drive, tmp_path), device(drive, tmp_path, "bruno")
    answer(drive, share(drive, "Marchés", Wish("collectivite", B, rights="write")))
    bruno.sync()
    bruno.write("relevé.txt", "un relevé")
    (bruno.folder / SHARED_NAME / "Marchés" / "plan.txt").rename(bruno.folder / "plan.txt")
    bruno.sync()
    (bruno.folder / "relevé.txt").rename(bruno.folder / SHARED_NAME / "Marchés" / "relevé.txt")
    bruno.sync()
    assert drive.ask("GET", "/remote.php/dav/files/bruno/plan.txt", login="bruno")[2] == b"un plan"
    assert b"plan.txt" in drive.ask("PROPFIND", "/remote.php/dav/trashbin/alice/trash", Depth="1")[2]
    alice.sync()
    assert alice.tree() == {"Marchés": None, "Marchés/relevé.txt": "un relevé".encode()}


def test_what_is_shared_with_a_group_comes_with_who_is_added_and_goes_with_who_is_removed(
    drive: Served, tmp_path: Path
) -> None:
    alice, amir, elise = (device(drive, tmp_path, login) for login in ("alice", "amir", "elise"))
    alice.write("Marchés/plan.txt", "un plan")
    alice.sync()
    committee = group(drive, "Comité des fêtes", "elise")
    share(drive, "Marchés", Wish("group", committee.id, rights="write"))
    at = f"{SHARED_NAME}/Marchés"
    for other in (amir, elise):
        other.sync()
    assert elise.read(f"{at}/plan.txt") == b"un plan" and not (amir.folder / at).exists()
    put_in(drive, committee, "amir")
    amir.sync()
    amir.write(f"{at}/avis.txt", "oui")
    amir.sync()
    elise.sync()
    assert elise.read(f"{at}/avis.txt") == b"oui"
    put_in(drive, committee, "amir", out=True)
    amir.sync()
    assert not (amir.folder / at).exists()
    for other in (alice, elise):
        other.sync()
    assert alice.read("Marchés/avis.txt") == elise.read(f"{at}/avis.txt") == b"oui"
