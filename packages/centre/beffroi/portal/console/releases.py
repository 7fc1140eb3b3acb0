"""Logiciel des boîtiers: how far each release is, and the words of the Département: start, stop, go on."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from beffroi.boxes import queries, releases, rollout
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import digits
from beffroi.lib.errors import Invalid
from beffroi.portal.pages import for_administrators, page

SHOWN = 10
FAILED_SHOWN = 50


@require_http_methods(["GET", "POST"])
@for_administrators
def software(request: HttpRequest, actor: Actor) -> HttpResponse:
    if request.method == "POST":
        _word(request, actor)
        return HttpResponseRedirect(reverse("box_software"))
    names = communes.visible_names(actor)
    with_box = set(
        queries.visible_boxes(actor).filter(state="active").values_list("collectivite_id", flat=True)
    )
    rows = [
        {
            "release": one,
            "state": f"release_{one.state}",
            "percent": rollout.STAGES[one.stage],
            "canary": names.get(one.canary_id, ""),
            **releases.progress(one.number),
        }
        for one in releases.visible_releases(actor)[:SHOWN]
    ]
    failed = [
        {"commune": names.get(one.collectivite_id, ""), "update": one}
        for one in releases.failed_updates(actor)[:FAILED_SHOWN]
    ]
    mute = [
        {"box_id": one.id, "commune": names.get(one.collectivite_id, ""), "number": row.number, "why": reason}
        for row in releases.visible_releases(actor).filter(state__in=("running", "stopped"))[:1]
        for one, reason in releases.mute_updates(actor, row.number)[:FAILED_SHOWN]
    ]
    choices = sorted(((name, key) for key, name in names.items() if key in with_box))
    context = {"place": "boxes", "rows": rows, "failed": failed, "mute": mute, "communes": choices}
    return page(request, "console/box_software.html", context)


def _word(request: HttpRequest, actor: Actor) -> None:
    """Errors: Invalid, and those of releases."""
    number, word = digits.needed(request.POST.get("number", ""), most=16), request.POST.get("word", "")
    if word == "start":
        canary = communes.access_collectivite(actor, request.POST.get("canary", ""))
        releases.start(actor=actor, number=number, canary=canary)
    elif word == "stop":
        releases.stop(actor=actor, number=number)
    elif word == "resume":
        releases.resume(actor=actor, number=number)
    else:
        raise Invalid("word")
