"""The journal of deliveries: read while it is written, given back to the disk, and nothing is lost or taken twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.lib.config import Config
from beffroi.mail import holes, journal
from beffroi.mail.engines import layout
from beffroi.mail.models import JournalPosition, Mailbox, PendingDelivery

from tests.conftest import Commune

BLOCK = 4096


@pytest.fixture
def path(database: str, config: Config) -> Iterator[Path]:
    found = layout.Paths(config.state).journal
    found.touch()
    yield found
    for one in found.parent.iterdir():
        one.unlink()


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    return Mailbox.objects.create(
        address="agent@beaune.test", collectivite_id=beaune.id, person_id=beaune.agent.id
    )


def line(number: int, address: str = "agent@beaune.test") -> bytes:
    event = {
        "event": "mail_delivery_finished",
        "start_time": "2026-11-24T19:26:35.604433Z",
        "end_time": "2026-11-24T19:26:35.618665Z",
        "fields": {"user": address, "message_id": f"<{number}@sender.example.net>"},
    }
    return json.dumps(event).encode() + b"\n"


def on_disk(path: Path) -> int:
    with path.open("rb") as handle:
        return holes.allocated_bytes(handle)


def taken() -> list[int]:
    return sorted(
        int(one.partition("@")[0]) for one in PendingDelivery.objects.values_list("message_id", flat=True)
    )


_WRITER = """
import os, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(int(sys.argv[2])):
    raw = sys.argv[3].replace('NUMBER', str(number)).encode()
    if number % 7 == 0:  # a line in two halves
        os.write(out, raw[:50])
        raw = raw[50:]
    os.write(out, raw)
"""


@pytest.mark.usefixtures("box")
def test_nothing_is_lost_or_taken_twice_while_another_process_writes_and_blocks_are_given_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", 2 * BLOCK)
    count = 4000
    template = line(0).decode().replace("<0@", "<NUMBER@")
    writer = subprocess.Popen((sys.executable, "-c", _WRITER, str(path), str(count), template))
    while writer.poll() is None:
        journal.follow()
    assert writer.returncode == 0
    while journal.follow():
        pass
    assert taken() == list(range(count))
    assert path.stat().st_size > 100 * BLOCK
    assert on_disk(path) <= 4 * BLOCK
    assert b"sender.example.net" not in path.read_bytes()[: -4 * BLOCK]


@pytest.mark.usefixtures("box")
def test_a_lost_position_reads_what_is_left_and_not_the_hole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", BLOCK)
    path.write_bytes(b"".join(line(number) for number in range(500)))
    journal.follow()
    PendingDelivery.objects.all().delete()
    JournalPosition.objects.all().delete()
    with path.open("ab") as handle:
        handle.write(line(500))
    journal.follow()
    again = taken()
    assert again[-1] == 500
    assert again == list(range(again[0], 501))
    assert len(again) < 100
    # A file that is one hole has nothing to read.
    os.truncate(path, 0)
    os.truncate(path, 1 << 40)
    JournalPosition.objects.all().delete()
    assert journal.follow() == 0


@pytest.mark.usefixtures("box")
def test_what_is_not_read_yet_and_a_half_line_are_never_given_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", 0)
    half = line(200)[:-40]
    path.write_bytes(b"".join(line(number) for number in range(200)) + half)
    assert journal.follow() == 200
    assert path.read_bytes().endswith(half)
    with path.open("ab") as handle:
        handle.write(line(200)[-40:])
    assert journal.follow() == 1
    assert taken() == list(range(201))


@pytest.mark.usefixtures("box")
def test_a_file_system_without_holes_keeps_the_file_and_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", 0)
    path.write_bytes(b"".join(line(number) for number in range(100)))
    before = path.read_bytes()
    link = path.with_name("elsewhere")
    path.rename(link)
    path.symlink_to(link)  # refused when it is opened for writing, as a file of somebody else would be
    assert journal.follow() == 100
    assert link.read_bytes() == before
    assert "stays on disk" in caplog.text


def test_a_rotated_file_is_read_to_its_end_then_deleted(path: Path, box: Mailbox) -> None:
    path.write_bytes(line(1))
    journal.follow()
    with path.open("ab") as handle:
        handle.write(line(2))
    path.rename(path.with_name(path.name + ".1"))
    path.write_bytes(line(3, box.address))
    journal.follow()
    assert taken() == [1, 2, 3]
    assert not path.with_name(path.name + ".1").exists()
