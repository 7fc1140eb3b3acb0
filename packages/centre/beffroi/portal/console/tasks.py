"""What of boîtiers, mail and the Coffre waits for a person of the Département: how many, in words, and where to go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy, ngettext_lazy

from beffroi.boxes import fleet, relay_requests, releases
from beffroi.boxes import queries as boxes
from beffroi.core.audit import told as audited
from beffroi.core.decisions import by_hand
from beffroi.core.events import told as events
from beffroi.core.identity import administrator_reviews as reviews
from beffroi.core.identity import queries as persons
from beffroi.core.identity.actor import Actor
from beffroi.drive.seals import overview as seals
from beffroi.leaving import queries as leaving
from beffroi.lib import clock, clock_steps
from beffroi.mail import signing, unfinished
from beffroi.mail.backup import fetched
from beffroi.mail.backup import queries as restores
from beffroi.mail.backup import told as backed_up
from beffroi.mail.certificates import wanting as certificates
from beffroi.mail.closing import queries as closing
from beffroi.mail.domains import queries as domains
from beffroi.mail.probe import queries as probe
from beffroi.mail.reports import queries as reports
from beffroi.mail.sending import pool_queries as pools
from beffroi.mail.sending import queries as sending
from beffroi.portal.counts import Count

_SET_FORWARD = gettext_lazy("l’horloge du centre a été avancée : comparez-la à une autre")
_SET_BACK = gettext_lazy("l’horloge du centre a été reculée : comparez-la à une autre")

type Task = tuple[int, Any, str]
"""How many, the words for one and for more, the page."""


def waiting(actor: Actor, active: Sequence[boxes.BoxState]) -> list[dict[str, str]]:
    """Words and where to go, of each of which there is one at least. ``active``: boîtiers."""
    found: tuple[Task, ...] = (
        _clock(),
        *_audit(),
        (
            sum(one.silent for one in active),
            ngettext_lazy("%(n)s boîtier est silencieux", "%(n)s boîtiers sont silencieux", "n"),
            reverse("boxes") + "?etat=silent",
        ),
        (
            fleet.behind(actor),
            ngettext_lazy(
                "%(n)s boîtier n’applique pas les dernières décisions",
                "%(n)s boîtiers n’appliquent pas les dernières décisions",
                "n",
            ),
            reverse("boxes") + "?etat=behind",
        ),
        (
            len(fleet.ending_with_proposals(actor)),
            ngettext_lazy(
                "%(n)s commune finit d’observer avec des propositions sans réponse",
                "%(n)s communes finissent d’observer avec des propositions sans réponse",
                "n",
            ),
            reverse("boxes") + "?etat=observing",
        ),
        (
            fleet.followed_twice(one.box for one in active),
            ngettext_lazy(
                "%(n)s boîtier existe en deux exemplaires",
                "%(n)s boîtiers existent en deux exemplaires",
                "n",
            ),
            reverse("boxes") + "?etat=twice",
        ),
        (
            fleet.refusing_policies(one.box for one in active),
            ngettext_lazy(
                "%(n)s boîtier a refusé ses réglages", "%(n)s boîtiers ont refusé leurs réglages", "n"
            ),
            reverse("boxes") + "?etat=rolled_back",
        ),
        (
            releases.stopped_by_itself(actor),
            ngettext_lazy(
                "%(n)s mise à jour des boîtiers s’est arrêtée",
                "%(n)s mises à jour des boîtiers se sont arrêtées",
                "n",
            ),
            reverse("box_software"),
        ),
        (
            len(domains.alarms(actor)),
            ngettext_lazy(
                "%(n)s domaine a perdu un réglage de courrier",
                "%(n)s domaines ont perdu un réglage de courrier",
                "n",
            ),
            reverse("mail_domains"),
        ),
        (
            len(signing.unreadable(settings.BEFFROI)),
            ngettext_lazy(
                "%(n)s domaine a une clé de signature qui ne s’ouvre pas",
                "%(n)s domaines ont une clé de signature qui ne s’ouvre pas",
                "n",
            ),
            reverse("mail_domains"),
        ),
        (
            by_hand.waiting().count(),
            ngettext_lazy(
                "%(n)s blocage attend une seconde personne",
                "%(n)s blocages attendent une seconde personne",
                "n",
            ),
            reverse("waiting"),
        ),
        _events(),
        _unfinished(),
        _sending(actor),
        _senders(actor),
        _probe(actor),
        _listed(actor),
        _warming(actor),
        _backup(),
        _database_backup(),
        _fetched(),
        _relays(actor),
        _restores(actor),
        _certificates(actor),
        _closed(actor),
        _left(actor),
        _beginning(),
        *_administrators(actor),
        *_seals(),
    )
    return [{"said": said % {"n": Count(count)}, "url": url} for count, said, url in found if count]


def _clock() -> Task:
    """Said first: much else may be late by the clock alone."""
    forward = clock_steps.step_s(settings.BEFFROI) > 0
    return (
        int(clock_steps.step_s(settings.BEFFROI) != 0),
        _SET_FORWARD if forward else _SET_BACK,
        reverse("retention"),
    )


def _audit() -> tuple[Task, ...]:
    """An audit log that does not hold, or that nobody has read to its end."""
    found, page = audited.read(settings.BEFFROI), reverse("journal")
    return (
        (
            int(found is not None and found.first_bad > 0),
            ngettext_lazy("le journal a été altéré", "le journal a été altéré", "n"),
            page,
        ),
        (
            audited.late_days(settings.BEFFROI, now=clock.epoch_s()),
            ngettext_lazy(
                "le journal n’a pas été relu en entier depuis %(n)s jour",
                "le journal n’a pas été relu en entier depuis %(n)s jours",
                "n",
            ),
            page,
        ),
    )


def _events() -> Task:
    """Parts of the centre that do not take in what happens; one where nobody looks any more."""
    told = events.read(settings.BEFFROI)
    late = events.late_minutes(settings.BEFFROI, now=clock.epoch_s())
    return (
        len({one.consumer for one in told.behind + told.parked}) + bool(late) if told is not None else 0,
        ngettext_lazy(
            "%(n)s traitement du centre n’a pas pris en compte ce qui est arrivé",
            "%(n)s traitements du centre n’ont pas pris en compte ce qui est arrivé",
            "n",
        ),
        reverse("console_events"),
    )


def _unfinished() -> Task:
    """Decisions that could not be carried out in every mailbox."""
    told = unfinished.read(settings.BEFFROI)
    return (
        len(told.left + told.kept),
        ngettext_lazy(
            "%(n)s décision n’a pas pu être appliquée dans toutes les boîtes",
            "%(n)s décisions n’ont pas pu être appliquées dans toutes les boîtes",
            "n",
        ),
        reverse("withdrawals"),
    )


def _sending(actor: Actor) -> Task:
    """Accounts over their limit of sending."""
    return (
        sending.alarms(actor).count(),
        ngettext_lazy("%(n)s compte de courriel envoie trop", "%(n)s comptes de courriel envoient trop", "n"),
        reverse("outgoing"),
    )


def _beginning() -> Task:
    """Communes that nobody can begin in: without a référent, who adds the others."""
    return (
        len(persons.without_referent()),
        ngettext_lazy(
            "%(n)s commune n’a pas de personne référente",
            "%(n)s communes n’ont pas de personne référente",
            "n",
        ),
        reverse("communes"),
    )


def _administrators(actor: Actor) -> tuple[Task, ...]:
    """The half-yearly reading of who signs in here; ends of accesses that this administrator may answer."""
    page = reverse("administrators")
    return (
        (
            int(reviews.is_due()),
            ngettext_lazy(
                "la liste des administrateurs est à relire, à deux",
                "la liste des administrateurs est à relire, à deux",
                "n",
            ),
            page,
        ),
        (
            reviews.waiting_for(actor),
            ngettext_lazy(
                "%(n)s fin d’accès d’administrateur attend une seconde personne",
                "%(n)s fins d’accès d’administrateurs attendent une seconde personne",
                "n",
            ),
            page,
        ),
    )


def _certificates(actor: Actor) -> Task:
    """Certificates of domains that end within 14 days and were not renewed."""
    return (
        len(certificates.alarms(actor)),
        ngettext_lazy(
            "%(n)s certificat de domaine finit bientôt", "%(n)s certificats de domaine finissent bientôt", "n"
        ),
        reverse("mail_domains"),
    )


def _senders(actor: Actor) -> Task:
    """Who suddenly sends much in a domain's name."""
    return (
        reports.alarms(actor).count(),
        ngettext_lazy(
            "%(n)s expéditeur nouveau écrit au nom d’un domaine",
            "%(n)s expéditeurs nouveaux écrivent au nom d’un domaine",
            "n",
        ),
        reverse("mail_domains"),
    )


def _probe(actor: Actor) -> Task:
    """Paths on which the centre's own mail does not arrive."""
    return (
        probe.alarms(actor),
        ngettext_lazy(
            "%(n)s chemin du courrier ne fonctionne plus",
            "%(n)s chemins du courrier ne fonctionnent plus",
            "n",
        ),
        reverse("mail_probe"),
    )


def _warming(actor: Actor) -> Task:
    """New addresses of ours whose mail a provider refuses."""
    return (
        pools.refused_warmings(actor) if settings.BEFFROI.outgoing_pools else 0,
        ngettext_lazy(
            "%(n)s nouvelle adresse d’envoi est en pause : ses courriels sont refusés",
            "%(n)s nouvelles adresses d’envoi sont en pause : leurs courriels sont refusés",
            "n",
        ),
        reverse("outgoing"),
    )


def _backup() -> Task:
    """Whether the backup of the mailboxes is late, fails, or is damaged."""
    return (
        int(bool(backed_up.problem(settings.BEFFROI, now=clock.epoch_s()))),
        ngettext_lazy(
            "la sauvegarde des boîtes demande un regard", "la sauvegarde des boîtes demande un regard", "n"
        ),
        reverse("mail_backups"),
    )


def _database_backup() -> Task:
    """The same of the database."""
    return (
        int(bool(backed_up.database_problem(settings.BEFFROI, now=clock.epoch_s()))),
        ngettext_lazy(
            "la sauvegarde de la base de données demande un regard",
            "la sauvegarde de la base de données demande un regard",
            "n",
        ),
        reverse("mail_backups"),
    )


def _fetched() -> Task:
    """Whether the copies elsewhere, once set up, are made no more."""
    said = gettext_lazy("aucune autre machine n’est venue chercher les sauvegardes depuis deux jours")
    late = fetched.late(settings.BEFFROI, now=clock.epoch_s())
    return int(late), said, reverse("mail_backups")


def _seals() -> tuple[Task, ...]:
    """Sealed folders that a verification found damaged, that wait for their time stamp for too long; verifications that
    wait for a setting."""
    known, page = seals.read(settings.BEFFROI).values(), reverse("console_seals")
    return (
        (
            sum(one.damaged for one in known),
            ngettext_lazy("%(n)s dossier scellé est abîmé", "%(n)s dossiers scellés sont abîmés", "n"),
            page,
        ),
        (
            sum(one.held_up for one in known),
            ngettext_lazy(
                "%(n)s vérification de dossier scellé ne peut pas se terminer",
                "%(n)s vérifications de dossiers scellés ne peuvent pas se terminer",
                "n",
            ),
            page,
        ),
        (
            sum(one.unstamped for one in known),
            ngettext_lazy(
                "%(n)s dossier scellé attend son horodatage depuis plus d’un jour",
                "%(n)s dossiers scellés attendent leur horodatage depuis plus d’un jour",
                "n",
            ),
            page,
        ),
    )


def _relays(actor: Actor) -> Task:
    """Relays for copiers that référents ask for."""
    return (
        relay_requests.waiting(actor).count(),
        ngettext_lazy(
            "%(n)s demande de relais pour copieurs attend",
            "%(n)s demandes de relais pour copieurs attendent",
            "n",
        ),
        reverse("relay_requests"),
    )


def _restores(actor: Actor) -> Task:
    """Requests for mails from the backups."""
    return (
        restores.waiting(actor),
        ngettext_lazy(
            "%(n)s demande de restauration de courriels attend",
            "%(n)s demandes de restauration de courriels attendent",
            "n",
        ),
        reverse("mail_backups"),
    )


def _left(actor: Actor) -> Task:
    """Collectivités that left and are not being erased, and requests before."""
    return (
        leaving.waiting(actor),
        ngettext_lazy(
            "%(n)s collectivité qui part attend que vous l’effaciez, avec le visa des Archives",
            "%(n)s collectivités qui partent attendent que vous les effaciez, avec le visa des Archives",
            "n",
        ),
        reverse("communes"),
    )


def _closed(actor: Actor) -> Task:
    """Closed mailboxes that communes want erased."""
    return (
        closing.waiting(actor),
        ngettext_lazy(
            "%(n)s boîte fermée attend le visa des Archives pour être effacée",
            "%(n)s boîtes fermées attendent le visa des Archives pour être effacées",
            "n",
        ),
        reverse("closed_erasures"),
    )


def _listed(actor: Actor) -> Task:
    """Addresses of ours on a block list."""
    return (
        sending.listed(actor),
        ngettext_lazy(
            "%(n)s de nos adresses d’envoi est sur une liste noire",
            "%(n)s de nos adresses d’envoi sont sur une liste noire",
            "n",
        ),
        reverse("outgoing"),
    )
