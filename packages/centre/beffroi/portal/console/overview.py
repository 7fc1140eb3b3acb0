"""Vue d'ensemble: what waits for a word of the Département, and whether everything enforces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy
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
from beffroi.portal.console import administrators, evidence, tasks
from beffroi.portal.counts import Count, in_words
from beffroi.portal.pages import asks_part, for_administrators, page
from beffroi.watch import queries as watch
from beffroi.watch.sources import queries as sources

CHART_DAYS = FIGURE_DAYS = 30
WAITING = 5
NAMED = 3
"""Of what waits, in the first sentence; each has its line below."""


type Counted = tuple[str, Any]
"""The name of a count, and the words for one and for more."""
_FIRST: tuple[Counted, ...] = (
    (
        "unowned",
        ngettext_lazy(
            "%(n)s dossier attend que l’un de vous le prenne en charge",
            "%(n)s dossiers attendent que l’un de vous les prenne en charge",
            "n",
        ),
    ),
    ("purge_stopped", gettext_lazy("la purge quotidienne est arrêtée")),
    (
        "campaigns",
        ngettext_lazy("%(n)s campagne attend votre avis", "%(n)s campagnes attendent votre avis", "n"),
    ),
    (
        "undecided",
        ngettext_lazy(
            "%(n)s décision ou contestation est à trancher",
            "%(n)s décisions ou contestations sont à trancher",
            "n",
        ),
    ),
    (
        "withdrawals",
        ngettext_lazy(
            "%(n)s retrait attend une seconde personne", "%(n)s retraits attendent une seconde personne", "n"
        ),
    ),
    (
        "erasures",
        ngettext_lazy(
            "%(n)s effacement de compte attend une seconde personne",
            "%(n)s effacements de comptes attendent une seconde personne",
            "n",
        ),
    ),
    ("pending", ngettext_lazy("%(n)s boîtier est à confirmer", "%(n)s boîtiers sont à confirmer", "n")),
)
_LAST: tuple[Counted, ...] = (
    (
        "certificates",
        ngettext_lazy(
            "%(n)s certificat du centre est à remplacer",
            "%(n)s certificats du centre sont à remplacer",
            "n",
        ),
    ),
    ("alarms", ngettext_lazy("%(n)s source demande un regard", "%(n)s sources demandent un regard", "n")),
)
"""What is said before and after the tasks of ``tasks``."""


@require_GET
@for_administrators
def overview(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {"place": "overview", **facts(actor)}
    part = asks_part(request, "facts")
    return page(request, "console/parts/overview.html" if part else "console/overview.html", context)


def facts(actor: Actor) -> dict[str, Any]:
    """Counts from queries, and the first sentence."""
    states = boxes.box_states(actor)
    active = [one for one in states if one.box.state == "active"]
    pending = [one for one in states if one.box.state == "pending"]
    silent = [one for one in active if one.silent]
    alarms = sources.alarms(actor)
    certificates = certificate_view.own_ending()
    waiting = tasks.waiting(actor, active)
    todo = [one for one in waiting if one.seen is None]
    counts = {
        "campaigns": watch.open_count(actor),
        "undecided": decisions.undecided_count(actor),
        "withdrawals": len(mail.waiting_withdrawals(actor)),
        "erasures": erasure.waiting().count(),
        "pending": len(pending),
        "certificates": len(certificates),
        "unowned": incidents.open_incidents(actor).filter(owner_id="").count(),
        "purge_stopped": retention.needs_a_person(actor),
        "alarms": len(alarms),
    }
    said = [*_told(_FIRST, counts), *(one.said for one in todo), *_told(_LAST, counts)]
    days = chart.per_day(
        decisions.visible_decisions(actor)
        .exclude(activated_at=None)
        .values_list("activated_at", flat=True)[:20000],
        days=CHART_DAYS,
    )
    since = clock.now().date() - timedelta(days=FIGURE_DAYS - 1)
    refused = list(boxes.refused_by_day(actor, since=since).values())
    whole = weather.territory(actor, weather.by_collectivite(actor))
    return {
        "weather": weather_words.level(whole.level),
        "weather_say": _("Aucune alerte en cours.")
        if said and not whole.reasons
        else weather_words.sentence(whole),
        "weather_why": weather_words.reasons(whole),
        "lead": first_sentence(said),
        "tasks": todo,
        "seen": [
            {"one": one, "by": administrators.name_of(one.seen.by), "word": one.seen}
            for one in waiting
            if one.seen
        ],
        "erasures": counts["erasures"],
        "purge_stopped": counts["purge_stopped"],
        "certificates": certificates,
        "undecided": counts["undecided"],
        "withdrawals_waiting": counts["withdrawals"],
        "incidents_unowned": counts["unowned"],
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


def first_sentence(said: Sequence[str]) -> str:
    """What waits, most urgent first."""
    if not said:
        return _("Rien n’attend votre avis.")
    parts = list(said[:NAMED])
    if more := len(said[NAMED:]):
        parts.append(
            ngettext("et %(n)s autre, ci-dessous", "et %(n)s autres, ci-dessous", more) % {"n": Count(more)}
        )
    return "\N{NO-BREAK SPACE}; ".join(parts) + "."


def _told(table: Sequence[Counted], counts: Mapping[str, int]) -> Iterator[str]:
    """Of what there is one at least."""
    return (in_words(words, counts[name]) for name, words in table if counts[name])
