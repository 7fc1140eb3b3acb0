"""What a device does with its own app password: an address by which a player fetches one file, and signing out.

Source: Nextcloud's developer manual, "Direct Download"; android-library, NextcloudKit (sign-out).
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from beffroi.core.planes.tokens import make_grant
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME
from beffroi.drive.web.sync.devices import DIRECT, MOST_S
from beffroi.lib.config import Config

from tests.drive_server import PEOPLE, A, B, Served, served
from tests.drive_sharing import answer, crossed, end, share
from tests.drive_sync import FILES, listening
from tests.waiting import PATIENCE_S
from tests.websocket import Closed

pytest_plugins = ["tests.fixtures_drive_sync"]
V2 = "/ocs/v2.php"


def file(drive: Served, path: str, data: bytes = b"un film", login: str = "alice") -> str:
    """Its number."""
    headers = drive.ask("PUT", f"/remote.php/dav/files/{login}/{path}", data, login)[1]
    return str(int(re.match(r"\d+", headers["oc-fileid"])[0]))


def asked(drive: Served, number: str, login: str = "alice", **more: str) -> tuple[int, str]:
    """(status, path of the address that was made)."""
    form = urlencode({"fileId": number} | more).encode()
    status, _, body = drive.ask("POST", f"{V2}/apps/dav/api/v1/direct?format=json", form, login)
    said = json.loads(body)["ocs"]
    assert said["meta"]["statuscode"] == status
    return status, urlsplit(said["data"]["url"]).path if status == 200 else ""


def fetched(
    drive: Served, path: str, method: str = "GET", **headers: str
) -> tuple[int, Mapping[str, str], bytes]:
    """As a player does, which has no password."""
    line = http.client.HTTPConnection("127.0.0.1", drive.port, timeout=PATIENCE_S)
    try:
        line.request(method, path, None, headers)
        said = line.getresponse()
        return said.status, {name.lower(): value for name, value in said.getheaders()}, said.read()
    finally:
        line.close()


def test_a_player_fetches_one_file_by_its_address_and_nothing_else(drive: Served, name: str) -> None:
    number, other = file(drive, f"{name}.mp4"), file(drive, f"{name}.txt", b"autre")
    status, path = asked(drive, number)
    assert status == 200 and path.startswith(f"{DIRECT}/{number}/")
    status, headers, body = fetched(drive, path)
    assert (status, body, headers["content-type"]) == (200, b"un film", "video/mp4")
    assert headers["content-disposition"] == "attachment" and "sandbox" in headers["content-security-policy"]
    status, headers, body = fetched(drive, path, Range="bytes=3-")
    assert (status, body, headers["content-range"]) == (206, b"film", "bytes 3-6/7")
    assert fetched(drive, path, "HEAD")[::2] == (200, b"")
    grant = path.rpartition("/")[2]
    for wrong in (
        f"{DIRECT}/{other}/{grant}",
        f"{DIRECT}/{number}/{grant[:-1]}x",
        f"{DIRECT}/{number}/",
        f"{DIRECT}/{number}/{grant}/x",
        f"{DIRECT}/x/{grant}",
        DIRECT,
    ):
        assert fetched(drive, wrong)[0] == 404, wrong
    for method in ("PUT", "DELETE", "PROPFIND", "POST"):
        assert fetched(drive, path, method)[0] == 405, method
    assert drive.ask("DELETE", f"{FILES}/{name}.mp4")[0] == 204
    assert fetched(drive, path)[0] == 404


def test_an_address_ends_by_its_time_and_is_of_one_device(drive: Served, name: str) -> None:
    number = file(drive, name)
    key = Config(state=drive.directory).secret("drive-grant.key")
    at = f"{DIRECT}/{number}"
    for ttl_s, expected in ((60, 200), (-1, 404)):
        grant = make_grant(key, subject_id="app_alice", collectivite_id=A, paths=(at,), ttl_s=ttl_s)
        assert fetched(drive, f"{at}/{grant}")[0] == expected
    for collectivite_id, holder in ((B, "app_alice"), (A, "app_nobody"), (None, "app_alice")):
        grant = make_grant(key, subject_id=holder, collectivite_id=collectivite_id, paths=(at,))
        assert fetched(drive, f"{at}/{grant}")[0] == 404
    assert asked(drive, number, expirationTime="60")[0] == 200
    assert asked(drive, number, expirationTime=str(3 * MOST_S))[0] == 200
    for wrong in ("0", "-1", "x", "86401", "9" * 40, "0" * 17 + "1" + "9" * 5000):
        assert asked(drive, number, expirationTime=wrong)[0] == 400, wrong


def test_what_is_asked_for_wrongly_is_refused_in_the_words_of_ocs(drive: Served, name: str) -> None:
    assert drive.ask("MKCOL", f"{FILES}/{name}")[0] == 201
    folder = drive.ask("MKCOL", f"{FILES}/{name}/dossier")[1]["oc-fileid"]
    assert asked(drive, str(int(folder[:8])))[0] == 400, "a folder has no address"
    for wrong in ("", "x", "-1", "9" * 30, "1" * 18):
        assert asked(drive, wrong)[0] == 404, wrong
    for method in ("GET", "DELETE", "PUT"):
        assert drive.ask(method, f"{V2}/apps/dav/api/v1/direct?format=json")[0] == 404
        if method != "DELETE":
            assert drive.ask(method, f"{V2}/core/apppassword?format=json")[0] == 404
    assert drive.ask("DELETE", f"{V2}/core/apppassword/rotate?format=json")[0] == 404
    assert fetched(drive, f"{V2}/apps/dav/api/v1/direct", "POST")[0] == 401
    assert fetched(drive, f"{V2}/core/apppassword", "DELETE")[0] == 401


def test_no_address_of_what_another_commune_or_colleague_has(drive: Served, name: str) -> None:
    for _ in range(3):
        number = file(drive, f"{name}-{_}")
    for login in ("amir", "bruno"):
        drive.ask("PROPFIND", f"/remote.php/dav/files/{login}/", login=login)
        assert asked(drive, number, login)[0] == 404


def test_what_another_commune_shares_is_told_to_it_at_each_fetch_and_ends_with_the_share(
    drive: Served, name: str
) -> None:
    assert drive.ask("MKCOL", f"{FILES}/{name}")[0] == 201
    file(drive, f"{name}/film.mp4")
    drive.ask("PROPFIND", "/remote.php/dav/files/bruno/", login="bruno")
    made = share(drive, name, Wish("collectivite", B))
    answer(drive, made)
    at = f"/remote.php/dav/files/bruno/{quote(SHARED_NAME)}/{name}/film.mp4"
    said = drive.ask(
        "PROPFIND",
        at,
        b'<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop><oc:fileid/></d:prop></d:propfind>',
        "bruno",
        Depth="0",
    )[2]
    number = re.search(rb"<oc:fileid>(\d+)", said)[1].decode()
    status, path = asked(drive, number, "bruno")
    assert status == 200
    before = len(crossed(drive))
    for _ in range(2):
        assert fetched(drive, path)[2] == b"un film"
    lines = crossed(drive)[before:]
    assert [(one["what"], one["owner"], one["device_id"]) for one in lines] == [("read", A, "app_bruno")] * 2
    end(drive, made)
    assert fetched(drive, path)[0] == 404 and asked(drive, number, "bruno")[0] == 404


def test_a_device_that_signs_out_hears_and_opens_nothing_more_and_takes_its_addresses_along(
    tmp_path: Path,
) -> None:
    with served(tmp_path / "drive") as drive:
        number = file(drive, "film.mp4")
        path = asked(drive, number)[1]
        assert fetched(drive, path)[0] == 200
        line, other = listening(drive, "alice"), listening(drive, "amir")
        status, _, body = drive.ask("DELETE", f"{V2}/core/apppassword?format=json")
        assert status == 200 and json.loads(body)["ocs"]["meta"]["statuscode"] == 200
        (told,) = (drive.directory / "told-given-up").read_text().splitlines()
        assert json.loads(told)["app_password_id"] == PEOPLE["alice"].app_password_id
        with pytest.raises(Closed):
            line.hear()
        for again in (
            drive.ask("GET", f"{FILES}/film.mp4"),
            drive.ask("DELETE", f"{V2}/core/apppassword"),
            fetched(drive, path),
        ):
            assert again[0] in (401, 404)
        assert drive.ask("PROPFIND", "/remote.php/dav/files/amir/", login="amir", Depth="0")[0] == 207
        file(drive, "Commune/neuf.txt", login="amir")
        assert other.hear() == "notify_file"
