"""Which restores exist for whom. The Département sees what it has to carry out; a référent what concerns the
collectivité; everybody else what concerns a mailbox that they read."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import existing
from beffroi.mail import queries as mail
from beffroi.mail.backup.models import Restore
from beffroi.mail.models import Mailbox

OPEN = (Restore.State.ASKED, Restore.State.RUNNING)


def visible(actor: Actor) -> QuerySet[Restore]:
    """Newest first."""
    rows = Restore.objects.order_by("-created_at", "-id")
    if actor.sees_all:
        return rows
    mine = Q(mailbox_id__in=mail.own_mailboxes(actor).order_by().values("id"))
    if actor.role == "referent":
        mine |= Q(collectivite_id=actor.collectivite_id or "")
    return rows.filter(mine, collectivite_id=actor.collectivite_id or "")


def access_restore(actor: Actor, restore_id: str) -> Restore:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible(actor).filter(pk=restore_id).first(), "restore")


def waiting(actor: Actor) -> int:
    """How many wait for the Département; 0 for everybody else."""
    return visible(actor).filter(state__in=OPEN).count() if actor.sees_all else 0


def may_ask(actor: Actor) -> QuerySet[Mailbox]:
    """Mailboxes for which this person may ask: those they read, and for a référent those of the collectivité."""
    if actor.leads is not None:
        return mail.visible_mailboxes(actor)
    return mail.own_mailboxes(actor)


def access_askable(actor: Actor, mailbox_id: str) -> Mailbox:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(may_ask(actor).filter(pk=mailbox_id).first(), "mailbox")


def addresses(rows: list[Restore]) -> dict[str, str]:
    """Mailbox -> address."""
    found = Mailbox.objects.filter(pk__in={one.mailbox_id for one in rows})
    return dict(found.values_list("id", "address"))
