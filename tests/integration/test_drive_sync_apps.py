"""What the programs for phones and the desktop ask beside files: each call has a true answer, and none an error.

Source: android-library (resources/*), NextcloudKit (NextcloudKit+*), desktop 3.16 (accountstate, ocs*job).
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME

from tests.drive_server import B, Served
from tests.drive_sharing import answer, crossed, share
from tests.drive_sync import FILES

pytest_plugins = ["tests.fixtures_drive_sync"]
NOT_HERE = (
    "apps/assistant/chat/sessions",
    "apps/comments/api",
    "apps/dashboard/api/v1/widgets",
    "apps/dashboard/api/v1/widget-items?widgets[]=recommendations",
    "apps/end_to_end_encryption/api/v2/public-key",
    "apps/external/api/v1",
    "apps/files/api/v1/directEditing",
    "apps/files/api/v1/directEditing/templates/text/textdocumenttemplate",
    "apps/files/api/v1/openlocaleditor/abc",
    "apps/files_downloadlimit/api/v1/abc/limit",
    "apps/files_lock/lock/1",
    "apps/governance/v1/labels/files/1",
    "apps/notifications/api/v2/push",
    "apps/recommendations/api/v1/recommendations",
    "apps/richdocuments/api/v1/templates/document",
    "apps/security_guard/diagnostics",
    "apps/terms_of_service/terms",
    "apps/text/workspace/direct",
    "apps/theming/api/v1/theme",
    "apps/user_status/api/v1/predefined_statuses",
    "apps/user_status/api/v1/statuses",
    "apps/user_status/api/v1/user_status",
    "hovercard/v1/amir",
    "search/providers/talk/search?term=x",
    "taskprocessing/tasktypes",
    "textprocessing/tasktypes",
)


def asked(drive: Served, path: str, method: str = "GET", login: str = "alice") -> tuple[int, Any]:
    """(status, what stands in ``ocs``)."""
    mark = "&" if "?" in path else "?"
    status, headers, body = drive.ask(
        method, f"/ocs/v2.php/{path}{mark}format=json", login=login, OCS_APIREQUEST="true"
    )
    assert headers["content-type"].startswith("application/json")
    return status, json.loads(body)["ocs"]


@pytest.mark.parametrize("path", NOT_HERE)
def test_what_is_not_here_is_said_so_in_the_form_that_programs_read(drive: Served, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        status, said = asked(drive, path, method)
        assert (status, said["meta"]["statuscode"], said["data"]) == (404, 404, []), method


def test_nothing_is_announced_that_is_not_here(drive: Served) -> None:
    _, said = asked(drive, "cloud/capabilities")
    announced = said["data"]["capabilities"]
    assert set(announced) == {
        "checksums",
        "core",
        "dav",
        "files",
        "files_sharing",
        "notify_push",
        "systemtags",
        "theming",
    }
    assert announced["files"].keys().isdisjoint({"directEditing", "locking", "comments", "version_labeling"})
    assert announced["files"]["undelete"] is True and announced["files"]["delete_from_trash"] is False


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/index.php/avatar/alice/128", 404),
        ("GET", "/index.php/avatars/alice/64", 404),
        ("GET", "/remote.php/dav/avatars/alice/128.png", 404),
        ("GET", "/index.php/core/preview?fileId=1&x=64&y=64&a=true&mode=cover&forceIcon=0", 404),
        ("GET", "/index.php/core/preview.png?file=/a.jpg&x=64&y=64", 404),
        ("GET", "/index.php/apps/files_trashbin/preview?fileId=1&x=64&y=64", 404),
        ("GET", "/index.php/apps/groupfolders/folders?applicable=1&format=json", 404),
        ("PROPFIND", "/remote.php/dav/photos/alice/albums/", 404),
        ("PROPFIND", "/remote.php/dav/comments/files/1", 404),
        ("PROPFIND", "/remote.php/dav/systemtags-current/files", 404),
        ("PROPFIND", "/remote.php/dav/groups/x", 404),
        ("GET", "/remote.php/direct/abc", 404),
        ("REPORT", "/remote.php/dav", 405),
        ("POST", "/index.php/core/wipe/success", 404),
    ],
)
def test_other_addresses_are_absent(drive: Served, method: str, path: str, status: int) -> None:
    assert drive.ask(method, path)[0] == status


@pytest.mark.parametrize(
    "path",
    [
        "/remote.php/dav",
        "/remote.php/dav/principals/users/alice/",
        "/remote.php/dav/calendars/alice/personal/",
        "/remote.php/dav/addressbooks/users/alice/contacts/",
        "/remote.php/caldav/",
        "/remote.php/carddav",
    ],
)
def test_programs_that_look_for_calendars_as_at_nextcloud_are_led_to_them(drive: Served, path: str) -> None:
    asked_for = b'<d:propfind xmlns:d="DAV:"><d:prop><d:current-user-principal/></d:prop></d:propfind>'
    for login in ("alice", "bruno"):
        status, headers, _ = drive.ask("PROPFIND", path, asked_for, login, Depth="0")
        assert (status, headers["location"]) == (301, f"/caldav/per_{login}/")
    assert drive.ask("PROPFIND", path, login="nobody")[0] == 401


def test_a_program_whose_password_is_withdrawn_is_not_told_to_delete_anything(drive: Served) -> None:
    """It asks without a sign-in; only "200, wipe" would make it delete what it has."""
    status, _, body = drive.ask("POST", "/index.php/core/wipe/check", b"token=x", login="nobody")
    assert status == 404 and b"wipe" not in body


def test_a_program_that_has_its_own_password_gets_no_other(drive: Served) -> None:
    for path in ("core/getapppassword", "core/getapppassword-onetime"):
        assert asked(drive, path)[0] == 403


# -- the search field ----------------------------------------------------------------------------------------


def searched(drive: Served, term: str, login: str = "alice", **more: int) -> Any:
    rest = "".join(f"&{key}={value}" for key, value in more.items())
    status, said = asked(drive, f"search/providers/files/search?term={quote(term)}{rest}", login=login)
    assert status == 200
    return said["data"]


def test_the_search_field_finds_files_by_words_of_their_names(drive: Served, name: str) -> None:
    _, said = asked(drive, "search/providers")
    assert [one["id"] for one in said["data"]] == ["files"]
    word = name[-12:]
    folder = f"{FILES}/{quote(f'Été {word}')}"
    assert drive.ask("MKCOL", folder)[0] == 201
    assert drive.ask("PUT", f"{folder}/{quote('Plan du quartier.pdf')}", b"x")[0] == 201
    drive.ask("PUT", f"{FILES}/Commune/{word}-commun.pdf", b"x")
    (one,) = searched(drive, "PLAN quart")["entries"]
    assert one["title"] == "Plan du quartier.pdf" and one["subline"] == f"dans Été {word}"
    assert one["attributes"]["path"] == f"/Été {word}/Plan du quartier.pdf"
    node = one["attributes"]["fileId"]
    assert one["resourceUrl"].endswith(f"/index.php/f/{node}")
    assert {entry["title"] for entry in searched(drive, f"ete {word}")["entries"]} == {f"Été {word}"}
    assert [entry["title"] for entry in searched(drive, f"{word}-commun", "elise")["entries"]] == [
        f"{word}-commun.pdf"
    ]
    assert searched(drive, "%")["entries"] == [], "no sign stands for others"


def test_the_search_goes_on_where_it_stopped_and_ends(drive: Served, name: str) -> None:
    for at in range(5):
        drive.ask("PUT", f"{FILES}/{name}-{at}", b"x")
    seen: list[str] = []
    cursor = 0
    while cursor is not None:
        page = searched(drive, name, limit=2, cursor=cursor)
        seen += [one["title"] for one in page["entries"]]
        cursor = page["cursor"]
    assert sorted(seen) == [f"{name}-{at}" for at in range(5)]
    assert searched(drive, name, limit=0)["cursor"] is None, "who asks for nothing is not sent on for ever"
    for query in ("", "term=", "term=%20", "term=x&limit=many", "term=x&cursor=-1", "term=x&limit=9999999"):
        assert asked(drive, f"search/providers/files/search?{query}")[0] == 400, query


def test_the_search_finds_nothing_of_others(drive: Served, name: str) -> None:
    drive.ask("PUT", f"{FILES}/{name}", b"x")
    drive.ask("MKCOL", f"{FILES}/{name}-d")
    drive.ask("PUT", f"{FILES}/{name}-d/inside-{name}", b"x")
    for login in ("amir", "bruno"):
        assert searched(drive, name, login)["entries"] == []
    drive.ask("PROPFIND", "/remote.php/dav/files/bruno/", login="bruno")
    answer(drive, share(drive, f"{name}-d", Wish("collectivite", B)))
    before = len(crossed(drive))
    (one,) = searched(drive, name, "bruno")["entries"]
    assert one["title"] == f"{name}-d" and one["attributes"]["path"] == f"/{SHARED_NAME}/{name}-d"
    assert one["resourceUrl"].endswith("/index.php/f/" + one["attributes"]["fileId"]), (
        "the portal leads there"
    )
    assert crossed(drive)[before:] == [], "nothing of theirs was entered"
