"""Leave a mailing list: a message that the person sends, or the list's own page, told by its true host.

Input:  hostile: what the mail says. Nothing is fetched from here (docs/decisions/0195-unsubscribing-from-the-page.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from django.conf import settings

from beffroi.core.decisions import queries as decisions
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotFound
from beffroi.mail import access, compose, original
from beffroi.mail.access import Access
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.reader import MessageView
from beffroi.mail.unsubscribing import Way
from beffroi.portal.link_target import target


@dataclass(frozen=True)
class Offer:
    """``url``: to be linked to, "" for a message; ``host``: of the page, or of the message's address."""

    way: Way
    host: str
    url: str = ""


def offered(actor: Actor, view: MessageView) -> Offer | None:
    """None also where a decision in force names the sender or the place."""
    way = view.unsubscribe
    if way is None:
        return None
    sender = view.summary.from_address
    named = [(Kind.SENDER, sender), (Kind.DOMAIN, sender.rpartition("@")[2])]
    if way.address:
        offer = Offer(way, way.address.rpartition("@")[2])
        named.append((Kind.SENDER, way.address))
    else:
        led = target(way.url)
        if led is None or not led.url.startswith("https://"):
            return None
        offer = Offer(way, led.host, led.url)
        named.append((Kind.URL, led.url))
    named.append((Kind.DOMAIN, offer.host))
    return None if any(_is_decided(actor, kind, value) for kind, value in named) else offer


def form(box: Access, uid: int, folder: str) -> dict[str, Any]:
    """Of the message that a list asks for, from the address that it wrote to. Errors: NotFound."""
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        offer = offered(box.actor, opened.read(uid, folder))
        if offer is None or not offer.way.address:
            raise NotFound("list")
        found = original.fetch(opened, uid, folder, "")
    way, own = offer.way, [box.address, *aliases.senders(box.mailbox)]
    written = {"to": way.address, "subject": way.subject, "text": way.text}
    return {**written, "sender": compose.addressed(found, own), "how": "unsubscribe"}


def _is_decided(actor: Actor, kind: Kind, value: str) -> bool:
    try:
        return bool(decisions.covering_decisions(actor, normalise(kind, value)))
    except IndicatorInvalid:
        return True
