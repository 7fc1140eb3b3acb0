"""`audit verify | export | prune`: check the chain of the audit log, copy it off the machine, take old entries away.

Process: the person's own; root becomes the Python user first, so no file of the database changes hands. An export is
         opened before that, by who asked for it. `verify --file` needs no database, no settings and no root.
Fails:   closed: status 1 when the chain is broken or cannot be read, never a guess. Nothing is taken away from a
         chain that does not hold, nor without --yes.
Source:  docs/internals/data.md; docs/runbooks/audit-log.md.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from beffroi.cli.entering import FileUnusable, account, in_centre, new_file
from beffroi.cli.options import of_centre, with_verbs
from beffroi.core.audit import exported, signing, told
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from beffroi.core.audit.queries import Report

BROKEN = (
    "it was changed, cut or added to outside of Beffroi."
    " Next: keep the machine as it is and compare with an export or a backup"
)


class NoDatabase(BeffroiError):
    """The database of {} cannot be read, so nothing was checked. Next: ./beffroi status"""

    code = "cli.no_database"


class DateUnusable(BeffroiError):
    """Entries are taken away up to a day of the past, written like 2026-01-31, not {}."""

    code = "cli.date_unusable"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    head = options.expected_head or "" if options.verb == "verify" else ""
    if options.verb == "verify" and options.file:
        return verify_file(options.file, options.public_key, expected_head=head, as_json=options.json)
    config = of_centre(options.state)
    asking = account()
    if options.verb == "export":
        return export(config, options.output)
    with in_centre(config, NoDatabase):
        if options.verb == "verify":
            return report(config, expected_head=head, as_json=options.json, full=options.full)
        if options.by_term:
            return prune_by_term(config, account=asking, confirmed=options.yes)
        return prune(config, options.before, account=asking, confirmed=options.yes)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi audit")
    verify = verbs.add_parser("verify", help="recompute the chain from the last signed checkpoint")
    verify.add_argument("--full", action="store_true", help="from the first entry that is kept")
    verify.add_argument(
        "--expected-head", type=_head, help="a head that a witness kept: the chain must hold it"
    )
    verify.add_argument("--file", type=Path, metavar="FILE", help="check an export; needs no centre")
    verify.add_argument(
        "--public-key", type=Path, metavar="FILE", help="with --file: the audit.pub that you kept"
    )
    verify.add_argument("--json", action="store_true")
    export_ = verbs.add_parser("export", help="write the log to a file that verifies by itself")
    export_.add_argument("output", type=Path, metavar="FILE", help="a new file")
    prune_ = verbs.add_parser("prune", help="take entries away up to a checkpoint before a day")
    how = prune_.add_mutually_exclusive_group(required=True)
    how.add_argument("--before", metavar="YYYY-MM-DD")
    how.add_argument("--by-term", action="store_true", help="by the setting audit_keep_days, to a file first")
    prune_.add_argument("--yes", action="store_true", help="do it, do not only say what would go")
    return parser


def _head(text: str) -> str:
    """Of one that was copied in part a whole log would be called broken. Errors: ArgumentTypeError."""
    if not re.fullmatch("[0-9a-f]{64}", text.lower()):
        raise argparse.ArgumentTypeError("a head has 64 hexadecimal digits")
    return text.lower()


def report(config: Config, *, expected_head: str, as_json: bool, full: bool = False) -> int:
    """A reading of all of it is told to status and console. Errors: FileUnusable."""
    from beffroi.core.audit import queries  # noqa: PLC0415 - needs Django's settings

    found = queries.verify(full=full, expected_head=expected_head)
    if full and not expected_head:
        if not found.ok:  # once more: what is taken away meanwhile on purpose is no damage
            found = queries.verify(full=True)
        try:
            told.write(config, told.Told(clock.epoch_s(), found.first_bad or 0, found.checked))
        except OSError as error:
            raise FileUnusable(config.run / "audit.json", error.strerror) from None
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        print(_sentence(found))
    return 0 if found.ok else 1


def _sentence(found: Report) -> str:
    last = found.pruned + found.count
    if not found.ok:
        return f"The audit log is broken at entry {found.first_bad} of {last}: {BROKEN} (docs/runbooks/audit-log.md)."
    waiting = f", {found.unsealed} not sealed yet" if found.unsealed else ""
    since = f" Recomputed: {found.checked}, from the checkpoint at {found.start}." if found.start else ""
    seen = f" Heads noted by backups: {found.witnesses}, all in it." if found.witnesses else ""
    gone = f" Entries up to {found.pruned} were taken away on purpose." if found.pruned else ""
    return f"The audit log holds: {found.count} entries{waiting}. Head: {found.head}{since}{seen}{gone}"


def verify_file(file: Path, public_key: Path | None, *, expected_head: str, as_json: bool) -> int:
    """Errors: FileUnusable."""
    keys: list[bytes] = []
    try:
        if public_key is not None:
            keys = signing.public_keys(public_key.read_bytes())
            if not keys:
                raise FileUnusable(public_key, "it holds no public key")
        with file.open("rb") as lines:
            bounded = iter(lambda: lines.readline(exported.MAX_LINE_BYTES + 1), b"")
            found = exported.verify(bounded, keys=keys, expected_head=expected_head)
    except OSError as error:
        raise FileUnusable(error.filename, error.strerror) from None
    if as_json:
        print(json.dumps(asdict(found)))
    elif not found.ok:
        print(f"The export does not hold at line {found.line}: {found.problem}.")
    else:
        print(f"The export holds: {found.count} entries up to {found.position}, written {found.exported_at}.")
        print(f"Head: {found.head}")
        known = (
            "which you named"
            if found.pinned
            else "named in the file itself: compare it with the one you kept"
        )
        print(f"Key:  {found.key}, {known}.")
    return 0 if found.ok else 1


def export(config: Config, path: Path) -> int:
    """Errors: NoDatabase, ChainBroken, SettingInvalid, FileUnusable; then no file is left."""
    with new_file(path) as out, in_centre(config, NoDatabase):
        from beffroi.core.audit import export as audit  # noqa: PLC0415 - needs Django's settings

        said = audit.write(out, signing.private_key(config))
    print(f"{said.count} entries up to {said.position} are in {path}. Head: {said.hash}")
    print(f"Next: keep it elsewhere, and check it there: ./beffroi audit verify --file {path.name}")
    return 0


def prune(config: Config, before: str, *, account: str, confirmed: bool) -> int:
    """Errors: DateUnusable, ChainBroken, SettingInvalid."""
    from beffroi.core.audit import actions  # noqa: PLC0415 - needs Django's settings

    what = actions.prunable(_day(before))
    if what is None:
        print(f"Nothing to take away: no checkpoint before {before} has kept entries up to it.")
        return 0
    print(f"{what.count} entries up to {what.position} are from before {what.signed_at:%Y-%m-%d %H:%M} UTC.")
    if not confirmed:
        print("Nothing was taken away. Next: ./beffroi audit export FILE, then the same again with --yes")
        return 0
    key = signing.private_key(config)
    actions.prune(actor=Actor.system("audit-prune"), account=account, what=what, key=key)
    print("They were taken away. The log says so, and holds from there.")
    return 0


def prune_by_term(config: Config, *, account: str, confirmed: bool) -> int:
    """Errors: ChainBroken, ArchiveFalse, SettingInvalid, FileUnusable."""
    from beffroi.core.audit import pruning  # noqa: PLC0415 - needs Django's settings

    if not config.audit_keep_days:
        print("No term is set. Next: audit_keep_days in beffroi.toml, or --before YYYY-MM-DD")
        return 0
    try:
        what = pruning.due(config)
        if what is None:
            print("Nothing is due.")
            return 0
        if not confirmed:
            print(f"{what.count} entries up to {what.position} are due. Next: the same with --yes")
            return 0
        done = pruning.carry_out(config, what, account=account)
    except OSError as error:
        raise FileUnusable(config.state / "audit", error.strerror) from None
    print(f"{what.count} entries up to {what.position} are in {done.path} and no longer in the database.")
    return 0


def _day(text: str) -> datetime:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=clock.PLACE)
    except ValueError:
        raise DateUnusable(text) from None
    if day > clock.now():
        raise DateUnusable(text)
    return day
