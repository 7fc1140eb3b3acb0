"""What a stolen app password, or somebody who means harm, may cost the others: nothing for good, and no process."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from beffroi.core.planes.tokens import make_grant
from beffroi.drive.sign_ins import MAX_FAILURES, SignIns
from beffroi.drive.store.locks import MOST_SHARED
from beffroi.drive.web import granted, signin
from beffroi.drive.web.app import MOST_AT_ONCE
from beffroi.drive.web.messages import Request
from beffroi.drive.web.signin import Doorman, NotSignedIn, TooManySignIns
from beffroi.lib.config import Config

from tests.drive_asking import BODIES, HOME
from tests.drive_server import PASSWORD, A, Listed, Served, basic
from tests.waiting import until

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
    grant = make_grant(
        Config(state=drive.directory).secret("drive-grant.key"),
        subject_id="per_amir",
        collectivite_id=A,
        paths=(granted.IN_PATH,),
        role="agent",
    )
    cookie = f"{granted.COOKIES[granted.IN_PATH]}={grant}"
    drive.ask("PUT", "/remote.php/dav/files/amir/there", b"x", "amir")  # the roots are made
    head = (
        "POST /coffre/envoi/formulaire HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nContent-Length: 9000\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nCookie: {cookie}\r\n\r\n--b"
    )
    held = [socket.create_connection(("127.0.0.1", drive.port), 10) for _ in range(MOST_AT_ONCE)]
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


def test_a_neighbour_who_fails_does_not_lock_out_who_was_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind one address of a town hall; also when nobody was asked for a while."""
    monkeypatch.setattr(signin, "KEPT_S", -1.0)  # each time the password is asked about
    people, sign_ins = Listed(), SignIns(Config(state=tmp_path), "drive")
    doorman = Doorman(people, sign_ins)

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


async def _nothing() -> dict[str, object]:
    return {"type": "http.disconnect"}
