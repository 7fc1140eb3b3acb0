"""Sign-in of agents: django-allauth behind the login door of the feed.

Input:  hostile. An address that the feed refuses does not reach the password check at all.
Fails:  open when no feed was ever received, closed for every address on the last list.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from allauth.account.views import LoginView, LogoutView
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import door
from beffroi.core.identity import limits
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.sign_ins import client_address
from beffroi.portal.drive_access import take_grants
from beffroi.portal.pages import page, take_live_grant

MOST_RECORDED, WINDOW_S = 30, 900
"""Refusals of one network that the audit log holds of a quarter of an hour."""


class Login(LoginView):  # type: ignore[misc] # allauth is untyped
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refused = refuse_blocked(
            request, email=request.POST.get("login", ""), person_unknown=request.method != "POST"
        )
        response: HttpResponseBase = refused or super().dispatch(request, *args, **kwargs)
        if request.method == "POST":
            take_grants(response)  # a session that ended by itself left them
        return response


class Logout(LogoutView):  # type: ignore[misc] # allauth is untyped
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        if request.method == "POST":
            take_grants(response)
            take_live_grant(response)
        return response


def refuse_blocked(
    request: HttpRequest, *, email: str = "", person_unknown: bool = False
) -> HttpResponse | None:
    """The refusal for an address on the feed, else None. Only a try is recorded, never a mere look, and a flood of them
    as ``MOST_RECORDED``.

    ``email``: who signs in; an exception of all their collectivités lets them. ``person_unknown``: nobody has said
    yet who it is, so the page is shown where any collectivité lets the address through.
    """
    address = client_address(request)
    entry = door.blocked_address(address)
    if entry is None or (person_unknown and door.some_allow(address)):
        return None
    if email and door.some_allow(address):
        entry = door.blocked_address(address, identity.collectivites_of(email))
        if entry is None:
            return None
    if request.method == "POST" and limits.take(
        "refused-by-door", limits.network_of(address), limit=MOST_RECORDED, window_s=WINDOW_S
    ):
        with transaction.atomic():
            audit.record(
                Actor("door", "login"),
                "identity:sign_in:refused_by_door",
                entry.id,
                collectivite_id=None,
                details={"listener": settings.LISTENER},
                personal={"address": address},
            )
    return page(request, "portal/blocked_address.html", status=HTTPStatus.FORBIDDEN)


login, logout = Login.as_view(), Logout.as_view()
