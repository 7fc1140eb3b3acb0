"""What the desktop's window asks and ``nextcloudcmd`` does not: its wizard, its dialog of shares, its menus.

Source: nextcloud/desktop around 3.16 and newer: src/gui (owncloudsetupwizard, filedetails/sharemodel, sharemanager,
        socketapi, folderman), src/libsync (networkjobs, account).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

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


def asked(drive: Served, method: str, call: str, **fields: str) -> tuple[int, Any]:
    """(code, data), as OcsJob sends and reads them."""
    form, query = urlencode(fields), "format=json"
    if method == "GET":
        form, query = "", f"{form}&{query}"
    more = {"Ocs_APIREQUEST": "true", "Content_Type": "application/x-www-form-urlencoded"}
    said = json.loads(drive.ask(method, f"{call}?{query}", form.encode(), **more)[2])["ocs"]
    return said["meta"]["statuscode"], said["data"]


@pytest.fixture
def name(drive: Served, folder: str) -> Iterator[str]:
    assert drive.ask("PUT", f"{folder}/plan.txt", b"un plan")[0] == 201
    assert drive.ask("PROPFIND", "/remote.php/dav/files/amir/", login="amir", Depth="0")[0] == 207
    yield folder.removeprefix(f"{HOME}/")


def test_the_wizard_finds_the_sign_in_and_the_folder(drive: Served) -> None:
    status, headers, _ = drive.exchange("PROPFIND", f"{HOME}/", None, {})
    assert status == 401 and headers["www-authenticate"].startswith("Basic")
    assert drive.exchange("GET", "/ocs/v2.php/cloud/capabilities?format=json", None, {})[0] == 401
    assert drive.ask("HEAD", f"{HOME}/")[0] == 200  # any other answer ends the wizard


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
    assert asked(drive, "GET", SHARES, shared_with_me="true") == (200, [])
    wish = {"path": f"/{name}", "shareType": "0", "shareWith": "amir", "permissions": most}
    code, made = asked(drive, "POST", SHARES, **wish)
    assert code == 200 and made["uid_owner"] == "alice", "of others' shares it shows none"
    for said, code in (("1", 200), ("15", 200), ("4", 400)):  # view only, upload and editing, file drop
        assert asked(drive, "PUT", f"{SHARES}/{made['id']}", permissions=said)[0] == code, said
    (shown,) = asked(drive, "GET", SHARES, path=f"/{name}", reshares="true")[1]
    assert (shown["permissions"], shown["share_with"]) == (15, "amir")
    assert asked(drive, "DELETE", f"{SHARES}/{made['id']}")[0] == 200
    assert asked(drive, "GET", SHARES, path=f"/{name}", reshares="true") == (200, [])


def test_the_menu_leaves_a_share(drive: Served, name: str) -> None:
    wish = {"path": f"/{name}", "shareType": "0", "shareWith": "amir", "permissions": "31"}
    assert asked(drive, "POST", SHARES, **wish)[0] == 200
    at = f"/remote.php/dav/files/amir/{quote(SHARED_NAME)}/{name}"
    (one,) = listing(drive, at, "0", login="amir").values()
    assert (value(one, "oc:permissions") or "").startswith("S"), "else the menu has no such line"
    assert drive.ask("DELETE", at, login="amir", OCS_APIREQUEST="true", e2e_token="")[0] == 204
    assert drive.ask("PROPFIND", at, login="amir", Depth="0")[0] == 404
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[2] == b"un plan"
