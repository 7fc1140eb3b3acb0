"""The commune's weather, its history, and the sheet for the conseil municipal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.boxes import queries as boxes
from beffroi.core.communes import queries as communes
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity.actor import Actor
from beffroi.incidents import queries as incidents
from beffroi.lib import clock
from beffroi.portal import incident_view, months, weather, weather_words
from beffroi.portal.pages import for_agents, page
from beffroi.watch.weather import rules
from beffroi.watch.weather.rules import Inputs, Reason

HISTORY_DAYS = 30
SHEET_LINES = 4
"""Of incidents on one A4 page; how many more there were is said."""

WAYS: dict[str, str] = {
    Reason.SEVERE_INCIDENT: "incidents",
    Reason.MANY_INCIDENTS: "incidents",
    Reason.INCIDENT: "incidents",
    Reason.BOX_SILENT: "own_boxes",
    Reason.UNREPORTED: "blocks",
    Reason.SURGE: "own_boxes",
}
"""Reason of a commune -> the page on which it is seen, and dealt with."""


@require_GET
@for_agents
def forecast(request: HttpRequest, actor: Actor) -> HttpResponse:
    today = clock.now().date()
    first = today - timedelta(days=HISTORY_DAYS - 1)
    enrolled_at = _enrolled_at(actor)
    context = {
        "place": "weather",
        "now": now(actor),
        "told": months.told(actor, first, today),
        "enrolled_at": enrolled_at if enrolled_at is not None and enrolled_at.date() > first else None,
        "conditions": weather_words.conditions(),
        **months.since(enrolled_at),
        "box": boxes.visible_boxes(actor).exists(),
    }
    return page(request, "portal/weather.html", context)


@require_GET
@for_agents
def sheet(request: HttpRequest, actor: Actor) -> HttpResponse:
    """One A4 page of one month. Errors: NotFound."""
    asked = months.month_of(request.GET.get("mois", ""))
    told = months.told(actor, asked.first, asked.last)
    opened = incidents.visible_incidents(actor).filter(
        opened_at__date__gte=asked.first, opened_at__date__lte=asked.last
    )
    closed = incidents.visible_incidents(actor).filter(
        closed_at__date__gte=asked.first, closed_at__date__lte=asked.last
    )
    decided = decisions.visible_decisions(actor).filter(
        activated_at__date__gte=asked.first, activated_at__date__lte=asked.last
    )
    box = boxes.visible_boxes(actor).exists()
    enrolled_at = _enrolled_at(actor)
    in_it = enrolled_at is not None and asked.first < enrolled_at.date() <= asked.last
    context = {
        "place": "weather",
        "month": asked,
        "told": told,
        "not_yet": asked.before(enrolled_at) and not told.lines,
        "enrolled_at": enrolled_at,
        "enrolled_in_it": in_it,
        "figures": weather_words.figures(told.figures, box=box),
        "box": box,
        "opened": incident_view.summaries(actor, opened.order_by("opened_at")[:SHEET_LINES]),
        "opened_more": max(0, opened.count() - SHEET_LINES),
        "closed": closed.count(),
        "decided": decided.count(),
    }
    return page(request, "portal/weather_month.html", context)


def _enrolled_at(actor: Actor) -> datetime | None:
    return communes.access_collectivite(actor, actor.collectivite_id or "").enrolled_at


def now(actor: Actor) -> dict[str, Any]:
    """The commune's weather at this moment, and what it was made of."""
    looked_at = weather.inputs(actor).get(actor.collectivite_id or "", Inputs())
    found = rules.of_commune(looked_at)
    return {
        "weather": found,
        "level": weather_words.level(found.level),
        "sentence": weather_words.sentence(found),
        "reasons": [(weather_words.reason(code, count), WAYS[code]) for code, count in found.reasons],
        "inputs": looked_at,
    }
