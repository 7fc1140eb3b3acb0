"""`mail backup now | list | check` and `mail restore`: copies of the mailboxes, and mails that come back from them.

Process: the person's own; root becomes the Python user first. The keeper alone opens the backups (mail/backup).
Input:   words of the person; the moment is in the centre's own time.
Fails:   closed, one sentence. Given again, a restore that was cut goes on and brings nothing twice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from beffroi.cli.entering import in_centre
from beffroi.cli.mail import ACTOR, MailUnavailable
from beffroi.cli.options import Parser, of_centre, parsed
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Invalid

if TYPE_CHECKING:
    from beffroi.mail.backup.models import Restore

MIB = 1024 * 1024


class NoSuchRestore(BeffroiError):
    """No open mailbox and no restore is called {}. Next: ./beffroi mail restore list"""

    code = "cli.restore_unknown"


class NotConfirmed(BeffroiError):
    """Nothing was restored. Next: the same command with --yes, or answer y"""

    code = "cli.restore_not_confirmed"


ASKED = ("folder", "search", "message_id")
"""What of the mailbox is meant; all of it where none is given."""


def backup(arguments: Sequence[str]) -> int:
    parser = Parser(prog="beffroi mail backup", description="Back up now; list the backups; read them back.")
    parser.add_argument("what", choices=("now", "list", "check"))
    parser.add_argument("--full", action="store_true", help="check: all of the store, not an eighth of it")
    options, config = parsed(parser, arguments)
    with in_centre(config, MailUnavailable):
        return _backup(config, options)


def restore(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="beffroi mail restore", description="Mails that are missing come back into their mailbox."
    )
    parser.add_argument("what", metavar="ADDRESS|REFERENCE", help="a mailbox, a request (rst_...), or list")
    parser.add_argument("--at", metavar="MOMENT", help="as it was then: 2026-11-25, or '2026-11-25 14:30'")
    parser.add_argument("--folder", default="", metavar="NAME", help="this folder alone")
    parser.add_argument(
        "--search", default="", metavar="TEXT", help="subject:devis from:jean since:2026-11-01"
    )
    parser.add_argument("--message-id", default="", metavar="ID")
    parser.add_argument("--in-place", action="store_true", help="into the folders where they were")
    parser.add_argument("--preview", action="store_true", help="only say what would come back")
    parser.add_argument("--yes", action="store_true", help="do not ask before")
    parser.add_argument("--undo", action="store_true", help="take away what a restore brought")
    parser.add_argument("--refuse", metavar="REASON", help="say no to a request")
    options = parser.parse_args(arguments)
    with in_centre(of_centre(options.state), MailUnavailable):
        return _restore(options)


def _backup(config: Config, options: argparse.Namespace) -> int:
    """Errors: BackupUnavailable, BackupRefused."""
    from beffroi.mail.backup import asking  # noqa: PLC0415

    if options.what == "list":
        found = asking.ask(config, "list")["snapshots"]
        for one in found:
            sizes = (
                f"{one['size_bytes'] / MIB:9.1f} MiB of mailboxes, {one['added_bytes'] / MIB:8.1f} MiB new"
            )
            print(f"{one['id']}  {local(one['at_s'])}  {sizes}")
        print(f"{len(found)} backups." if found else "No backup yet. Next: ./beffroi mail backup now")
        return 0
    if options.what == "now":
        made = asking.ask(config, "now")
        sizes = f"{made['size_bytes'] / MIB:.1f} MiB, {made['added_bytes'] / MIB:.1f} MiB new"
        print(f"{made['mailboxes']} mailboxes, {sizes}.")
        if made["unsteady"]:
            print(f"Left out, for they did not hold still: {', '.join(made['unsteady'])}. Next: once more")
        return 1 if made["unsteady"] else 0
    done = asking.ask(config, "check", full=options.full)
    if done["whole"]:
        print(f"The store holds what was written; {done['compared']} mails of one mailbox were compared.")
        return 0
    for one in done["damaged"]:
        print(f"damaged: {one}")
    print(f"{done['why'] or 'The store is damaged.'} Next: docs/runbooks/restore-mail.md, Damage")
    return 1


def _restore(options: argparse.Namespace) -> int:
    """Errors: NoSuchRestore, NotConfirmed, and those of ``mail.backup.actions``."""
    from beffroi.mail.backup import actions, queries  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    if options.what == "list":
        return _list(actor)
    row = _find(actor, options)
    if options.refuse is not None:
        actions.refuse(actor=actor, restore=row, reason=options.refuse)
        print("Refused; who asked sees the reason.")
        return 0
    if options.undo:
        print(f"{actions.undo(actor=actor, restore=row)} mails were taken away again.")
        return 0
    told = actions.preview(actor=actor, restore=row)
    _say(queries.addresses([row])[row.mailbox_id], row, told)
    if options.preview or not told["missing"]:
        return 0
    if not (options.yes or (sys.stdin.isatty() and input("Restore them? [y/N] ").strip().lower() == "y")):
        raise NotConfirmed
    if row._state.adding:
        row = actions.keep(actor=actor, restore=row)
    done = actions.carry_out(actor=actor, restore=row, tell=_progress)
    where = f"in the folder “{done.into}”" if done.into and not told.get("whole") else "where they were"
    print(f"{done.found} mails are back, {where}. Undo: ./beffroi mail restore {done.id} --undo")
    return 0


def _find(actor: Actor, options: argparse.Namespace) -> Restore:
    """A request by its reference; or a draft for an address, unless the same was begun and cut.

    Errors: NoSuchRestore, Invalid.
    """
    from beffroi.mail import queries as mail  # noqa: PLC0415
    from beffroi.mail.backup import actions, queries  # noqa: PLC0415

    if options.what.startswith("rst_"):
        said = [f"--{one.replace('_', '-')}" for one in (*ASKED, "at", "in_place") if getattr(options, one)]
        if said:
            raise Invalid(f"{options.what} says itself what comes back; leave out {', '.join(said)}")
        return queries.access_restore(actor, options.what)
    mailbox = mail.visible_mailboxes(actor).filter(address=options.what.strip().lower()).first()
    if mailbox is None or options.undo or options.refuse is not None:
        raise NoSuchRestore(options.what)
    if not options.at:
        raise Invalid("--at is needed: the moment as of which, such as 2026-11-25")
    at = moment_of(options.at)
    asked = {one: getattr(options, one) for one in ASKED}
    begun = queries.visible(actor).filter(
        mailbox_id=mailbox.id, asked_by=actor.id, state="running", at=at, **asked
    )
    return begun.first() or actions.draft(
        actor=actor, mailbox=mailbox, at=at, in_place=options.in_place, **asked
    )


def _list(actor: Actor) -> int:
    from beffroi.mail.backup import queries  # noqa: PLC0415

    rows = list(queries.visible(actor)[:50])
    known = queries.addresses(rows)
    for one in rows:
        at = local(int(one.at.timestamp()))
        print(f"{one.id}  {one.state:<8} {known.get(one.mailbox_id, '?')}  as of {at}  {one.found} mails")
    if not rows:
        print("Nobody asked for a restore.")
    return 0


def _say(address: str, row: Restore, told: dict[str, Any]) -> None:
    print(f"{address}, as of the backup of {local(told['at_s'])} ({row.id}):")
    if told.get("whole"):
        print(f"  the whole mailbox is gone; it comes back as it was, with {told['missing']} mails")
        return
    for folder, count in sorted(told["folders"].items()):
        print(f"  {count:6}  {folder}")
    if told["missing"]:
        print(f"  received from {local(told['first_s'])} to {local(told['last_s'])}")
    print(
        f"{told['missing']} mails are missing today; {told['present']} lie in the mailbox and stay as they are."
    )
    if not (told["missing"] or told["present"] or told["private"]):
        print("That backup holds no mail of it. Next: an older one with --at; ./beffroi mail backup list")
    if told["private"]:
        print(f"{told['private']} are marked private and come back only when their owner asks in the portal.")


def _progress(done: int, total: int) -> None:
    print(f"\r{done} of {total}", end="\n" if done == total else "", flush=True)


def moment_of(text: str) -> datetime:
    """Errors: Invalid. A day alone means its end, when the last backup of that day is meant; a minute alone its end,
    when the backup is meant that a list shows with that minute."""
    try:
        at = datetime.fromisoformat(text.strip())
        time = text.strip()[11:19]
        if not time:
            at = at.replace(hour=23, minute=59)
        if time.count(":") < 2:
            at = at.replace(second=59)
        aware = at if at.tzinfo else at.replace(tzinfo=clock.PLACE)
        return min(aware.astimezone(UTC), clock.now())
    except (ValueError, OverflowError):  # the year 1 has no moment before it in UTC
        raise Invalid("--at: a moment such as 2026-11-25 or '2026-11-25 14:30'") from None


def local(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, clock.PLACE):%Y-%m-%d %H:%M}"
