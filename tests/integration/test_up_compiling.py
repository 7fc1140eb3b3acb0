"""`./beffroi` compiles its code before it starts anything: service users may not, and would do it at each start.

The command itself runs, as somebody who is not root, in a directory that has nothing of Beffroi but it.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

COMMAND = Path(__file__).parents[2] / "beffroi"
IS_ROOT = os.geteuid() == 0
NOBODY = 65534
USER = NOBODY if IS_ROOT else os.geteuid()
LARGE = "".join(f"def f{n}(x):\n    return x + {n}, 'some {n}'\n" for n in range(600))
MODULES = ("packages/centre/beffroi/a.py", "packages/box/b.py", "lab/beffroi_lab/c.py")


class Checkout:
    """A checkout whose environment is installed; `test` prints "goes on" and compiles nothing itself."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.write("requirements-dev.lock", "")
        for name in MODULES:
            self.write(name, f"NAME = {name!r}\n")
        self.write("tests/__init__.py", "")
        self.write("tests/run.py", "print('goes on')\n")
        shutil.copy(COMMAND, home / "beffroi")
        self.write(".venv/beffroi.stamp", hashlib.sha256(b"").hexdigest())
        (home / ".venv/bin").mkdir()
        (home / ".venv/bin/python").symlink_to(Path(sys.executable).resolve())
        for place in (home, *home.rglob("*")):
            os.chown(place, USER, -1, follow_symlinks=False)

    def write(self, name: str, text: str) -> None:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self) -> str:
        """What it said; it went on."""
        one = subprocess.run(
            (self.home / "beffroi", "test"),
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            user=USER,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert one.returncode == 0 and one.stdout.endswith("goes on\n"), one.stdout
        return one.stdout.removesuffix("goes on\n")

    def compiled(self) -> dict[str, os.stat_result]:
        """What there is of it, each whole and of its source; by the names of the modules."""
        sources = {cache_from_source(str(one)): one for one in self.home.rglob("*.py")}
        found = {}
        for path in self.home.rglob("__pycache__/*"):
            source = sources[str(path)]
            code = marshal.loads(path.read_bytes()[16:])
            assert code.co_filename == str(source)
            found[str(source.relative_to(self.home))] = path.stat()
        return found


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    home = Path(tempfile.mkdtemp(prefix="bfc-"))  # pytest's own directories are closed to others
    home.chmod(0o755)
    yield Checkout(home)
    shutil.rmtree(home)


@contextmanager
def closed(place: Path) -> Iterator[None]:
    place.chmod(0o555)
    try:
        yield
    finally:
        place.chmod(0o755)


def test_all_of_packages_and_lab_is_compiled_and_a_second_run_does_what_changed(checkout: Checkout) -> None:
    assert checkout.run() == ""
    first = checkout.compiled()
    assert set(first) == set(MODULES)
    assert checkout.run() == "" and checkout.compiled() == first, "nothing is written again"
    checkout.write(MODULES[0], "NAME = 'changed'\n")
    later = first[MODULES[0]].st_mtime + 2  # it is told by seconds
    os.utime(checkout.home / MODULES[0], (later, later))
    checkout.write("lab/new.py", "")
    assert checkout.run() == ""
    then = checkout.compiled()
    assert set(then) == {*MODULES, "lab/new.py"}
    assert {one for one in MODULES if then[one] != first[one]} == {MODULES[0]}


def test_a_module_that_cannot_be_compiled_is_named_and_stops_nothing(checkout: Checkout) -> None:
    checkout.write("packages/box/broken.py", "def\n")
    said = checkout.run()
    assert "broken.py" in said and "SyntaxError" in said
    assert set(checkout.compiled()) == set(MODULES)


def test_a_checkout_that_may_not_be_written_is_run_as_it_is(checkout: Checkout) -> None:
    with closed(checkout.home):
        assert checkout.run() == "" and checkout.compiled() == {}
    with closed((checkout.home / MODULES[0]).parent):
        said = checkout.run()
        assert "a.py" in said and "PermissionError" in said
        assert set(checkout.compiled()) == set(MODULES[1:])


@pytest.mark.root
@pytest.mark.skipif(not IS_ROOT, reason="mounting needs root")
def test_on_a_full_disk_nothing_half_is_left_and_the_next_run_makes_it() -> None:
    home = Path(tempfile.mkdtemp(prefix="bfc-"))
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "none", home), check=True)
    try:
        checkout = Checkout(home)
        checkout.write("packages/centre/beffroi/large.py", LARGE)
        filler = home / "filler"
        left = os.statvfs(home)
        filler.write_bytes(bytes(left.f_bavail * left.f_bsize - 8192))
        said = checkout.run()
        assert "large.py" in said and "OSError" in said
        assert "packages/centre/beffroi/large.py" not in checkout.compiled()
        filler.unlink()
        assert checkout.run() == ""
        assert set(checkout.compiled()) == {*MODULES, "packages/centre/beffroi/large.py"}
    finally:
        subprocess.run(("umount", home), check=True)
        home.rmdir()
