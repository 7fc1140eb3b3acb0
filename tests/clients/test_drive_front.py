"""The process ``drive`` behind the real front door: app passwords, long bodies, heads that do not come."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from beffroi.core.planes.tokens import make_grant
from beffroi.drive import projections
from beffroi.drive.store.drops import MAX_MESSAGE_CHARS, MAX_SENDER_CHARS
from beffroi.drive.store.shares import LinkClosed
from beffroi.drive.web import granted
from beffroi.lib import asgi, ids
from beffroi.lib.config import Config
from beffroi.supervise import front

from tests import front_planes
from tests.drive_dropping import packed
from tests.mail_post import Engines
from tests.waiting import PATIENCE_S, until
from tests.websocket import Closed, WebSocket

TOO_LONG = (Closed, ConnectionError, ssl.SSLError)
"""The connection ends, with or without a last word."""
pytestmark = [pytest.mark.root, pytest.mark.slow]

LONG_BYTES = 40 * 1024 * 1024
"""More than any page may send."""


@dataclass
class Door:
    engines: Engines
    app_password_id: str = ""
    password: str = ""
    person_id: str = ""
    collectivite_id: str = ""

    @property
    def config(self) -> Config:
        return self.engines.config

    def sign_up(self) -> None:
        self.app_password_id, self.password = ids.new_id("apw"), secrets.token_hex(16)
        self.person_id, self.collectivite_id = ids.new_id("per"), ids.new_id("col")
        row = projections.Row(
            sha256=hashlib.sha256(self.password.encode()).hexdigest(),
            app_password_id=self.app_password_id,
            person_id=self.person_id,
            membership_id=ids.new_id("mem"),
            collectivite_id=self.collectivite_id,
            role="agent",
            login="alice@beaune.test",
            display_name="Alice",
        )
        projections.put(self.config, [row.app_password_id], lambda ids: [row])

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.config.state / "tls" / "ca.pem"))

    def ask(
        self, method: str, path: str, body: object = None, password: str = "", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        line = http.client.HTTPSConnection(
            "localhost", self.config.portal_port, timeout=PATIENCE_S, context=self.context()
        )
        with contextlib.closing(line):
            token = b64encode(f"alice@beaune.test:{password or self.password}".encode()).decode()
            line.request(method, path, body, {"Authorization": f"Basic {token}", **headers})  # type: ignore[arg-type]
            answer = line.getresponse()
            return answer.status, answer.headers, answer.read()


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with front_planes.running("bffd-", 23820, {}, "drive") as engines:
        argv = ("haproxy", "-db", "-f", str(front.config_path(engines.config)))
        with (engines.config.log / "front.out").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log)
        found = Door(engines)
        try:
            found.sign_up()
            until(lambda: _answers(found, process), "the front door opens")
            yield found
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _answers(door: Door, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    with contextlib.suppress(OSError):
        return door.ask("OPTIONS", "/dav/")[0] == 200
    return False


def test_who_waits_before_a_body_and_is_refused_asks_next_on_another_connection(door: Door) -> None:
    """What it asked next on this one would be taken for the body, and wait for its end."""
    waits = {"Expect": "100-continue", "Content-Length": "5"}
    status, headers, _ = door.ask("PUT", "/dav/no/such/x.txt", **waits)
    assert status == 409 and headers["connection"] == "close"
    status, headers, _ = door.ask("PUT", "/dav/x.txt", password="wrong", **waits)
    assert status == 401 and headers["connection"] == "close"
    assert "connection" not in door.ask("PUT", "/dav/no/such/x.txt", b"12345")[1]


@pytest.mark.parametrize("other", ["TLS/1.2", "websocket"])
def test_a_file_arrives_whatever_else_its_client_would_rather_speak(door: Door, other: str) -> None:
    """It was refused, or waited for half an hour."""
    wish = {"Connection": "Upgrade", "Upgrade": other}
    wish |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    name = f"/dav/{secrets.token_hex(4)}.txt"
    assert door.ask("PUT", name, b"abc", **wish)[0] == 201
    assert door.ask("GET", name, **wish)[2] == b"abc"


def test_a_long_file_passes_the_front_both_ways(door: Door) -> None:
    body = secrets.token_bytes(LONG_BYTES)
    assert door.ask("PUT", "/remote.php/webdav/long.bin", body)[0] == 201
    pieces = (body[at : at + 1_000_000] for at in range(0, len(body), 1_000_000))
    assert door.ask("PUT", "/remote.php/webdav/pieces.bin", pieces)[0] == 201
    for name in ("long", "pieces"):
        assert (
            hashlib.sha256(door.ask("GET", f"/dav/{name}.bin")[2]).digest() == hashlib.sha256(body).digest()
        )
    assert door.ask("PUT", "/remote.php/dav/files/alice@beaune.test/x", b"x")[0] == 201
    assert door.ask("PUT", "/remote.php/dav/files/Alice%40Beaune.test/x", b"y")[0] == 204
    assert door.ask("POST", "/courrier/", body)[0] == 413  # no page takes as much


def test_paths_of_files_and_of_pages_do_not_meet(door: Door) -> None:
    assert door.ask("GET", "/.well-known/webdav")[1]["location"] == "/dav/"
    for path in ("/status.php", "/ocs/v2.php/x", "/index.php/apps/x", "/index.php/204", "/public.php/dav/x"):
        # Whatever answers there, it is the process drive.
        assert "web.sock" not in str(door.ask("GET", path)[1]) and door.ask("GET", path)[0] in (
            200,
            204,
            404,
            405,
        )
    for path in ("/index.php/other", "/index.php/login/v2"):
        assert door.ask("GET", path)[0] == 503  # that is web's, which does not run here


def test_windows_finds_webdav_from_the_root_before_it_connects_a_drive(door: Door) -> None:
    """It asks there as *DavClnt*, and then for the folder by its other name; without it, it ends with 0x80070043."""
    for agent in ("DavClnt", "Microsoft-WebDAV-MiniRedir/10.0.22631"):
        status, headers, _ = door.ask("OPTIONS", "/", **{"User-Agent": agent})
        assert (status, headers["location"]) == (302, "/dav/")
    status, headers, _ = door.ask("OPTIONS", headers["location"], **{"User-Agent": "DavClnt"})
    assert (status, headers["dav"], headers["ms-author-via"]) == (200, "1, 2, 3", "DAV")
    for method, path, agent in (
        ("OPTIONS", "/", "Mozilla/5.0 DavClnt"),
        ("GET", "/", "DavClnt"),
        ("OPTIONS", "/aide/", "DavClnt"),
    ):
        assert door.ask(method, path, **{"User-Agent": agent})[0] == 503, "web's, which does not run here"


def test_a_sync_client_sends_and_hears_through_the_front(door: Door, tmp_path: Path) -> None:
    capabilities = json.loads(door.ask("GET", "/ocs/v2.php/cloud/capabilities?format=json")[2])["ocs"]["data"]
    told_to = capabilities["capabilities"]["notify_push"]["endpoints"]["websocket"]
    assert told_to == f"wss://localhost:{door.config.portal_port}/push/ws"
    with WebSocket(door.config.portal_port, "/push/ws", door.context()) as line:
        line.send("alice@beaune.test")
        line.send(door.password)
        assert line.hear() == "authenticated"
        files = tmp_path / "files"
        files.mkdir()
        (files / "lettre d’été.txt").write_text("bonjour")
        own = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
        sign_in = ("--user", "alice@beaune.test", "--password", door.password)
        address = f"https://localhost:{door.config.portal_port}"
        done = subprocess.run(
            ("nextcloudcmd", "--non-interactive", "--trust", *sign_in, str(files), address),
            check=False,
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert line.hear() == "notify_file"
    assert door.ask("GET", "/dav/lettre%20d%E2%80%99%C3%A9t%C3%A9.txt")[2] == b"bonjour"


def test_a_client_goes_on_after_the_drive_was_told_to_end_in_the_middle_of_its_sync(
    door: Door, tmp_path: Path
) -> None:
    """As at each update. What was acknowledged stays, and is not sent again."""
    files = tmp_path / "files"
    (files / "lot").mkdir(parents=True)
    sums = {}
    for number in range(150):
        data = secrets.token_bytes(3000)
        (files / f"lot/{number:03d}.txt").write_bytes(data)
        sums[f"/dav/lot/{number:03d}.txt"] = hashlib.sha256(data).digest()
    data = secrets.token_bytes(12 << 20)
    (files / "plan.dwg").write_bytes(data)
    sums["/dav/plan.dwg"] = hashlib.sha256(data).digest()
    sizes = ("OWNCLOUD_CHUNK_SIZE", "OWNCLOUD_MIN_CHUNK_SIZE", "OWNCLOUD_MAX_CHUNK_SIZE")
    own = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
    own |= dict.fromkeys(sizes, str(1 << 20))
    sign_in = ("--user", "alice@beaune.test", "--password", door.password)
    address = f"https://localhost:{door.config.portal_port}"
    command = ("nextcloudcmd", "--non-interactive", "--trust", "--logdebug", *sign_in)

    def begun(log: Path, *options: str) -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen(
                (*command, *options, str(files), address),
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def sent(said: str) -> set[str]:
        return set(re.findall(r'PUT of "([^"]+)" FINISHED WITH STATUS "OK"', said))

    metadata = door.config.state / "drive" / door.collectivite_id / "metadata.db"

    def has(table: str, least: int) -> bool:
        with contextlib.closing(sqlite3.connect(metadata, timeout=20)) as database:
            return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]) >= least

    door.ask("PROPFIND", "/dav/")
    running = begun(tmp_path / "first.log", "--uplimit", "2000", "--max-sync-retries", "0")
    try:
        until(lambda: has("part", 2), "two parts of the large file")
        drive = door.engines.running["drive"]
        drive.send_signal(signal.SIGTERM)
        running.wait(300)
    finally:
        running.kill()
        running.wait()
    assert drive.wait(60) == 0
    door.engines.running.pop("drive")
    door.engines.start("drive")
    first, second = tmp_path / "first.log", tmp_path / "second.log"

    def is_done() -> bool:
        """What was under way as the drive ended waits some seconds."""
        return begun(second).wait(300) == 0

    until(is_done, "all was sent")
    said = first.read_text()
    refused = set(re.findall(r'PUT of "([^"]+)" FINISHED WITH STATUS "ServiceUnavailableError', said))
    assert len(refused) < 20, "the round ends; what is left is not tried in vain, and then kept waiting"
    assert len(sent(said)) >= 2 and not sent(said) & sent(second.read_text())
    for path, digest in sums.items():
        assert hashlib.sha256(door.ask("GET", path)[2]).digest() == digest, path


def test_what_is_under_way_as_the_drive_ends_is_answered_as_while_it_is_away(door: Door) -> None:
    """By a 502 a sync client would ask for each file that is left."""
    line = http.client.HTTPSConnection(
        "localhost", door.config.portal_port, timeout=PATIENCE_S, context=door.context()
    )
    with contextlib.closing(line):
        token = b64encode(f"alice@beaune.test:{door.password}".encode()).decode()
        line.putrequest("PUT", "/dav/under-way.txt")
        for name, value in (("Authorization", f"Basic {token}"), ("Content-Length", "9")):
            line.putheader(name, value)
        line.putheader("Expect", "100-continue")
        line.endheaders()
        assert line.sock.recv(100).startswith(b"HTTP/1.1 100"), "it waits for the body"
        door.engines.kill("drive")
        answer = line.getresponse()
        under_way = (
            answer.status,
            answer.headers["retry-after"],
            answer.headers["content-type"],
            answer.read(),
        )
    status, headers, body = door.ask("GET", "/dav/")
    away = (status, headers["retry-after"], headers["content-type"], body)
    door.engines.start("drive")
    assert status == 503 and b"ServiceUnavailable" in body
    assert under_way == away


def test_who_did_not_sign_in_fills_no_memory_by_a_websocket(door: Door) -> None:
    """A server keeps what comes of one message until it is whole: of a long one ours takes nothing."""
    with WebSocket(door.config.portal_port, "/push/ws", door.context()) as line, pytest.raises(TOO_LONG):
        line.begin(bytes(15 * 1024 * 1024), timeout_s=30)
        line.hear()
    with WebSocket(door.config.portal_port, "/push/ws", door.context()) as line, pytest.raises(TOO_LONG):
        line.begin(bytes(asgi.LINE_BYTES + 1), timeout_s=30)
        line.hear()
    with WebSocket(door.config.portal_port, "/push/ws", door.context()) as line:
        line.send("alice@beaune.test")
        line.send(door.password)
        assert line.hear() == "authenticated"


def test_of_the_holder_of_a_link_the_grant_of_the_link_alone_passes(door: Door) -> None:
    share, collectivite = ids.new_id("shr"), ids.new_id("col")
    key = door.config.secret("drive-grant.key")

    def refused(name: str, path: str) -> str:
        text = make_grant(key, subject_id=share, collectivite_id=collectivite, paths=(path,))
        answer = door.ask("GET", f"{granted.LINK_PATH}/{share}/zip", Cookie=f"x=y; {name}={text}")
        assert answer[0] == 303
        return answer[1]["location"].partition("=")[2]

    # Read, and there is no such share.
    assert refused(granted.LINK_COOKIE, granted.LINK_PATH) == "drive.link_closed"
    assert refused(granted.COOKIES[granted.OUT_PATH], granted.LINK_PATH) == "live.grant_refused"
    assert refused(granted.LINK_COOKIE, granted.OUT_PATH) == "live.grant_refused"
    assert door.ask("GET", "/partage/x/y/")[0] == 503  # that is web's, which does not run here


def test_bytes_of_the_portal_pass_by_the_grant_of_their_path_alone(door: Door) -> None:
    def grant(path: str) -> str:
        text = make_grant(
            door.config.secret("drive-grant.key"),
            subject_id=door.person_id,
            collectivite_id=door.collectivite_id,
            paths=(path,),
            role="agent",
        )
        return f"{granted.COOKIES[path]}={text}"

    wish = b'<d:propfind xmlns:d="DAV:" xmlns:o="http://owncloud.org/ns"><d:prop><o:fileid/></d:prop></d:propfind>'
    home = re.search(rb"fileid>(\d+)<", door.ask("PROPFIND", "/remote.php/webdav/", wish, Depth="0")[2])
    assert home is not None
    own = f"https://localhost:{door.config.portal_port}"
    sent = {
        "X-Beffroi-File": quote(
            json.dumps({"folder": int(home[1]), "name": "été.bin", "size_bytes": 5 << 20})
        ),
        "Origin": own,
    }
    body = secrets.token_bytes(5 << 20)
    cookies = f"beffroi_session=x; {grant(granted.OUT_PATH)}; other=y"
    assert door.ask("POST", "/coffre/envoi/fichier", body, Cookie=cookies, **sent)[0] == 403
    cookies += f"; {grant(granted.IN_PATH)}"
    status, _, answer = door.ask("POST", "/coffre/envoi/fichier", body, Cookie=cookies, **sent)
    assert status == 201
    node = json.loads(answer)["node"]
    assert door.ask("GET", f"/coffre/octets/{node}", Cookie=cookies)[2] == body
    assert door.ask("GET", f"/coffre/octets/{node}", Cookie=grant(granted.IN_PATH))[0] == 303
    sent["Origin"] = "https://localhost.example"
    assert door.ask("POST", "/coffre/envoi/fichier", body, Cookie=cookies, **sent)[0] == 403
    assert door.ask("GET", "/coffre/")[0] == 503  # that is web's, which does not run here


def test_a_sender_s_long_message_passes_in_any_script(door: Door) -> None:
    """Percent-encoded, it would be more than the front takes as a head."""
    told = {
        "name": "图" * 85,
        "size_bytes": 1,
        "sender": "图" * MAX_SENDER_CHARS,
        "message": "图" * MAX_MESSAGE_CHARS,
    }
    grant = make_grant(
        door.config.secret("drive-grant.key"),
        subject_id=f"{ids.new_id('shr')}:x",
        collectivite_id=ids.new_id("col"),
        paths=(granted.DROP_PATH,),
        role="",
    )

    status, _, answer = door.ask(
        "PUT",
        f"{granted.DROP_PATH}/shr_x/fichier",
        b"x",
        Cookie=f"{granted.DROP_COOKIE}={grant}",
        Origin=f"https://localhost:{door.config.portal_port}",
        **{"X-Beffroi-File": packed(told)},
    )
    assert (status, json.loads(answer)["code"]) == (404, LinkClosed.code)


def test_a_revoked_password_is_refused_within_seconds(door: Door) -> None:
    door.sign_up()
    assert door.ask("OPTIONS", "/dav/")[0] == 200
    projections.put(door.config, [door.app_password_id], lambda ids: [])
    until(lambda: door.ask("OPTIONS", "/dav/")[0] == 401, "it is refused")
    door.sign_up()
    assert door.ask("OPTIONS", "/dav/")[0] == 200


def test_wrong_passwords_of_one_address_end_with_429_and_who_is_known_goes_on(door: Door) -> None:
    assert door.ask("OPTIONS", "/dav/")[0] == 200
    status, headers, answer = door.ask("GET", "/dav/", password="wrong")
    assert (status, headers["www-authenticate"]) == (401, 'Basic realm="Beffroi", charset="UTF-8"')
    assert b"NotAuthenticated" in answer
    for _ in range(100):
        status, headers, _ = door.ask("GET", "/dav/", password="wrong")
        if status == 429:
            break
    assert status == 429 and int(headers["retry-after"]) > 0
    assert door.ask("OPTIONS", "/dav/")[0] == 200


def test_headers_that_do_not_come_end_the_connection(door: Door) -> None:
    with (
        socket.create_connection(("localhost", door.config.portal_port), PATIENCE_S) as raw,
        door.context().wrap_socket(raw, server_hostname="localhost") as line,
    ):
        line.sendall(b"PUT /dav/slow HTTP/1.1\r\nHost: localhost\r\n")
        assert b"408" in line.recv(4096)
