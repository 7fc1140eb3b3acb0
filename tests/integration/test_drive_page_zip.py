"""Files and folders that somebody chose on a page, fetched as one ZIP."""

from __future__ import annotations

import io
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from beffroi.drive.store import look
from beffroi.drive.store.model import Node
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.drive.web import given, granted
from beffroi.drive.who import Who
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import Browser, at, server
from tests.drive_pages import Drive, client, drive
from tests.drive_under_way import taken_in
from tests.fixtures_portal import no_door

__all__ = ["at", "client", "drive", "no_door", "server"]
pytestmark = pytest.mark.django_db


def test_several_files_and_folders_come_as_one_zip(drive: Drive, at: Browser) -> None:
    at.send(b"un", folder=drive.own.id, path=["Budget"], name="2026.txt")
    at.send(b"", folder=drive.own.id, name="vide.txt")
    with drive.database.reading() as reading:
        chosen = ",".join(str(one.id) for one in look.children(reading, drive.own.id))
    origin = f"http://127.0.0.1:{at.server.port}"
    status, headers, body = at.ask(
        "POST", "/coffre/octets/zip", urlencode({"n": chosen}).encode(), Origin=origin
    )
    assert status == 200 and "Coffre.zip" in headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        found = {one.filename: archive.read(one) for one in archive.infolist()}
    assert found == {"Budget/": b"", "Budget/2026.txt": b"un", "vide.txt": b""}
    assert at.ask("POST", "/coffre/octets/zip", urlencode({"n": chosen}).encode())[0] == 403
    for form, where in (
        ({"dossier": "7"}, "/coffre/7/?refus=drive.nothing_ticked"),
        ({"n": "999999", "dossier": "//x"}, "/coffre/?refus=drive.absent"),
        ([("n", "999999")] * 2000, "/coffre/?refus=drive.absent"),
        ([("n", "7")] * (given.MOST_ZIPPED + 1), "/coffre/?refus=input.invalid"),
    ):
        status, headers, _ = at.ask("POST", "/coffre/octets/zip", urlencode(form).encode(), Origin=origin)
        assert (status, headers["location"]) == (303, where)


def test_a_page_of_another_collectivite_packs_nothing(
    drive: Drive, at: Browser, client: Client, nuits: Commune
) -> None:
    """Who works for two may have changed in another tab: numbers of files are of one of them."""
    made = at.send(b"un", folder=drive.own.id, name="un.txt")[1]["node"]
    page = client.get("/coffre/").content.decode()
    assert page.count(f'name="collectivite" value="{drive.collectivite_id}"') == 3, (
        "sending, ticked, all of it"
    )
    origin = f"http://127.0.0.1:{at.server.port}"
    for of, wanted in ((drive.collectivite_id, 200), (nuits.id, 303)):
        form = urlencode({"n": made, "collectivite": of, "dossier": drive.own.id}).encode()
        status, headers, _ = at.ask("POST", "/coffre/octets/zip", form, Origin=origin)
        assert status == wanted
    assert headers["location"] == "/coffre/?refus=drive.other_collectivite"


def test_a_list_that_is_too_long_is_taken_in_before_it_is_refused(at: Browser) -> None:
    cookie = f"{granted.COOKIES[granted.OUT_PATH]}={at.cookies[granted.OUT_PATH]}"
    named = {"Cookie": cookie, "Origin": "http://localhost"}
    body = b"n=" + b"7" * (given.FORM_BYTES + 100_000)
    assert taken_in(at.server.port, "POST", "/coffre/octets/zip", named, body).split()[1] == b"303"


def test_an_archive_opens_on_any_computer(drive: Drive, at: Browser, tmp_path: Path) -> None:
    """Folders can be entered, whoever unpacks them; a time that ZIP does not know harms nobody."""
    at.send(b"un", folder=drive.own.id, path=["Budget", "2026"], name="un.txt", mtime_s=(1 << 36) - 1)
    origin = f"http://127.0.0.1:{at.server.port}"
    form = urlencode({"n": drive.own.id}).encode()
    status, _, body = at.ask("POST", "/coffre/octets/zip", form, Origin=origin)
    assert status == 200
    (tmp_path / "a.zip").write_bytes(body)
    subprocess.run(("unzip", "-q", "a.zip"), cwd=tmp_path, check=True)
    assert (tmp_path / "Budget/2026/un.txt").read_bytes() == b"un"
    modes = {stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "Budget", tmp_path / "Budget/2026")}
    assert modes == {0o755}


def test_an_archive_is_refused_before_all_is_read(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders in one another, all of them chosen, hold more than there is."""
    monkeypatch.setattr(given, "MOST_ZIPPED", 10)
    chain = [drive.folder("a")]
    for _ in range(5):
        chain.append(drive.folder("a", chain[-1]))
    read: list[int] = []
    below = look.below

    def counted(reading: Reading, folder: int) -> Iterator[Node]:
        for one in below(reading, folder):
            read.append(one.id)
            yield one

    monkeypatch.setattr(look, "below", counted)
    who = Who(drive.act.person_id, "", drive.collectivite_id, "agent", "", "", "")
    bodies: Any = None  # none is asked for
    with pytest.raises(given.TooManyFiles):
        given._zip(View(drive.database, who), bodies, [one.id for one in chain])
    assert len(read) <= 10
