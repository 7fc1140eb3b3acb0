"""Shares by the calls of sync clients: nobody widens what is not theirs, nor gets more than was asked for."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import pytest
from beffroi.drive.sharing import Line, Sharing
from beffroi.drive.store import shares
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import Act, ReadOnly
from beffroi.drive.store.shares import NEVER
from beffroi.drive.views import SHARED_NAME, View
from beffroi.drive.web.sync.sharing import number
from beffroi.lib import clock

from tests.drive_asking import HOME
from tests.drive_server import PEOPLE, A, Served
from tests.drive_sharing import metadata
from tests.integration.test_drive_ocs_shares import Phone, alice, amir, name

pytest_plugins = ["tests.fixtures_drive_dav"]
__all__ = ["alice", "amir", "name"]


def told(drive: Served) -> list[str]:
    path = drive.directory / "told-shares"
    return [json.loads(line)["what"] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("said", ["0", "32", "64", "255", "999", "-1", "1e1", "٣", "", " 3", "1.5"])
def test_permissions_out_of_range_are_no_permissions(name: str, alice: Phone, said: str) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir")
    alice.ask("PUT", f"/shares/{made['id']}", permissions=said)
    assert alice.status == 400
    assert alice.ask("GET", f"/shares/{made['id']}")[0]["permissions"] == 1
    alice.ask("POST", "/shares", path=f"/{name}/plan.txt", shareType="0", shareWith="amir", permissions=said)
    assert alice.status == 400


@pytest.mark.parametrize(
    ("asked", "has"),
    [("1", (1, 1)), ("3", (1, 3)), ("5", (1, 1)), ("7", (1, 3)), ("13", (1, 1)), ("17", (1, 1)), ("15", (15, 3)),
     ("31", (15, 3))],
)  # fmt: skip
def test_who_asks_for_a_part_of_writing_gives_no_more(
    drive: Served, name: str, alice: Phone, asked: str, has: tuple[int, int]
) -> None:
    """Adding without changing, changing without deleting: there are no such rights here."""
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions=asked)
    assert made["permissions"] == has[0]
    at = f"/remote.php/dav/files/amir/{quote(SHARED_NAME)}/{name}"
    assert drive.ask("DELETE", f"{at}/plan.txt", login="amir")[0] == (204 if has[0] == 15 else 403)
    drive.ask("PUT", f"{HOME}/{name}/plan.txt", b"un plan")
    assert alice.ask("PUT", f"/shares/{made['id']}", permissions="15")["permissions"] == 15
    assert alice.ask("PUT", f"/shares/{made['id']}", permissions=asked)["permissions"] == has[0]
    one = alice.ask(
        "POST", "/shares", path=f"/{name}/plan.txt", shareType="1", shareWith="elu", permissions=asked
    )
    assert one["permissions"] == has[1]


@pytest.mark.parametrize("asked", ["2", "4", "14", "16", "30"])
def test_who_asks_for_a_folder_that_is_not_read_is_told_where_there_is_one(
    name: str, alice: Phone, asked: str
) -> None:
    """The desktop's window has "File drop (upload only)": colleagues would read what they are not to."""
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions="31")
    alice.ask("PUT", f"/shares/{made['id']}", permissions=asked)
    assert alice.status == 400 and "lien de dépôt" in alice.message
    assert alice.ask("GET", f"/shares/{made['id']}")[0]["permissions"] == 15
    alice.ask("POST", "/shares", path=f"/{name}", shareType="1", shareWith="elu", permissions=asked)
    assert alice.status == 400 and len(alice.ask("GET", "/shares", path=f"/{name}")) == 1


def test_a_change_that_says_nothing_of_rights_leaves_them(name: str, alice: Phone) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions="31")
    day = time.strftime("%Y-%m-%d", time.gmtime(clock.epoch_s() + 9 * 86400))
    changed = alice.ask("PUT", f"/shares/{made['id']}", expireDate=day, note="", password="", label="x")
    assert (changed["permissions"], changed["expiration"]) == (15, f"{day} 00:00:00")


def test_a_share_s_target_file_and_kind_are_not_changed(name: str, alice: Phone, amir: Phone) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}/plan.txt", shareType="0", shareWith="amir")
    odd = {
        "path": f"/{name}",
        "shareType": "1",
        "shareWith": "agent",
        "uid_owner": "amir",
        "token": "x",
        "id": "1",
    }
    changed = alice.ask("PUT", f"/shares/{made['id']}", permissions="1", **odd)
    assert {key: changed[key] for key in made} == made


def test_what_is_shared_by_a_folder_above_is_changed_by_its_maker_alone(
    drive: Served, name: str, alice: Phone, amir: Phone
) -> None:
    """Amir may write in all of it, sees that it is shared, and widens nothing, nor passes on what lies in it."""
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions="31")
    other = alice.ask("POST", "/shares", path=f"/{name}", shareType="1", shareWith="elu")
    inside = f"/{SHARED_NAME}/{name}/plan.txt"
    assert amir.ask("GET", "/shares/inherited", path=inside) == []
    for share in (made, other):
        amir.ask("PUT", f"/shares/{share['id']}", permissions="31", expireDate="")
        assert amir.status == 404
    amir.ask("DELETE", f"/shares/{other['id']}")
    assert amir.status == 404
    amir.ask("POST", "/shares", path=inside, shareType="1", shareWith="agent", permissions="31")
    assert amir.status == 403
    found = {one["id"]: one["permissions"] for one in alice.ask("GET", "/shares", path=f"/{name}")}
    assert found == {made["id"]: 15, other["id"]: 1}


def test_its_maker_changes_nothing_of_what_went_to_another_and_nothing_is_on_record(
    drive: Served, alice: Phone, amir: Phone
) -> None:
    """What moves out of the commune's folder is another file from then on, and shared no more."""
    path, theirs = f"Commune/p{clock.epoch_s()}.txt", "/remote.php/dav/files/amir"
    assert drive.ask("PUT", f"{HOME}/{path}", b"x")[0] == 201
    made = alice.ask("POST", "/shares", path=f"/{path}", shareType="1", shareWith="elu")
    assert drive.ask("MOVE", f"{theirs}/{path}", login="amir", Destination=f"{theirs}/mien.txt")[0] == 201
    before = told(drive)
    for phone in (alice, amir):
        phone.ask("PUT", f"/shares/{made['id']}", permissions="31", expireDate="")
        assert phone.status == 404
    assert told(drive) == before


def test_who_made_a_share_and_writes_there_no_more_widens_it_no_more(drive: Served, alice: Phone) -> None:
    """Alice is an élue by now. She may still end it; a refused change is not on record as one that was made."""
    path = f"Commune/q{clock.epoch_s()}.txt"
    assert drive.ask("PUT", f"{HOME}/{path}", b"x")[0] == 201
    made = alice.ask("POST", "/shares", path=f"/{path}", shareType="1", shareWith="elu")
    lines: list[Line] = []
    with ThreadPoolExecutor(1) as commits:
        communes = Communes(drive.directory / "drive", commits)
        view = View(communes.metadata(A), replace(PEOPLE["alice"], role="elu"))
        desk = Sharing(view, Act("per_alice", "app_alice", clock.epoch_s()), lines.append)
        with view.database.reading() as reading:
            (share,) = [
                one
                for one in shares.all_open(reading, now_s=clock.epoch_s())
                if str(number(one)) == made["id"]
            ]
        with pytest.raises(ReadOnly):
            desk.change(share.id, rights="write", expires_s=NEVER)
        assert lines == []
        assert desk.end(share.id).rights == "read"
        assert [one.what for one in lines] == ["ended"]
        communes.close()


def test_a_share_that_ended_is_not_opened_again_by_a_change(name: str, alice: Phone) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir")
    alice.ask("DELETE", f"/shares/{made['id']}")
    alice.ask("PUT", f"/shares/{made['id']}", permissions="31", expireDate="")
    assert alice.status == 404
    assert alice.ask("GET", "/shares", path=f"/{name}") == []


@pytest.mark.parametrize(
    "more",
    [
        {"note": "À lire avant jeudi"},
        {"password": "secret-secret"},
        {"hideDownload": "true"},
        {"attributes": '[{"scope":"permissions","key":"download","value":false}]'},
        {"attributes": '[{"scope":"permissions","key":"download","enabled":false}]'},
        {"attributes": "None"},
    ],
)
def test_what_a_share_cannot_have_is_refused_and_changes_nothing(
    name: str, alice: Phone, more: dict[str, str]
) -> None:
    """Who forbids a download would believe that none is possible."""
    alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions="31", **more)
    assert alice.status == 400 and alice.ask("GET", "/shares", path=f"/{name}") == []
    made = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="amir", permissions="31")
    alice.ask("PUT", f"/shares/{made['id']}", permissions="1", **more)
    assert alice.status == 400
    assert alice.ask("GET", f"/shares/{made['id']}")[0]["permissions"] == 15


def test_two_shares_that_have_one_number_by_chance_are_not_taken_for_each_other(
    drive: Served, name: str, alice: Phone
) -> None:
    made = alice.ask("POST", "/shares", path=f"/{name}/plan.txt", shareType="0", shareWith="amir")
    other = alice.ask("POST", "/shares", path=f"/{name}", shareType="0", shareWith="elise")
    first, second = same_numbers()
    with metadata(drive) as communes:
        database = communes.metadata(A)
        with database.reading() as reading:
            ids = {str(number(one)): one.id for one in shares.all_open(reading, now_s=clock.epoch_s())}
        for said, share_id in ((made["id"], first), (other["id"], second)):
            database.write(
                lambda w, old=ids[said], new=share_id: w.run(
                    "UPDATE share SET id = ? WHERE id = ?", (new, old)
                )
            )
    (one,) = alice.ask("GET", "/shares", path=f"/{name}")
    for method in ("GET", "PUT", "DELETE"):
        alice.ask(method, f"/shares/{one['id']}", permissions="15")
        assert alice.status == 404, method
    assert alice.ask("GET", "/shares", path=f"/{name}")[0]["permissions"] == 1


def same_numbers() -> tuple[str, str]:
    """Two identifiers that a client cannot tell apart."""
    seen: dict[int, str] = {}
    blank = shares.Share("", 0, "person", "", "read", "", "", NEVER, -1, -1, "", "", 0, "", NEVER)
    for at in range(1 << 20):
        one = blank._replace(id=f"shr_{at:026d}")
        if number(one) in seen:
            return seen[number(one)], one.id
        seen[number(one)] = one.id
    raise AssertionError("more than 31 bits")
