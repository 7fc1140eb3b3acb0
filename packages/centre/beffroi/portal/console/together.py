"""Réglages de tous: one setting for all boîtiers or for chosen communes, with what changes, how far it is, and undo."""

from __future__ import annotations

from typing import Any

from beffroi_protocol.messages import Policy
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.boxes import together as fleet
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid
from beffroi.portal import policies
from beffroi.portal.pages import for_administrators, page

LATEST = 10
FIELDS = {name: "leak_megabytes" if name == "leak_bytes_hour" else name for name in fleet.SETTINGS}


@require_http_methods(["GET", "POST"])
@for_administrators
def together(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Choose a setting and its value; see which communes change; send it with a reason; undo a batch."""
    names = communes.visible_names(actor)
    if batch := request.POST.get("undo", ""):
        fleet.undo(actor=actor, batch=batch[:40], reason=_("Annulation d’un réglage commun"))
        return HttpResponseRedirect(reverse("box_together"))
    setting = request.POST.get("setting", request.GET.get("setting", ""))
    context: dict[str, Any] = {
        "place": "boxes",
        "settings": [(name, policies.LABELS[name]) for name in fleet.SETTINGS],
        "setting": setting,
        "batches": [
            {"row": row, "progress": progress} for row, progress in fleet.batches(actor, limit=LATEST)
        ],
    }
    if setting not in fleet.SETTINGS:
        return page(request, "console/box_together.html", context)
    form = _form(setting, request)
    choices = sorted((names.get(one, one), one) for one in fleet.owners(actor))
    context |= {"field": form[FIELDS[setting]], "communes": choices, "label": policies.LABELS[setting]}
    if request.method == "GET" or not form.is_valid():
        return page(request, "console/box_together.html", context)
    values = {setting: _value(setting, form)}
    chosen = None if request.POST.get("who") == "all" else request.POST.getlist("commune")
    reason = request.POST.get("reason", "").strip()
    if request.POST.get("send") and reason:
        outcome = fleet.apply(actor=actor, values=values, reason=reason, chosen=chosen)
        if not outcome.left:
            return HttpResponseRedirect(reverse("box_together"))
        context["left"] = [names.get(one, one) for one in outcome.left]
    changes = fleet.preview(actor, values, chosen)
    context |= {
        "preview": True,
        "changes": [
            {"commune": names.get(one.collectivite_id, ""), "said": policies.differences(one.old, one.policy)}
            for one in changes
        ],
        "typed": [
            (name, value)
            for name in (FIELDS[setting], "who", "commune")
            for value in request.POST.getlist(name)
        ],
        "reason_error": _("Écrivez une raison.") if request.POST.get("send") and not reason else "",
    }
    return page(request, "console/box_together.html", context)


def _form(setting: str, request: HttpRequest) -> policies.PolicyForm:
    """The policy's form with this field alone."""
    initial = policies.PolicyForm.initial_of(Policy())
    form = policies.PolicyForm(request.POST if request.method == "POST" else None, initial=initial)
    for name in list(form.fields):
        if name != FIELDS[setting]:
            del form.fields[name]
    return form


def _value(setting: str, form: policies.PolicyForm) -> object:
    """Errors: Invalid."""
    value = form.cleaned_data[FIELDS[setting]]
    if setting == "leak_bytes_hour":
        return (value or 0) * policies.MEGABYTE
    if value is None:
        raise Invalid(setting)
    return value
