"""`mail alias list | add | end | restore`: addresses that lead to mailboxes, for the Département.

Process: the person's own; root becomes the Python user first.
Fails:   closed; nothing was changed.
Source:  mail/aliases.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beffroi.cli.entering import in_centre
from beffroi.cli.mail import ACTOR, MailUnavailable
from beffroi.cli.options import parsed, with_verbs
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from beffroi.mail.aliases.models import Alias
    from beffroi.mail.aliases.queries import Led


class NoSuchAddress(BeffroiError):
    """No open mailbox, alias or domain of a collectivité fits this address: {}. Next: ./beffroi mail alias list"""

    code = "cli.mail_alias_unknown"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    with in_centre(config, MailUnavailable):
        return _run(options)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi mail alias")
    verbs.add_parser("list", help="all aliases, where they lead, which lead to nobody")
    add = verbs.add_parser("add", help="make an alias, or let one lead to more mailboxes")
    add.add_argument("address", metavar="ALIAS")
    add.add_argument("mailboxes", nargs="+", metavar="MAILBOX", help="addresses of the same collectivité")
    add.add_argument("--sends", action="store_true", help="its readers may write with it")
    for name, told in (("end", "refuse its mail; the address stays reserved"), ("restore", "undo an ending")):
        verbs.add_parser(name, help=told).add_argument("address", metavar="ALIAS")
    return parser


def _run(options: argparse.Namespace) -> int:
    """Errors: NoSuchAddress, and those of ``aliases.actions``."""
    from beffroi.mail.aliases import actions, queries  # noqa: PLC0415
    from beffroi.mail.aliases.models import Alias  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    if options.verb == "list":
        lines = [_line(one) for one in queries.visible_aliases(actor)]
        print("\n".join(lines) or "There is no alias. Next: ./beffroi mail alias add ALIAS MAILBOX")
        return 0
    address = options.address.strip().lower()
    # Of a collectivité that left it stays, ended, while the one that continues it has its own.
    rows = Alias.objects.filter(address=address).order_by("-created_at")
    alias = rows.filter(ended_at=None).first() or rows.first()
    if options.verb == "add":
        alias = _add(actor, address, alias, options)
    elif alias is None:
        raise NoSuchAddress(address)
    elif options.verb == "end":
        actions.end(actor=actor, alias=alias)
        print(f"{address} is refused from now on; its address stays reserved")
        return 0
    else:
        actions.restore(actor=actor, alias=alias)
    print(_line(queries.access_alias(actor, alias.id)))
    return 0


def _add(actor: Actor, address: str, alias: Alias | None, options: argparse.Namespace) -> Alias:
    from beffroi.core.communes import queries as communes  # noqa: PLC0415
    from beffroi.mail import queries as mail  # noqa: PLC0415
    from beffroi.mail.aliases import actions  # noqa: PLC0415

    wanted = [one.strip().lower() for one in options.mailboxes]
    known = dict(mail.visible_mailboxes(actor).filter(address__in=wanted).values_list("address", "id"))
    if missing := [one for one in wanted if one not in known]:
        raise NoSuchAddress(missing[0])
    if alias is not None:
        for one in wanted:
            actions.add_target(actor=actor, alias=alias, mailbox_id=known[one])
        if options.sends:
            actions.let_send(actor=actor, alias=alias, sends=True)
        return alias
    owner = communes.collectivite_of_domain(address.rpartition("@")[2])
    if owner is None:
        raise NoSuchAddress(address)
    return actions.create(
        actor=actor,
        collectivite=communes.access_collectivite(actor, owner),
        address=address,
        mailboxes=[known[one] for one in wanted],
        sends=options.sends,
    )


def _line(one: Led) -> str:
    said = f"{one.alias.address} -> {', '.join(box.address for box in one.open_) or 'NOBODY: refused'}"
    said += f"  (closed: {', '.join(box.address for box in one.closed)})" if one.closed else ""
    return said + ("  (may be written with)" if one.alias.sends else "")
