"""Coffre: how much room the files of a collectivité take, and whose they are.

Access: the référent of the collectivité of the session; for everybody else there is no such page. It shows sizes, no
        name of a file.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import look, schema
from beffroi.lib.errors import NotFound
from beffroi.portal import drive_words
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive


@require_GET
@for_agents
def space(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound for who is no référent."""
    if actor.role != "referent":
        raise NotFound("page")
    view = view_of(request, actor)
    with view.database.reading() as reading:
        view.roots(reading)
        roots = look.children(reading, 0)
        whole = drive_words.room(*look.room(reading, 0))
        rooms = {one.id: look.room(reading, one.id) for one in roots}
    persons = [one.name.removeprefix(schema.HOME) for one in roots if one.name.startswith(schema.HOME)]
    named = dict(identity.visible_persons(actor).filter(pk__in=persons).values_list("id", "name"))
    lines: list[dict[str, Any]] = [
        {
            "name": _name(one.name, named),
            "icon": "user-round" if one.name.startswith(schema.HOME) else _ICONS[one.name],
            "room": drive_words.room(*rooms[one.id]),
            "used_bytes": rooms[one.id][0],
        }
        for one in roots
        if one.name.startswith(schema.HOME) or one.name in (schema.COMMON, schema.TRASH)
    ]
    lines.sort(key=lambda line: -line["used_bytes"])
    return drive.drive_page(
        request, view, "portal/drive_space.html", {"at": "space", "lines": lines, "whole": whole}
    )


_ICONS = {schema.COMMON: "users", schema.TRASH: "trash-2"}


def _name(root: str, named: dict[str, str]) -> str:
    if root == schema.COMMON:
        return _("Dossier de la commune")
    if root == schema.TRASH:
        return _("Corbeilles de tous")
    return named.get(root.removeprefix(schema.HOME)) or _("Une personne qui n’est plus là")
