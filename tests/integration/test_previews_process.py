"""The process previews: documents of every kind become PDF and pictures; hostile ones have a defined end."""

from __future__ import annotations

import http.server
import io
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pypdf
import pytest
from beffroi.drive.office import blank
from beffroi.previews import server, wire

from tests import office_samples as samples
from tests import pdf_samples
from tests.previewing import Previews, previews
from tests.waiting import PATIENCE_S

__all__ = ["previews"]
pytestmark = pytest.mark.slow
# Says how each program ended.
MAKING = """
import sys
from pathlib import Path
from beffroi.previews import making
run = making._run
making._run = lambda *given: print(code := run(*given)) or code
making.make(Path(sys.argv[1]), "odt", Path(sys.argv[2]).read_bytes())
"""
PYTHON = str(Path("/usr/bin/python3").resolve())
WAITING = f"#!{PYTHON} -S\nimport time\ntime.sleep(1000)\n"
REACHING = """#!{python} -P
import ctypes, os, socket, subprocess, sys
from pathlib import Path

def tried(step):
    try:
        step()
    except BaseException:
        return False
    return True

def connect():
    socket.socket(socket.AF_UNIX).connect({socket!r})

def leave():
    libc = ctypes.CDLL(None)
    kept = libc.shmget(0, 4096, 0o1600)
    if kept < 0:
        raise OSError
    libc.shmctl(kept, 0, None)

reached = [name for name, step in {{
    "network": lambda: socket.socket(socket.AF_INET),
    "unix": connect,
    "fork": lambda: os.fork() or os._exit(0),
    "program": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(os.getppid(), 0),
    "file": lambda: open("/etc/passwd").read(),
    "settings": lambda: open({settings!r}).read(),
    "others": lambda: os.listdir(".."),
    "write": lambda: open("/dev/shm/beffroi-test", "w"),
    "memory that outlives it": leave,
}}.items() if tried(step)]
if reached:
    import time
    time.sleep(1000)
Path("out").mkdir()
Path("out/document.pdf").symlink_to("/etc/passwd")
"""
LINKING = f"""#!{PYTHON} -P
from pathlib import Path

Path("page-1.png").write_bytes(b"a picture")
Path("out").symlink_to("../other")
"""


def test_a_text_becomes_a_pdf_and_pictures_of_its_first_pages(previews: Previews) -> None:
    made = previews.of("odt", samples.text(*(f"Délibération n° {n}" for n in range(400))))
    assert made.pdf.startswith(b"%PDF-") and len(made.pictures) == wire.PICTURES
    assert all(one.startswith(b"\x89PNG\r\n\x1a\n") for one in made.pictures)
    assert "Délibération n° 7" in previews.text("odt", samples.text("Délibération n° 7"))


def test_libreoffice_is_started_once_for_a_document(tmp_path: Path) -> None:
    """It would end after it made its profile, and be started once more."""
    document, folder = tmp_path / "a.odt", tmp_path / "folder"
    document.write_bytes(samples.text("x"))
    folder.mkdir()
    command = (sys.executable, "-c", MAKING, folder, document)
    assert subprocess.check_output(command, text=True).split() == ["0", "0"]


def test_of_a_long_text_the_first_twenty_pages_are_shown(previews: Previews) -> None:
    made = previews.of("odt", samples.text(*(f"Ligne {n}" for n in range(3000))))
    assert len(pypdf.PdfReader(io.BytesIO(made.pdf)).pages) == wire.PAGES


@pytest.mark.parametrize(
    ("kind", "suffixes"),
    [
        ("texte", ("docx", "doc", "rtf", "ott")),
        ("tableur", ("xlsx", "xls", "ods")),
        ("presentation", ("pptx", "ppt", "odp")),
    ],
)
def test_every_kind_of_office_has_a_preview(
    previews: Previews, tmp_path: Path, kind: blank.Kind, suffixes: tuple[str, ...]
) -> None:
    data, own = (
        (samples.sheet("of:=1+1"), "ods")
        if kind == "tableur"
        else (blank.document(kind), blank.SUFFIXES[kind])
    )
    for suffix in suffixes:
        folder = tmp_path / suffix
        folder.mkdir()
        made = data if suffix == own else samples.converted(folder, data, own, suffix)
        found = previews.of(suffix, made)
        assert found.pdf.startswith(b"%PDF-") and found.pictures, suffix


def test_a_pdf_has_pictures_and_is_not_made_again(previews: Previews) -> None:
    pdf = previews.of("odt", samples.text("Une page")).pdf
    found = previews.of("pdf", pdf)
    assert found.pdf == b"" and len(found.pictures) == 1


@pytest.mark.parametrize(("suffix", "data"), [("docx", b"PK\x03\x04 nothing"), ("pdf", b"%PDF-1.7 nothing")])
def test_a_broken_document_is_unreadable(previews: Previews, suffix: str, data: bytes) -> None:
    with pytest.raises(wire.NotShown) as refused:
        previews.of(suffix, data)
    assert refused.value.why == "unreadable"


def test_a_document_that_swells_ends_and_the_next_one_is_served(previews: Previews) -> None:
    data = samples.bomb(1_500_000_000)
    assert len(data) < 3_000_000
    with pytest.raises(wire.NotShown):
        previews.of("docx", data)
    assert "Après" in previews.text("odt", samples.text("Après"))


def test_a_sheet_that_computes_without_end_is_cut_off_and_the_next_one_is_served(previews: Previews) -> None:
    rows = "ROW([.$A$1:.$A$1048576])"
    endless = samples.sheet(
        "of:=SUM([.$A$2:.$A$20000])", *(f"of:=SUMPRODUCT({rows}*{rows}+RAND())" for _ in range(20000))
    )
    with pytest.raises(wire.NotShown) as refused:
        previews.of("ods", endless)
    assert refused.value.why == "slow"
    assert "42" in previews.text("ods", samples.sheet("of:=40+2"))


def test_a_program_that_waits_without_end_is_cut_off(tmp_path: Path) -> None:
    program = tmp_path / "office"
    program.write_text(WAITING)
    program.chmod(0o755)
    waiting_one = Previews(Path(tempfile.mkdtemp(prefix="bfp-")), str(program), PYTHON, office_s=2.0)
    try:
        with pytest.raises(wire.NotShown) as refused:
            waiting_one.of("odt", samples.text("x"))
        assert refused.value.why == "slow"
        assert waiting_one.of("pdf", pdf_samples.document(["Après"])).pictures
    finally:
        waiting_one.end()


def test_links_to_the_network_and_to_files_bring_nothing(previews: Previews) -> None:
    asked: list[str] = []

    class Counting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    web = http.server.HTTPServer(("127.0.0.1", 0), Counting)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        secret = previews.state / "secret.txt"
        secret.write_text("le secret de la commune")
        found = previews.text(
            "odt", samples.linked(f"http://127.0.0.1:{web.server_port}/pixel.png", file=str(secret))
        )
    finally:
        web.shutdown()
        web.server_close()
    assert "Visible." in found and "secret" not in found and asked == []


def test_no_macro_runs(previews: Previews) -> None:
    found = previews.text("odt", samples.with_macro())
    assert "Macro." in found and "agi" not in found


def test_a_program_that_is_taken_over_reaches_nothing_and_its_link_is_not_followed(tmp_path: Path) -> None:
    program = tmp_path / "office"
    state = Path(tempfile.mkdtemp(prefix="bfp-"))
    text = REACHING.format(
        python="/usr/bin/python3", socket=str(server.socket_path(state)), settings=str(state / "beffroi.toml")
    )
    program.write_text(text)
    program.chmod(0o755)
    reaching = Previews(state, str(program), PYTHON)
    try:
        with pytest.raises(wire.NotShown) as refused:
            reaching.of("odt", samples.text("x"))
        assert refused.value.why == "unreadable"  # "slow": it reached something
    finally:
        reaching.end()


def test_a_program_that_is_taken_over_is_given_no_other_document_by_a_link_to_its_folder(
    tmp_path: Path,
) -> None:
    """Documents of two collectivités may lie there at once."""
    program = tmp_path / "office"
    program.write_text(LINKING)
    program.chmod(0o755)
    linking = Previews(Path(tempfile.mkdtemp(prefix="bfp-")), str(program), PYTHON)
    other = server.work_path(linking.state) / "other"
    try:
        other.mkdir()
        (other / "document.pdf").write_text("theirs")
        with pytest.raises(wire.NotShown) as refused:
            linking.of("odt", samples.text("x"))
        assert refused.value.why == "unreadable"
        assert (other / "document.pdf").read_text() == "theirs"
    finally:
        linking.end()


def test_a_request_that_is_none_is_refused_and_the_process_killed_leaves_nothing(previews: Previews) -> None:
    for asked in (b"exe 10\n", b"odt 99999999\n", b"x" * 300):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(previews.path))
            one.sendall(asked)
            try:
                assert one.recv(100) == b""
            except ConnectionResetError:
                continue
    previews.of("odt", samples.text("x"))
    assert list(server.work_path(previews.state).iterdir()) == []
    previews.process.send_signal(signal.SIGKILL)
    previews.process.wait(PATIENCE_S)
    previews.__init__(previews.state)
    assert previews.of("odt", samples.text("x")).pictures


def test_what_we_wrote_ourselves_is_printed_whole_and_has_no_pictures(previews: Previews) -> None:
    lines = "".join(f"<text:p>Ligne {n}</text:p>" for n in range(6000))
    names = " ".join(
        f'xmlns:{one}="urn:oasis:names:tc:opendocument:xmlns:{one}:1.0"' for one in ("office", "text")
    )
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<office:document {names} office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.text">'
        f"<office:body><office:text>{lines}</office:text></office:body></office:document>"
    )
    made = previews.of(wire.PRINTED, document.encode())
    pages = pypdf.PdfReader(io.BytesIO(made.pdf)).pages
    assert made.pictures == () and len(pages) > wire.PAGES and "Ligne 5999" in pages[-1].extract_text()
    assert b"pdfaid:part" in made.pdf
    with pytest.raises(wire.NotShown):
        previews.of(wire.PRINTED, b"<office:document")
