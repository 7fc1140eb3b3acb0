"""Courriels retenus: what does not lie in the inbox, why, and one press to release it or to block its sender.

Input:  hostile: sender and subject of held mails; they are shown as text only.
Access: held mails of the person's own mailboxes; a référent sees numbers of the collectivité besides. The list behind a
        digest's link shows subjects without a sign-in and has no button that changes anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.core.identity.actor import Actor
from beffroi.lib import digits
from beffroi.lib.errors import BeffroiError, Conflict
from beffroi.lib.ids import is_id
from beffroi.mail import queries as mail
from beffroi.mail.held import actions, links, queries
from beffroi.mail.held.models import HeldMail
from beffroi.portal import held_words
from beffroi.portal.counts import Count
from beffroi.portal.pages import error_page, for_agents, page, typed

PAGE_ROWS = 50
SETTLED_ROWS = 20
LINKED_ROWS = 100
PLACE = {"place": "held"}


@require_GET
@for_agents
def held(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The list, newest first. To have been shown here is to be seen."""
    before = request.GET.get("avant", "")
    rows = queries.waiting(actor)
    if is_id(before, "hld"):
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE_ROWS + 1])
    shown = queries.shown(found[:PAGE_ROWS])
    mailboxes = list(mail.own_mailboxes(actor))
    times = queries.digest_times(mailboxes)
    context = PLACE | {
        "letters": [line(one) for one in shown],
        "held": queries.waiting(actor).count(),
        "settled": [line(one) for one in queries.shown(list(queries.settled(actor)[:SETTLED_ROWS]))],
        "done": _done(actor, request.GET.get("fait", "")),
        "several_mailboxes": len(mailboxes) > 1,
        "mailboxes": [{"mailbox": one, "at_minute": times[one.id]} for one in mailboxes],
        "minutes": [(one, held_words.clock_words(one)) for one in actions.DIGEST_MINUTES],
        "counts": queries.counts(actor),
        "referent": actor.role == "referent",
        "older": found[PAGE_ROWS - 1].id if len(found) > PAGE_ROWS else "",
        "first_page": not before,
    }
    response = page(request, "portal/held.html", context)
    mark_seen(actor, found[:PAGE_ROWS])
    return response


def line(one: queries.Shown) -> dict[str, Any]:
    """What a template shows of it."""
    return {
        "one": one,
        "row": one.row,
        "sender": held_words.sender(one),
        "subject": held_words.subject(one),
        "why": held_words.why(one),
    }


def _done(actor: Actor, held_id: str) -> dict[str, Any] | None:
    """What was pressed a moment ago, to be taken back with one press."""
    row = queries.settled(actor).filter(pk=held_id).first() if is_id(held_id, "hld") else None
    return line(queries.shown([row])[0]) if row is not None else None


def mark_seen(actor: Actor, rows: list[HeldMail]) -> None:
    """Their owner has them before their eyes."""
    fresh = defaultdict(list)
    for row in rows:
        if row.seen_at is None:
            fresh[row.mailbox_id].append(row.id)
    for mailbox in mail.own_mailboxes(actor).filter(pk__in=fresh) if fresh else ():
        actions.mark_seen(actor=actor, mailbox=mailbox, held_ids=fresh[mailbox.id])


@require_POST
@for_agents
def release(request: HttpRequest, actor: Actor, held_id: str) -> HttpResponse:
    return _settled(request, actor, held_id, actions.release, HeldMail.State.RELEASED)


@require_POST
@for_agents
def block_sender(request: HttpRequest, actor: Actor, held_id: str) -> HttpResponse:
    return _settled(request, actor, held_id, actions.block_sender, HeldMail.State.BLOCKED)


@require_POST
@for_agents
def undo(request: HttpRequest, actor: Actor, held_id: str) -> HttpResponse:
    return _settled(request, actor, held_id, actions.undo, HeldMail.State.HELD)


def _settled(
    request: HttpRequest, actor: Actor, held_id: str, act: Callable[..., HeldMail], wanted: HeldMail.State
) -> HttpResponse:
    """The list, which says what was done. Pressed twice it was done once; where somebody else who reads the mailbox, or
    its end, was faster, the list says what became of it."""
    try:
        act(actor=actor, held_id=held_id)
    except Conflict as error:
        if error.code != Conflict.code:  # a decision holds it, or a program: that has words of its own
            raise
        row = queries.access_held(actor, held_id)
        if row.state != wanted:
            messages.info(request, held_words.meanwhile(row))
    return HttpResponseRedirect(f"{reverse('held')}?fait={held_id}")


@require_http_methods(["GET", "POST"])
@for_agents
def ask_review(request: HttpRequest, actor: Actor, held_id: str) -> HttpResponse:
    """Words for the Département, with some ready; then the request. Errors: NotFound, Conflict, Invalid."""
    row = queries.access_held(actor, held_id)
    if request.method == "GET":
        context = PLACE | {"letter": line(queries.shown([row])[0]), "text": _proposed()}
        return page(request, "portal/held_review.html", context)
    actions.ask_review(actor=actor, held_id=held_id, text=typed(request, "text").strip() or _proposed())
    return HttpResponseRedirect(reverse("held"))


def _proposed() -> str:
    return _("Un courriel que nous attendions est retenu par ce blocage. Pouvez-vous vérifier ?")


@require_POST
@for_agents
def digest_time(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    mailbox = mail.access_mailbox(actor, mailbox_id)
    at_minute = digits.needed(request.POST.get("at_minute", ""), "at_minute", 4)
    actions.set_digest_time(actor=actor, mailbox=mailbox, at_minute=at_minute)
    return HttpResponseRedirect(f"{reverse('held')}#h-digest")


@require_GET
def linked(request: HttpRequest) -> HttpResponse:
    """The subjects behind a digest's link, without a sign-in. Errors (as a page): NotFound."""
    try:
        mailbox = links.read(request.GET.get("l", ""))
    except BeffroiError as error:
        return error_page(request, error)
    rows = HeldMail.objects.filter(mailbox_id=mailbox.id, state=HeldMail.State.HELD).order_by("-id")
    found = list(rows[: LINKED_ROWS + 1])
    context = PLACE | {
        "letters": [line(one) for one in queries.shown(found[:LINKED_ROWS])],
        "more": len(found) > LINKED_ROWS,
        "sign_in": f"{settings.LOGIN_URL}?next={reverse('held')}",
    }
    response = page(request, "portal/held_linked.html", context)
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


def todo(actor: Actor) -> list[dict[str, str]]:
    """For the home: held mails that the person has not looked at."""
    count = queries.unseen(actor)
    if not count:
        return []
    title = ngettext(
        "%(n)s courriel retenu attend votre avis", "%(n)s courriels retenus attendent votre avis", count
    )
    return [
        {
            "title": title % {"n": Count(count)},
            "why": _("Aucun n’est supprimé. Lisez pourquoi il est retenu, puis décidez."),
            "url": "held",
            "button": _("Regarder"),
        }
    ]
