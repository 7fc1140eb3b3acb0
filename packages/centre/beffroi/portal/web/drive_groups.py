"""Coffre: groups of people of the collectivité, with whom files are shared.

Input:  hostile: identifiers, names, search words. Every change is a POST with a token of the session.
Access: ``drive.groups``: everybody of the collectivité sees them, the référent changes them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import recorded
from beffroi.drive.groups import Groups
from beffroi.drive.store import groups, look
from beffroi.drive.store.groups import MAX_NAME_CHARS, Group, GroupExists, TooManyGroups
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.lib.errors import BeffroiError, Invalid, NotFound
from beffroi.lib.ids import is_id
from beffroi.portal import drive_share_words
from beffroi.portal.counts import Count
from beffroi.portal.drive_access import act_of, view_of
from beffroi.portal.pages import for_agents, sought
from beffroi.portal.web import drive

MOST_SHOWN = 30
MAX_SEARCH_CHARS = 100


@require_http_methods(["GET", "POST"])
@for_agents
def every(request: HttpRequest, actor: Actor) -> HttpResponse:
    """All of the collectivité; the référent makes one. Errors: NotAllowed."""
    view = view_of(request, actor)
    change, typed, error = _groups_of(actor, view), "", ""
    if request.method == "POST":
        typed = _name(request)
        try:
            made = change.make(typed)
        except (Invalid, GroupExists, TooManyGroups) as refused:
            error = _trouble(refused)
        else:
            messages.success(request, _("Le groupe est créé. Ajoutez maintenant ses personnes."))
            return HttpResponseRedirect(reverse("drive_group", args=[made.id]))
    with view.database.reading() as reading:
        inside = groups.by_group(reading)
        mine = groups.of_person(reading, actor.id)
        rows = [
            {
                "group": one,
                "words": drive_share_words.people(len(inside.get(one.id, ()))),
                "mine": one.id in mine,
            }
            for one in groups.every(reading)
        ]
    context = {"rows": rows, "typed": typed, "error": error}
    return _page(request, view, "portal/drive_groups.html", change, context)


@require_http_methods(["GET", "POST"])
@for_agents
def one(request: HttpRequest, actor: Actor, group_id: str) -> HttpResponse:
    """Who is in it; the référent adds, removes, renames. Errors: NotFound, NotAllowed, Invalid."""
    view, asked = view_of(request, actor), sought(request, MAX_SEARCH_CHARS)
    change, error = _groups_of(actor, view), ""
    with view.database.reading() as reading:
        group = groups.find(reading, group_id)
    typed = group.name
    if request.method == "POST":
        try:
            said = _change(request, actor, change, group)
        except (Invalid, GroupExists) as refused:
            if request.POST.get("what") != "rename":
                raise
            typed, error = _name(request), _trouble(refused)
        else:
            messages.success(request, said)
            return HttpResponseRedirect(reverse("drive_group", args=[group.id]))
    with view.database.reading() as reading:
        since = {one.person_id: one.since_s for one in groups.members(reading, group.id)}
    there = identity.visible_persons(actor)
    context: dict[str, Any] = {
        "group": group,
        "people": [
            {"person": person, "since": datetime.fromtimestamp(since[person.id], UTC)}
            for person in there.filter(pk__in=since)
        ],
        "asked": asked,
        "typed": typed,
        "error": error,
    }
    if change.may_manage:
        others = there.filter(is_active=True).exclude(pk__in=since)
        found = others.filter(Q(name__icontains=asked) | Q(email__icontains=asked)) if asked else others
        context |= {
            "others": found[:MOST_SHOWN],
            "more": found.count() > MOST_SHOWN,
            "all_in": not others.exists(),
        }
    return _page(request, view, "portal/drive_group.html", change, context)


@require_http_methods(["GET", "POST"])
@for_agents
def delete(request: HttpRequest, actor: Actor, group_id: str) -> HttpResponse:
    """What ends with it; then its end. Errors: NotFound (not the référent's, too)."""
    view = view_of(request, actor)
    change = _groups_of(actor, view)
    if not change.may_manage:
        raise NotFound("group")
    with view.database.reading() as reading:
        group = groups.find(reading, group_id)
        ending = change.ending(reading, group_id)
        rows = _ending(view, reading, actor, ending)
    if request.method == "POST":
        ended = len(change.delete(group_id))
        said = _("Le groupe « %(name)s » est supprimé.") % {"name": group.name}
        if ended:
            count = ngettext("%(n)s partage est arrêté.", "%(n)s partages sont arrêtés.", ended)
            said += " " + count % {"n": Count(ended)}
        messages.success(request, said)
        return HttpResponseRedirect(reverse("drive_groups"))
    return _page(request, view, "portal/drive_group_delete.html", change, {"group": group, "rows": rows})


def _change(request: HttpRequest, actor: Actor, change: Groups, group: Group) -> str:
    """What the form ``what`` asks for; what is said then. Errors: NotAllowed, NotFound, Invalid, GroupExists."""
    what, persons = request.POST.get("what", ""), identity.visible_persons(actor).filter(is_active=True)
    if what == "add":
        chosen = [_person(one) for one in request.POST.getlist("person")[:MOST_SHOWN]]
        added = change.add(group.id, chosen, set(persons.filter(pk__in=chosen).values_list("id", flat=True)))
        if not added:
            return _("Personne n’est ajouté : cochez au moins un nom.")
        return ngettext(
            "%(n)s personne ajoutée. Elle trouve ce qui est partagé avec le groupe dans « Partagé avec moi ».",
            "%(n)s personnes ajoutées. Elles trouvent ce qui est partagé avec le groupe dans « Partagé avec moi ».",
            added,
        ) % {"n": Count(added)}
    if what == "remove":
        person_id = _person(request.POST.get("person", ""))
        if not change.remove(group.id, person_id):
            raise NotFound("person")
        name = identity.visible_persons(actor).filter(pk=person_id).values_list("name", flat=True).first()
        return _("%(name)s n’est plus dans le groupe, et ne voit plus ce qui est partagé avec lui.") % {
            "name": name or _("Cette personne")
        }
    if what == "rename":
        change.rename(group.id, _name(request))
        return _("Le nom est changé.")
    raise Invalid("what")


def _person(text: str) -> str:
    """An identifier, as a form has it. Errors: NotFound."""
    if not is_id(text, "per"):
        raise NotFound("person")
    return text


def _groups_of(actor: Actor, view: View) -> Groups:
    return Groups(
        view, act_of(view), partial(recorded.group, actor=actor), partial(recorded.record, actor=actor)
    )


def _ending(view: View, reading: Reading, actor: Actor, ending: list[Share]) -> list[dict[str, Any]]:
    """Of each share that would end what it shares, as far as this person sees it, and who shares it."""
    named = identity.visible_names(actor, {one.created_by for one in ending})
    rows = []
    for one in ending:
        node = look.node(reading, one.node)
        try:
            name = view.at(reading, one.node).node.name
        except AbsentNode:
            name = ""
        rows.append(
            {
                "name": name,
                "is_folder": bool(node is not None and node.is_folder),
                "is_mine": one.created_by == actor.id,
                "who": named.get(one.created_by, ""),
            }
        )
    return rows


def _name(request: HttpRequest) -> str:
    return request.POST.get("name", "")[: 2 * MAX_NAME_CHARS]


def _trouble(refused: BeffroiError) -> str:
    if isinstance(refused, GroupExists):
        return _("Un groupe porte déjà ce nom. Choisissez-en un autre.")
    if isinstance(refused, TooManyGroups):
        return _("La collectivité a déjà beaucoup de groupes : supprimez-en un d’abord.")
    return _("Donnez un nom au groupe, de 80 signes au plus, par exemple « Conseil municipal ».")


def _page(
    request: HttpRequest, view: View, template: str, change: Groups, context: dict[str, Any]
) -> HttpResponse:
    more = {"manages": change.may_manage, "most_chars": MAX_NAME_CHARS}
    status = HTTPStatus.BAD_REQUEST if context.get("error") else HTTPStatus.OK
    return drive.drive_page(request, view, template, more | context, status=status)
