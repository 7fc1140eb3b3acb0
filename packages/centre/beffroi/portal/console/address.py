"""One alias or one functional mailbox of a collectivité, on the console: the same changes as on the référent's pages.

Input:  hostile: every field. To let somebody read a mailbox asks for a present code.
Access: the Département. What belongs to another collectivité than the page's is no such page.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.models import Mailbox
from beffroi.mail.people import queries as people
from beffroi.portal.console.addresses import no_such_mailbox, typed_mailbox
from beffroi.portal.console.incidents import step_up
from beffroi.portal.pages import for_administrators, page
from beffroi.portal.web import aliases as alias_pages
from beffroi.portal.web import shared as shared_pages

UNDONE_WITHIN = timedelta(minutes=10)


@require_http_methods(["GET", "POST"])
@for_administrators
def alias(request: HttpRequest, actor: Actor, collectivite_id: str, alias_id: str) -> HttpResponse:
    """Where it leads; more, fewer, write with it or not, end, take up again. Errors: NotFound, Invalid."""
    collectivite = communes.access_collectivite(actor, collectivite_id)
    if request.method == "POST":
        return _change_alias(request, actor, collectivite.id, alias_id)
    found = aliases.access_alias(actor, alias_id)
    if found.alias.collectivite_id != collectivite.id:
        raise NotFound("alias")
    left = aliases.candidates(actor, collectivite.id, found)
    taken = request.GET.get("retire", "")
    context = {
        "place": "communes",
        "collectivite": collectivite,
        "led": found,
        "open": alias_pages.named(found.open_),
        "closed": alias_pages.named(found.closed),
        "removed": next((box for box in left if box.id == taken), None) if taken else None,
        "manages": True,
        "typed": True,
        "here": request.path,
    }
    return page(request, "console/alias.html", context)


def _change_alias(request: HttpRequest, actor: Actor, owner: str, alias_id: str) -> HttpResponse:
    ended = request.POST.get("what") == "restore"
    found = aliases.access_ended(actor, alias_id) if ended else aliases.access_alias(actor, alias_id).alias
    if found.collectivite_id != owner:
        raise NotFound("alias")
    mailbox_id, typed = request.POST.get("mailbox", ""), request.POST.get("address", "")[:254]
    here = reverse("commune_alias", args=[owner, alias_id])
    if typed:
        mailbox = typed_mailbox(actor, owner, typed)
        if mailbox is None:
            messages.error(request, no_such_mailbox(typed))
            return HttpResponseRedirect(here)
        mailbox_id = mailbox.id
    query = urlencode({"etat": "arretes", "q": found.address})
    everything = f"{reverse('commune_addresses', args=[owner])}?{query}"
    return alias_pages.change(
        request, actor, alias_id, here=here, everything=everything, mailbox_id=mailbox_id
    )


@require_http_methods(["GET", "POST"])
@for_administrators
def shared(request: HttpRequest, actor: Actor, collectivite_id: str, mailbox_id: str) -> HttpResponse:
    """Who reads it; add (after a code), take off, rename, close, open again. Errors: NotFound, Invalid, Conflict."""
    collectivite = communes.access_collectivite(actor, collectivite_id)
    if not Mailbox.objects.filter(pk=mailbox_id, collectivite_id=collectivite.id).exists():
        raise NotFound("mailbox")
    here = reverse("commune_shared", args=[collectivite.id, mailbox_id])
    what = request.POST.get("what", "")
    # Who was just taken off comes back without a code: that opens nothing new.
    just_off = people.read_since(mailbox_id, request.POST.get("person", ""), clock.now() - UNDONE_WITHIN)
    error = step_up(request, actor) if what == "add" and not just_off else ""
    if request.method == "POST" and not error:
        everything = reverse("commune_addresses", args=[collectivite.id])
        return shared_pages.change(
            request, actor, mailbox_id, owner=collectivite.id, here=here, everything=everything
        )
    found = people.access_shared(actor, mailbox_id)
    context = {
        "place": "communes",
        "collectivite": collectivite,
        "box": found,
        "manages": True,
        "step_up": True,
        "error": error,
        "chosen": request.POST.get("person", ""),
        "candidates": people.candidates(actor, found),
        "removed": shared_pages.removed(actor, found, request.GET.get("retire", "")),
        "here": here,
    }
    return page(request, "console/shared_one.html", context, status=403 if error else 200)
