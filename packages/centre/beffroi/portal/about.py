"""What may be read without an account: the accessibility statement, on both listeners."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_safe

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.lib import clock
from beffroi.portal.pages import page
from beffroi.watch.weather.retention import KEEP_DAYS

ATTEMPT_S = 300
"""The boîtier's (``beffroi_box.tallies.ATTEMPT_S`` and ``facts.NAME_AGAIN_S``); a test compares them."""
SECURITY_TXT_LASTS = timedelta(days=90)
BASES = {"portal": "portal/web.html", "console": "console/base.html"}


@require_GET
def accessibility(request: HttpRequest) -> HttpResponse:
    """The statement that French law asks for. It claims what was checked and nothing else."""
    context = {
        "base": BASES[settings.LISTENER],
        "contact": settings.BEFFROI.accessibility_contact,
        "referents": referents(getattr(request, "actor", None)),
    }
    return page(request, "portal/accessibility.html", context)


def referents(actor: Actor | None) -> list[Membership]:
    """Whom a signed-in person can tell while the Département has given no address."""
    if actor is None or actor.collectivite_id is None:
        return []
    members = identity.memberships_in(actor, actor.collectivite_id)
    return [one for one in members if one.role == Membership.Role.REFERENT]


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """RFC 9116, for who found a weakness. Errors: Http404 where no contact is set."""
    config = settings.BEFFROI
    contact = config.security_contact
    if not contact:
        raise Http404
    lines = (
        f"Contact: {contact if contact.startswith('https://') else f'mailto:{contact}'}",
        f"Expires: {clock.now() + SECURITY_TXT_LASTS:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: fr, en",
        f"Canonical: {config.portal_origin}{request.path}",
    )
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_GET
def counting(request: HttpRequest) -> HttpResponse:
    """What each figure counts, and what it does not say."""
    context = {"base": BASES[settings.LISTENER], "minutes": ATTEMPT_S // 60, "days": KEEP_DAYS}
    return page(request, "portal/counting.html", context)
