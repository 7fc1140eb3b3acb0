"""A request of the portal's page whose answer was lost is sent again: the file lies there once, and nobody is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.drive_browser import Browser, at, server
from tests.drive_pages import Drive, client, drive
from tests.fixtures_drive import noise
from tests.fixtures_portal import no_door
from tests.integration.test_drive_bytes import PART, UPLOAD

__all__ = ["at", "client", "drive", "no_door", "server"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("taken", ["ask", "replace", "both"])
def test_a_small_file_whose_answer_was_lost_is_there_once(drive: Drive, at: Browser, taken: str) -> None:
    drive.file("plan.txt")
    sent: dict[str, Any] = {
        "folder": drive.own.id,
        "path": ["Été"],
        "name": "Plan.txt",
        "mtime_s": 1_700_000_000,
    }
    other = at.send(b"another", **sent | {"mtime_s": 1_600_000_000})[1]["node"] if taken != "ask" else 0
    first = at.send(b"one", taken=taken, **sent)
    assert first[0] == 201 and (first[1]["node"] == other) == (taken == "replace")
    assert at.send(b"one", taken=taken, again=True, **sent) == first
    with drive.database.reading() as reading:
        versions = reading.all("SELECT node FROM version")
    assert versions == ([(other,)] if taken == "replace" else []), "no version of the same content"
    assert at.send(b"one", **sent)[0] == 409, "what somebody sends anew is asked about"
    assert at.send(b"two", again=True, **sent)[0] == 409, "another content is another file"
    assert at.send(b"four", again=True, **sent)[0] == 409


@pytest.mark.parametrize("taken", ["ask", "replace", "both"])
def test_a_large_file_whose_last_answer_was_lost_has_arrived(drive: Drive, at: Browser, taken: str) -> None:
    body = noise(PART + 70_000)
    sent = {"folder": drive.own.id, "name": "film.mp4", "size_bytes": len(body), "mtime_s": 1_700_000_000}
    sent["taken"] = taken
    address = f"/coffre/envoi/{UPLOAD}"
    at.ask("POST", address, sent=sent)
    for number in (1, 2):
        assert at.ask("PUT", f"{address}/{number}", body[PART * (number - 1) : PART * number])[0] == 204
    status, _, made = at.ask("POST", f"{address}/fin", sent=sent)
    assert status == 201
    assert at.ask("POST", f"{address}/fin", sent=sent | {"again": True})[::2] == (201, made)
    assert drive.names() == ["film.mp4"]
    refused = at.ask("POST", f"{address}/fin", sent=sent | {"again": True, "name": "autre.mp4"})
    assert refused[0] == 404 and json.loads(refused[2])["code"] == "drive.upload_absent"
