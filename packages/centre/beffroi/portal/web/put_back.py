"""What was deleted last among contacts, their groups or the agenda, and *Annuler*.

Input:  hostile: the etag of the form. What it names lies in this person's home, in the process ``calendars``.
Access: who may change the address book or the calendar now.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import wire
from beffroi.drive.calendars.wire_bringing import Kind, Which
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound
from beffroi.portal import bringing_words
from beffroi.portal.calendars import asking, taken
from beffroi.portal.pages import for_agents
from beffroi.portal.web import invitations

UNDO_S = 600
DELETED_KEY = "entry_deleted"
"""In the session: what was deleted last, in words, and by what it is put back."""


def note(
    request: HttpRequest,
    actor: Actor,
    kind: Kind,
    asked: wire.Named,
    done: wire.Done,
    *,
    said: str,
    address: str,
) -> None:
    """``said``: that it is deleted; ``address``: where it stood."""
    if not done.is_kept:
        messages.success(request, said)
        return
    request.session[DELETED_KEY] = {
        "of": actor.collectivite_id,
        "kind": kind,
        "etag": asked.etag,
        "said": said,
        "address": address,
        "at_s": clock.epoch_s(),
    }


def last(request: HttpRequest, actor: Actor, kind: Kind) -> dict[str, Any] | None:
    """What a page says of it and offers."""
    found: dict[str, Any] | None = request.session.get(DELETED_KEY)
    if found is None or (found["of"], found["kind"]) != (actor.collectivite_id, kind):
        return None
    return found if clock.epoch_s() - found["at_s"] <= UNDO_S else None


@require_POST
@for_agents
def put_back(request: HttpRequest, actor: Actor, kind: Kind) -> HttpResponse:
    """Errors: NotAllowed (a role may have changed since)."""
    address = (last(request, actor, kind) or {}).get("address") or reverse(kind)
    try:
        done = asking(actor).put_back(Which(kind, request.POST.get("etag", "")))
    except (NotFound, Conflict):
        messages.info(request, _("Rien à annuler : c’est déjà remis, ou autre chose a été supprimé depuis."))
    except bringing_words.FULL as error:
        messages.error(request, bringing_words.full(error))
        return HttpResponseRedirect(address)
    else:
        if done.booked:
            messages.error(request, taken(done.booked) + " " + _("Rien n’est remis."))
            return HttpResponseRedirect(address)
        messages.success(request, _("C’est annulé : rien n’est supprimé."))
        boxes = invitations.own_boxes(actor) if done.outgoing else []
        sent = invitations.tell(request, actor, done.outgoing, boxes)
        address = invitations.with_sending(address, sent)
    request.session.pop(DELETED_KEY, None)
    return HttpResponseRedirect(address)
