"""Shares by the calls of sync clients (OCS), as the desktop and phones send them: made, shown, changed, ended, left."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from beffroi.drive.store import findings, frozen
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME
from beffroi.drive.web.sync.sharing import number
from beffroi.lib import clock

from tests.drive_asking import HOME, NS, listing
from tests.drive_server import A, B, Served
from tests.drive_sharing import answer, share
from tests.fixtures_drive_store import in_one_file

pytest_plugins = ["tests.fixtures_drive_dav"]
API = "/ocs/v2.php/apps/files_sharing/api/v1"
TYPES = b'<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop><oc:share-types/></d:prop></d:propfind>'


class Phone:
    """One person's client. ``status``, ``message``: of the last answer, as the protocol says it."""

    def __init__(self, drive: Served, login: str) -> None:
        self.drive, self.login, self.status, self.message = drive, login, 0, ""

    def ask(self, method: str, call: str, /, **fields: str) -> Any:
        form = urlencode(fields)
        body, query = (form, "") if method in ("POST", "PUT") else ("", form)
        status, _, answer = self.drive.ask(
            method,
            f"{API}{call}?format=json&{query}",
            body.encode(),
            self.login,
            Content_Type="application/x-www-form-urlencoded",
            OCS_APIRequest="true",
        )
        said = json.loads(answer)["ocs"]
        self.status, self.message = said["meta"]["statuscode"], said["meta"]["message"]
        assert status == self.status
        return said["data"]


@pytest.fixture
def alice(drive: Served) -> Phone:
    return Phone(drive, "alice")


@pytest.fixture
def amir(drive: Served) -> Phone:
    return Phone(drive, "amir")


@pytest.fixture
def name(drive: Served, folder: str) -> Iterator[str]:
    assert drive.ask("PUT", f"{folder}/plan.txt", b"un plan")[0] == 201
    yield folder.removeprefix(f"{HOME}/")


def test_the_capabilities_tell_what_can_be_done(drive: Served) -> None:
    body = drive.ask("GET", "/ocs/v1.php/cloud/capabilities?format=json")[2]
    said = json.loads(body)["ocs"]["data"]["capabilities"]["files_sharing"]
    assert (said["api_enabled"], said["resharing"], said["public"]["enabled"]) == (True, False, False)


def test_a_share_is_made_shown_changed_and_ended(drive: Served, name: str, alice: Phone, amir: Phone) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions="31")
    assert alice.status == 200
    assert (made["share_with"], made["permissions"], made["item_type"]) == ("amir", 15, "folder")
    assert (made["uid_owner"], made["path"]) == ("alice", f"/{name}")
    assert alice.ask("GET", "/shares", path=f"/{name}", reshares="true")[0]["id"] == made["id"]
    assert alice.ask("GET", f"/shares/{made['id']}")[0]["id"] == made["id"]
    assert alice.ask("GET", "/shares", path="/", subfiles="true")[0]["path"] == f"/{name}"
    assert alice.ask("GET", "/shares/inherited", path=f"/{name}/plan.txt")[0]["id"] == made["id"]
    (got,) = amir.ask("GET", "/shares", shared_with_me="true")
    assert (got["id"], got["uid_owner"]) == (made["id"], "alice")
    assert got["file_target"] == f"/{SHARED_NAME}/{name}"
    at = f"/remote.php/dav/files/amir/{quote(SHARED_NAME)}/{name}"
    assert drive.ask("PUT", f"{at}/neuf.txt", b"x", "amir")[0] == 201
    day = time.strftime("%Y-%m-%d", time.gmtime(clock.epoch_s() + 30 * 86400))
    changed = alice.ask("PUT", f"/shares/{made['id']}", permissions="1", expireDate=day)
    assert (changed["permissions"], changed["expiration"]) == (1, f"{day} 00:00:00")
    assert drive.ask("PUT", f"{at}/neuf.txt", b"y", "amir")[0] == 403
    alice.ask("DELETE", f"/shares/{made['id']}")
    assert alice.status == 200
    assert drive.ask("GET", f"{at}/neuf.txt", login="amir")[0] == 404
    alice.ask("GET", f"/shares/{made['id']}")
    assert alice.status == 404


def test_a_receiver_leaves_by_it_and_changes_nothing(name: str, alice: Phone, amir: Phone) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}/plan.txt", shareType="1", shareWith="agent")
    assert made["permissions"] == 1
    amir.ask("PUT", f"/shares/{made['id']}", permissions="31")
    assert amir.status == 404
    amir.ask("DELETE", f"/shares/{made['id']}")
    assert amir.status == 200
    assert amir.ask("GET", "/shares", shared_with_me="true") == []
    assert alice.ask("GET", f"/shares/{made['id']}")[0]["id"] == made["id"]  # for others it stands


@pytest.mark.parametrize("by", ["decision", "finding"])
def test_what_is_held_is_neither_shared_nor_copied_and_moves_and_goes_as_any_file(
    drive: Served, name: str, alice: Phone, amir: Phone, by: str
) -> None:
    """Alone and in a folder; a share that was made before stands, and gives nobody its content."""
    body = f"bad {by} {name}".encode()
    at, sha256 = f"{HOME}/{name}", hashlib.sha256(body).hexdigest()
    assert drive.ask("PUT", f"{at}/virus.txt", body)[0] == 201
    before = alice.ask("POST", "/shares", path=f"/{name}/virus.txt", shareType="0", shareWith="amir")
    with in_one_file(drive.directory / "drive" / A / "metadata.db") as database:
        if by == "decision":
            (drive.directory / "refused").write_text(sha256)
            database.write(lambda w: frozen.freeze(w, sha256=sha256, decision_id="dec_1", now_s=1))
        else:
            found = findings.Result(sha256, "m", {"malware": ["Wolf"]}, True)
            database.write(lambda w: findings.keep(w, [found], now_s=1))
    words = "le Département le retient" if by == "decision" else "dangereux par l’analyse"
    for source, target in (("/virus.txt", "/copie.txt"), ("/virus.txt", "/plan.txt"), ("", "-copie")):
        status, _, answer = drive.ask("COPY", f"{at}{source}", Destination=f"{at}{target}")
        assert (status, words in answer.decode()) == (403, True)
    assert set(listing(drive, at)) == {f"{at}/", f"{at}/plan.txt", f"{at}/virus.txt"}
    assert drive.ask("GET", f"{at}/plan.txt")[2] == b"un plan"
    assert f"{at}-copie/" not in listing(drive, HOME)
    for fields in ({"shareType": "1", "shareWith": "agent"}, {"shareType": "0", "shareWith": "amir"}):
        alice.ask("POST", "/shares", path=f"/{name}/virus.txt", **fields)
        assert alice.status == 403
    assert [one["id"] for one in alice.ask("GET", "/shares", path=f"/{name}/virus.txt")] == [before["id"]]
    alice.ask("PUT", f"/shares/{before['id']}", permissions="1")
    assert alice.status == 200, "a share of before can be made less"
    theirs = f"/remote.php/dav/files/amir/{quote(SHARED_NAME)}"
    assert drive.ask("GET", f"{theirs}/virus.txt", login="amir")[0] == 403
    alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions="31")
    assert alice.status == 200
    assert drive.ask("GET", f"{theirs}/{name}/virus.txt", login="amir")[0] == 403
    assert drive.ask("MOVE", f"{at}/virus.txt", Destination=f"{at}/renamed.txt")[0] == 201
    mine = f"/remote.php/dav/files/amir/{name}.txt"
    assert drive.ask("MOVE", f"{theirs}/{name}/renamed.txt", login="amir", Destination=mine)[0] == 201
    assert drive.ask("GET", mine, login="amir")[0] == 403
    assert drive.ask("DELETE", mine, login="amir")[0] == 204
    (drive.directory / "refused").unlink(missing_ok=True)


def test_nobody_shares_with_who_is_elsewhere_or_what_is_not_theirs(
    drive: Served, name: str, alice: Phone, amir: Phone
) -> None:
    for fields in (
        {"shareType": "0", "shareWith": "bruno"},
        {"shareType": "0", "shareWith": "alice"},
        {"shareType": "0", "shareWith": ""},
        {"shareType": "1", "shareWith": "maires"},
        {"shareType": "11", "shareWith": "x"},
        {"shareType": "0", "shareWith": "amir", "permissions": "viel"},
        {"shareType": "0", "shareWith": "amir", "expireDate": "hier"},
        {"shareType": "0", "shareWith": "amir", "expireDate": "2001-01-01"},
    ):
        alice.ask("POST", "/shares", path=f"/{name}", **fields)
        assert alice.status == 400, fields
    for fields in ({"shareType": "3", "password": "secret-secret"}, {"shareType": "6", "shareWith": "x@y"}):
        alice.ask("POST", "/shares", path=f"/{name}", **fields)
        assert alice.status == 403, "the portal makes it, which the answer says"
    alice.ask("POST", "/shares", path="/rien", shareType="0", shareWith="amir")
    assert alice.status == 404
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions="31")
    path = f"/{SHARED_NAME}/{name}"
    for shared in (path, f"{path}/plan.txt"):
        amir.ask("POST", "/shares", path=shared, shareType="1", shareWith="elu")
        assert amir.status == 403
    for stranger in (Phone(drive, "elise"), Phone(drive, "bruno")):
        for method in ("GET", "PUT", "DELETE"):
            stranger.ask(method, f"/shares/{made['id']}", permissions="1")
            assert stranger.status == 404, (stranger.login, method)
        assert stranger.ask("GET", "/shares", shared_with_me="true") == []
    assert alice.ask("GET", f"/shares/{made['id']}")[0]["permissions"] == 15


def test_people_and_roles_are_found_and_nobody_of_another_collectivite(alice: Phone) -> None:
    found = alice.ask("GET", "/sharees", search="a", itemType="file", page="1", perPage="20")
    logins = {one["value"]["shareWith"] for one in found["users"]}
    assert "amir" in logins and not {"alice", "bruno", "bertille"} & logins
    exact = alice.ask("GET", "/sharees", search="amir", itemType="file")
    assert [one["value"]["shareWith"] for one in exact["exact"]["users"]] == ["amir"]
    groups = alice.ask("GET", "/sharees", search="élus", itemType="folder")["groups"]
    assert [one["value"] for one in groups] == [{"shareType": 1, "shareWith": "elu"}]
    assert alice.ask("GET", "/sharees", search="bruno", itemType="file")["users"] == []


def test_what_went_to_another_commune_is_the_portal_s_to_change(
    drive: Served, name: str, alice: Phone
) -> None:
    """Clients have no words for it: they would show a group without a name."""
    made = share(drive, name, Wish("collectivite", B))
    for call, fields in (
        ("/shares", {}),
        ("/shares", {"path": f"/{name}"}),
        ("/shares", {"path": "/", "subfiles": "true"}),
        ("/shares/inherited", {"path": f"/{name}/plan.txt"}),
    ):
        assert number(made) not in [int(one["id"]) for one in alice.ask("GET", call, **fields)], call
    for method in ("GET", "PUT", "DELETE"):
        alice.ask(method, f"/shares/{number(made)}", permissions="31")
        assert alice.status == 404, method


def test_what_another_commune_shares_has_no_shares_of_one_s_own_and_is_there(
    drive: Served, name: str, alice: Phone
) -> None:
    """A program that shows its page would say that the file does not exist."""
    drive.ask("PROPFIND", "/remote.php/dav/files/bruno/", login="bruno", Depth="0")
    answer(drive, share(drive, name, Wish("collectivite", B)))
    bruno, at = Phone(drive, "bruno"), f"/{SHARED_NAME}/{name}"
    for path in (at, f"{at}/plan.txt"):
        for call, fields in (
            ("/shares", {"reshares": "true", "subfiles": "true"}),
            ("/shares/inherited", {}),
        ):
            assert (bruno.ask("GET", call, path=path, **fields), bruno.status) == ([], 200), (path, call)
    bruno.ask("GET", "/shares", path=f"/{SHARED_NAME}/rien/plan.txt")
    assert bruno.status == 404


def test_who_received_a_share_reads_of_it_what_others_read(name: str, alice: Phone, amir: Phone) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir")
    (got,) = amir.ask("GET", f"/shares/{made['id']}")
    assert got.keys() == made.keys() and got["path"] == f"/{SHARED_NAME}/{name}"


def test_each_is_told_before_it_is_done(drive: Served, name: str, alice: Phone, amir: Phone) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir")
    alice.ask("PUT", f"/shares/{made['id']}", permissions="15")
    amir.ask("DELETE", f"/shares/{made['id']}")
    alice.ask("DELETE", f"/shares/{made['id']}")
    lines = [json.loads(line) for line in (drive.directory / "told-shares").read_text().splitlines()]
    last = lines[-4:]
    assert [one["what"] for one in last] == ["made", "changed", "left", "ended"]
    assert [one["person_id"] for one in last] == ["per_alice", "per_alice", "per_amir", "per_alice"]
    assert len({one["share_id"] for one in last}) == 1
    assert name not in json.dumps(last)


def test_the_owner_s_list_says_what_is_shared_and_the_receiver_s_does_not(
    drive: Served, name: str, alice: Phone
) -> None:
    alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir")
    alice.ask("POST", "/shares", path=f"/{name}", shareType="1", shareWith="elu")
    (own,) = listing(drive, f"{HOME}/{name}/", "0", TYPES).values()
    assert [one.text for one in own.findall(".//oc:share-type", NS)] == ["0", "1"]
    path = f"/remote.php/dav/files/amir/{quote(SHARED_NAME)}/{name}/"
    (got,) = listing(drive, path, "0", TYPES, "amir").values()
    assert got.findall(".//oc:share-type", NS) == []


def test_an_unknown_call_is_none_of_ours(alice: Phone) -> None:
    for method, path in (("GET", "/nothing"), ("DELETE", "/shares"), ("POST", "/shares/pending/1")):
        alice.ask(method, path)
        assert alice.status == 404


def test_a_query_of_too_many_fields_is_told_so(drive: Served) -> None:
    status, _, body = drive.ask("GET", f"{API}/shares?{'a=1&' * 70}", b"", "alice", OCS_APIRequest="true")
    assert status == 400 and b"<status>failure</status>" in body


@pytest.mark.parametrize("body", [b"[" * 16_000, b'{"a":' * 3000, b"{", b"[]"])
def test_json_that_is_none_has_an_answer(drive: Served, body: bytes) -> None:
    kind = {"Content_Type": "application/json", "OCS_APIRequest": "true"}
    status, _, answer = drive.ask("POST", f"{API}/shares?format=json", body, **kind)
    assert 400 <= status < 500 and json.loads(answer)["ocs"]["data"] == []
