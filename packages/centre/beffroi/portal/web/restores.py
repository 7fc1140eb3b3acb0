"""Demander une restauration: mails of a mailbox as they were on a day, from the backups; and what became of it.

Input:  hostile: every field.
Access: for mailboxes that the person reads; a référent for those of the collectivité, without what is marked private.
        Another's mailbox or request is "no such page".
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict, Invalid
from beffroi.mail.backup import actions, queries
from beffroi.portal import restore_words
from beffroi.portal.pages import for_agents, page

MAX_SHOWN = 50
FIELDS = ("boite", "jour", "heure", "dossier", "mots", "ou")


@require_http_methods(["GET", "POST"])
@for_agents
def restores(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form and the requests; POST asks, or takes a request back."""
    status, typed, failed, said = 200, request.GET, "", ""
    if request.method == "POST":
        if request.POST.get("word") == "cancel":
            _cancel(request, actor)
            return HttpResponseRedirect(reverse("mail_restores"))
        failed, said = _ask(request, actor)
        if not said:
            return HttpResponseRedirect(reverse("mail_restores"))
        if not failed:
            messages.error(request, said)
        status, typed = 400, request.POST
    rows = list(queries.visible(actor)[:MAX_SHOWN])
    known = queries.addresses(rows)
    context: dict[str, Any] = {
        "place": "mail",
        "mailboxes": list(queries.may_ask(actor)),
        "rows": [restore_words.restore(one, known.get(one.mailbox_id, "")) for one in rows],
        "me": actor.id,
        "referent": actor.role == "referent",
        "days": settings.BEFFROI.backup_keep_days,
        "today": clock.now().astimezone(clock.PLACE).date(),
        "typed": {name: typed.get(name, "")[:300] for name in FIELDS},
        "error": said,
        "failed": failed,
    }
    return page(request, "portal/mail_restores.html", context, status=status)


def _ask(request: HttpRequest, actor: Actor) -> tuple[str, str]:
    """The field that is wrong, "" for none, and one sentence, "" when it was asked. Errors: NotFound."""
    mailbox = queries.access_askable(actor, request.POST.get("boite", ""))
    at = _moment(request.POST.get("jour", ""), request.POST.get("heure", ""))
    if at is None:
        return "jour", _(
            "Choisissez le jour où les courriels étaient encore là, et l’heure si vous la savez."
        )
    if at > clock.now():
        return "jour", _(
            "Ce moment n’est pas encore passé. Choisissez un jour où les courriels étaient encore là."
        )
    try:
        asked = actions.draft(
            actor=actor,
            mailbox=mailbox,
            at=at,
            folder=request.POST.get("dossier", "").strip(),
            search=_terms(request.POST.get("mots", "")),
            in_place=request.POST.get("ou") == "place",
        )
        actions.keep(actor=actor, restore=asked)
    except Conflict:
        return "", _(
            "Cinq demandes attendent déjà pour cette boîte : attendez leur réponse, ou reprenez-en une."
        )
    except Invalid:
        if not request.POST.get("dossier", "").strip().isprintable():
            return "dossier", _("Ce nom de dossier ne convient pas : recopiez-le de votre courrier.")
        return "mots", _(
            "Ces mots ne peuvent pas être cherchés. Écrivez un ou deux mots de l’objet, sans signes."
        )
    messages.success(
        request, _("C’est demandé : le Département s’en charge. Vous suivez ici ce qu’il advient.")
    )
    return "", ""


def _terms(text: str) -> str:
    """Words of the subject, for ``restoring.parse``."""
    return " ".join(f'subject:"{word}"' for word in text.replace('"', " ").replace(":", " ").split()[:6])


def _moment(day: str, hour: str) -> datetime | None:
    """In the centre's own time; without an hour, the end of the day, or now for today."""
    try:
        chosen = date.fromisoformat(day)
        text = f"{chosen}T{hour}:00" if hour else f"{chosen}T23:59:59"
        at = datetime.fromisoformat(text).replace(tzinfo=clock.PLACE)
    except ValueError:
        return None
    now = clock.now()
    return now if not hour and chosen == now.astimezone(clock.PLACE).date() else at


def _cancel(request: HttpRequest, actor: Actor) -> None:
    row = queries.access_restore(actor, request.POST.get("restore", ""))
    try:
        actions.refuse(actor=actor, restore=row, reason="")
    except BeffroiError:
        messages.info(request, _("Cette demande n’attend plus : rien n’a changé."))
        return
    messages.success(request, _("La demande est reprise : rien ne sera restauré."))
