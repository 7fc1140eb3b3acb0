"""What is shared inside a collectivité, over WebDAV: seen under its own folder, by its rights, and never taken away."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME

from tests.drive_asking import BODIES, HOME, etag, listing, value
from tests.drive_server import Served
from tests.drive_sharing import end, share

pytest_plugins = ["tests.fixtures_drive_dav"]
AMIR = "/remote.php/dav/files/amir"
SHARED = f"{AMIR}/{quote(SHARED_NAME)}"
LOCKS = b'<d:propfind xmlns:d="DAV:"><d:prop><d:lockdiscovery/></d:prop></d:propfind>'
READ, WRITE = Wish("person", "per_amir"), Wish("person", "per_amir", rights="write")


@pytest.fixture
def name(drive: Served, folder: str) -> str:
    """Of a folder of alice's with a file in it."""
    assert drive.ask("PUT", f"{folder}/plan.txt", b"un plan")[0] == 201
    return folder.removeprefix(f"{HOME}/")


def permissions(drive: Served, path: str, login: str = "amir") -> str | None:
    (one,) = listing(drive, path, "0", login=login).values()
    return value(one, "oc:permissions")


def test_a_shared_folder_appears_and_goes_with_its_share(drive: Served, name: str) -> None:
    made = share(drive, name, READ)
    root = listing(drive, f"{AMIR}/", login="amir")
    assert value(root[f"{SHARED}/"], "oc:permissions") == "G"
    assert value(root[f"{SHARED}/"], "nc:is-mount-root") == "true"
    assert f"{SHARED}/{name}/" in listing(drive, f"{SHARED}/", login="amir")
    assert drive.ask("GET", f"{SHARED}/{name}/plan.txt", login="amir")[2] == b"un plan"
    assert permissions(drive, f"{SHARED}/{name}/") == "SGDN"
    assert permissions(drive, f"{SHARED}/{name}/plan.txt") == "SG"
    end(drive, made)
    assert drive.ask("PROPFIND", f"{SHARED}/{name}/", login="amir", Depth="0")[0] == 404
    assert drive.ask("GET", f"{SHARED}/{name}/plan.txt", login="amir")[0] == 404


def test_a_lock_goes_with_the_share_by_which_it_was_taken(drive: Served, name: str) -> None:
    made = share(drive, name, WRITE)
    assert drive.ask("LOCK", f"{SHARED}/{name}/plan.txt", BODIES["LOCK"], "amir")[0] == 200
    assert drive.ask("PUT", f"{HOME}/{name}/plan.txt", b"le mien")[0] == 423
    end(drive, made)
    assert b"activelock" not in drive.ask("PROPFIND", f"{HOME}/{name}/plan.txt", LOCKS, Depth="0")[2]
    assert drive.ask("PUT", f"{HOME}/{name}/plan.txt", b"le mien")[0] == 204


def test_who_may_only_read_changes_nothing(drive: Served, name: str) -> None:
    share(drive, name, READ)
    at = f"{SHARED}/{name}"
    for method, path, headers in (
        ("PUT", f"{at}/plan.txt", {}),
        ("PUT", f"{at}/neuf.txt", {}),
        ("MKCOL", f"{at}/neuf", {}),
        ("DELETE", f"{at}/plan.txt", {}),
        ("MOVE", f"{at}/plan.txt", {"Destination": f"{AMIR}/plan.txt"}),
        ("MOVE", f"{at}/plan.txt", {"Destination": f"{at}/autre.txt"}),
    ):
        assert drive.ask(method, path, login="amir", **headers)[0] == 403, (method, path)
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[2] == b"un plan"
    assert drive.ask("COPY", f"{at}/plan.txt", login="amir", Destination=f"{AMIR}/{name}.txt")[0] == 201


def test_the_desktop_is_told_that_it_may_try_and_is_refused(drive: Served, name: str) -> None:
    """Else it deletes what nobody has but the computer."""
    share(drive, name, READ)
    asked = b'<propfind xmlns="DAV:"><prop><p xmlns="http://owncloud.org/ns"/></prop></propfind>'
    asked = asked.replace(b"<p ", b"<permissions ")
    agent = "Mozilla/5.0 (Linux) mirall/3.16.7 (Nextcloud, debian)"
    for path, said in (
        (SHARED, b">GCK<"),
        (f"{SHARED}/{name}", b">SGDNCK<"),
        (f"{SHARED}/{name}/plan.txt", b">SG<"),
    ):
        assert said in drive.ask("PROPFIND", path, asked, "amir", Depth="0", User_Agent=agent)[2]
    for method, path in (
        ("MKCOL", f"{SHARED}/x"),
        ("MKCOL", f"{SHARED}/{name}/x"),
        ("PUT", f"{SHARED}/{name}/y"),
    ):
        assert drive.ask(method, path, login="amir", User_Agent=agent)[0] == 403


def test_who_may_write_writes_and_the_owner_sees_it(drive: Served, name: str) -> None:
    share(drive, name, WRITE)
    at, mine = f"{SHARED}/{name}", etag(drive, f"{HOME}/")
    assert permissions(drive, f"{at}/") == "SGDNCK"
    assert permissions(drive, f"{at}/plan.txt") == "SGDNVW"
    assert drive.ask("PUT", f"{at}/plan.txt", b"deux", "amir")[0] == 204
    assert drive.ask("MKCOL", f"{at}/neuf", login="amir")[0] == 201
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[2] == b"deux"
    assert f"{HOME}/{name}/neuf/" in listing(drive, f"{HOME}/{name}/")
    assert etag(drive, f"{HOME}/") != mine


def listing_one(drive: Served, path: str) -> str | None:
    (one,) = listing(drive, path, "0", login="amir").values()
    return value(one, "d:getetag")


def test_the_receiver_s_root_says_each_change_of_what_is_shared(drive: Served, name: str) -> None:
    start = listing_one(drive, f"{AMIR}/")
    made = share(drive, name, READ)
    shared = listing_one(drive, f"{AMIR}/")
    assert drive.ask("PUT", f"{HOME}/{name}/plan.txt", b"deux")[0] == 204
    changed = listing_one(drive, f"{AMIR}/")
    end(drive, made)
    assert len({start, shared, changed}) == 3
    assert listing_one(drive, f"{AMIR}/") == start


def test_to_delete_a_mount_is_to_leave_it(drive: Served, name: str) -> None:
    share(drive, name, READ)
    assert drive.ask("DELETE", f"{SHARED}/{name}", login="amir")[0] == 204
    assert drive.ask("PROPFIND", f"{SHARED}/{name}/", login="amir", Depth="0")[0] == 404
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[2] == b"un plan"


def test_a_mount_has_another_name_with_its_receiver_and_goes_nowhere_else(drive: Served, name: str) -> None:
    share(drive, name, WRITE)
    at = f"{SHARED}/{name}"
    assert drive.ask("MOVE", at, login="amir", Destination=f"{SHARED}/chez-moi")[0] == 201
    assert drive.ask("GET", f"{SHARED}/chez-moi/plan.txt", login="amir")[2] == b"un plan"
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[0] == 200
    moved = drive.ask("MOVE", f"{SHARED}/chez-moi", login="amir", Destination=f"{AMIR}/pris")
    assert moved[0] == 403
    assert drive.ask("DELETE", SHARED, login="amir")[0] == 403
    assert drive.ask("PUT", f"{SHARED}/perdu.txt", b"x", "amir")[0] == 403
    assert drive.ask("MKCOL", f"{AMIR}/{quote(SHARED_NAME.upper())}", login="amir")[0] == 409


def test_what_is_moved_out_of_a_share_stays_in_its_owner_s_trash(drive: Served, name: str) -> None:
    share(drive, name, WRITE)
    moved = drive.ask("MOVE", f"{SHARED}/{name}/plan.txt", login="amir", Destination=f"{AMIR}/{name}.txt")
    assert moved[0] == 201
    assert drive.ask("GET", f"{AMIR}/{name}.txt", login="amir")[2] == b"un plan"
    bin_ = drive.ask("PROPFIND", "/remote.php/dav/trashbin/alice/trash", Depth="1")[2]
    assert f"{name}/plan.txt".encode() in bin_
    assert name.encode() not in drive.ask("PROPFIND", "/remote.php/dav/trashbin/amir/trash", login="amir")[2]


def test_a_file_is_shared_alone_and_written_where_its_owner_has_it(drive: Served, name: str) -> None:
    file = f"{HOME}/{name}/seul-{name}.txt"
    assert drive.ask("PUT", file, b"un")[0] == 201
    share(drive, file.removeprefix(f"{HOME}/"), WRITE)
    at = f"{SHARED}/seul-{name}.txt"
    assert permissions(drive, at) == "SGDNW"
    assert drive.ask("PUT", at, b"deux", "amir")[0] == 204
    assert drive.ask("MOVE", at, login="amir", Destination=f"{SHARED}/autre-{name}.txt")[0] == 201
    assert drive.ask("PUT", f"{SHARED}/autre-{name}.txt", b"trois", "amir")[0] == 204
    assert drive.ask("GET", file)[2] == b"trois"
    assert drive.ask("PROPFIND", f"{SHARED}/{name}/", login="amir", Depth="0")[0] == 404  # its folder is not


def test_a_role_sees_what_is_shared_with_it_and_others_do_not(drive: Served, name: str) -> None:
    share(drive, name, Wish("role", "elu", rights="write"))
    at = f"/remote.php/dav/files/elise/{quote(SHARED_NAME)}/{name}"
    assert drive.ask("PUT", f"{at}/avis.txt", b"oui", "elise")[0] == 201
    for login in ("amir", "bruno"):
        path = f"/remote.php/dav/files/{login}/{quote(SHARED_NAME)}/{name}/avis.txt"
        for method in ("GET", "PUT", "DELETE", "PROPFIND"):
            assert drive.ask(method, path, login=login)[0] in (403, 404, 409), (login, method)


def test_the_folder_of_the_commune_is_written_by_who_a_share_lets_in(drive: Served, name: str) -> None:
    assert drive.ask("MKCOL", f"{HOME}/Commune/{name}")[0] == 201
    share(drive, f"Commune/{name}", Wish("person", "per_elise", rights="write"))
    elise = "/remote.php/dav/files/elise"
    assert drive.ask("PUT", f"{elise}/Commune/{name}/x", b"1", "elise")[0] == 403
    assert drive.ask("PUT", f"{elise}/{quote(SHARED_NAME)}/{name}/x", b"1", "elise")[0] == 201
    share(drive, f"Commune/{name}", READ)  # he has it in Commune already: no second copy on his computer
    assert drive.ask("PROPFIND", f"{SHARED}/{name}/", login="amir", Depth="0")[0] == 404


def test_two_shares_of_one_name_stand_beside_one_another(drive: Served, name: str) -> None:
    for place in ("un", "deux"):
        assert drive.ask("MKCOL", f"{HOME}/{name}/{place}")[0] == 201
        assert drive.ask("MKCOL", f"{HOME}/{name}/{place}/double-{name}")[0] == 201
        share(drive, f"{name}/{place}/double-{name}", READ)
    found = listing(drive, f"{SHARED}/", login="amir")
    assert {f"{SHARED}/double-{name}/", f"{SHARED}/{quote(f'double-{name} (2)', safe='()')}/"} <= set(found)


def test_versions_trash_and_search_follow_the_rights(drive: Served, name: str) -> None:
    share(drive, name, READ)
    assert drive.ask("PUT", f"{HOME}/{name}/plan.txt", b"deux")[0] == 204
    (one,) = listing(drive, f"{SHARED}/{name}/plan.txt", "0", login="amir").values()
    number = value(one, "oc:fileid")
    base = f"/remote.php/dav/versions/amir/versions/{number}"
    status, _, body = drive.ask("PROPFIND", base, login="amir", Depth="1")
    assert status == 207
    version = body.decode().split(f"{number}/")[2].split("<")[0]
    assert drive.ask("GET", f"{base}/{version}", login="amir")[2] == b"un plan"
    restored = drive.ask(
        "MOVE", f"{base}/{version}", login="amir", Destination="/remote.php/dav/versions/amir/restore/x"
    )
    assert restored[0] == 403
