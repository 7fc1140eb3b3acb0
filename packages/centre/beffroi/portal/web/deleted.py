"""Retrouver un courriel supprimé: search what was deleted within 30 days, take it back, undo.

Input:  hostile: words, days, numbers and a folder of the form; sender and subject of mails, which templates escape.
Access: the mailbox is looked up among the actor's own; another one's is "no such page".
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, digits
from beffroi.lib.errors import NotFound
from beffroi.mail import deleted, folders, queries, reader
from beffroi.mail.models import Mailbox
from beffroi.portal.counts import Count
from beffroi.portal.dates import day
from beffroi.portal.pages import for_agents, page, sought
from beffroi.portal.web.folders import NAMES, title

MAX_SEARCH_CHARS = 200
GIVEN_BACK_KEY = "given_back"
UNDO_S = 600
"""How long the page offers to take the last taking back back."""
_TARGETS = ("inbox", "sent", "")


@require_http_methods(["GET", "POST"])
@for_agents
def find(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """The list; POST takes the ticked ones back, or takes the last taking back back."""
    mailbox = queries.access_mailbox(actor, mailbox_id)
    if request.method == "POST":
        if request.POST.get("word") == "undo":
            _undo(request, mailbox)
        else:
            _give_back(request, actor, mailbox)
        return HttpResponseRedirect(reverse("mail_deleted", args=[mailbox.id]))
    asked = sought(request, MAX_SEARCH_CHARS)
    since, before = day(request.GET.get("du", "")), day(request.GET.get("au", ""))
    with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened:
        letters, total = deleted.search(opened, asked, since=since, before=before)
        places = folders.listing(opened)
    context: dict[str, Any] = {
        "place": "mail",
        "mailbox": mailbox,
        "letters": letters,
        "total": total,
        "days": deleted.KEEP_DAYS,
        "asked": asked,
        "since": since,
        "before": before,
        "searched": bool(asked or since or before),
        "targets": [
            {"name": one.name, "title": NAMES.get(one.role, one.name)}
            for one in places
            if one.role in _TARGETS
        ],
        "done": _done(request, mailbox),
    }
    return page(request, "portal/mail_deleted.html", context)


def _give_back(request: HttpRequest, actor: Actor, mailbox: Mailbox) -> None:
    ticked = request.POST.getlist("uid")[: folders.MAX_UIDS]
    uids = [uid for one in ticked if (uid := digits.number(one, 10)) is not None]
    target = request.POST.get("target", "INBOX")
    if not uids:
        messages.info(request, _("Cochez d’abord un ou plusieurs courriels."))
        return
    try:
        with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened:
            came, held = deleted.give_back(opened, actor=actor, mailbox=mailbox, uids=uids, folder=target)
    except deleted.NoRoom:
        messages.error(
            request,
            _("Votre boîte n’a pas assez de place pour eux : effacez-en d’autres, puis videz la corbeille."),
        )
        return
    except NotFound:
        messages.error(request, _("Ce dossier n’existe plus. Choisissez-en un autre."))
        return
    if held:
        messages.warning(
            request,
            ngettext(
                "%(n)s courriel n’est pas rendu : il fait partie d’une attaque reconnue.",
                "%(n)s courriels ne sont pas rendus : ils font partie d’une attaque reconnue.",
                held,
            )
            % {"n": Count(held)},
        )
    if came:
        request.session[GIVEN_BACK_KEY] = {
            "mailbox": mailbox.id,
            "folder": target,
            "uids": came,
            "at_s": clock.epoch_s(),
        }
    elif not held:
        messages.info(request, _("Ces courriels ne sont plus là : rien n’a changé."))


def _undo(request: HttpRequest, mailbox: Mailbox) -> None:
    last = request.session[GIVEN_BACK_KEY] if _done(request, mailbox) else None
    gone = 0
    if last:
        with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened, suppress(NotFound):
            gone = deleted.take_away_again(opened, uids=last["uids"], folder=last["folder"])
        del request.session[GIVEN_BACK_KEY]
    if gone:
        messages.info(request, _("C’est annulé : ces courriels sont de nouveau parmi les supprimés."))
    else:
        messages.info(request, _("Rien à annuler : ces courriels ne sont plus là où vous les aviez mis."))


def _done(request: HttpRequest, mailbox: Mailbox) -> dict[str, Any] | None:
    last = request.session.get(GIVEN_BACK_KEY)
    if not last or last["mailbox"] != mailbox.id or clock.epoch_s() - last["at_s"] > UNDO_S:
        return None
    return {"count": len(last["uids"]), "folder": last["folder"], "title": title(last["folder"])}
