"""Files that sync clients send in parts."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.drive_devices import on_server
from tests.drive_server import Served
from tests.drive_sync import FILES, UPLOADS, found, hrefs

pytest_plugins = ["tests.fixtures_drive_sync"]


def send(drive: Served, name: str, parts: dict[int, bytes], **headers: str) -> tuple[int, Any, bytes]:
    assert drive.ask("MKCOL", f"{UPLOADS}/{name}")[0] == 201
    for number, data in parts.items():
        assert drive.ask("PUT", f"{UPLOADS}/{name}/{number:05d}", data)[0] == 201
    return drive.ask("MOVE", f"{UPLOADS}/{name}/.file", Destination=f"{drive.url}{FILES}/{name}", **headers)


def test_parts_become_a_file_in_the_order_of_their_numbers(drive: Served, name: str) -> None:
    parts = {2: b"b" * 70_000, 10: b"c" * 300_000, 1: b"a" * 5}
    whole = b"".join(data for _, data in sorted(parts.items()))
    status, headers, _ = send(
        drive,
        name,
        parts,
        OC_Total_Length=str(len(whole)),
        OC_Checksum="SHA1:" + hashlib.sha1(whole).hexdigest(),
        X_OC_Mtime="1500000000",
    )
    assert status == 201 and headers["x-oc-mtime"] == "accepted" and headers["oc-fileid"]
    assert headers["etag"] == headers["oc-etag"]
    got = drive.ask("GET", f"{FILES}/{name}")
    assert got[2] == whole and got[1]["etag"] == headers["etag"]
    assert got[1]["oc-checksum"] == "SHA1:" + hashlib.sha1(whole).hexdigest()
    assert got[1]["last-modified"] == "Fri, 14 Jul 2017 02:40:00 GMT"
    assert drive.ask("PROPFIND", f"{UPLOADS}/{name}")[0] == 404, "the upload is over"


def test_parts_replace_no_file_that_the_client_does_not_want_to_overwrite(drive: Served, name: str) -> None:
    assert drive.ask("PUT", f"{FILES}/{name}", b"there")[0] == 201
    assert send(drive, name, {1: b"new"}, Overwrite="F")[0] == 412
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b"there"
    move = {"Destination": f"{drive.url}{FILES}/{name}-2", "Overwrite": "F"}
    assert drive.ask("MOVE", f"{UPLOADS}/{name}/.file", **move)[0] == 201
    assert send(drive, name, {1: b"new"}, Overwrite="x")[0] == 400


def test_parts_may_be_called_by_where_they_begin(drive: Served, name: str) -> None:
    """As clients of the first version do, also those whose numbers have no zeros before them."""
    upload = f"{UPLOADS}/{name}"
    assert drive.ask("MKCOL", upload)[0] == 201
    for part, data in (
        ("10-15", b"klmno"),
        ("000000000000000-000000000000005", b"abcde"),
        ("5-10", b"fghij"),
    ):
        assert drive.ask("PUT", f"{upload}/{part}", b"?")[0] == 201
        assert drive.ask("PUT", f"{upload}/{part}", data)[0] == 201, "sent twice, the second counts"
    listed = hrefs(drive.ask("PROPFIND", upload, Depth="1")[2])[1:]
    assert [one.rpartition("/")[2] for one in listed] == [
        "000000000000000-000000000000005",
        "5-10",
        "10-15",
    ]
    assert drive.ask("MOVE", f"{upload}/.file", Destination=f"{FILES}/{name}")[0] == 201
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b"abcdefghijklmno"


def test_a_client_that_was_cut_off_sees_what_arrived(drive: Served, name: str) -> None:
    drive.ask("MKCOL", f"{UPLOADS}/{name}")
    drive.ask("PUT", f"{UPLOADS}/{name}/00001", b"abc")
    drive.ask("PUT", f"{UPLOADS}/{name}/00003", b"de")
    status, headers, body = drive.ask("PROPFIND", f"{UPLOADS}/{name}", Depth="1")
    assert status == 207 and headers["content-type"] == "application/xml; charset=utf-8"
    assert hrefs(body) == [f"{UPLOADS}/{name}/{end}" for end in ("", "00001", "00003")]
    assert found(body, ".//d:getcontentlength") == ["3", "2"]
    assert hrefs(drive.ask("PROPFIND", f"{UPLOADS}/{name}", Depth="0")[2]) == [f"{UPLOADS}/{name}/"]
    assert drive.ask("DELETE", f"{UPLOADS}/{name}")[0] == 204
    assert drive.ask("DELETE", f"{UPLOADS}/{name}")[0] == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"OC_Total_Length": "7"}, 400),
        ({"OC_Total_Length": "many"}, 400),
        ({"OC_Checksum": "SHA1:" + "0" * 40}, 400),
        ({"If_Match": '"abc"'}, 412),
        ({"X_OC_Mtime": "yesterday"}, 400),
    ],
)
def test_a_file_that_is_not_what_was_announced_is_not_made(
    drive: Served, name: str, headers: dict[str, str], status: int
) -> None:
    assert send(drive, name, {1: b"abc"}, **headers)[0] == status
    assert drive.ask("GET", f"{FILES}/{name}")[0] == 404
    assert drive.ask("PROPFIND", f"{UPLOADS}/{name}")[0] == 207, "its parts wait for a better end"


def test_parts_replace_only_the_state_that_the_client_knows(drive: Served, name: str) -> None:
    etag = drive.ask("PUT", f"{FILES}/{name}", b"un")[1]["etag"]
    drive.ask("PUT", f"{FILES}/{name}", b"deux")
    condition = f"<{drive.url}{FILES}/{name}> ([{etag}])"
    assert send(drive, name, {1: b"trois"}, If=condition)[0] == 412
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b"deux"
    etag = drive.ask("HEAD", f"{FILES}/{name}")[1]["etag"]
    condition = f"<{FILES}/{name}> ([{etag}])"
    answer = drive.ask(
        "MOVE", f"{UPLOADS}/{name}/.file", Destination=f"{drive.url}{FILES}/{name}", If=condition
    )
    assert answer[0] == 204 and drive.ask("GET", f"{FILES}/{name}")[2] == b"trois"


@pytest.mark.parametrize(
    ("method", "end", "status"),
    [
        ("PUT", "10001", 201),
        ("PUT", "-1", 201),
        ("PUT", "x" * 255, 201),
        ("PUT", "x" * 256, 400),
        ("PUT", "1/2", 400),
        ("PUT", "a%00b", 400),
        ("PUT", ".file", 400),
        ("GET", "1", 405),
        ("COPY", ".file", 405),
        ("LOCK", "", 405),
    ],
)
def test_odd_parts_have_an_answer(drive: Served, name: str, method: str, end: str, status: int) -> None:
    drive.ask("MKCOL", f"{UPLOADS}/{name}")
    found, headers, _ = drive.ask(method, f"{UPLOADS}/{name}/{end}".rstrip("/"), b"x")
    allowed = {"1": "PUT", ".file": "MOVE", "": "MKCOL, PROPFIND, DELETE"}
    assert (found, headers.get("allow")) == (status, allowed[end] if status == 405 else None)


def test_an_upload_has_one_beginning_and_a_destination(drive: Served, name: str) -> None:
    assert drive.ask("MKCOL", f"{UPLOADS}/{name}")[0] == 201
    again = drive.ask("MKCOL", f"{UPLOADS}/{name}")
    assert (again[0], again[1]["allow"]) == (405, "PROPFIND, DELETE")
    assert drive.ask("PUT", f"{UPLOADS}/{name}-none/1", b"x")[0] == 404
    drive.ask("PUT", f"{UPLOADS}/{name}/1", b"x")
    for destination, status in (
        ("", 400),
        ("http://elsewhere.example/remote.php/dav/files/alice/x", 502),
        ("/remote.php/dav/files/bruno/x", 404),
        (f"{FILES}/no/such/folder", 409),
        (f"{FILES}/Commune", 405),
        (FILES, 405),
    ):
        headers: dict[str, str] = {"Destination": destination} if destination else {}
        assert drive.ask("MOVE", f"{UPLOADS}/{name}/.file", **headers)[0] == status, destination


def test_what_finds_no_room_is_told_before_it_is_sent(drive: Served, name: str) -> None:
    assert drive.ask("PROPFIND", "/remote.php/dav/files/amir", login="amir")[0] == 207
    with on_server(drive) as database:
        (root,) = database.execute(
            "SELECT id FROM node WHERE name = 'home:amir' OR name = 'home:per_amir'"
        ).fetchone()
        database.execute("INSERT INTO quota (root, limit_bytes) VALUES (?, 1000)", (root,))
    path, to = f"/remote.php/dav/uploads/amir/{name}", f"/remote.php/dav/files/amir/{name}"
    asked = {"login": "amir", "Destination": to}
    assert drive.ask("MKCOL", path, **asked, OC_Total_Length="1001")[0] == 507
    assert drive.ask("MKCOL", path, **asked)[0] == 201
    assert drive.ask("PUT", f"{path}/1", b"x" * 600, **asked)[0] == 201
    assert drive.ask("PUT", f"{path}/2", b"x" * 600, **asked, OC_Total_Length="1200")[0] == 507
    assert drive.ask("PUT", f"{path}/2", b"x" * 600, login="amir")[0] == 201
    assert drive.ask("MOVE", f"{path}/.file", **asked)[0] == 507
    user = json.loads(drive.ask("GET", "/ocs/v1.php/cloud/user?format=json", login="amir")[2])["ocs"]["data"]
    assert (user["quota"]["quota"], user["quota"]["free"]) == (1000, 1000)
    with on_server(drive) as database:
        database.execute("DELETE FROM quota")


def test_who_only_reads_ends_no_upload_there(drive: Served, name: str) -> None:
    path, to = f"/remote.php/dav/uploads/elise/{name}", f"/remote.php/dav/files/elise/Commune/{name}"
    assert drive.ask("MKCOL", path, login="elise")[0] == 201
    drive.ask("PUT", f"{path}/1", b"x", login="elise")
    assert drive.ask("MOVE", f"{path}/.file", login="elise", Destination=to)[0] == 403
    assert drive.ask("GET", to, login="elise")[0] == 404


def test_the_end_of_an_upload_of_which_nothing_came_empties_no_file(drive: Served, name: str) -> None:
    assert drive.ask("PUT", f"{FILES}/{name}", b"there")[0] == 201
    status, _, answer = send(drive, name, {})
    assert status == 400 and "rien n’a été modifié" in answer.decode()
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b"there"
    empty = {"Destination": f"{drive.url}{FILES}/{name}", "OC_Total_Length": "0"}
    assert drive.ask("MOVE", f"{UPLOADS}/{name}/.file", **empty)[0] == 204, "who says that it is empty"
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b""
