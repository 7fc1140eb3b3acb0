"""Mail on a phone or in a program: a code to scan instead of ten fields to fill in.

Input:   hostile; the pages under /telephone/ are for whoever holds a link, without a sign-in.
Secrets: an app password stands in the answer that made it and nowhere else; the secret part of a link's address opens
         once, for ten minutes. Neither is logged: the front keeps no record of requests that went well.
Fails:   closed; a link that is used, over, taken back or unknown gives one and the same page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.communes import row_security
from beffroi.core.identity import actions, device_links, queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import DeviceLink
from beffroi.core.identity.sign_ins import client_address
from beffroi.lib.errors import BeffroiError, NotFound
from beffroi.mail import phones
from beffroi.mail import queries as mail
from beffroi.mail.domains.queries import servers
from beffroi.portal import qr
from beffroi.portal.pages import as_file, asks_part, error_page, for_agents, page
from beffroi.portal.web import step_up
from beffroi.portal.web.signin import refuse_blocked

IPHONE, ANDROID, OTHER, COMPUTER = "iphone", "android", "other", "computer"
KINDS = (IPHONE, ANDROID, OTHER, COMPUTER)
_BY_LINK = (IPHONE, OTHER)


@require_http_methods(["GET", "POST"])
@for_agents
def start(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Which device, and its name; then the code to scan, once."""
    step_up.require(request)
    mailboxes = list(mail.personal_mailboxes(actor))
    context: dict[str, Any] = {"place": "access", "mailboxes": mailboxes}
    if request.method == "GET" or not mailboxes:
        return page(request, "portal/phone_new.html", context)
    kind, label = request.POST.get("kind", ""), request.POST.get("label", "").strip()
    error = ""
    if kind not in KINDS:
        error = _("Choisissez l’appareil.")
    elif not label or len(label) > device_links.MAX_LABEL_CHARS or "\x00" in label:
        error = _("Donnez un nom à cet appareil, par exemple « Téléphone de Claire ».")
    if error:
        asked = {**context, "error": error, "label": label, "chosen": kind}
        return page(request, "portal/phone_new.html", asked, status=HTTPStatus.BAD_REQUEST)
    membership = queries.membership_of(actor)
    if kind in _BY_LINK:
        made = device_links.make(actor=actor, membership=membership, kind=kind, label=label)
        address = settings.BEFFROI.portal_origin + reverse("phone_landing", args=[made.secret])
        context |= {
            "link": made.record,
            "address": address,
            "code": qr.data_uri(address),
            **_state(made.record),
        }
        return page(request, "portal/phone_link.html", context)
    issued = actions.issue_app_password(
        actor=actor, membership=membership, protocol_set="imap,smtp", label=label
    )
    context |= _settings(actor, issued)
    if kind == ANDROID:
        accounts = _accounts(actor, issued)
        context["code"] = qr.data_uri(phones.thunderbird_code(servers(settings.BEFFROI), accounts))
    return page(request, "portal/phone_shown.html", {**context, "kind": kind})


@require_http_methods(["GET", "POST"])
@for_agents
def link(request: HttpRequest, actor: Actor, link_id: str) -> HttpResponse:
    """Whether the phone has come; POST takes the link back. The code itself is not shown a second time."""
    found = device_links.access(actor, link_id)
    if request.method == "POST":
        device_links.end(actor=actor, link=found)
        return HttpResponseRedirect(reverse("access"))
    context = {"place": "access", "link": found, **_state(found)}
    part = asks_part(request, "state")
    return page(request, "portal/parts/phone_state.html" if part else "portal/phone_link.html", context)


@require_http_methods(["GET", "POST"])
def landing(request: HttpRequest, secret: str) -> HttpResponse:
    """What the phone sees. Looking uses nothing up: cameras and messengers look too. POST shows the settings, once."""
    refused = refuse_blocked(request, person_unknown=True)
    if refused is not None:
        return refused
    with row_security.unlimited():  # the browser may be signed in for another collectivité
        try:
            found = device_links.find(secret)
            if request.method == "GET" or found.kind != OTHER:
                context = {"link": found, "secret": secret, "signs": phones.signs(settings.BEFFROI)}
                return page(request, "portal/phone_landing.html", context)
            opened = device_links.open_once(secret, address=client_address(request))
        except NotFound:
            return page(request, "portal/phone_over.html", status=HTTPStatus.NOT_FOUND)
        context = {**_settings(opened.actor, opened.issued), "kind": OTHER}
        return page(request, "portal/phone_settings.html", context)


@require_GET
def profile(request: HttpRequest, secret: str) -> HttpResponse:
    """The profile for an iPhone or iPad, once: GET, because Safari fetches profiles by following a link."""
    refused = refuse_blocked(request, person_unknown=True)
    if refused is not None:
        return refused
    with row_security.unlimited():
        try:
            if device_links.find(secret).kind != IPHONE:
                raise NotFound("link")
            opened = device_links.open_once(secret, address=client_address(request))
        except NotFound:
            return page(request, "portal/phone_over.html", status=HTTPStatus.NOT_FOUND)
        try:
            content = _profile(opened)
        except BeffroiError as error:
            return error_page(request, error)
    return as_file(content, phones.PROFILE_TYPE, "courrier.mobileconfig")


def _profile(opened: device_links.Opened) -> bytes:
    config = settings.BEFFROI
    made = phones.apple_profile(
        servers(config),
        _accounts(opened.actor, opened.issued),
        device=opened.issued.record.id,
        organisation=f"Beffroi, {config.departement_name}",
        title=_("Courrier de la collectivité"),
    )
    return phones.signed(config, made)


def _accounts(actor: Actor, issued: actions.IssuedAppPassword) -> list[phones.Account]:
    name = queries.person_name(actor.id)
    return [phones.Account(one.address, name, issued.secret) for one in mail.personal_mailboxes(actor)]


def _settings(actor: Actor, issued: actions.IssuedAppPassword) -> dict[str, Any]:
    """What a program asks for, to be copied by hand."""
    centre = servers(settings.BEFFROI)
    return {
        "issued": issued,
        "mailboxes": list(mail.personal_mailboxes(actor)),
        "servers": centre,
        "outgoing_port": phones.outgoing_port(centre),
    }


def _state(found: DeviceLink) -> dict[str, Any]:
    return {"waits": device_links.is_waiting(found)}
