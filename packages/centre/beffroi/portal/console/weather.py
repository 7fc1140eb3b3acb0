"""The weather of the whole territory: every commune as a tile, what waits, and a month in figures."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from django.db.models import Min
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from beffroi.core.communes import queries as communes
from beffroi.core.communes import register
from beffroi.core.identity.actor import Actor
from beffroi.portal import months, weather, weather_words
from beffroi.portal.pages import for_administrators, page
from beffroi.watch.weather.rules import Level, Weather

SHOWN = ("flows_in", "flows_out", "names", "mails_refused", "mails_withdrawn")
"""Figures of each collectivité in the page of a month."""


@dataclass(frozen=True)
class Tile:
    """One collectivité. ``level`` as ``weather_words.level``."""

    name: str
    rank: int
    level: dict[str, str]
    reasons: list[str]


@require_GET
@for_administrators
def territory(request: HttpRequest, actor: Actor) -> HttpResponse:
    enrolled = communes.visible_collectivites(actor).aggregate(first=Min("enrolled_at"))["first"]
    context = {
        "place": "weather",
        **view(actor),
        "conditions": weather_words.conditions(),
        "territory_conditions": weather_words.territory_conditions(),
        **months.since(enrolled),
    }
    return page(request, "console/weather.html", context)


@require_GET
@for_administrators
def month(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound."""
    asked = months.month_of(request.GET.get("mois", ""))
    found = months.by_collectivite(actor, asked)
    total: Counter[str] = Counter()
    for figures, _worst in found.values():
        total.update(figures)
    names: dict[str, str] = {}
    not_yet = []
    for one in communes.visible_collectivites(actor):
        names[one.id] = one.name
        if asked.before(one.enrolled_at) and one.id not in found:
            not_yet.append(one.name)
    rows, calm = [], []
    for owner, (figures, worst) in found.items():
        name = names.get(owner, owner)
        if worst is Level.CALM and not any(figures[one] for one in SHOWN):
            calm.append(name)
        else:
            rows.append({"name": name, "figures": dict(figures), "level": weather_words.level(worst)})
    context = {
        "place": "weather",
        "month": asked,
        "figures": weather_words.figures(total, territory=True),
        "total": total,
        "sign_ins": months.sign_ins_refused(asked),
        "not_yet": not_yet,
        "nobody_yet": len(not_yet) == len(names) > 0,
        "rows": sorted(rows, key=lambda row: str(row["name"])),
        "calm": sorted(calm),
    }
    return page(request, "console/weather_month.html", context)


def view(actor: Actor) -> dict[str, Any]:
    """The département's weather, and its communes by EPCI: the worst first in the list, by name in the tiles."""
    found = weather.by_collectivite(actor)
    whole = weather.territory(actor, found)
    names = communes.visible_names(actor)
    homes = _homes(list(found))
    groups: dict[str, list[Tile]] = defaultdict(list)
    for owner, one in found.items():
        groups[homes.get(owner) or _("Autres collectivités")].append(_tile(names.get(owner, owner), one))
    tiles = [tile for group in groups.values() for tile in group]
    counts = Counter(one.level for one in found.values())
    return {
        "level": weather_words.level(whole.level),
        "sentence": weather_words.sentence(whole),
        "reasons": weather_words.reasons(whole),
        "counts": [(weather_words.level(name), counts[name]) for name in reversed(Level)],
        "groups": [(name, sorted(group, key=lambda one: one.name)) for name, group in sorted(groups.items())],
        "unusual": sorted((t for t in tiles if t.reasons), key=lambda one: (-one.rank, one.name)),
    }


def _tile(name: str, found: Weather) -> Tile:
    return Tile(
        name, list(Level).index(found.level), weather_words.level(found.level), weather_words.reasons(found)
    )


def _homes(owners: list[str]) -> dict[str, str]:
    """The EPCI of each commune, by name: neighbours stand together."""
    codes = communes.insee_codes()
    found = {owner: register.find(codes[owner]) for owner in owners if owner in codes}
    return {owner: commune.epci_name for owner, commune in found.items() if commune is not None}
