"""Place des boîtes of one collectivité: how much each mailbox takes, and more for one or for all."""

from __future__ import annotations

from http import HTTPStatus

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import existing
from beffroi.lib.gigabytes import GB
from beffroi.mail import queries as mail
from beffroi.mail.quota import actions, queries
from beffroi.mail.quota.rules import mib_of
from beffroi.portal import room_words
from beffroi.portal.pages import for_administrators, page
from beffroi.portal.web.room import context
from beffroi.portal.words import size


@require_http_methods(["GET", "POST"])
@for_administrators
def room(request: HttpRequest, actor: Actor, collectivite_id: str) -> HttpResponse:
    """Show; POST sets a limit in Go of the mailbox ``mailbox``, or of the collectivité; an empty one is the setting.

    Errors: NotFound.
    """
    collectivite = communes.access_collectivite(actor, collectivite_id)
    chosen, error = request.POST.get("mailbox", ""), ""
    if request.method == "POST":
        limit_bytes, error = room_words.limit(request.POST.get("limit", ""))
        if not error:
            limit_mib = None if limit_bytes is None else mib_of(limit_bytes)
            if chosen:
                rows = mail.visible_mailboxes(actor).filter(pk=chosen, collectivite_id=collectivite.id)
                mailbox = existing(rows.first(), "mailbox")
                actions.limit_mailbox(actor=actor, mailbox=mailbox, limit_mib=limit_mib)
            else:
                actions.limit_collectivite(actor=actor, collectivite=collectivite, limit_mib=limit_mib)
            messages.success(request, room_words.LIMIT_KEPT)
            return HttpResponseRedirect(reverse("commune_room", args=[collectivite.id]))
    use = queries.use(actor, collectivite.id)
    config = settings.BEFFROI
    shown = {
        "place": "communes",
        **context(use),
        "usual": size(config.mail_quota_gb * GB),
        "usual_whole": size(config.mail_quota_collectivite_gb * GB),
        "error": error,
        "error_at": chosen if error else "",
        "typed": request.POST.get("limit", "")[:40],
    }
    status = HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK
    return page(request, "console/room.html", shown, status=status)
