"""Read aliases and catch-alls on someone's behalf, and what the engines must know of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import existing
from beffroi.mail import compose
from beffroi.mail import queries as mail
from beffroi.mail.alias_routes import MailRoutes
from beffroi.mail.aliases.models import Alias, AliasTarget, CatchAll
from beffroi.mail.domains import queries as domains
from beffroi.mail.models import Mailbox, MailDelivery, MailRecipient
from beffroi.mail.naming import base_address
from beffroi.mail.people import queries as people
from beffroi.mail.quota import queries as quota
from beffroi.mail.quota.models import MailboxRoom
from beffroi.mail.quota.rules import Room

SEEN_DAYS = 14
MAX_SEEN = 2000
STATES = ("", "lost", "ended")
"""In force; in force without an open mailbox, so that their mail is refused; ended."""


@dataclass(frozen=True)
class Led:
    """An alias as people see it. ``open_``: mailboxes that get its mail; ``closed``: would get it, were they open."""

    alias: Alias
    open_: list[Mailbox]
    closed: list[Mailbox]

    @property
    def lost(self) -> bool:
        """Mail for it is refused: nobody is left to read it."""
        return not self.open_


def _rows(actor: Actor) -> QuerySet[Alias]:
    """All for the Département, those of the collectivité for its référent, else those that lead to the person's own."""
    rows = Alias.objects.order_by("address")
    if actor.sees_all:
        return rows
    rows = rows.filter(collectivite_id=actor.collectivite_id or "")
    if people.may_manage(actor):
        return rows
    own = mail.own_mailboxes(actor).values("pk")
    mine = AliasTarget.objects.filter(mailbox_id__in=own, ended_at=None)
    return rows.filter(pk__in=mine.values("alias_id"))


def visible_aliases(actor: Actor) -> list[Led]:
    return led(_rows(actor).filter(ended_at=None))


def access_alias(actor: Actor, alias_id: str) -> Led:
    """Errors: NotFound, for absent, ended and forbidden alike."""
    return existing(next(iter(led(_rows(actor).filter(pk=alias_id, ended_at=None))), None), "alias")


def ended_aliases(actor: Actor) -> list[Alias]:
    """Those that may be taken up again; for the référent and the Département."""
    return list(_rows(actor).exclude(ended_at=None)) if people.may_manage(actor) else []


def access_ended(actor: Actor, alias_id: str) -> Alias:
    """One that may be taken up again. Errors: NotFound."""
    rows = _rows(actor).filter(pk=alias_id).exclude(ended_at=None)
    return existing(rows.first() if people.may_manage(actor) else None, "alias")


def counted(actor: Actor, collectivite_id: str) -> dict[str, int]:
    """How many aliases of a collectivité there are in each of ``STATES``."""
    return {state: _in_state(actor, collectivite_id, state).count() for state in STATES}


def found(
    actor: Actor, collectivite_id: str, *, state: str, text: str, start: int, most: int
) -> tuple[list[Led], int]:
    """Aliases of a collectivité in one of ``STATES`` whose address, or a mailbox of which, has ``text`` in it; and how
    many there are in all. Those from ``start`` on, ``most`` at most. Four queries for any number."""
    rows = _in_state(actor, collectivite_id, state)
    if wanted := text.strip().lower():
        boxes = Mailbox.objects.filter(collectivite_id=collectivite_id, address__contains=wanted)
        leads = AliasTarget.objects.filter(mailbox_id__in=boxes.values("pk"), ended_at=None)
        rows = rows.filter(Q(address__contains=wanted) | Q(pk__in=leads.values("alias_id")))
    return led(rows[start : start + most]), rows.count()


def _in_state(actor: Actor, collectivite_id: str, state: str) -> QuerySet[Alias]:
    rows = _rows(actor).filter(collectivite_id=collectivite_id)
    if state == "ended":
        return rows.exclude(ended_at=None)
    if state == "lost":
        open_ = Mailbox.objects.filter(collectivite_id=collectivite_id, closed_at=None)
        read = AliasTarget.objects.filter(mailbox_id__in=open_.values("pk"), ended_at=None)
        return rows.filter(ended_at=None).exclude(pk__in=read.values("alias_id"))
    return rows.filter(ended_at=None)


def lost_aliases(actor: Actor) -> list[Led]:
    """Those that lead to nobody any more: their mail is refused. For the référent and the Département."""
    return [one for one in visible_aliases(actor) if one.lost] if people.may_manage(actor) else []


def led(rows: Iterable[Alias]) -> list[Led]:
    """With their mailboxes, by address; three queries for any number."""
    aliases = list(rows)
    targets = AliasTarget.objects.filter(alias_id__in=[one.id for one in aliases], ended_at=None)
    pairs = list(targets.values_list("alias_id", "mailbox_id"))
    boxes = Mailbox.objects.in_bulk([mailbox for _, mailbox in pairs])
    found: dict[str, list[Mailbox]] = defaultdict(list)
    for alias, mailbox in pairs:
        if mailbox in boxes:
            found[alias].append(boxes[mailbox])
    return [
        Led(
            one,
            sorted((b for b in found[one.id] if b.closed_at is None), key=lambda b: b.address),
            sorted((b for b in found[one.id] if b.closed_at is not None), key=lambda b: b.address),
        )
        for one in aliases
    ]


def leading_to(mailboxes: Sequence[Mailbox]) -> list[Led]:
    """The aliases in force that lead to one of these mailboxes, for who may see these."""
    targets = AliasTarget.objects.filter(mailbox_id__in=[one.pk for one in mailboxes], ended_at=None)
    return led(Alias.objects.filter(pk__in=targets.values("alias_id"), ended_at=None).order_by("address"))


def senders(mailbox: Mailbox) -> list[str]:
    """What this mailbox may write as, beside its own address."""
    return [one.alias.address for one in leading_to([mailbox]) if one.alias.sends]


def may_write_as(mailbox: Mailbox, address: str) -> bool:
    """Whether ``address`` (lower case) is this mailbox's own or one of ``senders``, with any "+detail"."""
    try:
        (typed,) = compose.parse_addresses(address, "sender")
    except (compose.DraftInvalid, ValueError):
        return False
    return typed.addr_spec == address and base_address(address) in {mailbox.address, *senders(mailbox)}


def addresses_of(collectivite_id: str) -> list[str]:
    """Aliases in force of a collectivité, for its own people to write to."""
    rows = Alias.objects.filter(collectivite_id=collectivite_id, ended_at=None).order_by("address")
    return list(rows.values_list("address", flat=True))


def has_alias(address: str) -> bool:
    return Alias.objects.filter(address=address, ended_at=None).exists()


def leads_to(address: str, mailbox_id: str) -> bool:
    """Whether this alias leads to this mailbox."""
    targets = AliasTarget.objects.filter(mailbox_id=mailbox_id, ended_at=None)
    return Alias.objects.filter(address=address, ended_at=None, pk__in=targets.values("alias_id")).exists()


def candidates(actor: Actor, collectivite_id: str, beside: Led | None = None) -> list[Mailbox]:
    """Open mailboxes of the collectivité that it does not lead to yet."""
    inside = {one.id for one in beside.open_} if beside else set()
    rows = mail.visible_mailboxes(actor).filter(collectivite_id=collectivite_id)
    return [one for one in rows if one.id not in inside]


def catch_all(actor: Actor, domain: str) -> CatchAll | None:
    """The one in force, for the référent of its collectivité and the Département."""
    return next((one for one in catch_alls(actor) if one.domain == domain), None)


def catch_alls(actor: Actor) -> list[CatchAll]:
    if not people.may_manage(actor):
        return []
    return list(
        actor.visible(CatchAll.objects.filter(ended_at=None, expires_at__gt=clock.now()).order_by("domain"))
    )


def caught_by(mailbox: Mailbox) -> list[CatchAll]:
    """The catch-alls in force that lead to this mailbox, for who reads it."""
    rows = CatchAll.objects.filter(mailbox_id=mailbox.id, ended_at=None, expires_at__gt=clock.now())
    return list(rows.order_by("domain"))


def came_through(row: CatchAll) -> list[tuple[str, int]]:
    """Addresses that do not exist and got mail by this catch-all in the last ``SEEN_DAYS``, the most frequent first.

    Cost: by index; the latest ``MAX_SEEN`` mails of the mailbox.
    """
    since = max(row.begun_at, clock.now() - timedelta(days=SEEN_DAYS))
    delivered = MailDelivery.objects.filter(mailbox_id=row.mailbox_id, delivered_at__gte=since)
    ids = list(delivered.order_by("-delivered_at").values_list("message_id", flat=True)[:MAX_SEEN])
    named = MailRecipient.objects.filter(message_id__in=ids, address__endswith=f"@{row.domain}")
    counted = Counter(named.values_list("address", flat=True))
    known = {
        *Mailbox.objects.filter(address__in=counted).values_list("address", flat=True),
        *Alias.objects.filter(address__in=counted).values_list("address", flat=True),
    }
    return sorted(
        ((address, n) for address, n in counted.items() if address not in known),
        key=lambda one: (-one[1], one[0]),
    )


def routes() -> MailRoutes:
    """Everything that Postfix must know beside mailboxes."""
    aliases = {one.id: one for one in Alias.objects.filter(ended_at=None)}
    addresses = dict(Mailbox.objects.values_list("id", "address"))
    targets = AliasTarget.objects.filter(ended_at=None).values_list("alias_id", "mailbox_id")
    closed = Mailbox.objects.exclude(closed_at=None).values_list("address", flat=True)
    ended = Alias.objects.exclude(ended_at=None).values_list("address", flat=True)
    moving = domains.moving(settings.BEFFROI)
    left = set(communes.left_domain_names())
    in_use = {one.address for one in aliases.values()}
    in_use |= set(Mailbox.objects.filter(closed_at=None).values_list("address", flat=True))
    return MailRoutes(
        aliases={one.address: one.sends for one in aliases.values()},
        targets=[
            (aliases[alias].address, addresses[mailbox])
            for alias, mailbox in targets
            if alias in aliases and mailbox in addresses
        ],
        catch_alls=[
            (one.domain, addresses[one.mailbox_id], int(one.expires_at.timestamp()))
            for one in CatchAll.objects.filter(ended_at=None)
            # Who is not here yet is on the old server, and no unknown address.
            if one.mailbox_id in addresses and one.domain not in moving
        ],
        # Who left has other mailboxes elsewhere: colleagues of here write to them. Where somebody
        # continues it, aliases stand in their place.
        reserved=[one for one in {*closed, *ended} - in_use if one.rpartition("@")[2] not in left],
        full=[one.address for one in _full()],
        moving=moving,
        left=left,
    )


def _full() -> Iterable[Mailbox]:
    """Open mailboxes without room, by the last count; an alias that leads to these alone takes no mail for now."""
    rooms = MailboxRoom.objects.filter(used_bytes__gt=0)
    over = [one.pk for one in rooms if Room(one.used_bytes, quota.limit_bytes(one.limit_mib)).full]
    return Mailbox.objects.filter(pk__in=over, closed_at=None)
