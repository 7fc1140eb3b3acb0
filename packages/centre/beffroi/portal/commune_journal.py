"""The journal of one commune, for its data protection officer and its référent: which entries, and in which words.

Access: entries of the collectivité of the session; of those that name no collectivité, what the Département did of
        itself (who came to the console, what the purge did) and what befell people of this collectivité. Never what
        people do in their own mailbox.
Names:  of people who are or were of this collectivité, and of administrators; from their accounts, so that an erasure
        takes them away here too. What ``audit_personal`` holds is not shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.core.approvals.models import Approval
from beffroi.core.audit import queries as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.incidents import queries as incidents
from beffroi.mail.models import Mailbox
from beffroi.portal import incident_words, verbs
from beffroi.portal.dates import date_format

DEPARTEMENT, ALL = "departement", "tout"
KINDS = {
    DEPARTEMENT: (gettext_lazy("Ce qu’a fait le Département"), ("identity:administrator:",)),
    "droits": (
        gettext_lazy("Droits et accès des personnes"),
        (
            "identity:person:created",
            "identity:membership:",
            "identity:access:",
            "identity:offer:",
            "identity:activation_code:",
            "identity:rescue_code:",
            "identity:password:",
            "identity:sessions:",
            "identity:app_password:",
            "identity:second_factor:",
            "identity:recovery_codes:",
            "identity:device_link:",
            "identity:login_flow:",
            "mail:arrival:",
            "mail:shared:member_",
            "drive:group:",
        ),
    ),
    "partages": (gettext_lazy("Partages et liens du Coffre"), ("drive:share:", "drive:link:")),
    "remises": (
        gettext_lazy("Départs, remises à un collègue, boîtes confiées"),
        ("mail:departure:", "mail:delegation:", "drive:handover:", "communes:leaving:"),
    ),
    "exports": (
        gettext_lazy("Exports"),
        (
            "mail:export:",
            "drive:seal:exported",
            "drive:seal:proved",
            "incident:exported",
            "identity:person:exported",
            "audit:journal:exported",
            "audit:register:exported",
        ),
    ),
    "effacements": (
        gettext_lazy("Effacements"),
        (
            "communes:erasure:",
            "mail:erasure:",
            "drive:erasure:",
            "drive:key:destroyed",
            "drive:seal:destroyed",
            "drive:version:deleted",
            "drive:trash:emptied",
            "identity:erasure:",
            "identity:person:erased",
            "audit:personal:erased",
        ),
    ),
    "restaurations": (
        gettext_lazy("Restaurations"),
        (
            "database:",
            "mail:restore:",
            "drive:restored",
            "drive:alarm:taken_back",
            "drive:folder:put_back",
        ),
    ),
    "accords": (gettext_lazy("Seconds avis"), ("approval:",)),
    "dossiers": (gettext_lazy("Dossiers d’incident"), ("incident:",)),
    "purge": (gettext_lazy("Purge et conservation"), ("retention:", "audit:log:pruned")),
}
"""Name in the address -> (words, beginnings of verbs); the first has all that an administrator did, besides."""
_OWN_AFFAIRS = (
    "identity:offer:refused",
    "mail:absence:",
    "mail:deleted:",
    "mail:filter:",
    "mail:handling:",
    "mail:held:",
    "mail:import:",
    "mail:message:reported",
    "mail:script:",
    "mail:sending:cancelled",
    "mail:sending:refused",
    "mail:sending:scheduled",
    "mail:sending:sent",
    "mail:signature:",
)
"""What people do in their own mailbox, whom they report, and that they did not want to join: read by nobody else in the
commune, unless an administrator did it. A journal of each mail and hour would watch over agents."""
_OF_ITSELF = (
    "database:restored",
    "database:restore_undone",
    "identity:administrator:created",
    "identity:administrator:ended",
    "identity:administrator:erased",
    "identity:administrator:renewed",
    "identity:administrator:reviewed",
    "identity:administrator:signed_in",
    "retention:done",
    "retention:refused",
    "retention:clock_confirmed",
    "audit:log:pruned",
)
"""Of the entries without a collectivité those that every commune reads."""
_ABOUT_THE_PAST = ("identity:person:exported", "identity:person:erased", "identity:erasure:held")
"""What befalls a person's data also where they are no longer."""


@dataclass(frozen=True)
class Wanted:
    """``kind``: of ``KINDS``, ``ALL``, or "" for all of ``KINDS``; days of the calendar on the wall, both included."""

    kind: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class Line:
    """One entry in words. ``about``: whom or what it concerns, or ""; ``incident_id``: where that is one, or ""."""

    entry: AuditEntry
    what: str
    who: str
    about: str
    incident_id: str
    sealed: int | None


def entries(actor: Actor, wanted: Wanted, *, limit: int, before: int | None = None) -> list[AuditEntry]:
    """Newest first; ``before``: older than this entry. Each source by its own index, then merged: the log of a whole
    département is long, and one query for all would read it."""
    found: dict[int, AuditEntry] = {}
    for rows in _sources(actor):
        if before is not None:
            rows = rows.filter(id__lt=before)  # noqa: PLW2901
        found |= {one.id: one for one in _narrowed(rows, wanted)[:limit]}
    return [found[key] for key in sorted(found, reverse=True)[:limit]]


def _sources(actor: Actor) -> Iterable[QuerySet[AuditEntry]]:
    if actor.collectivite_id is None or not audit.may_read(actor):
        return
    yield audit.visible_entries(actor)
    entries_of_all = AuditEntry.objects.select_related("seal").order_by("-id")
    for verb in _OF_ITSELF:  # each by its index, which has them in order
        yield entries_of_all.filter(verb=verb, collectivite_id=None)
    # Spelled so that no database goes through all entries without a collectivité: few are of these objects.
    central = entries_of_all.alias(owner=Coalesce("collectivite_id", Value(""))).filter(owner="")
    here = Membership.objects.filter(collectivite_id=actor.collectivite_id)
    at_that_time = here.filter(
        Q(until=None) | Q(until__gte=OuterRef("at")),
        person_id=OuterRef("object_id"),
        since__lte=OuterRef("at"),
    )
    people = central.filter(verb__startswith="identity:", object_id__in=here.values("person_id"))
    yield people.filter(Q(verb__in=_ABOUT_THE_PAST) | Exists(at_that_time))
    asked = Approval.objects.filter(
        Q(verb=erasure.VERB, subject_id__in=here.values("person_id")) | Q(subject_id=actor.collectivite_id)
    )
    yield central.filter(object_id__in=asked.values("pk"))


def _narrowed(rows: QuerySet[AuditEntry], wanted: Wanted) -> QuerySet[AuditEntry]:
    if wanted.since is not None:
        rows = rows.filter(at__gte=_begin(wanted.since))
    if wanted.until is not None:
        rows = rows.filter(at__lt=_begin(wanted.until + timedelta(days=1)))
    by_departement = Q(actor_kind="administrator")
    rows = rows.exclude(_begin_with(_OWN_AFFAIRS) & ~by_departement)
    if wanted.kind == ALL:
        return rows
    kinds = [wanted.kind] if wanted.kind else [*KINDS]
    chosen = _begin_with([one for kind in kinds for one in KINDS[kind][1]])
    return rows.filter(chosen | by_departement if DEPARTEMENT in kinds else chosen)


def _begin_with(beginnings: Iterable[str]) -> Q:
    found = Q()
    for one in beginnings:
        found |= Q(verb__startswith=one)
    return found


def _begin(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def lines(actor: Actor, found: Sequence[AuditEntry]) -> list[Line]:
    """Three queries for any number of entries, and one for each administrator."""
    named, shown = _Names(actor, {one.object_id for one in found}), []
    for one in found:
        details, seal = json.loads(one.details), getattr(one, "seal", None)
        about = ((said, text) for text in _named(one, details) if (said := named.thing(text)))
        said, of = next(about, ("", ""))
        shown.append(
            Line(
                one,
                verbs.sentence_of(one.verb, details),
                named.actor(one.actor_kind, one.actor_id),
                said,
                of if of.startswith("inc_") else "",
                seal.position if seal is not None else None,
            )
        )
    return shown


def _named(entry: AuditEntry, details: dict[str, object]) -> list[str]:
    """Identifiers of what an entry is about, the most telling one first; last who did it, if it was to themselves."""
    found = (details.get("person_id"), details.get("mailbox_id"), details.get("subject_id"), entry.object_id)
    return sorted((one for one in found if isinstance(one, str)), key=lambda one: one == entry.actor_id)


class _Names:
    """What this reader may know of those whom entries name."""

    def __init__(self, actor: Actor, objects: set[str]) -> None:
        here = actor.collectivite_id or ""
        members = Membership.objects.filter(collectivite_id=here)
        self._people: dict[str, str] = {}
        for membership_id, person_id, name in members.values_list("pk", "person_id", "person__name"):
            said = name or _("Une personne partie")
            self._people |= {membership_id: said, person_id: said}
        mailboxes = Mailbox.objects.filter(collectivite_id=here)
        self._mailboxes: dict[str, str] = dict(mailboxes.values_list("pk", "address"))
        rows = incidents.visible_incidents(actor).filter(pk__in=objects)
        self._incidents = {
            pk: f"{incident_words.title(kind, files)} ({date_format(timezone.localtime(opened_at), 'j F Y')})"
            for pk, kind, opened_at, files in rows.values_list("pk", "kind", "opened_at", Count("files"))
        }
        self._others = cache(verbs.actor)

    def actor(self, kind: str, actor_id: str) -> str:
        if kind == "person":
            return self._people.get(actor_id) or _("Une personne d’une autre collectivité")
        said = self._others(kind, actor_id)
        return _("%(name)s, Département") % {"name": said} if kind == "administrator" else said

    def thing(self, text: str) -> str:
        if text.startswith("adm_"):
            return self.actor("administrator", text)
        return self._people.get(text) or self._mailboxes.get(text) or self._incidents.get(text, "")
