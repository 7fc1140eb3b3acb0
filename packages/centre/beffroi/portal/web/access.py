"""What opens a person's account: second factor, app passwords, and which collectivité the session carries.

An app password asks for a step-up first and is shown once, in the answer to the request that made it.
"""

from __future__ import annotations

from urllib.parse import quote

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.identity import actions, device_links, queries, rescue, second_factors, sessions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.lib.errors import Invalid
from beffroi.mail import queries as mail
from beffroi.mail.engines.layout import portal_url
from beffroi.mail.sending.queries import held_mailboxes
from beffroi.portal import elsewhere, stopped_devices
from beffroi.portal.pages import for_agents, memberships_of, page
from beffroi.portal.web import step_up

MAX_LABEL_CHARS = 100


@require_GET
@for_agents
def access(request: HttpRequest, actor: Actor) -> HttpResponse:
    return page(
        request,
        "portal/access.html",
        {
            "place": "access",
            "factors": second_factors.of(actor.id),
            "given_at": Person.objects.values_list("password_given_at", flat=True).get(pk=actor.id),
            "app_passwords": list(queries.app_passwords(actor)),
            "held": [one.address for one in mail.personal_mailboxes(actor) if one.id in held_mailboxes()],
            "links": list(device_links.waiting(actor)),
            "stopped": stopped_devices.told(actor),
            "rescues": rescue.told(actor),
            "may_rescue": actor.role == Membership.Role.REFERENT,
        },
    )


@require_http_methods(["GET", "POST"])
@for_agents
def issue(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form, after a step-up; then the secret, once."""
    step_up.require(request)
    dav = (request.GET if request.method == "GET" else request.POST).get("pour") == "dav"
    scripts = request.POST.get("scripts") == "1" and not dav
    context = {
        "place": "access",
        "mailboxes": [] if dav else list(mail.personal_mailboxes(actor)),
        "scripts": scripts,
        "dav": _dav(actor) if dav else None,
    }
    if request.method == "GET":
        return page(request, "portal/app_password_new.html", context)
    label = request.POST.get("label", "").strip()
    if not label or len(label) > MAX_LABEL_CHARS:
        error = _("Donnez un nom à cet appareil, par exemple « Ordinateur de l’accueil ».")
        return page(
            request, "portal/app_password_new.html", {**context, "error": error, "label": label}, status=400
        )
    issued = actions.issue_app_password(
        actor=actor,
        membership=queries.membership_of(actor),
        protocol_set="dav" if dav else "imap,smtp,sieve" if scripts else "imap,smtp",
        label=label,
    )
    return page(request, "portal/app_password_shown.html", {**context, "issued": issued})


def _dav(actor: Actor) -> dict[str, str]:
    """What a program asks for: ``login`` is the address of sign-in, ``link`` opens an app of Android that knows it."""
    url = portal_url(settings.BEFFROI, "")
    login = Person.objects.values_list("email", flat=True).get(pk=actor.id)
    host = url.removeprefix("https://")
    return {"url": url, "login": login, "link": f"caldavs://{quote(login, safe='')}@{host}caldav/"}


@require_http_methods(["GET", "POST"])
@for_agents
def password(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A new password of one's own, typed twice; other sessions end, this one goes on. It waits nowhere in clear for a
    step-up: where one is due by now, it is typed again."""
    if request.method == "POST" and step_up.is_due(request):
        messages.error(
            request,
            _(
                "Rien n’est changé : cinq minutes ont passé. Confirmez, puis saisissez de nouveau votre choix."
            ),
        )
        return HttpResponseRedirect(reverse("password"))
    step_up.require(request)
    person = Person.objects.get(pk=actor.id)
    context = {"place": "access", "given_at": person.password_given_at, "error": ""}
    if request.method == "GET":
        return page(request, "portal/password.html", context)
    new = request.POST.get("new", "")
    try:
        if new != request.POST.get("again", ""):
            raise ValidationError(_("Les deux saisies ne sont pas les mêmes."))
        if person.check_password(new):  # it was told to somebody, or given: nothing would be changed
            raise ValidationError(_("C’est votre mot de passe actuel : choisissez-en un autre."))
        actions.set_password(actor=actor, person=person, password=new)
    except ValidationError as error:
        return page(
            request, "portal/password.html", {**context, "error": " ".join(error.messages)}, status=400
        )
    update_session_auth_hash(request, person)
    messages.success(
        request, _("Votre mot de passe est changé. Vos autres connexions au portail sont fermées.")
    )
    return HttpResponseRedirect(reverse("access"))


@require_http_methods(["GET", "POST"])
@for_agents
def revoke(request: HttpRequest, actor: Actor, app_password_id: str) -> HttpResponse:
    found = queries.access_app_password(actor, app_password_id)
    if request.method == "GET":
        return page(request, "portal/app_password_revoke.html", {"place": "access", "app_password": found})
    actions.revoke_app_password(actor=actor, app_password=found)
    messages.success(
        request, _("« %(label)s » est retiré : son mot de passe n’ouvre plus rien.") % {"label": found.label}
    )
    return HttpResponseRedirect(reverse("access"))


@require_http_methods(["GET", "POST"])
@for_agents
def choose_membership(request: HttpRequest, actor: Actor) -> HttpResponse:
    """One session, one collectivité: choose which of one's own it carries."""
    if request.method == "GET":
        current = memberships_of(request, actor)
        mine = queries.membership_of(actor)
        others = [one for one in current if one != mine]
        waiting = {one.id: said for one, said in elsewhere.waiting(others)}
        context = {
            "memberships": [(one, waiting.get(one.id, "")) for one in current],
            "mine": mine,
            "uncounted": len(others) > elsewhere.MOST,
        }
        return page(request, "portal/memberships.html", context)
    chosen = request.POST.get("membership_id", "")
    if not chosen:
        raise Invalid("membership_id")
    sessions.choose_membership(request, chosen)
    return HttpResponseRedirect(reverse("home"))
