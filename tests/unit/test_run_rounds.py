"""The rounds of ``./beffroi test``, beside one another: what they say, how they end, who waits for whom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import run
from tests.waiting import PATIENCE_S

type Said = Callable[..., tuple[int, list[str]]]


FALLS = "def test_falls():\n    assert 1 == 2\n\ndef test_stands():\n    pass\n"
ONCE = """
from pathlib import Path

def test_falls_once():
    seen = Path(__file__).with_name("seen")
    was_here, _ = seen.exists(), seen.touch()
    assert was_here

def test_stands():
    pass
"""
MANY = "import pytest\n\n@pytest.mark.parametrize('n', range(4))\ndef test_falls(n):\n    assert n < 0\n"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Said:
    """Run all rounds of these tests, of which there is the one on SQLite; ``seeds``: a program in their place."""

    def run_all(tests: str, *, seeds: str = "", beside: bool = False) -> tuple[int, list[str]]:
        def begin_seeds(settings: dict[str, str], **how: Any) -> subprocess.Popen[str]:
            command = (sys.executable, "-c", seeds)
            return subprocess.Popen(command, env=os.environ | settings, text=True, **how)

        (tmp_path / "test_one.py").write_text(tests)
        monkeypatch.setenv("CI", "true")  # pytest shortens its reasons to a terminal's width elsewhere
        monkeypatch.setenv("BEFFROI_REQUIRE_ALL", "")
        monkeypatch.setattr(run, "POSTGRESQL", tmp_path)
        monkeypatch.setattr(run, "compile_tests", lambda: None)
        monkeypatch.setattr(run, "begin_seeds", begin_seeds)
        monkeypatch.setattr(run, "side_by_side", lambda _share: ())
        monkeypatch.setattr(run, "ON_SQLITE", (str(tmp_path / "test_one.py"),))
        code = run.all_rounds(beside=beside)
        return code, capfd.readouterr().out.splitlines()

    return run_all


def test_each_line_of_a_round_says_whose_it_is_and_a_failed_one_is_known(
    capfd: pytest.CaptureFixture[str],
) -> None:
    rounds = [run.Round(name, (), "") for name in ("SQLite", "PostgreSQL")]
    for one, code in zip(rounds, (0, 3), strict=True):
        text = f"import sys; print('one'); print('two', file=sys.stderr); sys.exit({code})"
        run.listen(one, partial(subprocess.Popen, (sys.executable, "-uc", text), text=True))
    out = capfd.readouterr().out
    assert [one.code for one in rounds] == [0, 3]
    assert not any(one.refused for one in rounds)
    assert all(f"{name}: {word}\n" in out for name in ("SQLite", "PostgreSQL") for word in ("one", "two"))


def test_a_test_that_failed_is_named_once_more_at_the_end(said: Said) -> None:
    code, (*_, named, last) = said(FALLS)
    assert code == 1
    assert named.startswith("SQLite: FAILED ")
    assert named.endswith("test_one.py::test_falls - assert 1 == 2")
    assert last == "== failed: SQLite"


def test_a_test_that_passes_alone_afterwards_fails_no_round_and_is_named(said: Said) -> None:
    code, (*before, named, last) = said(ONCE)
    assert code == 0
    assert named.startswith("== passed alone afterwards, look at it: SQLite: FAILED ")
    assert "test_one.py::test_falls_once - " in named
    assert last == "== all rounds passed"
    assert any("1 failed, 1 passed" in line for line in before)
    assert any(re.search(r"SQLite: .*\b1 passed in", line) for line in before)


def test_many_that_failed_are_no_accident(said: Said) -> None:
    code, lines = said(MANY)
    assert code == 1
    assert sum("4 failed" in line for line in lines) == 1
    assert lines[-1] == "== failed: SQLite"


def test_the_seeds_keep_no_other_round_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SEEDS", "tests/unit/test_run_rounds.py::there_is_none")
    running = run.begin_seeds({}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert os.sched_getscheduler(running.pid) == os.SCHED_IDLE
    finally:
        running.kill()
        running.wait(PATIENCE_S)


def test_seeds_are_told_when_the_rounds_beside_them_have_ended(said: Said) -> None:
    waits = (
        "import os, pathlib, time\n"
        "sign = pathlib.Path(os.environ['BEFFROI_SEEDS_WHILE'])\n"
        "print('others run' if sign.exists() else 'none')\n"
        "while sign.exists(): time.sleep(0.01)\n"
        "print('others ended')\n"
    )
    code, lines = said("def test_stands():\n    pass\n", seeds=waits, beside=True)
    assert code == 0
    assert "seeds: others run" in lines
    assert lines.index("seeds: others ended") > [line.startswith("== SQLite:") for line in lines].index(True)


def test_more_processors_and_more_memory_have_more_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def workers(cores: int, gib: int) -> int:
        monkeypatch.setattr(os, "process_cpu_count", lambda: cores)
        monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": gib << 18}.__getitem__)
        return int(run.side_by_side(1.0)[1])

    assert workers(2, 64) < workers(4, 64) < workers(8, 64)
    assert workers(8, 8) < workers(8, 16) < workers(8, 32)
    assert workers(1, 1) >= 2
