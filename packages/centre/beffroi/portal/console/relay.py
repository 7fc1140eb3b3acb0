"""The relay for copiers of one commune's boîtiers: on or off, who may send to whom, and what was sent and refused.

Access: the Département, with a present code: it says in whose name machines write, and to whom. What is saved is a new
        version of the settings; the page of the boîtier has its history, and the way back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from beffroi_protocol.messages import Policy
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.boxes import actions, queries, relay_requests
from beffroi.boxes import relay as relays
from beffroi.boxes.models import RelayRequest
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import queries as mail
from beffroi.portal import relay_words
from beffroi.portal.console.incidents import step_up
from beffroi.portal.pages import for_administrators, page
from beffroi.portal.relay_form import RelayForm

DAYS = 30


@require_http_methods(["GET", "POST"])
@for_administrators
def relay(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    box = queries.access_box(actor, box_id)
    commune = communes.access_collectivite(actor, box.collectivite_id)
    current = queries.current_policy(actor, commune.id)
    if current is None:
        raise NotFound("policy")
    version, policy = current
    asked = _asked(request, actor, commune.id)
    senders = list(mail.functional_mailboxes(actor, commune.id).values_list("address", flat=True))
    domains = communes.visible_domains(actor).filter(collectivite_id=commune.id)
    own = [f"@{name}" for name in domains.values_list("name", flat=True)]
    error = ""
    if request.method == "POST":
        if request.POST.get("base", "") != str(version):
            raise Conflict("the policy changed meanwhile")
        form = RelayForm(request.POST, senders=senders)
        if form.is_valid() and form.cleaned_data["on"] and _trapped(policy):
            trapped = _("Le port 25 ou 587 sert de piège à ce boîtier : retirez-le d’abord des ports pièges.")
            form.add_error("on", trapped)
        if form.is_valid() and (wrong := step_up(request, actor)):
            error = wrong
        elif form.is_valid():
            new = msgspec.structs.replace(policy, relay=form.relay(settings.BEFFROI, policy.relay))
            reason = form.cleaned_data["reason"]
            with transaction.atomic():
                if new != policy:
                    actions.set_policy(
                        actor=actor, collectivite=commune, policy=new, reason=reason, base_version=version
                    )
                if asked is not None and new.relay is not None:
                    relay_requests.accept(actor=actor, request=asked)
            return HttpResponseRedirect(reverse("box_relay", args=[box.id]))
    else:
        initial = RelayForm.initial_of(policy.relay, own)
        if asked is not None:
            initial |= {
                "on": True,
                "sender": asked.sender,
                "hour": asked.hour,
                "recipients": asked.recipients or "\n".join(own),
                "reason": asked.purpose[: actions.REASON_CHARS],
            }
        form = RelayForm(initial=initial, senders=senders)
    context: dict[str, Any] = {
        "place": "boxes",
        "box": box,
        "commune": commune,
        "base": version,
        "form": form,
        "error": error,
        "asked": relay_words.request(asked) if asked is not None else None,
        "on": policy.relay is not None,
        "proved": box.policy_version >= version,
        "senders": senders,
        "traps": _trapped(policy),
        "devices": relay_words.devices(policy.relay, relays.relay_days(actor, commune.id, since=_since())),
        "days": DAYS,
    }
    status = 400 if form.errors else 403 if error else 200
    return page(request, "console/box_relay.html", context, status=status)


def _asked(request: HttpRequest, actor: Actor, owner: str) -> RelayRequest | None:
    """The request of this commune that the page was opened to answer. Errors: NotFound; Conflict (answered)."""
    request_id = request.POST.get("demande", "") or request.GET.get("demande", "")
    if not request_id:
        return None
    found = relay_requests.access_request(actor, request_id)
    if found.collectivite_id != owner:
        raise NotFound("relay request")
    if found.state != RelayRequest.State.ASKED:
        raise Conflict("the request was answered already")
    return found


def _since() -> Any:
    return (clock.now() - timedelta(days=DAYS)).date()


def _trapped(policy: Policy) -> bool:
    """A port of the relay is a trap there: it must be given up first."""
    return bool({25, 587} & set(policy.honeyports))
