"""What a part of the centre did not take in; commands of the machine do something about it."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.events import told
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.portal.pages import for_administrators, page


@require_GET
@for_administrators
def events(request: HttpRequest, actor: Actor) -> HttpResponse:
    found = told.read(settings.BEFFROI)
    context = {
        "place": "overview",
        "behind": found.behind if found else (),
        "parked": found.parked if found else (),
        "late": told.late_minutes(settings.BEFFROI, now=clock.epoch_s()),
    }
    return page(request, "console/events.html", context)
