"""Courrier meets Agenda: the card of an invitation, the answer to it, and what guests are told.

Input:  hostile: everything in the mail. Its calendar is read in the process ``calendars`` alone.
Access: answers are the owner's of the mailbox (``mail.access``), and change their own calendar; who reads a mailbox
        that is lent to them sees the card without its buttons.
Rule:   the calendar first, then the mail: whoever is told something can rely on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import wire
from beffroi.drive.calendars import wire_invitations as told
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotAllowed, NotFound, Unavailable
from beffroi.mail import access, invitations, queries, sendings
from beffroi.mail.access import Access
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.models import Mailbox, Sending
from beffroi.mail.people import queries as team
from beffroi.mail.reader import Attachment, MailboxReader, MessageView
from beffroi.portal import invitation_words as words
from beffroi.portal.calendars import asking
from beffroi.portal.pages import for_agents
from beffroi.portal.web import mail_sending
from beffroi.portal.web.folders import asked_folder, folder_context

_ANSWERS: dict[str, told.Answer] = {"oui": "ACCEPTED", "peut-etre": "TENTATIVE", "non": "DECLINED"}
_SETTLED: dict[str, told.What] = {
    "retenir": "accept",
    "decliner": "decline",
    "renvoyer": "resend",
    "redemander": "ask",
}
_FROM_GUESTS = ("REPLY", "COUNTER", "REFRESH")


class Held(NotAllowed):
    """This invitation is held by a decision, or its mail is not checked yet."""

    code = "mail.invitation_held"


def mine(mailboxes: Iterable[Mailbox]) -> list[str]:
    """Addresses by which one is invited and invites, the usual one first."""
    found = (address for one in mailboxes for address in (one.address, *aliases.senders(one)))
    return list(dict.fromkeys(address.lower() for address in found))


def own_boxes(actor: Actor) -> list[Mailbox]:
    """From which somebody invites: their own mailbox first, then the functional ones."""
    return list(queries.own_mailboxes(actor))


def fetch(opened: MailboxReader, view: MessageView, uid: int, folder: str) -> tuple[Attachment, bytes] | None:
    """The part of a mail that may be an invitation, and its bytes (b"" where it is too long)."""
    part = invitations.part_of(view)
    return (part, invitations.fetch(opened, uid, folder, part)) if part is not None else None


def without_part(view: MessageView) -> MessageView:
    """What stands on the card is no attached file, unless its sender gave it a name."""
    part = invitations.part_of(view)
    return replace(view, attachments=tuple(one for one in view.attachments if one.name or one != part))


def card(
    request: HttpRequest, box: Access, view: MessageView, folder: str, found: tuple[Attachment, bytes] | None
) -> dict[str, Any] | None:
    """What the reading page shows of an invitation; None where there is none."""
    if found is None:
        return None
    part, data = found
    text = invitations.text_of(data, part.charset)
    if not data or text is None:
        return {"unreadable": words.unreadable("encoding" if data else "size")}
    whose = mine([box.mailbox])
    try:
        one = asking(box.actor).look(told.Received(text, whose, _sender(view)))
        if _notes_itself(box, view, folder, one):
            one = asking(box.actor).note(told.Noted(text, whose))
    except Unavailable:
        return {
            "unreadable": _(
                "L’agenda ne répond pas pour l’instant. Rouvrez ce courriel dans quelques minutes."
            )
        }
    except BeffroiError:
        return {"unreadable": words.unreadable("")}
    if one.readable == "method":  # an entry to import by hand, or a kind of message that nobody answers
        return None
    if one.readable or one.organizer is None:
        return {"unreadable": words.unreadable(one.readable)}
    return {
        "one": one,
        "title": words.title(one.method, one.state),
        "said": words.state(one.method, one.state),
        "when": _when(one.starts, one.ends, all_day=one.all_day),
        "kept_when": _when(one.kept_starts, one.kept_ends, all_day=one.kept_all_day),
        "is_over": words.is_over(_last(one), all_day=one.all_day, rule=one.rule, now=clock.now()),
        "others": [words.apart(other, one.method) for other in one.others],
        "more_others": one.changes - len(one.others) if one.method != "ADD" else 0,
        "repeats": words.repeats(one.rule),
        "kept_repeats": words.repeats(one.kept_rule) if one.kept_rule != one.rule else "",
        "is_whole_series": one.method == "COUNTER" and bool(one.rule) and one.occurrence is None,
        "organizer": words.person(one.organizer),
        "guests": [words.person(guest) for guest in one.guests],
        "from_other": _other_sender(view, one),
        "in_doubt": one.method == "CANCEL" and not _is_sure(view, one),
        "mine": words.MINE.get(one.mine, ""),
        "conflicts": [
            (entry, words.when(entry.starts, entry.ends, all_day=entry.all_day)) for entry in one.conflicts
        ],
        "may_answer": box.owns and _is_open(view, folder),
        "sending": _sending(request, box),
    }


def _when(starts: datetime | None, ends: datetime | None, *, all_day: bool) -> str:
    return words.when(starts, ends, all_day=all_day) if starts is not None and ends is not None else ""


def _last(one: told.Invitation) -> datetime | None:
    return max((one.ends, *(other.ends for other in one.others))) if one.ends is not None else None


def _sender(view: MessageView) -> str:
    return view.summary.from_address.lower()


def _sending(request: HttpRequest, box: Access) -> dict[str, Any] | None:
    asked = request.GET.get("envoi", "")
    if not asked or not box.owns:
        return None
    try:
        return mail_sending.shown(sendings.access_sending(box.actor, box.mailbox.id, asked))
    except NotFound:
        return None


def _is_open(view: MessageView, folder: str) -> bool:
    """Nothing is taken over from a mail that is not checked, or was set aside."""
    return not view.summary.unchecked and folder not in ("Junk", "Trash", "Drafts", "Sent")


def _notes_itself(box: Access, view: MessageView, folder: str, one: told.Invitation) -> bool:
    """A reply that surely comes from who replies is noted without a word; any other waits for a button."""
    return (
        one.method == "REPLY"
        and one.state == "update"
        and box.owns
        and _is_open(view, folder)
        and _is_sure(view, one)
    )


def _is_sure(view: MessageView, one: told.Invitation) -> bool:
    """Whether the mail comes from whom its calendar speaks for."""
    return view.authentication.is_proven and not _other_sender(view, one)


def _other_sender(view: MessageView, one: told.Invitation) -> str:
    """In whose name the calendar speaks, where the mail comes from somebody else; "" where both are one."""
    speaks = one.guests[0] if one.method in _FROM_GUESTS and one.guests else one.organizer
    if speaks is None or speaks.address == _sender(view):
        return ""
    return speaks.address


@require_POST
@for_agents
def answer(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int) -> HttpResponse:
    """``what``: oui, peut-etre, non; noter, for a reply and a cancellation; or what becomes of a proposal and the like,
    by ``_SETTLED``.

    Errors: NotFound, Invalid, Held, Unavailable.
    """
    box = access.access(actor, mailbox_id)
    folder, what = asked_folder(request), request.POST.get("what", "")
    if what not in _ANSWERS and what not in _SETTLED and what != "noter":
        raise Invalid("what")
    text, sender = _text(box, uid, folder)
    back = reverse("mail_read", args=[mailbox_id, uid]) + folder_context(folder, [])["in_folder"]
    whose = mine([box.mailbox])
    try:
        if what == "noter":
            done = asking(actor).note(told.Noted(text, whose))
            said = (
                _("La réponse est notée dans votre agenda.")
                if done.method == "REPLY"
                else _("Votre agenda est à jour.")
            )
            messages.success(request, said)
            return HttpResponseRedirect(f"{back}#h-invitation")
        if what in _SETTLED:
            outgoing: Sequence[wire.Outgoing] = asking(actor).settle(
                told.Settled(text, whose, sender, _SETTLED[what])
            )
        else:
            name = identity.person_name(actor.id)
            outgoing = [asking(actor).answer(told.Answered(text, whose, name, _ANSWERS[what]))]
    except Conflict:
        messages.error(
            request, _("Cette invitation n’est plus la dernière : rien n’a changé dans votre agenda.")
        )
        return HttpResponseRedirect(f"{back}#h-invitation")
    except words.FULL as error:
        messages.error(request, words.full(error, to_answer=what in _ANSWERS))
        return HttpResponseRedirect(f"{back}#h-invitation")
    except Invalid:
        messages.error(request, words.taken_by_none(to_answer=what in _ANSWERS))
        return HttpResponseRedirect(f"{back}#h-invitation")
    boxes = [box.mailbox, *own_boxes(actor)] if what in _SETTLED else [box.mailbox]
    sent = tell(request, actor, outgoing, boxes, _ANSWERS.get(what, ""))
    mark = "&" if "?" in back else "?"
    return HttpResponseRedirect(
        f"{back}{mark}envoi={sent[0].id}#h-invitation" if sent else f"{back}#h-invitation"
    )


def _text(box: Access, uid: int, folder: str) -> tuple[str, str]:
    """(what the calendar says, the mail's sender). Errors: NotFound, Held, Invalid."""
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        view = opened.read(uid, folder)
        found = fetch(opened, view, uid, folder)
    if found is None:
        raise NotFound("invitation")
    part, data = found
    if not _is_open(view, folder) or queries.holds_file(box.actor, view.summary.beffroi_id, data):
        raise Held("invitation")
    text = invitations.text_of(data, part.charset)
    if not data or text is None:
        raise Invalid("invitation")
    return text, _sender(view)


def tell(
    request: HttpRequest,
    actor: Actor,
    outgoing: Sequence[wire.Outgoing],
    mailboxes: Sequence[Mailbox],
    reply: str = "",
) -> list[Sending]:
    """Send by mail what others are to know; what could not be sent is said on the next page."""
    sent = []
    for one in outgoing:
        mailbox = next((box for box in mailboxes if one.sender in mine([box])), None)
        moment = words.when(one.starts, one.ends, all_day=one.all_day)
        try:
            if mailbox is None:
                raise NotFound("mailbox")
            sent.append(
                invitations.send(
                    settings.BEFFROI,
                    access.access(actor, mailbox.id),
                    sender=one.sender,
                    from_name=team.title_of(mailbox) or identity.person_name(actor.id),
                    recipients=one.recipients,
                    subject=words.subject(one.method, one.title, reply, is_change=one.is_change),
                    words=words.letter(
                        one.method, one.title, one.place, moment, reply, is_change=one.is_change
                    ),
                    calendar=one.text,
                )
            )
        except BeffroiError:
            messages.error(request, _unsent(one))
    return sent


def _unsent(one: wire.Outgoing) -> str:
    """What is saved once more is told once more; what is off is not there any more, and nor is who is taken off."""
    if one.method == "CANCEL":
        whom = ", ".join(one.recipients)
        return _(
            "L’agenda est à jour, mais le courriel qui annule n’est pas parti. Prévenez vous-même %(whom)s."
        ) % {"whom": whom}
    return _(
        "L’agenda est à jour, mais le courriel qui le dit n’est pas parti. Recommencez dans quelques minutes."
    )


def with_sending(address: str, sent: Sequence[Sending]) -> str:
    """A page of the agenda that also shows the message that leaves, to call it back."""
    if not sent:
        return address
    return f"{address}{'&' if '?' in address else '?'}boite={sent[0].mailbox_id}&envoi={sent[0].id}"
