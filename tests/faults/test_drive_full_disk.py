"""The disk of the drive is full: what does not fit is refused in words, everything else stays and goes on."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drive_asking import HOME, listing
from tests.drive_server import Served, served

pytestmark = pytest.mark.root

DISK_BYTES = 24 * 1024 * 1024


@pytest.fixture
def drive() -> Iterator[Served]:
    disk = Path(tempfile.mkdtemp(prefix="bfd-"))  # short: sockets lie below
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", disk), check=True)
    try:
        with served(disk / "state") as one:
            yield one
    finally:
        subprocess.run(("umount", disk), check=True)
        disk.rmdir()


@pytest.mark.parametrize("size", [40_000, 3_000_000])
def test_what_does_not_fit_is_refused_and_the_rest_stays(drive: Served, size: int) -> None:
    """Small bodies fill the metadata, large ones the objects."""
    kept: dict[str, bytes] = {}
    for number in range(DISK_BYTES // size + 1):
        path, body = f"{HOME}/{number}", secrets.token_bytes(size)
        status, _, answer = drive.ask("PUT", path, body)
        if status != 201:
            break
        kept[path] = body
    assert (status, "Le disque du Département est plein" in answer.decode()) == (507, True)
    assert drive.ask("PUT", path, body)[0] == 507
    assert set(listing(drive, HOME)) == {f"{HOME}/", f"{HOME}/Commune/", *kept}
    for one in (next(iter(kept)), list(kept)[-1]):
        assert drive.ask("GET", one)[2] == kept[one]
    drive.kill()
    drive.start()
    assert set(listing(drive, HOME)) == {f"{HOME}/", f"{HOME}/Commune/", *kept}
    assert drive.ask("GET", list(kept)[-1])[2] == kept[list(kept)[-1]]


def test_files_leave_the_last_room_of_the_disk_to_mailboxes_and_the_database(drive: Served) -> None:
    """A mailbox whose index gets no block more cannot be opened: people neither read nor delete."""
    number = 0
    while drive.ask("PUT", f"{HOME}/{number}", secrets.token_bytes(300_000))[0] == 201:
        number += 1
    free_bytes, spare_bytes = shutil.disk_usage(drive.directory).free, DISK_BYTES // 50
    assert spare_bytes - 100_000 < free_bytes < spare_bytes + 500_000, "the metadata took some of it"
