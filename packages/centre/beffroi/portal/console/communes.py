"""Communes: those that take part, and enrolment from the national register by name or INSEE code. The same field finds
a person, of whom somebody on the telephone says the name."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.boxes import queries as boxes
from beffroi.core.communes import actions, exports, queries, register
from beffroi.core.identity import queries as identity
from beffroi.core.identity import reviews
from beffroi.core.identity.actor import Actor
from beffroi.leaving import queries as departures
from beffroi.leaving.models import Leaving
from beffroi.lib import accents, clock
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.portal import leaving_words, persons, tags
from beffroi.portal.numbered import filters, numbered
from beffroi.portal.pages import asks_part, for_administrators, page, sought

MAX_QUERY_CHARS = 80
HITS = 12
EXPORTS = 10
SILENT = timedelta(minutes=10)
_FILTERS = {
    "no_referent": gettext_lazy("Sans référent"),
    "to_review": gettext_lazy("Accès à relire"),
    "no_box": gettext_lazy("Sans boîtier"),
    "leaves_on": gettext_lazy("Départ prévu"),
}
_STATES = {
    "running": (gettext_lazy("En cours"), "quiet", "clock"),
    "done": (gettext_lazy("Terminé"), "good", "circle-check"),
    "stopped": (gettext_lazy("Arrêté par la commune"), "bad", "ban"),
    "cut": (gettext_lazy("Interrompu"), "warn", "triangle-alert"),
    "short": (gettext_lazy("Terminé, incomplet"), "warn", "triangle-alert"),
}


@require_GET
@for_administrators
def communes(request: HttpRequest, actor: Actor) -> HttpResponse:
    text, chosen = sought(request, MAX_QUERY_CHARS), request.GET.get("etat", "")
    leavings = list(departures.leavings(actor))
    enrolled = _enrolled(actor, leavings)
    shown = [one for one in enrolled if one[chosen]] if chosen in _FILTERS else enrolled
    known = {one["insee"]: one for one in enrolled}
    insee = queries.current_codes("insee")
    gone = {insee.get(one.collectivite_id, ""): one.collectivite_id for one in leavings if one.left_at}
    hits = register.search(text, departement=settings.BEFFROI.departement, limit=HITS) if text else []
    in_register = {hit.insee for hit in hits}
    others = [
        one
        for one in enrolled
        if one["insee"] not in in_register
        and persons.matches(text, one["collectivite"].name, *one["domains"])
    ]
    people = _people(actor, text) if text else []
    context = {
        "place": "communes",
        "q": text,
        "hits": [
            {"commune": hit, "enrolled": known.get(hit.insee), "left": gone.get(hit.insee)} for hit in hits
        ],
        "others": others[:HITS],
        "people": people[:HITS],
        "more_people": len(people) > HITS,
        "many": len(enrolled),
        "list": numbered(shown, request.GET.get("page", ""), {"etat": chosen if chosen in _FILTERS else ""}),
        "filters": _filters(enrolled, chosen),
        "exports": _exports(actor),
        "left": _left(actor, leavings),
        "email": identity.administrator(actor.id).email,
    }
    part = asks_part(request, "hits")
    return page(request, "console/parts/hits.html" if part else "console/communes.html", context)


def _enrolled(actor: Actor, leavings: list[Leaving]) -> list[dict[str, Any]]:
    """By name; each with what ``_FILTERS`` ask of it."""
    active = boxes.visible_boxes(actor).filter(state="active")
    with_box = set(active.values_list("collectivite_id", flat=True))
    domains: dict[str, list[str]] = {}
    for owner, name in queries.visible_domains(actor).values_list("collectivite_id", "name"):
        domains.setdefault(owner, []).append(name)
    leaves_on = {one.collectivite_id: one.leaves_on for one in leavings}
    headless, insee = identity.without_referent(), queries.current_codes("insee")
    rows = queries.visible_collectivites(actor).exclude(enrolled_at=None)
    return [
        {
            "collectivite": one,
            "insee": insee.get(one.id, ""),
            "domains": domains.get(one.id, []),
            "box": one.id in with_box,
            "no_box": one.id not in with_box and one.kind != one.Kind.DEPARTEMENT,
            "no_referent": one.id in headless,
            "to_review": one.id not in headless and reviews.is_due(one),
            "leaves_on": leaves_on.get(one.id),
        }
        for one in sorted(rows, key=lambda one: accents.bare(one.name))
    ]


def _filters(enrolled: list[dict[str, Any]], chosen: str) -> list[dict[str, object]]:
    """All of them, those of ``_FILTERS`` that hold for one, and the chosen one."""
    found = [("", _("Toutes"), len(enrolled))]
    for name, label in _FILTERS.items():
        count = sum(bool(one[name]) for one in enrolled)
        if count or name == chosen:
            found.append((name, str(label), count))
    return filters(found, chosen if chosen in _FILTERS else "", {})


def _people(actor: Actor, text: str) -> list[dict[str, str]]:
    """One more than a page shows, by name; who works for two communes stands there twice."""
    names = queries.visible_names(actor)
    rows = identity.members(actor).values_list(
        "person_id", "person__name", "person__email", "collectivite_id"
    )
    found = [
        {"id": one, "name": name, "email": email, "of": of, "of_name": names.get(of, "")}
        for one, name, email, of in rows
        if persons.matches(text, name, email)
    ]
    return sorted(found, key=lambda one: accents.bare(one["name"]))[: HITS + 1]


def _left(actor: Actor, leavings: list[Leaving]) -> list[dict[str, Any]]:
    """Those that left, the latest last, with what becomes of what they had."""
    left = {one.collectivite_id: one for one in leavings if one.state == Leaving.State.LEFT}
    names, erasures = queries.names(), departures.erasures_of(actor, left)
    return [
        {
            "row": one,
            "name": names.get(owner, owner),
            "erasure": leaving_words.erasure(erasures[owner]) if owner in erasures else None,
            "erase_by": departures.erase_by(one),
        }
        for owner, one in left.items()
    ]


def _exports(actor: Actor) -> list[dict[str, Any]]:
    """The latest, one that goes on and says nothing for a while among them as what was cut."""
    names, people = queries.names(), {one.id: one.name for one in identity.administrators()}
    silent = clock.now() - SILENT
    found = []
    for one in exports.visible_exports(actor)[:EXPORTS]:
        was_cut = one.state == one.State.RUNNING and one.changed_at < silent
        is_short = one.state == one.State.DONE and one.missing
        state = "cut" if was_cut else "short" if is_short else one.state
        found.append(
            {
                "row": one,
                "name": names.get(one.collectivite_id, one.collectivite_id),
                "by": people.get(one.asked_by, one.asked_by),
                "state": tags.tag(_STATES, state),
            }
        )
    return found


@require_http_methods(["GET", "POST"])
@for_administrators
def enrol(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Ask for the commune's own mail domain, then enrol it."""
    insee = request.POST.get("insee", "") or request.GET.get("insee", "")
    commune = register.find(insee)
    if commune is None:
        raise NotFound("commune")
    context = {"place": "communes", "commune": commune}
    if request.method == "GET":
        return page(request, "console/commune_enrol.html", context)
    domain = request.POST.get("domain", "").strip().lower()[:253]
    try:
        with transaction.atomic():
            collectivite = actions.enrol_commune(actor=actor, insee=insee)
            actions.add_domain(actor=actor, collectivite=collectivite, name=domain)
    except Invalid:
        error = _("Ce nom de domaine n’est pas valide. Exemple : mairie-saulieu.fr")
    except Conflict:
        error = _("Cette commune ou ce domaine est déjà inscrit.")
    else:
        return HttpResponseRedirect(reverse("commune_persons", args=[collectivite.id]))
    return page(
        request,
        "console/commune_enrol.html",
        {**context, "domain": domain, "error": error},
        status=HTTPStatus.BAD_REQUEST,
    )
