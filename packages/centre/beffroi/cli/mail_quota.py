"""`mail quota [ADDRESS|COMMUNE] [--gb N | --usual]`: how much room mailboxes take, and more of it.

Process: the person's own; root becomes the Python user first.
Fails:   closed; limits stay as they are.
Source:  mail/quota.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beffroi.cli import amounts
from beffroi.cli.entering import in_centre
from beffroi.cli.mail import ACTOR, MailUnavailable
from beffroi.cli.options import Parser, parsed
from beffroi.core.identity.actor import Actor
from beffroi.lib import gigabytes
from beffroi.lib.errors import BeffroiError
from beffroi.mail.quota.rules import mib_of

if TYPE_CHECKING:
    from beffroi.core.communes.models import Collectivite
    from beffroi.mail.models import Mailbox
    from beffroi.mail.quota.rules import Room


class NoSuchPlace(BeffroiError):
    """No open mailbox has this address, and no single collectivité this name or code: {}. Next: ./beffroi mail quota"""

    code = "cli.mail_quota_unknown"


def main(arguments: Sequence[str]) -> int:
    parser = _parser()
    options, config = parsed(parser, arguments)
    if _changes(options) and not options.place:
        parser.error("say whose room: ADDRESS of a mailbox, or name or code of a COMMUNE")
    with in_centre(config, MailUnavailable):
        return _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="beffroi mail quota", description="Room of mailboxes: taken, given, more of it.")
    parser.add_argument("place", nargs="?", metavar="ADDRESS|COMMUNE", help="all collectivités when left out")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--gb", type=amounts.room, metavar="N", help="give this much room")
    change.add_argument("--usual", action="store_true", help="give the room of the setting again")
    return parser


def _changes(options: argparse.Namespace) -> bool:
    return options.usual or options.gb is not None


def _run(options: argparse.Namespace) -> int:
    """Errors: NoSuchPlace."""
    from beffroi.core.communes import queries as communes  # noqa: PLC0415
    from beffroi.mail.quota import queries  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    if not options.place:
        found = list(communes.visible_collectivites(actor).exclude(enrolled_at=None))
        state = queries.rooms(one.id for one in found)
        for one in sorted(found, key=lambda one: -state[one.id].percent):
            print(_line(state[one.id], one.name))
        return 0
    mailbox, collectivite = _find(actor, options.place)
    if _changes(options):
        _change(actor, mailbox, collectivite, None if options.usual else mib_of(options.gb))
    use = queries.use(actor, mailbox.collectivite_id if mailbox else collectivite.id)
    if mailbox is None:
        print(_line(use.room, use.collectivite.name, own=use.own_limit_mib is not None))
    for box in use.mailboxes:
        if mailbox is None or box.mailbox.id == mailbox.id:
            print(_line(box.room, box.mailbox.address, own=box.own_limit_mib is not None))
    return 0


def _find(actor: Actor, text: str) -> tuple[Mailbox | None, Collectivite]:
    from beffroi.core.communes import queries as communes  # noqa: PLC0415
    from beffroi.mail import queries as mail  # noqa: PLC0415

    mailbox = mail.visible_mailboxes(actor).filter(address=text.strip().lower()).first()
    if mailbox is not None:
        return mailbox, communes.access_collectivite(actor, mailbox.collectivite_id)
    named = communes.named(actor, text.strip())
    if len(named) != 1:
        raise NoSuchPlace(text)
    return None, named[0]


def _change(actor: Actor, mailbox: Mailbox | None, collectivite: Collectivite, limit_mib: int | None) -> None:
    from beffroi.mail.quota import actions  # noqa: PLC0415

    if mailbox is not None:
        actions.limit_mailbox(actor=actor, mailbox=mailbox, limit_mib=limit_mib)
    else:
        actions.limit_collectivite(actor=actor, collectivite=collectivite, limit_mib=limit_mib)


def _line(room: Room, name: str, *, own: bool = False) -> str:
    limit = gigabytes.written(room.limit_bytes, mib_of)
    said = f"{room.used_bytes / 1e9:8.2f} of {limit} GB {room.percent:4} %  {name}"
    return said + ("  (own limit)" if own else "") + ("  FULL" if room.full else "")
