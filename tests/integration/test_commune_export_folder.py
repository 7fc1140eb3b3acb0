"""The folder of an export of a collectivité: what becomes of one that was cut, and of a disk that is full or fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import CommuneExport
from beffroi.portal.commune_export import folder as folders
from beffroi.portal.commune_export import out, work
from beffroi.portal.commune_export.folder import DiskFull, ExportFolder, FilesLost, FolderUnusable
from django.conf import settings

from tests.conftest import Commune
from tests.drive_browser import server
from tests.fixtures_commune_export import Hall, Run, check, cut_after, files_of, hall, run
from tests.fixtures_portal import no_door

__all__ = ["hall", "no_door", "run", "server"]
pytestmark = pytest.mark.django_db


def test_what_was_cut_goes_on_and_takes_what_changed_meanwhile(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disque"
    path.mkdir()
    for number in range(6):
        hall.send(f"Plan {number}.dwg", hall.drive.common)
    for after in (3, 40, 150, 250):
        with cut_after(monkeypatch, after):
            run(hall.commune, path)
        assert not (path / "manifest-sha256.txt").exists()
        assert "n'est pas terminé" in (path / "INCOMPLET.txt").read_text()
    hall.send("Plan 1.dwg", hall.drive.common, b"changed")
    _, row = run(hall.commune, path)
    check(path)
    assert (path / "coffre/Dossier commun/Plan 1.dwg").read_bytes() == b"changed"
    assert (
        CommuneExport.objects.count() == 1
        and AuditEntry.objects.filter(object_id=row.id, verb="communes:export:resumed").exists()
    )
    assert not (path / "INCOMPLET.txt").exists() and not (path / ".etat.sqlite").exists()
    with pytest.raises(FolderUnusable):
        run(hall.commune, path)


def test_a_file_that_is_damaged_is_named_and_the_export_never_calls_itself_whole(
    hall: Hall, run: Run, tmp_path: Path
) -> None:
    body = os.urandom(300_000)
    hall.send("Grand plan.tif", hall.drive.common, body)
    objects = settings.BEFFROI.state / "drive" / "objects" / hall.commune.id
    (stored,) = [one for one in objects.rglob("*") if one.is_file()]
    stored.write_bytes(b"\0" * stored.stat().st_size)
    path = tmp_path / "disque"
    with pytest.raises(work.NotAllRead):
        run(hall.commune, path)
    assert "Grand plan.tif" in (path / "INCOMPLET.txt").read_text()
    _, row = run(hall.commune, path, leave_out=True)
    check(path)
    readme = (path / "LISEZ-MOI.txt").read_text()
    assert "Cet export n'est pas complet" in readme and "Grand plan.tif" in readme
    row.refresh_from_db()
    assert row.missing == 1 and not (path / "coffre/Dossier commun/Grand plan.tif").exists()


def test_a_full_disk_is_said_and_the_same_call_goes_on(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disque"
    room = os.statvfs(tmp_path)
    free = room.f_bavail * room.f_frsize
    monkeypatch.setattr(out, "KEPT_FREE_BYTES", free + (1 << 30))
    with pytest.raises(DiskFull):
        run(hall.commune, path)
    assert not (path / "manifest-sha256.txt").exists()
    monkeypatch.setattr(out, "KEPT_FREE_BYTES", 0)
    run(hall.commune, path)
    check(path)


def test_a_disk_that_goes_away_is_said_without_a_name_of_a_file(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disque"
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if "Budget" in str(target):
            raise OSError(errno.EIO, "Input/output error", str(self), None, str(target))
        return real(self, target)

    with monkeypatch.context() as patch, pytest.raises(FolderUnusable) as said:
        patch.setattr(Path, "replace", replace)
        run(hall.commune, path)
    assert "Input/output error" in str(said.value) and "Budget" not in str(said.value)
    run(hall.commune, path)
    check(path)


def test_a_folder_of_something_else_is_left_alone(
    hall: Hall, nuits: Commune, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photos"
    path.mkdir()
    (path / "chat.jpg").write_bytes(b"chat")
    with pytest.raises(FolderUnusable):
        run(hall.commune, path)
    assert [one.name for one in path.iterdir()] == ["chat.jpg"]
    begun = tmp_path / "autre"
    begun.mkdir()
    with cut_after(monkeypatch, 5):
        run(hall.commune, begun)
    with pytest.raises(FolderUnusable):
        run(nuits, begun)


@contextmanager
def _folder(path: Path) -> Iterator[ExportFolder]:
    folder = ExportFolder(path, owner="col_x", beside=Path("/dev/shm"), tick=lambda: None)
    try:
        yield folder
        if (path / folders.STATE).exists():
            folder.keep()
    finally:
        folder.close()


def test_what_the_disk_lost_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "disque"
    path.mkdir()
    with _folder(path) as folder, folder.file("a", "", "a.txt") as file:
        file.write(b"whole")
    os.truncate(path / "a.txt", 2)
    with _folder(path) as folder:
        assert folder.done("a", "", "", "a.txt") is not None
        with pytest.raises(FilesLost):
            folder.finish(lambda made: None)
    with _folder(path) as folder:
        assert folder.done("a", "", "", "a.txt") is None
        with folder.file("a", "", "a.txt") as file:
            file.write(b"whole")
        folder.finish(lambda made: None)
    assert (path / "a.txt").read_bytes() == b"whole"


def test_names_that_one_system_takes_for_the_same_lie_apart_and_none_leads_out(tmp_path: Path) -> None:
    path = tmp_path / "disque"
    path.mkdir()
    names = ["a.txt", "A.TXT", "é", "e\u0301", "..", "CON", "x" * 300, "../../etc/passwd", "y" * 300]
    with _folder(path) as folder:
        above = "dossier"
        for number in range(6):  # deeper than any system opens
            above = folder.directory(f"d{number}", above, "z" * 240)
        for number, name in enumerate(names):
            for where in ("coffre", above):
                with folder.file(f"n{where[:2]}{number}", where, name) as file:
                    file.write(name.encode())
        made = folder.finish(lambda made: None)
    assert made.files == 2 * len(names)
    found = {one: body for one, body in files_of(path).items() if one != "manifest-sha256.txt"}
    assert sorted(found.values()) == sorted(2 * [one.encode() for one in names])
    assert len({one.casefold() for one in found}) == len(found) and max(map(len, found)) <= 1000
    assert not (tmp_path / "etc").exists() and [one.name for one in tmp_path.iterdir()] == ["disque"]
