"""Another collectivité continues the one that leaves, as when communes merge: mail for its addresses goes there.

Rule:    an administrator names a shared mailbox of the one that continues. In the transaction of the mark the domains
         pass to that collectivité, and each address gets an alias of it: of a person, to the mailbox that this person
         has there; of all the rest, to the mailbox named. Who has none there is refused, as after any departure.
         Mailboxes, files and keys stay with who left, until their erasure; aliases are the other's to change.
Undo:    ``end``, and with a departure that is taken back: the domains return, the aliases made for them end.
Erased:  who continues an erased one stands in STATE/erased, too: a database from before knows nothing of it, and mail
         for its addresses must not stop because of a restore (``again``).
Process: worker (``applying``, ``erasing``), console.
Source:  docs/decisions/0154-a-commune-that-another-one-continues.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from beffroi.core.audit import actions as audit
from beffroi.core.communes import actions as communes
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.events import outbox
from beffroi.core.identity import erasure as names
from beffroi.core.identity.actor import Actor
from beffroi.leaving import actions, queries, rows
from beffroi.leaving.models import Leaving
from beffroi.leaving.queries import SYSTEM
from beffroi.lib import reasons
from beffroi.lib.errors import Conflict, Invalid
from beffroi.mail.aliases import actions as aliases
from beffroi.mail.aliases.models import Alias, AliasTarget, CatchAll
from beffroi.mail.domains import actions as domains
from beffroi.mail.filters import actions as filters
from beffroi.mail.filters.models import Forward
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import base_address
from beffroi.mail.noted import change

_ERASED = "continued.{}"
RESTORED = "La base de données a été remise comme avant ce départ."


class ReceiverInvalid(Invalid):
    """The mail of a collectivité that leaves goes to an open shared mailbox of another one."""

    code = "communes.receiver_invalid"


class MailboxesThere(Conflict):
    """Mailboxes were made below a domain that would return: {}. Close them first."""

    code = "communes.mailboxes_there"


def continued(leaving: Leaving) -> dict[str, Any] | None:
    """``by`` (a collectivité), ``mailbox_id``, ``reason``, and from its day on ``domains`` (identifiers)."""
    found: dict[str, Any] | None = json.loads(leaving.undo).get("continued")
    return found


@transaction.atomic
def begin(*, actor: Actor, leaving: Leaving, address: str, reason: str) -> None:
    """``address``: of the mailbox that receives; ``reason``: the act that says who continues, and its date. On the day
    of the departure; at once where that is over.

    Errors: NotAllowed, ReceiverInvalid, Invalid (reason), Conflict (said before, being left, its erasure has begun).
    """
    actor.require_administrator("say who continues a collectivité")
    outbox.serialise()
    locked = _locked(leaving)
    if continued(locked) is not None:
        raise Conflict("somebody continues it already")
    mailbox = Mailbox.objects.filter(address=address.strip().lower(), closed_at=None, person_id=None).first()
    if mailbox is None or mailbox.collectivite_id == locked.collectivite_id:
        raise ReceiverInvalid
    said = reasons.checked(reason)
    found = {"by": mailbox.collectivite_id, "mailbox_id": mailbox.id, "reason": said}
    _keep(locked, found)
    _record(actor, "continued", locked, found["by"], reason=said)
    if locked.left_at is not None:
        carry_on(locked)
    else:
        actions.tell(locked)


@transaction.atomic
def end(*, actor: Actor, leaving: Leaving) -> None:
    """Nobody continues it: what passed returns. Nothing where nobody did.

    Errors: NotAllowed, MailboxesThere, Conflict (being left, its erasure has begun).
    """
    actor.require_administrator("say who continues a collectivité")
    outbox.serialise()
    locked = _locked(leaving)
    found = continued(locked)
    if found is None:
        return
    passed = list(Domain.objects.filter(pk__in=found.get("domains", ()), collectivite_id=found["by"]))
    below = Q(pk__in=())
    for domain in passed:
        below |= Q(address__endswith=f"@{domain.name}")
    theirs = below & Q(collectivite_id=found["by"])
    if there := sorted(Mailbox.objects.filter(theirs, closed_at=None).values_list("address", flat=True)):
        raise MailboxesThere(", ".join(there))
    for alias in Alias.objects.filter(theirs, ended_at=None):
        aliases.end(actor=actor, alias=alias)
    for caught in CatchAll.objects.filter(domain__in=[one.name for one in passed], ended_at=None):
        aliases.end_catch_all(actor=actor, row=caught)
    for domain in passed:
        _pass(actor, domain, Collectivite.objects.get(pk=locked.collectivite_id))
    _keep(locked, None)
    _record(actor, "not_continued", locked, found["by"])
    actions.tell(locked, not_continued_by=found["by"])


def carry_on(leaving: Leaving) -> None:
    """In the caller's transaction, after the mark, its own aliases having ended. Nothing where nobody continues it, or
    who should has left."""
    found = continued(leaving)
    owner = Collectivite.objects.filter(pk=found["by"], left_at=None).first() if found else None
    if found is None or owner is None:
        return
    passed = list(Domain.objects.select_for_update().filter(collectivite_id=leaving.collectivite_id))
    leads = list(addresses(leaving))
    for domain in passed:
        _pass(SYSTEM, domain, owner)
    for forward in Forward.objects.filter(collectivite_id=owner.id, ended_at=None):
        # It would lead back to where it comes from.
        if base_address(forward.target).rpartition("@")[2] in {one.name for one in passed}:
            filters.end_forward(actor=SYSTEM, row=forward)
    for address, mailboxes in leads:
        before = Alias.objects.filter(address=address, collectivite_id=owner.id).first()
        if before is not None:
            aliases.restore(actor=SYSTEM, alias=before)
        elif mailboxes:
            aliases.create(
                actor=SYSTEM,
                collectivite=owner,
                address=address,
                mailboxes=[one.id for one in mailboxes[: aliases.MAX_TARGETS]],
            )
    _keep(leaving, found | {"domains": [one.id for one in passed]})
    _record(
        SYSTEM,
        "carried_on",
        leaving,
        owner.id,
        domains=len(passed),
        addresses=sum(bool(one) for _address, one in leads),
        refused=sum(not one for _address, one in leads),
    )
    actions.tell(leaving)


def remember(leaving: Leaving) -> None:
    """Beside the database, when all of it is erased, as a file's name: identifiers alone, and a backup brings it along.
    Errors: OSError."""
    found = continued(leaving)
    if found is not None and "domains" in found:
        name = f"{_ERASED.format(leaving.collectivite_id)}.{found['by']}.{found['mailbox_id']}"
        names.remember(settings.BEFFROI, name)


def again(owner: str) -> Leaving | None:
    """Of an erased one that is back with a database from before, in the caller's transaction: its departure, with who
    continues it now. None where nobody does, or its domains have passed in this database."""
    found, last = None, owner
    # Who continued it may have been erased since, and continued in its turn.
    while one := next((settings.BEFFROI.state / names.ERASED).glob(f"{_ERASED.format(last)}.*"), None):
        last, mailbox_id = one.name.split(".")[2:]
        found = {"by": last, "mailbox_id": mailbox_id, "reason": RESTORED}
    leaving = Leaving.objects.filter(collectivite_id=owner, state__in=queries.STANDING).first()
    if found is None or (leaving is not None and "domains" in (continued(leaving) or {})):
        return None
    if leaving is None:
        leaving = Leaving.objects.create(
            collectivite_id=owner, leaves_on=queries.today(), reason=RESTORED, said_by=SYSTEM.id
        )
    _keep(leaving, found)
    return leaving


def addresses(leaving: Leaving) -> Iterator[tuple[str, list[Mailbox]]]:
    """Each address that is in use, or was until the departure, and the open mailboxes of who continues it that get its
    mail; none: it is refused. Mailboxes first, then aliases, by address."""
    found = continued(leaving)
    if found is None:
        return
    there = list(
        Mailbox.objects.filter(collectivite_id=found["by"], closed_at=None).order_by("created_at", "id")
    )
    shared = [one for one in there if one.id == found["mailbox_id"]]
    own = {one.person_id: [one] for one in reversed(there) if one.person_id}
    of_it = Mailbox.objects.filter(collectivite_id=leaving.collectivite_id)
    used = Q(closed_at=None)
    if leaving.left_at:
        used |= Q(closed_at__gte=leaving.left_at) | Q(pk__in=queries.closed_by(leaving))
    leads = {one.id: own.get(one.person_id, []) if one.person_id else shared for one in of_it}
    for box in of_it.filter(used).order_by("address"):
        yield box.address, leads[box.id]
    ended = json.loads(leaving.undo).get("aliases", ())
    of_it_too = Alias.objects.filter(
        Q(ended_at=None) | Q(pk__in=ended), collectivite_id=leaving.collectivite_id
    )
    for alias in of_it_too.order_by("address"):
        targets = AliasTarget.objects.filter(alias_id=alias.id, ended_at=None)
        read = {one.id: one for target in targets for one in leads.get(target.mailbox_id, [])}
        yield alias.address, list(read.values()) or shared


def _locked(leaving: Leaving) -> Leaving:
    """One that stands, and is not just being applied. Errors: Conflict."""
    locked = Leaving.objects.select_for_update().get(pk=leaving.pk)
    if locked.state not in queries.STANDING:
        raise Conflict("this collectivité stays")
    if locked.left_at is not None and locked.applied_at is None:
        raise actions.StillEnding
    if queries.erasure_has_begun(locked.collectivite_id):
        raise Conflict("its erasure has begun")
    return locked


def _keep(leaving: Leaving, found: dict[str, Any] | None) -> None:
    change(leaving, undo=json.dumps(json.loads(leaving.undo) | {"continued": found}))


def _pass(actor: Actor, domain: Domain, to: Collectivite) -> None:
    """With all that was written down of it."""
    domains.pass_keys(actor=actor, domain=domain, to=to.id)
    communes.pass_domain(actor=actor, domain=domain, to=to)
    for model in rows.named().values():
        if any(field.attname == "domain_id" for field in model._meta.concrete_fields):
            model._default_manager.filter(domain_id=domain.id).update(collectivite_id=to.id)


def _record(actor: Actor, what: str, leaving: Leaving, by: str, reason: str = "", **details: int) -> None:
    """In the logs of both."""
    for owner in (leaving.collectivite_id, by):
        audit.record(
            actor,
            f"communes:leaving:{what}",
            leaving.id,
            collectivite_id=owner,
            details={"former": leaving.collectivite_id, "by": by, **details},
            personal={"why": reason} if reason else None,
        )
