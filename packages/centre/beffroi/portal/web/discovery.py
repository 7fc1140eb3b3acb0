"""What mail servers and clients fetch under a commune's own names: the MTA-STS policy, settings of Thunderbird and
Outlook.

Input:  hostile: anybody asks, and the Host header names the domain. It is looked up among the enrolled ones; what a
        client posts (Outlook sends XML) is never read.
Fails:  closed: a name that is not enrolled has nothing here.
Source: RFC 8461 3.2; Thunderbird's config-v1.1; Microsoft's MS-OXDSCLI (plain XML). Nothing personal is in an answer.
"""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from beffroi.mail.domains import queries

MAX_NAME_CHARS = 253


def _domain(request: HttpRequest, label: str) -> str:
    """The enrolled domain that the Host header names below ``label``. Errors: Http404."""
    host = request.get_host().partition(":")[0].lower().rstrip(".")
    name = host.removeprefix(f"{label}.")
    if name == host or len(name) > MAX_NAME_CHARS or not queries.is_enrolled(name):
        raise Http404
    return name


@require_safe
def mta_sts(request: HttpRequest) -> HttpResponse:
    policy = queries.sts_policy(_domain(request, "mta-sts"))
    if not policy:
        raise Http404
    return HttpResponse(policy, content_type="text/plain; charset=us-ascii")


@require_safe
def autoconfig(request: HttpRequest) -> HttpResponse:
    return _settings(request, "autoconfig", "discovery/config-v1.1.xml")


@csrf_exempt  # it changes nothing, and no browser asks
@require_http_methods(["GET", "HEAD", "POST"])
def autodiscover(request: HttpRequest) -> HttpResponse:
    return _settings(request, "autodiscover", "discovery/autodiscover.xml")


def _settings(request: HttpRequest, label: str, template: str) -> HttpResponse:
    context = {"domain": _domain(request, label), "servers": queries.servers(settings.BEFFROI)}
    return render(request, template, context, content_type="text/xml; charset=utf-8")
