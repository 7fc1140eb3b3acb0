"""Agenda: what comes, from one's own calendar and the shared one; a simple entry is added, changed and deleted.

The entries themselves lie with the process ``calendars``, which is asked under a short grant of this person's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes, wire, wire_bringing
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import access, sendings
from beffroi.portal import invitation_words, months, words
from beffroi.portal.calendars import asking, calendar_of, is_room, require_change, require_new, taken, word_of
from beffroi.portal.dates import date_format
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import invitations, mail_sending, put_back
from beffroi.portal.web.agenda_form import Form, at, day_of, drafted, form_of, last_day, typed, years

_ANSWERED = ("ACCEPTED", "TENTATIVE")
"""What is declined is not shown."""


@dataclass(frozen=True)
class Line:
    """One entry of a day as the page tells it. ``when``: hours, or the last day. ``word``: of its calendar.
    ``answer``: one's own, as iCalendar names it; "" where none is asked for. ``by``: who booked a room."""

    entry: wire.Entry
    day: date
    when: str
    word: str
    answer: str = ""
    by: str = ""

    @property
    def is_room(self) -> bool:
        return is_room(self.word)

    @property
    def answers(self) -> list[str]:
        return invitation_words.counted(self.entry.guests)

    @property
    def last(self) -> date:
        return last_day(self.entry)


@require_GET
@for_agents
def agenda(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What comes until the end of the month; the whole of a month that the address names; of a room that it names what
    that is booked for. Errors: NotFound."""
    asked, room = request.GET.get("mois", ""), _room(request, actor)
    first = _month(asked)
    following = months.following(first)
    since = first if asked else timezone.localdate(clock.now())
    whose = invitations.mine(invitations.own_boxes(actor))
    found = asking(actor).list(wire.Range(at(since, time()), at(following, time()), whose))
    days: dict[date, list[Line]] = {}
    # The shared calendar hears of an answer when who invites does: until then one's own calendar knows it.
    answers = {_same(one): one.answer for one in found.entries if _is_answered(one)}
    shared = {_same(one) for one in found.entries if one.calendar == "shared"}
    bookers = identity.person_names({one.by for one in found.entries if one.by})
    for entry in found.entries:
        if room and entry.calendar != room.name:
            continue
        if _is_answered(entry) and _same(entry) in shared:
            continue  # one meeting is one line
        line = _line(entry, since)
        answer = answers.get(_same(entry), entry.answer)
        line = replace(line, answer=answer, by=bookers.get(entry.by, ""))
        days.setdefault(line.day, []).append(line)
    return page(
        request,
        "portal/agenda.html",
        {
            "place": "agenda",
            "month": date_format(first, "F Y"),
            "room": room,
            "only": f"&salle={room.name}" if room else "",
            "present": not asked,
            "whole": first.strftime("%Y-%m") if since > first else "",
            "before": _turned_to(first - timedelta(days=1)),
            "after": _turned_to(following),
            "days": [(day, lines, _going_on(days, day)) for day, lines in sorted(days.items())],
            "more": found.more,
            "deleted": put_back.last(request, actor, "agenda"),
            "handed": asking(actor).handed(wire_bringing.Handing("agenda")),
            "reads": actor.role in homes.READERS,
            "writes": actor.role in homes.WRITERS,
            **_on_the_way(request, actor),
        },
    )


@require_http_methods(["GET", "POST"])
@for_agents
def new(request: HttpRequest, actor: Actor) -> HttpResponse:
    writes = actor.role in homes.WRITERS
    if request.method == "GET":
        room = _room(request, actor) if writes else None
        common = room.name if room else "commun"
        form = Form(day=timezone.localdate(clock.now()).isoformat(), calendar=common if writes else "prive")
        return _form_page(request, actor, form, writes=writes)
    form = typed(request)
    form.calendar = request.POST.get("calendar", "prive")
    require_new(actor, form.calendar, rooms=True)
    return _save(request, actor, form, name="", writes=writes)


@require_http_methods(["GET", "POST"])
@for_agents
def change(request: HttpRequest, actor: Actor, calendar: str, name: str) -> HttpResponse:
    """Errors: NotFound, NotAllowed, Conflict."""
    require_change(actor, calendar)
    if request.method == "GET":
        form = form_of(_get(actor, calendar, name))
        return _form_page(request, actor, form, name=name)
    form = typed(request)
    form.calendar, form.etag = calendar, request.POST.get("etag", "")
    return _save(request, actor, form, name=name)


@require_http_methods(["GET", "POST"])
@for_agents
def delete(request: HttpRequest, actor: Actor, calendar: str, name: str) -> HttpResponse:
    """Errors: NotFound, NotAllowed, Conflict."""
    require_change(actor, calendar)
    if request.method == "GET":
        entry = _get(actor, calendar, name)
        context = {
            "place": "agenda",
            "entry": entry,
            "line": _line(entry, day_of(entry)),
            "name": name,
            "back": _page_of(day_of(entry)),
        }
        return page(request, "portal/agenda_delete.html", context)
    boxes = invitations.own_boxes(actor)
    asked = wire.Named(calendar_of(calendar), name, request.POST.get("etag", ""), invitations.mine(boxes))
    address = _page_of(day_of(_get(actor, calendar, name)))
    done = asking(actor).delete(asked)
    said = _("Le rendez-vous est supprimé, aussi sur les appareils branchés.")
    put_back.note(request, actor, "agenda", asked, done, said=said, address=address)
    sent = invitations.tell(request, actor, done.outgoing, boxes)
    return HttpResponseRedirect(invitations.with_sending(address, sent))


def _room(request: HttpRequest, actor: Actor) -> wire.Room | None:
    """The one that is looked at alone. Errors: NotFound."""
    asked = request.GET.get("salle", "")
    if not asked:
        return None
    for one in asking(actor).rooms():
        if one.name == asked and not one.is_retired:
            return one
    raise NotFound("room")


def _get(actor: Actor, calendar: str, name: str) -> wire.Entry:
    """Errors: NotFound, Conflict."""
    whose = invitations.mine(invitations.own_boxes(actor))
    return asking(actor).get(wire.Named(calendar_of(calendar), name, mine=whose))


def _on_the_way(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    try:
        mailbox_id, asked = request.GET.get("boite", ""), request.GET.get("envoi", "")
        if not asked:
            return {}
        box = access.access(actor, mailbox_id)
        return {
            "mailbox": box.mailbox,
            "sending": mail_sending.shown(sendings.access_sending(actor, mailbox_id, asked)),
        }
    except NotFound:
        return {}


def _month(code: str) -> date:
    """The first day of ``AAAA-MM``, of the present month for "". Errors: NotFound."""
    today = timezone.localdate(clock.now())
    try:
        first = date.fromisoformat(f"{code}-01") if code else today.replace(day=1)
    except ValueError:
        raise NotFound("month") from None
    if first.year not in years(today):
        raise NotFound("month")
    return first


def _turned_to(first: date) -> str:
    """For the address; "" where the page does not go that far."""
    return first.strftime("%Y-%m") if first.year in years(timezone.localdate(clock.now())) else ""


def _page_of(day: date) -> str:
    """The month of a day, as one comes to it: the present one begins today."""
    today = timezone.localdate(clock.now())
    code = _turned_to(day) if (day.year, day.month) != (today.year, today.month) else ""
    return f"{reverse('agenda')}?mois={code}" if code else reverse("agenda")


def _is_answered(entry: wire.Entry) -> bool:
    """Whether one's own calendar has it with one's answer."""
    return entry.calendar == "own" and entry.answer in _ANSWERED


def _same(entry: wire.Entry) -> tuple[str, str, datetime]:
    return entry.organizer, entry.title, entry.starts


def _line(entry: wire.Entry, since: date) -> Line:
    last, until = last_day(entry), date_format(last_day(entry), "j F")
    if entry.all_day:
        when = _("toute la journée")
        if last != day_of(entry):
            when = _("jusqu’au %(day)s") % {"day": until}
    else:
        when = words.hour(entry.starts)
        if last != day_of(entry):
            when = _("%(begin)s, jusqu’au %(day)s à %(end)s") % {
                "begin": when,
                "day": until,
                "end": words.hour(entry.ends),
            }
        elif entry.ends > entry.starts:
            when += " – " + words.hour(entry.ends)
    return Line(entry, max(day_of(entry), since), when, word_of(entry.calendar))


def _going_on(days: dict[date, list[Line]], day: date) -> list[Line]:
    """What began on an earlier one of ``days`` and is not over on this ``day``, nor called off, in the order of its
    beginning."""
    began = (one for earlier in sorted(days) if earlier < day for one in days[earlier])
    return [one for one in began if one.last >= day and not one.entry.is_called_off]


def _save(request: HttpRequest, actor: Actor, form: Form, *, name: str, writes: bool = False) -> HttpResponse:
    boxes = invitations.own_boxes(actor)
    draft = drafted(form, name, actor, invitations.mine(boxes))
    if draft is None:
        return _form_page(request, actor, form, name=name, writes=writes)
    try:
        done = asking(actor).save(draft)
    except Conflict:
        form.errors["form"] = _(
            "Quelqu’un vient de changer ce rendez-vous. Revenez à l’agenda pour voir ce qu’il est devenu."
        )
        return _form_page(request, actor, form, name=name, writes=writes)
    except NotFound:
        if not name:
            raise
        form.errors["form"] = _(
            "Ce rendez-vous n’est plus dans l’agenda, où quelqu’un l’a supprimé. Pour le garder, ajoutez-le de nouveau."
        )
        return _form_page(request, actor, form, name=name, status=404)
    except invitation_words.FULL as error:
        form.errors["form"] = invitation_words.full(error)
        return _form_page(request, actor, form, name=name, writes=writes)
    if done.booked:
        form.errors["form"] = (
            taken(done.booked) + " " + _("Rien n’est enregistré : choisissez un autre moment.")
        )
        return _form_page(request, actor, form, name=name, writes=writes)
    messages.success(request, _("Le rendez-vous est enregistré."))
    sent = invitations.tell(request, actor, done.outgoing, boxes)
    return HttpResponseRedirect(
        invitations.with_sending(f"{reverse('agenda')}?mois={date.fromisoformat(form.day):%Y-%m}", sent)
    )


def _form_page(
    request: HttpRequest, actor: Actor, form: Form, *, name: str = "", writes: bool = False, status: int = 0
) -> HttpResponse:
    back = reverse("agenda")
    with suppress(ValueError):
        back = _page_of(date.fromisoformat(form.day))
    rooms = (
        [one for one in asking(actor).rooms() if not one.is_retired]
        if writes or is_room(form.calendar)
        else []
    )
    form.room = next((one.title for one in rooms if one.name == form.calendar), "")
    context: dict[str, Any] = {
        "place": "agenda",
        "rooms": rooms,
        "back": back,
        "form": form,
        "name": name,
        "writes": writes,
        "invites": bool(invitations.own_boxes(actor)),
        "most_chars": wire.MAX_TITLE_CHARS,
    }
    status = status or (409 if "form" in form.errors else 400 if form.errors else 200)
    return page(request, "portal/agenda_entry.html", context, status=status)
