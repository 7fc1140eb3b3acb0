"""Devices of people for tests of the drive: a directory each, kept like the server by the real ``nextcloudcmd``."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.drive_server import PASSWORD, A, Served
from tests.waiting import PATIENCE_S

CLIENT = shutil.which("nextcloudcmd") or ""
needs_client = pytest.mark.skipif(not CLIENT, reason="nextcloudcmd is not installed")
COMMON = "Commune"
LONGEST_S = 120
_OWN = (".sync_", "._sync_", ".nextcloudsync.log", ".owncloudsync.log", "desktop.ini")


@dataclass
class Device:
    """``folder``: what its person sees. ``environment``: settings of the client."""

    name: str
    base: Path
    served: Served
    login: str = "alice"
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)

    @property
    def folder(self) -> Path:
        return self.base / self.name / "files"

    def start(self, *options: str) -> subprocess.Popen[str]:
        home = str(self.base / self.name)
        own = {"HOME": home, "XDG_CONFIG_HOME": home, "QT_QPA_PLATFORM": "offscreen", "LANG": "C.UTF-8"}
        login = ("--user", self.login, "--password", PASSWORD)
        command = (CLIENT, "--non-interactive", "-h", *options, *login, str(self.folder), self.served.url)
        return subprocess.Popen(
            command,
            env=os.environ | own | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def sync(self, *options: str, fails: bool = False) -> str:
        """Until both sides are equal; return what the client says."""
        running = self.start(*options)
        said, _ = running.communicate(timeout=LONGEST_S)
        assert (running.returncode != 0) is fails, said[-4000:] + self.served.log[-4000:]
        return said

    def write(self, path: str, data: bytes | str, mtime_s: int | None = None) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        if mtime_s is not None:
            os.utime(file, (mtime_s, mtime_s))
        return file

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def tree(self) -> dict[str, bytes | None]:
        """Content by path; None for a folder. Without what the client keeps for itself, and an empty common folder."""
        out: dict[str, bytes | None] = {}
        for file in self.folder.rglob("*"):
            path = file.relative_to(self.folder).as_posix()
            if not file.name.startswith(_OWN) and path != COMMON:
                out[path] = None if file.is_dir() else file.read_bytes()
        return out


def on_server(served: Served, collectivite_id: str = A) -> sqlite3.Connection:
    """The metadata as another process sees them."""
    path = served.directory / "drive" / collectivite_id / "metadata.db"
    return sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)


def server_tree(served: Served, person_id: str = "per_alice") -> Mapping[str, tuple[int, int, str]]:
    """(identifier, size, SHA-1) by path of all in a person's own folder."""
    database = on_server(served)
    try:
        rows = database.execute("SELECT id, parent, name, size_bytes, sha1 FROM node").fetchall()
    finally:
        database.close()
    found = {row[0]: row[1:] for row in rows}
    top = next(key for key, row in found.items() if row[:2] == (0, f"home:{person_id}"))
    out = {}
    for node_id, (parent, own, size, sha1) in found.items():
        above, path = parent, [own]
        while above and above != top:
            path.append(found[above][1])
            above = found[above][0]
        if above == top:
            out["/".join(reversed(path))] = (node_id, size, sha1)
    return out
