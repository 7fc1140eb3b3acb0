"""Coffre: labels of the collectivité: put on a file or a folder, taken away, and all that has one.

Input:  hostile: identifiers, names, numbers of the form.
Access: ``View`` and ``drive.tagging``: who may write something labels it; one sees of a label what one sees anyway.
"""

from __future__ import annotations

from contextlib import suppress

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive import tagging
from beffroi.drive.store import tags
from beffroi.drive.store.listing import Entry
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.names import normal
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import LARGEST_ID, View
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.portal import drive_tag_words
from beffroi.portal.drive_access import act_of, view_of
from beffroi.portal.pages import asks_part, for_agents
from beffroi.portal.web import drive, drive_act, drive_found

LABELS = "labels"
MOST_LOOKED_AT = 1_000
"""Nodes for one part of a label's list: many may be ones that this person does not see."""


@require_http_methods(["GET", "POST"])
@for_agents
def every(request: HttpRequest, actor: Actor) -> HttpResponse:
    """All labels; POST ``put`` (``name``) or ``take`` (``tag``) one of the node ``n``. Errors: AbsentNode, Invalid."""
    view = view_of(request, actor)
    if request.method == "POST":
        return HttpResponseRedirect(_changed(request, view))
    with view.database.reading() as reading:
        found = tags.seen(reading, view.who)
    return drive.drive_page(request, view, "portal/drive_tags.html", {"at": "tags", "found": found})


@require_http_methods(["GET", "POST"])
@for_agents
def one(request: HttpRequest, actor: Actor, tag_id: int) -> HttpResponse:
    """What has a label; its maker and référents rename it and delete it. Errors: AbsentTag, Invalid."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        tag = tags.find(reading, view.who, tag_id)
    if request.method == "POST":
        return HttpResponseRedirect(_managed(request, view, tag))
    first = drive.number(request.GET.get("rang", ""))
    with view.database.reading() as reading:
        found, after = _part(reading, view, tag_id, before=first or LARGEST_ID)
        context = {
            "at": "tags",
            "tag": tag,
            "rows": drive_found.found_rows(reading, view, actor, found),
            "first": first,
            "after": after,
            "state": 0,
            "manages": tags.manages(view.who, tag),
        }
    if asks_part(request, "rows"):
        return drive.drive_page(request, view, "portal/parts/drive_rows.html", context)
    context["refused_name"] = drive_act.refused_name(request, LABELS, tag_id)
    return drive.drive_page(request, view, "portal/drive_tag.html", context)


def _part(reading: Reading, view: View, tag_id: int, *, before: int) -> tuple[list[Entry], int]:
    """Of the nodes that have a label, those made last first: what this person sees, and the number from which the next
    part goes on, 0 where there is none. Numbers never change: nothing is shown twice or left out meanwhile."""
    node_ids = tags.newest(reading, view.who, tag_id, before=before, most=MOST_LOOKED_AT + 1)
    found: list[Entry] = []
    for at, node_id in enumerate(node_ids):
        if at == MOST_LOOKED_AT or len(found) == drive.PAGE_ROWS:
            return found, node_ids[at - 1]
        with suppress(AbsentNode):
            found.append(Entry(*view.at(reading, node_id).node[:7]))
    return found, 0


def _changed(request: HttpRequest, view: View) -> str:
    """Where to go after a label was put or taken away. Errors: AbsentNode, Invalid."""
    what, node_id = request.POST.get("what", ""), drive.number(request.POST.get("n", ""))
    if what not in ("put", "take"):
        raise Invalid("what")
    with view.database.reading() as reading:
        view.at(reading, node_id)
    tag_id = drive.number(request.POST.get("tag", ""))
    try:
        if what == "put":
            name = _name(request)
            view.database.write(lambda writing: tagging.put(view, act_of(view), writing, node_id, name))
        else:
            view.database.write(lambda writing: tagging.take(view, writing, node_id, tag_id))
    except BeffroiError as error:
        messages.error(request, drive_tag_words.refusal(error))
    else:
        messages.success(request, _("Étiquette posée.") if what == "put" else _("Étiquette retirée."))
    return reverse("drive_node", args=[node_id]) + "?etiquettes=1"


def _managed(request: HttpRequest, view: View, tag: tags.Tag) -> str:
    """Where to go after a label was renamed or deleted. Errors: Invalid."""
    what, here = request.POST.get("what", ""), reverse("drive_tag", args=[tag.id])
    if what not in ("rename", "delete"):
        raise Invalid("what")
    try:
        if what == "rename":
            renamed = tag._replace(name=_name(request))
            view.database.write(lambda writing: tags.change(writing, view.who, renamed))
        else:
            view.database.write(lambda writing: tags.remove(writing, view.who, tag.id))
    except BeffroiError as error:
        if what == "rename" and tags.manages(view.who, tag):
            drive_act.keep_name(request, LABELS, tag.id, drive_tag_words.refusal(error))
        else:
            messages.error(request, drive_tag_words.refusal(error))
        return here
    if what == "rename":
        messages.success(request, _("Le nom est changé."))
        return here
    messages.success(
        request, _("L’étiquette « %(name)s » est supprimée. Les fichiers restent.") % {"name": tag.name}
    )
    return reverse("drive_tags")


def _name(request: HttpRequest) -> str:
    """Errors: NameRefused."""
    return normal(" ".join(request.POST.get("name", "")[: 4 * tags.MAX_NAME_CHARS].split()))
