"""Groups of contacts: one is opened and written to, made, changed and deleted.

Access: as contacts: what one does not see is no such page, what one only reads is not changed. Groups of an address
        book that was handed over are read.
Input:  hostile: names in addresses, the form; what programs wrote into a group.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes, wire, wire_contacts
from beffroi.drive.calendars.wire_contacts import MAX_MEMBERS, MAX_NAME_CHARS, Group, Member
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail.compose import MAX_RECIPIENTS
from beffroi.portal import bringing_words
from beffroi.portal.calendars import CALENDARS, SHOWN, asking, require_change
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import invitations, put_back


@dataclass
class Form:
    """What somebody typed, and what is wrong with it, by field. ``members``: names of contacts."""

    title: str = ""
    etag: str = ""
    members: frozenset[str] = frozenset()
    errors: dict[str, str] = field(default_factory=dict)


@require_GET
@for_agents
def group(request: HttpRequest, actor: Actor, calendar: str, name: str, handed: str = "") -> HttpResponse:
    """``handed``: the name of an address book that was handed over. Errors: NotFound."""
    found = _get(actor, calendar, name, handed)
    addresses = list(dict.fromkeys(one.emails[0] for one in found.members if one.emails))
    box = next(iter(invitations.own_boxes(actor)), None)
    many = len(addresses) > MAX_RECIPIENTS
    # As many messages as it takes: no page lets one choose the second hundred of a group.
    field_name = "cci" if many else "a"
    writing = [
        {
            "first": n + 1,
            "last": n + len(part),
            "href": f"{reverse('mail_write', args=[box.id])}?{urlencode({field_name: ', '.join(part)})}",
        }
        for n in range(0, len(addresses) if box else 0, MAX_RECIPIENTS)
        if box and (part := addresses[n : n + MAX_RECIPIENTS])
    ]
    context = {
        "place": "contacts",
        "group": found,
        "word": calendar,
        "addresses": len(addresses),
        "without": sum(not one.emails for one in found.members),
        "many": many,
        "most": MAX_RECIPIENTS,
        "writing": writing,
        "writes": calendar == "prive" or (calendar == "commun" and actor.role in homes.WRITERS),
        "simple": len(found.members) <= MAX_MEMBERS,
    }
    return page(request, "portal/contact_group.html", context)


@require_http_methods(["GET", "POST"])
@for_agents
def new(request: HttpRequest, actor: Actor, calendar: str) -> HttpResponse:
    """Errors: NotFound, NotAllowed."""
    require_change(actor, calendar)
    if request.method == "GET":
        return _form_page(request, actor, Form(), calendar)
    return _save(request, actor, _typed(request), calendar)


@require_http_methods(["GET", "POST"])
@for_agents
def change(request: HttpRequest, actor: Actor, calendar: str, name: str) -> HttpResponse:
    """Errors: NotFound, NotAllowed."""
    require_change(actor, calendar)
    found = _get(actor, calendar, name)
    if request.method == "GET":
        ticked = frozenset(one.name for one in found.members if one.name)
        return _form_page(request, actor, Form(found.title, found.etag, ticked), calendar, found)
    return _save(request, actor, _typed(request), calendar, found)


@require_http_methods(["GET", "POST"])
@for_agents
def delete(request: HttpRequest, actor: Actor, calendar: str, name: str) -> HttpResponse:
    """Errors: NotFound, NotAllowed, Conflict."""
    require_change(actor, calendar)
    if request.method == "GET":
        context = {"place": "contacts", "group": _get(actor, calendar, name), "word": calendar}
        return page(request, "portal/contact_group_delete.html", context)
    asked = wire.Named(CALENDARS[calendar], name, request.POST.get("etag", ""))
    done = asking(actor).delete_group(asked)
    said = _("Le groupe est supprimé. Ses contacts restent.")
    put_back.note(request, actor, "contacts", asked, done, said=said, address=reverse("contacts"))
    return HttpResponseRedirect(reverse("contacts"))


def _get(actor: Actor, calendar: str, name: str, handed: str = "") -> Group:
    """Errors: NotFound."""
    if calendar == "commun" and actor.role not in homes.READERS:
        raise NotFound("group")
    return asking(actor).group(wire_contacts.GroupNamed(SHOWN[calendar], name, handed))


def _typed(request: HttpRequest) -> Form:
    members = frozenset(request.POST.getlist("member"))
    return Form(request.POST.get("title", "").strip(), request.POST.get("etag", ""), members)


def _save(
    request: HttpRequest, actor: Actor, form: Form, calendar: str, before: Group | None = None
) -> HttpResponse:
    if not form.title:
        form.errors["title"] = _("Donnez un nom au groupe, par exemple « Conseil municipal ».")
    elif len(form.title) > MAX_NAME_CHARS:
        form.errors["title"] = _("C’est trop long : %(most)s signes au plus.") % {"most": MAX_NAME_CHARS}
    if not form.members:
        form.errors["members"] = _("Cochez au moins un contact.")
    elif len(form.members) > MAX_MEMBERS:
        form.errors["members"] = _("Un groupe compte %(most)s contacts au plus.") % {"most": MAX_MEMBERS}
    if form.errors:
        return _form_page(request, actor, form, calendar, before)
    name = before.name if before else ""
    draft = wire_contacts.GroupDraft(CALENDARS[calendar], name, form.etag, form.title, sorted(form.members))
    try:
        done = asking(actor).save_group(draft)
    except Conflict:
        form.errors["form"] = _(
            "Ce groupe, ou un contact coché, vient de changer. Revenez aux contacts pour voir ce qu’il est devenu."
        )
    except bringing_words.FULL as error:
        form.errors["form"] = bringing_words.full(error)
    else:
        messages.success(request, _("Le groupe est enregistré."))
        return HttpResponseRedirect(reverse("contact_group", args=[calendar, done.name]))
    return _form_page(request, actor, form, calendar, before)


def _form_page(
    request: HttpRequest, actor: Actor, form: Form, calendar: str, before: Group | None = None
) -> HttpResponse:
    told = asking(actor).contacts(wire_contacts.Sought())
    # Who is in it is offered also where a book is too long to be told whole: what is not ticked goes.
    offered = {one.name: one for one in before.members if one.name} if before else {}
    for one in told.contacts:
        if one.calendar == CALENDARS[calendar]:
            offered.setdefault(one.name, Member(one.name, one.title, one.emails))
    context = {
        "place": "contacts",
        "form": form,
        "word": calendar,
        "group": before,
        "offered": sorted(offered.values(), key=lambda one: one.title.casefold()),
        "more": told.more,
        "most_chars": MAX_NAME_CHARS,
    }
    status = 409 if "form" in form.errors else 400 if form.errors else 200
    return page(request, "portal/contact_group_entry.html", context, status=status)
