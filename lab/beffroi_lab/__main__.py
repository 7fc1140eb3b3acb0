"""`lab immunity [EML or FOLDER] [--history-days N] [--faults SEED]` and `lab attacks [--partition-s S]`,
both with [--json] [--communes N] [--keep].

Process: root; everything it starts lives in namespaces of its own and ends with it.
Output:  the timeline for a person; with --json exactly one object on stdout, progress on stderr.
Status:  0 all was shown, 1 something was not, 2 it cannot run here.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from beffroi_lab import attacks, campaign, history, immunity
from beffroi_lab.campaign import LureUnusable
from beffroi_lab.plan import MAX_COMMUNES
from beffroi_lab.topology import LabFailed, LabImpossible

MAX_HISTORY_DAYS, MAX_PARTITION_S = 3650, 3600
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    end_in_order()

    def say(text: str) -> None:
        print(text, file=sys.stderr if options.json else sys.stdout, flush=True)

    try:
        result = _attacks(options, say) if options.scenario == "attacks" else _immunity(options, say)
    except (LabImpossible, LureUnusable, ValueError) as error:
        print(f"beffroi lab: {error}", file=sys.stderr)
        return 2
    except LabFailed as error:
        print(f"beffroi lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("beffroi lab: stopped; everything was removed", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        summary = attacks.summary if options.scenario == "attacks" else immunity.summary
        print("\n".join(summary(result)))
    return 0 if result["ok"] else 1


def _immunity(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    return immunity.run(
        immunity.first_usable(campaign.choose(options.mail)),
        communes=options.communes,
        history_days=options.history_days,
        faults_seed=options.faults,
        keep=options.keep,
        say=say,
    )


def _attacks(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    return attacks.run(
        communes=options.communes,
        partition_s=options.partition_s,
        keep=options.keep,
        say=say,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="beffroi lab", description="A whole département on one machine.")
    commands = parser.add_subparsers(dest="scenario", required=True)
    one = commands.add_parser("immunity", help="a phishing mail to one commune is blocked for all")
    one.add_argument("mail", nargs="?", type=Path, help="an .eml file or a folder; default: shipped samples")
    one.add_argument(
        "--history-days",
        type=_days,
        default=history.DAYS,
        metavar="N",
        help=f"ordinary mail before the scenario, made N days old; 0 for none; default {history.DAYS}",
    )
    one.add_argument(
        "--faults", type=int, metavar="SEED", help="break things at moments that the seed chooses"
    )
    two = commands.add_parser("attacks", help="real attacks: seen, blocked, explained, undone")
    two.add_argument(
        "--partition-s",
        type=_seconds,
        default=attacks.PARTITION_S,
        metavar="S",
        help=f"how long a box is without its centre; default {attacks.PARTITION_S:.0f}",
    )
    for scenario in (one, two):
        scenario.add_argument("--json", action="store_true", help="one JSON object on stdout")
        scenario.add_argument(
            "--communes", type=int, default=3, metavar="N", help=f"3 to {MAX_COMMUNES}; default 3"
        )
        scenario.add_argument("--keep", action="store_true", help="keep the state directory and the logs")
    return parser


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_HISTORY_DAYS):
        raise argparse.ArgumentTypeError(f"0 to {MAX_HISTORY_DAYS} days, not {text}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        if 0 <= (seconds := float(text)) <= MAX_PARTITION_S:
            return seconds
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"0 to {MAX_PARTITION_S} seconds, not {text}")


def end_in_order() -> None:
    """Ctrl-C, an end, and a terminal that is closed stop the run; whoever presses again does not stop its removal."""
    for number in _ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> Any:
    for number in _ENDS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, _patience)
    raise KeyboardInterrupt


def _patience(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"beffroi lab: it is being removed; that takes up to a minute\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
