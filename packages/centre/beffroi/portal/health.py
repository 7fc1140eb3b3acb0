"""Is this process alive? And the pages for what no view answers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def healthz(request: HttpRequest) -> HttpResponse:
    """For the supervisor and the front: no session, no database."""
    return HttpResponse("ok\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "portal/404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/500.html", status=500)
