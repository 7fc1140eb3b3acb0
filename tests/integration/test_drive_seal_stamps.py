"""Time stamps of seals by an outside authority: had, not yet had, never had."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from beffroi.drive.archives import manifest, stamps
from beffroi.drive.seals import authority as time_authority
from beffroi.drive.seals import overview
from beffroi.lib import clock
from cryptography import x509

from tests.drive_place import Place, place
from tests.drive_sealing import FILES, begun, checked, desk_of, filled, seen
from tests.integration.test_drive_archives_stamps import an_authority, openssl
from tests.loopback import serving

__all__ = ["place"]


@contextmanager
def authority(folder: Path, answers: list[str]) -> Iterator[str]:
    """openssl behind HTTP. ``answers``: what it does in turn: "stamp", "busy", "nonsense", "drip"; then "stamp"."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # name of http.server
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            what = answers.pop(0) if answers else "stamp"
            body = b"not a stamp"
            if what == "stamp":
                (folder / "query").write_bytes(asked)
                openssl(
                    folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-signer", "tsa.pem",
                    "-inkey", "tsa.key", "-out", "reply",
                )  # fmt: skip
                body = (folder / "reply").read_bytes()
            self.send_response(503 if what == "busy" else 200)
            self.end_headers()
            with suppress(OSError):  # who asked has gone
                for _ in range(50 if what == "drip" else 0):
                    self.wfile.write(b"x")
                    time.sleep(0.1)
            self.wfile.write(body)

    with serving(Door) as port:
        yield f"http://127.0.0.1:{port}/tsa"


def test_an_authority_stamps_the_statement_when_it_answers(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "tsa"
    folder.mkdir()
    an_authority(folder, ("-newkey", "rsa:2048"), "sha256", "sha256")
    with authority(folder, ["busy", "nonsense"]) as address:
        place.config = replace(
            place.config, drive_time_authority=address, drive_time_roots=str(folder / "ca.pem")
        )
        seal_id = begun(place, filled(place, FILES))
        for later_s in (0, 1000, 2000):
            with clock.shifted(later_s):
                desk_of(place).work(place.owner)
            seal, texts = seen(place, seal_id)
            assert seal.state == "sealed", "it waits for nobody"
            assert (seal.stamp, manifest.STAMP in texts) == (
                ("had", True) if later_s == 2000 else ("wanted", False)
            )
    roots = x509.load_pem_x509_certificates((folder / "ca.pem").read_bytes())
    stamp = stamps.verify(texts[manifest.STAMP], texts[manifest.STATEMENT], roots)
    assert stamp.authority == "Horodatage"
    found = checked(place, seal_id)
    assert found.intact and (found.stamp, found.stamped_by) == ("valid", "Horodatage")


def test_an_authority_without_roots_is_not_asked(place: Place) -> None:
    place.config = replace(place.config, drive_time_authority="http://127.0.0.1:9/tsa")
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    assert seen(place, seal_id)[0].stamp == "wanted"


def test_an_authority_that_answers_byte_by_byte_keeps_no_other_folder_waiting(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_authority, "WHOLE_S", 0.5)
    folder = tmp_path / "tsa"
    folder.mkdir()
    an_authority(folder, ("-newkey", "rsa:2048"), "sha256", "sha256")
    with authority(folder, ["drip"]) as address:
        place.config = replace(
            place.config, drive_time_authority=address, drive_time_roots=str(folder / "ca.pem")
        )
        seal_id = begun(place, filled(place, FILES))
        desk_of(place).work(place.owner)
        assert (seen(place, seal_id)[0].state, seen(place, seal_id)[0].stamp) == ("sealed", "wanted")
        with clock.shifted(1000):
            desk_of(place).work(place.owner)
        assert seen(place, seal_id)[0].stamp == "had"


def unstamped(place: Place) -> int:
    """As the console and ``status`` read it, after the work of now."""
    desk_of(place).work(place.owner)
    return overview.read(place.config)[place.owner].unstamped


def test_a_stamp_that_never_comes_is_told_after_a_day_until_it_comes(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "tsa"
    folder.mkdir()
    an_authority(folder, ("-newkey", "rsa:2048"), "sha256", "sha256")
    roots = str(folder / "ca.pem")
    place.config = replace(
        place.config, drive_time_authority="http://127.0.0.1:9/tsa", drive_time_roots=roots
    )
    begun(place, filled(place, FILES))
    assert unstamped(place) == 0
    with clock.shifted(86000):
        assert unstamped(place) == 0 and overview.problem(place.config) == ""
    with clock.shifted(87000):
        assert unstamped(place) == 1
        said = overview.problem(place.config)
        assert said.startswith("1 sealed folders have waited") and "drive_time_authority" in said
        place.config = replace(place.config, drive_time_roots="")
        assert unstamped(place) == 1, "nor is it had where nothing proves it"
    with clock.shifted(90000), authority(folder, []) as address:
        place.config = replace(place.config, drive_time_authority=address, drive_time_roots=roots)
        assert unstamped(place) == 0 and overview.problem(place.config) == ""


def test_where_no_authority_is_set_any_more_nothing_is_asked_and_nothing_is_late(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.config = replace(place.config, drive_time_authority="http://127.0.0.1:9/tsa")
    begun(place, filled(place, FILES))
    assert unstamped(place) == 0 and "no time stamp yet" in caplog.text
    caplog.clear()
    place.config = replace(place.config, drive_time_authority="")
    with clock.shifted(87000):
        assert unstamped(place) == 0
    assert "no time stamp yet" not in caplog.text
