"""What is too long to be held is looked at to its end, by the real scanner and a real clamd."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive.scanning import scanner as scanner_module
from beffroi.drive.scanning.engines import MOST_BYTES, EngineAway, Engines, Said
from beffroi.drive.store import findings, scan_due
from beffroi.lib.config import Config
from beffroi.scan import bodies, kinds, values

from tests import scan_samples as samples
from tests.drive_server import A, Served, drive
from tests.file_scanning import CLAMD, Clamd, Scan, ScanProcess, scan_process, scanning
from tests.fixtures_stream import eventually
from tests.mail_files import packed
from tests.waiting import PATIENCE_S

__all__ = ["drive"]
pytestmark = pytest.mark.slow
HOME = "/remote.php/dav/files/alice"
MIB = 1024 * 1024
SIGN = b"a sign that only the tests know"
RULE = f'rule Tests {{ strings: $a = "{SIGN.decode()}" condition: $a }}'


def noise(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Content:
    """Bytes by position; ``read`` may be handed on. ``most``: the longest piece that was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.most = data, 0

    def read(self, offset: int, length: int) -> bytes:
        self.most = max(self.most, length)
        return self.data[offset : offset + length]


@pytest.fixture(scope="module")
def process() -> Iterator[ScanProcess]:
    with scan_process() as one:
        one.rule(RULE)
        yield one


@pytest.fixture(scope="module")
def engines(process: ScanProcess) -> Engines:
    return Engines(Config(state=process.state))


def look(engines: Engines, data: bytes) -> Said:
    return engines.look_long(len(data), Content(data).read)


@pytest.fixture
def scan(drive: Served, engines: Engines) -> Iterator[Scan]:
    with scanning(Config(state=drive.directory), engines) as one:
        yield one


def test_a_file_that_is_longer_than_what_is_held_is_looked_at_to_its_end(drive: Served, scan: Scan) -> None:
    """Through the real door and the real store: the bad part is the end of the file, and of the archive."""
    body = noise(MOST_BYTES + 3 * MIB) + SIGN
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("film.bin", noise(MOST_BYTES + MIB, 1))
        archive.writestr("eicar.com", samples.EICAR)
    harmless = noise(MOST_BYTES + MIB, 2)
    for name, data in (("film.bin", body), ("colis.zip", inside.getvalue()), ("bon.bin", harmless)):
        assert drive.ask("PUT", f"{HOME}/{name}", data)[0] == 201
    assert drive.ask("PUT", f"{HOME}/a.txt", b"court")[0] == 201
    while scan.scanner.follow(A):
        pass
    assert scan.scanned(A, sha(b"court")) is not None, "what is short does not wait for what is long"
    assert scan.scanned(A, sha(harmless)) is None
    scan.follow(A)
    for data in (body, inside.getvalue()):
        found = scan.finding(A, sha(data))
        assert found is not None and found.code == kinds.MALWARE
    known = scan.scanned(A, sha(harmless))
    assert known is not None and known.is_whole and known.found == ()
    assert drive.ask("GET", f"{HOME}/film.bin", Range="bytes=0-9")[0] == 403
    assert drive.ask("GET", f"{HOME}/bon.bin", Range="bytes=0-9")[0] == 206
    assert {one for _, one, _, _ in scan.told} == {sha(body), sha(inside.getvalue())}
    with scan.communes.metadata(A).reading() as reading:
        assert scan_due.first(reading) is None


def test_newer_rules_look_at_long_contents_again(
    drive: Served, scan: Scan, process: ScanProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner_module, "MOST_BYTES", 100_000)
    monkeypatch.setattr(scanner_module, "WALKS_APART_S", 0)
    body = noise(900_000, 11) + b"newsecretsign"
    assert drive.ask("PUT", f"{HOME}/film.bin", body)[0] == 201
    scan.follow(A)
    assert scan.walk(A) >= 1
    assert drive.ask("GET", f"{HOME}/film.bin", Range="bytes=0-9")[0] == 206
    process.rule(RULE + 'rule New { strings: $a = "newsecretsign" condition: $a }')
    try:
        for _ in range(3):  # one to find what waits, one to see that all was looked at
            scan.walk(A)
        assert drive.ask("GET", f"{HOME}/film.bin", Range="bytes=0-9")[0] == 403
        assert scan.walk(A) == 0
    finally:
        process.rule(RULE)


def test_what_waits_outlives_the_process_that_began_it(drive: Served, process: ScanProcess) -> None:
    """Killed in the middle of a long content: the next process finds it waiting, and looks at it from its beginning."""
    (drive.directory / "scan-files").symlink_to(process.state / "scan-files")
    (drive.directory / "beffroi.toml").touch()
    body = noise(MOST_BYTES + MIB, 5) + SIGN
    assert drive.ask("PUT", f"{HOME}/film.bin", body)[0] == 201
    with scanning(Config(state=drive.directory), Engines(Config(state=process.state))) as scan:
        while scan.scanner.follow(A):
            pass

        def cut(offset: int, length: int) -> bytes:
            raise scanner_module.Ending

        with pytest.raises(scanner_module.Ending):
            scan.scanner.engines.look_long(len(body), cut)
        scan.scanner.is_ending = True
        with pytest.raises(scanner_module.Ending):
            scan.scanner.look_at_long(A)
        assert scan.finding(A, sha(body)) is None
    environment = {**os.environ, "BEFFROI_STATE": str(drive.directory)}
    command = [sys.executable, "-m", "beffroi.drive.scanning"]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: drive.ask("GET", f"{HOME}/film.bin", Range="bytes=0-9")[0] == 403, "held")
        running.terminate()
        assert running.wait(PATIENCE_S) == 0
    finally:
        running.kill()
        running.wait()


def test_memory_is_bounded_whatever_the_length(engines: Engines) -> None:
    """Longer than all memory that a child of the scanner may have; here one piece is held."""
    block, length = noise(MIB, 3), 900 * MIB
    asked = 0

    def read(offset: int, count: int) -> bytes:
        nonlocal asked
        asked += count
        at = offset % MIB
        data = (block * 2)[at : at + count]
        return data if offset + count < length else data[: -len(SIGN)] + SIGN

    tracemalloc.start()
    try:
        said = engines.look_long(length, read)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said.found == {kinds.MALWARE: ["Tests"]} and said.is_whole
    assert asked >= length and peak < 32 * MIB


@pytest.mark.parametrize("at", [bodies.WINDOW_BYTES - 10, bodies.WINDOW_BYTES - bodies.OVERLAP_BYTES - 10])
def test_what_lies_across_two_windows_is_seen(engines: Engines, at: int) -> None:
    data = bytearray(80 * MIB)
    data[at : at + len(SIGN)] = SIGN
    assert look(engines, bytes(data)).found == {kinds.MALWARE: ["Tests"]}


def test_past_the_limit_a_file_is_looked_at_in_part_and_never_called_unreadable_for_it(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "MAX_LONG_BYTES", 70 * MIB)
    data = noise(70 * MIB, 4) + SIGN
    assert look(engines, data) == Said({}, is_whole=False)
    assert look(engines, SIGN + data).found == {kinds.MALWARE: ["Tests"]}


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_rest_of_a_long_file_in_an_archive_is_looked_at(engines: Engines, kind: int) -> None:
    """A short archive too: of each file in it, not the beginning alone."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", kind) as archive:
        archive.writestr("base.csv", noise(35 * MIB, 6) + SIGN + noise(MIB, 7))
    said = engines.look(made.getvalue()[:MOST_BYTES])
    assert (said.found, said.is_whole) == ({kinds.MALWARE: ["Tests"]}, True)


def test_a_long_pdf_and_a_long_archive_are_read_by_position(engines: Engines) -> None:
    padding = noise(70 * MIB, 8)
    pdf = samples.pdf("Bonjour") + b"%" + padding.replace(b"\n", b" ").replace(b"\r", b" ")
    assert kinds.MALWARE not in look(engines, pdf).found
    polyglot = b"\x89PNG\r\n\x1a\n" + padding + packed(eicar__com=samples.EICAR)
    assert kinds.MALWARE in look(engines, polyglot).found
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("film.bin", padding)
        for number in range(10):
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as nested:
                nested.writestr("zeros", bytes(60 * MIB))
            archive.writestr(f"{number}.zip", inner.getvalue())
    said = look(engines, bomb.getvalue())
    assert kinds.UNREADABLE in said.found and not said.is_whole


def test_a_scanner_that_is_killed_in_the_middle_leaves_the_content_waiting() -> None:
    with scan_process() as process:
        engines = Engines(Config(state=process.state))
        data = bytes(70 * MIB)

        def read(offset: int, length: int) -> bytes:
            if offset > 40 * MIB:
                process.process.kill()
                process.process.wait()
            return data[offset : offset + length]

        with pytest.raises(EngineAway):
            engines.look_long(len(data), read)
        process.start()
        assert look(engines, data) == Said({}, is_whole=True)


@pytest.mark.skipif(CLAMD is None, reason="clamd is not installed")
@pytest.mark.parametrize(
    ("lines", "is_whole"),
    [
        (("StreamMaxLength 200M", "MaxFileSize 200M", "MaxScanSize 400M", "AlertExceedsMax yes"), True),
        (("StreamMaxLength 25M",), False),
        (("StreamMaxLength 200M", "MaxFileSize 10M", "AlertExceedsMax yes"), False),
    ],
    ids=["takes it", "refuses it", "leaves it out"],
)
def test_a_clamd_has_a_long_content_whole_or_in_windows(
    process: ScanProcess, lines: tuple[str, ...], is_whole: bool
) -> None:
    """What it does not take in one piece counts as looked at in part, whatever its windows say."""
    with tempfile.TemporaryDirectory(prefix="bfc-") as home:
        clamd = Clamd(Path(home), *lines)
        clamd.start()
        engines = Engines(replace(Config(state=process.state), clamd=clamd.place))
        try:
            harmless = noise(66 * MIB, 9)
            assert look(engines, harmless) == Said({}, is_whole)
            found = look(engines, harmless + Clamd.BODY + bytes(100)).found
            assert found == {findings.VIRUS: ["Beffroi.Body.UNOFFICIAL"]}
        finally:
            clamd.stop()
