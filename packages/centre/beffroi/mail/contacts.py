"""Whom one may want to write to: the mailboxes of one's collectivité, and people one wrote to.

Process: web. The addresses one wrote to are read from the folder Sent each time: nothing of them is kept elsewhere, so
         that what the owner erases is forgotten.
Hostile: names in one's own sent mail.
Fails:   open: without Dovecot the mailboxes of the collectivité remain.
"""

from __future__ import annotations

from typing import Any

from imapclient.exceptions import IMAPClientError

from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib.config import Config
from beffroi.mail import access, drafts, heads, queries, reader
from beffroi.mail.access import Access, Right
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.decoding import header_text
from beffroi.mail.models import Mailbox
from beffroi.mail.people import queries as people

MAX_SENT = 500
MAX_PEOPLE = 1000


def suggestions(config: Config, actor: Actor, mailbox: Mailbox) -> list[tuple[str, str]]:
    """(name, address) each once: written to, the latest first; then the collectivité. Errors: NotFound."""
    opened = access.access(actor, mailbox.id, Right.ANSWER)
    found: dict[str, tuple[str, str]] = {}
    for name, address in (*_written_to(config, opened), *_own_collectivite(actor)):
        key = address.lower()
        if key != mailbox.address.lower() and (key not in found or (name and not found[key][0])):
            found[key] = (name, address)
    return list(found.values())[:MAX_PEOPLE]


def _own_collectivite(actor: Actor) -> list[tuple[str, str]]:
    boxes = list(queries.visible_mailboxes(actor).filter(collectivite_id=actor.collectivite_id or ""))
    names = dict(
        Person.objects.filter(pk__in=[one.person_id for one in boxes if one.person_id]).values_list(
            "pk", "name"
        )
    )
    titles = people.titles(boxes)
    found = [(names.get(one.person_id or "", titles.get(one.id, "")), one.address) for one in boxes]
    return found + [("", one) for one in aliases.addresses_of(actor.collectivite_id or "")]


def _written_to(config: Config, opened: Access) -> list[tuple[str, str]]:
    try:
        with access.connect(config, opened) as client:
            return list(_of_sent(client))
    except reader.MailboxUnavailable:
        return []


def _of_sent(client: Any) -> list[tuple[str, str]]:
    try:
        client.select_folder(drafts.SENT, readonly=True)
    except IMAPClientError:
        return []
    uids = sorted(client.search("ALL"))[-MAX_SENT:]
    rows = client.fetch(uids, ["ENVELOPE"]) if uids else {}
    out = []
    for uid in sorted(rows, reverse=True):
        envelope = rows[uid].get(b"ENVELOPE")
        for field in ("to", "cc", "bcc"):
            for one in getattr(envelope, field, None) or ():
                if address := heads.address_of(one):
                    out.append((header_text(one.name), address))
    return out
