"""Place des boîtes of one collectivité: how much each mailbox takes, and more for one or for all."""

from __future__ import annotations

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import existing
from beffroi.mail import queries as mail
from beffroi.mail.quota import actions, queries
from beffroi.mail.quota.rules import GB, mib_of
from beffroi.portal.pages import for_administrators, page
from beffroi.portal.web.room import context
from beffroi.portal.words import size

MOST_GB = 1_000_000


@require_http_methods(["GET", "POST"])
@for_administrators
def room(request: HttpRequest, actor: Actor, collectivite_id: str) -> HttpResponse:
    """Show; POST sets a limit in Go of the mailbox ``mailbox``, or of the collectivité; an empty one is the setting.

    Errors: NotFound.
    """
    collectivite = communes.access_collectivite(actor, collectivite_id)
    chosen, error = request.POST.get("mailbox", ""), ""
    if request.method == "POST":
        try:
            limit_mib = _limit(request.POST.get("limit", ""))
        except ValueError:
            error = _("Donnez un nombre entier de Go, d’au moins 1, ou rien pour la place habituelle.")
        else:
            if chosen:
                rows = mail.visible_mailboxes(actor).filter(pk=chosen, collectivite_id=collectivite.id)
                mailbox = existing(rows.first(), "mailbox")
                actions.limit_mailbox(actor=actor, mailbox=mailbox, limit_mib=limit_mib)
            else:
                actions.limit_collectivite(actor=actor, collectivite=collectivite, limit_mib=limit_mib)
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


def _limit(text: str) -> int | None:
    """MiB. Errors: ValueError."""
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= MOST_GB):
        raise ValueError("limit")
    return mib_of(int(text))
