"""`retention show | run`: what the purge deleted, and the purge itself, now.

Process: the person's own; root becomes the Python user first. It shares a run with the worker where one is under way.
Fails:   closed: nothing is deleted while the clock of the machine is in doubt, until a person vouches for it.
Source:  docs/fr/durees.md; docs/runbooks/retention.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from beffroi.cli.entering import account, in_centre
from beffroi.cli.options import parsed, with_verbs
from beffroi.core.identity.actor import Actor
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError


class RetentionUnavailable(BeffroiError):
    """The database of {} does not answer, so nothing was deleted. Next: ./beffroi status"""

    code = "cli.retention_unavailable"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    asking = account()
    with in_centre(config, RetentionUnavailable):
        if options.verb == "show":
            return show(config, as_json=options.json)
        if options.dry_run:
            return preview()
        return run(clock_confirmed_by=asking if options.clock_is_right else "")


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi retention")
    show_ = verbs.add_parser("show", help="how long things are kept, the last run, the next one")
    show_.add_argument("--json", action="store_true")
    run_ = verbs.add_parser("run", help="purge now, as each day")
    run_.add_argument("--dry-run", action="store_true", help="only count what is due; nothing is deleted")
    run_.add_argument(
        "--clock-is-right",
        action="store_true",
        help="you compared the clock of this machine with another one",
    )
    return parser


def show(config: Config, *, as_json: bool = False) -> int:
    from beffroi.core.retention import queries, registry  # noqa: PLC0415

    found = queries.report(Actor.system("retention-command"))
    deleted = {one.category: one.deleted for one in found.counts}
    kept = {
        one.name: getattr(config, one.kept) if isinstance(one.kept, str) else one.kept
        for one in registry.categories()
    }
    if as_json:
        told = {
            "last": _run(found.last),
            "done": _run(found.done),
            "next_at": found.next_at.isoformat(),
            "categories": [
                {"name": name, "kept_days": days, "deleted": deleted.get(name, 0)}
                for name, days in kept.items()
            ],
        }
        print(json.dumps(told))
        return 0
    print(f"{'category':<20}{'kept, days':>12}{'deleted in the last run':>26}")
    for name, days in kept.items():
        print(f"{name:<20}{days:>12}{deleted.get(name, 0):>26}")
    done = (
        f"{found.done.finished_at:%Y-%m-%d %H:%M} UTC" if found.done and found.done.finished_at else "never"
    )
    print(f"Last run that ended: {done}. Next: {found.next_at:%Y-%m-%d %H:%M} UTC.")
    if found.refused and found.last is not None:
        before = f"; the last run began at {found.done.started_at:%Y-%m-%d %H:%M}" if found.done else ""
        print(
            f"The last one was refused ({found.last.reason}): the clock of this machine said"
            f" {found.last.started_at:%Y-%m-%d %H:%M} UTC{before}. It is wrong now, or was wrong then, and nothing is"
            " deleted. Next: compare `date -u`; set the clock; if it is right, ./beffroi retention run --clock-is-right"
        )
        return 1
    return 0


def _run(one: object) -> dict[str, object] | None:
    from beffroi.core.retention.models import RetentionRun  # noqa: PLC0415

    if not isinstance(one, RetentionRun):
        return None
    ended = one.finished_at.isoformat() if one.finished_at else None
    return {
        "state": one.state,
        "reason": one.reason,
        "started_at": one.started_at.isoformat(),
        "finished_at": ended,
    }


def preview() -> int:
    from beffroi.core.retention import actions  # noqa: PLC0415

    for one in actions.preview():
        print(f"{one.category:<20}{one.count:>12}  of before {one.cutoff:%Y-%m-%d %H:%M} UTC")
    print("Nothing was deleted. A run leaves what an open or a contested incident still needs.")
    return 0


def run(*, clock_confirmed_by: str = "") -> int:
    """Errors: ClockInDoubt."""
    from beffroi.core.retention import actions  # noqa: PLC0415

    one = actions.begin(clock_confirmed_by=clock_confirmed_by)
    while not actions.go_on(one, for_s=1.0):
        pass
    gone = [count for count in one.counts.order_by("id") if count.deleted]
    for count in gone:
        print(f"{count.category:<20}{count.deleted:>12}  of before {count.cutoff:%Y-%m-%d %H:%M} UTC")
    print("The audit log says so." if gone else "Nothing was due.")
    return 0
