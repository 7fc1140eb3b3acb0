"""The process scan: clamd's protocol, children that die, hang, lie or reach out, rules that change, mutated files."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.cli import scan as command
from beffroi.lib.config import load
from beffroi.lib.errors import NotFound
from beffroi.mail import enclosed
from beffroi.scan import looking, server, values, wire
from beffroi.scan.rules import directory

from tests import qr_pictures, waiting
from tests import scan_samples as samples
from tests.mail_files import EXE, packed
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow
until = waiting.until
# A scanner in which a file may say what its child does: what a flaw in a library would let it do.
MISBEHAVING = """
import ctypes, os, socket, subprocess, sys, time
from pathlib import Path
from beffroi.scan import looking, server, worker
from beffroi.scan.values import Report
truly = looking.examine

def tried(step):
    try:
        step()
    except BaseException:
        return False
    return True

REACHES = {
    "socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "unix": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "program": lambda: subprocess.run(["/bin/true"]),
    "execve": lambda: os.execv("/bin/true", ["true"]),
    "fork": lambda: os.fork() or os._exit(9),
    "signal": lambda: os.kill(os.getppid(), 0),
    "read": lambda: open("/etc/passwd").read(),
    "secret": lambda: open(os.environ["BEFFROI_STATE"] + "/beffroi.toml").read(),
    "memory": lambda: open(f"/proc/{os.getppid()}/mem", "rb").read(1),
    "write": lambda: open("/tmp/beffroi-scan-test", "w"),
    "code": lambda: open(os.__file__).read(),
    "descriptors": lambda: [os.fstat(n) for n in range(3, 200) if tried(lambda: os.fstat(n))][3],
}

def examine(body, matches, **more):
    data = body if isinstance(body, bytes) else body.at(0, 5).strip()
    if data == b"CRASH":
        ctypes.string_at(0)
    if data == b"HANG":
        time.sleep(1000)
    if data == b"SPIN":
        while True:
            pass
    if data == b"EAT":
        return Report({"macro": [str(len(bytearray(2**30)))]})
    if data == b"LEAVE":
        os._exit(0)
    if data == b"LIE":
        return Report({"nothing": ["all is well"]})
    if data == b"REACH":
        return Report({"macro": [name for name, step in REACHES.items() if tried(step)]})
    return truly(body, matches, **more)

def busy(body, *, most_text):
    while b"BUSY" in body:
        pass
    if b"GIVEUP" in body:
        ctypes.string_at(0)
    if b"HUNGRY" in body:
        bytearray(2**30)
    return look(body, most_text=most_text)

look, looking.pdf.look = looking.pdf.look, busy
looking.examine = examine
server.LOOKING_S = 6.0
worker.CPU_S = 1
server.RULES_EVERY_S = 0.2
server.main()
"""


class Scanner:
    def __init__(self, state: Path) -> None:
        self.state, self.path = state, wire.socket_path(state)
        wire.folder(state).mkdir()
        wire.files_folder(state).mkdir()
        directory(state).mkdir()
        (state / "beffroi.toml").write_text("")
        self.log = state / "scan.log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MISBEHAVING],
                env={**os.environ, "BEFFROI_STATE": str(self.state)},
                stdout=log,
                stderr=log,
            )
        until(self.answers, "the scanner")

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return wire.ask(self.path, wire.PING) == b"PONG"
        except (OSError, wire.Ended):
            return False

    def found(self, data: bytes) -> str:
        return wire.ask(self.path, wire.INSTREAM, data).decode()

    def report(self, data: bytes) -> values.Report:
        return values.decode(wire.ask(self.path, wire.FACTS, data))

    def raw(self, data: bytes) -> bytes:
        """Whatever comes back, until the other side closes."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            connection.connect(str(self.path))
            connection.sendall(data)
            out = b""
            with contextlib.suppress(ConnectionResetError):  # what it did not read of a refused command
                while piece := connection.recv(4096):
                    out += piece
            return out


@pytest.fixture(scope="module")
def scanner() -> Iterator[Scanner]:
    with tempfile.TemporaryDirectory(prefix="bfs-") as folder:
        made = Scanner(Path(folder))
        try:
            yield made
        finally:
            made.process.terminate()
            assert made.process.wait(PATIENCE_S) == 0


def test_it_answers_as_clamd_does(scanner: Scanner) -> None:
    stream = struct.pack(">I", 4) + b"Bonj" + struct.pack(">I", 3) + b"our" + struct.pack(">I", 0)
    assert scanner.raw(b"zPING\0") == b"PONG\0"
    assert scanner.raw(b"nPING\n") == b"PONG\n"
    assert scanner.raw(b"zINSTREAM\0" + stream) == b"stream: OK\0"
    assert scanner.raw(b"nINSTREAM\n" + stream) == b"stream: OK\n"
    version = scanner.raw(b"zVERSION\0").decode()
    assert version.startswith("Beffroi scan; rules ") and f", reader {looking.READER}" in version
    assert scanner.found(samples.EICAR) == "stream: Beffroi.Malware.Eicar FOUND"
    assert scanner.found(samples.workbook(0, 1)) == "stream: Beffroi.Macro.Excel4 FOUND"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"zSHUTDOWN\0", wire.UNKNOWN + b"\0"),
        (b"GET / HTTP/1.1\r\n\r\n", wire.UNKNOWN + b"\0"),
        (b"z" + b"A" * 100 + b"\0", wire.UNKNOWN + b"\0"),
        (b"zINSTREAM\0" + struct.pack(">I", values.MAX_FILE_BYTES + 1), wire.TOO_LONG + b"\0"),
        (b"zLONG\0" + struct.pack(">Q", values.MAX_LONG_BYTES + 1), wire.TOO_LONG + b"\0"),
    ],
)
def test_what_is_no_command_is_told_so(scanner: Scanner, sent: bytes, answer: bytes) -> None:
    assert scanner.raw(sent) == answer


def test_one_who_goes_away_in_the_middle_leaves_nothing_behind(scanner: Scanner) -> None:
    for _ in range(3 * server.AT_ONCE):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(scanner.path))
            connection.sendall(b"zINSTREAM\0" + struct.pack(">I", 1000) + b"half")
    assert scanner.answers()


@pytest.mark.parametrize("data", [b"CRASH", b"HANG", b"SPIN", b"EAT", b"LEAVE", b"LIE"])
def test_a_child_that_dies_hangs_or_lies_makes_the_file_unreadable(scanner: Scanner, data: bytes) -> None:
    assert scanner.found(data) == "stream: Beffroi.Unreadable FOUND"
    assert list(scanner.report(data).found) == ["unreadable"]
    assert scanner.answers()


@pytest.mark.parametrize("data", [b"CRASH", b"HANG ", b"SPIN ", b"EAT  ", b"LIE  "])
def test_a_long_content_that_is_too_much_for_its_child_is_unreadable(scanner: Scanner, data: bytes) -> None:
    content = data + bytes(1000)
    said = wire.ask_long(scanner.path, len(content), lambda at, count: content[at : at + count])
    assert list(values.decode(said).found) == ["unreadable"]


def test_who_hands_a_long_content_on_and_goes_away_is_told_nothing(scanner: Scanner) -> None:
    with pytest.raises(wire.Ended):
        wire.ask_long(scanner.path, 1000, lambda at, count: b"LEAVE"[at : at + count].ljust(count))

    def gone(at: int, count: int) -> bytes:
        raise OSError

    for _ in range(3 * server.AT_ONCE):
        with pytest.raises(OSError):
            wire.ask_long(scanner.path, 1000, gone)
    assert scanner.answers()


def test_a_child_that_was_taken_over_asks_for_nothing_but_its_content(tmp_path: Path) -> None:
    """What it asks is checked by who hands the content on."""
    asked: list[tuple[int, int]] = []

    def read(at: int, count: int) -> bytes:
        asked.append((at, count))
        return bytes(count)

    for question in (
        struct.pack(">cQI", b"r", 999, 2),
        struct.pack(">cQI", b"r", 1 << 63, 1),
        struct.pack(">cQI", b"r", 0, (1 << 32) - 1),
    ):
        path = tmp_path / "s"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen()

            def answer(listener: socket.socket = listener, question: bytes = question) -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(question)
                    connection.recv(1)

            thread = threading.Thread(target=answer)
            thread.start()
            with pytest.raises(wire.Ended):
                wire.ask_long(path, 1000, read)
            thread.join(PATIENCE_S)
    assert asked == []


def test_a_child_that_was_taken_over_reaches_nothing_but_our_code(scanner: Scanner) -> None:
    if "no Landlock" in scanner.log.read_text():
        pytest.skip("this kernel has no Landlock")
    assert scanner.report(b"REACH").found == {"macro": ["code"]}


def test_codes_in_pictures_of_mail_are_read_and_those_of_files_are_not(scanner: Scanner) -> None:
    """In a process that has given everything up."""
    for data in qr_pictures.of_each_kind("https://a.example/f"):
        report = scanner.report(data)
        assert (report.found, report.links) == ({}, ["https://a.example/f"])
        asked = wire.ask(wire.files_socket_path(scanner.state), wire.FACTS, data)
        assert values.decode(asked).links == []


def test_a_file_of_a_signed_mail_is_handed_on_by_its_number_and_nothing_where_there_is_none(
    scanner: Scanner,
) -> None:
    path, picture = wire.files_socket_path(scanner.state), random.Random(1).randbytes(3_000_000)
    inside = samples.attached_mail(
        samples.PLAIN,
        samples.part(picture, samples.named("../plan\u202e.png")),
        samples.part(EXE, kind="application/x-msdownload"),
    )
    for data in (samples.signed(inside), samples.signed(inside, in_parts=True)):
        told = values.decode(wire.ask(path, wire.WORDS, data), most_text=values.MOST_WORDS_TEXT)
        names = [name for name, _ in told.attached]
        assert (names[1:], [size for _, size in told.attached]) == ([""], [len(picture), len(EXE)])
        found = [wire.ask_piece(path, number, data, timeout_s=PATIENCE_S) for number in (0, 1)]
        assert found == [(names[0], picture), ("", EXE)]
        assert wire.ask_piece(path, 2, data, timeout_s=PATIENCE_S) is None
    for broken in (b"", b"\x30\x80" * 500_000, samples.signed(b""), inside, data[:-2000]):
        assert wire.ask_piece(path, 0, broken, timeout_s=PATIENCE_S) is None
    assert wire.ask(path, wire.PING) == b"PONG"


def test_a_signed_mail_that_is_too_much_to_open_is_no_mail_without_this_file(scanner: Scanner) -> None:
    head = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    data = samples.signed(head + b"--b\nContent-Disposition: attachment\n\nx\n" * 1_000_000)
    with pytest.raises(enclosed.TooMuchEnclosed):
        enclosed.piece(load(scanner.state), data, 0)
    with pytest.raises(NotFound):
        enclosed.piece(load(scanner.state), samples.signed(samples.attached_mail(samples.PLAIN)), 0)


def test_more_files_than_children_wait_their_turn(scanner: Scanner) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(scanner.found(EXE))) for _ in range(8 * server.AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert answers == ["stream: Beffroi.Program FOUND"] * len(threads)


def test_the_operator_s_rules_are_tried_before_they_count_and_the_former_stay(scanner: Scanner) -> None:
    path, sample = directory(scanner.state) / "own.yar", b"a letter with secretsign in it"
    assert scanner.found(sample) == "stream: OK"
    path.write_text('rule Own { strings: $a = "secretsign" condition: $a }')
    until(lambda: scanner.found(sample) == "stream: Beffroi.Malware.Own FOUND", "the rule in force")
    for wrong in (
        'rule Own { strings: $a = "secretsign condition: $a }',
        "rule Own { condition: true }",
        'rule Own { meta: finding = "nonsense" strings: $a = "other" condition: $a }',
        'include "/etc/passwd"',
    ):
        path.write_text(wrong)
        until(lambda: b"refused: own.yar" in wire.ask(scanner.path, wire.VERSION), "the refusal")
        assert scanner.found(sample) == "stream: Beffroi.Malware.Own FOUND"
        path.write_text('rule Own { meta: finding = "macro" strings: $a = "secretsign" condition: $a }')
        until(lambda: scanner.found(sample) == "stream: Beffroi.Macro.Own FOUND", "the mended rule")
        path.write_text('rule Own { strings: $a = "secretsign" condition: $a }')
        until(lambda: scanner.found(sample) == "stream: Beffroi.Malware.Own FOUND", "the first rule")
    path.unlink()
    until(lambda: scanner.found(sample) == "stream: OK", "the rule gone")
    assert "own.yar" in scanner.log.read_text()


def test_no_text_and_no_name_of_a_file_reaches_the_log(scanner: Scanner) -> None:
    line = f"Notre RIB : {samples.IBAN}"
    report = scanner.report(packed(secretname__exe=EXE, a__pdf=samples.pdf(line)))
    assert line in report.text and "program" in report.found
    log = scanner.log.read_text()
    assert "Beffroi.Program" in log and report.sha256 in log
    assert "secretname" not in log and "RIB" not in log and "3000 6000" not in log


def test_the_operator_asks_about_a_file(
    scanner: Scanner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = tmp_path / "facture.pdf.exe", tmp_path / "compte rendu.pdf"
    bad.write_bytes(EXE)
    good.write_bytes(samples.pdf("Bonjour"))
    state = ["--state", str(scanner.state)]
    assert command.main([str(bad), str(good), *state]) == command.FOUND
    told = capsys.readouterr().out
    assert "Beffroi.Disguised, Beffroi.Program" in told and "nothing found" in told
    assert command.main([str(good), "--json", *state]) == 0
    assert json.loads(capsys.readouterr().out)["found"] == {}
    assert command.main(["--rules", *state]) == 0
    with pytest.raises(command.FileUnreadable):
        command.main([str(tmp_path / "none"), *state])
    with pytest.raises(command.ScannerAway):
        command.examined(load(tmp_path), good)


def test_a_scanner_that_was_killed_starts_again_over_its_socket(scanner: Scanner) -> None:
    scanner.process.send_signal(signal.SIGKILL)
    scanner.process.wait(PATIENCE_S)
    with pytest.raises((OSError, wire.Ended)):
        scanner.found(EXE)
    scanner.start()
    assert scanner.found(EXE) == "stream: Beffroi.Program FOUND"


def test_mutated_files_get_an_answer_each_and_the_parent_lives(scanner: Scanner) -> None:
    chance = random.Random(46)
    seeds = [*samples.HARMLESS.values(), *(data for data, _ in samples.FOUND.values())]
    seeds += qr_pictures.of_each_kind("https://a.example/f")
    pid = scanner.process.pid
    for _ in range(int(os.environ.get("BEFFROI_MUTATIONS", "300"))):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 20)):
            if data:
                at = chance.randrange(len(data))
                data[at : at + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
        if chance.random() < 0.2:
            data = data[: chance.randrange(len(data) + 1)]
        scanner.report(bytes(data))
    assert scanner.process.poll() is None and scanner.process.pid == pid
    assert scanner.answers()


@pytest.mark.parametrize("way", [b"BUSY", b"HUNGRY", b"GIVEUP"])
def test_what_was_found_before_a_child_used_up_what_it_has_is_told(scanner: Scanner, way: bytes) -> None:
    """A file that takes a reader's time, memory or life, so that its child says nothing of what a rule saw."""
    found = scanner.report(b"%PDF-1.4 " + samples.EICAR + b" " + way).found
    assert list(found) == ["malware", "unreadable"]
