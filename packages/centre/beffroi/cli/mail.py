"""`mail queue | retry | release | return | delete`: what waits to leave, and what to do about it; `mail hand-over`: a
mail that is held for a program goes to its owner.

Purpose: the console's page of outgoing mail on the command line.
Process: the person's own; root becomes the Python user first. Postfix is asked through the keeper alone.
Fails:   closed; what waits stays.
Source:  mail/sending/keeper.py; docs/runbooks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from beffroi.cli.entering import in_centre
from beffroi.cli.options import parsed, run, with_verbs
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

ACTOR = "mail-command"
_DONE = {
    "retry": "Postfix tries it again now",
    "release": "It is no longer held and leaves now",
    "return": "It goes back to its sender with an explanation",
    "delete": "It is deleted; nobody is told",
}
_ELSEWHERE = {
    "import": ("mail_import.main", "bring the mails of an archive into a mailbox"),
    "alias": ("mail_alias.main", "addresses that lead to mailboxes"),
    "quota": ("mail_quota.main", "room of mailboxes"),
    "backup": ("mail_backup.backup", "copies of all mailboxes"),
    "restore": ("mail_backup.restore", "mails that are missing come back"),
    "unscanned": ("mail_unscanned.main", "let incoming mail pass while rspamd is away"),
}
"""Verbs that have a module."""


class MailUnavailable(BeffroiError):
    """The mail of {} cannot be looked at: {}. Nothing was changed. Next: ./beffroi status"""

    code = "cli.mail_unavailable"


def main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in _ELSEWHERE:
        return run(_ELSEWHERE[arguments[0]][0], arguments[1:])
    options, config = parsed(_parser(), arguments)
    with in_centre(config, MailUnavailable):
        if options.verb == "queue":
            return show(config, as_json=options.json)
        if options.verb == "hand-over":
            return hand_over(options.id)
        return change(config, options.verb, options.id)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi mail")
    queue = verbs.add_parser("queue", help="what waits: since when, from which account, why")
    queue.add_argument("--json", action="store_true")
    for name, told in _DONE.items():
        verb = verbs.add_parser(name, help=told)
        verb.add_argument("id", metavar="ID")
    handed = verbs.add_parser("hand-over", help="give a mail that is held for its attachment to its owner")
    handed.add_argument("id", metavar="REFERENCE", help="hld_..., as the owner's page shows it")
    for name, (_place, told) in _ELSEWHERE.items():
        verbs.add_parser(name, help=f"{told}: mail {name} --help")
    return parser


def show(config: Config, *, as_json: bool) -> int:
    """Errors: QueueUnavailable."""
    from beffroi.mail.sending import queries  # noqa: PLC0415

    found = queries.outgoing(Actor.system(ACTOR), config)
    if as_json:
        told = [
            {
                "id": one.mail.id,
                "state": one.mail.queue,
                "since": one.mail.since.isoformat(),
                "sender": one.mail.sender,
                "account": one.mail.account,
                "collectivite_id": one.collectivite_id or None,
                "size_bytes": one.mail.size_bytes,
                "recipients": [{"address": a, "why": why} for a, why in one.mail.recipients],
            }
            for one in found.rows
        ]
        print(json.dumps({"total": found.total, "messages": told}, ensure_ascii=False))
        return 0
    if not found.rows:
        print("Nothing waits to leave.")
    for one in found.rows:
        minutes = int((clock.now() - one.mail.since).total_seconds()) // 60
        mail = one.mail
        who = mail.account or ("a notice of a server" if mail.passed_on else "the centre")
        print(f"{mail.id:<18} {mail.queue:<9}{minutes:>6} min  {who}  {mail.reason or '-'}")
        for address, why in mail.recipients:
            print(f"{'':<19}to {address}{f': {why}' if why and why != mail.reason else ''}")
    if found.total > len(found.rows):
        print(f"and {found.total - len(found.rows)} more")
    return 0


def hand_over(held_id: str) -> int:
    """Errors: NotFound, Conflict, HeldByDecision."""
    from beffroi.mail.held import actions  # noqa: PLC0415

    row = actions.hand_over(actor=Actor.system(ACTOR), held_id=held_id)
    print(f"It goes to the inbox of its owner: {row.findings}. The audit log has it.")
    return 0


def change(config: Config, verb: str, queue_id: str) -> int:
    """Errors: NotFound, Conflict, QueueUnavailable."""
    from beffroi.mail.sending import actions, queries  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    found = queries.access_queued(actor, config, queue_id)
    actions.change_queued(actor=actor, verb=verb, messages=[found.mail])
    print(f"{_DONE[verb]}. Next: ./beffroi mail queue")
    return 0
