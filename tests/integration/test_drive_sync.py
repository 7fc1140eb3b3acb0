"""What sync clients ask for besides files: truthful answers, nobody else's, defined ones for what is wrong."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from beffroi.drive.web.sync import push
from lxml import etree

from tests.drive_devices import on_server
from tests.drive_server import PASSWORD, A, B, Served, served
from tests.websocket import Closed, WebSocket

FILES, UPLOADS = "/remote.php/dav/files/alice", "/remote.php/dav/uploads/alice"
TRASH, VERSIONS = "/remote.php/dav/trashbin/alice", "/remote.php/dav/versions/alice"
SPACES = {"d": "DAV:", "oc": "http://owncloud.org/ns", "nc": "http://nextcloud.org/ns"}


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("sync") / "drive") as one:
        yield one


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of this test's own in the shared drive."""
    return re.sub(r"\W", "-", request.node.name)[:80]


def found(body: bytes, path: str) -> list[str]:
    return [str(one.text or "") for one in etree.fromstring(body).iterfind(path, SPACES)]


def hrefs(body: bytes) -> list[str]:
    return found(body, "d:response/d:href")


# -- what this server is -------------------------------------------------------------------------------------


def test_the_status_says_what_it_is_without_a_sign_in(drive: Served) -> None:
    status, headers, body = drive.ask("GET", "/status.php", login="nobody")
    said = json.loads(body)
    assert status == 200 and headers["content-type"].startswith("application/json")
    assert said["productname"] == "Beffroi" and said["installed"] is True and said["maintenance"] is False
    major, minor, micro = (int(one) for one in said["versionstring"].split("."))
    assert (major, minor, micro) >= (28, 0, 3), "the newest gate of the desktop client"
    assert drive.ask("GET", "/index.php/204", login="nobody")[0] == 204


def test_one_answer_in_both_forms_and_versions(drive: Served) -> None:
    for version, code in ((1, 100), (2, 200)):
        path = f"/ocs/v{version}.php/cloud"
        said = json.loads(drive.ask("GET", f"{path}/capabilities?format=json")[2])["ocs"]
        assert said["meta"]["statuscode"] == code and said["meta"]["status"] == "ok"
        assert said["data"]["capabilities"]["dav"] == {"chunking": "1.0"}
        user = json.loads(drive.ask("GET", f"{path}/user?format=json")[2])["ocs"]["data"]
        assert (user["id"], user["display-name"]) == ("alice", "Alice")
        assert "user_status" not in said["data"]["capabilities"]
        xml = etree.fromstring(drive.ask("GET", f"{path}/user")[2])
        assert xml.findtext("meta/statuscode") == str(code) and xml.findtext("data/id") == "alice"
        assert (
            json.loads(drive.ask("GET", f"{path}/user", Accept="application/json")[2])["ocs"]["data"] == user
        )


def test_what_is_not_there_says_so(drive: Served) -> None:
    for path in ("/apps/terms_of_service/terms", "/apps/user_status/api/v1/user_status", "/x"):
        status, _, body = drive.ask("GET", f"/ocs/v2.php{path}?format=json")
        assert status == 404 and json.loads(body)["ocs"]["meta"]["statuscode"] == 404
        status, _, body = drive.ask("GET", f"/ocs/v1.php{path}?format=json")
        assert status == 200 and json.loads(body)["ocs"]["meta"]["statuscode"] == 998
    for path in (
        "/index.php/avatars/alice/64",
        "/remote.php/dav/avatars/alice/64.png",
        "/index.php/core/preview",
    ):
        assert drive.ask("GET", path)[0] == 404
    for path in ("/apps/files_sharing/api/v1/shares", "/apps/notifications/api/v2/notifications"):
        assert json.loads(drive.ask("GET", f"/ocs/v2.php{path}?format=json")[2])["ocs"]["data"] == []
    assert drive.ask("POST", "/ocs/v2.php/apps/files_sharing/api/v1/shares?format=json")[0] == 400


OPEN_PATHS = (
    "/ocs/v1.php/cloud/user",
    "/ocs/v2.php/cloud/capabilities",
    f"{UPLOADS}/x",
    f"{TRASH}/trash",
    f"{VERSIONS}/versions/1",
    "/remote.php/dav",
    "/index.php/avatars/alice/64",
)


@pytest.mark.parametrize("path", OPEN_PATHS)
@pytest.mark.parametrize("method", ["GET", "PROPFIND", "SEARCH", "REPORT", "PUT", "DELETE"])
def test_nothing_else_answers_without_a_sign_in(drive: Served, method: str, path: str) -> None:
    status, headers, _ = drive.ask(method, path, login="nobody")
    assert status == 401 and headers["www-authenticate"].startswith("Basic ")


# -- nobody else's -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["bruno", "amir"])
def test_nobody_reaches_anothers_uploads_trash_versions_and_search(
    drive: Served, name: str, login: str
) -> None:
    """bruno is of another commune, amir of the same one."""
    for text in (b"un", b"deux"):
        headers = drive.ask("PUT", f"{FILES}/{name}", text)[1]
    number = int(re.match(r"\d+", headers["oc-fileid"])[0])  # type: ignore[index]
    drive.ask("MKCOL", f"{UPLOADS}/{name}")
    drive.ask("PUT", f"{FILES}/{name}-gone", b"x")
    drive.ask("DELETE", f"{FILES}/{name}-gone")
    trashed = hrefs(drive.ask("PROPFIND", f"{TRASH}/trash")[2])[1]
    for method, path in (
        ("PROPFIND", f"{UPLOADS}/{name}"),
        ("PUT", f"{UPLOADS}/{name}/1"),
        ("DELETE", f"{UPLOADS}/{name}"),
        ("PROPFIND", f"{TRASH}/trash"),
        ("DELETE", trashed),
        ("DELETE", f"{TRASH}/trash"),
        ("PROPFIND", f"{VERSIONS}/versions/{number}"),
        ("GET", f"{VERSIONS}/versions/{number}/1"),
        ("REPORT", FILES),
        ("PATCH", f"{FILES}/{name}"),
    ):
        assert drive.ask(method, path, b"x", login=login)[0] == 404, (method, path)
    mine = f"/remote.php/dav/uploads/{login}/{name}"
    assert drive.ask("PROPFIND", mine, login=login)[0] == 404, "an upload of the same name is another one"
    assert drive.ask("MKCOL", mine, login=login)[0] == 201
    assert drive.ask("MOVE", f"{mine}/.file", login=login, Destination=f"{FILES}/{name}")[0] == 404
    own = f"/remote.php/dav/versions/{login}/versions/{number}"
    assert drive.ask("PROPFIND", own, login=login)[0] == 404
    label = trashed.rpartition("/")[2]
    path = f"/remote.php/dav/trashbin/{login}"
    assert drive.ask("DELETE", f"{path}/trash/{label}", login=login)[0] == 404
    moved = drive.ask("MOVE", f"{path}/trash/{label}", login=login, Destination=f"{path}/restore/{label}")
    assert moved[0] == 404
    assert (
        hrefs(
            search(drive, f"<d:eq><d:prop><oc:fileid/></d:prop><d:literal>{number}</d:literal></d:eq>", login)
        )
        == []
    )
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b"deux"


# -- uploads in parts ----------------------------------------------------------------------------------------


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
        ("PUT", "10001", 400),
        ("PUT", "99999", 400),
        ("PUT", "a", 400),
        ("PUT", "1/2", 400),
        ("PUT", "-1", 400),
        ("GET", "1", 405),
        ("COPY", ".file", 405),
        ("LOCK", "", 405),
    ],
)
def test_wrong_parts_have_an_answer(drive: Served, name: str, method: str, end: str, status: int) -> None:
    drive.ask("MKCOL", f"{UPLOADS}/{name}")
    assert drive.ask(method, f"{UPLOADS}/{name}/{end}".rstrip("/"), b"x")[0] == status


def test_an_upload_has_one_beginning_and_a_destination(drive: Served, name: str) -> None:
    assert drive.ask("MKCOL", f"{UPLOADS}/{name}")[0] == 201
    assert drive.ask("MKCOL", f"{UPLOADS}/{name}")[0] == 405
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
        headers = {"Destination": destination} if destination else {}
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


# -- trash and versions --------------------------------------------------------------------------------------


def test_only_who_may_write_sees_what_was_deleted_of_the_commune(drive: Served, name: str) -> None:
    drive.ask("PUT", f"{FILES}/Commune/{name}", b"x")
    drive.ask("DELETE", f"{FILES}/Commune/{name}")
    places = {
        login: found(
            drive.ask("PROPFIND", f"/remote.php/dav/trashbin/{login}/trash", login=login)[2],
            ".//nc:trashbin-original-location",
        )
        for login in ("alice", "amir", "elise", "bruno")
    }
    assert f"Commune/{name}" in places["alice"] and f"Commune/{name}" in places["amir"]
    assert not any(name in one for login in ("elise", "bruno") for one in places[login])


def test_a_device_that_deletes_everything_leaves_what_brings_it_back(drive: Served, name: str) -> None:
    for path in (name, f"Commune/{name}"):
        drive.ask("PUT", f"{FILES}/{path}", b"x")
        drive.ask("DELETE", f"{FILES}/{path}")
    listed = drive.ask("PROPFIND", f"{TRASH}/trash")[2]
    for path in (f"{TRASH}/trash", *(one for one in hrefs(listed) if f"/{name}.d" in one)):
        status, _, answer = drive.ask("DELETE", path)
        assert status == 403 and "La corbeille se vide sur le portail" in answer.decode()
    assert drive.ask("PROPFIND", f"{TRASH}/trash")[2] == listed
    assert set(found(listed, ".//oc:permissions")) == {"G"}


def test_what_is_wrong_with_the_trash_has_an_answer(drive: Served, name: str) -> None:
    drive.ask("PUT", f"{FILES}/{name}", b"x")
    drive.ask("DELETE", f"{FILES}/{name}")
    listed = drive.ask("PROPFIND", f"{TRASH}/trash", Depth="1")[2]
    item = next(one for one in hrefs(listed) if f"/{name}.d" in one)
    assert hrefs(drive.ask("PROPFIND", item, Depth="0")[2]) == [item]
    for path in (
        f"{TRASH}/trash/{name}",
        f"{TRASH}/trash/x.d1",
        f"{TRASH}/trash/{name}.d²",
        f"{TRASH}/other",
    ):
        assert drive.ask("DELETE", path.replace("²", "%C2%B2"))[0] == 404
    assert drive.ask("MOVE", item, Destination=f"{FILES}/{name}")[0] == 404
    assert drive.ask("MOVE", item)[0] == 400
    assert drive.ask("PUT", item, b"x")[0] == 405
    drive.ask("PUT", f"{FILES}/{name}", b"another")
    assert drive.ask("MOVE", item, Destination=f"{TRASH}/restore/{name}")[0] == 201
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b"another"
    assert drive.ask("GET", f"{FILES}/{name}%20(2)")[2] == b"x"


def test_versions_are_read_and_what_is_wrong_has_an_answer(drive: Served, name: str) -> None:
    for text in (b"un", b"deux", b"trois"):
        headers = drive.ask("PUT", f"{FILES}/{name}", text)[1]
    whole, number = headers["oc-fileid"], re.match(r"\d+", headers["oc-fileid"])
    assert number is not None
    listed = hrefs(drive.ask("PROPFIND", f"{VERSIONS}/versions/{int(number[0])}", Depth="1")[2])
    assert len(listed) == 3 and len(hrefs(drive.ask("PROPFIND", f"{VERSIONS}/versions/{whole}")[2])) == 3
    assert [drive.ask("GET", one)[2] for one in listed[1:]] == [b"deux", b"un"]
    assert drive.ask("GET", listed[1], Range="bytes=1-2")[2] == b"eu"
    for path, status in (("x", 404), ("999999", 404), ("1/2/3", 404), (f"{int(number[0])}/1", 404)):
        assert drive.ask("GET" if "/" in path else "PROPFIND", f"{VERSIONS}/versions/{path}")[0] == status
    assert drive.ask("DELETE", listed[1])[0] == 405
    assert drive.ask("MOVE", listed[1], Destination=f"{FILES}/{name}")[0] == 404
    folder = drive.ask("MKCOL", f"{FILES}/{name}-d")[1]["oc-fileid"]
    assert drive.ask("PROPFIND", f"{VERSIONS}/versions/{folder}")[0] == 404


def test_who_only_reads_brings_no_version_back(drive: Served, name: str) -> None:
    for text in (b"un", b"deux"):
        headers = drive.ask("PUT", f"{FILES}/Commune/{name}", text)[1]
    base = "/remote.php/dav/versions/elise"
    listed = hrefs(drive.ask("PROPFIND", f"{base}/versions/{headers['oc-fileid']}", login="elise")[2])
    assert drive.ask("GET", listed[1], login="elise")[2] == b"un"
    assert drive.ask("MOVE", listed[1], login="elise", Destination=f"{base}/restore/x")[0] == 403
    assert drive.ask("GET", f"{FILES}/Commune/{name}")[2] == b"deux"


# -- search --------------------------------------------------------------------------------------------------


def search(drive: Served, where: str, login: str = "alice", scope: str = "", more: str = "") -> bytes:
    scope = scope or f"/files/{login}"
    body = (
        '<d:searchrequest xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:basicsearch><d:select><d:prop>'
        f"<d:displayname/><oc:fileid/></d:prop></d:select><d:from><d:scope><d:href>{scope}</d:href>"
        f"<d:depth>infinity</d:depth></d:scope></d:from><d:where>{where}</d:where>{more}</d:basicsearch>"
        "</d:searchrequest>"
    )
    return drive.ask("SEARCH", "/remote.php/dav/", body.encode(), login=login)[2]


def like(text: str) -> str:
    return f"<d:like><d:prop><d:displayname/></d:prop><d:literal>{text}</d:literal></d:like>"


def test_a_search_is_ordered_and_ends(drive: Served, name: str) -> None:
    for at in range(5):
        drive.ask("PUT", f"{FILES}/{name}-{at}", b"x" * at, X_OC_Mtime=str(1_500_000_000 + at))
    newest = (
        "<d:orderby><d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order></d:orderby>"
        "<d:limit><d:nresults>2</d:nresults></d:limit>"
    )
    assert hrefs(search(drive, like(f"{name}-%"), more=newest)) == [f"{FILES}/{name}-4", f"{FILES}/{name}-3"]
    assert len(hrefs(search(drive, like(f"{name}-_")))) == 0, "only % stands for anything"
    drive.ask("MKCOL", f"{FILES}/{name}-%C3%A9%23")
    drive.ask("PUT", f"{FILES}/{name}-%C3%A9%23/inside", b"x")
    for scope in (
        f"/files/alice/{name}-é#",
        f"{FILES}/{name}-%C3%A9%23",
        f"{drive.url}{FILES}/{name}-%C3%A9%23/",
    ):
        assert hrefs(search(drive, like("%"), scope=scope)) == [f"{FILES}/{name}-%C3%A9%23/inside"]
    folders = f"<d:and>{like(f'{name}%')}<d:not><d:is-collection/></d:not></d:and>"
    assert len(hrefs(search(drive, folders))) == 5


@pytest.mark.parametrize(
    ("where", "scope", "status"),
    [
        ("<d:like><d:prop><d:displayname/></d:prop></d:like>", "", 400),
        ("<d:contains>x</d:contains>", "", 400),
        ("<oc:odd/>", "", 422),
        ("<d:gt><d:prop><oc:size/></d:prop><d:literal>many</d:literal></d:gt>", "", 422),
        ("<d:eq><d:prop><d:getetag/></d:prop><d:literal>1</d:literal></d:eq>", "", 422),
        (like("x"), "/files/bruno", 404),
        (like("x"), "/files/alice/no-such-folder", 404),
        (like("x"), "http://[", 400),
    ],
)
def test_a_search_that_cannot_be_answered_says_so(drive: Served, where: str, scope: str, status: int) -> None:
    error = search(drive, where, scope=scope)
    assert {400: b"BadRequest", 404: b"NotFound", 422: b"UnprocessableEntity"}[status] in error


def test_bodies_that_are_no_search_are_refused(drive: Served) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><d:searchrequest xmlns:d="DAV:">&b;</d:searchrequest>'
    for body in (b"", b"x", bomb, b'<d:propfind xmlns:d="DAV:"/>', b'<d:searchrequest xmlns:d="DAV:"/>'):
        assert drive.ask("SEARCH", "/remote.php/dav", body)[0] == 400
    for body in (b"", b"x", b'<oc:filter-files xmlns:oc="http://owncloud.org/ns"/>'):
        assert drive.ask("REPORT", FILES, body)[0] in (400, 422)
    deep = "<d:not>" * 5000 + "</d:not>" * 5000
    assert b"multistatus" not in search(drive, deep)
    assert drive.ask("GET", "/healthz")[0] == 200


def test_a_hash_is_told_again(drive: Served, name: str) -> None:
    drive.ask("PUT", f"{FILES}/{name}", b"abc")
    for kind in ("SHA1", "sha1", "SHA256"):
        status, headers, _ = drive.ask("PATCH", f"{FILES}/{name}", X_Recalculate_Hash=kind)
        digest = hashlib.new(kind.lower(), b"abc").hexdigest()
        assert status == 204 and headers["oc-checksum"] == f"{kind.upper()}:{digest}"
    assert drive.ask("PATCH", f"{FILES}/{name}", X_Recalculate_Hash="MD5")[0] == 405
    assert drive.ask("PATCH", FILES, X_Recalculate_Hash="SHA1")[0] == 405
    assert drive.ask("PATCH", f"{FILES}/{name}-none", X_Recalculate_Hash="SHA1")[0] == 404


# -- push ----------------------------------------------------------------------------------------------------


def listening(drive: Served, login: str) -> WebSocket:
    line = WebSocket(drive.port, push.PATH)
    assert line.status == 101
    line.send(login)
    line.send(PASSWORD)
    assert line.hear() == "authenticated"
    return line


def hears_nothing(line: WebSocket) -> None:
    with pytest.raises(TimeoutError):
        line.hear(timeout_s=4 * push.GATHER_S)


def test_a_client_hears_of_changes_that_its_person_sees(drive: Served, name: str) -> None:
    with (
        listening(drive, "alice") as alice,
        listening(drive, "amir") as amir,
        listening(drive, "bruno") as bruno,
    ):
        drive.ask("PUT", f"{FILES}/{name}", b"x")
        assert alice.hear() == "notify_file"
        hears_nothing(amir)
        drive.ask("PUT", f"{FILES}/Commune/{name}", b"x")
        assert alice.hear() == amir.hear() == "notify_file"
        hears_nothing(bruno)
    with listening(drive, "alice") as alice:
        for at in range(20):
            drive.ask("PUT", f"{FILES}/{name}-{at}", b"x")
        assert alice.hear() == "notify_file"


def test_a_change_by_another_process_is_heard(drive: Served, name: str) -> None:
    with listening(drive, "alice") as alice:
        drive.ask("PUT", f"{FILES}/{name}", b"x")
        assert alice.hear() == "notify_file"
        with on_server(drive) as database:
            database.execute("UPDATE node SET etag = etag + 100000 WHERE name = 'home:per_alice'")
        hears_nothing(alice)
        push.tell(drive.directory / "run", B)
        push.tell(drive.directory / "run", "no collectivité")
        hears_nothing(alice)
        push.tell(drive.directory / "run", A)
        assert alice.hear() == "notify_file"


def test_nobody_listens_without_a_password(drive: Served) -> None:
    for login, password in (("alice", "wrong"), ("nobody", PASSWORD), ("", ""), ("x" * 10_000, "x")):
        with WebSocket(drive.port, push.PATH) as line:
            line.send(login)
            line.send(password)
            with pytest.raises(Closed):
                assert line.hear() == "err: Invalid credentials"
                line.hear()
    assert WebSocket(drive.port, "/push/other").status == 403
    assert WebSocket(drive.port, "/remote.php/dav").status == 403


def test_a_person_holds_so_many_connections(drive: Served) -> None:
    lines = [listening(drive, "elise") for _ in range(push.MOST_OF_A_PERSON)]
    try:
        with WebSocket(drive.port, push.PATH) as more:
            more.send("elise")
            more.send(PASSWORD)
            assert more.hear() == "err: Too many connections"
        with listening(drive, "alice"):
            pass
    finally:
        for line in lines:
            line.close()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:  # the server sees their end
        with WebSocket(drive.port, push.PATH) as line:
            line.send("elise")
            line.send(PASSWORD)
            if line.hear() == "authenticated":
                return
    raise AssertionError("the connections are still counted")
