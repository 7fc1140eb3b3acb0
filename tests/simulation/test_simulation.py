"""The immunity protocol in virtual time: fixed seeds, seeds that once failed, and a handful of mutants.

The full number: ``python -m tests.simulation --seeds 10000``. See docs/internals/simulation.md.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS, judge, mutant

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 10000
LEAST = 2000
LIMIT_S = 1200.0
"""For one seed where all of them run in the time that other tests leave."""
ONCE_FAILED = {
    69: "a box in a fork whose channel travels as a file",
    215: "a town hall that lives on something before a list names it, and one that does so only after",
    6073: "a loader that died after its work, and a list that another commune's took the place of",
    8284: "a loader that died after its work, and a list withdrawn a moment later",
    630: "an entry that was refused and ended at once, before the agent had saved what it had to tell",
}
QUICK_MUTANTS = {
    "a snapshot of the past is accepted": 48,
    "the signature is not looked at": 265,
    "the box enforces what is protected": 1,
    "an acknowledgement runs ahead": 1,
    "one commune is enough": 1,
    "an exception of one commune goes to all": 14,
    "a command server is let through": 2,
    "a list's digest is not compared": 8,
    "never again is not told to the doors": 17,
    "a trial ends at once": 1,
    "what town halls live on is blocked after a trial": 2,
    "time in which nobody looked or was heard is a trial": 23,
    "what a restored centre lacks is not told again": 88,
    "the centre says that it has what lies in a gap": 88,
}
"""Each with a seed that notices it, which is played alone at first."""


def _simulation(*arguments: str) -> str:
    """In a process of its own: the seams are nothing for other tests."""
    done = subprocess.run(
        (sys.executable, "-m", "tests.simulation", *arguments),
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_a_seed_that_once_failed_holds(seed: int) -> None:
    assert "every invariant held" in _simulation("--seed", str(seed))


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_fixed_seeds_hold() -> None:
    """All of them, or as many as end beside other rounds: BEFFROI_SEEDS_WHILE is a file that goes when those have."""
    sign = os.environ.get("BEFFROI_SEEDS_WHILE")
    beside = ("--while", sign, "--least", str(LEAST)) if sign else ()
    said = _simulation("--seeds", str(SEEDS), "--limit", str(LIMIT_S), *beside)
    found = re.search(r"(\d+) seeds, 0 failed, (\d+) events", said)
    assert found is not None
    logging.getLogger("tests.simulation").warning("%s", said.strip())
    assert (LEAST if sign else SEEDS) <= int(found[1]) <= SEEDS
    assert int(found[2]) > int(found[1]) * 100


def test_seeds_end_with_what_they_run_beside_but_some_are_certain(tmp_path: Path) -> None:
    beside = ("--seeds", "6", "--while", str(tmp_path / "others"), "--least", "2")
    assert _simulation(*beside).startswith("2 seeds, 0 failed")
    (tmp_path / "others").touch()
    assert _simulation(*beside).startswith("6 seeds, 0 failed")


def test_the_same_seed_is_the_same_story() -> None:
    assert _simulation("--seed", "60") == _simulation("--seed", "60")


def test_every_mutation_still_fits_the_product(tmp_path: Path) -> None:
    for number, mutation in enumerate(MUTATIONS):
        assert (ROOT / mutation.path).read_text().count(mutation.before) == 1, mutation.name
        assert mutation.before != mutation.after, number
    mutant(tmp_path / "one", MUTATIONS[0])
    assert MUTATIONS[0].after in (tmp_path / "one" / MUTATIONS[0].path).read_text()


@pytest.mark.slow
def test_mutants_are_noticed() -> None:
    chosen = [m for m in MUTATIONS if m.name in QUICK_MUTANTS]
    assert len(chosen) == len(QUICK_MUTANTS)
    missed = [v.mutation for v in judge(chosen, alone=QUICK_MUTANTS) if v.seed is None]
    # Where the simulation's own text changed, the seeds have other stories.
    assert not [v.mutation.name for v in judge(missed, seeds=400) if v.seed is None]
