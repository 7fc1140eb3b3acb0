"""A program that synchronises files gets its app password: it asks, its person allows it here, it polls.

Input:   hostile; ``begin`` and ``poll`` are for programs, without a sign-in and without cookies.
Secrets: the app password stands in the answer to the poll that made it and nowhere else. The address of the page opens
         nothing by itself: whoever follows it signs in and confirms. Who sends one's own request to somebody else is
         met by the page: it names the program and says when it asks from another network.
Order:   the drive's own processes know the app password before its program does, which uses it at once.
Fails:   closed; a request that is used, refused, over or unknown gives one and the same answer.
"""

from __future__ import annotations

import time
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from beffroi.core.communes import row_security
from beffroi.core.identity import actions, limits, login_flows, queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.sign_ins import client_address
from beffroi.drive.credentials import Credentials
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.portal import qr
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import step_up
from beffroi.portal.web.signin import refuse_blocked

MAX_LABEL_CHARS = 100
PATIENCE_S = 15.0
"""For the worker, which tells the drive of a new app password. Programs wait 30 s for an answer; that of desktops
gives its sign-in up where the first use of what it got is refused."""


@csrf_exempt
@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """Where the person is to go, and how to poll."""
    refused = refuse_blocked(request, person_unknown=True)
    if refused is not None:
        return refused
    begun = login_flows.begin(program=request.headers.get("User-Agent", ""), address=client_address(request))
    return JsonResponse(
        {
            "poll": {
                "token": begun.poll_secret,
                "endpoint": settings.BEFFROI.portal_origin + reverse("login_flow_poll"),
            },
            "login": settings.BEFFROI.portal_origin + reverse("login_flow", args=[begun.page_secret]),
        }
    )


@csrf_exempt
@require_POST
def poll(request: HttpRequest) -> HttpResponse:
    """404 until the person allowed it; then the app password, once. iOS says its token in the address.

    Before that nothing stands in the answer: Android reads whatever does, and asks no more.
    """
    with row_security.unlimited():
        try:
            granted = login_flows.poll(request.POST.get("token") or request.GET.get("token", ""))
        except NotFound:
            return HttpResponse(status=HTTPStatus.NOT_FOUND)
    _until_the_drive_knows(granted.issued.record.id)
    return JsonResponse(
        {
            "server": settings.BEFFROI.portal_origin,
            "loginName": granted.login,
            "appPassword": granted.issued.secret,
        }
    )


def _until_the_drive_knows(app_password_id: str) -> None:
    """Or past all patience: it will soon."""
    known, end_s = Credentials(settings.BEFFROI), clock.steady_s() + PATIENCE_S
    while known.holder(app_password_id) is None and clock.steady_s() < end_s:
        time.sleep(0.02)


@require_http_methods(["GET", "POST"])
@for_agents
def answer(request: HttpRequest, actor: Actor, secret: str) -> HttpResponse:
    """Which program asks; the person allows or refuses it."""
    step_up.require(request)
    try:
        asked = login_flows.find(secret)
        if request.method == "GET":
            elsewhere = asked.network != limits.network_of(client_address(request))
            return page(
                request, "portal/login_flow.html", {"flow": asked, "elsewhere": elsewhere, "secret": secret}
            )
        allowed = request.POST.get("answer") == "allow"
        if allowed:
            login_flows.grant(actor=actor, asked=asked, membership=queries.membership_of(actor))
        else:
            login_flows.refuse(actor=actor, asked=asked)
    except NotFound:
        return page(request, "portal/login_flow_over.html", status=HTTPStatus.NOT_FOUND)
    return page(request, "portal/login_flow_done.html", {"allowed": allowed})


@require_http_methods(["GET", "POST"])
@for_agents
def connect(request: HttpRequest, actor: Actor) -> HttpResponse:
    """For a phone, or a program that knows nothing of the way above: a code to scan and what to copy by hand, once."""
    step_up.require(request)
    context = {"place": "access", "server": settings.BEFFROI.portal_origin}
    if request.method == "GET":
        return page(request, "portal/files_connect.html", context)
    label = request.POST.get("label", "").strip()
    if not label or len(label) > MAX_LABEL_CHARS or "\x00" in label:
        error = _("Donnez un nom à cet appareil, par exemple « Téléphone de Claire ».")
        context |= {"error": error, "label": label}
        return page(request, "portal/files_connect.html", context, status=HTTPStatus.BAD_REQUEST)
    membership = queries.membership_of(actor)
    issued = actions.issue_app_password(actor=actor, membership=membership, protocol_set="dav", label=label)
    login = membership.person.email
    code = qr.data_uri(
        f"nc://login/server:{settings.BEFFROI.portal_origin}&user:{login}&password:{issued.secret}"
    )
    return page(
        request, "portal/files_connected.html", {**context, "issued": issued, "login": login, "code": code}
    )
