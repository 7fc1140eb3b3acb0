"""Boîtes à effacer: what communes ask for; the Département grants with the visa of the Archives, or refuses.

Access: administrators. They see addresses, counts and days; no export, and nothing of a mail.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, Invalid
from beffroi.mail.closing import erasures, queries
from beffroi.mail.closing.models import Erasure
from beffroi.mail.models import Mailbox
from beffroi.portal import closing_words, erasure_file
from beffroi.portal.console.incidents import step_up
from beffroi.portal.pages import for_administrators, page
from beffroi.portal.web.closed import certificate_answer

MAX_SHOWN = 200
PLACE = {"place": "mail"}


@require_GET
@for_administrators
def erasures_asked(request: HttpRequest, actor: Actor) -> HttpResponse:
    rows = list(queries.visible_erasures(actor)[:MAX_SHOWN])
    boxes = Mailbox.objects.in_bulk({one.mailbox_id for one in rows})
    names = dict(
        Collectivite.objects.filter(pk__in={one.collectivite_id for one in rows}).values_list("id", "name")
    )
    shown = [
        closing_words.erasure(one)
        | {"address": boxes[one.mailbox_id].address, "commune": names.get(one.collectivite_id, "")}
        for one in rows
        if one.mailbox_id in boxes
    ]
    return page(request, "console/closed_erasures.html", PLACE | {"rows": shown})


@require_http_methods(["GET", "POST"])
@for_administrators
def erasure(request: HttpRequest, actor: Actor, erasure_id: str) -> HttpResponse:
    """Read the request; grant it with a present code and the visa, refuse it with a reason, call it back.

    Errors: NotFound; Conflict, MailboxHeld when something came between.
    """
    found = queries.access_erasure(actor, erasure_id)
    error = said = ""
    if request.method == "POST":
        if request.POST.get("word") == "file":
            return certificate_answer(actor, found)
        error, said = _decide(request, actor, found)
        if not error and not said:
            return HttpResponseRedirect(reverse("closed_erasure", args=[found.id]))
    box = Mailbox.objects.get(pk=found.mailbox_id)
    done = found.state == Erasure.State.DONE
    context: dict[str, Any] = PLACE | closing_words.erasure(found)
    context |= {
        "box": box,
        "commune": Collectivite.objects.get(pk=found.collectivite_id).name,
        "asked_by": identity.person_name(found.asked_by) or _("Une personne partie"),
        "decided_by": erasure_file.decided_by(found) if found.decided_by else "",
        "exports": [one for one in queries.exports(box) if one.ready_at is not None],
        "held": not done and erasures.held(box),
        "file": erasure_file.content(actor, found) if done else None,
        "error": error,
        "said": said,
        "failed": "visa" if request.POST.get("word") == "grant" else "reason",
        "call_back_h": erasures.CALL_BACK_H,
        "typed": {name: request.POST.get(name, "")[:300] for name in ("visa", "reason")},
    }
    return page(
        request, "console/closed_erasure.html", context, status=403 if error else 400 if said else 200
    )


def _decide(request: HttpRequest, actor: Actor, found: Erasure) -> tuple[str, str]:
    """What is wrong with the code, and with the form; ("", "") when it was done."""
    word = request.POST.get("word", "")
    try:
        if word == "grant":
            if error := step_up(request, actor):
                return error, ""
            erasures.grant(actor=actor, erasure=found, visa=request.POST.get("visa", ""))
        elif word == "refuse":
            erasures.refuse(actor=actor, erasure=found, reason=request.POST.get("reason", ""))
        elif word == "call_back":
            erasures.call_back(actor=actor, erasure=found)
        else:
            raise Conflict("neither granted nor refused")
    except Invalid:
        if word == "grant":
            return "", _("Écrivez la référence du visa, telle qu’elle figure sur le bordereau des Archives.")
        return "", _("Dites en une phrase pourquoi : la commune la lira.")
    return "", ""
