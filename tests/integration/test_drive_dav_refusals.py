"""What WebDAV of the drive refuses: other people's trees, tricks with paths, hostile bodies, uploads cut short."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from beffroi.drive.store import tree
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.drive.web.app import MOST_AT_ONCE
from beffroi.drive.web.dav.listing import MOST_DEEP

from tests.drive_asking import BODIES, HOME, SYNC, listing, value
from tests.drive_devices import on_server
from tests.drive_server import A, B, Served, basic
from tests.fixtures_drive import noise
from tests.waiting import PATIENCE_S, until

pytest_plugins = ["tests.fixtures_drive_dav"]

READ_ONLY = [
    ("PUT", "Commune/new", {}), ("PUT", "Commune/there", {}), ("MKCOL", "Commune/folder", {}),
    ("DELETE", "Commune/there", {}),
    ("PROPPATCH", "Commune/there", {}), ("LOCK", "Commune/there", {}), ("LOCK", "Commune/new", {}),
    ("MOVE", "Commune/there", {"Destination": "/remote.php/dav/files/elise/mine"}),
    ("COPY", "own", {"Destination": "/remote.php/dav/files/elise/Commune/copy"}),
    ("MOVE", "own", {"Destination": "/remote.php/dav/files/elise/Commune/copy"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "headers"), READ_ONLY)
def test_who_may_only_read_changes_nothing(
    drive: Served, method: str, path: str, headers: dict[str, str]
) -> None:
    drive.ask("PUT", f"{HOME}/Commune/there", b"of all")
    drive.ask("PUT", "/remote.php/dav/files/elise/own", b"mine", "elise")
    before = set(listing(drive, f"{HOME}/Commune"))
    status, _, answer = drive.ask(
        method, f"/remote.php/dav/files/elise/{path}", BODIES.get(method, b""), "elise", **headers
    )
    assert (status, b"Forbidden" in answer, "Vous pouvez lire ici" in answer.decode()) == (403, True, True)
    assert set(listing(drive, f"{HOME}/Commune")) == before
    assert drive.ask("GET", "/remote.php/dav/files/elise/Commune/there", login="elise")[2] == b"of all"


METHODS = (
    "GET", "HEAD", "OPTIONS", "PROPFIND", "PROPPATCH", "PUT", "MKCOL", "DELETE", "COPY", "MOVE", "LOCK", "UNLOCK",
    "PATCH", "POST",
)  # fmt: skip


@pytest.mark.parametrize("login", ["amir", "bruno"])
@pytest.mark.parametrize("method", METHODS)
def test_another_persons_tree_does_not_exist(drive: Served, method: str, login: str) -> None:
    """``amir`` is of the same commune, ``bruno`` of another."""
    drive.ask("PUT", f"{HOME}/secret.txt", b"secret")
    headers = {"Destination": f"/remote.php/dav/files/{login}/stolen", "Lock_Token": "<urn:uuid:x>"}
    for path in (f"{HOME}/secret.txt", f"{HOME}/absent.txt", f"{HOME}/"):
        status, _, answer = drive.ask(method, path, BODIES.get(method, b""), login, **headers)
        assert (status, b"secret" in answer) == (404, False)
    assert drive.ask("GET", f"{HOME}/secret.txt")[2] == b"secret"
    assert f"{HOME}/absent.txt" not in listing(drive, HOME)


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_nothing_leaves_for_another_tree_or_another_server(drive: Served, method: str, folder: str) -> None:
    assert drive.ask("PUT", f"{folder}/x", b"x")[0] == 201
    for destination, status in (
        ("/remote.php/dav/files/bruno/x", 404), ("/remote.php/dav/files/amir/x", 404), ("https://other/dav/x", 502),
        ("/portal/x", 404), (f"{folder}/x", 403), (f"{folder}/no/x", 409), (f"{folder}/a%2fb", 400), ("", 400),
        (f"{HOME}", 403), (f"{HOME}/Commune", 412),
    ):  # fmt: skip
        found = drive.ask(method, f"{folder}/x", Destination=destination, Overwrite="F")
        assert found[0] == status, (destination, found)
        assert ("sur un autre serveur" in found[2].decode()) is (status == 502)
    for login in ("amir", "bruno"):
        assert not [
            href
            for href in listing(drive, f"/remote.php/dav/files/{login}", login=login)
            if href.endswith("/x")
        ]


def test_the_communes_folder_of_another_commune_is_another_one(drive: Served) -> None:
    assert drive.ask("PUT", f"{HOME}/Commune/ours.txt", b"x")[0] in (201, 204)
    assert "/dav/Commune/ours.txt" in listing(drive, "/dav/Commune/", login="amir")
    assert "/dav/Commune/ours.txt" not in listing(drive, "/dav/Commune/", login="bruno")
    assert drive.ask("GET", "/dav/Commune/ours.txt", login="bruno")[0] == 404


def test_a_token_of_another_commune_opens_no_lock(drive: Served, folder: str) -> None:
    _, headers, _ = drive.ask("LOCK", f"{folder}/x", BODIES["LOCK"])
    token = headers["lock-token"]
    assert drive.ask("UNLOCK", "/dav/", login="bruno", Lock_Token=token)[0] == 409
    assert drive.ask("PUT", f"{folder}/x", b"1")[0] == 423
    assert drive.ask("PUT", f"{folder}/x", b"1", If=f"({token})")[0] == 204


TRICKS = [
    ("%2e%2e/x", 400), ("..%2fx", 400), ("a%2fb", 400), ("a%00b", 400), ("a%5cb", 400), ("%ff", 400), ("a%0ab", 400),
    ("%2e", 400), (quote("é" * 127) + "a", 201), (quote("é" * 128), 400), ("a" * 256, 400),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status"), TRICKS)
def test_tricks_with_paths_have_an_answer(drive: Served, folder: str, name: str, status: int) -> None:
    for method in ("PUT", "MKCOL"):
        path = f"{folder}/{name}" if method == "PUT" else f"{folder}/{name}/"
        assert drive.ask(method, path, b"x" if method == "PUT" else b"")[0] == (
            status if method == "PUT" or status != 201 else 405
        )


def test_dots_in_a_path_never_climb(drive: Served, folder: str) -> None:
    assert drive.ask("PUT", f"{folder}/../../bruno/x", b"x")[0] == 400
    assert drive.ask("GET", f"{folder}/../../../../status.php")[0] in (400, 404)


def test_two_spellings_of_a_name_are_one_file_and_capitals_are_a_conflict(drive: Served, folder: str) -> None:
    assert drive.ask("PUT", f"{folder}/{quote('e\u0301te\u0301.txt')}", b"nfd")[0] == 201
    assert drive.ask("PUT", f"{folder}/{quote('été.txt')}", b"nfc")[0] == 204
    assert list(listing(drive, folder))[1:] == [f"{folder}/{quote('été.txt')}"]
    assert drive.ask("PUT", f"{folder}/{quote('ÉTÉ.TXT')}", b"other")[0] == 409
    assert drive.ask("MKCOL", f"{folder}/{quote('Été.txt')}")[0] == 409
    assert drive.ask("MKCOL", f"{HOME}/commune")[0] == 409
    assert (
        drive.ask("MOVE", f"{folder}/{quote('été.txt')}", Destination=f"{folder}/{quote('Été.txt')}")[0]
        == 201
    )
    assert drive.ask("GET", f"{folder}/{quote('Été.txt')}")[2] == b"nfc"


def test_folders_lie_a_hundred_deep_and_no_deeper(drive: Served, folder: str) -> None:
    path = folder
    for _ in range(99):
        path += "/d"
        assert drive.ask("MKCOL", path)[0] == 201
    assert drive.ask("MKCOL", f"{path}/d")[0] == 400
    assert drive.ask("MKCOL", f"{HOME}/high")[0] == 201
    for method in ("COPY", "MOVE"):  # what lies in it would be too deep
        assert drive.ask(method, folder, Destination=f"{HOME}/high/low")[0] == 400
    assert drive.ask("PROPFIND", path, SYNC, Depth="0")[0] == 207


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Range": "bytes 0-2/3"}, 400), ({"OC_Checksum": "SHA1:" + "0" * 40}, 400),
        ({"OC_Total_Length": "4"}, 400),
        ({"X_OC_Mtime": "yesterday"}, 400), ({"X_OC_Mtime": "-5"}, 400), ({"X_OC_Mtime": "1e400"}, 400),
        ({"X_OC_Mtime": "nan"}, 400), ({"X_Expected_Entity_Length": "99"}, 400), ({"OC_Checksum": "MD5:whatever"}, 201),
    ],
)  # fmt: skip
def test_an_upload_that_is_not_what_it_says_is_refused(
    drive: Served, folder: str, headers: dict[str, str], status: int
) -> None:
    assert drive.ask("PUT", f"{folder}/x", b"abc", **headers)[0] == status
    assert len(listing(drive, folder)) == (2 if status == 201 else 1)


def raw(drive: Served, head: str, body: bytes = b"", *, shut: bool = True) -> bytes:
    """Send these bytes, end the sending side, and return what comes back."""
    lines = [
        head,
        f"Host: 127.0.0.1:{drive.port}",
        *(f"{name}: {text}" for name, text in basic("alice").items()),
    ]
    with socket.create_connection(("127.0.0.1", drive.port), PATIENCE_S) as line:
        line.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        if shut:
            line.shutdown(socket.SHUT_WR)
        found = b""
        line.settimeout(10)
        try:
            while piece := line.recv(65536):
                found += piece
                if not shut:
                    break
        except OSError:
            pass
        return found


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Length: 1000", b"half"),
        ("Content-Length: 300000", b"half" * 50000),
        ("Transfer-Encoding: chunked", b"4\r\nhalf\r\n"),
        ("Transfer-Encoding: chunked", b"8\r\nhalf"),
        ("Transfer-Encoding: chunked", b"4\r\nhalf\r\nzz\r\n"),
    ],
)
def test_an_upload_that_ends_in_the_middle_is_not_to_be_seen(
    drive: Served, folder: str, headers: str, body: bytes
) -> None:
    answer = raw(drive, f"PUT {folder}/x HTTP/1.1\r\n{headers}", body)
    assert b" 201 " not in answer and b" 204 " not in answer
    time.sleep(0.2)
    assert list(listing(drive, folder)) == [f"{folder}/"]


def test_a_refusal_comes_before_the_body_of_who_waits_for_it(drive: Served, folder: str) -> None:
    head = "HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5"
    assert raw(drive, f"PUT {folder}/no/x {head}", shut=False).startswith(b"HTTP/1.1 409 ")
    assert raw(drive, f"PUT {folder}/x {head}", shut=False).startswith(b"HTTP/1.1 100 ")


BOMB = b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)
) + b']><propfind xmlns="DAV:"><prop><x>&j;</x></prop></propfind>'  # fmt: skip


OUTSIDE = b'<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]><propfind xmlns="DAV:"><prop>&a;</prop></propfind>'


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("PROPFIND", BOMB, 400), ("PROPFIND", OUTSIDE, 400), ("PROPFIND", b"<a", 400), ("PROPFIND", b"<a/>", 400),
        ("PROPFIND", b"<propfind xmlns='DAV:'/>", 400), ("PROPFIND", b" " * 10_000_000, 413), ("PROPPATCH", BOMB, 400),
        ("LOCK", BOMB, 400), ("LOCK", b"<lockinfo xmlns='DAV:'/>", 400), ("PROPPATCH", b"", 400),
        ("MKCOL", b"<a/>", 415),
        ("PROPFIND", b"<propfind xmlns='DAV:'><prop>" + b"<a/>" * 600 + b"</prop></propfind>", 400),
        ("PROPFIND", b"<a>" * 80_000, 400),
    ],
)  # fmt: skip
def test_hostile_xml_is_refused(drive: Served, folder: str, method: str, body: bytes, status: int) -> None:
    path = f"{folder}/new" if method == "MKCOL" else folder
    assert drive.ask(method, path, body)[0] == status


def test_a_listing_of_too_much_is_refused_as_rfc_4918_says(drive: Served, folder: str) -> None:
    place = folder.removeprefix(f"{HOME}/")
    with on_server(drive) as database:
        (parent,) = database.execute("SELECT id FROM node WHERE name = ?", (place,)).fetchone()
        rows = [((1 << 40) + at, parent, f"f{at:04d}") for at in range(MOST_DEEP)]
        database.executemany(
            "INSERT INTO node SELECT ?, ?, ?, 0, 0, 1, 1, 1, '', '', x'', '', ?",
            [(*row, row[2]) for row in rows],
        )
    assert len(listing(drive, folder, "infinity")) == MOST_DEEP + 1
    assert drive.ask("MKCOL", f"{folder}/more")[0] == 201
    for depth in ("infinity", "2"):
        status, _, answer = drive.ask("PROPFIND", folder, SYNC, Depth=depth)
        assert (status, b"<d:propfind-finite-depth/>" in answer) == (403, True)
    assert len(listing(drive, folder, "1")) == MOST_DEEP + 2
    for depth in ("-1", "1.5", "1000", "many"):
        assert drive.ask("PROPFIND", folder, SYNC, Depth=depth)[0] == 400
    with on_server(drive) as database:
        database.execute("DELETE FROM node WHERE parent = ? AND is_folder = 0", (parent,))


def test_what_does_not_fit_is_refused_before_it_is_sent(drive: Served) -> None:
    """``bruno`` alone is of this commune; its room is 1000 bytes."""
    home = "/remote.php/dav/files/bruno"
    assert drive.ask("MKCOL", f"{home}/a", login="bruno")[0] == 201
    database = SqliteDatabase(drive.directory / "drive" / B / "metadata.db", pool := ThreadPoolExecutor(1))
    database.write(lambda w: tree.set_limit(w, 0, 1000))
    database.close()
    pool.shutdown()
    status, _, answer = drive.ask("PUT", f"{home}/a/x", b"x" * 1001, "bruno")
    assert (status, "Il n’y a plus de place" in answer.decode()) == (507, True)
    assert drive.ask("PUT", f"{home}/a/x", b"x" * 600, "bruno")[0] == 201
    assert drive.ask("PUT", f"{home}/a/x", b"x" * 401, "bruno")[0] == 507, (
        "what was there stays, as a version"
    )
    assert drive.ask("PUT", f"{home}/a/x", b"x" * 300, "bruno")[0] == 204
    assert drive.ask("COPY", f"{home}/a/x", login="bruno", Destination=f"{home}/y")[0] == 507
    found = listing(drive, home, "0", login="bruno")[f"{home}/"]
    assert value(found, "d:quota-used-bytes") == "900"
    assert value(found, "d:quota-available-bytes") == "100"
    chunked = iter([b"x" * 600, b"x" * 600])
    status, _, _ = drive.ask("PUT", f"{home}/a/z", chunked, "bruno")
    assert status == 507


def test_one_person_cannot_take_the_whole_drive(drive: Served, folder: str) -> None:
    token = basic("alice")["Authorization"]
    head = f"PUT {folder}/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nAuthorization: {token}"
    held = [socket.create_connection(("127.0.0.1", drive.port), PATIENCE_S) for _ in range(MOST_AT_ONCE)]
    try:
        for line in held:
            line.sendall(f"{head}\r\n\r\nx".encode())
        until(lambda: drive.ask("OPTIONS", folder)[0] == 429, "all are under way")
        assert drive.ask("OPTIONS", folder)[1]["retry-after"] == "5"
        assert drive.ask("OPTIONS", "/dav/", login="amir")[0] == 200
    finally:
        for line in held:
            line.close()
    until(lambda: drive.ask("OPTIONS", folder)[0] == 200, "they are gone")
    assert list(listing(drive, folder)) == [f"{folder}/"]


def test_a_small_file_that_is_damaged_is_refused_before_a_byte_of_it(drive: Served, folder: str) -> None:
    assert drive.ask("PUT", f"{folder}/whole", b"a whole one")[0] == 201
    assert drive.ask("PUT", f"{folder}/a", body := noise(9000))[0] == 201
    database = SqliteDatabase(drive.directory / "drive" / A / "metadata.db", pool := ThreadPoolExecutor(1))
    with database.reading() as reading:
        chunk, sealed = reading.all("SELECT id, sealed FROM chunk WHERE length = 9000")[-1]
    other = sealed[:-20] + bytes((sealed[-20] ^ 1,)) + sealed[-19:]
    database.write(lambda w: w.run("UPDATE chunk SET sealed = ? WHERE id = ?", (other, chunk)))
    for more in ({}, {"Range": "bytes=0-9"}):
        status, headers, answer = drive.ask("GET", f"{folder}/a", **more)
        assert (status, "content-range" in headers, body[:10] in answer) == (500, False, False)
    assert drive.ask("GET", f"{folder}/whole")[2] == b"a whole one"
    database.write(lambda w: w.run("UPDATE chunk SET sealed = ? WHERE id = ?", (sealed, chunk)))
    database.close()
    pool.shutdown()
    assert drive.ask("GET", f"{folder}/a")[2] == body
