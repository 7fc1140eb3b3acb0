"""One held mail behind a link of the digest: *Libérer* or *Bloquer l'expéditeur* leads here, to one button.

Input:  hostile; the link travels in a mail. Programs open it, too: a GET releases and blocks nothing.
Access: without a sign-in, the subject, as in the list; sender, reason and button for its owner alone. Whoever else is
        signed in gets "no such page", as for a link that is changed; one that is late says so.
"""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError, NotFound
from beffroi.mail.held import links, queries
from beffroi.mail.held.models import HeldMail
from beffroi.portal.pages import error_page, page
from beffroi.portal.web.held import PLACE, line, mark_seen

ACTS = ("liberer", "bloquer", "verifier")
_State, _Reason = HeldMail.State, HeldMail.Reason


@require_GET
def held_link(request: HttpRequest, act: str) -> HttpResponse:
    """Errors (as a page): NotFound."""
    actor: Actor | None = getattr(request, "actor", None)
    try:
        if act not in ACTS:
            raise NotFound("page")
        row = links.read_one(request.GET.get("l", ""))
        if actor is not None:
            row = queries.access_held(actor, row.id)
    except BeffroiError as error:
        return error_page(request, error)
    if actor is not None and row.state in (_State.RELEASED, _State.BLOCKED):
        return HttpResponseRedirect(f"{reverse('held')}?fait={row.id}")
    shown = queries.shown([row])[0]
    context = PLACE | {
        "letter": line(shown),
        "act": _offered(act, shown),
        "signed_in": actor is not None,
        "held": row.state == _State.HELD,
        "sign_in": f"{settings.LOGIN_URL}?{urlencode({'next': request.get_full_path()})}",
    }
    response = page(request, "portal/held_link.html", context)
    if actor is not None and row.state == _State.HELD:
        mark_seen(actor, [row])
    response["Referrer-Policy"] = (
        "same-origin"  # with none at all, a browser hides whence the button is pressed
    )
    response["X-Robots-Tag"] = "noindex"
    return response


def _offered(act: str, one: queries.Shown) -> str:
    """What the mail's present state allows, whatever it was when the digest was written; "" for nothing."""
    if one.row.strict:
        return ""
    if one.by_decision:
        return "verifier"
    blocks = one.row.reason == _Reason.FILTER and one.heading.from_address
    return "bloquer" if act == "bloquer" and blocks else "liberer"
