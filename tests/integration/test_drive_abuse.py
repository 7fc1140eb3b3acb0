"""What a stolen app password, or somebody who means harm, may cost the others: nothing for good, and no process."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import threading
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.planes.tokens import make_grant
from beffroi.drive import alarms, stops
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.sign_ins import MAX_FAILURES, SignIns
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.locks import MOST_SHARED
from beffroi.drive.web import granted, messages, signin
from beffroi.drive.web.app import MOST_AT_ONCE, Drive
from beffroi.drive.web.dav.properties import MAX_DEAD_BYTES
from beffroi.drive.web.messages import Answer, Request
from beffroi.drive.web.signin import Doorman, NotSignedIn, TooManySignIns
from beffroi.drive.web.sync import search
from beffroi.lib.config import Config

from tests.drive_asking import BODIES, HOME, listing, value
from tests.drive_server import PASSWORD, A, Listed, Served, application, basic
from tests.drive_under_way import ask
from tests.waiting import PATIENCE_S, until

pytest_plugins = ["tests.fixtures_drive_dav"]

TRASH = "/remote.php/dav/trashbin"


def test_what_was_deleted_of_the_commune_is_not_destroyed_by_an_app_password(drive: Served) -> None:
    drive.ask("PUT", f"{HOME}/Commune/registre.pdf", b"archive")
    assert drive.ask("DELETE", f"{HOME}/Commune/registre.pdf")[0] == 204
    said = drive.ask("PROPFIND", f"{TRASH}/alice/trash/", Depth="1")[2].decode()
    item = said.partition("/trash/registre.pdf")[2].partition("<")[0]
    assert drive.ask("DELETE", f"{TRASH}/alice/trash/registre.pdf{item}")[0] == 403
    back = {"Destination": f"{TRASH}/alice/restore/registre.pdf"}
    assert drive.ask("MOVE", f"{TRASH}/alice/trash/registre.pdf{item}", **back)[0] == 201
    assert drive.ask("GET", f"{HOME}/Commune/registre.pdf")[2] == b"archive"


@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH"])
def test_names_of_properties_do_not_multiply(drive: Served, folder: str, method: str) -> None:
    """A namespace is written once in a question, and with each name in the answer."""
    asked = "".join(f"<x:p{number}/>" for number in range(400))
    space = 'xmlns:x="' + "n" * 100_000 + '"'
    body = {
        "PROPFIND": f'<d:propfind xmlns:d="DAV:" {space}><d:prop>{asked}</d:prop></d:propfind>',
        "PROPPATCH": f'<d:propertyupdate xmlns:d="DAV:" {space}><d:remove><d:prop>{asked}</d:prop></d:remove>'
        "</d:propertyupdate>",
    }[method]
    status, _, answer = drive.ask(method, folder, body.encode(), Depth="0")
    assert status == 400 and len(answer) < 10_000


def test_properties_of_a_file_are_no_store_beside_the_quota(drive: Served, folder: str) -> None:
    def setting(size: int) -> bytes:
        return BODIES["PROPPATCH"].replace(b">1<", b">" + b"1" * size + b"<")

    assert drive.ask("PROPPATCH", folder, setting(MAX_DEAD_BYTES // 2))[0] == 207
    assert drive.ask("PROPPATCH", folder, setting(MAX_DEAD_BYTES))[0] == 507
    asked = b'<propfind xmlns="DAV:"><prop><x xmlns="u:"/></prop></propfind>'
    assert drive.ask("PROPFIND", folder, asked, Depth="0")[2].count(b"1" * (MAX_DEAD_BYTES // 2)) == 1


def test_nobody_locks_what_the_whole_commune_works_in(drive: Served) -> None:
    for path in (f"{HOME}/Commune", "/dav/Commune/", "/remote.php/webdav/Commune"):
        assert drive.ask("LOCK", path, BODIES["LOCK"], Timeout="Infinite")[0] == 403
    assert drive.ask("PUT", "/remote.php/dav/files/amir/Commune/ordre", b"x", "amir")[0] == 201


def test_locks_are_counted(drive: Served, folder: str) -> None:
    drive.ask("PUT", f"{folder}/x", b"x")
    shared = BODIES["LOCK"].replace(b"exclusive", b"shared")
    told = [drive.ask("LOCK", f"{folder}/x", shared)[0] for _ in range(MOST_SHARED + 1)]
    assert told == [200] * MOST_SHARED + [507]
    assert drive.ask("PUT", f"{folder}/x")[0] == 423


def test_one_person_in_a_browser_cannot_take_the_whole_drive(drive: Served) -> None:
    """The grant is for the portal's pages; what is under way counts together with programs' requests."""
    cookie = _cookie(drive, granted.IN_PATH, "per_amir")
    drive.ask("PUT", "/remote.php/dav/files/amir/there", b"x", "amir")  # the roots are made
    head = (
        "POST /coffre/envoi/formulaire HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nContent-Length: 9000\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nCookie: {cookie}\r\n\r\n--b"
    )
    held = [socket.create_connection(("127.0.0.1", drive.port), PATIENCE_S) for _ in range(MOST_AT_ONCE)]
    try:
        for line in held:
            line.sendall(head.encode())
        until(lambda: drive.ask("OPTIONS", "/dav/", login="amir")[0] == 429, "all are under way")
        status, headers, _ = drive.ask(
            "POST", "/coffre/envoi/formulaire", Cookie=cookie, Origin=f"http://127.0.0.1:{drive.port}"
        )
        assert (status, headers["location"]) == (303, "/coffre/?refus=drive.too_many_at_once")
        assert drive.ask("OPTIONS", HOME)[0] == 200
    finally:
        for line in held:
            line.close()
    until(lambda: drive.ask("OPTIONS", "/dav/", login="amir")[0] == 200, "they are gone")


def _stop(directory: Path, people: Listed) -> None:
    with ThreadPoolExecutor(1) as commits:
        communes = Communes(directory / "drive", commits)
        alarm = Alarm("app_alice", 1.0, 3, {Sign.LOST: 3})
        communes.metadata(A).write(lambda w: alarms.raise_(w, alarm, now_s=1))
        communes.close()


def _revoke(directory: Path, people: Listed) -> None:
    people.revoked.add("alice")


def _only_reads(directory: Path, people: Listed) -> None:
    people.roles["alice"] = "elu"


@pytest.mark.parametrize(("lose", "status"), [(None, 204), (_stop, 403), (_revoke, 401), (_only_reads, 401)])
def test_who_may_not_write_any_more_ends_no_body_that_was_under_way(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    lose: Callable[[Path, Listed], None] | None,
    status: int,
) -> None:
    monkeypatch.setattr(stops, "FRESH_S", 0.0)
    monkeypatch.setattr(messages, "AGAIN_S", 0.0)
    directory, people = tmp_path_factory.mktemp("d"), Listed()

    def put(app: Drive, body: bytes, meanwhile: Callable[[], object]) -> int:
        return ask(app, "PUT", f"{HOME}/Commune/bail.odt", basic("alice"), body, meanwhile=meanwhile).status

    with application(directory, people) as app:
        before = put(app, b"avant.", lambda: None)
        after = put(app, b"chiffr", partial(lose, directory, people) if lose else lambda: None)
    assert (before, after) == (201, status)


@pytest.mark.parametrize(
    ("lose", "status"), [(lambda people: None, 201), (lambda people: people.revoked.add("alice"), 401)]
)
def test_parts_that_take_long_to_join_are_joined_for_who_still_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Listed], None], status: int
) -> None:
    """A password that was revoked a moment ago still lets in."""
    monkeypatch.setattr(messages, "AGAIN_S", 0.0)
    people, upload = Listed(), "/remote.php/dav/uploads/alice/u1"
    with application(tmp_path, people) as app:
        assert ask(app, "MKCOL", upload, basic("alice")).status == 201
        assert ask(app, "PUT", f"{upload}/00001", basic("alice"), b"abcdef").status == 201
        lose(people)
        there = basic("alice") | {"Destination": f"{HOME}/film.mp4"}
        assert ask(app, "MOVE", f"{upload}/.file", there).status == status
        people.revoked.clear()
        found = ask(app, "GET", f"{HOME}/film.mp4", basic("alice"))
    assert found.status == (200 if status == 201 else 404)


def test_a_neighbour_who_fails_does_not_lock_out_who_was_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind one address of a town hall; also when nobody was asked for a while."""
    monkeypatch.setattr(signin, "KEPT_S", -1.0)  # each time the password is asked about
    people, sign_ins = Listed(), SignIns(Config(state=tmp_path), "drive")
    doorman = Doorman(people, sign_ins, lambda who: None)

    async def asked(login: str, password: str = PASSWORD) -> str:
        header = basic(login, password)["Authorization"].encode()
        request = Request("GET", "", "", {b"authorization": header}, _nothing, "192.0.2.1")
        return (await doorman.who(request)).login

    async def scene() -> None:
        assert await asked("alice") == "alice"
        for _ in range(MAX_FAILURES):
            with pytest.raises(NotSignedIn):
                await asked("amir", "wrong")
        with pytest.raises(TooManySignIns):
            await asked("amir")
        assert await asked("alice") == "alice"
        people.revoked.add("alice")
        with pytest.raises(NotSignedIn):
            await asked("alice")
        with pytest.raises(TooManySignIns):
            await asked("alice")

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("site", "address", "status"),
    [("cross-site", "192.0.2.7", 401), ("same-site", "192.0.2.8", 401), ("none", "192.0.2.9", 429)],
)
def test_names_in_links_of_another_site_count_for_nobody(
    drive: Served, site: str, address: str, status: int
) -> None:
    """``https://name:password@…/``: whoever opens such a page would make their town hall guess passwords."""
    for at in range(MAX_FAILURES):
        tried = basic(f"x{at}", "wrong") | {"Sec-Fetch-Site": site, "X-Forwarded-For": address}
        assert drive.exchange("GET", HOME, None, tried)[0] == 401
    assert drive.exchange("GET", HOME, None, tried | basic("y", "wrong"))[0] == status


def _cookie(drive: Served, path: str, person_id: str) -> str:
    """A grant as the portal gives it."""
    key = Config(state=drive.directory).secret("drive-grant.key")
    grant = make_grant(key, subject_id=person_id, collectivite_id=A, paths=(path,), role="agent")
    return f"{granted.COOKIES[path]}={grant}"


async def _nothing() -> dict[str, object]:
    return {"type": "http.disconnect"}


def test_what_a_decision_holds_comes_out_by_no_other_name_form_or_time(drive: Served, folder: str) -> None:
    """Its content is held, wherever it lies and whatever it is called; it may be deleted, and is free again after."""
    bad, refused = b"MZ bad" * 1000, drive.directory / "refused"
    deep = folder.removeprefix(HOME)
    drive.ask("PUT", f"{folder}/bad.exe", bad)
    drive.ask("PUT", f"{folder}/before", bad)
    drive.ask("PUT", f"{folder}/before", b"harmless")
    drive.ask("PUT", f"{folder}/gone", bad)
    drive.ask("DELETE", f"{folder}/gone")
    uploads = f"/remote.php/dav/uploads/alice/{deep.strip('/')}"
    drive.ask("MKCOL", uploads)
    for number, part in ((1, bad[:3000]), (2, bad[3000:])):
        assert drive.ask("PUT", f"{uploads}/{number}", part)[0] == 201
    numbers = {
        name: int(value(next(iter(listing(drive, f"{folder}/{name}", "0").values())), "oc:fileid") or 0)
        for name in ("bad.exe", "before")
    }
    refused.write_text(hashlib.sha256(bad).hexdigest())
    try:
        versions = f"/remote.php/dav/versions/alice/versions/{numbers['before']}"
        listed = drive.ask("PROPFIND", versions, Depth="1")[2].decode()
        (kept,) = re.findall(rf"{versions}/([0-9]+)", listed)
        etag = int(re.findall(r"getetag>&quot;([0-9a-f]+)", listed)[0], 16)
        trashed = re.findall(
            r"gone\.d[0-9]+", drive.ask("PROPFIND", f"{TRASH}/alice/trash/", Depth="1")[2].decode()
        )
        assert drive.ask("COPY", f"{folder}/bad.exe", Destination=f"{folder}/good.txt")[0] == 201
        assert drive.ask("MOVE", f"{folder}/bad.exe", Destination=f"{folder}/moved")[0] == 201
        back = f"{TRASH}/alice/restore/gone"
        assert drive.ask("MOVE", f"{TRASH}/alice/trash/{trashed[-1]}", Destination=back)[0] == 201
        for path in (f"{folder}/good.txt", f"{folder}/moved", f"{folder}/gone", f"{versions}/{kept}"):
            for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
                assert drive.ask(method, path, **headers)[0] == 403
        assert drive.ask("PUT", f"{folder}/again", bad)[0] == 403
        assert drive.ask("MOVE", f"{uploads}/.file", Destination=f"{folder}/joined")[0] == 403
        assert (
            drive.ask("MOVE", f"{versions}/{kept}", Destination="/remote.php/dav/versions/alice/restore/x")[0]
            == 201
        )
        assert drive.ask("GET", f"{folder}/before")[0] == 403
        cookie = _cookie(drive, granted.OUT_PATH, "per_alice")
        out, number = granted.OUT_PATH, numbers["bad.exe"]
        for path in (f"{out}/{number}", f"{out}/{number}/apercu", f"{out}/{numbers['before']}/{etag}"):
            assert drive.ask("GET", path, Cookie=cookie)[0] == 403
        status, headers, _ = drive.ask(
            "POST",
            f"{out}/zip",
            f"n={number}".encode(),
            Cookie=cookie,
            Origin=f"http://127.0.0.1:{drive.port}",
        )
        assert (status, headers["location"]) == (303, "/coffre/?refus=drive.frozen")
        assert drive.ask("DELETE", f"{folder}/good.txt")[0] == 204
    finally:
        refused.unlink()
    assert drive.ask("GET", f"{folder}/moved")[2] == bad
    assert drive.ask("MOVE", f"{uploads}/.file", Destination=f"{folder}/joined")[0] == 201


def test_long_searches_keep_nobody_else_from_a_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on, found = threading.Event(), search._found

    def slowly(*given: Any) -> Any:
        assert going_on.wait(PATIENCE_S)
        return found(*given)

    monkeypatch.setattr(search, "_found", slowly)
    asked = (
        b'<d:searchrequest xmlns:d="DAV:"><d:basicsearch><d:select><d:prop><d:getetag/></d:prop></d:select><d:from>'
        b"<d:scope><d:href>/files/alice</d:href></d:scope></d:from></d:basicsearch></d:searchrequest>"
    )

    async def scene(drive: Drive) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(3))
        for login in ("alice", "amir"):  # they are known, and their roots are made
            assert await _status(drive, "PROPFIND", "/dav/", b"", login) == 207
        searches = [
            asyncio.create_task(_status(drive, "SEARCH", "/remote.php/dav", asked)) for _ in range(20)
        ]
        await asyncio.sleep(0)  # all of them are under way
        try:
            async with asyncio.timeout(60):
                assert await _status(drive, "PROPFIND", "/dav/", b"", "amir") == 207
            assert not any(one.done() for one in searches)
        finally:
            going_on.set()
        assert set(await asyncio.gather(*searches)) == {207}

    with application(tmp_path, Listed()) as drive:
        asyncio.run(scene(drive))


async def _status(drive: Drive, method: str, path: str, body: bytes, login: str = "alice") -> int:
    return (await _answer(drive, method, path, body, login)).status


async def _answer(drive: Drive, method: str, path: str, body: bytes, login: str = "alice") -> Answer:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    headers = {b"authorization": basic(login)["Authorization"].encode(), b"depth": b"1"}
    return await drive.answer(Request(method, path, "", headers, receive))


def test_a_list_of_stars_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_FOUND", 3)
    asked = (
        b'<oc:filter-files xmlns:oc="http://owncloud.org/ns" xmlns="DAV:"><prop><getetag/></prop><oc:filter-rules>'
        b"<oc:favorite>1</oc:favorite></oc:filter-rules></oc:filter-files>"
    )

    async def scene(drive: Drive) -> bytes:
        for number in range(5):
            await _answer(drive, "PUT", f"/dav/{number}", b"x")
            star = BODIES["PROPPATCH"].replace(
                b'<x xmlns="u:">1</x>', b'<favorite xmlns="http://owncloud.org/ns">1</favorite>'
            )
            assert (await _answer(drive, "PROPPATCH", f"/dav/{number}", star)).status == 207
        body = (await _answer(drive, "REPORT", "/remote.php/dav/files/alice", asked)).body
        assert isinstance(body, bytes)
        return body

    with application(tmp_path, Listed()) as drive:
        assert asyncio.run(scene(drive)).count(b"<d:response>") == 3
