"""What a program that was taken over leaves of a document: it goes, else no document would be shown any more."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from beffroi.previews import making

NOBODY = 65534


def in_a_process(step: Callable[[], object]) -> int:
    """The status of a child that did it as previews does: as a user of its own, with some files open at most."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.closerange(3, 4096)  # of what other tests opened here
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresuid(NOBODY, NOBODY, NOBODY)
            step()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def deep(folder: Path) -> None:
    os.chdir(folder)
    for _ in range(1000):  # of a path that no call takes
        Path("deeper").mkdir()
        os.chdir("deeper")
    Path("document").write_text("secret")
    os.chdir("/")


def closed(folder: Path) -> None:
    (folder / "closed" / "inner").mkdir(parents=True)
    (folder / "closed" / "document").write_text("secret")
    (folder / "closed" / "elsewhere").symlink_to(folder.parent)
    for one in (folder / "closed" / "inner", folder / "closed", folder):
        one.chmod(0)


def wide(folder: Path) -> None:
    for number in range(500):
        (folder / str(number) / "closed").mkdir(parents=True)
        (folder / str(number)).chmod(0)


@pytest.mark.parametrize("leave", [deep, closed, wide])
def test_nothing_of_a_document_stays(leave: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="bfp-") as above:
        beside, folder = Path(above) / "beside", Path(above) / "1"
        Path(above).chmod(0o777)
        beside.mkdir()

        def work() -> None:
            folder.mkdir(mode=0o700)
            leave(folder)
            making.clear(folder)
            folder.mkdir(mode=0o700)  # as for the next one
            making.clear(folder)

        assert in_a_process(work) == 0
        assert list(Path(above).iterdir()) == [beside]
