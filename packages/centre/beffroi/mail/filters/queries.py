"""Read what people set for their mailboxes, on their behalf; and what of it is in force, for the engines."""

from __future__ import annotations

from django.db.models import QuerySet

from beffroi.core.communes.queries import collectivite_of_domain
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import existing
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.filters import sieve
from beffroi.mail.filters.models import Absence, CommonLine, FilterRule, Forward, Signature
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import base_address
from beffroi.mail.sending import queries as sending


def absence(mailbox: Mailbox) -> Absence | None:
    """The present one or the next; None when there is none, or its time is over."""
    return Absence.objects.filter(mailbox_id=mailbox.id, ended_at=None, ends_at__gt=clock.now()).first()


def rules(mailbox: Mailbox) -> QuerySet[FilterRule]:
    """In their order."""
    return FilterRule.objects.filter(mailbox_id=mailbox.id).order_by("position", "id")


def forward(mailbox: Mailbox) -> Forward | None:
    """The one in force, or the one that rests; None when there is none, or its term is over."""
    return Forward.objects.filter(mailbox_id=mailbox.id, ended_at=None, expires_at__gt=clock.now()).first()


def signature(actor: Actor, mailbox: Mailbox) -> str:
    """The actor's own for this address; "" for none."""
    rows = Signature.objects.filter(mailbox_id=mailbox.id, person_id=actor.id)
    return rows.values_list("text", flat=True).first() or ""


def common_line(collectivite_id: str) -> str:
    return CommonLine.objects.filter(pk=collectivite_id).values_list("text", flat=True).first() or ""


def access_rule(mailbox: Mailbox, rule_id: str) -> FilterRule:
    """Errors: NotFound. The caller has checked the mailbox."""
    return existing(rules(mailbox).filter(pk=rule_id).first(), "filter")


def forwards(actor: Actor) -> QuerySet[Forward]:
    """Those not over: all for the Département, those of the collectivité for its référent, else one's own."""
    rows = Forward.objects.filter(ended_at=None, expires_at__gt=clock.now()).order_by("-created_at", "id")
    if actor.sees_all:
        return rows
    rows = rows.filter(collectivite_id=actor.collectivite_id or "")
    return rows if actor.role == "referent" else rows.filter(person_id=actor.id)


def forwards_of(person_id: str, collectivite_id: str) -> QuerySet[Forward]:
    """Those that this person set and nobody ended."""
    return Forward.objects.filter(person_id=person_id, collectivite_id=collectivite_id, ended_at=None)


def access_forward(actor: Actor, forward_id: str) -> Forward:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(forwards(actor).filter(pk=forward_id).first(), "forward")


def is_outside(row: Forward) -> bool:
    """Whether mail leaves the domains of the collectivité by it."""
    return collectivite_of_domain(row.target.rpartition("@")[2]) != row.collectivite_id


def is_closed(target: str) -> bool:
    """Whether mail for it is refused here: its mailbox is closed, and no alias has its address."""
    return not is_here(target) and Mailbox.objects.filter(address=base_address(target)).exists()


def is_here(target: str) -> bool:
    """Whether mail for it is taken here: by an open mailbox or an alias."""
    base = base_address(target)
    return Mailbox.objects.filter(address=base, closed_at=None).exists() or aliases.has_alias(base)


def script(mailbox: Mailbox) -> str:
    """The Sieve script of what is in force or will be; "" for none. A held account sends nothing by it."""
    away, onward = absence(mailbox), forward(mailbox)
    if onward is not None and onward.suspended_at:
        onward = None
    if mailbox.id in sending.held_mailboxes():
        away = onward = None
    return sieve.script(
        mailbox.address,
        away=sieve.Away(away.id, away.begins_at, away.ends_at, away.text, away.every_days) if away else None,
        onward=sieve.Onward(onward.target, onward.keeps_copy, onward.expires_at) if onward else None,
        rules=[as_rule(one) for one in rules(mailbox) if one.is_on],
    )


def as_rule(row: FilterRule) -> sieve.Rule:
    return sieve.Rule(row.field, row.words, row.act, row.folder)
