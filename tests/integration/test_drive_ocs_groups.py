"""Groups by the calls of sync clients (OCS): found, shared with, shown; at once with who comes, gone with who goes."""

from __future__ import annotations

import json
from urllib.parse import quote

from beffroi.drive.views import SHARED_NAME

from tests.drive_asking import HOME, NS, listing
from tests.drive_server import Served
from tests.drive_sharing import group, put_in
from tests.drive_sync import hears_nothing, listening
from tests.integration.test_drive_ocs_shares import TYPES, Phone, alice, amir, name

__all__ = ["alice", "amir", "name"]
pytest_plugins = ["tests.fixtures_drive_dav"]
SHARED = f"/remote.php/dav/files/amir/{quote(SHARED_NAME)}"


def shares_with(phone: Phone, name: str, target: str, permissions: str = "1") -> dict[str, object]:
    made: dict[str, object] = phone.ask(
        "POST", "/shares", path=f"/{name}", shareType="1", shareWith=target, permissions=permissions
    )
    return made


def test_a_group_is_found_and_shared_with_and_shown_to_both_sides(
    drive: Served, name: str, alice: Phone, amir: Phone
) -> None:
    made = group(drive, f"Comité {name}", "amir")
    found = alice.ask("GET", "/sharees", search=f"comité {name[:6]}", itemType="folder")
    value = {"shareType": 1, "shareWith": made.id}
    assert [(one["label"], one["value"]) for one in found["groups"]] == [(made.name, value)]
    exact = alice.ask("GET", "/sharees", search=made.name.upper(), itemType="folder")
    assert [one["value"] for one in exact["exact"]["groups"]] == [value] and exact["groups"] == []
    share = shares_with(alice, name, made.id, "31")
    assert alice.status == 200
    assert (share["share_type"], share["share_with"], share["share_with_displayname"]) == (
        1,
        made.id,
        made.name,
    )
    (got,) = amir.ask("GET", "/shares", shared_with_me="true")
    assert (got["id"], got["share_type"], got["share_with_displayname"]) == (share["id"], 1, made.name)
    assert drive.ask("PUT", f"{SHARED}/{name}/avis.txt", b"oui", "amir")[0] == 201
    changed = alice.ask("PUT", f"/shares/{share['id']}", permissions="1")
    assert (changed["permissions"], changed["share_with"]) == (1, made.id)
    assert drive.ask("PUT", f"{SHARED}/{name}/avis.txt", b"non", "amir")[0] == 403
    (own,) = listing(drive, f"{HOME}/{name}/", "0", TYPES).values()
    assert [one.text for one in own.findall(".//oc:share-type", NS)] == ["1"]
    agents = shares_with(alice, name, "agent")
    (own,) = listing(drive, f"{HOME}/{name}/", "0", TYPES).values()
    assert [one.text for one in own.findall(".//oc:share-type", NS)] == ["1"], (
        "groups and roles are one kind there"
    )
    for one in (share, agents):
        alice.ask("DELETE", f"/shares/{one['id']}")
        assert alice.status == 200


def test_who_is_added_hears_of_it_and_who_is_removed_has_nothing_more(
    drive: Served, name: str, alice: Phone, amir: Phone
) -> None:
    made = group(drive, f"Comité {name}")
    shares_with(alice, name, made.id)
    assert drive.ask("GET", f"{SHARED}/{name}/plan.txt", login="amir")[0] == 404
    with listening(drive, "amir") as line, listening(drive, "bruno") as bruno:
        put_in(drive, made, "amir")
        assert line.hear() == "notify_file"
        assert drive.ask("GET", f"{SHARED}/{name}/plan.txt", login="amir")[2] == b"un plan"
        put_in(drive, made, "amir", out=True)
        assert line.hear() == "notify_file"
        hears_nothing(bruno)
    assert drive.ask("GET", f"{SHARED}/{name}/plan.txt", login="amir")[0] == 404
    assert amir.ask("GET", "/shares", shared_with_me="true") == []


def test_a_share_that_a_client_makes_is_heard_at_once(drive: Served, name: str, alice: Phone) -> None:
    made = group(drive, f"Comité {name}", "amir")
    with listening(drive, "amir") as line:
        share = shares_with(alice, name, made.id)
        assert line.hear() == "notify_file"
        alice.ask("DELETE", f"/shares/{share['id']}")
        assert line.hear() == "notify_file"


def test_no_group_of_another_collectivite_is_found_or_shared_with(
    drive: Served, name: str, alice: Phone
) -> None:
    theirs = group(drive, f"Bureau {name}", "bruno", owner="bruno")
    found = alice.ask("GET", "/sharees", search="bureau", itemType="folder")
    assert theirs.id not in json.dumps(found)
    for target in (theirs.id, "grp_" + "0" * 26, "grp_", f"Bureau {name}"):
        shares_with(alice, name, target)
        assert alice.status == 400, target
    assert alice.ask("GET", "/shares", path=f"/{name}") == []
    bruno = Phone(drive, "bruno")
    assert theirs.id in json.dumps(bruno.ask("GET", "/sharees", search="bureau", itemType="folder"))


def test_who_is_in_a_group_and_shares_nothing_of_it_changes_no_share(
    drive: Served, name: str, alice: Phone, amir: Phone
) -> None:
    made = group(drive, f"Comité {name}", "amir")
    share = shares_with(alice, name, made.id)
    amir.ask("PUT", f"/shares/{share['id']}", permissions="31")
    assert amir.status == 404
    amir.ask("DELETE", f"/shares/{share['id']}")
    assert amir.status == 200, "a receiver leaves it"
    assert amir.ask("GET", "/shares", shared_with_me="true") == []
    assert alice.ask("GET", f"/shares/{share['id']}")[0]["id"] == share["id"]
    bertille = Phone(drive, "bertille")
    for method in ("GET", "PUT", "DELETE"):
        bertille.ask(method, f"/shares/{share['id']}", permissions="1")
        assert bertille.status == 404, method


def test_clients_are_told_that_groups_can_be_shared_with_and_in_which_somebody_is(
    drive: Served, name: str
) -> None:
    made = group(drive, f"Comité {name}", "amir")

    def said(call: str, login: str) -> dict[str, object]:
        body = drive.ask("GET", f"/ocs/v1.php/cloud/{call}?format=json", login=login)[2]
        data: dict[str, object] = json.loads(body)["ocs"]["data"]
        return data

    sharing = json.loads(json.dumps(said("capabilities", "amir")))["capabilities"]["files_sharing"]
    assert (sharing["group_sharing"], sharing["group"]["enabled"]) == (True, True)
    mine, hers = said("user", "amir")["groups"], said("user", "alice")["groups"]
    assert isinstance(mine, list) and isinstance(hers, list)
    assert "agent" in mine and made.id in mine and made.id not in hers
