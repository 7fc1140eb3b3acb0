"""Sync clients hear of changes by a websocket."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi.drive.sign_ins import MAX_FAILURES
from beffroi.drive.store import mounts, received
from beffroi.drive.store.model import Act
from beffroi.drive.web.sync import push
from beffroi.lib import asgi

from tests.drive_devices import on_server
from tests.drive_server import PASSWORD, A, B, Served, served
from tests.drive_sharing import metadata
from tests.drive_sync import FILES, hears_nothing, listening
from tests.waiting import until
from tests.websocket import Closed, WebSocket

pytest_plugins = ["tests.fixtures_drive_sync"]
C = "col_" + "0" * 25 + "c"


def test_a_client_hears_of_changes_that_its_person_sees(drive: Served, name: str) -> None:
    with (
        listening(drive, "alice") as alice,
        listening(drive, "amir") as amir,
        listening(drive, "bruno") as bruno,
    ):
        drive.ask("PUT", f"{FILES}/{name}", b"x")
        assert alice.hear() == "notify_file"
        hears_nothing(amir)
        drive.ask("PUT", f"{FILES}/Commune/{name}", b"x")
        assert alice.hear() == amir.hear() == "notify_file"
        hears_nothing(bruno)
    with listening(drive, "alice") as alice:
        for at in range(20):
            drive.ask("PUT", f"{FILES}/{name}-{at}", b"x")
        assert alice.hear() == "notify_file"


def test_a_change_by_another_process_is_heard(drive: Served, name: str) -> None:
    with listening(drive, "alice") as alice:
        drive.ask("PUT", f"{FILES}/{name}", b"x")
        assert alice.hear() == "notify_file"
        with on_server(drive) as database:
            database.execute("UPDATE node SET etag = etag + 100000 WHERE name = 'home:per_alice'")
        hears_nothing(alice)
        push.tell(drive.directory / "run", B)
        push.tell(drive.directory / "run", "no collectivité")
        hears_nothing(alice)
        push.tell(drive.directory / "run", A)
        assert alice.hear() == "notify_file"


@pytest.mark.parametrize("is_file", [False, True], ids=["metadata that are none", "no directory"])
def test_one_whose_root_cannot_be_looked_up_keeps_no_other_from_hearing(
    tmp_path: Path, is_file: bool
) -> None:
    """Alice has something of a commune whose metadata are broken; Amir left it."""
    with served(tmp_path / "drive") as drive, listening(drive, "alice"), listening(drive, "amir") as amir:
        broken = drive.directory / "drive" / C
        if not is_file:
            broken.mkdir()
        (broken if is_file else broken / "metadata.db").write_bytes(b"none" * 1024)
        share_id = "shr_" + "0" * 26
        with metadata(drive) as communes:
            own = communes.metadata(A)
            own.write(lambda w: received.offer(w, share_id, "x", owner=C, now_s=1))
            own.write(lambda w: received.answer(w, Act("per_referent", "", 1), share_id, accepted=True))
            own.write(lambda w: mounts.leave(w, share_id, "per_amir", now_s=1))
        for at in range(2):
            assert drive.ask("PUT", f"/remote.php/dav/files/amir/{at}", b"x", "amir")[0] == 201
            assert amir.hear() == "notify_file"
        if not is_file:
            with pytest.raises(Closed):
                listening(drive, "alice")
            assert "Traceback" not in drive.log


def test_nobody_listens_without_a_password(drive: Served) -> None:
    for login, password in (("alice", "wrong"), ("nobody", PASSWORD), ("", ""), ("x" * 10_000, "x")):
        with WebSocket(drive.port, push.PATH) as line:
            line.send(login)
            line.send(password)
            with pytest.raises(Closed):
                assert line.hear() == "err: Invalid credentials"
                line.hear()
    assert WebSocket(drive.port, "/push/other").status == 403
    assert WebSocket(drive.port, "/remote.php/dav").status == 403


@pytest.mark.parametrize("origin", ["https://other.example", "null", "https://localhost", "http://["])
def test_a_page_of_another_site_tries_no_password_here(tmp_path: Path, origin: str) -> None:
    """Browsers let any page open a websocket: what fails by it would be told of the town hall that reads the page."""
    with served(tmp_path / "drive") as drive:
        for _ in range(MAX_FAILURES):
            line = WebSocket(drive.port, push.PATH, origin=origin)
            if line.status == 101:
                line.send("amir")
                line.send("wrong")
                assert line.hear() == "err: Invalid credentials"
            line.close()
        assert drive.ask("PROPFIND", FILES)[0] == 207, "behind the same address"
        assert line.status == 403
        assert WebSocket(drive.port, push.PATH, origin=f"https://localhost:{drive.port}").status == 101


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("kind", [0x81, 0x89], ids=["lines", "pings"])
def test_who_sends_frame_after_frame_is_heard_no_more(drive: Served, kind: int, *, signed_in: bool) -> None:
    """Thousands of frames in a moment keep everybody waiting, and each ping is answered."""
    frame = bytes((kind, 0x82)) + bytes(4) + b"ab"
    with listening(drive, "alice") if signed_in else WebSocket(drive.port, push.PATH) as line:
        line.flood(frame * 1000)
        with pytest.raises(OSError):
            for _ in range(asgi.HEARD_BYTES * 100 // (len(frame) * 1000)):
                line.flood(frame * 1000)
    with listening(drive, "alice"):
        pass


@pytest.mark.parametrize("is_long", [True, False], ids=["in two frames", "in one"])
def test_a_line_that_is_no_text_ends_the_connection_and_fills_no_log(drive: Served, *, is_long: bool) -> None:
    with WebSocket(drive.port, push.PATH) as line:
        if is_long:
            line.flood(b"\x01\x81" + bytes(4) + b"\xc3" + b"\x80\x81" + bytes(4) + b"(")
        else:
            line.flood(b"\x81\x82" + bytes(4) + b"\xc3(")
        with pytest.raises((Closed, OSError)):
            line.hear()
    with listening(drive, "alice"):
        pass
    assert "UTF-8" not in drive.log and "Traceback" not in drive.log


def test_a_letter_in_two_frames_is_heard(drive: Served) -> None:
    with WebSocket(drive.port, push.PATH) as line:
        line.flood(b"\x01\x81" + bytes(4) + b"\xc3" + b"\x80\x81" + bytes(4) + b"\xa9")
        line.send(PASSWORD)
        assert line.hear() == "err: Invalid credentials"


def test_a_person_holds_so_many_connections(drive: Served) -> None:
    lines = [listening(drive, "elise") for _ in range(push.MOST_OF_A_PERSON)]
    try:
        with WebSocket(drive.port, push.PATH) as more:
            more.send("elise")
            more.send(PASSWORD)
            assert more.hear() == "err: Too many connections"
        with listening(drive, "alice"):
            pass
    finally:
        for line in lines:
            line.close()

    def lets_in() -> bool:
        with WebSocket(drive.port, push.PATH) as line:
            line.send("elise")
            line.send(PASSWORD)
            return line.hear() == "authenticated"

    until(lets_in, "the connections are still counted")
