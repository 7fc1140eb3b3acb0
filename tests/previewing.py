"""The process previews, with less patience than the real one."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest
from beffroi.previews import server, wire

from tests import waiting
from tests.waiting import PATIENCE_S

until = waiting.until
# Less patience than the real one: what computes without end is ended after a few seconds of processor, of which an
# ordinary document takes one. And programs in LibreOffice's place.
IMPATIENT = """
import sys
from pathlib import Path
from beffroi.previews import making, server
making.CPU_S, making.OFFICE_S = 4, float(sys.argv[1])
if len(sys.argv) > 2:
    making.OFFICE, making.RUNNABLE = Path(sys.argv[2]), (*making.RUNNABLE, *map(Path, sys.argv[2:]))
server.main()
"""


class Previews:
    def __init__(self, state: Path, *programs: str, office_s: float = 25.0) -> None:
        self.state, self.path, self.log = state, server.socket_path(state), state / "previews.log"
        server.folder(state).mkdir(exist_ok=True)
        if not (state / "beffroi.toml").exists():
            (state / "beffroi.toml").write_text("")
        # Children of one that was killed hear of it, and end, a moment later.
        self.path.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", IMPATIENT, str(office_s), *programs],
                env={**os.environ, "BEFFROI_STATE": str(state)},
                stdout=log,
                stderr=log,
            )
        until(self.answers, "the previews")

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket(socket.AF_UNIX) as one:
            return one.connect_ex(str(self.path)) == 0

    def of(self, suffix: str, data: bytes) -> wire.Preview:
        return wire.ask(self.path, suffix, data, timeout_s=120)

    def text(self, suffix: str, data: bytes) -> str:
        pdf = pypdf.PdfReader(io.BytesIO(self.of(suffix, data).pdf))
        return "\n".join(page.extract_text() for page in pdf.pages)

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0
        server.work_path(self.state).rmdir()  # empty


@pytest.fixture(scope="module")
def previews() -> Iterator[Previews]:
    with tempfile.TemporaryDirectory(prefix="bfp-") as folder:
        made = Previews(Path(folder))
        try:
            yield made
        finally:
            made.end()
