"""What may be read without an account: the accessibility statement, on both listeners."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from beffroi.portal.pages import page

BASES = {"portal": "portal/web.html", "console": "console/base.html"}


@never_cache
@require_GET
def accessibility(request: HttpRequest) -> HttpResponse:
    """The statement that French law asks for. It claims what was checked and nothing else."""
    return page(
        request,
        "portal/accessibility.html",
        {"base": BASES[settings.LISTENER], "contact": settings.BEFFROI.accessibility_contact},
    )
