"""The writes of sending: an account over its limit, its containment and its return, and what is done to the queue."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import normalise
from django.conf import settings
from django.db import transaction
from django.db.models import F

from beffroi.core.audit import actions as audit
from beffroi.core.communes.queries import current_domains
from beffroi.core.events.outbox import publish
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict, Invalid
from beffroi.mail.models import JournalPosition, Mailbox
from beffroi.mail.naming import base_address
from beffroi.mail.sending import doubt, pool_actions, pool_queries, queries, reputation
from beffroi.mail.sending.models import AddressListing, ChosenPartner, PartnerTls, SendingAlarm
from beffroi.mail.sending.queue import Waiting


class PartnerInvalid(BeffroiError):
    """This is not the domain of a partner: write it as in prefecture.gouv.fr; our own domains need nothing."""

    code = "mail.partner_invalid"
    http_status = 400


SYSTEM = Actor.system("sending")
UNKNOWN = "unknown"
"""In the place of a limit: other servers do not know the recipients."""
LEFT = "left"
"""The place in Postfix's log up to which it was counted."""
QUEUE_VERBS = ("retry", "release", "return", "delete")
TAKEOVER = "takeover"
"""In the place of a limit: somebody else seems to have set something for the mailbox."""
COMPLAINTS = "complaints"
"""In the place of a limit: recipients told their provider that they do not want this mail."""


@transaction.atomic
def note_refusal(payload: Mapping[str, Any]) -> SendingAlarm | None:
    """What mailgate told of an account over a limit; None when no mailbox has this address any more.

    One alarm of a mailbox is open: it names the latest limit that was passed, each is told of; a takeover goes first.
    """
    mailbox = Mailbox.objects.filter(address=payload["account"], closed_at=None).first()
    if mailbox is None:
        return None
    passed = {"limit": payload["limit"], "most": payload["most"]}
    alarm, made = _alarm(mailbox, **passed)
    another = alarm.limit not in (payload["limit"], TAKEOVER)
    news = {"refused": payload["refused"], "seen_at": clock.now(), **(passed if another else {})}
    SendingAlarm.objects.filter(pk=alarm.pk).update(**news)
    if made or another:
        _record(SYSTEM, "mail:sending:limited", alarm, **passed)
        _tell("mail:sending_limited", alarm)
    if payload["impossible"] and alarm.contained_at is None:
        contain(actor=SYSTEM, alarm=alarm)
    alarm.refresh_from_db()
    return alarm


@transaction.atomic
def note_takeover(*, mailbox: Mailbox, what: str) -> None:
    """A new forward or filter looks like somebody else's hand (filters.rules): hold the account. ``what``: which."""
    alarm, made = _alarm(mailbox, limit=TAKEOVER, most=0)
    if not made:
        SendingAlarm.objects.filter(pk=alarm.pk).update(limit=TAKEOVER, most=0, seen_at=clock.now())
    _record(SYSTEM, "mail:sending:takeover", alarm, what=what)
    contain(actor=SYSTEM, alarm=alarm)


@transaction.atomic
def note_complaints(*, mailbox: Mailbox, count: int) -> SendingAlarm:
    """So many recipients complained of late. A person looks at it: a newsletter is no theft, so nothing is held."""
    alarm, made = _alarm(mailbox, limit=COMPLAINTS, most=count)
    if made:
        _record(SYSTEM, "mail:sending:complaints", alarm, most=count)
        _tell("mail:sending_limited", alarm)
    else:
        SendingAlarm.objects.filter(pk=alarm.pk, limit=COMPLAINTS).update(most=count, seen_at=clock.now())
    return alarm


def _hold_who_writes_to_nobody(mailbox: Mailbox, *, now: datetime) -> None:
    """Hold the account that a list of strangers is written with, unless the Département said that it is well."""
    config = settings.BEFFROI
    unknown, answered = pool_queries.answered_for(mailbox, since=now - timedelta(hours=1))
    most, percent = config.sending_contain_unknown, config.sending_contain_unknown_percent
    if not doubt.writes_to_nobody(unknown, answered, most=most, percent=percent):
        return
    if pool_queries.is_spared(mailbox, now=now):
        return
    alarm, made = _alarm(mailbox, limit=UNKNOWN, most=unknown)
    if alarm.contained_at is not None:
        return
    if not made:
        SendingAlarm.objects.filter(pk=alarm.pk).update(limit=UNKNOWN, most=unknown, seen_at=now)
    _record(SYSTEM, "mail:sending:unknown", alarm, unknown=unknown, answered=answered)
    contain(actor=SYSTEM, alarm=alarm)


def _alarm(mailbox: Mailbox, *, limit: str, most: int) -> tuple[SendingAlarm, bool]:
    """The open alarm of a mailbox, and whether it was made now."""
    return SendingAlarm.objects.get_or_create(
        mailbox_id=mailbox.id,
        closed_at=None,
        defaults={
            "collectivite_id": mailbox.collectivite_id,
            "person_id": mailbox.person_id or "",
            "limit": limit,
            "most": most,
        },
    )


@transaction.atomic
def contain(*, actor: Actor, alarm: SendingAlarm) -> bool:
    """Let the account send nothing: its app passwords rest, its sessions end, its mail waits. False if it was before.

    Errors: NotFound.
    """
    actor.require_sees_all("account")
    now = clock.now()
    if not SendingAlarm.objects.filter(pk=alarm.pk, contained_at=None, closed_at=None).update(
        contained_at=now
    ):
        return False
    person = Person.objects.filter(pk=alarm.person_id).first()
    if person is not None:
        identity.end_sessions(actor=SYSTEM, person=person, collectivite_id=alarm.collectivite_id)
    _record(actor, "mail:sending:contained", alarm)
    _tell("mail:sending_held", alarm)
    return True


@transaction.atomic
def give_back(*, actor: Actor, alarm: SendingAlarm, spared: bool = False) -> bool:
    """End the alarm: what rested works again, what waited leaves. False if it had ended. ``spared``: and for some days
    what other servers answer holds it no more (a newsletter). Errors: NotFound."""
    actor.require_sees_all("account")
    open_ = SendingAlarm.objects.filter(pk=alarm.pk, closed_at=None)
    if not open_.update(closed_at=clock.now(), closed_by=actor.id):
        return False
    _record(actor, "mail:sending:given_back", alarm)
    if spared:
        pool_actions.spare_mailbox(
            actor=actor, mailbox_id=alarm.mailbox_id, collectivite_id=alarm.collectivite_id
        )
    _tell("mail:sending_held", alarm)
    return True


@transaction.atomic
def choose_partner(*, actor: Actor, name: str) -> ChosenPartner:
    """From now on mail to and from this domain passes encrypted or not at all.

    Errors: NotFound (not the Département), PartnerInvalid (no domain, or an enrolled one).
    """
    actor.require_sees_all("partners")
    try:
        domain = normalise("domain", name.strip().lower().removeprefix("@")).value
    except IndicatorInvalid:
        raise PartnerInvalid from None
    if current_domains().filter(name=domain).exists():
        raise PartnerInvalid
    row, made = ChosenPartner.objects.get_or_create(domain=domain, defaults={"chosen_by": actor.id})
    if made:
        _record_partner(actor, "mail:partner:chosen", domain)
    return row


@transaction.atomic
def leave_partner(*, actor: Actor, domain: str) -> bool:
    """Mail with this domain is encrypted only where the other server can. False if it was not chosen.

    Errors: NotFound (not the Département).
    """
    actor.require_sees_all("partners")
    if not ChosenPartner.objects.filter(pk=domain).delete()[0]:
        return False
    _record_partner(actor, "mail:partner:left", domain)
    return True


def _record_partner(actor: Actor, verb: str, domain: str) -> None:
    audit.record(actor, verb, domain, collectivite_id=None, details={})
    publish("mail:partners_chosen", {"domain": domain})


@transaction.atomic
def change_queued(*, actor: Actor, verb: str, messages: Sequence[Waiting]) -> None:
    """Ask for one of ``QUEUE_VERBS`` for mails that wait; the worker sees to it.

    Errors: NotFound (not the Département), Invalid (no such verb), Conflict (no mail, or one that an alarm holds).
    """
    actor.require_sees_all("mail")
    if verb not in QUEUE_VERBS:
        raise Invalid("verb")
    if not messages:
        raise Conflict("none of these mails waits any more")
    if (
        verb in ("retry", "release")
        and {base_address(one.account) for one in messages} & queries.held_senders()
    ):
        raise Conflict("the account of this mail is held; give it back first")
    owners = queries.owners([one.account for one in messages])
    for one in messages:
        audit.record(
            actor,
            f"mail:queue:{verb}",
            one.id,
            collectivite_id=owners.get(one.account),
            details={"recipients": len(one.recipients)},
            personal={"sender": one.account},
        )
    publish("mail:queue_change", {"verb": verb, "ids": [one.id for one in messages]})


@transaction.atomic
def count_left(
    *,
    before: int,
    after: int,
    rows: Sequence[tuple[str, str, int]],
    lanes: Sequence[tuple[str, str, str, int]] = (),
    senders: Sequence[tuple[str, int, int, int]] = (),
) -> bool:
    """Add what left between two places of the log (``queue.Left``); False where another was faster. Numbers, so no
    audit. Whose recipients are unknown to their servers too often is held."""
    position, _ = JournalPosition.objects.get_or_create(pk=LEFT)
    if not JournalPosition.objects.filter(pk=position.pk, offset_bytes=before).update(offset_bytes=after):
        return False
    now = clock.now()
    for domain, how, n in rows:
        row, _ = PartnerTls.objects.get_or_create(domain=domain, day=now.date(), how=how)
        PartnerTls.objects.filter(pk=row.pk).update(count=F("count") + n)
    for mailbox in pool_actions.count_answers(lanes, senders, now=now):
        _hold_who_writes_to_nobody(mailbox, now=now)
    return True


@transaction.atomic
def note_listing(*, address: str, zone: str, state: str) -> AddressListing:
    """Keep what a list said today; the first day on it is recorded and told. No answer changes nothing but the date."""
    now = clock.now()
    row, made = AddressListing.objects.get_or_create(address=address, zone=zone, defaults={"state": state})
    before = "" if made else row.state
    row.checked_at = now
    if state not in (row.state, reputation.UNANSWERED):
        row.state, row.since_at = state, now
    row.save(update_fields=["state", "since_at", "checked_at"])
    if state == reputation.LISTED != before:
        audit.record(SYSTEM, "mail:address:listed", address, collectivite_id=None, details={"zone": zone})
        publish("mail:address_listed", {"address": address, "zone": zone})
    return row


@transaction.atomic
def forget_listings(*, wanted: Collection[tuple[str, str]]) -> int:
    """Let go of what is asked no more: (address, zone) pairs that are not wanted. Return how many."""
    old = [one.pk for one in AddressListing.objects.all() if (one.address, one.zone) not in wanted]
    return AddressListing.objects.filter(pk__in=old).delete()[0]


def _tell(kind: str, alarm: SendingAlarm) -> None:
    told = {"alarm_id": alarm.id, "mailbox_id": alarm.mailbox_id}
    publish(kind, told, collectivite_id=alarm.collectivite_id)


def _record(actor: Actor, verb: str, alarm: SendingAlarm, **details: str | int) -> None:
    told = {"alarm_id": alarm.id, **details}
    audit.record(actor, verb, alarm.mailbox_id, collectivite_id=alarm.collectivite_id, details=told)
