"""Invitations in words: when, how often, who comes, and what is wrong. Pure but for translation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from beffroi.drive.calendars.wire import Guest
from beffroi.drive.calendars.wire_invitations import OtherDate
from beffroi.drive.store.model import QuotaFull, StoreFull
from beffroi.lib import digits
from beffroi.lib.errors import BeffroiError, TooLarge
from beffroi.portal.counts import Count
from beffroi.portal.dates import date_format
from beffroi.portal.words import hour

ANSWERS = {
    "ACCEPTED": gettext_lazy("vient"),
    "TENTATIVE": gettext_lazy("viendra peut-être"),
    "DECLINED": gettext_lazy("ne vient pas"),
    "DELEGATED": gettext_lazy("envoie quelqu’un d’autre"),
    "NEEDS-ACTION": gettext_lazy("n’a pas répondu"),
}
MINE = {
    "ACCEPTED": gettext_lazy("Vous avez accepté."),
    "TENTATIVE": gettext_lazy("Vous avez répondu peut-être."),
    "DECLINED": gettext_lazy("Vous avez refusé."),
}
_COUNTED = {
    "ACCEPTED": ngettext_lazy("%(n)s vient", "%(n)s viennent", "n"),
    "TENTATIVE": ngettext_lazy("%(n)s viendra peut-être", "%(n)s viendront peut-être", "n"),
    "DECLINED": ngettext_lazy("%(n)s ne vient pas", "%(n)s ne viennent pas", "n"),
}
_OFF = gettext_lazy("annulée")
_TONES = {"ACCEPTED": "good", "DECLINED": "bad", "TENTATIVE": "warn"}
_EVERY = {
    "DAILY": (gettext_lazy("chaque jour"), gettext_lazy("tous les %(n)s jours")),
    "WEEKLY": (gettext_lazy("chaque semaine"), gettext_lazy("toutes les %(n)s semaines")),
    "MONTHLY": (gettext_lazy("chaque mois"), gettext_lazy("tous les %(n)s mois")),
    "YEARLY": (gettext_lazy("chaque année"), gettext_lazy("tous les %(n)s ans")),
}
UNREADABLE = {
    "size": gettext_lazy("Cette invitation est trop longue pour être lue ici."),
    "encoding": gettext_lazy("Cette invitation est écrite dans un codage de caractères que rien ne lit."),
    "uid": gettext_lazy("Cette invitation n’a pas d’identifiant : aucun agenda ne peut la suivre."),
    "several": gettext_lazy(
        "Ce courriel contient plusieurs rendez-vous différents : ce n’est pas une invitation."
    ),
    "flood": gettext_lazy("Ce courriel contient trop de rendez-vous ou d’invités pour être lu ici."),
    "time": gettext_lazy("Le jour ou l’heure de cette invitation ne se lit pas."),
    "rule": gettext_lazy("La répétition de cette invitation ne peut pas être suivie ici."),
    "organizer": gettext_lazy("Cette invitation ne dit pas qui invite."),
}
_TITLES = {
    "CANCEL": gettext_lazy("Rendez-vous annulé"),
    "REPLY": gettext_lazy("Réponse à votre invitation"),
    "ADD": gettext_lazy("Date ajoutée à un rendez-vous"),
    "COUNTER": gettext_lazy("Un autre moment est proposé"),
    "DECLINECOUNTER": gettext_lazy("Votre proposition n’est pas retenue"),
    "REFRESH": gettext_lazy("Un invité redemande votre invitation"),
}
_NOT_THERE = gettext_lazy("Ce rendez-vous n’est plus dans votre agenda.")
STATES = {
    ("ADD", "absent"): gettext_lazy(
        "Le rendez-vous auquel cette date s’ajoute n’est pas dans votre agenda : redemandez l’invitation entière."
    ),
    ("ADD", "same"): gettext_lazy("Cette date est dans votre agenda."),
    ("COUNTER", "absent"): _NOT_THERE,
    ("COUNTER", "same"): gettext_lazy("Vous avez répondu à cette proposition."),
    ("COUNTER", "stranger"): gettext_lazy("Cette personne n’est pas invitée : sa proposition ne compte pas."),
    ("COUNTER", "series"): gettext_lazy(
        "La proposition vise toute la série, et ne se reprend pas d’un clic : la série est finie, elle a des dates à "
        "part, ou elle ne se répéterait plus de la même façon. Gardez le rendez-vous comme il est, ou changez la "
        "série dans le logiciel qui l’a créée."
    ),
    ("DECLINECOUNTER", "update"): gettext_lazy("Le rendez-vous reste comme il est dans votre agenda."),
    ("REFRESH", "absent"): _NOT_THERE,
    ("REFRESH", "stranger"): gettext_lazy("Cette personne n’est pas invitée : rien ne lui est envoyé."),
}
FULL = (QuotaFull, StoreFull, TooLarge)
"""Why an entry was not written for want of room; TooLarge: the calendar has as many as it takes."""
_FULL = {
    QuotaFull.code: gettext_lazy(
        "Il n’y a plus de place pour ce rendez-vous : l’agenda et les fichiers du Coffre se partagent la même. Rien "
        "n’a changé, et rien n’est parti. Supprimez des fichiers qui ne servent plus et videz la corbeille du "
        "Coffre, ou demandez de la place à la personne référente ; puis recommencez."
    ),
    StoreFull.code: gettext_lazy(
        "Le disque du Département est plein. Rien n’a changé, et rien n’est parti : prévenez le Département, puis "
        "recommencez."
    ),
    TooLarge.code: gettext_lazy(
        "Cet agenda est plein : il compte 10 000 rendez-vous. Rien n’a changé, et rien n’est parti. Supprimez des "
        "rendez-vous qui ne servent plus, puis recommencez."
    ),
}
_TAKEN_BY_NONE = gettext_lazy(
    "Votre agenda ne peut pas suivre cette invitation : elle a trop de dates à part, ou une répétition qu’il ne "
    "connaît pas. Rien n’a changé, et rien n’est parti."
)
_BY_MAIL = gettext_lazy("Si c’est pressé, répondez à ce courriel par quelques mots.")
_OTHERWISE = gettext_lazy("Cette invitation ne se lit pas.")


def full(error: BeffroiError, *, to_answer: bool = False) -> str:
    """What to do where there was no room (``FULL``). ``to_answer``: an invitation, whose sender waits."""
    words = str(_FULL[error.code])
    return f"{words} {_BY_MAIL}" if to_answer else words


def taken_by_none(*, to_answer: bool = False) -> str:
    """What to do where an invitation was read, and no calendar takes it. ``to_answer``: as for ``full``."""
    return f"{_TAKEN_BY_NONE} {_BY_MAIL}" if to_answer else str(_TAKEN_BY_NONE)


def title(method: str, state: str) -> str:
    """Of the card."""
    changed = _("Invitation modifiée") if state == "update" else _("Invitation")
    return str(_TITLES.get(method, changed))


def state(method: str, state: str) -> str:
    """What a mail means for one's own calendar, of kinds that have words of their own; "" for the others."""
    return str(STATES.get((method, state), ""))


class Person(NamedTuple):
    name: str
    address: str
    answer: str
    tone: str


class Apart(NamedTuple):
    """A date that is otherwise than the others. ``was``: where it lay in the series. "" where nothing is to say."""

    moment: str
    was: str
    title: str
    place: str
    said: str
    tone: str


def apart(one: OtherDate, method: str) -> Apart:
    said, tone = (str(_OFF), "bad") if one.is_off else ("", _TONES.get(one.answer, "quiet"))
    if one.answer:
        said = str(ANSWERS.get(one.answer, "") if method == "REPLY" else MINE.get(one.answer, ""))
    was = when(one.was, one.was, all_day=one.all_day) if one.was is not None else ""
    return Apart(when(one.starts, one.ends, all_day=one.all_day), was, one.title, one.place, said, tone)


def unreadable(why: str) -> str:
    return str(UNREADABLE.get(why, _OTHERWISE))


def person(one: Guest) -> Person:
    answer = ANSWERS.get(one.answer, ANSWERS["NEEDS-ACTION"])
    return Person(one.name, one.address, str(answer), _TONES.get(one.answer, "quiet"))


def counted(guests: Iterable[Guest]) -> list[str]:
    """How many answered what; the others did not."""
    found = Counter(one.answer for one in guests)
    return [str(said % {"n": Count(found[answer])}) for answer, said in _COUNTED.items() if found[answer]]


def when(starts: datetime, ends: datetime, *, all_day: bool) -> str:
    """The day with its name, in Paris; ``ends``: of an ``all_day`` one the last day."""
    first, last = (
        one.replace(tzinfo=UTC).date() if all_day else timezone.localtime(one).date()
        for one in (starts, ends)
    )
    day, until = date_format(first, "l j F Y"), date_format(last, "l j F Y")
    if all_day:
        if first == last:
            return _("%(day)s, toute la journée") % {"day": day}
        return _("du %(day)s au %(until)s") % {"day": day, "until": until}
    begin, end = (hour(one) for one in (starts, ends))
    names = {"day": day, "begin": begin, "end": end, "until": until}
    if first != last:
        return _("du %(day)s à %(begin)s au %(until)s à %(end)s") % names
    if begin == end:
        return _("%(day)s à %(begin)s") % names
    return _("%(day)s, de %(begin)s à %(end)s") % names


def is_over(ends: datetime | None, *, all_day: bool, rule: str, now: datetime) -> bool:
    """Whether a single one lies behind; of an ``all_day`` one, its last day."""
    if ends is None or rule:
        return False
    return ends.date() < timezone.localdate(now) if all_day else ends < now


def repeats(rule: str) -> str:
    """What an RRULE says, as far as words go; "" without one."""
    told = dict(piece.split("=", 1) for piece in rule.split(";") if "=" in piece)
    if told.get("FREQ") not in _EVERY:
        return _("se répète") if rule else ""
    one, several = _EVERY[told["FREQ"]]
    number = told.get("INTERVAL", "1")
    words = str(one) if number == "1" else str(several) % {"n": Count(number)}
    if count := told.get("COUNT", ""):
        if digits.number(count, 5) is not None:
            words += ", " + ngettext("%(n)s fois", "%(n)s fois", int(count)) % {"n": Count(count)}
    elif found := re.match(r"(\d{4})(\d{2})(\d{2})(T\d{6}Z)?", told.get("UNTIL", "")):
        words += _until(found[0])
    return words


def _until(text: str) -> str:
    try:
        last = datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC)
        if text.endswith("Z"):
            last = timezone.localtime(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
    except ValueError:
        return ""
    return ", " + _("jusqu’au %(day)s") % {"day": date_format(last, "j F Y")}


def subject(method: str, title: str, answer: str = "", *, is_change: bool = False) -> str:
    """``is_change``: of an invitation that they had."""
    title = title or _("sans titre")
    if method == "REPLY":
        words = {"ACCEPTED": _("Accepté"), "TENTATIVE": _("Peut-être"), "DECLINED": _("Refusé")}[answer]
    else:
        words = {
            "REQUEST": _("Invitation modifiée") if is_change else _("Invitation"),
            "CANCEL": _("Annulé"),
            "DECLINECOUNTER": _("Proposition non retenue"),
            "REFRESH": _("Invitation redemandée"),
        }[method]
    return f"{words} : {title}"


def letter(
    method: str, title: str, place: str, moment: str, answer: str = "", *, is_change: bool = False
) -> str:
    """The text of a message beside its calendar, for who reads it as a letter."""
    first = {
        "REQUEST": _("Ce rendez-vous a changé. Le voici :") if is_change else _("Vous êtes invité(e) :"),
        "DECLINECOUNTER": _("Le rendez-vous reste comme il est. Ce moment n’est pas retenu :"),
        "REFRESH": _("Pouvez-vous m’envoyer de nouveau toute l’invitation ?"),
        "CANCEL": _("Ce rendez-vous est annulé, ou vous n’y êtes plus attendu(e) :"),
        "REPLY": {
            "ACCEPTED": _("Je viendrai :"),
            "TENTATIVE": _("Je viendrai peut-être :"),
            "DECLINED": _("Je ne viendrai pas :"),
        }.get(answer, ""),
    }[method]
    lines = [title or _("(sans titre)"), moment[:1].upper() + moment[1:], *([place] if place else [])]
    return f"{_('Bonjour,')}\n\n{first}\n\n" + "\n".join(lines) + "\n"
