"""Calendars and contacts of somebody who left, as the page of the departure tells and plans them.

Input:  names of collections, as their owner gave them.
Access: asked by ``departure_files``, whose judgement this is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from beffroi.drive.calendars import asking, wire
from beffroi.drive.store.passed import Going
from beffroi.lib.errors import Unavailable
from beffroi.portal import words
from beffroi.portal.counts import Count
from beffroi.portal.words import de_fr

_TITLES = {"agenda": "Agenda %s", "contacts": "Contacts %s"}
"""Of what the colleague gets: names of things, not of the page, and French for all."""
_FIRST = ("agenda", "contacts")
_MOST_CHARS = 100


@dataclass(frozen=True)
class Shown:
    """``told``: what would go, "" for nothing; ``closed``: entries that stay; ``is_known``: False where calendars do
    not answer."""

    told: str = ""
    closed: int = 0
    is_known: bool = True


def of_person(collectivite_id: str, person_id: str) -> Shown:
    try:
        found = asking.left(settings.BEFFROI, person_id=person_id, collectivite_id=collectivite_id)
    except Unavailable:
        return Shown(is_known=False)
    entries = {
        kind: sum(one.entries for one in found.collections if one.kind == kind)
        for kind in ("agenda", "contacts")
    }
    told = counted(entries)
    if told:
        told = f"{told}, {words.size(sum(one.size_bytes for one in found.collections))}"
    return Shown(told, found.closed)


def going(collectivite_id: str, person_id: str, name: str) -> list[Going]:
    """What is to go along. ``name``: of the person. Errors: Unavailable."""
    found = asking.left(settings.BEFFROI, person_id=person_id, collectivite_id=collectivite_id)
    return [
        Going(one.name, one.kind, _title(one, name), one.entries, one.size_bytes) for one in found.collections
    ]


def counted(entries: Mapping[str, int]) -> str:
    """By kind, in words; "" for none."""
    dates, people = entries.get("agenda", 0), entries.get("contacts", 0)
    told = []
    if dates:
        told.append(ngettext("%(n)s rendez-vous", "%(n)s rendez-vous", dates) % {"n": Count(dates)})
    if people:
        told.append(ngettext("%(n)s contact", "%(n)s contacts", people) % {"n": Count(people)})
    return _(" et ").join(told)


def _title(one: wire.Collection, name: str) -> str:
    said = "".join(sign for sign in one.title if sign.isprintable()).strip()[:_MOST_CHARS]
    if one.name in _FIRST or not said:
        return _TITLES[one.kind] % de_fr(name)
    return f"{said} ({name})"
