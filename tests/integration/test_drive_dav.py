"""WebDAV of the drive by HTTP: the real application and store under the real server, request by request."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from beffroi.drive.store import look, schema, tree
from beffroi.drive.store.model import EMPTY, Act
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.drive.store.writing import Writing
from beffroi.drive.web.dav.call import ON_FOLDERS

from tests.drive_asking import BODIES, HOME, NS, etag, listing, value
from tests.drive_server import A, Served, basic
from tests.fixtures_drive import noise

pytest_plugins = ["tests.fixtures_drive_dav"]


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
    assert sorted(found[1:]) == sorted(f"{folder}/{quote(name, safe="'+")}" for name in names)
    for href in found[1:]:
        assert drive.ask("GET", href)[2] == b"x"


def test_every_folder_above_a_change_has_a_new_etag(drive: Served, folder: str) -> None:
    assert drive.ask("MKCOL", f"{folder}/a")[0] == 201
    before = [etag(drive, path) for path in (HOME, folder, f"{folder}/a")]
    assert drive.ask("PUT", f"{folder}/a/x", b"1")[0] == 201
    after = [etag(drive, path) for path in (HOME, folder, f"{folder}/a")]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_the_root_shows_the_commune_and_says_who_may_what(drive: Served) -> None:
    for login, permissions in (("alice", "GCK"), ("elise", "G")):
        found = listing(drive, f"/remote.php/dav/files/{login}", login=login)
        common = found[f"/remote.php/dav/files/{login}/Commune/"]
        assert (value(common, "oc:permissions"), value(common, "nc:is-mount-root")) == (permissions, "true")
        root = found[f"/remote.php/dav/files/{login}/"]
        assert value(root, "oc:data-fingerprint") is not None
        assert (value(root, "oc:permissions"), value(root, "d:quota-available-bytes")) == ("GCK", "-3")
    explorer = next(iter(listing(drive, "/dav", "0").values()))
    assert value(explorer, "d:quota-used-bytes") is not None
    statuses = [one.findtext("d:status", namespaces=NS) for one in explorer.findall("d:propstat", NS)]
    assert statuses == ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]


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
        ({"If_Match": '"old"', "If_None_Match": tag}, 412, None),
        ({"If_Match": tag, "If_None_Match": tag}, 304, b""),
        ({"If_Unmodified_Since": "Fri, 14 Jul 2017 02:39:59 GMT"}, 412, None),
    ):
        found = drive.ask("GET", path, **headers)
        assert found[0] == status and (expected is None or found[2] == expected), headers
        if status == 206:
            assert re.fullmatch(r"bytes \d+-\d+/512000", found[1]["content-range"])
    assert drive.ask("GET", path, Range="bytes=512000-")[1]["content-range"] == "bytes */512000"


def test_who_reads_a_large_file_slowly_gets_its_bytes_and_no_later_ones(drive: Served, folder: str) -> None:
    body = noise(90 << 20)
    assert drive.ask("PUT", f"{folder}/film.mp4", body)[0] == 201
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        line.connect(("127.0.0.1", drive.port))
        login = "".join(f"{name}: {value}\r\n" for name, value in basic("alice").items())
        line.sendall(f"GET {folder}/film.mp4 HTTP/1.1\r\nHost: localhost\r\n{login}\r\n".encode())
        with line.makefile("rb") as answer:
            while answer.readline() != b"\r\n":
                pass
            for first in range(0, len(body), 9 << 20):
                time.sleep(0.05)  # meanwhile all is opened ahead that there is memory for
                assert answer.read(min(9 << 20, len(body) - first)) == body[first : first + (9 << 20)]


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
        sent = {"Destination": f"{folder}/z", **headers}
        assert drive.ask(method, path, BODIES.get(method, b"two"), **sent)[0] == 412, (method, sent)
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
        assert f"<d:lock-token-submitted><d:href>{folder}/</d:href>".encode() in found[2]
    assert drive.ask("MOVE", folder, Destination=f"{HOME}/elsewhere")[0] == 423
    assert drive.ask("PUT", f"{folder}/x", b"x", If=f"<{folder}> ({token})")[0] == 201
    status, _, answer = drive.ask("LOCK", f"{folder}/x", BODIES["LOCK"])
    assert (status, f"<d:no-conflicting-lock><d:href>{folder}/</d:href>".encode() in answer) == (423, True)
    assert drive.ask("LOCK", f"{folder}/x", If=f"({token})", Timeout="Second-5")[0] == 200
    wish = b'<propfind xmlns="DAV:"><prop><lockdiscovery/></prop></propfind>'
    listed = listing(drive, folder, "1", wish)
    assert all(
        one.findtext(".//d:locktoken/d:href", namespaces=NS) == token.strip("<>") for one in listed.values()
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

    def fill(writing: Writing) -> None:
        home = look.root(writing, schema.HOME + "per_alice")
        assert home is not None
        inside = look.child(writing, home.id, name)
        assert inside is not None
        act = Act("per_alice", "app_alice", 1_800_000_000)
        for number in range(3000):
            tree.put(writing, act, inside.id, f"{number:05}.txt", EMPTY)

    database.write(fill)
    database.close()
    pool.shutdown()
    found = listing(drive, folder)
    assert len(found) == 3001 and next(iter(found)) == f"{folder}/"
    assert {value(one, "d:getcontentlength") for one in list(found.values())[1:]} == {"0"}


def test_methods_that_mean_nothing_are_refused(drive: Served, folder: str) -> None:
    status, _, said = drive.ask("PATCH", folder)
    assert status == 501 and "Ce que demande ce logiciel n’existe pas" in said.decode()
    for method in ("PUT", "MKCOL"):
        status, headers, _ = drive.ask(method, folder, b"x" if method == "PUT" else b"")
        assert status == 405 and headers["allow"] == ", ".join(ON_FOLDERS)
    drive.ask("PUT", f"{folder}/x", b"x")
    assert drive.ask("MKCOL", f"{folder}/x")[1]["allow"] == ", ".join((*ON_FOLDERS, "PUT"))
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
        )
        assert status[0] == 204
        assert drive.ask("LOCK", f"{path}/{name}", If=f"({token})", Timeout="Second-600", **MAC)[0] == 200
        assert drive.ask("UNLOCK", f"{path}/{name}", Lock_Token=token, **MAC)[0] == 204
        assert drive.ask("GET", f"{path}/{name}", **MAC)[2] == body
    assert drive.ask("DELETE", f"{path}/._a.pdf", **MAC)[0] == 204


def test_no_name_and_no_content_is_in_the_log(drive: Served, folder: str) -> None:
    drive.ask("PUT", f"{folder}/{'nom-secret'}", b"contenu-secret")
    drive.ask("PUT", f"{folder}/{'n' * 300}nom-secret", b"contenu-secret")
    assert "secret" not in drive.log and "Traceback" not in drive.log
