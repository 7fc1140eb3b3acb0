"""What of the centre and its boîtiers breaks, and waits for a person, who may say that it does: ``acknowledgements``.

Rule:    what may be an attack, or lets one through, is none of these: it is a task (``tasks``) until it is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy, ngettext_lazy

from beffroi.boxes import queries as boxes
from beffroi.core.audit import told as audited
from beffroi.core.events import told as events
from beffroi.core.identity.actor import Actor
from beffroi.drive.seals import overview as seals
from beffroi.lib import clock, clock_steps, logs_taken
from beffroi.mail.backup import fetched
from beffroi.mail.backup import told as backed_up
from beffroi.mail.certificates import wanting as certificates
from beffroi.mail.domains import queries as domains
from beffroi.mail.probe import queries as probe
from beffroi.mail.sending import queries as sending


@dataclass(frozen=True)
class Alarm:
    """``cause``: what is broken, by identifiers and codes; empty where nothing is. ``count``: in ``said``, where it is
    not their number."""

    name: str
    cause: tuple[str, ...]
    said: Any
    url: str
    count: int = 0


def alarms(actor: Actor, active: Sequence[boxes.BoxState]) -> Iterator[Alarm]:
    """Most urgent first, those without a cause too. ``active``: boîtiers."""
    config, now = settings.BEFFROI, clock.epoch_s()
    forward = clock_steps.step_s(config) > 0
    yield Alarm(
        "clock",  # said first: much else may be late by it alone
        clock_steps.cause(config),
        gettext_lazy("l’horloge du centre a été avancée : comparez-la à une autre")
        if forward
        else gettext_lazy("l’horloge du centre a été reculée : comparez-la à une autre"),
        reverse("retention"),
    )
    late_days = audited.late_days(config, now=now)
    yield Alarm(
        "audit_late",
        ("late",) if late_days else (),
        ngettext_lazy(
            "le journal n’a pas été relu en entier depuis %(n)s jour",
            "le journal n’a pas été relu en entier depuis %(n)s jours",
            "n",
        ),
        reverse("journal"),
        late_days,
    )
    yield Alarm(
        "boxes_silent",
        tuple(one.box.id for one in active if one.silent),
        ngettext_lazy("%(n)s boîtier est silencieux", "%(n)s boîtiers sont silencieux", "n"),
        reverse("boxes") + "?etat=silent",
    )
    lost = domains.alarms(actor)
    yield Alarm(
        "domains",
        tuple(f"{one.domain_id} {item}" for one in lost for item in one.lost),
        ngettext_lazy(
            "%(n)s domaine a perdu un réglage de courrier",
            "%(n)s domaines ont perdu un réglage de courrier",
            "n",
        ),
        reverse("mail_domains"),
        len(lost),
    )
    yield Alarm(
        "events",
        _behind(now),
        ngettext_lazy(
            "%(n)s traitement du centre n’a pas pris en compte ce qui est arrivé",
            "%(n)s traitements du centre n’ont pas pris en compte ce qui est arrivé",
            "n",
        ),
        reverse("console_events"),
    )
    yield Alarm(
        "probe",
        tuple(one.path for one in probe.ways(actor) if one.alarms) if actor.sees_all else (),
        ngettext_lazy(
            "%(n)s chemin du courrier ne fonctionne plus",
            "%(n)s chemins du courrier ne fonctionnent plus",
            "n",
        ),
        reverse("mail_probe"),
    )
    yield Alarm(
        "listed",
        sending.listed(actor),
        ngettext_lazy(
            "%(n)s de nos adresses d’envoi est sur une liste noire",
            "%(n)s de nos adresses d’envoi sont sur une liste noire",
            "n",
        ),
        reverse("outgoing"),
    )
    yield from _backups(now)
    yield Alarm(
        "logs",
        _codes("late" if logs_taken.late(config, now=now) else ""),
        gettext_lazy("aucune autre machine ne prend les journaux depuis une heure"),
        reverse("journal"),
    )
    yield Alarm(
        "certificates",
        tuple(one.name for one in certificates.alarms(actor)),
        ngettext_lazy(
            "%(n)s certificat de domaine finit bientôt", "%(n)s certificats de domaine finissent bientôt", "n"
        ),
        reverse("mail_domains"),
    )
    yield from _seals()


def _behind(now: int) -> tuple[str, ...]:
    """Parts of the centre that do not take in what happens; one where nobody looks any more."""
    told = events.read(settings.BEFFROI)
    if told is None:
        return ()
    late = ("nobody looks",) if events.late_minutes(settings.BEFFROI, now=now) else ()
    return (*sorted({one.consumer for one in told.behind + told.parked}), *late)


def _backups(now: int) -> Iterator[Alarm]:
    """Of mailboxes, of the database, of the copies elsewhere: late, failing, damaged."""
    config, page = settings.BEFFROI, reverse("mail_backups")
    told = backed_up.read(config)
    late = backed_up.late(told, now=now)
    yield Alarm(
        "backup",
        _codes("late" if late else "", told.failure, told.check_failure, *told.damaged),
        gettext_lazy("la sauvegarde des boîtes demande un regard"),
        page,
    )
    own, late = told.database, backed_up.database_late(told, now=now)
    yield Alarm(
        "database_backup",
        _codes("late" if late else "", own.failure, own.drill_failure),
        gettext_lazy("la sauvegarde de la base de données demande un regard"),
        page,
    )
    yield Alarm(
        "fetched",
        _codes("late" if fetched.late(config, now=now) else ""),
        gettext_lazy("aucune autre machine n’est venue chercher les sauvegardes depuis deux jours"),
        page,
    )


def _codes(*found: str) -> tuple[str, ...]:
    return tuple(one for one in found if one)


def _seals() -> Iterator[Alarm]:
    """Verifications that wait for a setting; sealed folders that wait for their time stamp for too long. What is
    damaged is a task."""
    known, page = seals.read(settings.BEFFROI), reverse("console_seals")
    yield Alarm(
        "seals_held_up",
        tuple(f"{owner} {one.held_up}" for owner, one in known.items() if one.held_up),
        ngettext_lazy(
            "%(n)s vérification de dossier scellé ne peut pas se terminer",
            "%(n)s vérifications de dossiers scellés ne peuvent pas se terminer",
            "n",
        ),
        page,
        sum(one.held_up for one in known.values()),
    )
    yield Alarm(
        "seals_unstamped",
        tuple(f"{owner} {one.unstamped}" for owner, one in known.items() if one.unstamped),
        ngettext_lazy(
            "%(n)s dossier scellé attend son horodatage depuis plus d’un jour",
            "%(n)s dossiers scellés attendent leur horodatage depuis plus d’un jour",
            "n",
        ),
        page,
        sum(one.unstamped for one in known.values()),
    )
