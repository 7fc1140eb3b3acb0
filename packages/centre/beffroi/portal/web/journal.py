"""Journal: what was done with the data of a commune, for its data protection officer and its référent.

Input:  hostile: kind, days and position of the address.
Access: the collectivité of the session; for everybody else there is no such page.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.audit import actions as audit
from beffroi.core.audit import queries, told
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import queries as retention
from beffroi.lib import clock, digits, spreadsheet
from beffroi.lib.errors import NotFound
from beffroi.portal import commune_journal, retention_words
from beffroi.portal.commune_journal import ALL, KINDS, Line, Wanted
from beffroi.portal.dates import day
from beffroi.portal.pages import as_file, for_agents, page
from beffroi.portal.web import step_up

PAGE_ENTRIES = 50
FILE_ENTRIES = 20_000
"""Of one download; of more, a shorter time is asked for."""


@require_http_methods(["GET", "POST"])
@for_agents
def journal(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A page of it; POST takes what was asked for as a file, after a step-up. Errors: NotFound."""
    if not queries.may_read(actor):
        raise NotFound("page")
    if request.method == "POST":
        step_up.require(request)
        return _file(request, actor, _wanted(request.POST))
    wanted, before = _wanted(request.GET), request.GET.get("avant", "")
    known = digits.number(before)
    found = commune_journal.entries(actor, wanted, limit=PAGE_ENTRIES + 1, before=known)
    shown, asked = found[:PAGE_ENTRIES], _query(wanted)
    whole = told.read(settings.BEFFROI)
    context = {
        "place": "journal",
        "lines": commune_journal.lines(actor, shown),
        "wanted": wanted,
        "kinds": [*((name, words) for name, (words, _verbs) in KINDS.items()), (ALL, _("Tout"))],
        "asked": asked,
        "searched": any(asked.values()),
        "altered": whole is not None and whole.first_bad > 0,
        "whole_at": whole.at if whole is not None else None,
        "newest": f"?{urlencode(asked)}" if known is not None else "",
        "older": f"?{urlencode({**asked, 'avant': shown[-1].id})}" if len(found) > PAGE_ENTRIES else "",
    }
    return page(request, "portal/journal.html", context)


@require_GET
@for_agents
def kept(request: HttpRequest, actor: Actor) -> HttpResponse:
    """How long things are kept, and how the last purge went. Errors: NotFound."""
    found = retention.report(actor)
    context = {"place": "journal", "report": found, "rows": retention_words.rows(found)}
    context["log_days"] = settings.BEFFROI.log_days
    return page(request, "portal/journal_kept.html", context)


def _wanted(asked: QueryDict) -> Wanted:
    kind = asked.get("genre", "")
    return Wanted(kind if kind in (*KINDS, ALL) else "", day(asked.get("du", "")), day(asked.get("au", "")))


def _query(wanted: Wanted) -> dict[str, str]:
    days = {"du": wanted.since, "au": wanted.until}
    return {"genre": wanted.kind, **{name: one.isoformat() if one else "" for name, one in days.items()}}


def _file(request: HttpRequest, actor: Actor, wanted: Wanted) -> HttpResponse:
    asked = _query(wanted)
    found = commune_journal.entries(actor, wanted, limit=FILE_ENTRIES + 1)
    if len(found) > FILE_ENTRIES:
        messages.error(
            request, _("Un fichier contient 20 000 lignes au plus : choisissez une période plus courte.")
        )
        return HttpResponseRedirect(f"{reverse('own_journal')}?{urlencode(asked)}")
    content = _table(commune_journal.lines(actor, found))
    with transaction.atomic():
        audit.record(
            actor,
            "audit:journal:exported",
            actor.collectivite_id or "",
            collectivite_id=actor.collectivite_id,
            details={"count": len(found), **{name: said for name, said in asked.items() if said}},
        )
    name = f"journal-{timezone.localtime(clock.now()):%Y-%m-%d}.csv"
    return as_file(content, "text/csv; charset=utf-8", name)


def _table(lines: Iterable[Line]) -> bytes:
    head = (_("Quand"), _("Quoi"), _("Qui"), _("Concerne"), _("Ligne scellée"))
    return spreadsheet.table(
        head,
        (
            (
                f"{timezone.localtime(one.entry.at):%Y-%m-%d %H:%M:%S}",
                one.what,
                one.who,
                one.about,
                str(one.sealed or ""),
            )
            for one in lines
        ),
    )
