"""Communes: those that take part, and enrolment from the national register by name or INSEE code."""

from __future__ import annotations

from http import HTTPStatus

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.boxes import queries as boxes
from beffroi.core.communes import actions, queries, register
from beffroi.core.identity import queries as identity
from beffroi.core.identity import reviews
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.portal.pages import asks_part, for_administrators, page, sought

MAX_QUERY_CHARS = 80
HITS = 12


@require_GET
@for_administrators
def communes(request: HttpRequest, actor: Actor) -> HttpResponse:
    text = sought(request, MAX_QUERY_CHARS)
    with_box = set(
        boxes.visible_boxes(actor).filter(state="active").values_list("collectivite_id", flat=True)
    )
    domains: dict[str, list[str]] = {}
    for owner, name in queries.visible_domains(actor).values_list("collectivite_id", "name"):
        domains.setdefault(owner, []).append(name)
    headless, insee = identity.without_referent(), queries.current_codes("insee")
    enrolled = [
        {
            "collectivite": one,
            "insee": insee.get(one.id, ""),
            "domains": domains.get(one.id, []),
            "box": one.id in with_box,
            "no_referent": one.id in headless,
            "to_review": one.id not in headless and reviews.is_due(one),
        }
        for one in queries.visible_collectivites(actor).exclude(enrolled_at=None)
    ]
    known = {one["insee"]: one for one in enrolled}
    hits = register.search(text, departement=settings.BEFFROI.departement, limit=HITS) if text else []
    context = {
        "place": "communes",
        "q": text,
        "hits": [{"commune": hit, "enrolled": known.get(hit.insee)} for hit in hits],
        "enrolled": enrolled,
    }
    part = asks_part(request, "hits")
    return page(request, "console/parts/hits.html" if part else "console/communes.html", context)


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
