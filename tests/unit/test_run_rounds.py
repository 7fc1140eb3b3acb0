"""The rounds of ``./beffroi test``, beside one another: what they say, how they end, who waits for whom."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests import run


def test_each_line_of_a_round_says_whose_it_is_and_a_failed_one_is_known(
    capfd: pytest.CaptureFixture[str],
) -> None:
    failed: list[str] = []
    refused: list[str] = []
    for name, code in (("SQLite", 0), ("PostgreSQL", 3)):
        said = f"import sys; print('one'); print('two', file=sys.stderr); sys.exit({code})"
        run.listen(name, partial(subprocess.Popen, (sys.executable, "-uc", said), text=True), failed, refused)
    out = capfd.readouterr().out
    assert failed == ["PostgreSQL"]
    assert refused == []
    assert all(f"{name}: {word}\n" in out for name in ("SQLite", "PostgreSQL") for word in ("one", "two"))


def test_a_test_that_failed_is_named_once_more_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "test_one.py").write_text(
        "def test_falls():\n    assert 1 == 2\n\ndef test_stands():\n    pass\n"
    )
    monkeypatch.setattr(run, "POSTGRESQL", tmp_path)
    monkeypatch.setenv("CI", "true")  # pytest shortens its reasons to a terminal's width elsewhere
    monkeypatch.setattr(run, "compile_tests", lambda: None)
    of_one = partial(run.begin, str(tmp_path / "test_one.py"))
    monkeypatch.setattr(run, "begin", lambda *_arguments, **how: of_one(**how))
    assert run.all_rounds(beside=True) == 1
    *_, one, other, last = capfd.readouterr().out.splitlines()
    assert {line.partition(": FAILED ")[0] for line in (one, other)} == {"SQLite", "seeds"}
    assert one.endswith("test_one.py::test_falls - assert 1 == 2")
    assert last.startswith("== failed: ")


def test_the_seeds_keep_no_other_round_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SEEDS", "tests/unit/test_run_rounds.py::there_is_none")
    running = run.begin_seeds(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert os.sched_getscheduler(running.pid) == os.SCHED_IDLE
    finally:
        running.kill()
        running.wait(60)


def test_more_processors_and_more_memory_have_more_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def workers(cores: int, gib: int) -> int:
        monkeypatch.setattr(os, "process_cpu_count", lambda: cores)
        monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": gib << 18}.__getitem__)
        return int(run.side_by_side(1.0)[1])

    assert workers(2, 64) < workers(4, 64) < workers(8, 64)
    assert workers(8, 8) < workers(8, 16) < workers(8, 32)
    assert workers(1, 1) >= 2
