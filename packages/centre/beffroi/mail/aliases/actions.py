"""The writes of aliases and catch-alls. Each is one transaction: change, audit row, event; the engines follow.

Who may: the référent in the own collectivité, the Département everywhere. Targets are mailboxes of the same
collectivité, never aliases. The page of a catch-all asks for a step-up first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from django.db import IntegrityError, transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.communes.queries import collectivite_of_domain
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotFound, existing
from beffroi.mail import naming
from beffroi.mail import queries as mail
from beffroi.mail.aliases.errors import AddressTaken, AliasLoop, NoTarget, TooManyTargets
from beffroi.mail.aliases.models import Alias, AliasTarget, CatchAll
from beffroi.mail.filters.models import Forward
from beffroi.mail.models import Mailbox

MAX_TARGETS = 50
CATCH_ALL_DAYS = 30
CHANGED = "mail:aliases_changed"
SYSTEM = Actor.system("mail.aliases")


@transaction.atomic
def create(
    *, actor: Actor, collectivite: Collectivite, address: str, mailboxes: Iterable[str], sends: bool = False
) -> Alias:
    """An address that leads to these mailboxes (identifiers), from when the engines know it.

    Errors: NotFound, Invalid (domain), AddressUnusable, AddressTaken, NoTarget, TooManyTargets.
    """
    _may(actor, collectivite.id)
    canonical = _address(collectivite.id, address)
    targets = dict.fromkeys(mailboxes)
    if not targets:
        raise NoTarget
    if len(targets) > MAX_TARGETS:
        raise TooManyTargets(MAX_TARGETS)
    outbox.serialise()
    _free(collectivite.id, canonical)
    try:
        with transaction.atomic():
            alias = Alias.objects.create(collectivite_id=collectivite.id, address=canonical, sends=sends)
    except IntegrityError:
        raise AddressTaken("alias") from None
    _record(actor, "mail:alias:created", alias, address=canonical)
    for one in targets:
        _add(actor, alias, _mailbox(actor, alias, one))
    _tell(alias.collectivite_id)
    return alias


@transaction.atomic
def add_target(*, actor: Actor, alias: Alias, mailbox_id: str) -> bool:
    """False if it leads there already. Errors: NotFound, TooManyTargets, AliasLoop (the mailbox forwards to it)."""
    locked = _locked(actor, alias)
    mailbox = _mailbox(actor, locked, mailbox_id)
    current = AliasTarget.objects.filter(alias_id=locked.id, ended_at=None)
    if current.filter(mailbox_id=mailbox.id).exists():
        return False
    if current.count() >= MAX_TARGETS:
        raise TooManyTargets(MAX_TARGETS)
    _add(actor, locked, mailbox)
    _tell(locked.collectivite_id)
    return True


@transaction.atomic
def remove_target(*, actor: Actor, alias: Alias, mailbox_id: str) -> bool:
    """False if it did not lead there; adding it again undoes it. The last one stays: an alias without a reader is
    ended. Errors: NotFound, NoTarget."""
    locked = _locked(actor, alias)
    rows = AliasTarget.objects.filter(alias_id=locked.id, ended_at=None)
    if not rows.filter(mailbox_id=mailbox_id).exists():
        return False
    if not rows.exclude(mailbox_id=mailbox_id).exists():
        raise NoTarget
    rows.filter(mailbox_id=mailbox_id).update(ended_at=clock.now())
    _record(actor, "mail:alias:target_removed", locked, mailbox_id=mailbox_id)
    _tell(locked.collectivite_id)
    return True


@transaction.atomic
def let_send(*, actor: Actor, alias: Alias, sends: bool) -> None:
    """Whether its readers may write with it as sender. Errors: NotFound."""
    locked = _locked(actor, alias)
    if locked.sends != sends:
        Alias.objects.filter(pk=locked.pk).update(sends=sends)
        _record(actor, "mail:alias:sends" if sends else "mail:alias:sends_not", locked)
        _tell(locked.collectivite_id)


@transaction.atomic
def end(*, actor: Actor, alias: Alias) -> bool:
    """Refuse its mail from now on; the address stays reserved. False if it had ended. Errors: NotFound."""
    _may(actor, alias.collectivite_id)
    outbox.serialise()
    if not Alias.objects.filter(pk=alias.pk, ended_at=None).update(ended_at=clock.now()):
        return False
    _record(actor, "mail:alias:ended", alias)
    _tell(alias.collectivite_id)
    return True


@transaction.atomic
def restore(*, actor: Actor, alias: Alias) -> bool:
    """Undo an ending, with the mailboxes it led to. False if it is in force.

    Errors: NotFound, AddressTaken (its domain passed to another collectivité, which has this alias).
    """
    _may(actor, alias.collectivite_id)
    outbox.serialise()
    try:
        with transaction.atomic():
            if not Alias.objects.filter(pk=alias.pk).exclude(ended_at=None).update(ended_at=None):
                return False
    except IntegrityError:
        raise AddressTaken("alias") from None
    _record(actor, "mail:alias:restored", alias)
    _tell(alias.collectivite_id)
    return True


@transaction.atomic
def begin_catch_all(*, actor: Actor, domain: str, mailbox_id: str, days: int = CATCH_ALL_DAYS) -> CatchAll:
    """Let mail for addresses of ``domain`` that do not exist come to a mailbox for ``days``; one before ends.

    Errors: NotFound (domain, mailbox), Invalid (days: 1 to ``CATCH_ALL_DAYS``).
    """
    outbox.serialise()
    owner = existing(Domain.objects.select_for_update().filter(name=domain).first(), "domain").collectivite_id
    _may(actor, owner)
    if not 1 <= days <= CATCH_ALL_DAYS:
        raise Invalid("days")
    open_ = mail.visible_mailboxes(actor).filter(collectivite_id=owner)
    mailbox = existing(open_.filter(pk=mailbox_id).first(), "mailbox")
    now = clock.now()
    CatchAll.objects.filter(domain=domain, ended_at=None).update(ended_at=now)
    row = CatchAll.objects.create(
        collectivite_id=owner,
        domain=domain,
        mailbox_id=mailbox.id,
        by=actor.id,
        expires_at=now + timedelta(days=days),
    )
    _record_catch_all(actor, "mail:catch_all:begun", row, days=days)
    return row


@transaction.atomic
def end_catch_all(*, actor: Actor, row: CatchAll) -> bool:
    """Now. False if it had ended. Errors: NotFound."""
    _may(actor, row.collectivite_id)
    outbox.serialise()
    if not CatchAll.objects.filter(pk=row.pk, ended_at=None).update(ended_at=clock.now()):
        return False
    _record_catch_all(actor, "mail:catch_all:ended", row)
    return True


@transaction.atomic
def end_over() -> int:
    """End catch-alls whose time is over (Postfix has ended them by itself); return how many."""
    over = CatchAll.objects.filter(ended_at=None, expires_at__lte=clock.now())
    return sum(end_catch_all(actor=SYSTEM, row=one) for one in over)


def _may(actor: Actor, collectivite_id: str) -> None:
    if not actor.manages(collectivite_id):
        raise NotFound("alias")


def _locked(actor: Actor, alias: Alias) -> Alias:
    _may(actor, alias.collectivite_id)
    outbox.serialise()
    rows = Alias.objects.select_for_update().filter(pk=alias.pk, ended_at=None)
    return existing(rows.first(), "alias")


def _address(collectivite_id: str, text: str) -> str:
    """Errors: Invalid, AddressUnusable."""
    try:
        canonical = normalise(Kind.SENDER, text).value
    except IndicatorInvalid:
        naming.check_local(text.rpartition("@")[0])
        raise Invalid("address") from None
    local, _, domain = canonical.rpartition("@")
    if len(canonical) > 254 or collectivite_of_domain(domain) != collectivite_id:
        raise Invalid("address")
    naming.check_local(local)
    return canonical


def _free(collectivite_id: str, address: str) -> None:
    """Errors: AddressTaken. The domain's row is locked: a mailbox is made under the same lock (mail/actions.py). What
    another collectivité had below this domain has ended, else the domain had not passed (``leaving.continuing``)."""
    list(Domain.objects.select_for_update().filter(name=address.rpartition("@")[2]))
    mailbox = Mailbox.objects.filter(collectivite_id=collectivite_id, address=address).first()
    if mailbox is not None:
        raise AddressTaken("mailbox" if mailbox.closed_at is None else "closed")
    alias = Alias.objects.filter(collectivite_id=collectivite_id, address=address).first()
    if alias is not None:
        raise AddressTaken("alias" if alias.ended_at is None else "ended")


def _mailbox(actor: Actor, alias: Alias, mailbox_id: str) -> Mailbox:
    """An open one of the alias's collectivité. Errors: NotFound, AliasLoop."""
    rows = mail.visible_mailboxes(actor).filter(collectivite_id=alias.collectivite_id)
    mailbox = existing(rows.filter(pk=mailbox_id).first(), "mailbox")
    forward = Forward.objects.filter(mailbox_id=mailbox.id, ended_at=None).first()
    if forward is not None and naming.base_address(forward.target) == alias.address:
        raise AliasLoop
    return mailbox


def _add(actor: Actor, alias: Alias, mailbox: Mailbox) -> None:
    AliasTarget.objects.create(
        alias_id=alias.id, collectivite_id=alias.collectivite_id, mailbox_id=mailbox.id
    )
    _record(actor, "mail:alias:target_added", alias, mailbox_id=mailbox.id)


def _record(actor: Actor, verb: str, alias: Alias, *, address: str = "", **details: str) -> None:
    audit.record_of(actor, verb, alias, details, personal={"address": address} if address else None)


def _record_catch_all(actor: Actor, verb: str, row: CatchAll, **details: int) -> None:
    audit.record_of(actor, verb, row, {"domain": row.domain, "mailbox_id": row.mailbox_id, **details})
    _tell(row.collectivite_id)


def _tell(collectivite_id: str) -> None:
    publish(CHANGED, {}, collectivite_id=collectivite_id)
