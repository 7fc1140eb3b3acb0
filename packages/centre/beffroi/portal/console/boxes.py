"""Boîtiers: the fleet, counts first; a code for a new one (shown once), the comparison of the fingerprint, the end."""

from __future__ import annotations

from collections import Counter

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.boxes import actions, fleet, queries
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import accents
from beffroi.portal import words
from beffroi.portal.numbered import filters, numbered
from beffroi.portal.pages import asks_part, for_administrators, page, sought

MAX_QUERY_CHARS = 80


@require_GET
@for_administrators
def boxes(request: HttpRequest, actor: Actor) -> HttpResponse:
    flag = request.GET.get("etat", "")
    text = sought(request, MAX_QUERY_CHARS)
    rows = fleet.fleet(actor, with_revoked=True)
    counts = Counter(one for row in rows for one in {*row.flags, row.state})
    present = [row for row in rows if row.box.state != "revoked"]
    wanted = [row for row in present if flag in row.flags] if flag in fleet.FLAGS else present
    if flag == "box_revoked":
        wanted = [row for row in rows if row.state == flag]
    if text:
        wanted = [row for row in wanted if _matches(row, text)]
    context = {
        "place": "boxes",
        "list": numbered(wanted, request.GET.get("page", ""), {"etat": flag, "q": text}),
        "flag": flag,
        "q": text,
        "filters": _filters(counts, len(present), flag, text),
        "pending": counts["pending"],
        "silent": counts["silent"],
        "active": len(present) - counts["pending"],
    }
    part = asks_part(request, "list")
    return page(request, "console/parts/boxes.html" if part else "console/boxes.html", context)


def _filters(counts: Counter[str], total: int, chosen: str, text: str) -> list[dict[str, object]]:
    """Those that hold for a boîtier, and the chosen one."""
    names = [("", _("Tous"), total)]
    for name in (*fleet.FLAGS, "box_revoked"):
        if counts[name] or name == chosen:
            names.append((name, str(words.STATES[name][0]), counts[name]))
    return filters(names, chosen, {"q": text})


def _matches(row: fleet.FleetRow, text: str) -> bool:
    """In the commune's name, without accents, or in serial, fingerprint or version."""
    where = " ".join((row.commune, row.box.serial, row.box.fingerprint, row.box.agent_version))
    return _folded(text) in _folded(where)


def _folded(text: str) -> str:
    return accents.bare(text).replace("-", " ")


@require_http_methods(["GET", "POST"])
@for_administrators
def issue(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Choose the commune; then the code, once, in the answer to the request that made it."""
    if request.method == "GET":
        known = communes.with_town_hall(actor)
        context = {"place": "boxes", "communes": known, "chosen": request.GET.get("commune", "")}
        return page(request, "console/box_code_new.html", context)
    collectivite = communes.access_collectivite(actor, request.POST.get("collectivite_id", ""))
    code = actions.issue_code(actor=actor, collectivite=collectivite)
    life_min = actions.CODE_LIFE_S // 60
    shown: dict[str, object] = {"place": "boxes", "code": code, "commune": collectivite, "life_min": life_min}
    return page(request, "console/box_code_shown.html", shown)


@require_http_methods(["GET", "POST"])
@for_administrators
def replace(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    """A code for the box that takes this one's place; shown once."""
    box = queries.access_box(actor, box_id)
    commune = communes.access_collectivite(actor, box.collectivite_id)
    context: dict[str, object] = {"place": "boxes", "box": box, "commune": commune}
    if request.method == "GET":
        return page(request, "console/box_replace.html", context)
    code = actions.issue_code(actor=actor, collectivite=commune, replaces=box)
    context |= {"code": code, "life_min": actions.CODE_LIFE_S // 60}
    return page(request, "console/box_code_shown.html", context)


@require_http_methods(["GET", "POST"])
@for_administrators
def confirm(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    box = queries.access_box(actor, box_id)
    if request.method == "POST":
        actions.confirm(actor=actor, box=box)
        return HttpResponseRedirect(reverse("boxes"))
    commune = communes.access_collectivite(actor, box.collectivite_id)
    return page(request, "console/box_confirm.html", {"place": "boxes", "box": box, "commune": commune})


@require_http_methods(["GET", "POST"])
@for_administrators
def revoke(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    box = queries.access_box(actor, box_id)
    if request.method == "POST":
        actions.revoke(actor=actor, box=box)
        return HttpResponseRedirect(reverse("boxes"))
    commune = communes.access_collectivite(actor, box.collectivite_id)
    return page(request, "console/box_revoke.html", {"place": "boxes", "box": box, "commune": commune})
