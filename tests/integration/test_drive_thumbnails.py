"""Thumbnails of pictures: for phones by the number of a file, for the portal's lists and pages, behind a link."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from beffroi.drive.store.names import content_type
from beffroi.drive.web.sync.thumbnails import edge
from beffroi.previews import wire

from tests.drive_server import PASSWORD, Served, served
from tests.drive_sync import FILES, TRASH, found, hrefs
from tests.photo_samples import Shape, photo, shape
from tests.previewing import Previews

pytestmark = pytest.mark.slow
PHOTO = photo("jpg")
ASKED = "/index.php/core/preview?fileId={}&x={}&y={}&a=1&mode=cover&forceIcon=0"
PROPERTIES = (
    b'<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"><d:prop>'
    b"<oc:fileid/><nc:has-preview/></d:prop></d:propfind>"
)
IN_TRASH = PROPERTIES.replace(b"<oc:fileid/>", b"<nc:trashbin-filename/><oc:fileid/>")
LIVE = (
    b'<d:propertyupdate xmlns:d="DAV:" xmlns:nc="http://nextcloud.org/ns"><d:set><d:prop>'
    b"<nc:metadata-files-live-photo>12</nc:metadata-files-live-photo></d:prop></d:set></d:propertyupdate>"
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Where nothing makes pictures yet."""
    directory: Path = tmp_path_factory.mktemp("bf") / "d"
    with served(directory) as one:
        yield one


@pytest.fixture(scope="module")
def drive(bare: Served) -> Iterator[Served]:
    previews = Previews(bare.directory)
    try:
        yield bare
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


def test_a_picture_that_cannot_be_made_now_is_no_outage(bare: Served) -> None:
    """After a 503 NextcloudKit sends nothing of the account, before it has asked for /status.php."""
    number, _ = put(bare, "tôt.jpg", PHOTO)
    assert bare.ask("GET", ASKED.format(number, 64, 64))[0] == 429


def test_a_phone_sees_its_photos(drive: Served) -> None:
    number, has = put(drive, "Fête.JPG", PHOTO)
    assert has == "true"
    for asked, wanted in ((64, 256), (256, 256), (512, 1024), (4000, 1024)):
        status, headers, body = drive.ask("GET", ASKED.format(number, asked, asked))
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert shape(body) == Shape(wanted, wanted * 3 // 4)
    assert "sandbox" in headers["content-security-policy"] and headers["cache-control"] == "private, no-store"


def test_pictures_and_films_say_that_they_have_one(drive: Served) -> None:
    """iOS leaves out of its view of media what says that it has none; where none is given, it draws a sign."""
    assert all(content_type(f"a.{one}").startswith("image/") for one in wire.PHOTOS)
    for name, data, wanted in (
        ("Acte.pdf", b"%PDF-1.7", "false"),
        ("vide.jpg", b"", "false"),
        ("image.svg", b"<svg/>", "true"),
        ("fête.mp4", b"a film", "true"),
        ("IMG_1.mov", b"of a live photo", "true"),
    ):
        number, has = put(drive, name, data)
        assert has == wanted, name
        assert drive.ask("GET", ASKED.format(number, 64, 64))[0] in (404, 422), name
    assert drive.ask("PROPPATCH", f"{FILES}/IMG_1.mov", LIVE)[0] == 207
    said = drive.ask("PROPFIND", f"{FILES}/IMG_1.mov", PROPERTIES, Depth="0")[2]
    assert found(said, ".//nc:has-preview") == ["false"], "it belongs to its picture"
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


def test_android_s_own_chooser_of_files_asks_by_the_path(drive: Served) -> None:
    """``DocumentsStorageProvider``: for other apps, in which one chooses a photo to send."""
    put(drive, "Noël 100% #1.jpg", PHOTO)
    put(drive, "à eux.jpg", PHOTO, "bruno")
    asked = "/index.php/apps/files/api/v1/thumbnail/{}"
    for rest, status in (
        (f"280/280/{quote('Noël 100% #1.jpg')}", 200),
        (f"280/280/{quote('à eux.jpg')}", 404),
        ("280/280/Commune", 404),
        ("280/280/", 404),
        ("280/x/a.jpg", 404),
        ("280", 404),
        ("", 404),
    ):
        found_status, headers, body = drive.ask("GET", asked.format(rest))
        assert found_status == status, rest
        if status == 200:
            assert headers["content-type"] == "image/jpeg" and shape(body) == Shape(1024, 768)


def test_what_was_deleted_is_seen_in_the_trash_by_who_may_bring_it_back(drive: Served) -> None:
    """Android asks for each picture and film there, iOS for what says that it has one."""
    drive.ask("MKCOL", f"{FILES}/Fetes")
    for name, data in (("perdue.jpg", PHOTO), ("Fetes/dedans.jpg", PHOTO), ("perdu.mp4", b"a film")):
        assert drive.ask("PUT", f"{FILES}/{quote(name)}", data)[0] == 201
    for name in ("perdue.jpg", "Fetes", "perdu.mp4"):
        assert drive.ask("DELETE", f"{FILES}/{quote(name)}")[0] == 204
    deleted = deletions(drive, "")
    deleted |= deletions(drive, deleted["Fetes"].href)
    assert [deleted[one].has for one in ("perdue.jpg", "dedans.jpg", "perdu.mp4", "Fetes")] == [
        "true",
        "true",
        "false",
        "false",
    ]
    asked = "/index.php/apps/files_trashbin/preview?fileId={}&x=280&y=280"
    for name, status in (("perdue.jpg", 200), ("dedans.jpg", 200), ("perdu.mp4", 404), ("Fetes", 404)):
        number = deleted[name].number
        assert drive.ask("GET", asked.format(number))[0] == status, name
        assert drive.ask("GET", asked.format(number), login="elise")[0] == 404, "a colleague's"
        assert drive.ask("GET", asked.format(number), login="bruno")[0] == 404
        assert drive.ask("GET", ASKED.format(number, 64, 64))[0] == 404
    kept, _ = put(drive, "gardée.jpg", PHOTO)
    for number in (kept, "0", "x", str(10**17)):
        assert drive.ask("GET", asked.format(number))[0] == 404


class Deleted(NamedTuple):
    href: str
    number: str
    has: str


def deletions(drive: Served, href: str) -> dict[str, Deleted]:
    """By their names; ``href``: of a deleted folder, else all."""
    said = drive.ask("PROPFIND", href or f"{TRASH}/trash", IN_TRASH, Depth="1")[2]
    inside = ".//nc:trashbin-filename", ".//oc:fileid", ".//nc:has-preview"
    names, numbers, have = (found(said, one) for one in inside)
    return dict(zip(names, map(Deleted, hrefs(said)[-len(names) :], numbers, have), strict=True))


def test_what_is_found_by_its_name_is_seen(drive: Served) -> None:
    """The field to search of the desktop's window and of phones."""
    put(drive, "trouvée.jpg", PHOTO)
    put(drive, "trouvée.txt", b"x")
    asked = f"/ocs/v2.php/search/providers/files/search?term={quote('trouvée')}&format=json"
    entries = json.loads(drive.ask("GET", asked)[2])["ocs"]["data"]["entries"]
    (picture,) = [one["thumbnailUrl"] for one in entries if one["thumbnailUrl"]]
    assert len(entries) == 2 and picture.startswith("http")
    status, _, body = drive.ask("GET", picture[picture.index("/index.php") :])
    assert status == 200 and shape(body) == Shape(256, 192)


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
