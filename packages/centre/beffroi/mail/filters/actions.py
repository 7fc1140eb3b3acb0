"""The writes of a mailbox's settings. Each is one transaction: change, audit row, event; the script follows by itself.

Who may: the mailbox's owner; a référent (in the collectivité) and the Département may end a forward.
Privacy: the audit log knows that something was set, and where mail goes on; no words, no texts.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import SignIn
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.mail import compose, folders
from beffroi.mail import queries as mail
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.filters import queries, rules
from beffroi.mail.filters.errors import SettingRefused, TooManyFilters
from beffroi.mail.filters.models import Absence, CommonLine, FilterRule, Forward, Signature
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import base_address
from beffroi.mail.sending import actions as sending
from beffroi.mail.sending.models import SendingAlarm
from beffroi.mail.sending.queries import held_mailboxes

SYSTEM = Actor.system("filters")
MAX_TEXT_CHARS = 4000
MAX_SIGNATURE_CHARS = 1000
MAX_LINE_CHARS = 300
MAX_ABSENCE_DAYS = 366
EVERY_DAYS = (1, 3, 7, 14)
MAX_RULES = 50
MAX_WORDS_CHARS = 200


@transaction.atomic
def set_absence(
    *, actor: Actor, mailbox: Mailbox, first: date, last: date, text: str, every_days: int
) -> Absence:
    """Answer by itself from the first day to the last, both whole. One set before ends.

    Errors: NotFound, SettingRefused (first, last, text, every_days).
    """
    mail.access_mailbox(actor, mailbox.id)
    text = _checked(text, "text", MAX_TEXT_CHARS)
    begins_at, ends_at = (
        datetime.combine(day, time(), PLACE)
        for day in (first, min(last, date.max - timedelta(1)) + timedelta(1))
    )
    if last < first or ends_at <= clock.now():
        raise SettingRefused("last", "past")
    if (last - first).days > MAX_ABSENCE_DAYS or first > clock.now().date() + timedelta(MAX_ABSENCE_DAYS):
        raise SettingRefused("last", "long")
    if every_days not in EVERY_DAYS:
        raise SettingRefused("every_days", "unknown")
    _end_absence(mailbox)
    row = Absence.objects.create(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        person_id=actor.id,
        begins_at=begins_at,
        ends_at=ends_at,
        text=text,
        every_days=every_days,
    )
    _changed(actor, "mail:absence:set", mailbox, absence_id=row.id)
    return row


@transaction.atomic
def end_absence(*, actor: Actor, mailbox: Mailbox) -> bool:
    """End it now; False if there was none. Errors: NotFound."""
    mail.access_mailbox(actor, mailbox.id)
    if not _end_absence(mailbox):
        return False
    _changed(actor, "mail:absence:ended", mailbox)
    return True


def _end_absence(mailbox: Mailbox) -> int:
    return Absence.objects.filter(mailbox_id=mailbox.id, ended_at=None).update(ended_at=clock.now())


@transaction.atomic
def add_rule(
    *,
    actor: Actor,
    mailbox: Mailbox,
    field: str,
    words: str,
    act: str,
    folder: str = "",
    matched: int = 0,
    looked: int = 0,
) -> FilterRule:
    """A new filter, the last in the order. ``matched`` of the last ``looked`` mails, as the preview found.

    Errors: NotFound, SettingRefused (field, words, act, folder), TooManyFilters.
    """
    mail.access_mailbox(actor, mailbox.id)
    if field not in FilterRule.Field.values:
        raise SettingRefused("field", "unknown")
    if act not in FilterRule.Act.values:
        raise SettingRefused("act", "unknown")
    words = _checked(words, "words", MAX_WORDS_CHARS)
    if "\n" in words:
        raise SettingRefused("words", "lines")
    if act in (FilterRule.Act.MOVE, FilterRule.Act.COPY):
        try:
            folder = folders.checked_name(folder)
        except Invalid:
            raise SettingRefused("folder", "unknown") from None
    else:
        folder = ""
    rows = queries.rules(mailbox)
    if rows.count() >= MAX_RULES:
        raise TooManyFilters(MAX_RULES)
    row = FilterRule.objects.create(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        position=(rows.aggregate(last=Max("position"))["last"] or 0) + 1,
        field=field,
        words=words,
        act=act,
        folder=folder,
    )
    _changed(actor, "mail:filter:added", mailbox, filter_id=row.id, act=act)
    if rules.sweeps(queries.as_rule(row), matched=matched, looked=looked) and looks_taken_over(
        actor, mailbox
    ):
        FilterRule.objects.filter(pk=row.pk).update(is_on=False)
        sending.note_takeover(mailbox=mailbox, what="filter")
    return row


@transaction.atomic
def switch_rule(*, actor: Actor, mailbox: Mailbox, rule: FilterRule, on: bool) -> None:
    """Errors: NotFound."""
    mail.access_mailbox(actor, mailbox.id)
    FilterRule.objects.filter(pk=rule.pk, mailbox_id=mailbox.id).update(is_on=on)
    _changed(actor, "mail:filter:on" if on else "mail:filter:off", mailbox, filter_id=rule.id)


@transaction.atomic
def raise_rule(*, actor: Actor, mailbox: Mailbox, rule: FilterRule) -> None:
    """Put it before the one above. Errors: NotFound."""
    mail.access_mailbox(actor, mailbox.id)
    order = list(queries.rules(mailbox))
    at = next((n for n, one in enumerate(order) if one.pk == rule.pk), 0)
    if at > 0:
        order[at - 1 : at + 1] = [order[at], order[at - 1]]
        for position, one in enumerate(order, 1):
            FilterRule.objects.filter(pk=one.pk).update(position=position)
        _changed(actor, "mail:filter:moved", mailbox, filter_id=rule.id)


@transaction.atomic
def remove_rule(*, actor: Actor, mailbox: Mailbox, rule: FilterRule) -> None:
    """Errors: NotFound."""
    mail.access_mailbox(actor, mailbox.id)
    FilterRule.objects.filter(pk=rule.pk, mailbox_id=mailbox.id).delete()
    _changed(actor, "mail:filter:removed", mailbox, filter_id=rule.id)


@transaction.atomic
def set_forward(*, actor: Actor, mailbox: Mailbox, target: str, keeps_copy: bool = True) -> Forward:
    """Let mail go on for a term; the page asks for a step-up first. One set before ends.

    Errors: NotFound, SettingRefused (target).
    """
    mail.access_mailbox(actor, mailbox.id)
    address = _target(mailbox, target)
    outbox.serialise()
    now = clock.now()
    Forward.objects.filter(mailbox_id=mailbox.id, ended_at=None).update(ended_at=now, ended_by=actor.id)
    row = Forward.objects.create(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        person_id=actor.id,
        target=address,
        keeps_copy=keeps_copy,
        expires_at=now + timedelta(days=settings.BEFFROI.forwarding_days),
    )
    _forward_changed(actor, "mail:forward:set", row, target=address)
    if looks_taken_over(actor, mailbox):
        Forward.objects.filter(pk=row.pk).update(suspended_at=now)
        sending.note_takeover(mailbox=mailbox, what="forward")
        row.refresh_from_db()
    return row


def _target(mailbox: Mailbox, text: str) -> str:
    """Errors: SettingRefused."""
    try:
        found = compose.parse_addresses(text, "target")
    except compose.DraftInvalid:
        raise SettingRefused("target", "address") from None
    if len(found) != 1:
        raise SettingRefused("target", "one")
    address = found[0].addr_spec.lower()
    base = base_address(address)
    if base == mailbox.address or aliases.leads_to(base, mailbox.id):
        raise SettingRefused("target", "itself")
    if queries.is_closed(address):
        raise SettingRefused("target", "gone")
    if not queries.is_here(address) and not settings.BEFFROI.outgoing_mail:
        raise SettingRefused("target", "closed")
    if _is_forbidden(Forward(target=address, collectivite_id=mailbox.collectivite_id)):
        raise SettingRefused("target", "outside")
    return address


def _is_forbidden(row: Forward) -> bool:
    """By the Département's settings."""
    return not settings.BEFFROI.forwarding_outside and queries.is_outside(row)


@transaction.atomic
def renew_forward(*, actor: Actor, mailbox: Mailbox) -> Forward:
    """A new term; one that rested goes on. The page asks for a step-up first.

    Errors: NotFound, Conflict (there is none, or the account is held), SettingRefused (could not be set any more).
    """
    mail.access_mailbox(actor, mailbox.id)
    outbox.serialise()
    row = queries.forward(mailbox)
    if row is None or mailbox.id in held_mailboxes():
        raise Conflict("there is no forward, or the account is held")
    _target(mailbox, row.target)
    row.expires_at = clock.now() + timedelta(days=settings.BEFFROI.forwarding_days)
    row.suspended_at = None
    row.save(update_fields=["expires_at", "suspended_at"])
    _forward_changed(actor, "mail:forward:renewed", row)
    return row


@transaction.atomic
def end_forward(*, actor: Actor, row: Forward) -> bool:
    """End it now; False if it had ended. Errors: NotFound (neither owner, référent nor Département)."""
    queries.access_forward(actor, row.id)
    return _end_forward(actor, row)


@transaction.atomic
def end_over() -> int:
    """End forwards whose term is over, that the Département's settings do not allow any more, or that lead to a mailbox
    which was closed; return how many."""
    now = clock.now()
    over = [
        one
        for one in Forward.objects.filter(ended_at=None)
        if one.expires_at <= now or _is_forbidden(one) or queries.is_closed(one.target)
    ]
    return sum(_end_forward(SYSTEM, one) for one in over)


@transaction.atomic
def end_forwards_of(person_id: str, collectivite_id: str) -> list[str]:
    """Whoever left a collectivité receives nothing of it any more; return which ended."""
    return [row.id for row in queries.forwards_of(person_id, collectivite_id) if _end_forward(SYSTEM, row)]


@transaction.atomic
def give_back_forwards(*, actor: Actor, ids: Collection[str]) -> None:
    """Those that a departure ended, when it is undone, for what is left of their term: not where another stands, nor
    what could not be set any more."""
    for row in Forward.objects.filter(pk__in=ids, expires_at__gt=clock.now()).exclude(ended_at=None):
        mailbox = Mailbox.objects.filter(pk=row.mailbox_id, closed_at=None).first()
        if mailbox is None or Forward.objects.filter(mailbox_id=row.mailbox_id, ended_at=None).exists():
            continue
        with suppress(SettingRefused):
            _target(mailbox, row.target)
            Forward.objects.filter(pk=row.pk).update(ended_at=None)
            _forward_changed(actor, "mail:forward:given_back", row)


def _end_forward(actor: Actor, row: Forward) -> bool:
    outbox.serialise()
    open_ = Forward.objects.filter(pk=row.pk, ended_at=None)
    if not open_.update(ended_at=clock.now(), ended_by="" if actor.kind == "system" else actor.id):
        return False
    _forward_changed(actor, "mail:forward:ended", row)
    return True


@transaction.atomic
def set_signature(*, actor: Actor, mailbox: Mailbox, text: str) -> None:
    """Under what the actor writes from this address; "" for none. Errors: NotFound, SettingRefused (signature)."""
    mail.access_mailbox(actor, mailbox.id)
    text = _checked(text, "signature", MAX_SIGNATURE_CHARS, empty=True)
    Signature.objects.filter(mailbox_id=mailbox.id, person_id=actor.id).delete()
    if text:
        Signature.objects.create(
            mailbox_id=mailbox.id, collectivite_id=mailbox.collectivite_id, person_id=actor.id, text=text
        )
    audit.record_of(actor, "mail:signature:set", mailbox)


@transaction.atomic
def set_common_line(*, actor: Actor, text: str) -> None:
    """Under every signature of the référent's collectivité; "" for none. Errors: NotAllowed, SettingRefused (line)."""
    owner = actor.leads
    if owner is None:
        raise NotAllowed("set this line")
    text = _checked(text, "line", MAX_LINE_CHARS, empty=True)
    CommonLine.objects.update_or_create(
        collectivite_id=owner, defaults={"text": text, "changed_at": clock.now()}
    )
    audit.record(actor, "mail:common_line:set", owner, collectivite_id=owner)


@transaction.atomic
def forget(person_id: str) -> None:
    """What an erased person had set goes, with where their mail went on to; their scripts follow."""
    own = Mailbox.objects.filter(person_id=person_id).values("pk")
    boxes: set[str] = set()
    for rows in (
        *(model.objects.filter(person_id=person_id) for model in (Absence, Forward, Signature)),
        FilterRule.objects.filter(mailbox_id__in=own),
    ):
        boxes |= set(rows.values_list("mailbox_id", flat=True))
        rows.delete()
    audit.erase_personal_of(actor=SYSTEM, verb="mail:forward:set", actor_id=person_id)
    for mailbox in Mailbox.objects.filter(pk__in=boxes):
        _publish(mailbox.id, mailbox.collectivite_id)


def looks_taken_over(actor: Actor, mailbox: Mailbox, *, address: str = "") -> bool:
    """Whether the actor came from a network never seen before, and nobody has cleared the account since.

    ``address``: where a mail program is just now, of which no row may tell yet.
    """
    now = clock.now()
    cleared = SendingAlarm.objects.filter(
        mailbox_id=mailbox.id, limit=sending.TAKEOVER, closed_at__gte=now - rules.RECENT
    )
    if cleared.exists():
        return False
    rows = SignIn.objects.filter(person_id=actor.id)
    came = [rules.Came(one.door, one.address, one.first_at, one.last_at) for one in rows]
    if address:
        came.append(rules.Came("sieve", address, now, now))
    return bool(rules.new_networks(came, now))


def _checked(text: str, field_name: str, limit: int, *, empty: bool = False) -> str:
    """Errors: SettingRefused."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text and not empty:
        raise SettingRefused(field_name, "empty")
    if len(text) > limit:
        raise SettingRefused(field_name, "long")
    if any((ord(sign) < 32 and sign not in "\n\t") or 0xD800 <= ord(sign) <= 0xDFFF for sign in text):
        raise SettingRefused(field_name, "signs")
    return text


def _changed(actor: Actor, verb: str, mailbox: Mailbox, **details: str) -> None:
    audit.record_of(actor, verb, mailbox, details)
    _publish(mailbox.id, mailbox.collectivite_id)


def _forward_changed(actor: Actor, verb: str, row: Forward, *, target: str = "") -> None:
    owner, details = row.collectivite_id, {"forward_id": row.id}
    personal = {"target": target} if target else None
    audit.record(actor, verb, row.mailbox_id, collectivite_id=owner, details=details, personal=personal)
    _publish(row.mailbox_id, owner)


def _publish(mailbox_id: str, collectivite_id: str) -> None:
    publish("mail:filters_changed", {"mailbox_id": mailbox_id}, collectivite_id=collectivite_id)
