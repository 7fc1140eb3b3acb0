"""Who makes use of what, in numbers by collectivité: whom to call, and what to report. Nothing of a person.

Access: administrators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import queries as identity
from beffroi.core.identity import sign_ins
from beffroi.core.identity.actor import Actor
from beffroi.drive import used
from beffroi.lib import clock
from beffroi.mail.quota import queries as quota
from beffroi.portal.drive_access import drives
from beffroi.portal.pages import for_administrators, page
from beffroi.portal.words import size

_NOTHING = used.Used(0, 0)


@dataclass(frozen=True)
class Use:
    """``came``: of ``persons``, in the last 30 days. ``files``: entries of the Coffre, ``drive_bytes`` with versions
    and trash, as they were counted last; None where they were not yet, or (``is_unread``) could not be read."""

    collectivite_id: str
    name: str
    persons: int
    came: int
    mail_bytes: int
    files: int | None
    drive_bytes: int | None
    is_unread: bool = False

    @property
    def mail_size(self) -> str:
        return size(self.mail_bytes)

    @property
    def drive_size(self) -> str:
        return "" if self.drive_bytes is None else size(self.drive_bytes)


@require_GET
@for_administrators
def usage(request: HttpRequest, actor: Actor) -> HttpResponse:
    told = used.read(settings.BEFFROI)
    rows = uses(actor, told.drives if told else {})
    context = {
        "place": "communes",
        "rows": rows,
        "alive": sum(one.came > 0 for one in rows),
        "persons": sum(one.persons for one in rows),
        "came": sum(one.came for one in rows),
        "mail_size": size(sum(one.mail_bytes for one in rows)),
        "files": sum(one.files or 0 for one in rows),
        "drive_size": size(sum(one.drive_bytes or 0 for one in rows)),
        "days": sign_ins.KEEP_DAYS,
        "counted_at": clock.moment(told.at_s) if told else None,
    }
    return page(request, "console/usage.html", context)


def uses(actor: Actor, counted: Mapping[str, used.Used | None]) -> list[Use]:
    """Of all enrolled town halls and their groupings; those that nobody makes use of first, then by name."""
    enrolled = communes.visible_collectivites(actor).exclude(enrolled_at=None)
    enrolled = enrolled.exclude(kind=Collectivite.Kind.DEPARTEMENT)
    names = dict(enrolled.values_list("id", "name"))
    heads, came, rooms = identity.headcounts(), sign_ins.came(), quota.rooms(names)
    filled = drives()
    found = []
    for one, name in names.items():
        drive = counted.get(one) if one in filled else _NOTHING
        persons = heads.get(one, 0)
        # Who left within these days came, and is not there any more.
        seen = min(came.get(one, 0), persons)
        files, drive_bytes = (drive.entries, drive.used_bytes) if drive else (None, None)
        is_unread = drive is None and one in counted
        found.append(Use(one, name, persons, seen, rooms[one].used_bytes, files, drive_bytes, is_unread))
    return sorted(found, key=lambda one: (one.came > 0, one.name))
