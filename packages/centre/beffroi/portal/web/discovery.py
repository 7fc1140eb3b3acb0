"""What mail servers and clients fetch under a commune's own names: the MTA-STS policy, settings of Thunderbird and
Outlook.

Input:  hostile: anybody asks, and the Host header names the domain. It is looked up among the enrolled ones; of what a
        client posts (Outlook sends XML) one address of this domain is looked for, and no XML is parsed.
Fails:  closed: a name that is not enrolled has nothing here.
Source: RFC 8461 3.2; Thunderbird's config-v1.1; Microsoft's MS-OXDSCLI (plain XML). Nothing is in an answer that the
        question did not have.
"""

from __future__ import annotations

import re

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from beffroi.mail.domains import queries

MAX_NAME_CHARS = 253
MAX_ASKED_BYTES = 16 * 1024
_ASKED = re.compile(
    rb"<EMailAddress>\s*([A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,253})\s*</EMailAddress>", re.IGNORECASE
)


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
    return _answer(request, "discovery/config-v1.1.xml", _domain(request, "autoconfig"))


@csrf_exempt  # it changes nothing, and no browser asks
@require_http_methods(["GET", "HEAD", "POST"])
def autodiscover(request: HttpRequest) -> HttpResponse:
    domain = _domain(request, "autodiscover")
    found = _ASKED.search(request.read(MAX_ASKED_BYTES))
    address = found[1].decode("ascii") if found else ""
    own = address.lower().endswith(f"@{domain}")
    return _answer(request, "discovery/autodiscover.xml", domain, login=address if own else "")


def _answer(request: HttpRequest, template: str, domain: str, *, login: str = "") -> HttpResponse:
    """``login``: without it Outlook signs in with what stands before the @."""
    context = {"domain": domain, "servers": queries.servers(settings.BEFFROI), "login": login}
    return render(request, template, context, content_type="text/xml; charset=utf-8")
