"""The scan of the drive in tests: the real scanner process beside a drive's real metadata and objects."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from beffroi.drive.scanning.engines import Engines
from beffroi.drive.scanning.scanner import Scanner
from beffroi.drive.store import findings
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.findings import Finding
from beffroi.drive.store.frozen import Held
from beffroi.drive.store.stock import stocks
from beffroi.lib.config import Config
from beffroi.scan import wire
from beffroi.scan.rules import directory

from tests import waiting
from tests.waiting import PATIENCE_S

CLAMD = os.environ.get("BEFFROI_CLAMD") or shutil.which("clamd")


@dataclass
class ScanProcess:
    """``python -m beffroi.scan`` for a state directory with a short path."""

    state: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        for folder in (wire.folder(self.state), wire.files_folder(self.state), directory(self.state)):
            folder.mkdir(parents=True, exist_ok=True)
        (self.state / "beffroi.toml").touch()
        self.start()

    @property
    def path(self) -> Path:
        return wire.files_socket_path(self.state)

    def start(self) -> None:
        environment = {**os.environ, "BEFFROI_STATE": str(self.state)}
        with (self.state / "scan.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "beffroi.scan"], env=environment, stdout=log, stderr=log
            )
        waiting.until(self._answers, "the scanner")

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.state / "scan.log").read_text()
        with contextlib.suppress(OSError, wire.Ended):
            return wire.ask(self.path, wire.PING) == b"PONG"
        return False

    def rule(self, text: str) -> None:
        """Put one rule of the operator's into force."""
        before = wire.ask(self.path, wire.VERSION)
        (directory(self.state) / "own.yar").write_text(text)
        waiting.until(lambda: wire.ask(self.path, wire.VERSION) != before, "the rule in force")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def scan_process() -> Iterator[ScanProcess]:
    with tempfile.TemporaryDirectory(prefix="bfs-") as folder:
        made = ScanProcess(Path(folder))
        try:
            yield made
        finally:
            made.stop()


@dataclass
class Scan:
    """The scan of one state, step by step in this process. ``told``: what the outbox would have."""

    config: Config
    communes: Communes
    scanner: Scanner
    told: list[tuple[str, str, str, Held]]

    def follow(self, collectivite_id: str) -> None:
        while self.scanner.follow(collectivite_id) or self.scanner.look_at_long(collectivite_id):
            pass

    def walk(self, collectivite_id: str) -> int:
        """How many steps a walk took."""
        mark, steps = self.scanner.engines.mark(), 0
        while self.scanner.walk(collectivite_id, mark) is not None:
            steps += 1
        while self.scanner.look_at_long(collectivite_id):
            pass
        return steps

    def finding(self, collectivite_id: str, sha256: str) -> Finding | None:
        with self.communes.metadata(collectivite_id).reading() as reading:
            return findings.finding(reading, sha256)

    def scanned(self, collectivite_id: str, sha256: str) -> findings.Scanned | None:
        with self.communes.metadata(collectivite_id).reading() as reading:
            return findings.of(reading, sha256)


@contextlib.contextmanager
def scanning(config: Config, engines: Engines) -> Iterator[Scan]:
    """``config``: of the drive whose files are looked at."""
    told: list[tuple[str, str, str, Held]] = []
    with ThreadPoolExecutor(1) as pool:
        communes = Communes(config.state / "drive", pool, config.drive_database)
        scanner = Scanner(
            communes,
            stocks(config),
            engines,
            lambda owner, one, held: told.append((owner, one.sha256, one.code, held)),
        )
        yield Scan(config, communes, scanner, told)
        communes.close()


class Clamd:
    """A real clamd with two signatures, of a whole file and of a body, in a directory of its own, on loopback."""

    KNOWN = b"this file is known to the tests' own signatures"
    BODY = b"these bytes are known wherever they stand"

    def __init__(self, home: Path, *lines: str) -> None:
        """``lines``: of its settings."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.place = f"127.0.0.1:{self.port}"
        self._conf = home / "clamd.conf"
        (home / "db").mkdir()
        line = (
            f"{hashlib.md5(self.KNOWN, usedforsecurity=False).hexdigest()}:{len(self.KNOWN)}:Beffroi.Test\n"
        )
        (home / "db" / "own.hdb").write_text(line)
        (home / "db" / "own.ndb").write_text(f"Beffroi.Body:0:*:{self.BODY.hex()}\n")
        self._conf.write_text(
            f"TCPSocket {self.port}\nTCPAddr 127.0.0.1\nDatabaseDirectory {home / 'db'}\nForeground yes\n"
            + "".join(f"{one}\n" for one in lines or ("StreamMaxLength 1M",))
        )
        for path in (home, *home.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def start(self) -> None:
        assert CLAMD is not None
        self._process = subprocess.Popen(
            [CLAMD, "--config-file", str(self._conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        waiting.until(self._answers, "clamd")

    def _answers(self) -> bool:
        assert self._process.poll() is None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as asked:
            asked.sendall(b"zPING\0")
            return asked.recv(5) == b"PONG\0"
        return False

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
