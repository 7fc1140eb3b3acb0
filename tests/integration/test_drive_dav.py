"""WebDAV of the drive by HTTP: the real application and store under the real server, request by request."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from beffroi.drive.store import look, schema, tree
from beffroi.drive.store.sqlite import SqliteDatabase
from lxml import etree

from tests.drive_server import A, Served, basic, served

HOME = "/remote.php/dav/files/alice"
SYNC = (
    b'<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"><d:prop>'
    b"<d:resourcetype/><d:getlastmodified/><d:getcontentlength/><d:getetag/><d:quota-available-bytes/>"
    b"<d:quota-used-bytes/><oc:id/><oc:fileid/><oc:permissions/><oc:size/><oc:checksums/><oc:data-fingerprint/>"
    b"<nc:is-mount-root/></d:prop></d:propfind>"
)
NS = {
    "d": "DAV:",
    "oc": "http://owncloud.org/ns",
    "nc": "http://nextcloud.org/ns",
    "s": "http://sabredav.org/ns",
}


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("drive") / "state") as one:
        yield one


@pytest.fixture
def folder(drive: Served, request: pytest.FixtureRequest) -> str:
    """A folder of its own for each test."""
    path = f"{HOME}/{abs(hash(request.node.name))}"
    assert drive.ask("MKCOL", path)[0] == 201
    return path


def listing(
    drive: Served, path: str, depth: str = "1", body: bytes = SYNC, login: str = "alice"
) -> dict[str, etree._Element]:
    """The response elements by their href."""
    status, headers, answer = drive.ask("PROPFIND", path, body, login, Depth=depth)
    assert status == 207, answer
    assert headers["content-type"] == "application/xml; charset=utf-8"
    return {one.findtext("d:href", namespaces=NS): one for one in etree.fromstring(answer)}


def value(response: etree._Element, name: str) -> str | None:
    return response.findtext(f"d:propstat/d:prop/{name}", namespaces=NS)


def etag(drive: Served, path: str) -> str:
    return next(iter(listing(drive, path, "0").values())).findtext(".//d:getetag", namespaces=NS)


def test_a_file_comes_back_as_it_was_sent_with_what_clients_ask_for(drive: Served, folder: str) -> None:
    body = b"Le conseil municipal\n" * 9000
    sha1 = hashlib.sha1(body).hexdigest()
    status, headers, _ = drive.ask(
        "PUT", f"{folder}/a.txt", body, OC_Checksum=f"SHA1:{sha1}", X_OC_Mtime="1500000000.7"
    )
    assert (status, headers["x-oc-mtime"], headers["etag"]) == (201, "accepted", headers["oc-etag"])
    status, got, answer = drive.ask("GET", f"{folder}/a.txt")
    assert (status, answer, got["etag"], got["oc-checksum"]) == (200, body, headers["etag"], f"SHA1:{sha1}")
    assert got["last-modified"] == "Fri, 14 Jul 2017 02:40:00 GMT"
    assert (got["x-content-type-options"], got["content-disposition"]) == ("nosniff", "attachment")
    assert "sandbox" in got["content-security-policy"]
    head = drive.ask("HEAD", f"{folder}/a.txt")
    assert (head[0], head[1]["content-length"], head[2]) == (200, str(len(body)), b"")
    found = listing(drive, f"{folder}/a.txt", "0")[f"{folder}/a.txt"]
    assert value(found, "d:getcontentlength") == value(found, "oc:size") == str(len(body))
    assert value(found, "oc:checksums/oc:checksum") == f"SHA1:{sha1}"
    assert value(found, "oc:id") == headers["oc-fileid"]
    assert value(found, "oc:permissions") == "RGDNVW"
    assert f'"{value(found, "d:getetag").strip(chr(34))}"' == headers["etag"]
    assert found.findtext("d:propstat/d:status", namespaces=NS) == "HTTP/1.1 200 OK"


def test_a_listing_begins_with_the_folder_and_its_paths_are_quoted(drive: Served, folder: str) -> None:
    names = ["été & <b>.txt", "100 %.txt", "a'b+c.txt"]
    for name in names:
        assert drive.ask("PUT", f"{folder}/{quote(name)}", b"x")[0] == 201
    found = list(listing(drive, folder))
    assert found[0] == f"{folder}/"
    assert sorted(found[1:]) == sorted(f"{folder}/{quote(name, safe="'+&")}" for name in names)
    for href in found[1:]:
        assert drive.ask("GET", href)[2] == b"x"


def test_every_folder_above_a_change_has_a_new_etag(drive: Served, folder: str) -> None:
    assert drive.ask("MKCOL", f"{folder}/a")[0] == 201
    before = [etag(drive, path) for path in (HOME, folder, f"{folder}/a")]
    assert drive.ask("PUT", f"{folder}/a/x", b"1")[0] == 201
    after = [etag(drive, path) for path in (HOME, folder, f"{folder}/a")]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_the_root_shows_the_commune_and_says_who_may_what(drive: Served) -> None:
    for login, permissions in (("alice", "RMGCK"), ("elise", "MG")):
        found = listing(drive, f"/remote.php/dav/files/{login}", login=login)
        common = found[f"/remote.php/dav/files/{login}/Commune/"]
        assert (value(common, "oc:permissions"), value(common, "nc:is-mount-root")) == (permissions, "true")
        root = found[f"/remote.php/dav/files/{login}/"]
        assert value(root, "oc:data-fingerprint") is not None
        assert (value(root, "oc:permissions"), value(root, "d:quota-available-bytes")) == ("RGCK", "-3")
    explorer = next(iter(listing(drive, "/dav", "0").values()))
    assert value(explorer, "d:quota-used-bytes") is not None
    statuses = [one.findtext("d:status", namespaces=NS) for one in explorer.findall("d:propstat", NS)]
    assert statuses == ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]


READ_ONLY = [
    ("PUT", "Commune/new", {}), ("PUT", "Commune/there", {}), ("MKCOL", "Commune/folder", {}), ("DELETE", "Commune/there", {}),
    ("PROPPATCH", "Commune/there", {}), ("LOCK", "Commune/there", {}), ("LOCK", "Commune/new", {}),
    ("MOVE", "Commune/there", {"Destination": "/remote.php/dav/files/elise/mine"}),
    ("COPY", "own", {"Destination": "/remote.php/dav/files/elise/Commune/copy"}),
    ("MOVE", "own", {"Destination": "/remote.php/dav/files/elise/Commune/copy"}),
]  # fmt: skip
BODIES = {
    "PROPPATCH": b'<propertyupdate xmlns="DAV:"><set><prop><x xmlns="u:">1</x></prop></set></propertyupdate>',
    "LOCK": b'<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>',
}


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
    "GET", "HEAD", "OPTIONS", "PROPFIND", "PROPPATCH", "PUT", "MKCOL", "DELETE", "COPY", "MOVE", "LOCK", "UNLOCK", "PATCH", "POST",
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
    status, headers, _ = drive.ask("LOCK", f"{folder}/x", BODIES["LOCK"])
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


def test_ranges_and_conditions_of_a_download(drive: Served, folder: str) -> None:
    path, body = f"{folder}/x", bytes(range(256)) * 2000
    tag = drive.ask("PUT", path, body, X_OC_Mtime="1500000000")[1]["etag"]
    date, later = "Fri, 14 Jul 2017 02:40:00 GMT", "Fri, 14 Jul 2017 02:40:01 GMT"
    for headers, status, expected in (
        ({"Range": "bytes=100-299"}, 206, body[100:300]),
        ({"Range": "bytes=-5"}, 206, body[-5:]),
        ({"Range": "bytes=511999-"}, 206, body[511999:]),
        ({"Range": "bytes=512000-"}, 416, b""),
        ({"Range": "bytes=5-2"}, 200, body),
        ({"Range": "bytes=0-1,3-4"}, 200, body),
        ({"Range": "nonsense"}, 200, body),
        ({"Range": "bytes=0-0", "If_Range": tag}, 206, body[:1]),
        ({"Range": "bytes=0-0", "If_Range": '"old"'}, 200, body),
        ({"Range": "bytes=0-0", "If_Range": date}, 206, body[:1]),
        ({"Range": "bytes=0-0", "If_Range": later}, 200, body),
        ({"If_None_Match": tag}, 304, b""),
        ({"If_None_Match": '"old"', "If_Modified_Since": date}, 200, body),
        ({"If_Modified_Since": date}, 304, b""),
        ({"If_Modified_Since": "nonsense"}, 200, body),
        ({"If_Match": '"old"'}, 412, None),
        ({"If_Unmodified_Since": "Fri, 14 Jul 2017 02:39:59 GMT"}, 412, None),
    ):
        found = drive.ask("GET", path, **headers)
        assert found[0] == status and (expected is None or found[2] == expected), headers
        if status == 206:
            assert re.fullmatch(r"bytes \d+-\d+/512000", found[1]["content-range"])
    assert drive.ask("GET", path, Range="bytes=512000-")[1]["content-range"] == "bytes */512000"


def test_a_condition_that_does_not_hold_changes_nothing(drive: Served, folder: str) -> None:
    path = f"{folder}/x"
    tag = drive.ask("PUT", path, b"one")[1]["etag"]
    for method, headers in (
        ("PUT", {"If_Match": '"old"'}), ("PUT", {"If_None_Match": "*"}), ("PUT", {"If": '(["old"])'}),
        ("PUT", {"If": "(<urn:uuid:none>)"}), ("DELETE", {"If_Match": '"old"'}), ("MOVE", {"If_Match": '"old"'}),
        ("PUT", {"If_Unmodified_Since": "Fri, 14 Jul 2017 02:39:59 GMT"}), ("PROPPATCH", {"If_Match": '"old"'}),
        ("PUT", {"If": f'<{folder}/absent> (["1"])'}), ("COPY", {"Overwrite": "F", "Destination": f"{folder}/y"}),
    ):  # fmt: skip
        drive.ask("PUT", f"{folder}/y", b"other")
        headers = {"Destination": f"{folder}/z", **headers}
        assert drive.ask(method, path, BODIES.get(method, b"two"), **headers)[0] == 412, (method, headers)
    assert drive.ask("PUT", path, b"two", If="(")[0] == 400
    assert drive.ask("PUT", f"{folder}/new", b"x", If_Match="*")[0] == 412
    assert drive.ask("GET", path)[2] == b"one"
    assert drive.ask("PUT", path, b"two", If_Match=tag)[0] == 204
    assert (
        drive.ask("PUT", path, b"three", If=f'<{drive.url}{path}> (["{etag(drive, path).strip(chr(34))}"])')[
            0
        ]
        == 204
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Range": "bytes 0-2/3"}, 400), ({"OC_Checksum": "SHA1:" + "0" * 40}, 400), ({"OC_Total_Length": "4"}, 400),
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
    with socket.create_connection(("127.0.0.1", drive.port), 10) as line:
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
        ("LOCK", BOMB, 400), ("LOCK", b"<lockinfo xmlns='DAV:'/>", 400), ("PROPPATCH", b"", 400), ("MKCOL", b"<a/>", 415),
        ("PROPFIND", b"<propfind xmlns='DAV:'><prop>" + b"<a/>" * 600 + b"</prop></propfind>", 400),
        ("PROPFIND", b"<a>" * 80_000, 400),
    ],
)  # fmt: skip
def test_hostile_xml_is_refused(drive: Served, folder: str, method: str, body: bytes, status: int) -> None:
    path = f"{folder}/new" if method == "MKCOL" else folder
    assert drive.ask(method, path, body)[0] == status


def test_a_listing_of_everything_is_refused_as_rfc_4918_says(drive: Served, folder: str) -> None:
    status, _, answer = drive.ask("PROPFIND", folder, SYNC, Depth="infinity")
    assert (status, b"<d:propfind-finite-depth/>" in answer) == (403, True)
    assert drive.ask("PROPFIND", folder, SYNC, Depth="2")[0] == 400


def test_properties_stay_with_a_file_and_protected_ones_are_refused_as_a_whole(
    drive: Served, folder: str
) -> None:
    path = f"{folder}/x"
    drive.ask("PUT", path, b"x")
    assert drive.ask("PROPPATCH", path, BODIES["PROPPATCH"])[0] == 207
    mixed = (
        b'<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:getetag>no</d:getetag><y xmlns="u:">2</y></d:prop></d:set>'
        b"</d:propertyupdate>"
    )
    status, _, answer = drive.ask("PROPPATCH", path, mixed)
    assert (status, b"403 Forbidden" in answer, b"424 Failed Dependency" in answer) == (207, True, True)
    assert drive.ask("MOVE", path, Destination=f"{folder}/z")[0] == 201
    wish = b'<propfind xmlns="DAV:"><prop><x xmlns="u:"/><y xmlns="u:"/></prop></propfind>'
    found = listing(drive, f"{folder}/z", "0", wish)[f"{folder}/z"]
    assert [one.text for one in found.findall("d:propstat/d:prop/{u:}x", NS)] == ["1"]
    assert found.findtext("d:propstat[2]/d:status", namespaces=NS) == "HTTP/1.1 404 Not Found"
    large = BODIES["PROPPATCH"].replace(b">1<", b">" + b"1" * 70_000 + b"<")
    assert drive.ask("PROPPATCH", f"{folder}/z", large)[0] == 507
    mtime = (
        b'<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:lastmodified>1500000000</d:lastmodified></d:prop></d:set>'
        b"</d:propertyupdate>"
    )
    assert drive.ask("PROPPATCH", f"{folder}/z", mtime)[0] == 207
    assert drive.ask("HEAD", f"{folder}/z")[1]["last-modified"] == "Fri, 14 Jul 2017 02:40:00 GMT"


def test_a_lock_keeps_others_out_and_whoever_shows_it_in(drive: Served, folder: str) -> None:
    status, headers, answer = drive.ask(
        "LOCK", folder, BODIES["LOCK"], Depth="infinity", Timeout="Second-100, Infinite"
    )
    token = headers["lock-token"]
    assert (status, b"Second-100" in answer, f"<d:href>{folder}/</d:href>".encode() in answer) == (
        200,
        True,
        True,
    )
    for method, path in (("PUT", "x"), ("MKCOL", "d"), ("DELETE", ""), ("PROPPATCH", "")):
        found = drive.ask(method, f"{folder}/{path}", BODIES.get(method, b""))
        assert (found[0], b"Sabre\\DAV\\Exception\\Locked" in found[2]) == (423, True)
    assert drive.ask("MOVE", folder, Destination=f"{HOME}/elsewhere")[0] == 423
    assert drive.ask("PUT", f"{folder}/x", b"x", If=f"<{folder}> ({token})")[0] == 201
    assert drive.ask("LOCK", f"{folder}/x", BODIES["LOCK"])[0] == 423
    assert drive.ask("LOCK", f"{folder}/x", If=f"({token})", Timeout="Second-5")[0] == 200
    wish = b'<propfind xmlns="DAV:"><prop><lockdiscovery/></prop></propfind>'
    found = listing(drive, folder, "1", wish)
    assert all(
        one.findtext(".//d:locktoken/d:href", namespaces=NS) == token.strip("<>") for one in found.values()
    )
    assert drive.ask("UNLOCK", f"{folder}/x", Lock_Token="<urn:uuid:other>")[0] == 409
    assert drive.ask("UNLOCK", f"{folder}/x")[0] == 400
    assert drive.ask("UNLOCK", f"{folder}/x", Lock_Token=token)[0] == 204
    assert drive.ask("DELETE", folder)[0] == 204


def test_a_lock_stays_behind_when_its_file_moves(drive: Served, folder: str) -> None:
    drive.ask("PUT", f"{folder}/x", b"x")
    token = drive.ask("LOCK", f"{folder}/x", BODIES["LOCK"])[1]["lock-token"]
    assert drive.ask("MOVE", f"{folder}/x", Destination=f"{folder}/y")[0] == 423
    assert drive.ask("MOVE", f"{folder}/x", Destination=f"{folder}/y", If=f"({token})")[0] == 201
    assert drive.ask("PUT", f"{folder}/y", b"free")[0] == 204


def test_a_long_listing_comes_whole(drive: Served, folder: str) -> None:
    database = SqliteDatabase(drive.directory / "drive" / A / "metadata.db", pool := ThreadPoolExecutor(1))
    name = folder.rpartition("/")[2]

    def fill(writing: tree.Writing) -> None:
        home = look.root(writing, schema.HOME + "per_alice")
        assert home is not None
        inside = look.child(writing, home.id, name)
        assert inside is not None
        act = tree.Act("per_alice", "app_alice", 1_800_000_000)
        for number in range(3000):
            tree.put(writing, act, inside.id, f"{number:05}.txt", tree.EMPTY)

    database.write(fill)
    database.close()
    pool.shutdown()
    found = listing(drive, folder)
    assert len(found) == 3001 and list(found)[0] == f"{folder}/"
    assert {value(one, "d:getcontentlength") for one in list(found.values())[1:]} == {"0"}


def test_what_does_not_fit_is_refused_before_it_is_sent(drive: Served) -> None:
    """``bruno`` alone is of this commune; its room is 1000 bytes."""
    from tests.drive_server import B

    home = "/remote.php/dav/files/bruno"
    assert drive.ask("MKCOL", f"{home}/a", login="bruno")[0] == 201
    database = SqliteDatabase(drive.directory / "drive" / B / "metadata.db", pool := ThreadPoolExecutor(1))
    database.write(lambda w: tree.set_limit(w, 0, 1000))
    database.close()
    pool.shutdown()
    status, _, answer = drive.ask("PUT", f"{home}/a/x", b"x" * 1001, "bruno")
    assert (status, "Il n’y a plus de place" in answer.decode()) == (507, True)
    assert drive.ask("PUT", f"{home}/a/x", b"x" * 600, "bruno")[0] == 201
    assert drive.ask("PUT", f"{home}/a/x", b"x" * 900, "bruno")[0] == 204
    assert drive.ask("COPY", f"{home}/a/x", login="bruno", Destination=f"{home}/y")[0] == 507
    found = listing(drive, home, "0", login="bruno")[f"{home}/"]
    assert value(found, "d:quota-used-bytes") == "900"
    chunked = iter([b"x" * 600, b"x" * 600])
    status, _, _ = drive.ask("PUT", f"{home}/a/z", chunked, "bruno")  # type: ignore[arg-type]
    assert status == 507


def test_methods_that_mean_nothing_are_refused(drive: Served, folder: str) -> None:
    assert drive.ask("PATCH", folder)[0] == 501
    assert drive.ask("PUT", folder, b"x")[0] == 405
    assert drive.ask("MKCOL", folder)[0] == 405
    assert drive.ask("MKCOL", f"{folder}/no/x")[0] == 409
    assert drive.ask("PUT", f"{folder}/no/x", b"x")[0] == 409
    assert drive.ask("DELETE", f"{folder}/no")[0] == 404
    assert drive.ask("DELETE", folder, Depth="0")[0] == 400
    for path in (HOME, f"{HOME}/Commune"):
        assert drive.ask("DELETE", path)[0] == 403
        assert drive.ask("MOVE", path, Destination=f"{HOME}/x")[0] == 403
    assert drive.ask("GET", "/elsewhere")[0] == 404
    status, headers, _ = drive.ask("OPTIONS", folder)
    assert (status, headers["dav"], headers["ms-author-via"]) == (200, "1, 2, 3", "DAV")
    assert drive.ask("GET", "/.well-known/webdav")[1]["location"] == "/dav/"


WINDOWS = {"User_Agent": "Microsoft-WebDAV-MiniRedir/10.0.22631", "Translate": "f"}
MAC = {"User_Agent": "WebDAVFS/3.0.0 (03008000) Darwin/24.0.0 (arm64)"}


def test_what_the_explorer_of_windows_does_when_a_file_is_dropped(drive: Served, folder: str) -> None:
    path = folder.replace(HOME, "/dav")
    assert drive.ask("OPTIONS", path, **WINDOWS)[1]["ms-author-via"] == "DAV"
    assert drive.ask("PROPFIND", path, Depth="0", **WINDOWS)[0] == 207
    assert drive.ask("PROPFIND", f"{path}/a.docx", Depth="0", **WINDOWS)[0] == 404
    assert drive.ask("PUT", f"{path}/a.docx", b"", **WINDOWS)[0] == 201
    owner = BODIES["LOCK"].replace(
        b"</lockinfo>", b"<owner><href>MAIRIE\\secretaire</href></owner></lockinfo>"
    )
    status, headers, answer = drive.ask("LOCK", f"{path}/a.docx", owner, Timeout="Second-3600", **WINDOWS)
    assert (status, b"secretaire" in answer) == (200, True)
    token = headers["lock-token"]
    times = (
        b'<D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><D:set><D:prop>'
        b"<Z:Win32LastModifiedTime>Fri, 14 Jul 2017 02:40:00 GMT</Z:Win32LastModifiedTime>"
        b"<Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>"
    )
    assert drive.ask("PROPPATCH", f"{path}/a.docx", times, If=f"({token})", **WINDOWS)[0] == 207
    assert drive.ask("HEAD", f"{path}/a.docx", **WINDOWS)[0] == 200
    assert drive.ask("PUT", f"{path}/a.docx", b"content", If=f"({token})", **WINDOWS)[0] == 204
    assert drive.ask("PROPPATCH", f"{path}/a.docx", times, If=f"({token})", **WINDOWS)[0] == 207
    assert drive.ask("UNLOCK", f"{path}/a.docx", Lock_Token=token, **WINDOWS)[0] == 204
    found = drive.ask("GET", f"{path}/a.docx", **WINDOWS)
    assert (found[2], found[1]["last-modified"]) == (b"content", "Fri, 14 Jul 2017 02:40:00 GMT")


def test_what_the_finder_of_macos_does_when_a_file_is_dropped(drive: Served, folder: str) -> None:
    path = folder.replace(HOME, "/dav")
    assert "2" in drive.ask("OPTIONS", path, **MAC)[1]["dav"]
    for name in ("a.pdf", "._a.pdf"):
        assert drive.ask("PROPFIND", f"{path}/{name}", Depth="0", **MAC)[0] == 404
        assert drive.ask("PUT", f"{path}/{name}", b"", **MAC)[0] == 201
        token = drive.ask("LOCK", f"{path}/{name}", BODIES["LOCK"], Depth="0", Timeout="Second-600", **MAC)[
            1
        ]["lock-token"]
        body = name.encode() * 9000
        pieces = iter([body[:5000], body[5000:]])
        expected = str(len(body))
        status = drive.ask(
            "PUT", f"{path}/{name}", pieces, If=f"({token})", X_Expected_Entity_Length=expected, **MAC
        )  # type: ignore[arg-type]
        assert status[0] == 204
        assert drive.ask("LOCK", f"{path}/{name}", If=f"({token})", Timeout="Second-600", **MAC)[0] == 200
        assert drive.ask("UNLOCK", f"{path}/{name}", Lock_Token=token, **MAC)[0] == 204
        assert drive.ask("GET", f"{path}/{name}", **MAC)[2] == body
    assert drive.ask("DELETE", f"{path}/._a.pdf", **MAC)[0] == 204


def test_no_name_and_no_content_is_in_the_log(drive: Served, folder: str) -> None:
    drive.ask("PUT", f"{folder}/{'nom-secret'}", b"contenu-secret")
    drive.ask("PUT", f"{folder}/{'n' * 300}nom-secret", b"contenu-secret")
    assert "secret" not in drive.log and "Traceback" not in drive.log
