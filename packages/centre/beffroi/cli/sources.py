"""`sources show | import | trial`: outside lists, a file for one of them, the end of a trial.

Purpose: see on the command line what the console's page shows; bring a list by hand where nothing may be fetched.
Process: the person's own; the file is opened by who asked for it, then root becomes the Python user.
Input:   FILE is hostile; here it is copied only, within a size. The process ``fetch`` reads it.
Fails:   closed; what is in force stays.
Source:  docs/internals/sources.md.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from beffroi.cli import consumers
from beffroi.cli.entering import account, in_centre, open_file
from beffroi.cli.options import parsed, with_verbs
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from beffroi.watch.sources.models import FeedSource, SourceTrial

ACTOR = "sources-command"
_PIECE_BYTES = 256 * 1024


class SourcesUnavailable(BeffroiError):
    """The sources of {} cannot be used: {}. Nothing was changed. Next: ./beffroi status"""

    code = "cli.sources_unavailable"


def main(arguments: Sequence[str]) -> int:
    if not arguments and "DJANGO_SETTINGS_MODULE" in os.environ:  # the process of this name
        return consumers.sources()
    options, config = parsed(_parser(), arguments)
    asking = account()
    file = open_file(options.file) if options.verb == "import" else None
    with in_centre(config, SourcesUnavailable):
        try:
            if file is None:
                if options.verb == "trial":
                    answer = options.answer == "enforce"
                    return trial(
                        options.name, options.kind, enforce=answer, why=options.reason, account=asking
                    )
                return show(as_json=options.json)
            with file:
                return import_(options.name, file, account=asking)
        except OSError as error:
            raise SourcesUnavailable(config.state, error.strerror) from None


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi sources")
    show_ = verbs.add_parser("show", help="every source: state, last success, what it brought")
    show_.add_argument("--json", action="store_true")
    import__ = verbs.add_parser("import", help="read this file for a source that was started in the console")
    import__.add_argument("name", metavar="NAME")
    import__.add_argument("file", type=Path, metavar="FILE")
    trial_ = verbs.add_parser("trial", help="block what is on trial now, or refuse it")
    trial_.add_argument("name", metavar="NAME")
    trial_.add_argument("kind", metavar="KIND", help="ip, cidr or domain")
    trial_.add_argument("answer", choices=("enforce", "refuse"))
    trial_.add_argument("--reason", required=True, metavar="TEXT", help="kept in the audit log")
    return parser


def show(*, as_json: bool) -> int:
    from beffroi.watch.sources import queries  # noqa: PLC0415

    states = queries.source_states(Actor.system(ACTOR))
    if as_json:
        fields = ("name", "format", "address", "licence", "weight", "in_force", "last_error", "failures")
        told = [
            {
                **{field: getattr(one.source, field) for field in fields},
                "state": one.state,
                "last_success_at": one.source.last_success_at and one.source.last_success_at.isoformat(),
                "held": list(one.held.doubts) if one.held else [],
                "trials": [_told(trial) for trial in one.trials],
            }
            for one in states
        ]
        print(json.dumps(told, ensure_ascii=False))
        return 0
    if not states:
        print("No source is set up, so nothing is fetched. Next: the console, under Sources.")
    for one in states:
        last = f"{one.source.last_success_at:%Y-%m-%d %H:%M}" if one.source.last_success_at else "never"
        why = f" ({one.source.last_error})" if one.source.last_error else ""
        print(f"{one.source.name:<32} {one.state:<9}{one.source.in_force:>9}  last success {last}{why}")
        for trial in one.trials:
            tried = _told(trial)
            print(
                f"{'':<33}on trial: {tried['count']} of kind {tried['kind']}, {tried['state']},"
                f" {tried['worked_s'] // 60} min of working time, {tried['used']} in use by several communes"
            )
    return 0


def _told(trial: SourceTrial) -> dict[str, Any]:
    fields = {name: getattr(trial, name) for name in ("kind", "state", "count", "used")}
    return {**fields, "since": trial.since.isoformat(), "worked_s": int(trial.tried_s)}


def trial(name: str, kind: str, *, enforce: bool, why: str, account: str) -> int:
    """Errors: NotFound, Conflict, Invalid."""
    from beffroi.watch.sources import actions  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    source = _source(actor, name)
    actions.answer_trial(actor=actor, source=source, kind=kind, enforce=enforce, why=why, account=account)
    what = (
        "It is blocked at every door within seconds" if enforce else "It stays observed, nothing is blocked"
    )
    print(f"{what}. Next: ./beffroi sources show")
    return 0


def import_(name: str, file: BinaryIO, *, account: str) -> int:
    """Errors: NotFound, Conflict, TooLarge."""
    from beffroi.watch.sources import actions  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    source = _source(actor, name)
    actions.give_file(actor=actor, source=source, pieces=_pieces(file), account=account)
    print(f"The file is handed over for {name}. Next: ./beffroi sources show")
    return 0


def _source(actor: Actor, name: str) -> FeedSource:
    """Errors: NotFound."""
    from beffroi.lib.errors import existing  # noqa: PLC0415
    from beffroi.watch.sources import queries  # noqa: PLC0415

    return existing(queries.visible_sources(actor).filter(name=name).first(), "source")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece
