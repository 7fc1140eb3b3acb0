"""The drive's process is killed while files are written to it: what it acknowledged is there, whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import threading
import time
from pathlib import Path

import pytest

from tests.drive_asking import HOME, listing
from tests.drive_server import Served, served
from tests.waiting import PATIENCE_S

KILLS, WRITERS, NAMES = int(os.environ.get("BEFFROI_DRIVE_KILLS", "4")), 6, 15
SIZES = (100, 10_000, 70_000, 700_000, 3_000_000)


class Writers:
    """Threads that write files of their own names, new and over, and note what was acknowledged."""

    def __init__(self, drive: Served) -> None:
        self.drive = drive
        self.acknowledged: dict[str, str] = {}
        self.tried: dict[str, set[str]] = {}
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def _write(self, number: int) -> None:
        noise, count = random.Random(number), 0
        while not self.stopping.is_set():
            path = f"{HOME}/w{number}-{count % NAMES}"
            # Words: noise over noise is what ransomware writes, and the device would be stopped.
            line = f"Article {noise.randrange(10**6)} de l'arrêté {number}-{count}, alinéa {{}}\n"
            lines = noise.choice(SIZES) // len(line) + 1
            body = "".join(line.format(one) for one in range(lines)).encode()
            digest = hashlib.sha256(body).hexdigest()
            self.tried.setdefault(path, set()).add(digest)
            try:
                status = self.drive.ask("PUT", path, body)[0]
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            if status in (201, 204):
                self.acknowledged[path] = digest
                self.tried[path] = {digest}
            count += 1


@pytest.mark.slow
@pytest.mark.timeout(300 + 15 * KILLS)
def test_a_killed_drive_has_lost_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    with served(tmp_path / "state") as drive:
        listing(drive, HOME)
        writers, dice = Writers(drive), random.Random(3)
        for thread in writers.threads:
            thread.start()
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.2, 2.0))
            drive.kill()
            drive.start()
        time.sleep(0.5)
        writers.stopping.set()
        for thread in writers.threads:
            thread.join(PATIENCE_S)
        assert len(writers.acknowledged) > min(KILLS, WRITERS * NAMES // 2)
        for path in writers.tried:
            status, _, body = drive.ask("GET", path)
            # One that was under way may have come in or not; it is whole then.
            known = writers.tried[path] | {writers.acknowledged.get(path, "")}
            assert status == (404 if path not in writers.acknowledged and status == 404 else 200)
            assert status == 404 or hashlib.sha256(body).hexdigest() in known
        assert f"{HOME}/" in listing(drive, HOME)
