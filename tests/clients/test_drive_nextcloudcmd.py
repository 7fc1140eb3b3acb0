"""Two devices with the real desktop client keep one folder: nothing is lost, nothing comes twice, nobody waits."""

from __future__ import annotations

import hashlib
import os
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from beffroi.drive.backup.work import Backups
from beffroi.drive.store.commune import Communes
from beffroi.lib.config import Config

from tests.drive_devices import COMMON, Device, needs_client, on_server, server_tree
from tests.drive_server import A, Served, drive
from tests.integration.test_drive_seal_dav import close
from tests.waiting import PATIENCE_S, until

__all__ = ["drive"]
pytestmark = needs_client
LONG_AGO = 1_500_000_000
MIB = 1 << 20
SMALL_CHUNKS = {
    name: str(MIB) for name in ("OWNCLOUD_CHUNK_SIZE", "OWNCLOUD_MIN_CHUNK_SIZE", "OWNCLOUD_MAX_CHUNK_SIZE")
}


@pytest.fixture
def first(drive: Served, tmp_path: Path) -> Device:
    return Device("first", tmp_path, drive)


@pytest.fixture
def second(drive: Served, tmp_path: Path) -> Device:
    return Device("second", tmp_path, drive)


def sent(said: str) -> list[str]:
    """Addresses of all bodies that a client says it sent (``--logdebug``)."""
    return re.findall(r'PUT of "([^"]+)" FINISHED', said)


def test_what_one_device_does_the_other_has(first: Device, second: Device, drive: Served) -> None:
    first.write("lettre.txt", "Bonjour", LONG_AGO)
    first.write("plans/2026/école.bin", os.urandom(300_000), LONG_AGO + 1)
    (first.folder / "vide").mkdir()
    first.sync()
    second.sync()
    assert second.tree() == first.tree() and "vide" in second.tree()
    assert (second.folder / "lettre.txt").stat().st_mtime == LONG_AGO
    second.write("lettre.txt", "Bonjour à tous", LONG_AGO + 60)
    (second.folder / "plans/2026/école.bin").unlink()
    second.sync()
    first.sync()
    assert first.read("lettre.txt").decode() == "Bonjour à tous"
    assert first.tree() == second.tree() and "plans/2026/école.bin" not in first.tree()
    assert (first.folder / "lettre.txt").stat().st_mtime == LONG_AGO + 60


def test_names_and_folders_move_without_being_sent_again(
    first: Device, second: Device, drive: Served
) -> None:
    first.write("a.txt", "a" * 1000)
    first.write("dossier/b.txt", "b" * 1000)
    first.sync()
    second.sync()
    before = server_tree(drive)
    (first.folder / "a.txt").rename(first.folder / "délibération.txt")
    (first.folder / "dossier").rename(first.folder / "archives")
    said = first.sync("--logdebug")
    after = server_tree(drive)
    assert after["délibération.txt"] == before["a.txt"] and after["archives/b.txt"] == before["dossier/b.txt"]
    assert sent(said) == []
    second.sync()
    assert second.tree() == first.tree()


def test_two_changes_of_one_file_are_both_kept(first: Device, second: Device) -> None:
    first.write("lettre.txt", "avant", LONG_AGO)
    first.sync()
    second.sync()
    first.write("lettre.txt", "de la première", LONG_AGO + 10)
    second.write("lettre.txt", "de la seconde", LONG_AGO + 20)
    first.sync()
    second.sync()
    kept = {data for path, data in second.tree().items() if path.startswith("lettre")}
    assert kept == {"de la première".encode(), b"de la seconde"}
    assert second.read("lettre.txt") == "de la première".encode()


def test_nothing_to_do_changes_nothing(first: Device, drive: Served) -> None:
    first.write("a/b/c.txt", "c")
    assert len(sent(first.sync("--logdebug"))) == 1
    with on_server(drive) as database:
        before = database.execute("SELECT value FROM meta WHERE name = 'number'").fetchone()
    first.sync()
    with on_server(drive) as database:
        assert database.execute("SELECT value FROM meta WHERE name = 'number'").fetchone() == before


def test_unusual_names_travel(first: Device, second: Device) -> None:
    names = (
        "l’été – n° 12.txt",
        "100 % sûr.txt",
        "%41%2f.txt",
        "a#b?c&d=e+f;g.txt",
        "日本語.txt",
        "🙂.txt",
        "'guillemets' \"doubles\".txt",
        "x" * 200 + ".txt",
        ".caché",
        "CON.txt",
    )
    for name in names:
        first.write(f"dossier à trous/{name}", name)
    first.sync()
    second.sync()
    assert second.tree() == first.tree()
    assert all(f"dossier à trous/{name}" in second.tree() for name in names)


def test_a_large_file_goes_in_parts(first: Device, second: Device, drive: Served) -> None:
    """The client's own sizes: more than 100 MiB."""
    data = random.Random(1).randbytes(101 * MIB)
    first.write("film.mp4", data, LONG_AGO)
    addresses = sent(first.sync("--logdebug"))
    assert len(addresses) > 1 and all("/remote.php/dav/uploads/alice/" in one for one in addresses)
    _, size, sha1 = server_tree(drive)["film.mp4"]
    assert (size, sha1) == (len(data), hashlib.sha1(data).hexdigest())
    with on_server(drive) as database:
        assert database.execute(
            "SELECT (SELECT count(*) FROM upload), (SELECT count(*) FROM part)"
        ).fetchone() == (
            0,
            0,
        )
    second.sync()
    assert second.read("film.mp4") == data
    assert (second.folder / "film.mp4").stat().st_mtime == LONG_AGO


def parts(drive: Served) -> int:
    with on_server(drive) as database:
        return int(database.execute("SELECT count(*) FROM part").fetchone()[0])


def test_an_interrupted_upload_goes_on_where_it_was(first: Device, drive: Served) -> None:
    first.sync()
    first.environment = SMALL_CHUNKS
    data = random.Random(2).randbytes(12 * MIB)
    first.write("plan.dwg", data, LONG_AGO)
    running = first.start("--uplimit", "4000")
    try:
        until(lambda: parts(drive) >= 3, "three parts")
    finally:
        running.kill()
        running.communicate()
    arrived = parts(drive)
    assert 3 <= arrived < 12, "it was cut in the middle"
    said = first.sync("--logdebug")
    again = [address for address in sent(said) if "/uploads/" in address]
    assert 0 < len(again) <= 12 - arrived, "what had arrived is not sent again"
    _, size, sha1 = server_tree(drive)["plan.dwg"]
    assert (size, sha1) == (len(data), hashlib.sha1(data).hexdigest())


def test_an_upload_survives_a_server_that_is_killed(first: Device, second: Device, drive: Served) -> None:
    first.sync()
    first.environment = SMALL_CHUNKS
    data = random.Random(3).randbytes(12 * MIB)
    first.write("plan.dwg", data, LONG_AGO)
    running = first.start("--uplimit", "4000", "--max-sync-retries", "1")
    try:
        until(lambda: parts(drive) >= 3, "three parts")
        drive.kill()
        running.communicate(timeout=PATIENCE_S)
    finally:
        running.kill()
        running.wait()
    drive.start()
    first.sync()
    second.sync()
    assert second.read("plan.dwg") == data


def test_where_there_is_no_room_others_go_on(first: Device, second: Device, drive: Served) -> None:
    first.sync()
    with on_server(drive) as database:
        (root,) = database.execute("SELECT id FROM node WHERE name = 'home:per_alice'").fetchone()
        database.execute("INSERT INTO quota (root, limit_bytes) VALUES (?, ?)", (root, 100_000))
    first.write("trop.bin", os.urandom(400_000), LONG_AGO)
    first.write("petit.txt", "petit", LONG_AGO)
    first.sync(fails=True)
    assert set(server_tree(drive)) == {"petit.txt"}
    status, _, body = drive.ask("PUT", "/remote.php/dav/files/alice/trop.bin", os.urandom(400_000))
    assert status == 507 and b"InsufficientStorage" in body
    assert first.read("trop.bin"), "the device keeps what found no room"
    second.sync()
    assert second.read("petit.txt") == b"petit"
    with on_server(drive) as database:
        database.execute("UPDATE quota SET limit_bytes = 1000000")
    (first.folder / "trop.bin").touch()
    first.sync()
    assert set(server_tree(drive)) == {"petit.txt", "trop.bin"}


def test_who_only_reads_changes_nothing_of_the_commune(first: Device, drive: Served, tmp_path: Path) -> None:
    first.write(f"{COMMON}/conseil/pv.txt", "procès-verbal", LONG_AGO)
    first.sync()
    elected = Device("elected", tmp_path, drive, login="elise")
    elected.sync()
    assert elected.read(f"{COMMON}/conseil/pv.txt").decode() == "procès-verbal"
    elected.write(f"{COMMON}/conseil/pv.txt", "autre chose", LONG_AGO + 10)
    elected.write(f"{COMMON}/conseil/ajout.txt", "ajout", LONG_AGO + 10)
    elected.write("à moi.txt", "à moi", LONG_AGO + 10)
    running = elected.start()
    running.communicate(timeout=PATIENCE_S)
    first.sync()
    assert first.read(f"{COMMON}/conseil/pv.txt").decode() == "procès-verbal"
    assert f"{COMMON}/conseil/ajout.txt" not in first.tree()
    assert set(server_tree(drive, "per_elise")) == {"à moi.txt"}
    assert elected.read(f"{COMMON}/conseil/pv.txt").decode() == "procès-verbal"
    assert b"autre chose" in elected.tree().values(), "what was written is kept beside it"


def test_a_sealed_folder_comes_back_as_it_was_and_nothing_is_lost(first: Device, drive: Served) -> None:
    sealed = f"{COMMON}/Factures"
    first.write(f"{sealed}/a.txt", "facture a", LONG_AGO)
    first.write(f"{sealed}/Mars/b.txt", "facture b", LONG_AGO)
    first.write(f"{COMMON}/Courrier/c.txt", "lettre", LONG_AGO)
    first.sync()
    close(drive.directory, ("Factures",))
    first.sync()
    (first.folder / sealed / "a.txt").chmod(0o600)
    first.write(f"{sealed}/a.txt", "autre chose", LONG_AGO + 10)
    (first.folder / sealed / "Mars/b.txt").unlink()
    first.write(f"{COMMON}/Courrier/c.txt", "lettre corrigée", LONG_AGO + 10)
    for new in (f"{sealed}/neuf.txt", f"{sealed}/Avril/d.txt"):
        first.write(new, "pas encore envoyé", LONG_AGO)
    first.start().communicate(timeout=PATIENCE_S)
    first.start().communicate(timeout=PATIENCE_S)
    assert first.read(f"{sealed}/a.txt").decode() == "facture a"
    assert first.read(f"{sealed}/Mars/b.txt").decode() == "facture b"
    assert b"autre chose" in first.tree().values(), "what was written is kept beside it"
    for new in (f"{sealed}/neuf.txt", f"{sealed}/Avril/d.txt"):
        assert first.read(new).decode() == "pas encore envoyé"
    with on_server(drive) as database:
        rows = database.execute(
            "SELECT name, size_bytes FROM node WHERE is_folder = 0 ORDER BY name"
        ).fetchall()
    assert rows == [("a.txt", 9), ("b.txt", 9), ("c.txt", len("lettre corrigée".encode()))]


def test_what_was_written_after_the_backup_survives_a_restore_of_the_running_server(
    first: Device, second: Device, drive: Served
) -> None:
    first.write("ancien.txt", "ancien", LONG_AGO)
    first.write("modifié.txt", "avant", LONG_AGO)
    first.write("grand.bin", os.urandom(3 * MIB), LONG_AGO)
    first.sync()
    second.sync()
    config = Config(state=drive.directory)
    with ThreadPoolExecutor(1) as pool:
        communes = Communes(drive.directory / "drive", pool)
        backups = Backups(config, communes)
        assert backups.round().failed == ()
        first.write("nouveau.txt", "nouveau", LONG_AGO + 100)
        first.write("modifié.txt", "après", LONG_AGO + 100)
        (first.folder / "ancien.txt").unlink()
        first.sync()
        assert backups.restore(A).lost == 0
        communes.close()
    assert "nouveau.txt" not in server_tree(drive) and "ancien.txt" in server_tree(drive)
    first.sync()
    assert first.read("nouveau.txt") == b"nouveau" and "nouveau.txt" in server_tree(drive)
    kept = {data for path, data in first.tree().items() if path.startswith("modifié")}
    assert "après".encode() in kept
    assert "ancien.txt" in first.tree(), "what was deleted since is there again"
    second.sync()
    assert second.tree() == _settled(first), "a conflict is its own device's to settle"


@pytest.mark.parametrize("gone", ["metadata", "all"])
def test_a_drive_that_was_lost_takes_no_file_from_a_device(first: Device, drive: Served, gone: str) -> None:
    """A broken disk, a place that is not mounted, a setting that names another database: devices would delete what is
    not in the tree any more, the last there is of it."""
    first.write("lettre.txt", "Bonjour", LONG_AGO)
    first.write("plans/école.bin", os.urandom(300_000), LONG_AGO + 1)
    first.write("Commune/acte.txt", "acte", LONG_AGO)
    first.sync()
    before = first.tree()
    drive.kill()
    place = drive.directory / "drive" / A
    for path in place.iterdir() if gone == "all" else place.glob("metadata.db*"):
        path.unlink()
    drive.start()
    first.sync(fails=gone == "metadata")
    assert first.tree() == before
    if gone == "metadata":
        assert "drive.metadata_missing" in drive.log
        assert not list(place.glob("metadata.db*")), "what would be collected by it stays"
        return
    assert {"lettre.txt", "plans/école.bin"} <= server_tree(drive).keys(), "it begins anew, and devices send"
    assert drive.ask("GET", "/remote.php/dav/files/alice/Commune/acte.txt")[2] == b"acte"


SEED = int(os.environ.get("BEFFROI_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
STEPS = 20
_CONFLICT = "(conflicted copy "


def test_after_any_steps_both_devices_and_the_server_are_equal(
    first: Device, second: Device, drive: Served
) -> None:
    """BEFFROI_TEST_SEED says which steps; a failure names its seed."""
    chance, clock_s = random.Random(SEED), LONG_AGO
    for _ in range(STEPS):
        device = chance.choice((first, second))
        clock_s += 10
        _step(device, chance, clock_s)
        if chance.random() < 0.4:
            device.sync()
    for device in (first, second, first, second):
        device.sync()
    both = _settled(first)
    assert both == _settled(second), f"seed {SEED}"
    on_device = {path for path in both if not path.startswith(COMMON + "/")}
    assert set(server_tree(drive)) == on_device, f"seed {SEED}"
    for path, (_, size, sha1) in server_tree(drive).items():
        data = both[path]
        if data is not None:
            assert (len(data), hashlib.sha1(data).hexdigest()) == (size, sha1), f"seed {SEED}: {path}"


def _settled(device: Device) -> dict[str, bytes | None]:
    """Without what a conflict left: it stays on its own device until a person settles it."""
    return {path: data for path, data in device.tree().items() if _CONFLICT not in path}


def _step(device: Device, chance: random.Random, clock_s: int) -> None:
    files = [
        file
        for file in device.folder.rglob("*")
        if file.is_file() and not file.name.startswith(".") and _CONFLICT not in file.name
    ]
    folders = [
        one
        for one in device.folder.rglob("*")
        if one.is_dir() and one != device.folder / COMMON and not one.name.startswith(".")
    ]
    kind = chance.choice(("write", "write", "change", "rename", "move", "delete", "folder", "rename_folder"))
    name = f"{chance.choice('abcdé')}{chance.randrange(100)}"
    if kind == "write" or not files:
        above = chance.choice([device.folder, *folders])
        path = (above / f"{name}.txt").relative_to(device.folder).as_posix()
        device.write(path, chance.randbytes(chance.randrange(0, 5000)), clock_s)
    elif kind == "change":
        path = chance.choice(sorted(files)).relative_to(device.folder).as_posix()
        device.write(path, chance.randbytes(chance.randrange(0, 5000)), clock_s)
    elif kind == "rename":
        file = chance.choice(sorted(files))
        _move(file, file.with_name(f"{name}.txt"))
    elif kind == "move":
        _move(file := chance.choice(sorted(files)), chance.choice([device.folder, *folders]) / file.name)
    elif kind == "delete":
        chance.choice(sorted(files)).unlink()
    elif kind == "folder":
        (device.folder / name).mkdir(exist_ok=True)
    elif folders:
        folder = chance.choice(sorted(folders))
        _move(folder, folder.with_name(name))


def _move(source: Path, target: Path) -> None:
    if not target.exists():
        source.rename(target)
