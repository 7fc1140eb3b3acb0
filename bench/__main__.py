"""`./beffroi bench NAME [--json]`: run one benchmark and print its rows; --json prints one object on stdout."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence

from beffroi_lab.topology import LabFailed, LabImpossible

from bench import (
    drive,
    drive_growth,
    drive_guard,
    drive_search,
    drive_tree,
    fanout,
    immunity,
    inspection,
    lists,
    mail,
    stream,
)
from bench.rows import Row, table

Benchmark = Callable[[Callable[[str], None], argparse.Namespace], list[Row]]
BENCHMARKS: dict[str, tuple[Benchmark, Callable[[argparse.ArgumentParser], None]]] = {
    "drive": (drive.run, drive.add_options),
    "drive-growth": (drive_growth.run, drive_growth.add_options),
    "drive-guard": (drive_guard.run, drive_guard.add_options),
    "drive-search": (drive_search.run, drive_search.add_options),
    "drive-tree": (drive_tree.run, drive_tree.add_options),
    "fanout": (fanout.run, fanout.add_options),
    "immunity": (lambda say, _: immunity.run(say), lambda parser: None),
    "inspection": (lambda say, _: inspection.run(say), lambda parser: None),
    "lists": (lambda say, _: lists.run(say), lambda parser: None),
    "mail": (mail.run, mail.add_options),
    "stream": (stream.run, stream.add_options),
}


SHOWN: dict[str, Callable[[Sequence[Row]], list[str]]] = {"drive": drive.shown}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="beffroi bench", description="Measure, on this machine, now.")
    names = parser.add_subparsers(dest="name", required=True)
    for name, (_, add_options) in BENCHMARKS.items():
        one = names.add_parser(name)
        one.add_argument("--json", action="store_true", help="one JSON object on stdout")
        add_options(one)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started and mounted is ended
    try:
        rows = BENCHMARKS[options.name][0](lambda text: print(text, file=sys.stderr, flush=True), options)
    except (LabImpossible, LabFailed) as error:
        print(f"beffroi bench: {error}", file=sys.stderr)
        return 2 if isinstance(error, LabImpossible) else 1
    if options.json:
        not_run = dict.fromkeys(f"{r.peer_name}: {r.note}" for r in rows if r.peer_name and r.peer is None)
        found = {"bench": options.name, "rows": [r.as_object() for r in rows], "not_run": [*not_run]}
        print(json.dumps(found))
    else:
        print("\n".join((SHOWN.get(options.name) or table)(rows)))
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
