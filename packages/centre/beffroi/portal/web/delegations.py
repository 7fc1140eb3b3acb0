"""Une boîte confiée à un collègue: lend one's own mailbox, see what was done there, end it. For a référent: in the
stead of somebody who cannot.

Input:  hostile: every field. To lend is a POST after a step-up.
Access: one's own mailboxes; those of the collectivité for its référent, who sees to whom they are lent, and nothing of
        any mail. What was done is for the owner and the delegate.
"""

from __future__ import annotations

from email.headerregistry import Address
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.mail import queries as mail
from beffroi.mail.access import Access
from beffroi.mail.filters.errors import SettingRefused
from beffroi.mail.models import Mailbox
from beffroi.mail.people import delegations as lending
from beffroi.mail.people import queries as people
from beffroi.mail.people.models import Delegation
from beffroi.portal import delegation_words as words
from beffroi.portal.dates import day_of
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import step_up

FIELDS = ("mailbox", "person", "right", "first", "last", "reason")
MAX_DAYS = 31
"""Days of one delegation that the page names."""


@require_GET
@for_agents
def delegations(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is lent and was lent. To have been shown here is to be seen by the owner."""
    rows = list(lending.visible(actor)[:200])
    acts = lending.days([one for one in rows if actor.id in (one.owner_id, one.person_id)])
    boxes = Mailbox.objects.in_bulk([one.mailbox_id for one in rows])
    names = identity.person_names({id_ for one in rows for id_ in (one.owner_id, one.person_id, one.by)})
    shown = [_row(actor, one, boxes, names, acts.get(one.id, [])) for one in rows if one.mailbox_id in boxes]
    context = {
        "place": "mail",
        "present": [one for one in shown if not one["over"]],
        "past": [one for one in shown if one["over"]],
        "lends": bool(lending.lendable(actor)),
        "referent": actor.role == "referent",
    }
    response = page(request, "portal/delegations.html", context)
    lending.mark_seen(actor=actor)
    return response


def _row(
    actor: Actor, row: Delegation, boxes: dict[str, Mailbox], names: dict[str, str], acts: list[lending.Day]
) -> dict[str, Any]:
    now, gone = clock.now(), _("Une personne partie")
    name = names.get(row.person_id, gone)
    return {
        "row": row,
        "mailbox": boxes[row.mailbox_id],
        "owner": names.get(row.owner_id, gone),
        "name": name,
        "by": names.get(row.by, gone) if row.by != row.owner_id else "",
        "right": words.RIGHTS[Delegation.Right(row.right)],
        "first": words.day(words.first_day(row)),
        "last": words.day(words.last_day(row)),
        "over": row.ended_at is not None or row.ends_at <= now,
        "begun": row.begins_at <= now,
        "own": row.owner_id == actor.id,
        "mine": row.person_id == actor.id,
        "fresh": row.seen_at is None and row.owner_id == actor.id,
        "done": [words.done(one, name) for one in acts[:MAX_DAYS]],
        "again": f"?person={row.person_id}&right={row.right}&mailbox={row.mailbox_id}",
    }


@require_http_methods(["GET", "POST"])
@for_agents
def new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form; then, after a step-up, it is lent. Errors: NotFound."""
    data = request.GET if request.method == "GET" else request.POST
    form = {name: data.get(name, "").strip()[:300] for name in FIELDS}
    if request.method == "GET":
        return _form(request, actor, form)
    step_up.require(request)
    try:
        row = _give(actor, form)
    except SettingRefused as error:
        return _form(request, actor, form, error=error)
    told = {"name": identity.person_name(row.person_id), "last": words.day(words.last_day(row))}
    messages.success(request, _("C’est fait : la boîte est confiée à %(name)s jusqu’au %(last)s.") % told)
    return HttpResponseRedirect(reverse("delegations"))


def _give(actor: Actor, form: dict[str, str]) -> Delegation:
    """Errors: SettingRefused."""
    mailbox = next((one for one in lending.lendable(actor) if one.id == form["mailbox"]), None)
    if mailbox is None:
        raise SettingRefused("mailbox", "unknown")
    try:
        return lending.give(
            actor=actor,
            mailbox=mailbox,
            person_id=form["person"],
            right=form["right"],
            first=day_of(form, "first"),
            last=day_of(form, "last"),
            reason="" if mailbox.person_id == actor.id else form["reason"],
        )
    except Conflict:
        raise SettingRefused("last", "taken") from None


def _form(
    request: HttpRequest, actor: Actor, form: dict[str, str], *, error: SettingRefused | None = None
) -> HttpResponse:
    boxes = lending.lendable(actor)
    names = identity.person_names({one.person_id or "" for one in boxes})
    today = clock.now().astimezone(clock.PLACE).date().isoformat()
    context = {
        "place": "mail",
        "boxes": [(one, names.get(one.person_id or "", "")) for one in boxes],
        "others": any(one.person_id != actor.id for one in boxes),
        "people": [one for one in people.people(actor, actor.collectivite_id or "") if one.id != actor.id],
        "rights": words.RIGHTS,
        "today": today,
        "days": settings.BEFFROI.delegation_days,
        "form": {
            **form,
            "first": form["first"] or today,
            "right": form["right"] or Delegation.Right.READ.value,
        },
        "error": {error.field_name: words.trouble(error)} if error else {},
    }
    return page(request, "portal/delegation_new.html", context, status=400 if error else 200)


@require_POST
@for_agents
def end(request: HttpRequest, actor: Actor, delegation_id: str) -> HttpResponse:
    """By the owner, the référent, or who was lent it. Errors: NotFound."""
    row = lending.access_delegation(actor, delegation_id)
    if lending.end(actor=actor, delegation=row):
        told = {"name": identity.person_name(row.person_id) or _("Une personne partie")}
        messages.success(request, _("C’est arrêté : %(name)s n’ouvre plus cette boîte.") % told)
    return HttpResponseRedirect(reverse("delegations"))


def shown(box: Access) -> dict[str, Any]:
    """What pages of mail say and offer of the mailbox that is open; ``lent`` for a delegate alone."""
    may = {"own": box.owns, "answer": box.answers}
    if box.delegation is None:
        return {"may": may, "lent": None}
    owner = identity.person_name(box.delegation.owner_id)
    return {
        "may": may,
        "lent": {"row": box.delegation, "owner": owner, "last": words.day(words.last_day(box.delegation))},
    }


def lent(actor: Actor) -> dict[str, dict[str, str]]:
    """Mailbox -> whose it is and until when, of those lent to this person now."""
    if actor.collectivite_id is None:
        return {}
    rows = lending.in_force().filter(person_id=actor.id, collectivite_id=actor.collectivite_id)
    return {
        one.mailbox_id: {
            "owner": identity.person_name(one.owner_id),
            "last": words.day(words.last_day(one)),
        }
        for one in rows
    }


def signature(box: Access) -> str:
    """Under what a delegate writes; "" for everybody else."""
    if box.delegation is None:
        return ""
    return words.signature(identity.person_name(box.delegation.owner_id), identity.person_name(box.actor.id))


def sender(box: Access) -> dict[str, Any]:
    """What a draft says of who writes in the owner's stead: ``from_name``, ``author``, and ``sender`` where the
    delegate has an address of their own."""
    assert box.delegation is not None
    delegate = identity.person_name(box.actor.id)
    own = mail.personal_mailboxes(box.actor).first()
    return {
        "from_name": words.from_name(identity.person_name(box.delegation.owner_id), delegate),
        "author": box.actor.id,
        "sender": Address(delegate[:80], addr_spec=own.address) if own else None,
    }


def banner(mailbox: Mailbox) -> list[dict[str, Any]]:
    """To whom it is lent now or soon, for its owner."""
    rows = (
        lending.open_rows()
        .filter(mailbox_id=mailbox.id, owner_id=mailbox.person_id or "")
        .order_by("begins_at")
    )
    return [
        {
            "row": one,
            "name": identity.person_name(one.person_id),
            "first": words.day(words.first_day(one)),
            "last": words.day(words.last_day(one)),
            "begun": one.begins_at <= clock.now(),
        }
        for one in rows[:5]
    ]


def told(actor: Actor) -> list[dict[str, str]]:
    """For the home of an owner: what a référent lent in their stead, until they looked at it."""
    return [
        {
            "title": _("%(by)s a confié votre boîte à %(name)s, du %(first)s au %(last)s")
            % {
                "by": identity.person_name(one.by) or _("Une personne partie"),
                "name": identity.person_name(one.person_id),
                "first": words.day(words.first_day(one)),
                "last": words.day(words.last_day(one)),
            },
            "why": _("Raison indiquée : %(reason)s") % {"reason": one.reason},
            "url": "delegations",
            "button": _("Voir, ou arrêter"),
        }
        for one in lending.unseen(actor)
    ]
