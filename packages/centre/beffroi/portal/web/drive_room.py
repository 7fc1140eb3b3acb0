"""Coffre, Espace: who takes how much, for the collectivité's référent, who gives people more or less.

Input:  hostile: a person's identifier and a number.
Access: the référent; of a person of another collectivité there is nothing.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import quotas
from beffroi.drive.store import room, schema, weights
from beffroi.drive.store.model import NO_LIMIT, NOTHING
from beffroi.drive.store.writing import Reading
from beffroi.lib import gigabytes
from beffroi.lib.errors import NotAllowed, NotFound
from beffroi.portal import room_words, words
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents, page


@require_http_methods(["GET", "POST"])
@for_agents
def space(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show; POST gives the person ``person`` a limit in Go, an empty one is the usual one. Errors: NotAllowed,
    NotFound."""
    view = view_of(request, actor)
    owner = view.who.collectivite_id
    if not actor.manages(owner):
        raise NotAllowed("see who takes how much")
    chosen, error = request.POST.get("person", ""), ""
    named = {one.person_id: one.person.name for one in identity.memberships_in(actor, owner)}
    if request.method == "POST":
        if chosen not in named:
            raise NotFound("person")
        limit_bytes, error = room_words.limit(request.POST.get("limit", ""))
        if not error:
            quotas.limit_person(
                actor=actor,
                database=view.database,
                collectivite_id=owner,
                person_id=chosen,
                limit_bytes=limit_bytes,
            )
            messages.success(request, room_words.LIMIT_KEPT)
            return HttpResponseRedirect(reverse("drive_room"))
    with view.database.reading() as reading:
        context = shown(reading, named)
    context |= {"place": "drive", "error": error, "error_at": chosen}
    context["typed"] = request.POST.get("limit", "")[:40]
    status = HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK
    return page(request, "portal/drive_room.html", context, status=status)


def shown(reading: Reading, named: dict[str, str]) -> dict[str, Any]:
    """``named``: the people who are there, by identifier; who left and still has files has no name."""
    lines = {one.name: one for one in room.lines(reading)}
    usual = room.usual(reading)
    nothing = room.Line("", room.Use(NOTHING, 0), usual.person_bytes, False)
    left = {one.removeprefix(schema.HOME) for one in lines if one.startswith(schema.HOME)} - named.keys()
    persons = [
        _person(person_id, name, lines.get(schema.HOME + person_id, nothing))
        for person_id, name in [*named.items(), *((one, "") for one in sorted(left))]
    ]
    whole = room.use(reading, room.WHOLE)
    common = lines.get(schema.COMMON, nothing)
    bins = [lines[name].use.used_bytes for name in (schema.TRASH, schema.GONE) if name in lines]
    amount = words.size
    return {
        "whole": room_words.coffre(whole.used_bytes, room.limit(reading, room.WHOLE)),
        "entries": whole.weight.entries,
        "most_entries": usual.entries if usual.entries != NO_LIMIT else None,
        "usual": amount(usual.person_bytes) if usual.person_bytes != NO_LIMIT else "",
        "persons": sorted(persons, key=lambda one: -one["used"]),
        "parts": [
            (_("Fichiers des personnes"), amount(sum(one["files"] for one in persons))),
            (_("Dossier de la commune"), amount(common.use.weight.size_bytes)),
            (
                _("Anciennes versions"),
                amount(common.use.weight.version_bytes + sum(one["versions"] for one in persons)),
            ),
            (_("Corbeille, versions comprises"), amount(sum(bins))),
            (_("Envois en cours"), amount(weights.uploads_bytes(reading))),
            (
                _("Agendas et contacts"),
                amount(common.use.beside_bytes + sum(one["calendars"] for one in persons)),
            ),
        ],
    }


def _person(person_id: str, name: str, line: room.Line) -> dict[str, Any]:
    use = line.use
    return {
        "id": person_id,
        "name": name,
        "line": room_words.folder(use.used_bytes, line.limit_bytes),
        "used": use.used_bytes,
        "files": use.weight.size_bytes,
        "versions": use.weight.version_bytes,
        "calendars": use.beside_bytes,
        "files_said": words.size(use.weight.size_bytes),
        "versions_said": words.size(use.weight.version_bytes),
        "calendars_said": words.size(use.beside_bytes),
        "own_gb": room_words.typed(gigabytes.written(line.limit_bytes)) if line.is_own else "",
    }
