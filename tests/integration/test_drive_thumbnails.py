"""Thumbnails of pictures: for phones by the number of a file, for the portal's lists and pages, behind a link."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from beffroi.drive.web.sync.thumbnails import edge

from tests.drive_server import PASSWORD, Served, served
from tests.drive_sync import FILES, found
from tests.integration.test_previews_process import Previews
from tests.photo_samples import Shape, photo, shape

pytestmark = pytest.mark.slow
PHOTO = photo("jpg")
ASKED = "/index.php/core/preview?fileId={}&x={}&y={}&a=1&mode=cover&forceIcon=0"
PROPERTIES = (
    b'<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"><d:prop>'
    b"<oc:fileid/><nc:has-preview/></d:prop></d:propfind>"
)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory: Path = tmp_path_factory.mktemp("bf") / "d"
    with served(directory) as one:
        previews = Previews(directory)
        try:
            yield one
        finally:
            previews.end()


def put(drive: Served, name: str, data: bytes, login: str = "alice") -> tuple[str, str]:
    """(``oc:fileid``, ``nc:has-preview``) of a new file."""
    path = f"{FILES.replace('alice', login)}/{quote(name)}"
    assert drive.ask("PUT", path, data, login)[0] == 201
    said = drive.ask("PROPFIND", path, PROPERTIES, login, Depth="0")[2]
    inside = "d:response/d:propstat/d:prop"
    (number,), (has,) = found(said, f"{inside}/oc:fileid"), found(said, f"{inside}/nc:has-preview")
    return number, has


def test_a_phone_sees_its_photos(drive: Served) -> None:
    number, has = put(drive, "Fête.JPG", PHOTO)
    assert has == "true"
    for asked, wanted in ((64, 256), (256, 256), (512, 1024), (4000, 1024)):
        status, headers, body = drive.ask("GET", ASKED.format(number, asked, asked))
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert shape(body) == Shape(wanted, wanted * 3 // 4)
    assert "sandbox" in headers["content-security-policy"] and headers["cache-control"] == "private, no-store"


def test_only_pictures_say_that_they_have_one(drive: Served) -> None:
    for name, data in (("Acte.pdf", b"%PDF-1.7"), ("vide.jpg", b""), ("image.svg", b"<svg/>")):
        number, has = put(drive, name, data)
        assert has == "false"
        assert drive.ask("GET", ASKED.format(number, 64, 64))[0] in (404, 422), name
    broken, has = put(drive, "cassée.jpg", b"\xff\xd8\xff nothing")
    assert has == "true", "by its name: what it is shows when it is asked for"
    for _ in range(2):
        assert drive.ask("GET", ASKED.format(broken, 64, 64))[0] == 422


def test_nobody_sees_another_commune_s_nor_what_is_held_nor_without_a_password(drive: Served) -> None:
    number, _ = put(drive, "plan.jpg", PHOTO + b"theirs")
    theirs, _ = put(drive, "vue.png", photo("png", 300, 200), "bruno")
    assert drive.ask("GET", ASKED.format(number, 64, 64), login="bruno")[0] == 404
    assert drive.ask("GET", ASKED.format(int(theirs) + 10**6, 64, 64), login="bruno")[0] == 404
    assert drive.ask("GET", ASKED.format(theirs, 64, 64), login="bruno")[0] == 200
    assert drive.exchange("GET", ASKED.format(number, 64, 64), b"", {})[0] == 401
    assert drive.ask("GET", ASKED.format(number, 64, 64))[0] == 200
    held = drive.directory / "refused"
    held.write_text(hashlib.sha256(PHOTO + b"theirs").hexdigest())
    try:
        assert drive.ask("GET", ASKED.format(number, 64, 64))[0] == 403, "also where it was made before"
    finally:
        held.unlink()


def test_odd_questions_have_an_answer(drive: Served) -> None:
    number, _ = put(drive, "odd.jpg", PHOTO)
    for rest, status in (
        ("", 404),
        ("?fileId=x", 404),
        (f"?fileId={number}", 200),
        (f"?fileId={number}&x=-1&y=2", 404),
        (f"?fileId={number}&x=9999999999999999999&y=2", 404),
        (f"/{number}", 404),
        ("?" + "&".join(f"a{n}=1" for n in range(40)), 400),
    ):
        assert drive.ask("GET", f"/index.php/core/preview{rest}")[0] == status, rest
    assert drive.ask("POST", ASKED.format(number, 64, 64), b"x")[0] == 405
    assert [edge(*one) for one in (("", ""), ("256", ""), ("257", "1"))] == [256, 256, 1024]


def test_many_at_once_are_made_once_each(drive: Served) -> None:
    """A list on a screen asks for all it shows; the same content in two files is made once."""
    first, _ = put(drive, "a.jpg", PHOTO + b"same")
    second, _ = put(drive, "b.jpg", PHOTO + b"same")
    answers = {drive.ask("GET", ASKED.format(one, 64, 64))[2] for one in (first, second) * 3}
    assert len(answers) == 1 and PASSWORD not in drive.log and "Fête" not in drive.log
