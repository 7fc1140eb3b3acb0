"""Vue d'ensemble: what waits for a word of the Département, and whether everything enforces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, ngettext_lazy
from django.views.decorators.http import require_GET

from beffroi.boxes import fleet, relay_requests, releases
from beffroi.boxes import queries as boxes
from beffroi.core.communes import queries as communes
from beffroi.core.decisions import by_hand
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity import erasure
from beffroi.core.identity import queries as persons
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import queries as retention
from beffroi.drive.seals import overview as seals
from beffroi.incidents import queries as incidents
from beffroi.lib import clock
from beffroi.mail import queries as mail
from beffroi.mail.backup import queries as restores
from beffroi.mail.backup import told as backed_up
from beffroi.mail.certificates import wanting as certificates
from beffroi.mail.closing import queries as closing
from beffroi.mail.domains import queries as domains
from beffroi.mail.probe import queries as probe
from beffroi.mail.reports import queries as reports
from beffroi.mail.sending import pool_queries as pools
from beffroi.mail.sending import queries as sending
from beffroi.portal import chart, weather, weather_words
from beffroi.portal.console import evidence
from beffroi.portal.pages import asks_part, for_administrators, give_live_grant, page
from beffroi.watch import queries as watch
from beffroi.watch.sources import queries as sources

CHART_DAYS = FIGURE_DAYS = 30
WAITING = 5


@require_GET
@for_administrators
def overview(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {"place": "overview", **facts(actor)}
    part = asks_part(request, "facts")
    return page(request, "console/parts/overview.html" if part else "console/overview.html", context)


@require_GET
@for_administrators
def live_grant(request: HttpRequest, actor: Actor) -> HttpResponse:
    response = HttpResponse(status=204)
    give_live_grant(response, actor)
    return response


def facts(actor: Actor) -> dict[str, Any]:
    """Counts from queries, and the first sentence."""
    states = boxes.box_states(actor)
    active = [one for one in states if one.box.state == "active"]
    pending = [one for one in states if one.box.state == "pending"]
    silent = [one for one in active if one.silent]
    waiting, undecided = watch.open_count(actor), decisions.undecided_count(actor)
    alarms = sources.alarms(actor)
    withdrawals = mail.waiting_withdrawals(actor)
    erasures = erasure.waiting().count()
    todo = tasks(actor, active)
    days = chart.per_day(
        decisions.visible_decisions(actor)
        .exclude(activated_at=None)
        .values_list("activated_at", flat=True)[:20000],
        days=CHART_DAYS,
    )
    since = clock.now().date() - timedelta(days=FIGURE_DAYS - 1)
    refused = list(boxes.refused_by_day(actor, since=since).values())
    whole = weather.territory(actor, weather.by_collectivite(actor))
    unowned = incidents.open_incidents(actor).filter(owner_id="").count()
    purge_stopped = retention.needs_a_person(actor)
    said = [one["said"] for one in todo]
    if unowned:
        said.append(
            ngettext(
                "%(n)s dossier attend que l’un de vous le prenne en charge",
                "%(n)s dossiers attendent que l’un de vous les prenne en charge",
                unowned,
            )
            % {"n": unowned}
        )
    if purge_stopped:
        said.append(_("la purge quotidienne est arrêtée"))
    if alarms:
        said.append(
            ngettext("%(n)s source demande un regard", "%(n)s sources demandent un regard", len(alarms))
            % {"n": len(alarms)}
        )
    waits = any((waiting, undecided, withdrawals, erasures, pending, silent, said))
    return {
        "weather": weather_words.level(whole.level),
        "weather_say": _("Aucune alerte en cours.")
        if waits and not whole.reasons
        else weather_words.sentence(whole),
        "weather_why": weather_words.reasons(whole),
        "lead": lead(
            waiting=waiting,
            undecided=undecided,
            withdrawals=len(withdrawals),
            pending=len(pending),
            silent=len(silent),
            erasures=erasures,
            more=said,
        ),
        "tasks": todo,
        "erasures": erasures,
        "purge_stopped": purge_stopped,
        "undecided": undecided,
        "withdrawals_waiting": len(withdrawals),
        "incidents_unowned": unowned,
        "waiting": [
            evidence.summary(actor, one) for one in watch.campaigns(actor, state="open", limit=WAITING)
        ],
        "latest": [
            evidence.summary(actor, one) for one in watch.campaigns(actor, state="decided", limit=WAITING)
        ],
        "decisions": decisions.active_decisions(actor).count(),
        "enrolled": communes.visible_collectivites(actor).exclude(enrolled_at=None).count(),
        "boxes_active": len(active),
        "boxes_answering": len(active) - len(silent),
        "pending": len(pending),
        "sources_held": sum(one.state == "held" for one in alarms),
        "sources_asking": sum(one.state == "asks" for one in alarms),
        "sources_late": sum(one.state == "late" for one in alarms),
        "withdrawn": mail.visible_jobs(actor).filter(direction="withdraw").aggregate(n=Sum("moved"))["n"]
        or 0,
        "flows": sum(one.flows_in + one.flows_out for one in refused),
        "names": sum(one.names for one in refused),
        "figure_days": FIGURE_DAYS,
        "chart": chart.bars(days),
        "days": days,
    }


def tasks(actor: Actor, active: Sequence[boxes.BoxState]) -> list[dict[str, str]]:
    """What of the fleet and of blocks by hand waits for a person: words and where to go."""
    found = []
    counted = (
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
            by_hand.waiting().count(),
            ngettext_lazy(
                "%(n)s blocage attend une seconde personne",
                "%(n)s blocages attendent une seconde personne",
                "n",
            ),
            reverse("waiting"),
        ),
    )
    more = (
        *(_sending(actor), _senders(actor), _probe(actor), _listed(actor), _warming(actor), _backup()),
        *(
            _relays(actor),
            _restores(actor),
            _certificates(actor),
            _closed(actor),
            _beginning(),
            _seals(),
            _held_up(),
            _unstamped(),
        ),
    )
    for count, said, url in (*counted, *more):
        if count:
            found.append({"said": said % {"n": count}, "url": url})
    return found


def _sending(actor: Actor) -> tuple[int, Any, str]:
    """Accounts over their limit of sending."""
    return (
        sending.alarms(actor).count(),
        ngettext_lazy("%(n)s compte de courriel envoie trop", "%(n)s comptes de courriel envoient trop", "n"),
        reverse("outgoing"),
    )


def _beginning() -> tuple[int, Any, str]:
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


def _certificates(actor: Actor) -> tuple[int, Any, str]:
    """Certificates of domains that end within 14 days and were not renewed."""
    return (
        len(certificates.alarms(actor)),
        ngettext_lazy(
            "%(n)s certificat de domaine finit bientôt", "%(n)s certificats de domaine finissent bientôt", "n"
        ),
        reverse("mail_domains"),
    )


def _senders(actor: Actor) -> tuple[int, Any, str]:
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


def _probe(actor: Actor) -> tuple[int, Any, str]:
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


def _warming(actor: Actor) -> tuple[int, Any, str]:
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


def _backup() -> tuple[int, Any, str]:
    """Whether the backup of the mailboxes is late, fails, or is damaged."""
    return (
        int(bool(backed_up.problem(settings.BEFFROI, now=clock.epoch_s()))),
        ngettext_lazy(
            "la sauvegarde des boîtes demande un regard", "la sauvegarde des boîtes demande un regard", "n"
        ),
        reverse("mail_backups"),
    )


def _seals() -> tuple[int, Any, str]:
    """Sealed folders that a verification found damaged."""
    return (
        sum(one.damaged for one in seals.read(settings.BEFFROI).values()),
        ngettext_lazy("%(n)s dossier scellé est abîmé", "%(n)s dossiers scellés sont abîmés", "n"),
        reverse("console_seals"),
    )


def _held_up() -> tuple[int, Any, str]:
    """Verifications of sealed folders that wait for a setting."""
    return (
        sum(one.held_up for one in seals.read(settings.BEFFROI).values()),
        ngettext_lazy(
            "%(n)s vérification de dossier scellé ne peut pas se terminer",
            "%(n)s vérifications de dossiers scellés ne peuvent pas se terminer",
            "n",
        ),
        reverse("console_seals"),
    )


def _unstamped() -> tuple[int, Any, str]:
    """Sealed folders that wait for their time stamp for too long."""
    return (
        sum(one.unstamped for one in seals.read(settings.BEFFROI).values()),
        ngettext_lazy(
            "%(n)s dossier scellé attend son horodatage depuis plus d’un jour",
            "%(n)s dossiers scellés attendent leur horodatage depuis plus d’un jour",
            "n",
        ),
        reverse("console_seals"),
    )


def _relays(actor: Actor) -> tuple[int, Any, str]:
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


def _restores(actor: Actor) -> tuple[int, Any, str]:
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


def _closed(actor: Actor) -> tuple[int, Any, str]:
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


def _listed(actor: Actor) -> tuple[int, Any, str]:
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


def lead(
    *,
    waiting: int,
    undecided: int,
    withdrawals: int,
    pending: int,
    silent: int,
    erasures: int,
    more: Sequence[str] = (),
) -> str:
    parts = []
    if waiting:
        parts.append(
            ngettext("%(n)s campagne attend votre avis", "%(n)s campagnes attendent votre avis", waiting)
            % {"n": waiting}
        )
    if undecided:
        parts.append(
            ngettext(
                "%(n)s décision ou contestation est à trancher",
                "%(n)s décisions ou contestations sont à trancher",
                undecided,
            )
            % {"n": undecided}
        )
    if withdrawals:
        parts.append(
            ngettext(
                "%(n)s retrait attend une seconde personne",
                "%(n)s retraits attendent une seconde personne",
                withdrawals,
            )
            % {"n": withdrawals}
        )
    if erasures:
        parts.append(
            ngettext(
                "%(n)s effacement de compte attend une seconde personne",
                "%(n)s effacements de comptes attendent une seconde personne",
                erasures,
            )
            % {"n": erasures}
        )
    if pending:
        parts.append(
            ngettext("%(n)s boîtier est à confirmer", "%(n)s boîtiers sont à confirmer", pending)
            % {"n": pending}
        )
    if silent:
        parts.append(
            ngettext("%(n)s boîtier est silencieux", "%(n)s boîtiers sont silencieux", silent) % {"n": silent}
        )
    parts += more
    return "\N{NO-BREAK SPACE}; ".join(parts) + "." if parts else _("Rien n’attend votre avis.")
