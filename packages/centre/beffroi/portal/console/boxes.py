"""Boîtiers: their state, a code for a new one (shown once), the comparison of the fingerprint, the end."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.boxes import actions, queries
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.portal.pages import for_administrators, page


@require_GET
@for_administrators
def boxes(request: HttpRequest, actor: Actor) -> HttpResponse:
    names = dict(communes.visible_collectivites(actor).values_list("id", "name"))
    rows = [
        {
            "box": one.box,
            "commune": names.get(one.box.collectivite_id, ""),
            "state": _state(one),
            "version": one.enforces.get("box", (0, 0))[1],
        }
        for one in queries.box_states(actor)
    ]
    rows.sort(key=lambda row: (row["state"] != "pending", row["state"] != "silent", row["commune"]))
    context = {
        "place": "boxes",
        "rows": rows,
        "pending": sum(row["state"] == "pending" for row in rows),
        "silent": sum(row["state"] == "silent" for row in rows),
        "active": sum(row["state"] == "box_active" for row in rows),
    }
    part = request.htmx and request.GET.get("part") == "list"  # type: ignore[attr-defined]
    return page(request, "console/parts/boxes.html" if part else "console/boxes.html", context)


def _state(one: queries.BoxState) -> str:
    if one.silent:
        return "silent"
    return {"active": "box_active", "revoked": "box_revoked"}.get(one.box.state, one.box.state)


@require_http_methods(["GET", "POST"])
@for_administrators
def issue(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Choose the commune; then the code, once, in the answer to the request that made it."""
    if request.method == "GET":
        known = communes.visible_collectivites(actor).exclude(enrolled_at=None)
        context = {"place": "boxes", "communes": known, "chosen": request.GET.get("commune", "")}
        return page(request, "console/box_code_new.html", context)
    collectivite = communes.access_collectivite(actor, request.POST.get("collectivite_id", ""))
    code = actions.issue_code(actor=actor, collectivite=collectivite)
    life_min = actions.CODE_LIFE_S // 60
    shown: dict[str, object] = {"place": "boxes", "code": code, "commune": collectivite, "life_min": life_min}
    return page(request, "console/box_code_shown.html", shown)


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
