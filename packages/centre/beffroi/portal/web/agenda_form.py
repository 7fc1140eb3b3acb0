"""The form of an entry of the agenda: what was typed, what is wrong with it, and what is to be written.

Input: hostile: each field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import wire
from beffroi.lib import clock
from beffroi.mail.compose import DraftInvalid, parse_addresses
from beffroi.portal import address_words, invitation_words
from beffroi.portal.calendars import calendar_of, word_of
from beffroi.portal.dates import date_format

_YEARS_BACK, _YEARS_AHEAD = 5, 10
_HOUR = timedelta(hours=1)


@dataclass
class Form:
    """What somebody typed, and what is wrong with it, by field. ``room``: which one is booked, in words."""

    title: str = ""
    day: str = ""
    begin: str = ""
    end: str = ""
    last: str = ""
    place: str = ""
    guests: str = ""
    calendar: str = "prive"
    etag: str = ""
    room: str = ""
    invited: list[invitation_words.Person] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


def typed(request: HttpRequest) -> Form:
    sent = request.POST
    title, day, begin, end, last, place, guests = (
        sent.get(name, "").strip() for name in ("title", "day", "begin", "end", "last", "place", "guests")
    )
    return Form(title, day, begin, end, last, place, guests)


def form_of(entry: wire.Entry) -> Form:
    last = last_day(entry)
    return Form(
        title=entry.title,
        day=day_of(entry).isoformat(),
        begin="" if entry.all_day else _clock(entry.starts),
        end="" if entry.all_day else _clock(entry.ends),
        last=last.isoformat() if last != day_of(entry) else "",
        place=entry.place,
        guests=", ".join(one.address for one in entry.guests),
        invited=[invitation_words.person(one) for one in entry.guests],
        calendar=word_of(entry.calendar),
        etag=entry.etag,
    )


def drafted(form: Form, name: str, actor: Actor, mine: list[str]) -> wire.Draft | None:
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
        starts = at(day, begin)
        ends = at(last, end) if end is not None else at(last, begin) + _HOUR
    if ends < starts:
        name_of = "last" if form.last else "end"
        form.errors[name_of] = _("La fin est avant le début.")
        return None
    if ends - starts > timedelta(days=366):
        form.errors["last"] = _("Un rendez-vous dure un an au plus.")
        return None
    return wire.Draft(
        calendar=calendar_of(form.calendar),
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
    allowed = years(timezone.localdate(clock.now()))
    if found.year not in allowed:
        form.errors[name] = _("L’agenda va de %(first)s à %(last)s : donnez un jour de ces années-là.") % {
            "first": allowed[0],
            "last": allowed[-1],
        }
        return None
    return found


def _read_time(form: Form, name: str) -> time | None:
    try:
        return time.fromisoformat(getattr(form, name)).replace(tzinfo=None)
    except ValueError:
        form.errors[name] = _("Donnez une heure, par exemple 18:30.")
        return None


def years(today: date) -> range:
    """What the page shows, and so what is typed into it."""
    return range(today.year - _YEARS_BACK, today.year + _YEARS_AHEAD + 1)


def at(day: date, moment: time) -> datetime:
    return timezone.make_aware(datetime.combine(day, moment))


def day_of(entry: wire.Entry) -> date:
    return entry.starts.date() if entry.all_day else timezone.localdate(entry.starts)


def last_day(entry: wire.Entry) -> date:
    return entry.ends.date() if entry.all_day else timezone.localdate(entry.ends)


def _clock(moment: datetime) -> str:
    """For a field of type time."""
    return date_format(timezone.localtime(moment), "H:i")
