"""Agenda: what comes, from one's own calendar and the shared one; a simple entry is added, changed and deleted.

The entries themselves lie with the process ``calendars``, which is asked under a short grant of this person's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
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
from beffroi.mail.compose import DraftInvalid, parse_addresses
from beffroi.portal import address_words, invitation_words, months, words
from beffroi.portal.calendars import CALENDARS, WORDS, asking, require_change, require_new
from beffroi.portal.dates import date_format
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import invitations, mail_sending, put_back

_YEARS_BACK, _YEARS_AHEAD = 5, 10
_HOUR = timedelta(hours=1)
_ANSWERED = ("ACCEPTED", "TENTATIVE")
"""What is declined is not shown."""


@dataclass(frozen=True)
class Line:
    """One entry of a day as the page tells it. ``when``: hours, or the last day. ``word``: of its calendar.
    ``answer``: one's own, as iCalendar names it; "" where none is asked for."""

    entry: wire.Entry
    day: date
    when: str
    word: str
    answer: str = ""

    @property
    def answers(self) -> list[str]:
        return invitation_words.counted(self.entry.guests)

    @property
    def last(self) -> date:
        return _last_day(self.entry)


@dataclass
class Form:
    """What somebody typed, and what is wrong with it, by field."""

    title: str = ""
    day: str = ""
    begin: str = ""
    end: str = ""
    last: str = ""
    place: str = ""
    guests: str = ""
    calendar: str = "prive"
    etag: str = ""
    invited: list[invitation_words.Person] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


@require_GET
@for_agents
def agenda(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What comes until the end of the month; the whole of a month that the address names. Errors: NotFound."""
    asked = request.GET.get("mois", "")
    first = _month(asked)
    following = months.following(first)
    since = first if asked else timezone.localdate(clock.now())
    whose = invitations.mine(invitations.own_boxes(actor))
    found = asking(actor).list(wire.Range(_at(since, time()), _at(following, time()), whose))
    days: dict[date, list[Line]] = {}
    # The shared calendar hears of an answer when who invites does: until then one's own calendar knows it.
    answers = {_same(one): one.answer for one in found.entries if _is_answered(one)}
    shared = {_same(one) for one in found.entries if one.calendar == "shared"}
    for entry in found.entries:
        if _is_answered(entry) and _same(entry) in shared:
            continue  # one meeting is one line
        line = _line(entry, since)
        line = replace(line, answer=answers.get(_same(entry), entry.answer))
        days.setdefault(line.day, []).append(line)
    return page(
        request,
        "portal/agenda.html",
        {
            "place": "agenda",
            "month": date_format(first, "F Y"),
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
        form = Form(day=timezone.localdate(clock.now()).isoformat(), calendar="commun" if writes else "prive")
        return _form_page(request, actor, form, writes=writes)
    form = _typed(request)
    form.calendar = request.POST.get("calendar", "prive")
    require_new(actor, form.calendar)
    return _save(request, actor, form, name="", writes=writes)


@require_http_methods(["GET", "POST"])
@for_agents
def change(request: HttpRequest, actor: Actor, calendar: str, name: str) -> HttpResponse:
    """Errors: NotFound, NotAllowed, Conflict."""
    require_change(actor, calendar)
    if request.method == "GET":
        form = _form_of(_get(actor, calendar, name))
        return _form_page(request, actor, form, name=name)
    form = _typed(request)
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
            "line": _line(entry, _day(entry)),
            "name": name,
            "back": _page_of(_day(entry)),
        }
        return page(request, "portal/agenda_delete.html", context)
    boxes = invitations.own_boxes(actor)
    asked = wire.Named(CALENDARS[calendar], name, request.POST.get("etag", ""), invitations.mine(boxes))
    address = _page_of(_day(_get(actor, calendar, name)))
    done = asking(actor).delete(asked)
    said = _("Le rendez-vous est supprimé, aussi sur les appareils branchés.")
    put_back.note(request, actor, "agenda", asked, done, said=said, address=address)
    sent = invitations.tell(request, actor, done.outgoing, boxes)
    return HttpResponseRedirect(invitations.with_sending(address, sent))


def _get(actor: Actor, calendar: str, name: str) -> wire.Entry:
    """Errors: NotFound, Conflict."""
    whose = invitations.mine(invitations.own_boxes(actor))
    return asking(actor).get(wire.Named(CALENDARS[calendar], name, mine=whose))


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
    if first.year not in _years(today):
        raise NotFound("month")
    return first


def _years(today: date) -> range:
    """What the page shows, and so what is typed into it."""
    return range(today.year - _YEARS_BACK, today.year + _YEARS_AHEAD + 1)


def _turned_to(first: date) -> str:
    """For the address; "" where the page does not go that far."""
    return first.strftime("%Y-%m") if first.year in _years(timezone.localdate(clock.now())) else ""


def _page_of(day: date) -> str:
    """The month of a day, as one comes to it: the present one begins today."""
    today = timezone.localdate(clock.now())
    code = _turned_to(day) if (day.year, day.month) != (today.year, today.month) else ""
    return f"{reverse('agenda')}?mois={code}" if code else reverse("agenda")


def _at(day: date, moment: time) -> datetime:
    return timezone.make_aware(datetime.combine(day, moment))


def _day(entry: wire.Entry) -> date:
    return entry.starts.date() if entry.all_day else timezone.localdate(entry.starts)


def _last_day(entry: wire.Entry) -> date:
    return entry.ends.date() if entry.all_day else timezone.localdate(entry.ends)


def _is_answered(entry: wire.Entry) -> bool:
    """Whether one's own calendar has it with one's answer."""
    return entry.calendar == "own" and entry.answer in _ANSWERED


def _same(entry: wire.Entry) -> tuple[str, str, datetime]:
    return entry.organizer, entry.title, entry.starts


def _line(entry: wire.Entry, since: date) -> Line:
    last, until = _last_day(entry), date_format(_last_day(entry), "j F")
    if entry.all_day:
        when = _("toute la journée")
        if last != _day(entry):
            when = _("jusqu’au %(day)s") % {"day": until}
    else:
        when = words.hour(entry.starts)
        if last != _day(entry):
            when = _("%(begin)s, jusqu’au %(day)s à %(end)s") % {
                "begin": when,
                "day": until,
                "end": words.hour(entry.ends),
            }
        elif entry.ends > entry.starts:
            when += " – " + words.hour(entry.ends)
    return Line(entry, max(_day(entry), since), when, WORDS[entry.calendar])


def _going_on(days: dict[date, list[Line]], day: date) -> list[Line]:
    """What began on an earlier one of ``days`` and is not over on this ``day``, nor called off, in the order of its
    beginning."""
    began = (one for earlier in sorted(days) if earlier < day for one in days[earlier])
    return [one for one in began if one.last >= day and not one.entry.is_called_off]


def _clock(moment: datetime) -> str:
    """For a field of type time."""
    return date_format(timezone.localtime(moment), "H:i")


def _typed(request: HttpRequest) -> Form:
    sent = request.POST
    title, day, begin, end, last, place, guests = (
        sent.get(name, "").strip() for name in ("title", "day", "begin", "end", "last", "place", "guests")
    )
    return Form(title, day, begin, end, last, place, guests)


def _form_of(entry: wire.Entry) -> Form:
    last = _last_day(entry)
    return Form(
        title=entry.title,
        day=_day(entry).isoformat(),
        begin="" if entry.all_day else _clock(entry.starts),
        end="" if entry.all_day else _clock(entry.ends),
        last=last.isoformat() if last != _day(entry) else "",
        place=entry.place,
        guests=", ".join(one.address for one in entry.guests),
        invited=[invitation_words.person(one) for one in entry.guests],
        calendar=WORDS[entry.calendar],
        etag=entry.etag,
    )


def _draft(form: Form, name: str, actor: Actor, mine: list[str]) -> wire.Draft | None:
    """None where something is wrong; ``form.errors`` says what."""
    if not form.title:
        form.errors["title"] = _("Donnez un titre, par exemple « Conseil municipal ».")
    elif len(form.title) > wire.MAX_TITLE_CHARS:
        form.errors["title"] = _("Ce titre est trop long : 200 signes au plus.")
    if len(form.place) > wire.MAX_PLACE_CHARS:
        form.errors["place"] = _("Ce lieu est trop long : 200 signes au plus.")
    guests = _read_guests(form, mine)
    day, last = _read_day(form, "day"), _read_day(form, "last") if form.last else None
    begin = _read_time(form, "begin") if form.begin else None
    end = _read_time(form, "end") if form.end else None
    if form.end and not form.begin:
        form.errors["begin"] = _("Donnez aussi l’heure de début, ou aucune heure pour la journée entière.")
    if form.errors or day is None:
        return None
    last = last or day
    if begin is None:
        starts, ends = (datetime.combine(one, time(), UTC) for one in (day, last))
    else:
        starts = _at(day, begin)
        ends = _at(last, end) if end is not None else _at(last, begin) + _HOUR
    if ends < starts:
        name_of = "last" if form.last else "end"
        form.errors[name_of] = _("La fin est avant le début.")
        return None
    if ends - starts > timedelta(days=366):
        form.errors["last"] = _("Un rendez-vous dure un an au plus.")
        return None
    return wire.Draft(
        calendar=CALENDARS[form.calendar],
        name=name,
        etag=form.etag,
        title=form.title,
        place=form.place,
        starts=starts,
        ends=ends,
        all_day=begin is None,
        guests=guests,
        mine=mine,
        my_name=identity.person_name(actor.id) if guests else "",
    )


def _read_guests(form: Form, mine: list[str]) -> list[str]:
    try:
        found = [one.addr_spec.lower() for one in parse_addresses(form.guests, "guests")]
    except DraftInvalid as error:
        form.errors["guests"] = address_words.wrong(error) or _(
            "Cent invités au plus, séparés par des virgules."
        )
        return []
    if found and not mine:
        form.errors["guests"] = _(
            "Il faut une boîte aux lettres pour inviter : demandez-la à votre référent."
        )
    return found


def _read_day(form: Form, name: str) -> date | None:
    try:
        found = date.fromisoformat(getattr(form, name))
    except ValueError:
        form.errors[name] = _("Donnez un jour, par exemple 2026-12-03.")
        return None
    years = _years(timezone.localdate(clock.now()))
    if found.year not in years:
        form.errors[name] = _("L’agenda va de %(first)s à %(last)s : donnez un jour de ces années-là.") % {
            "first": years[0],
            "last": years[-1],
        }
        return None
    return found


def _read_time(form: Form, name: str) -> time | None:
    try:
        return time.fromisoformat(getattr(form, name)).replace(tzinfo=None)
    except ValueError:
        form.errors[name] = _("Donnez une heure, par exemple 18:30.")
        return None


def _save(request: HttpRequest, actor: Actor, form: Form, *, name: str, writes: bool = False) -> HttpResponse:
    boxes = invitations.own_boxes(actor)
    draft = _draft(form, name, actor, invitations.mine(boxes))
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
    context: dict[str, Any] = {
        "place": "agenda",
        "back": back,
        "form": form,
        "name": name,
        "writes": writes,
        "invites": bool(invitations.own_boxes(actor)),
        "most_chars": wire.MAX_TITLE_CHARS,
    }
    status = status or (409 if "form" in form.errors else 400 if form.errors else 200)
    return page(request, "portal/agenda_entry.html", context, status=status)
