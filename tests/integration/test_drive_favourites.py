"""Stars of sync clients on what another commune shares: with who put them, told as listings, gone with the share."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.views import SHARED_NAME

from tests.drive_asking import HOME
from tests.drive_server import PEOPLE, A, B, Served
from tests.drive_sharing import answer, crossed, end, metadata, share
from tests.drive_sync import found, hrefs, search

pytest_plugins = ["tests.fixtures_drive_dav"]
BRUNO = "/remote.php/dav/files/bruno"
SHARED = f"{BRUNO}/{quote(SHARED_NAME)}"
OC = 'xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"'
STARRED = f"<d:eq {OC}><d:prop><oc:favorite/></d:prop><d:literal>1</d:literal></d:eq>"
FOUND = (
    f"<oc:filter-files {OC}><d:prop><oc:favorite/></d:prop><oc:filter-rules><oc:favorite>1</oc:favorite>"
    "</oc:filter-rules></oc:filter-files>"
)


@pytest.fixture
def made(drive: Served, folder: str) -> Share:
    """A folder of alice's with two files in it, which bruno's commune reads."""
    for one in ("plan.txt", "autre.txt"):
        assert drive.ask("PUT", f"{folder}/{one}", b"un plan")[0] == 201
    assert drive.ask("PROPFIND", f"{BRUNO}/", login="bruno", Depth="0")[0] == 207
    one_share = share(drive, folder.removeprefix(f"{HOME}/"), Wish("collectivite", B))
    answer(drive, one_share)
    return one_share


def put(drive: Served, path: str, starred: str, login: str = "bruno", more: str = "") -> int:
    body = (
        f"<d:propertyupdate {OC}><d:set><d:prop><oc:favorite>{starred}</oc:favorite>{more}</d:prop></d:set>"
        "</d:propertyupdate>"
    )
    return drive.ask("PROPPATCH", path, body.encode(), login)[0]


def reported(drive: Served, path: str, login: str = "bruno") -> list[str]:
    status, _, body = drive.ask("REPORT", path, FOUND.encode(), login)
    assert status == 207, body
    return hrefs(body)


def shown(drive: Served, path: str, login: str = "bruno", depth: str = "0") -> dict[str, str]:
    """href -> whether it is starred."""
    body = f"<d:propfind {OC}><d:prop><oc:favorite/></d:prop></d:propfind>".encode()
    said = drive.ask("PROPFIND", path, body, login, Depth=depth)[2]
    return dict(zip(hrefs(said), found(said, ".//oc:favorite"), strict=True))


def rows(drive: Served, collectivite_id: str) -> list[tuple[object, ...]]:
    with metadata(drive) as communes, communes.metadata(collectivite_id).reading() as reading:
        own = reading.all("SELECT person_id, node FROM favourite")
        return [*own, *reading.all("SELECT person_id, owner, node FROM favourite_abroad")]


def test_a_visitors_star_lies_with_the_visitor_and_shows_wherever_they_look(
    drive: Served, made: Share, folder: str
) -> None:
    at = f"{SHARED}/{folder.removeprefix(f'{HOME}/')}"
    before, owners = drive.ask("PROPFIND", f"{at}/", login="bruno", Depth="0")[2], rows(drive, A)
    own = f"{BRUNO}/{made.id}.txt"
    assert drive.ask("PUT", own, b"x", "bruno")[0] == 201
    for path in (f"{at}/plan.txt", f"{at}/", own):
        assert put(drive, path, "1") == 207
    assert rows(drive, A) == owners, "nothing is written where the file lies"
    assert {one[0] for one in rows(drive, B)} == {PEOPLE["bruno"].person_id}
    assert shown(drive, f"{at}/", depth="1") == {
        f"{at}/": "1",
        f"{at}/plan.txt": "1",
        f"{at}/autre.txt": "0",
    }
    assert shown(drive, f"{SHARED}/", depth="1")[f"{at}/"] == "1", "also where it is mounted"
    assert set(shown(drive, f"{folder}/", "alice", "1").values()) == {"0"}
    assert shown(drive, f"{at}/plan.txt", "bruno") == {f"{at}/plan.txt": "1"}
    everything = {f"{at}/plan.txt", f"{at}/", own}
    assert set(reported(drive, f"{BRUNO}/")) >= everything
    assert set(reported(drive, f"{SHARED}/")) & everything == {f"{at}/plan.txt", f"{at}/"}
    assert set(reported(drive, f"{at}/")) == {f"{at}/plan.txt", f"{at}/"}
    assert set(hrefs(search(drive, STARRED, "bruno"))) >= everything
    assert reported(drive, "/remote.php/dav/files/bertille/", "bertille") == []
    assert drive.ask("PROPFIND", f"{at}/", login="bruno", Depth="0")[2] == before, "no etag is another one"
    assert put(drive, f"{at}/plan.txt", "0") == 207
    assert set(reported(drive, f"{at}/")) == {f"{at}/"}


def test_a_list_of_stars_is_told_to_the_owner_and_ends_with_the_share(
    drive: Served, made: Share, folder: str
) -> None:
    at = f"{SHARED}/{folder.removeprefix(f'{HOME}/')}"
    assert put(drive, f"{at}/plan.txt", "1") == 207
    assert f"{at}/plan.txt" in reported(drive, f"{BRUNO}/")
    lines = [one for one in crossed(drive) if one["share_id"] == made.id]
    assert [one["what"] for one in lines] == ["change", "list"]
    assert {one["person_id"] for one in lines} == {PEOPLE["bruno"].person_id}
    end(drive, made)
    assert f"{at}/plan.txt" not in reported(drive, f"{BRUNO}/")
    assert f"{at}/plan.txt" not in hrefs(search(drive, STARRED, "bruno"))
    assert put(drive, f"{at}/plan.txt", "0") == 404


def test_who_only_reads_elsewhere_stars_but_sets_nothing_else(
    drive: Served, made: Share, folder: str
) -> None:
    at = f"{SHARED}/{folder.removeprefix(f'{HOME}/')}"
    before = rows(drive, B)
    assert put(drive, f"{at}/plan.txt", "1", more="<d:getlastmodified>1</d:getlastmodified>") == 403
    assert rows(drive, B) == before
    assert put(drive, f"{at}/absent.txt", "1") == 404
    assert put(drive, f"/remote.php/dav/files/alice{folder.removeprefix(HOME)}/plan.txt", "1") == 404
    assert rows(drive, B) == before
