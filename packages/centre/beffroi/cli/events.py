"""`events show | retry | forget`: what a part of the centre did not take in, and what a person does about it.

Process: the person's own; root becomes the Python user first.
Source:  docs/runbooks/events.md.
"""

from __future__ import annotations

import fcntl
import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from beffroi.cli.entering import account, in_centre
from beffroi.cli.options import parsed, with_verbs
from beffroi.core.identity.actor import Actor
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.locks import opened_lock


class EventsUnavailable(BeffroiError):
    """The database of {} does not answer. Next: ./beffroi status"""

    code = "cli.events_unavailable"


class EventsBusy(BeffroiError):
    """Another ./beffroi events retry or forget is at work. Next: wait until it has ended"""

    code = "cli.events_busy"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    actor = Actor.system(f"events-command:{account()}")
    with in_centre(config, EventsUnavailable):
        if options.verb == "show":
            return show(as_json=options.json)
        with turn(config):
            return (
                retry(options.consumer, actor) if options.verb == "retry" else forget(options.consumer, actor)
            )


@contextmanager
def turn(config: Config) -> Iterator[None]:
    """One at a time: what a consumer does outside of the database has no lock there. Errors: EventsBusy, OSError."""
    with opened_lock(config.run / "events-command.lock") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EventsBusy from None
        yield


def _parser() -> ArgumentParser:
    parser, verbs = with_verbs("beffroi events")
    show_ = verbs.add_parser("show", help="what waits, and what was given up after many attempts")
    show_.add_argument("--json", action="store_true")
    retry_ = verbs.add_parser("retry", help="have a consumer take what it gave up, behind what came since")
    forget_ = verbs.add_parser("forget", help="it is never taken; nothing else changes")
    for one in (retry_, forget_):
        one.add_argument("consumer", help="its name, as `show` has it")
    return parser


def show(*, as_json: bool = False) -> int:
    """1 where something waits."""
    import msgspec  # noqa: PLC0415

    from beffroi.core.events import waiting  # noqa: PLC0415

    found = waiting.look()
    waits = bool(found.behind or found.parked)
    if as_json:
        print(json.dumps(msgspec.to_builtins(found)))
        return int(waits)
    for what, rows in (("waits", found.behind), ("given up", found.parked)):
        for one in rows:
            print(
                f"{what:<10}{one.consumer:<28}{one.events:>6}  since {one.since:%Y-%m-%d %H:%M} UTC  {one.error}"
            )
    if found.parked:
        print("Next: docs/runbooks/events.md; ./beffroi events retry NAME, or forget NAME")
    if not waits:
        print("Everything that happened was taken in.")
    return int(waits)


def retry(name: str, actor: Actor) -> int:
    """1 where one was given up again; those before it are taken. Errors: NotFound."""
    from beffroi.core.events import running, waiting  # noqa: PLC0415

    for row in waiting.parked(name):
        try:
            taken = waiting.take_again(row, actor=actor)
        except Exception as error:  # noqa: BLE001 - whatever it was given up for
            why = running.code_of(error)
            print(
                f"{row.kind} {row.event_id} was not taken: {why}. It is kept. Next: report it, or forget {name}"
            )
            return 1
        print(
            f"{row.kind} {row.event_id} was taken{'' if taken else ' or forgotten meanwhile by somebody else'}"
        )
    return 0


def forget(name: str, actor: Actor) -> int:
    """Errors: NotFound."""
    from beffroi.core.events import waiting  # noqa: PLC0415

    for row in waiting.parked(name):
        waiting.forget(row, actor=actor)
        print(f"{row.kind} {row.event_id} is not taken any more")
    return 0
