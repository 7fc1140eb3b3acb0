"""Read room on someone's behalf: a référent that of the collectivité, the Département everybody's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Sum

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotAllowed
from beffroi.lib.gigabytes import GB
from beffroi.mail import queries
from beffroi.mail.models import Mailbox
from beffroi.mail.quota.models import CollectiviteRoom, MailboxRoom
from beffroi.mail.quota.rules import MIB, Room


@dataclass(frozen=True)
class MailboxUse:
    """``own_limit_mib``: None where the setting counts. ``counted_at``: None before the first count."""

    mailbox: Mailbox
    room: Room
    own_limit_mib: int | None
    counted_at: datetime | None


@dataclass(frozen=True)
class CollectiviteUse:
    """``mailboxes``: the fullest first."""

    collectivite: Collectivite
    room: Room
    own_limit_mib: int | None
    mailboxes: list[MailboxUse]


def limit_mib(mailbox_id: str) -> int | None:
    """The limit of this mailbox alone, or None."""
    return MailboxRoom.objects.filter(pk=mailbox_id).values_list("limit_mib", flat=True).first()


def use(actor: Actor, collectivite_id: str) -> CollectiviteUse:
    """Which mailbox takes how much. Errors: NotFound (another collectivité), NotAllowed (neither référent nor
    Département): how full a colleague's mailbox is concerns nobody else."""
    collectivite = communes.access_collectivite(actor, collectivite_id)
    if not actor.manages(collectivite.id):
        raise NotAllowed("room is the référent's")
    boxes = list(queries.visible_mailboxes(actor).filter(collectivite_id=collectivite.id))
    rooms = MailboxRoom.objects.in_bulk([one.id for one in boxes])
    uses = [_mailbox(one, rooms.get(one.id)) for one in boxes]
    uses.sort(key=lambda one: (-one.room.used_bytes, one.mailbox.address))
    chosen = CollectiviteRoom.objects.filter(pk=collectivite.id).values_list("limit_mib", flat=True).first()
    total = Room(sum(one.room.used_bytes for one in uses), _collectivite_bytes(chosen))
    return CollectiviteUse(collectivite, total, chosen, uses)


def _mailbox(mailbox: Mailbox, row: MailboxRoom | None) -> MailboxUse:
    own = row.limit_mib if row else None
    room = Room(row.used_bytes if row else 0, limit_bytes(own))
    return MailboxUse(mailbox, room, own, row.counted_at if row else None)


def mailbox_room(mailbox: Mailbox) -> Room:
    """As it was last counted."""
    return _mailbox(mailbox, MailboxRoom.objects.filter(pk=mailbox.id).first()).room


def filling_mailboxes() -> list[tuple[Mailbox, Room]]:
    """Those whose people are told that there is little room left, as far as it is counted."""
    boxes = Mailbox.objects.filter(closed_at=None).in_bulk()
    rows = MailboxRoom.objects.filter(used_bytes__gt=0).in_bulk()
    found = [(box, _mailbox(box, rows[key]).room) for key, box in boxes.items() if key in rows]
    return [(box, room) for box, room in found if room.level]


def limit_bytes(own_limit_mib: int | None) -> int:
    """Of a mailbox."""
    return own_limit_mib * MIB if own_limit_mib else settings.BEFFROI.mail_quota_gb * GB


def _collectivite_bytes(chosen_mib: int | None) -> int:
    return chosen_mib * MIB if chosen_mib else settings.BEFFROI.mail_quota_collectivite_gb * GB


def rooms(collectivite_ids: Iterable[str]) -> dict[str, Room]:
    """Of these collectivités, in two queries."""
    wanted = list(collectivite_ids)
    chosen = dict(CollectiviteRoom.objects.filter(pk__in=wanted).values_list("collectivite_id", "limit_mib"))
    opened = Mailbox.objects.filter(closed_at=None, collectivite_id__in=wanted).values("id")
    rows = MailboxRoom.objects.filter(mailbox_id__in=opened).values("collectivite_id")
    used = dict(rows.annotate(total=Sum("used_bytes")).values_list("collectivite_id", "total"))
    return {
        one: Room(used.get(one, 0), _collectivite_bytes(chosen.get(one))) for one in dict.fromkeys(wanted)
    }


def filling() -> list[str]:
    """The collectivités whose people are told that there is little room left, as far as it is counted."""
    used = Mailbox.objects.filter(closed_at=None).values_list("collectivite_id", flat=True).distinct()
    return [one for one, room in rooms(used).items() if room.level]


def full_domains() -> list[str]:
    """Domains of collectivités that take no more mail at present; for Postfix."""
    owners = dict(communes.current_domains().values_list("name", "collectivite_id"))
    state = rooms(owners.values())
    return sorted(name for name, owner in owners.items() if state[owner].full)
