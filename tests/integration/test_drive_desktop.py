"""What the desktop's dialog of shares asks, beyond what tests/clients/test_drive_desktop_program.py has it ask.

Source: nextcloud/desktop around 3.16 and newer: src/gui (filedetails/sharemodel, sharemanager).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from beffroi.drive.views import SHARED_NAME

from tests.drive_asking import HOME, listing, value
from tests.drive_server import Served

pytest_plugins = ["tests.fixtures_drive_dav"]
SHARES = "/ocs/v2.php/apps/files_sharing/api/v1/shares"
DIALOG = (
    b'<?xml version="1.0" ?>\n<d:propfind xmlns:d="DAV:">\n  <d:prop>\n'
    b'    <share-permissions xmlns="http://open-collaboration-services.org/ns" />\n'
    b'    <fileid xmlns="http://owncloud.org/ns" />\n    <privatelink xmlns="http://owncloud.org/ns" />\n'
    b"  </d:prop>\n</d:propfind>\n"
)


def asked(drive: Served, method: str, call: str, login: str = "alice", **fields: str) -> tuple[int, Any]:
    """(code, data), as OcsJob sends and reads them."""
    form, query = urlencode(fields), "format=json"
    if method == "GET":
        form, query = "", f"{form}&{query}"
    more = {"Ocs_APIREQUEST": "true", "Content_Type": "application/x-www-form-urlencoded"}
    said = json.loads(drive.ask(method, f"{call}?{query}", form.encode(), login, **more)[2])["ocs"]
    return said["meta"]["statuscode"], said["data"]


@pytest.fixture
def name(drive: Served, folder: str) -> Iterator[str]:
    assert drive.ask("PUT", f"{folder}/plan.txt", b"un plan")[0] == 201
    assert drive.ask("PROPFIND", "/remote.php/dav/files/amir/", login="amir", Depth="0")[0] == 207
    yield folder.removeprefix(f"{HOME}/")


def test_the_dialog_shares_a_folder_changes_it_and_ends_it(drive: Served, name: str) -> None:
    (one,) = listing(drive, f"{HOME}/{name}", "0", DIALOG).values()
    most = value(one, "{http://open-collaboration-services.org/ns}share-permissions")
    assert most == "31" and value(one, "oc:fileid"), "without 16 it has no field for a name"
    assert asked(drive, "GET", SHARES, path=f"/{name}", reshares="true") == (200, [])
    sharees = SHARES.removesuffix("shares") + "sharees"
    code, found = asked(
        drive, "GET", sharees, search="ami", itemType="folder", page="1", perPage="50", lookup="true"
    )
    assert code == 200 and found["users"][0]["value"] == {"shareType": 0, "shareWith": "amir"}
    wish = {"path": f"/{name}", "shareType": "0", "shareWith": "amir", "permissions": most}
    code, made = asked(drive, "POST", SHARES, **wish)
    assert code == 200 and made["uid_owner"] == "alice", "of others' shares it shows none"
    for said, code in (("1", 200), ("15", 200), ("4", 400)):  # view only, upload and editing, file drop
        assert asked(drive, "PUT", f"{SHARES}/{made['id']}", permissions=said)[0] == code, said
    (shown,) = asked(drive, "GET", SHARES, path=f"/{name}", reshares="true")[1]
    assert (shown["permissions"], shown["share_with"]) == (15, "amir")
    assert asked(drive, "DELETE", f"{SHARES}/{made['id']}")[0] == 200
    assert asked(drive, "GET", SHARES, path=f"/{name}", reshares="true") == (200, [])


def test_the_dialog_says_who_shares_this_and_not_who_shares_anything(drive: Served, name: str) -> None:
    wish = {"path": f"/{name}", "shareType": "0", "shareWith": "amir", "permissions": "1"}
    assert asked(drive, "POST", SHARES, **wish)[0] == 200
    assert drive.ask("MKCOL", "/remote.php/dav/files/amir/sien", login="amir")[0] == 201
    for path, owners in ((f"/{SHARED_NAME}/{name}", ["alice"]), ("/sien", []), (f"/{SHARED_NAME}", [])):
        said = asked(drive, "GET", SHARES, login="amir", shared_with_me="true", path=path)
        assert (said[0], [one["uid_owner"] for one in said[1]]) == (200, owners), path
