"""Read functional mailboxes, their members and what they do, on someone's behalf."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib import clock
from beffroi.lib.errors import existing
from beffroi.lib.ids import is_id
from beffroi.mail import queries as mail
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.heads import MessageSummary
from beffroi.mail.models import Mailbox, Sending
from beffroi.mail.people.models import Handling, Member, Note, SharedMailbox

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Shared:
    """A functional mailbox as people see it. ``members``: who reads it, by name."""

    mailbox: Mailbox
    title: str
    members: list[Person]


@dataclass(frozen=True)
class Marks:
    """What stands beside a mail; names, not identifiers, and "" for nobody. ``answering``: of somebody else."""

    assigned_to: str = ""
    assigned_name: str = ""
    assigned_by: str = ""
    answering: str = ""
    notes: list[Note] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


def may_manage(actor: Actor) -> bool:
    """Whether this actor decides who reads the functional mailboxes of the collectivité of their credential."""
    return actor.sees_all or actor.leads is not None


def visible_shared(actor: Actor) -> list[Shared]:
    """All of the collectivité for a référent, else those that the person reads; closed ones are not there."""
    return _shared(list(_visible(actor)))


def shared_of(actor: Actor, collectivite_id: str) -> list[Shared]:
    """Those of one collectivité; three queries for any number."""
    return _shared(list(_visible(actor).filter(collectivite_id=collectivite_id)))


def _visible(actor: Actor) -> QuerySet[Mailbox]:
    rows = actor.visible(Mailbox.objects.filter(closed_at=None, pk__in=SharedMailbox.objects.values("pk")))
    if not may_manage(actor):
        rows = rows.filter(pk__in=mail.own_mailboxes(actor).values("pk"))
    return rows.order_by("address")


def access_shared(actor: Actor, mailbox_id: str) -> Shared:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(next(iter(_shared(list(_visible(actor).filter(pk=mailbox_id)))), None), "mailbox")


def title_of(mailbox: Mailbox) -> str:
    """The name of a functional mailbox; "" when it is a person's."""
    return SharedMailbox.objects.filter(pk=mailbox.pk).values_list("title", flat=True).first() or ""


def titles(mailboxes: Sequence[Mailbox]) -> dict[str, str]:
    """Mailbox -> name, of the functional ones among them."""
    rows = SharedMailbox.objects.filter(pk__in=[one.pk for one in mailboxes])
    return dict(rows.values_list("mailbox_id", "title"))


def closed_shared(actor: Actor, collectivite_id: str) -> list[Mailbox]:
    """Functional mailboxes of a collectivité that were closed, not erased, and may be opened again; for its référent
    and the Département."""
    if not actor.manages(collectivite_id):
        return []
    rows = Mailbox.objects.filter(collectivite_id=collectivite_id, pk__in=SharedMailbox.objects.values("pk"))
    return list(rows.exclude(closed_at=None).exclude(crypt_key="").order_by("address"))


def members(mailbox_id: str) -> list[Person]:
    """Who reads a functional mailbox now, by name; whoever leaves the collectivité is taken off (consumers)."""
    return _members([mailbox_id]).get(mailbox_id, [])


def read_since(mailbox_id: str, person_id: str, since: datetime) -> bool:
    """Whether this person read it and was taken off since then: to add them again only undoes that."""
    return Member.objects.filter(mailbox_id=mailbox_id, person_id=person_id, ended_at__gte=since).exists()


def candidates(actor: Actor, shared: Shared) -> list[Person]:
    """People of the same collectivité who do not read it yet."""
    inside = {one.id for one in shared.members}
    return [one for one in people(actor, shared.mailbox.collectivite_id) if one.id not in inside]


def people(actor: Actor, collectivite_id: str) -> list[Person]:
    """Everybody with a current membership, each once, by name. Errors: NotFound."""
    found = {one.person_id: one.person for one in identity.memberships_in(actor, collectivite_id)}
    return sorted(found.values(), key=lambda one: (one.name.lower(), one.id))


def message_key(summary: MessageSummary) -> str:
    """What names this mail beside its content; "" when it has neither our identifier nor a Message-ID."""
    if is_id(summary.beffroi_id, "msg"):
        return summary.beffroi_id
    return hash_of_message_id(summary.message_id) if summary.message_id else ""


def is_key(text: str) -> bool:
    """Whether this may be a ``message_key``."""
    return is_id(text, "msg") or _HASH.fullmatch(text) is not None


def marks(actor: Actor, mailbox: Mailbox, keys: Collection[str], *, notes: bool = False) -> dict[str, Marks]:
    """What stands beside these mails of a functional mailbox; three queries for any number. Errors: NotFound."""
    mail.access_mailbox(actor, mailbox.id)
    wanted = {key for key in keys if key}
    rows = {
        one.message_key: one for one in Handling.objects.filter(mailbox_id=mailbox.id, message_key__in=wanted)
    }
    written: dict[str, list[Note]] = {}
    found = Note.objects.filter(mailbox_id=mailbox.id, message_key__in=wanted).order_by("created_at", "id")
    for note in found if notes else found.filter(removed_at=None):
        written.setdefault(note.message_key, []).append(note)
    ids = {one.assigned_to for one in rows.values()} | {one.assigned_by for one in rows.values()}
    ids |= {one.answering_by for one in rows.values()}
    ids |= {note.person_id for several in written.values() for note in several}
    names = dict(Person.objects.filter(pk__in=ids - {""}).values_list("id", "name"))
    now = clock.now()
    out = {}
    for key in wanted & {*rows, *written}:
        row = rows.get(key, Handling())
        other = row.answering_by != actor.id and row.answering_until is not None and row.answering_until > now
        out[key] = Marks(
            assigned_to=row.assigned_to,
            assigned_name=names.get(row.assigned_to, ""),
            assigned_by=names.get(row.assigned_by, ""),
            answering=names.get(row.answering_by, "") if other else "",
            notes=written.get(key, []),
            names=names,
        )
    return out


def sent_by(mailbox: Mailbox, summary: MessageSummary) -> str:
    """Who wrote a mail that was sent from a functional mailbox by the portal; "" when it is not known any more."""
    if not summary.message_id:
        return ""
    rows = Sending.objects.filter(
        mailbox_id=mailbox.id, message_id_hash=hash_of_message_id(summary.message_id)
    )
    person = rows.order_by("-created_at").values_list("person_id", flat=True).first()
    return identity.person_name(person) if person else ""


def _shared(rows: Sequence[Mailbox]) -> list[Shared]:
    named, found = titles(rows), _members([one.id for one in rows])
    return [Shared(one, named[one.id], found.get(one.id, [])) for one in rows]


def _members(mailbox_ids: Sequence[str]) -> dict[str, list[Person]]:
    current = Member.objects.filter(mailbox_id__in=mailbox_ids, ended_at=None)
    rows = list(current.values_list("mailbox_id", "person_id"))
    known = Person.objects.in_bulk([person for _, person in rows])
    out: dict[str, list[Person]] = {}
    for mailbox_id, person_id in rows:
        if person_id in known:
            out.setdefault(mailbox_id, []).append(known[person_id])
    return {key: sorted(several, key=lambda one: (one.name.lower(), one.id)) for key, several in out.items()}
