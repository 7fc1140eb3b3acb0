"""Sign-in of the Département's administrators: address, password and code in one form, one answer for every refusal.

Input:  hostile; limited in core.identity.administrators. An address that the feed refuses is refused here too.
Fails:  closed.
"""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from beffroi.core.identity.administrators import SignInRefused, authenticate_administrator
from beffroi.core.identity.sessions import start_administrator_session
from beffroi.core.identity.sign_ins import client_address
from beffroi.portal.pages import page, take_live_grant
from beffroi.portal.web.signin import refuse_blocked

MAX_CHARS = 1024


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    refused = refuse_blocked(request)
    if refused is not None:
        return refused
    target = _target(request)
    if getattr(request, "actor", None) is not None:
        return HttpResponseRedirect(target)
    if request.method == "GET":
        return page(request, "console/login.html", {"next": target})
    email, password, code = (request.POST.get(name, "")[:MAX_CHARS] for name in ("email", "password", "code"))
    try:
        administrator = authenticate_administrator(
            email=email, password=password, code=code, address=client_address(request)
        )
    except SignInRefused:
        context = {"next": target, "email": email[:254], "refused": True}
        return page(request, "console/login.html", context, status=HTTPStatus.FORBIDDEN)
    start_administrator_session(request.session, administrator)
    return HttpResponseRedirect(target)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    response = HttpResponseRedirect(reverse("console_login"))
    take_live_grant(response)
    return response


def _target(request: HttpRequest) -> str:
    """Where to go afterwards: a path of this listener and nothing else."""
    wanted = request.POST.get("next", "") or request.GET.get("next", "")
    safe = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if safe else reverse("home")
