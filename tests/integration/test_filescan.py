"""Files are looked at after they came: once a content, by the real scanner and a real clamd; what is found is held."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from beffroi.drive import following
from beffroi.drive.scanning import scanner as scanner_module
from beffroi.drive.scanning import told
from beffroi.drive.scanning.engines import EngineAway, Engines
from beffroi.drive.store import findings
from beffroi.drive.store.writing import Writing
from beffroi.lib.config import Config
from beffroi.scan import kinds

from tests import scan_samples as samples
from tests.drive_server import A, B, Served, drive
from tests.file_scanning import CLAMD, Clamd, Scan, ScanProcess, scan_process, scanning
from tests.fixtures_stream import eventually
from tests.mail_files import packed
from tests.waiting import PATIENCE_S

__all__ = ["drive"]
pytestmark = pytest.mark.slow
HOME = "/remote.php/dav/files/alice"
EICAR_SHA = hashlib.sha256(samples.EICAR).hexdigest()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def process() -> Iterator[ScanProcess]:
    with scan_process() as one:
        yield one


@pytest.fixture
def engines(process: ScanProcess) -> Engines:
    return Engines(Config(state=process.state))


@pytest.fixture
def scan(drive: Served, engines: Engines) -> Iterator[Scan]:
    with scanning(Config(state=drive.directory), engines) as one:
        yield one


def test_malware_is_frozen_where_it_lies_refused_when_it_comes_again_and_told_once(
    drive: Served, scan: Scan
) -> None:
    for name in ("facture.com", "copie.com"):
        assert drive.ask("PUT", f"{HOME}/{name}", samples.EICAR)[0] == 201, "nothing waits for the scan"
    assert drive.ask("PUT", f"{HOME}/lettre.txt", b"Bonjour")[0] == 201
    assert drive.ask("GET", f"{HOME}/facture.com")[0] == 200
    scan.follow(A)
    found = scan.finding(A, EICAR_SHA)
    assert found is not None and (found.code, found.names) == (kinds.MALWARE, "Eicar")
    assert [(owner, one, code, held.files) for owner, one, code, held in scan.told] == [
        (A, EICAR_SHA, kinds.MALWARE, 2)
    ]
    for name in ("facture.com", "copie.com"):
        status, _, body = drive.ask("GET", f"{HOME}/{name}")
        assert status == 403 and "reconnu comme dangereux" in body.decode()
    assert drive.ask("PUT", f"{HOME}/encore.com", samples.EICAR)[0] == 403
    assert drive.ask("GET", f"{HOME}/lettre.txt")[2] == b"Bonjour"
    scan.follow(A)
    assert len(scan.told) == 1
    assert drive.ask("DELETE", f"{HOME}/copie.com")[0] == 204, "it may be deleted"
    assert scan.finding(B, EICAR_SHA) is None, "another collectivité hears nothing of it here"


def test_a_content_is_looked_at_once_whatever_becomes_of_it(
    drive: Served, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    truly = Engines.look

    def counted(self: Engines, data: bytes) -> object:
        looked.append(len(data))
        return truly(self, data)

    monkeypatch.setattr(Engines, "look", counted)
    assert drive.ask("PUT", f"{HOME}/a.txt", b"un texte")[0] == 201
    scan.follow(A)
    drive.ask("PUT", f"{HOME}/b.txt", b"un texte")
    drive.ask("MOVE", f"{HOME}/a.txt", Destination=f"{drive.url}{HOME}/c.txt")
    drive.ask("PUT", f"{HOME}/c.txt", b"")
    scan.follow(A)
    assert looked == [8]
    known = scan.scanned(A, sha(b"un texte"))
    assert known is not None and known.found == () and known.is_whole


def test_a_content_that_was_replaced_before_it_was_looked_at_is_found_among_the_versions(
    drive: Served, scan: Scan
) -> None:
    assert drive.ask("PUT", f"{HOME}/a.com", samples.EICAR)[0] == 201
    assert drive.ask("PUT", f"{HOME}/a.com", b"innocent")[0] == 204
    scan.follow(A)
    assert scan.finding(A, EICAR_SHA) is not None
    assert drive.ask("GET", f"{HOME}/a.com")[2] == b"innocent"


def test_what_members_bring_is_held_for_malware_alone_and_what_is_packed_is_capped(
    drive: Served, scan: Scan
) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(40 * 1024 * 1024))
    inside = packed(a__txt=b"bonjour", eicar__com=samples.EICAR)
    bodies = {"bombe.zip": bomb.getvalue(), "macro.xls": samples.workbook(0, 1), "colis.zip": inside}
    for name, body in bodies.items():
        assert drive.ask("PUT", f"{HOME}/{name}", body)[0] == 201
    scan.follow(A)
    for name in ("bombe.zip", "macro.xls"):
        assert drive.ask("GET", f"{HOME}/{name}")[0] == 200, name
    bombed, macro = scan.scanned(A, sha(bomb.getvalue())), scan.scanned(A, sha(bodies["macro.xls"]))
    assert bombed is not None and kinds.UNREADABLE in bombed.found and not bombed.is_whole
    assert macro is not None and kinds.MACRO in macro.found
    assert drive.ask("GET", f"{HOME}/colis.zip")[0] == 403


def test_newer_rules_lead_to_a_walk_that_freezes_and_frees(
    drive: Served, scan: Scan, process: ScanProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner_module, "WALKS_APART_S", 0)
    body = b"a letter with newsecretsign in it"
    for number in range(20):
        assert drive.ask("PUT", f"{HOME}/{number}.txt", f"texte {number}".encode())[0] == 201
    assert drive.ask("PUT", f"{HOME}/a.txt", body)[0] == 201
    scan.follow(A)
    assert scan.walk(A) >= 1, "the first walk sees that everything was looked at"
    assert scan.walk(A) == 0
    process.rule('rule New { strings: $a = "newsecretsign" condition: $a }')
    scan.follow(A)
    assert drive.ask("GET", f"{HOME}/a.txt")[0] == 200
    assert scan.walk(A) >= 2
    assert drive.ask("GET", f"{HOME}/a.txt")[0] == 403
    assert scan.walk(A) == 0
    process.rule('rule New { strings: $a = "another sign that is nowhere" condition: $a }')
    assert scan.walk(A) >= 2
    assert drive.ask("GET", f"{HOME}/a.txt")[0] == 200, "a rule that was wrong gives its files back"


def test_a_release_holds_against_the_same_rules(drive: Served, scan: Scan) -> None:
    assert drive.ask("PUT", f"{HOME}/a.com", samples.EICAR)[0] == 201
    scan.follow(A)
    database = scan.communes.metadata(A)
    assert database.write(lambda w: findings.ask(w, EICAR_SHA, person_id="per_alice", now_s=5))
    assert not database.write(lambda w: findings.ask(w, EICAR_SHA, person_id="per_amir", now_s=6))
    assert database.write(lambda w: findings.release(w, EICAR_SHA, person_id="per_ref", now_s=7))
    assert drive.ask("GET", f"{HOME}/a.com")[0] == 200
    result = findings.Result(EICAR_SHA, "later rules", {kinds.MALWARE: ["Eicar"]}, True)
    database.write(lambda w: findings.keep(w, [result], now_s=8))
    assert drive.ask("GET", f"{HOME}/a.com")[0] == 200
    other = result._replace(found={findings.VIRUS: ["Other"]})
    database.write(lambda w: findings.keep(w, [other], now_s=9))
    assert drive.ask("GET", f"{HOME}/a.com")[0] == 403, "what is found besides was never released"


def test_a_release_holds_where_less_is_found_later(drive: Served, scan: Scan) -> None:
    """What came by a link was released for its macros; then an engine fails on it, and finds the macros again."""
    assert drive.ask("PUT", f"{HOME}/acte.docm", b"acte")[0] == 201
    database = scan.communes.metadata(A)
    result = findings.Result(sha(b"acte"), "m", {kinds.MACRO: []}, True)

    def handed(writing: Writing) -> None:
        row = writing.one("SELECT id FROM node WHERE sha256 = ?", (result.sha256,))
        assert row is not None
        writing.run("INSERT INTO handed VALUES (?, 'han_x', ?)", (row[0], result.sha256))
        findings.keep(writing, [result], now_s=1)
        findings.release(writing, result.sha256, person_id="per_ref", now_s=2)

    database.write(handed)
    failed = result._replace(found={kinds.UNREADABLE: []}, is_whole=False)
    for one in (failed, result):
        database.write(lambda w, it=one: findings.keep(w, [it], now_s=3))
        assert drive.ask("GET", f"{HOME}/acte.docm")[0] == 200
    more = result._replace(found={kinds.PROGRAM: [], kinds.MACRO: []})
    database.write(lambda w: findings.keep(w, [more], now_s=4))
    assert drive.ask("GET", f"{HOME}/acte.docm")[0] == 403, "what is found besides was never released"


def test_what_is_said_of_contents_that_went_is_forgotten(drive: Served, scan: Scan) -> None:
    drive.ask("PUT", f"{HOME}/a.txt", b"reste")
    scan.follow(A)
    database = scan.communes.metadata(A)
    gone = findings.Result("0" * 64, "m", {kinds.MALWARE: ["X"]}, True)
    database.write(lambda w: findings.keep(w, [gone], now_s=1))
    scan.scanner.forget(A)
    assert scan.scanned(A, "0" * 64) is None and scan.finding(A, "0" * 64) is None
    assert scan.scanned(A, sha(b"reste")) is not None


def test_while_the_scanner_is_away_files_wait_and_are_looked_at_later(drive: Served) -> None:
    with (
        scan_process() as process,
        scanning(Config(state=drive.directory), Engines(Config(state=process.state))) as scan,
    ):
        process.stop()
        assert drive.ask("PUT", f"{HOME}/a.com", samples.EICAR)[0] == 201
        with pytest.raises(EngineAway):
            scan.follow(A)
        assert scan.scanned(A, EICAR_SHA) is None
        process.start()
        scan.follow(A)
        assert scan.finding(A, EICAR_SHA) is not None


@pytest.mark.skipif(CLAMD is None, reason="clamd is not installed")
def test_a_clamd_is_asked_besides_where_one_is_set(drive: Served, process: ScanProcess) -> None:
    with tempfile.TemporaryDirectory(prefix="bfc-") as home:
        clamd = Clamd(Path(home))
        clamd.start()
        config = replace(Config(state=process.state), clamd=clamd.place)
        try:
            with scanning(Config(state=drive.directory), Engines(config)) as scan:
                assert drive.ask("PUT", f"{HOME}/a.bin", Clamd.KNOWN)[0] == 201
                assert drive.ask("PUT", f"{HOME}/b.bin", b"x" * 1_500_000)[0] == 201
                scan.follow(A)
                found = scan.finding(A, sha(Clamd.KNOWN))
                assert found is not None and found.code == findings.VIRUS
                assert found.names == "Beffroi.Test.UNOFFICIAL"
                long = scan.scanned(A, sha(b"x" * 1_500_000))
                assert long is not None and not long.is_whole, "longer than clamd takes"
                clamd.stop()
                assert drive.ask("PUT", f"{HOME}/c.txt", b"plus tard")[0] == 201
                with pytest.raises(EngineAway, match="clamd"):
                    scan.follow(A)
                clamd.start()
                scan.follow(A)
                assert scan.scanned(A, sha(b"plus tard")) is not None
        finally:
            clamd.stop()


@contextlib.contextmanager
def clamd_that_says(answer: Callable[[BinaryIO], bytes]) -> Iterator[str]:
    """The address of one that tells its version. ``answer`` reads a content and gives what it says of it; b"" for one
    that breaks off."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, connection.makefile("rb") as incoming:
                        is_version = incoming.read(9) == b"zVERSION\0"
                        if said := b"ClamAV 1.4.6" if is_version else answer(incoming):
                            connection.sendall(said + b"\0")

        threading.Thread(target=run, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_what_came_by_a_link_and_kills_an_engine_each_time_is_held(drive: Served) -> None:
    """Never "nothing found": a clamd that a file brings down has said nothing of it. Members open theirs."""

    def answer(incoming: BinaryIO) -> bytes:
        return b"stream: OK" if incoming.read(6) == b"\0\0\0\0\1-" else b""

    with clamd_that_says(answer) as address:
        config = Config(state=drive.directory, scan=False, clamd=address)
        with scanning(Config(state=drive.directory), Engines(config)) as scan:
            for name, body in (("a.pdf", b"from outside"), ("b.pdf", b"of a member")):
                assert drive.ask("PUT", f"{HOME}/{name}", body)[0] == 201
            scan.communes.metadata(A).write(
                lambda w: w.run(
                    "INSERT INTO handed (node, handing, sha256) VALUES (1, 'x', ?)", (sha(b"from outside"),)
                )
            )
            for _ in range(2 * scanner_module.TRIES):
                with contextlib.suppress(EngineAway):
                    scan.follow(A)
            for body, status in ((b"from outside", 403), (b"of a member", 200)):
                known = scan.scanned(A, sha(body))
                assert known is not None and not known.is_whole and known.found == (kinds.UNREADABLE,)
                name = "a.pdf" if status == 403 else "b.pdf"
                assert drive.ask("GET", f"{HOME}/{name}")[0] == status


def test_while_a_clamd_fails_on_everything_files_wait(drive: Served) -> None:
    """Its disk is full: it says its version, and of each file that it could not look at it."""
    said = [b"INSTREAM: Can't write to temporary file. ERROR"]

    def answer(incoming: BinaryIO) -> bytes:
        incoming.read(1)
        while length := int.from_bytes(incoming.read(4)):
            incoming.read(length)
        return said[0]

    with clamd_that_says(answer) as address:
        config = Config(state=drive.directory, scan=False, clamd=address)
        with scanning(Config(state=drive.directory), Engines(config)) as scan:
            assert drive.ask("PUT", f"{HOME}/a.pdf", b"content")[0] == 201
            for _ in range(2 * scanner_module.TRIES):
                with pytest.raises(EngineAway, match="clamd"):
                    scan.follow(A)
            assert scan.scanned(A, sha(b"content")) is None
            said[0] = b"stream: OK"
            scan.follow(A)
            known = scan.scanned(A, sha(b"content"))
            assert known is not None and known.is_whole and known.found == ()


def test_the_process(drive: Served, process: ScanProcess, tmp_path: Path) -> None:
    """It finds what came, says how it is, and ends when told. Its state is the drive's, its scanner's socket that of
    another state."""
    (drive.directory / "scan-files").symlink_to(process.state / "scan-files")
    (drive.directory / "beffroi.toml").touch()
    config = Config(state=drive.directory)
    log = (tmp_path / "filescan.log").open("wb")
    heard = list[str]()
    door = following.Follower(following.of_door(config.run), "door", heard.append)
    hears = threading.Thread(target=door.run, args=((),))
    hears.start()
    running = subprocess.Popen(
        [sys.executable, "-m", "beffroi.drive.scanning"],
        env={**os.environ, "BEFFROI_STATE": str(drive.directory)},
        stdout=log,
        stderr=log,
    )
    try:
        eventually(lambda: told.read(config).at_s > 0, "it says that it lives")
        assert told.late(config) == "" and told.problem(config) == ""
        assert drive.ask("PUT", f"{HOME}/a.zip", packed(a__txt=b"a text that is long enough " * 9))[0] == 201
        eventually(lambda: heard == [A], "the door hears that something is in a file")
        assert drive.ask("PUT", f"{HOME}/a.com", samples.EICAR)[0] == 201
        eventually(lambda: drive.ask("GET", f"{HOME}/a.com")[0] == 403, "frozen")
        here = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, running.pid) == min(here + 10, 19)
        process.stop()
        assert drive.ask("PUT", f"{HOME}/b.txt", b"while it is away")[0] == 201
        eventually(lambda: told.read(config).away == "scan", "it says which engine is away")
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE_S) == 0, (tmp_path / "filescan.log").read_text()
    finally:
        door.stop()
        hears.join()
        running.kill()
        running.wait()
        log.close()


def test_status_says_that_an_engine_is_away(tmp_path: Path) -> None:
    config = Config(state=tmp_path)
    (tmp_path / "drive").mkdir()
    assert told.problem(config) == "" and told.late(config), "without a word it is late"
    now_s = int(time.time())
    told.write(config, told.Told(now_s, "clamd", now_s - 300, 4))
    assert "clamd does not answer. 4 collectivités wait" in told.problem(config)
    told.write(config, told.Told(now_s, "clamd", now_s - 5, 4))
    assert told.problem(config) == ""
    told.write(config, told.Told(now_s, "clamd", now_s + 40 * 86400, 4))
    assert "clamd does not answer" in told.problem(config), "away since before the clock was set right"
    told.write(config, told.Told(now_s + 40 * 86400))
    assert told.late(config), "what hung before the clock was set right is seen to hang"
