"""An alarm of the centre that an administrator saw: why it may wait, until when, and that it waits no more.

Input:  hostile: every field. What is acknowledged is the cause that was shown; one that changed since stays an alarm.
Access: administrators.
"""

from __future__ import annotations

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.boxes import queries as boxes
from beffroi.core import acknowledgements
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, existing
from beffroi.portal.console import tasks
from beffroi.portal.pages import for_administrators, page


@require_http_methods(["GET", "POST"])
@for_administrators
def alarm(request: HttpRequest, actor: Actor, alarm_name: str) -> HttpResponse:
    """Errors: NotFound: it is over, or nobody may acknowledge it."""
    active = [one for one in boxes.box_states(actor) if one.box.state == "active"]
    waiting = {one.alarm: one for one in tasks.waiting(actor, active) if one.alarm}
    one = existing(waiting.get(alarm_name), "alarm")
    failed = ""
    if request.method == "POST" and request.POST.get("word") == "back":
        acknowledgements.call_back(actor=actor, alarm=one.alarm)
        return HttpResponseRedirect(reverse("home"))
    if request.method == "POST" and request.POST.get("cause") != one.cause:
        messages.warning(request, _("La cause a changé entre-temps : l’alarme reste affichée."))
        return HttpResponseRedirect(reverse("home"))
    if request.method == "POST":
        days, reason = request.POST.get("days", ""), request.POST.get("reason", "")
        chosen = next((term for term in acknowledgements.DAYS if str(term) == days), 0)
        try:
            acknowledgements.acknowledge(
                actor=actor, alarm=one.alarm, cause=one.cause, days=chosen, reason=reason
            )
        except Invalid:
            failed = "reason" if chosen else "days"
        else:
            return HttpResponseRedirect(reverse("home"))
    context = {
        "place": "overview",
        "one": one,
        "terms": acknowledgements.DAYS,
        "failed": failed,
        "error": _("Dites en une phrase pourquoi.") if failed == "reason" else _("Choisissez une durée."),
        "typed": request.POST.get("reason", "")[: acknowledgements.MAX_REASON],
    }
    status = HTTPStatus.BAD_REQUEST if failed else HTTPStatus.OK
    return page(request, "console/alarm.html", context, status=status)
