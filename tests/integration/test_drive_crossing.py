"""What another collectivité shares, over WebDAV: after a yes, by the owner's rules, each access told; nothing else."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from beffroi.drive.stops import FRESH_S
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import COMMON_NAME, SHARED_NAME
from beffroi.drive.web.messages import AGAIN_S
from lxml import etree

from tests.drive_asking import BODIES, HOME, NS, listing, value
from tests.drive_server import A, B, Served, basic, served
from tests.drive_sharing import allow, answer, crossed, end, metadata, share
from tests.drive_sync import hears_nothing, listening
from tests.waiting import until

pytest_plugins = ["tests.fixtures_drive_dav"]
BRUNO = "/remote.php/dav/files/bruno"
SHARED = f"{BRUNO}/{quote(SHARED_NAME)}"
READ, WRITE = Wish("collectivite", B), Wish("collectivite", B, rights="write")


@pytest.fixture
def name(drive: Served, folder: str) -> str:
    """Of a folder of alice's with a file in it."""
    assert drive.ask("PUT", f"{folder}/plan.txt", b"un plan")[0] == 201
    assert drive.ask("PROPFIND", f"{BRUNO}/", login="bruno", Depth="0")[0] == 207
    return folder.removeprefix(f"{HOME}/")


def test_nothing_is_seen_before_a_yes_and_after_a_no(drive: Served, name: str) -> None:
    made = share(drive, name, READ)
    for accepted in (None, False):
        if accepted is not None:
            answer(drive, made, accepted=accepted)
        for method in ("GET", "PROPFIND", "PUT", "DELETE"):
            assert drive.ask(method, f"{SHARED}/{name}/plan.txt", login="bruno")[0] in (403, 404, 409)
        assert f"{SHARED}/{name}/" not in listing(drive, f"{BRUNO}/", login="bruno")
    assert crossed(drive) == []


def test_what_was_accepted_is_read_and_each_access_is_told(drive: Served, name: str) -> None:
    made = share(drive, name, READ)
    answer(drive, made)
    at, before = f"{SHARED}/{name}", len(crossed(drive))
    inside = listing(drive, f"{SHARED}/", login="bruno")
    assert value(inside[f"{at}/"], "oc:permissions") == "SGDN"
    for _ in range(3):
        found = listing(drive, f"{at}/", login="bruno")
    assert drive.ask("GET", f"{at}/plan.txt", login="bruno")[2] == b"un plan"
    lines = crossed(drive)[before:]
    assert [one["what"] for one in lines] == ["list", "read"]  # of listings one an hour
    assert {(one["owner"], one["receiver"], one["person_id"], one["device_id"]) for one in lines} == {
        (A, B, "per_bruno", "app_bruno")
    }
    (own,) = listing(drive, f"{HOME}/{name}/plan.txt", "0").values()
    there = found[f"{at}/plan.txt"]
    assert value(there, "oc:id") == value(own, "oc:id")
    assert value(there, "d:getetag") == value(own, "d:getetag")


def test_what_the_owner_lets_through_for_itself_stays_refused_to_who_visits(drive: Served, name: str) -> None:
    answer(drive, share(drive, name, WRITE))
    inside, own, data = f"{SHARED}/{name}/outil.txt", f"{HOME}/{name}/outil.txt", b"un outil"
    assert drive.ask("PUT", own, data)[0] == 201
    assert drive.ask("GET", inside, login="bruno")[2] == data
    refused = drive.directory / "refused"
    refused.write_text(f"{B}:{hashlib.sha256(data).hexdigest()}\n")
    try:
        elsewhere = f"{BRUNO}/outil.txt"
        assert drive.ask("GET", inside, login="bruno")[0] == 403
        assert drive.ask("PUT", f"{SHARED}/{name}/copie.txt", data, login="bruno")[0] == 403
        assert drive.ask("COPY", inside, login="bruno", Destination=elsewhere)[0] == 403
        assert drive.ask("GET", elsewhere, login="bruno")[0] == 404
        assert drive.ask("GET", own)[2] == data
    finally:
        refused.unlink()


def test_no_listing_goes_into_another_collectivite_from_above(drive: Served, name: str) -> None:
    """What it would leave out would look deleted; below the share itself it is whole, and told."""
    answer(drive, share(drive, name, READ))
    for depth, path in (("infinity", f"{BRUNO}/"), ("3", f"{BRUNO}/"), ("2", f"{SHARED}/")):
        status, _, said = drive.ask("PROPFIND", path, login="bruno", Depth=depth)
        assert (status, b"<d:propfind-finite-depth/>" in said) == (403, True), path
    assert f"{SHARED}/{name}/" in listing(drive, f"{BRUNO}/", "2", login="bruno")
    before = len(crossed(drive))
    assert f"{SHARED}/{name}/plan.txt" in listing(drive, f"{SHARED}/{name}/", "infinity", login="bruno")
    assert [one["what"] for one in crossed(drive)[before:]] == ["list"]


def test_who_may_only_read_changes_nothing_in_another_collectivite(drive: Served, name: str) -> None:
    answer(drive, share(drive, name, READ))
    at = f"{SHARED}/{name}"
    for method, path, headers in (
        ("PUT", f"{at}/plan.txt", {}),
        ("MKCOL", f"{at}/neuf", {}),
        ("DELETE", f"{at}/plan.txt", {}),
        ("MOVE", f"{at}/plan.txt", {"Destination": f"{at}/autre.txt"}),
        ("MOVE", f"{at}/plan.txt", {"Destination": f"{BRUNO}/pris.txt"}),
    ):
        assert drive.ask(method, path, b"" if method == "MKCOL" else b"x", "bruno", **headers)[0] == 403
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[2] == b"un plan"


def test_what_is_written_lies_with_the_owner(drive: Served, name: str) -> None:
    answer(drive, share(drive, name, WRITE))
    at, before = f"{SHARED}/{name}", len(crossed(drive))
    assert drive.ask("PUT", f"{at}/plan.txt", b"deux", "bruno")[0] == 204
    assert drive.ask("MKCOL", f"{at}/neuf", login="bruno")[0] == 201
    moved = drive.ask("MOVE", f"{at}/plan.txt", login="bruno", Destination=f"{at}/neuf/plan.txt")
    assert moved[0] == 201
    assert drive.ask("GET", f"{HOME}/{name}/neuf/plan.txt")[2] == b"deux"
    assert drive.ask("DELETE", f"{at}/neuf", login="bruno")[0] == 204
    assert f"{name}/neuf".encode() in drive.ask("PROPFIND", "/remote.php/dav/trashbin/alice/trash")[2]
    assert [one["what"] for one in crossed(drive)[before:]] == ["change"] * 4
    with metadata(drive) as communes, communes.metadata(B).reading() as reading:
        assert reading.one("SELECT 1 FROM change WHERE name = 'neuf'") is None


def test_what_is_moved_and_copied_across_is_whole_and_its_owner_s_trash_keeps_it(
    drive: Served, name: str
) -> None:
    answer(drive, share(drive, name, WRITE))
    at, mine = f"{SHARED}/{name}", f"{BRUNO}/{name}"
    for path in (f"{mine}-a", f"{mine}-a/dedans"):
        assert drive.ask("MKCOL", path, login="bruno")[0] == 201
    assert (
        drive.ask("PUT", f"{mine}-a/dedans/x.txt", b"x" * 300_000, "bruno", X_OC_Mtime="1500000000")[0] == 201
    )
    assert drive.ask("PROPPATCH", f"{mine}-a", BODIES["PROPPATCH"], "bruno")[0] == 207
    before = len(crossed(drive))

    def ask(method: str, source: str, target: str, **headers: str) -> int:
        return drive.ask(method, source, login="bruno", Destination=target, **headers)[0]

    assert ask("COPY", f"{at}/plan.txt", f"{mine}.txt") == 201
    assert drive.ask("GET", f"{mine}.txt", login="bruno")[2] == b"un plan"
    assert ask("MOVE", f"{mine}-a", f"{at}/a") == 201
    assert drive.ask("GET", f"{mine}-a/dedans/x.txt", login="bruno")[0] == 404
    _, headers, body = drive.ask("GET", f"{HOME}/{name}/a/dedans/x.txt")
    assert body == b"x" * 300_000 and headers["last-modified"] == "Fri, 14 Jul 2017 02:40:00 GMT"
    (moved,) = listing(drive, f"{HOME}/{name}/a", "0", b"").values()
    assert moved.findtext(".//{u:}x") == "1"
    assert ask("MOVE", f"{at}/plan.txt", f"{mine}.txt", Overwrite="F") == 412
    assert ask("MOVE", f"{at}/plan.txt", f"{mine}.txt") == 204
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[0] == 404
    assert f"{name}/plan.txt".encode() in drive.ask("PROPFIND", "/remote.php/dav/trashbin/alice/trash")[2]
    assert [one["what"] for one in crossed(drive)[before:]] == ["read", "change", "change", "change"]
    assert ask("MOVE", f"{at}/a", f"{SHARED}/a") == 403  # nothing is put beside what is shared


def test_a_folder_that_another_commune_lets_be_read_is_copied_whole_with_its_dates(
    drive: Served, name: str
) -> None:
    """As when communes merge: one share of a folder, one copy of all that lies in it."""
    for path in ("a", "a/b", "vide"):
        assert drive.ask("MKCOL", f"{HOME}/{name}/{path}")[0] == 201
    old = {"X_OC_Mtime": "1500000000"}
    assert drive.ask("PUT", f"{HOME}/{name}/a/b/x.txt", b"x" * 300_000, **old)[0] == 201
    answer(drive, share(drive, name, READ))
    mine = f"{BRUNO}/reprise-{name}"
    assert drive.ask("COPY", f"{SHARED}/{name}", login="bruno", Destination=mine)[0] == 201
    status, headers, body = drive.ask("GET", f"{mine}/a/b/x.txt", login="bruno")
    assert (status, body) == (200, b"x" * 300_000)
    assert headers["last-modified"] == "Fri, 14 Jul 2017 02:40:00 GMT"
    assert drive.ask("GET", f"{mine}/plan.txt", login="bruno")[2] == b"un plan"
    assert drive.ask("PROPFIND", f"{mine}/vide", login="bruno", Depth="0")[0] == 207
    assert drive.ask("GET", f"{HOME}/{name}/a/b/x.txt")[2] == b"x" * 300_000, "its owner keeps it"


def test_no_copy_goes_into_what_is_only_read(drive: Served, name: str) -> None:
    answer(drive, share(drive, name, READ))
    assert drive.ask("PUT", f"{BRUNO}/{name}.txt", b"le mien", "bruno")[0] == 201
    for method in ("COPY", "MOVE"):
        to = f"{SHARED}/{name}/x.txt"
        assert drive.ask(method, f"{BRUNO}/{name}.txt", login="bruno", Destination=to)[0] == 403
    assert drive.ask("GET", f"{BRUNO}/{name}.txt", login="bruno")[2] == b"le mien"
    assert drive.ask("GET", f"{HOME}/{name}/x.txt")[0] == 404


def test_a_large_file_in_parts_is_sealed_anew_for_the_owner(drive: Served, name: str) -> None:
    answer(drive, share(drive, name, WRITE))
    upload = f"/remote.php/dav/uploads/bruno/{name}"
    assert drive.ask("MKCOL", upload, login="bruno")[0] == 201
    for number, part in enumerate((b"a" * 300_000, b"b" * 300_000), 1):
        assert drive.ask("PUT", f"{upload}/{number}", part, "bruno")[0] == 201
    to = f"{SHARED}/{name}/grand.bin"
    assert drive.ask("MOVE", f"{upload}/.file", login="bruno", Destination=to)[0] == 201
    assert drive.ask("GET", f"{HOME}/{name}/grand.bin")[2] == b"a" * 300_000 + b"b" * 300_000
    assert drive.ask("PROPFIND", upload, login="bruno")[0] == 404


def test_the_owner_ends_it_at_once_and_the_receiver_leaves_it(drive: Served, name: str) -> None:
    made = share(drive, name, WRITE)
    answer(drive, made)
    assert drive.ask("GET", f"{SHARED}/{name}/plan.txt", login="bruno")[0] == 200
    end(drive, made)
    for method in ("GET", "PUT", "DELETE", "PROPFIND", "MKCOL", "LOCK"):
        assert drive.ask(method, f"{SHARED}/{name}/plan.txt", login="bruno")[0] in (403, 404, 409)
    again = share(drive, name, READ)
    answer(drive, again)
    found = listing(drive, f"{SHARED}/", login="bruno")
    (at,) = [href for href in found if href.startswith(f"{SHARED}/{name}")]
    assert drive.ask("DELETE", at, login="bruno")[0] == 204
    assert drive.ask("GET", f"{at}plan.txt", login="bruno")[0] == 404
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[0] == 200


def test_a_share_leads_to_nothing_beside_it(drive: Served, name: str) -> None:
    """Also not by numbers, which count anew in each collectivité."""
    answer(drive, share(drive, name, WRITE))
    assert drive.ask("PUT", f"{HOME}/{name}-secret.txt", b"secret")[0] == 201
    for path in (f"{SHARED}/{name}-secret.txt", f"{SHARED}/{name}/../{name}-secret.txt", f"{SHARED}/{A}"):
        assert drive.ask("GET", path, login="bruno")[0] in (400, 404)
    (secret,) = listing(drive, f"{HOME}/{name}-secret.txt", "0").values()
    number = value(secret, "oc:fileid")
    assert drive.ask("PROPFIND", f"/remote.php/dav/versions/bruno/versions/{number}", login="bruno")[0] == 404
    found = searched(drive, BY_NAME % "%.txt")
    assert f"{SHARED}/{name}/plan.txt" in found and not [href for href in found if "secret" in href]
    (plan,) = listing(drive, f"{HOME}/{name}/plan.txt", "0").values()
    there = int(value(found[f"{SHARED}/{name}/plan.txt"], "oc:fileid") or 0)
    by_number = "<d:eq><d:prop><oc:fileid/></d:prop><d:literal>%d</d:literal></d:eq>"
    assert list(searched(drive, by_number % there)) == [f"{SHARED}/{name}/plan.txt"]
    shift = there - int(value(plan, "oc:fileid") or 0)
    assert searched(drive, by_number % (int(number or 0) + shift)) == {}


BY_NAME = "<d:like><d:prop><d:displayname/></d:prop><d:literal>%s</d:literal></d:like>"


def searched(drive: Served, where: str, scope: str = "", login: str = "bruno") -> dict[str, etree._Element]:
    """The response elements of a SEARCH by their href. ``scope``: below the person's root."""
    body = (
        '<d:searchrequest xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:basicsearch><d:select><d:prop>'
        f"<oc:fileid/><oc:id/></d:prop></d:select><d:from><d:scope><d:href>/files/{login}{scope}</d:href>"
        f"<d:depth>infinity</d:depth></d:scope></d:from><d:where>{where}</d:where></d:basicsearch></d:searchrequest>"
    )
    status, _, answered = drive.ask("SEARCH", "/remote.php/dav", body.encode(), login)
    assert status == 207, answered
    return {one.findtext("d:href", namespaces=NS): one for one in etree.fromstring(answered)}


def test_a_search_by_name_goes_into_what_was_accepted_and_is_told_as_a_listing(
    drive: Served, name: str
) -> None:
    made, wanted = share(drive, name, READ), BY_NAME % f"%-{name}.txt"
    mine, theirs = f"{BRUNO}/moi-{name}.txt", f"{SHARED}/{name}/plan-{name}.txt"
    assert drive.ask("PUT", mine, b"x", "bruno")[0] == 201
    assert drive.ask("PUT", f"{HOME}/{name}/plan-{name}.txt", b"x")[0] == 201
    assert list(searched(drive, wanted)) == [mine]
    answer(drive, made)
    for _ in range(2):
        assert sorted(searched(drive, wanted)) == sorted([mine, theirs])
    assert [one["what"] for one in crossed(drive) if one["share_id"] == made.id] == ["list"]
    scope = f"/{SHARED_NAME}/{name}"
    assert list(searched(drive, wanted, scope)) == [theirs]
    end(drive, made)
    assert list(searched(drive, wanted)) == [mine] and searched(drive, wanted, scope) == {}


def test_a_search_leaves_out_who_does_not_answer_and_a_listing_does_not(tmp_path: Path) -> None:
    with served(tmp_path / "state") as drive:
        assert drive.ask("MKCOL", f"{HOME}/plans")[0] == 201
        assert drive.ask("PUT", f"{HOME}/plans/plan-la-bas.txt", b"x")[0] == 201
        assert drive.ask("PUT", f"{BRUNO}/plan-ici.txt", b"x", "bruno")[0] == 201
        star = (
            b'<d:propertyupdate xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:set><d:prop>'
            b"<oc:favorite>1</oc:favorite></d:prop></d:set></d:propertyupdate>"
        )
        assert drive.ask("PROPPATCH", f"{BRUNO}/plan-ici.txt", star, "bruno")[0] == 207
        answer(drive, share(drive, "plans", READ))
        mine, theirs = f"{BRUNO}/plan-ici.txt", f"{SHARED}/plans/plan-la-bas.txt"
        assert sorted(searched(drive, BY_NAME % "plan-%")) == sorted([theirs, mine])
        drive.kill()
        folder = drive.directory / "drive" / A
        for one in folder.glob("metadata.db*"):
            one.unlink()
        (folder / "metadata.db").write_bytes(b"no database" * 1000)
        drive.start()
        assert list(searched(drive, BY_NAME % "plan-%")) == [mine]
        asked = "/ocs/v2.php/search/providers/files/search?format=json&term=plan"
        status, _, said = drive.ask("GET", asked, login="bruno", OCS_APIREQUEST="true")
        assert status == 200 and b"plan-ici" in said and b"plan-la-bas" not in said
        starred = (
            b'<oc:filter-files xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><oc:filter-rules>'
            b"<oc:favorite>1</oc:favorite></oc:filter-rules></oc:filter-files>"
        )
        status, _, said = drive.ask("REPORT", BRUNO, starred, "bruno")
        assert status == 207 and b"plan-ici.txt" in said
        assert f"what {A} shares is not shown" in drive.log
        assert drive.ask("PROPFIND", f"{BRUNO}/", login="bruno", Depth="1")[0] == 503, "nothing looks deleted"


def test_the_receiver_s_elus_read_and_do_not_write(drive: Served, name: str) -> None:
    answer(drive, share(drive, name, WRITE))
    at = f"/remote.php/dav/files/bertille/{quote(SHARED_NAME)}/{name}"
    assert drive.ask("GET", f"{at}/plan.txt", login="bertille")[2] == b"un plan"
    assert drive.ask("PUT", f"{at}/plan.txt", b"x", "bertille")[0] == 403


def test_a_lock_above_what_is_shared_is_seen_and_obeyed(drive: Served, name: str) -> None:
    inner = f"{HOME}/{name}/dedans"
    assert drive.ask("MKCOL", inner)[0] == 201
    assert drive.ask("PUT", f"{inner}/x.txt", b"1")[0] == 201
    answer(drive, share(drive, f"{name}/dedans", WRITE))
    assert drive.ask("LOCK", f"{HOME}/{name}", BODIES["LOCK"])[0] == 200
    asked = b'<d:propfind xmlns:d="DAV:"><d:prop><d:lockdiscovery/></d:prop></d:propfind>'
    found = listing(drive, f"{SHARED}/dedans/", "1", asked, "bruno")
    roots = {one.findtext(".//d:lockroot/d:href", namespaces=NS) for one in found.values()}
    assert roots == {f"{SHARED}/dedans/"}
    assert drive.ask("PUT", f"{SHARED}/dedans/x.txt", b"2", "bruno")[0] == 423
    assert drive.ask("GET", f"{inner}/x.txt")[2] == b"1"


@pytest.mark.parametrize("ends", [True, False])
def test_a_visitor_s_lock_in_the_common_folder_goes_with_the_share_or_the_right_to_write(
    drive: Served, name: str, ends: bool
) -> None:
    plan = f"{HOME}/{COMMON_NAME}/{name}/plan.txt"
    assert drive.ask("MKCOL", f"{HOME}/{COMMON_NAME}/{name}")[0] == 201
    assert drive.ask("PUT", plan, b"un plan")[0] == 201
    made = share(drive, f"{COMMON_NAME}/{name}", WRITE)
    answer(drive, made)
    assert drive.ask("LOCK", f"{SHARED}/{name}/plan.txt", BODIES["LOCK"], "bruno")[0] == 200
    assert drive.ask("PUT", plan, b"suite")[0] == 423
    if ends:
        end(drive, made)
    else:
        allow(drive, made, "read")
    assert drive.ask("PUT", plan, b"suite")[0] == 204


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_a_condition_may_speak_of_where_it_goes_in_another_collectivite(
    drive: Served, name: str, method: str
) -> None:
    """Who locked what they write over shows that lock, and no other."""
    answer(drive, share(drive, name, WRITE))
    source, at = f"{BRUNO}/{name}.txt", f"{SHARED}/{name}/plan.txt"
    assert drive.ask("PUT", source, b"le mien", "bruno")[0] == 201
    status, headers, _ = drive.ask("LOCK", at, BODIES["LOCK"], "bruno")
    assert status == 200
    token = headers["lock-token"]
    for shown, expected in (("<urn:uuid:0>", 412), (token, 204)):
        shows = {"Destination": f"{drive.url}{at}", "If": f"<{drive.url}{at}> ({shown})"}
        assert drive.ask(method, source, b"", "bruno", **shows)[0] == expected
    assert drive.ask("GET", f"{HOME}/{name}/plan.txt")[2] == b"le mien"


def test_a_device_that_is_stopped_with_the_owner_is_stopped_there_alone(tmp_path: Path) -> None:
    with served(tmp_path / "state") as drive:
        stop_bruno(drive)
        assert drive.ask("MKCOL", f"{HOME}/plans")[0] == 201
        assert drive.ask("PUT", f"{HOME}/plans/plan.txt", b"un plan")[0] == 201
        assert drive.ask("PUT", f"{BRUNO}/le-mien.txt", b"x", "bruno")[0] == 201
        answer(drive, share(drive, "plans", WRITE))
        for method in ("GET", "PUT", "DELETE", "PROPFIND"):
            status, _, body = drive.ask(method, f"{SHARED}/plans/plan.txt", login="bruno")
            assert status == 403 and "rançongiciel" in body.decode(), method
        assert drive.ask("GET", f"{BRUNO}/le-mien.txt", login="bruno")[2] == b"x"
        assert drive.ask("GET", f"{HOME}/plans/plan.txt")[2] == b"un plan"


@pytest.mark.parametrize("refused", [403, 404])
def test_who_may_not_write_there_any_more_ends_no_body_that_was_under_way_there(
    tmp_path: Path, refused: int
) -> None:
    """A device that is stopped with the owner, or what its own référent takes no more."""
    with served(tmp_path / "state") as drive:
        assert drive.ask("MKCOL", f"{HOME}/plans")[0] == 201
        assert drive.ask("PUT", f"{HOME}/plans/plan.txt", b"un plan")[0] == 201
        made = share(drive, "plans", WRITE)
        answer(drive, made)
        login = "".join(f"{name}: {value}\r\n" for name, value in basic("bruno").items())
        head = f"PUT {SHARED}/plans/plan.txt HTTP/1.1\r\nHost: localhost\r\n{login}Content-Length: 100000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", drive.port)) as line, line.makefile("rb") as said:
            line.sendall(head.encode() + bytes(50_000))
            # That the body began is told before it ends: what enters another collectivité is on record.
            until(lambda: crossed(drive), "bruno is there")
            if refused == 403:
                stop_bruno(drive)
            else:
                answer(drive, made, accepted=False)
            time.sleep(max(AGAIN_S, FRESH_S) + 0.2)
            line.sendall(bytes(50_000))
            assert said.readline().split()[1] == str(refused).encode()
        assert drive.ask("GET", f"{HOME}/plans/plan.txt")[2] == b"un plan"


def stop_bruno(drive: Served) -> None:
    """With alice's collectivité alone."""
    with metadata(drive) as communes:
        communes.metadata(A).write(
            lambda writing: writing.run(
                "INSERT INTO alarm VALUES ('app_bruno', 'per_bruno', 1, 1, 9, '{}', 1, 'open', '', 0, ?, 0, 0)",
                (b"",),
            )
        )


def test_a_change_of_what_is_shared_is_heard_by_who_sees_it(drive: Served, name: str) -> None:
    answer(drive, share(drive, name, READ))
    with listening(drive, "bruno") as bruno:
        assert drive.ask("PUT", f"{HOME}/{name}/plan.txt", b"deux")[0] == 204
        assert bruno.hear() == "notify_file"
        assert drive.ask("PUT", f"{HOME}/{name}-autre.txt", b"x")[0] == 201
        hears_nothing(bruno)
