"""`./beffroi bench NAME [--json]`: run one benchmark and print its rows; --json prints one object on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from beffroi_lab.topology import LabFailed, LabImpossible

from bench.rows import Row, table


def _immunity(say: Callable[[str], None]) -> list[Row]:
    from bench import immunity  # noqa: PLC0415 - a benchmark loads only what it needs

    return immunity.run(say)


BENCHMARKS: dict[str, Callable[[Callable[[str], None]], list[Row]]] = {"immunity": _immunity}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="beffroi bench", description="Measure, on this machine, now.")
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args(arguments)
    try:
        rows = BENCHMARKS[options.name](lambda text: print(text, file=sys.stderr, flush=True))
    except (LabImpossible, LabFailed) as error:
        print(f"beffroi bench: {error}", file=sys.stderr)
        return 2 if isinstance(error, LabImpossible) else 1
    if options.json:
        not_run = [f"{r.peer_name}: {r.note}" for r in rows if r.peer_name and r.peer is None]
        print(json.dumps({"bench": options.name, "rows": [r.as_object() for r in rows], "not_run": not_run}))
    else:
        print("\n".join(table(rows)))
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
