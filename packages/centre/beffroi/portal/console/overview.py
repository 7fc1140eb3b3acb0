"""Vue d'ensemble: what waits for a word of the Département, and whether everything enforces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from beffroi.boxes import queries as boxes
from beffroi.core.communes import queries as communes
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity import erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import queries as retention
from beffroi.incidents import queries as incidents
from beffroi.lib import clock
from beffroi.mail import queries as mail
from beffroi.portal import certificate_view, chart, weather, weather_words
from beffroi.portal.console import evidence, tasks
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
    give_live_grant(request, response, actor)
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
    todo = tasks.waiting(actor, active)
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
    certificates = certificate_view.own_ending()
    if certificates:
        said.append(
            ngettext(
                "%(n)s certificat du centre est à remplacer",
                "%(n)s certificats du centre sont à remplacer",
                len(certificates),
            )
            % {"n": len(certificates)}
        )
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
        "certificates": certificates,
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
