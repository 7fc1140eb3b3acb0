"""A folder as one ZIP, as sync clients fetch it: whole or not at all, by everybody's rights."""

from __future__ import annotations

import hashlib
import io
import zipfile
from urllib.parse import quote

from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME
from beffroi.drive.web.given import MOST_ZIPPED

from tests.drive_asking import HOME
from tests.drive_devices import on_server
from tests.drive_server import B, Served
from tests.drive_sharing import answer, crossed, share

pytest_plugins = ["tests.fixtures_drive_dav"]
BRUNO = "/remote.php/dav/files/bruno"


def fetched(drive: Served, path: str, login: str = "alice") -> zipfile.ZipFile:
    status, headers, body = drive.ask("GET", path, login=login, Accept="application/zip")
    assert (status, headers["content-type"]) == (200, "application/zip"), body[:300]
    return zipfile.ZipFile(io.BytesIO(body))


def test_a_folder_comes_as_one_file_with_all_that_lies_below_it(drive: Served, folder: str) -> None:
    top = folder.rpartition("/")[2]
    for path in ("b", "b/vide", "é à"):
        assert drive.ask("MKCOL", f"{folder}/{quote(path)}")[0] == 201
    for path, body in (("b/grand.bin", b"x" * 3_000_000), ("a.txt", b"a"), ("é à/z.txt", b"")):
        assert drive.ask("PUT", f"{folder}/{quote(path)}", body, X_OC_Mtime="1500000000")[0] == 201
    found = fetched(drive, folder)
    assert found.testzip() is None
    names = [f"{top}/{end}" for end in ("", "a.txt", "b/", "b/grand.bin", "b/vide/", "é à/", "é à/z.txt")]
    assert found.namelist() == names
    assert found.read(f"{top}/b/grand.bin") == b"x" * 3_000_000
    assert found.getinfo(f"{top}/a.txt").date_time[0] == 2017
    assert fetched(drive, f"{folder}/b/vide").namelist() == ["vide/"]
    whole = fetched(drive, f"{HOME}/").namelist()
    assert "Commune/" in whole and f"{top}/b/grand.bin" in whole and "/" not in whole
    status, headers, body = drive.ask("HEAD", folder, Accept="text/html, application/zip;q=0.5")
    assert (status, headers["content-type"], body) == (200, "application/zip", b"")
    assert "content-length" not in headers and f"{top}.zip" in headers["content-disposition"]
    assert drive.ask("GET", folder)[1]["content-type"].startswith("text/plain"), "a browser is told how"
    assert drive.ask("GET", f"{folder}/a.txt", Accept="application/zip")[2] == b"a", "a file is itself"


def test_nobody_fetches_anothers_folder(drive: Served, folder: str) -> None:
    for login in ("bruno", "amir"):
        assert drive.ask("GET", folder, login=login, Accept="application/zip")[0] == 404


def test_what_is_held_keeps_the_whole_back(drive: Served, folder: str) -> None:
    bad = f"mauvais {folder}".encode()
    assert drive.ask("PUT", f"{folder}/a.exe", bad)[0] == 201
    (drive.directory / "refused").write_text(hashlib.sha256(bad).hexdigest())
    assert drive.ask("GET", folder, Accept="application/zip")[0] == 403
    (drive.directory / "refused").unlink()
    assert len(fetched(drive, folder).namelist()) == 2


def test_too_many_files_are_refused(drive: Served, folder: str) -> None:
    with on_server(drive) as database:
        (parent,) = database.execute(
            "SELECT id FROM node WHERE name = ?", (folder.rpartition("/")[2],)
        ).fetchone()
        rows = [((1 << 41) + at, parent, f"f{at}", f"f{at}") for at in range(MOST_ZIPPED)]
        database.execute("BEGIN")
        database.executemany("INSERT INTO node SELECT ?, ?, ?, 0, 0, 1, 1, 1, '', '', x'', '', ?", rows)
        database.execute("COMMIT")
    status, _, body = drive.ask("GET", folder, Accept="application/zip")
    assert status == 403 and "prenez un dossier après l’autre" in body.decode()
    with on_server(drive) as database:
        database.execute("DELETE FROM node WHERE id >= ?", (1 << 41,))


def test_what_another_commune_shares_is_told_and_whole_or_refused(drive: Served, folder: str) -> None:
    name = folder.rpartition("/")[2]
    assert drive.ask("PUT", f"{folder}/plan.txt", b"un plan")[0] == 201
    assert drive.ask("PROPFIND", f"{BRUNO}/", login="bruno", Depth="0")[0] == 207
    answer(drive, share(drive, name, Wish("collectivite", B)))
    before = len(crossed(drive))
    found = fetched(drive, f"{BRUNO}/{quote(SHARED_NAME)}/{name}", "bruno")
    assert found.namelist() == [f"{name}/", f"{name}/plan.txt"]
    assert [one["what"] for one in crossed(drive)[before:]] == ["read"]
    for above in (f"{BRUNO}/", f"{BRUNO}/{quote(SHARED_NAME)}"):
        assert drive.ask("GET", above, login="bruno", Accept="application/zip")[0] == 403
