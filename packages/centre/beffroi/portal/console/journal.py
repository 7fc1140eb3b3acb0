"""Journal: the audit log, and whether its chain holds.

What came since the last checkpoint is verified by one process at most once a minute; what a reading of all of it
found, each week, stands in a file (``told``). The page says when either was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from threading import Lock

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.audit import queries as audit
from beffroi.core.audit import told
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, digits, logs_taken
from beffroi.portal import verbs
from beffroi.portal.pages import for_administrators, page

PAGE_ENTRIES = 50
VERIFY_EVERY_S = 60


@dataclass(frozen=True)
class Checked:
    """A verification and its time."""

    at: datetime
    report: audit.Report


class Verification:
    """The last verification of this process. Two views at once verify once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: Checked | None = None

    def current(self) -> Checked:
        with self._lock:
            now = clock.now()
            if self._last is None or now - self._last.at >= timedelta(seconds=VERIFY_EVERY_S):
                self._last = Checked(now, audit.verify())
            return self._last

    def forget(self) -> None:
        """The next view verifies again."""
        with self._lock:
            self._last = None


verification = Verification()


@require_GET
@for_administrators
def journal(request: HttpRequest, actor: Actor) -> HttpResponse:
    before = digits.number(request.GET.get("avant", ""))
    rows = audit.visible_entries(actor)
    if before is not None:
        rows = rows.filter(id__lt=before)
    found = list(rows[: PAGE_ENTRIES + 1])
    names = communes.visible_names(actor)
    who = cache(verbs.actor)
    checked, whole = verification.current(), told.read(settings.BEFFROI)
    first_bad = checked.report.first_bad or (whole.first_bad if whole is not None else 0)
    context = {
        "place": "journal",
        "report": checked.report,
        "checked_at": checked.at,
        "first_bad": first_bad,
        "whole_at": whole.at if whole is not None else None,
        "entries": [
            {
                "entry": one,
                "what": verbs.sentence_of(one.verb, json.loads(one.details)),
                "who": who(one.actor_kind, one.actor_id),
                "commune": names.get(one.collectivite_id or "", ""),
                "details": json.loads(one.details),
                "sealed": getattr(one, "seal", None) is not None,
            }
            for one in found[:PAGE_ENTRIES]
        ],
        "logs_at": clock.moment(logs_taken.at(settings.BEFFROI)),
        "logs_late": logs_taken.late(settings.BEFFROI, now=clock.epoch_s()),
        "older": found[PAGE_ENTRIES - 1].id if len(found) > PAGE_ENTRIES else None,
    }
    return page(request, "console/journal.html", context)
