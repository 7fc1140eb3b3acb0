"""What of boîtiers, mail and the Coffre waits for a person of the Département: how many, in words, and where to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy, ngettext_lazy

from beffroi.boxes import fleet, openings, relay_requests, releases
from beffroi.boxes import queries as boxes
from beffroi.core import acknowledgements
from beffroi.core.audit import told as audited
from beffroi.core.decisions import by_hand
from beffroi.core.identity import administrator_reviews as reviews
from beffroi.core.identity import queries as persons
from beffroi.core.identity.actor import Actor
from beffroi.drive.seals import overview as seals
from beffroi.leaving import queries as leaving
from beffroi.mail import signing, unfinished
from beffroi.mail.backup import queries as restores
from beffroi.mail.closing import queries as closing
from beffroi.mail.reports import queries as reports
from beffroi.mail.sending import pool_queries as pools
from beffroi.mail.sending import queries as sending
from beffroi.portal.console import breakdowns
from beffroi.portal.counts import in_words


class Task(NamedTuple):
    """``how_many``: by who asks and the boîtiers in service; ``said``: for one and for more; ``page``, ``query``: where
    to go."""

    how_many: Callable[[Actor, Sequence[boxes.BoxState]], int]
    said: Any
    page: str
    query: str = ""


@dataclass(frozen=True)
class Waiting:
    """Words and where to go. ``alarm``, ``cause``: of what an administrator may acknowledge, its name and a digest,
    else ""; ``seen``: by whom it was."""

    said: str
    url: str
    alarm: str = ""
    cause: str = ""
    seen: acknowledgements.Seen | None = None


DAMAGED = (
    Task(
        lambda _, __: int((found := audited.read(settings.BEFFROI)) is not None and found.first_bad > 0),
        gettext_lazy("le journal a été altéré"),
        "journal",
    ),
    Task(
        lambda _, __: sum(one.damaged for one in seals.read(settings.BEFFROI).values()),
        ngettext_lazy("%(n)s dossier scellé est abîmé", "%(n)s dossiers scellés sont abîmés", "n"),
        "console_seals",
    ),
)
"""What ought to hold for ever, and does not: said before all else."""
TASKS = (
    Task(
        lambda actor, _: fleet.behind(actor),
        ngettext_lazy(
            "%(n)s boîtier n’applique pas les dernières décisions",
            "%(n)s boîtiers n’appliquent pas les dernières décisions",
            "n",
        ),
        "boxes",
        "?etat=behind",
    ),
    Task(
        lambda actor, _: len(fleet.ending_with_proposals(actor)),
        ngettext_lazy(
            "%(n)s commune finit d’observer avec des propositions sans réponse",
            "%(n)s communes finissent d’observer avec des propositions sans réponse",
            "n",
        ),
        "boxes",
        "?etat=observing",
    ),
    Task(
        lambda _, active: fleet.followed_twice(one.box for one in active),
        ngettext_lazy(
            "%(n)s boîtier existe en deux exemplaires",
            "%(n)s boîtiers existent en deux exemplaires",
            "n",
        ),
        "boxes",
        "?etat=twice",
    ),
    Task(
        lambda _, active: fleet.refusing_policies(one.box for one in active),
        ngettext_lazy("%(n)s boîtier a refusé ses réglages", "%(n)s boîtiers ont refusé leurs réglages", "n"),
        "boxes",
        "?etat=rolled_back",
    ),
    Task(
        lambda actor, _: releases.stopped_by_itself(actor),
        ngettext_lazy(
            "%(n)s mise à jour des boîtiers s’est arrêtée",
            "%(n)s mises à jour des boîtiers se sont arrêtées",
            "n",
        ),
        "box_software",
    ),
    Task(
        lambda _, __: len(signing.unreadable(settings.BEFFROI)),
        ngettext_lazy(
            "%(n)s domaine a une clé de signature qui ne s’ouvre pas",
            "%(n)s domaines ont une clé de signature qui ne s’ouvre pas",
            "n",
        ),
        "mail_domains",
    ),
    Task(
        lambda _, __: by_hand.waiting().count(),
        ngettext_lazy(
            "%(n)s blocage attend une seconde personne",
            "%(n)s blocages attendent une seconde personne",
            "n",
        ),
        "waiting",
    ),
    Task(
        lambda _, __: len((told := unfinished.read(settings.BEFFROI)).left + told.kept),
        ngettext_lazy(
            "%(n)s décision n’a pas pu être appliquée dans toutes les boîtes",
            "%(n)s décisions n’ont pas pu être appliquées dans toutes les boîtes",
            "n",
        ),
        "withdrawals",
    ),
    Task(
        lambda actor, _: sending.alarms(actor).count(),
        ngettext_lazy("%(n)s compte de courriel envoie trop", "%(n)s comptes de courriel envoient trop", "n"),
        "outgoing",
    ),
    Task(
        lambda actor, _: reports.alarms(actor).count(),
        ngettext_lazy(
            "%(n)s expéditeur nouveau écrit au nom d’un domaine",
            "%(n)s expéditeurs nouveaux écrivent au nom d’un domaine",
            "n",
        ),
        "mail_domains",
    ),
    Task(
        lambda actor, _: pools.refused_warmings(actor) if settings.BEFFROI.outgoing_pools else 0,
        ngettext_lazy(
            "%(n)s nouvelle adresse d’envoi est en pause : ses courriels sont refusés",
            "%(n)s nouvelles adresses d’envoi sont en pause : leurs courriels sont refusés",
            "n",
        ),
        "outgoing",
    ),
    Task(
        lambda actor, _: relay_requests.waiting(actor).count(),
        ngettext_lazy(
            "%(n)s demande de relais pour copieurs attend",
            "%(n)s demandes de relais pour copieurs attendent",
            "n",
        ),
        "relay_requests",
    ),
    Task(
        lambda actor, _: openings.waiting(actor).count(),
        ngettext_lazy("%(n)s demande d’ouverture attend", "%(n)s demandes d’ouverture attendent", "n"),
        "openings",
    ),
    Task(
        lambda actor, _: restores.waiting(actor),
        ngettext_lazy(
            "%(n)s demande de restauration de courriels attend",
            "%(n)s demandes de restauration de courriels attendent",
            "n",
        ),
        "mail_backups",
    ),
    Task(
        lambda actor, _: closing.waiting(actor),
        ngettext_lazy(
            "%(n)s boîte fermée attend le visa des Archives pour être effacée",
            "%(n)s boîtes fermées attendent le visa des Archives pour être effacées",
            "n",
        ),
        "closed_erasures",
    ),
    Task(
        lambda actor, _: leaving.waiting(actor),
        ngettext_lazy(
            "%(n)s collectivité qui part attend que vous l’effaciez, avec le visa des Archives",
            "%(n)s collectivités qui partent attendent que vous les effaciez, avec le visa des Archives",
            "n",
        ),
        "communes",
    ),
    Task(
        lambda _, __: len(persons.without_referent()),
        ngettext_lazy(
            "%(n)s commune n’a pas de personne référente",
            "%(n)s communes n’ont pas de personne référente",
            "n",
        ),
        "communes",
    ),
    Task(
        lambda _, __: int(reviews.is_due()),
        ngettext_lazy(
            "la liste des administrateurs est à relire, à deux",
            "la liste des administrateurs est à relire, à deux",
            "n",
        ),
        "administrators",
    ),
    Task(
        lambda actor, _: reviews.waiting_for(actor),
        ngettext_lazy(
            "%(n)s fin d’accès d’administrateur attend une seconde personne",
            "%(n)s fins d’accès d’administrateurs attendent une seconde personne",
            "n",
        ),
        "administrators",
    ),
)


def waiting(actor: Actor, active: Sequence[boxes.BoxState]) -> list[Waiting]:
    """Words and where to go, of each of which there is one at least. ``active``: boîtiers."""
    alarms = [one for one in breakdowns.alarms(actor, active) if one.cause]
    causes = {one.name: acknowledgements.digest(one.cause) for one in alarms}
    seen = acknowledgements.in_force(causes)
    found = [
        Waiting(
            in_words(one.said, one.count or len(one.cause)),
            one.url,
            one.name,
            causes[one.name],
            seen.get(one.name),
        )
        for one in alarms
    ]
    first, last = (
        [
            Waiting(in_words(one.said, count), reverse(one.page) + one.query)
            for one in some
            if (count := one.how_many(actor, active))
        ]
        for some in (DAMAGED, TASKS)
    )
    return [*first, *found, *last]
