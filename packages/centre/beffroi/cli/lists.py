"""`lists show | import | withdraw`: the bulk lists that every door enforces.

Purpose: a public list (phishing names, bulletproof networks) blocks at every door within seconds, with its source
         and licence, and ends with one word.
Process: the person's own; the file is opened by who asked for it, then root becomes the Python user.
Input:   FILE is hostile text: one value a line (the first word counts) or, where it ends in ``.csv``, the first
         column; lines that begin with ``#`` or ``;`` are comments. What is invalid or protected is left out.
Fails:   closed: a list of which nothing is left is refused, and the one in force stays.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from beffroi_protocol.indicators import Kind
from beffroi_protocol.threats import Threat

from beffroi.cli.decision import commune_named
from beffroi.cli.entering import FileUnusable, account, in_centre, open_file
from beffroi.cli.options import parsed, with_verbs
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError

DAY_S = 86400
ACTOR = "lists-command"


class ListsUnavailable(BeffroiError):
    """The lists of {} cannot be used: {}. Nothing was changed. Next: ./beffroi status"""

    code = "cli.lists_unavailable"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    asking = account()
    file = _open(options.file) if options.verb == "import" else None
    with in_centre(config, ListsUnavailable):
        try:
            if options.verb == "show":
                return show(as_json=options.json)
            if options.verb == "withdraw":
                return withdraw(options.name, account=asking)
            assert file is not None
            with file:
                return import_(options, file, account=asking)
        except OSError as error:
            raise ListsUnavailable(config.state, error.strerror) from None


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi lists")
    show_ = verbs.add_parser("show", help="the lists in force")
    show_.add_argument("--json", action="store_true")
    import__ = verbs.add_parser("import", help="publish a list, or replace the one of this name")
    import__.add_argument("name", metavar="NAME")
    import__.add_argument(
        "file", type=Path, metavar="FILE", help="one value a line, or .csv: the first column"
    )
    import__.add_argument("--kind", required=True, choices=[kind.value for kind in Kind])
    import__.add_argument("--source", required=True, metavar="TEXT", help="where it comes from")
    import__.add_argument("--licence", required=True, metavar="TEXT", help="under which it may be used")
    import__.add_argument(
        "--threat",
        default="",
        choices=[threat.value for threat in Threat],
        help="what all of it warns of; nobody in a town hall may unblock a command server",
    )
    import__.add_argument(
        "--days",
        type=int,
        default=0,
        metavar="N",
        help="its life; without: until it is replaced or withdrawn",
    )
    import__.add_argument(
        "--commune",
        default="",
        metavar="TEXT",
        help="in force for this one alone: identifier, INSEE code or name",
    )
    withdraw_ = verbs.add_parser("withdraw", help="end a list at every door")
    withdraw_.add_argument("name", metavar="NAME")
    return parser


def show(*, as_json: bool) -> int:
    from beffroi.core.communes.queries import names  # noqa: PLC0415
    from beffroi.core.decisions import lists, queries  # noqa: PLC0415
    from beffroi.core.decisions.models import SCOPE_ALL  # noqa: PLC0415

    rows = list(queries.visible_lists(Actor.system(ACTOR)))
    if as_json:
        fields = (
            "name", "kind", "scope", "action", "threat", "count", "sha256", "source", "licence", "published_by",
        )  # fmt: skip
        told = [
            {
                **{field: getattr(row, field) for field in fields},
                "published_at": row.published_at.isoformat(),
                "expires_at": row.expires_at.isoformat() if row.expires_at else None,
                "file": lists.file_is_there(row),
            }
            for row in rows
        ]
        print(json.dumps(told, ensure_ascii=False))
        return 0
    if not rows:
        print(
            "No bulk list is in force. Next: ./beffroi lists import NAME FILE --kind KIND --source TEXT ..."
        )
    communes = names()
    for row in rows:
        ends = f"until {row.expires_at:%Y-%m-%d}" if row.expires_at else "until replaced"
        lost = "" if lists.file_is_there(row) else "; ITS FILE IS LOST: import it again"
        whose = "" if row.scope == SCOPE_ALL else f"; {communes.get(row.scope, row.scope)} alone"
        tried = "" if row.action == "block" else f"; {row.action}: it refuses nothing"
        print(
            f"{row.name:<24} {row.kind:<8}{row.count:>9}  {row.published_at:%Y-%m-%d}, {ends}{whose}{tried}{lost}"
        )
        print(f"{'':<25}{row.source} ({row.licence})")
    return 0


def import_(options: argparse.Namespace, file: TextIO, *, account: str) -> int:
    """Errors: ListEmpty, Invalid, CommuneUnclear, CollectiviteLeft."""
    from beffroi.core.decisions import lists  # noqa: PLC0415
    from beffroi.core.decisions.models import SCOPE_ALL  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    commune = commune_named(actor, options.commune) if options.commune else None
    made = lists.publish_list(
        actor=actor,
        scope=commune.id if commune else SCOPE_ALL,
        account=account,
        name=options.name,
        kind=options.kind,
        values=read(file, as_csv=options.file.suffix.lower() == ".csv"),
        source=options.source,
        licence=options.licence,
        threat=options.threat,
        ttl_s=options.days * DAY_S,
    )
    whose = f" for {commune.name}" if commune else ""
    print(
        f"The list {made.row.name} is in force{whose}: {made.kept} values kept, {made.invalid} invalid,"
        f" {made.protected} protected and left out."
    )
    return 0


def withdraw(name: str, *, account: str) -> int:
    """Errors: NotFound."""
    from beffroi.core.decisions import lists  # noqa: PLC0415

    lists.withdraw_list(actor=Actor.system(ACTOR), account=account, name=name)
    print(f"The list {name} is withdrawn; the doors forget it as they hear of it.")
    return 0


def read(lines: Iterable[str], *, as_csv: bool) -> Iterator[str]:
    """Yield the values of a file. Errors: FileUnusable (a table that csv cannot read)."""
    kept = (line for line in lines if line.strip() and not line.lstrip().startswith(("#", ";")))
    if not as_csv:
        yield from (line.split(maxsplit=1)[0] for line in kept)
        return
    try:
        yield from (row[0] for row in csv.reader(kept) if row)
    except csv.Error as error:
        raise FileUnusable("of values", str(error)) from None


def _open(path: Path) -> TextIO:
    """Errors: FileUnusable."""
    return io.TextIOWrapper(open_file(path), encoding="utf-8-sig", errors="replace")
