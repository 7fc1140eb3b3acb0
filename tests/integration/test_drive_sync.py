"""What sync clients ask for besides files: truthful answers, nobody else's, defined ones for what is wrong."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from lxml import etree

from tests.drive_server import Served
from tests.drive_sync import FILES, TRASH, UPLOADS, VERSIONS, hrefs, search

pytest_plugins = ["tests.fixtures_drive_sync"]


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
    number = int(re.match(r"\d+", headers["oc-fileid"])[0])
    drive.ask("MKCOL", f"{UPLOADS}/{name}")
    drive.ask("PUT", f"{FILES}/{name}-gone", b"x")
    drive.ask("DELETE", f"{FILES}/{name}-gone")
    trashed = hrefs(drive.ask("PROPFIND", f"{TRASH}/trash")[2])[1]
    version = hrefs(drive.ask("PROPFIND", f"{VERSIONS}/versions/{number}")[2])[1]
    for method, path in (
        ("PROPFIND", f"{UPLOADS}/{name}"),
        ("PUT", f"{UPLOADS}/{name}/1"),
        ("DELETE", f"{UPLOADS}/{name}"),
        ("PROPFIND", f"{TRASH}/trash"),
        ("DELETE", trashed),
        ("DELETE", f"{TRASH}/trash"),
        ("PROPFIND", f"{VERSIONS}/versions/{number}"),
        ("GET", f"{VERSIONS}/versions/{number}/1"),
        ("DELETE", version),
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
    assert drive.ask("DELETE", f"{own}/{version.rpartition('/')[2]}", login=login)[0] == 404
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


def test_a_hash_is_told_again(drive: Served, name: str) -> None:
    drive.ask("PUT", f"{FILES}/{name}", b"abc")
    for kind in ("SHA1", "sha1", "SHA256"):
        status, headers, _ = drive.ask("PATCH", f"{FILES}/{name}", X_Recalculate_Hash=kind)
        digest = hashlib.new(kind.lower(), b"abc").hexdigest()
        assert status == 204 and headers["oc-checksum"] == f"{kind.upper()}:{digest}"
    assert drive.ask("PATCH", f"{FILES}/{name}", X_Recalculate_Hash="MD5")[0] == 405
    assert drive.ask("PATCH", FILES, X_Recalculate_Hash="SHA1")[0] == 405
    assert drive.ask("PATCH", f"{FILES}/{name}-none", X_Recalculate_Hash="SHA1")[0] == 404
