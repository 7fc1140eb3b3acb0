"""``python -m tests.simulation --seeds 10000``: many seeds. ``--seed N``: one, with its story."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import takewhile
from pathlib import Path

from tests.simulation.run import run_many, run_seed
from tests.simulation.workers import LIMIT_S


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one and print its trace")
    parser.add_argument("--until-failure", action="store_true", help="stop at the first seed that fails")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument(
        "--limit", type=float, default=LIMIT_S, help="seconds for one seed, more is its failure"
    )
    parser.add_argument("--while", type=Path, dest="sign", help="a file: when it is gone, --least are enough")
    parser.add_argument("--least", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.seed is not None:
        outcome = run_seed(chosen.seed, tracing=True, limit_s=chosen.limit)
        print("\n".join(outcome.trace))
        print(outcome.failure or "every invariant held")
        return bool(outcome.failure)
    started, events, played, failed = time.monotonic(), 0, 0, 0
    certain = chosen.first + (chosen.seeds if chosen.sign is None else chosen.least)
    seeds = takewhile(
        lambda seed: seed < certain or chosen.sign.exists(), range(chosen.first, chosen.first + chosen.seeds)
    )
    for outcome in run_many(seeds, chosen.processes, limit_s=chosen.limit):
        events += outcome.events
        played += 1
        if outcome.failure:
            failed += 1
            *before, last = outcome.failure.strip().splitlines()
            print(
                f"seed {outcome.seed}: {last}\n    python -m tests.simulation --seed {outcome.seed}",
                *(f"    {line}" for line in before), sep="\n", flush=True,
            )  # fmt: skip
            if chosen.until_failure:
                break
    seconds = time.monotonic() - started
    print(f"{played} seeds, {failed} failed, {events} events, {seconds:.1f} s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
