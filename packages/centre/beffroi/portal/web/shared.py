"""Courrier: functional mailboxes and who reads them; beside their mails, whose each one is and what colleagues noted.

Input:  hostile: every field. Changes are POSTs with a token of the session.
Access: mailboxes of the collectivité of the session; a référent decides on members, members see one another.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, existing
from beffroi.mail import actions as mail
from beffroi.mail import queries as mailboxes
from beffroi.mail import reader
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.heads import MessageSummary
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import AddressUnusable
from beffroi.mail.people import actions, handling, queries
from beffroi.portal import address_words
from beffroi.portal.pages import for_agents, page, typed
from beffroi.portal.web.folders import asked_folder

PLACE = {"place": "mail"}


@require_http_methods(["GET", "POST"])
@for_agents
def shared(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Those that the person reads, all of them for a référent, who makes new ones here."""
    if request.method == "POST":
        return _create(request, actor)
    return _list(request, actor)


def _list(request: HttpRequest, actor: Actor, status: int = 200, **more: Any) -> HttpResponse:
    manages = queries.may_manage(actor)
    context = PLACE | {
        "boxes": queries.visible_shared(actor),
        "read": {one.id for one in mailboxes.own_mailboxes(actor)},
        "manages": manages,
        "closed": queries.closed_shared(actor, actor.collectivite_id or ""),
        "lost": aliases.lost_aliases(actor),
        "domains": [one.name for one in communes.visible_domains(actor)] if manages else [],
        "form": {},
        **more,
    }
    return page(request, "portal/shared.html", context, status=status)


def _create(request: HttpRequest, actor: Actor) -> HttpResponse:
    form = {name: request.POST.get(name, "").strip()[:200] for name in ("local", "domain", "title")}
    try:
        made = actions.create_shared(
            actor=actor,
            collectivite=communes.access_collectivite(actor, actor.collectivite_id or ""),
            address=f"{form['local']}@{form['domain']}",
            title=form["title"],
        )
    except (Invalid, Conflict) as error:
        if isinstance(error, AddressUnusable):
            form["local"] = error.proposal or form["local"]
        failed = "title" if error.what == "title" else "local"
        said = trouble(error, form["title"])
        return _list(request, actor, error.http_status, form=form, error=said, failed=failed)
    messages.success(
        request, _("La boîte est créée. Elle reçoit dans une minute ; ajoutez maintenant qui la lit.")
    )
    return HttpResponseRedirect(reverse("shared_mailbox", args=[made.id]))


def trouble(error: BeffroiError, title: str) -> str:
    """What is wrong with a form, and what to do."""
    if isinstance(error, AddressUnusable):
        return address_words.unusable(error)
    if isinstance(error, Conflict):
        return _("Cette adresse existe déjà. Choisissez-en une autre.")
    if not title or error.what == "title":
        return _("Donnez un nom à cette boîte, par exemple « Mairie » ou « État civil ».")
    return address_words.plain()


@require_http_methods(["GET", "POST"])
@for_agents
def one(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Who reads it; a référent adds, takes off, renames and closes. Everything can be undone."""
    if request.method == "POST":
        return _change(request, actor, mailbox_id)
    found = queries.access_shared(actor, mailbox_id)
    manages = queries.may_manage(actor)
    context = PLACE | {
        "box": found,
        "manages": manages,
        "reads": mailboxes.own_mailboxes(actor).filter(pk=found.mailbox.id).exists(),
        "candidates": queries.candidates(actor, found) if manages else [],
        "here": request.path,
        "removed": removed(actor, found, request.GET.get("retire", "")) if manages else None,
    }
    return page(request, "portal/shared_one.html", context)


def removed(actor: Actor, found: queries.Shared, person_id: str) -> Any:
    """Whom the address of the page names as taken off a moment ago; None for nobody."""
    return next((one for one in queries.candidates(actor, found) if one.id == person_id), None)


def _change(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    return change(
        request,
        actor,
        mailbox_id,
        owner=actor.collectivite_id or "",
        here=reverse("shared_mailbox", args=[mailbox_id]),
        everything=reverse("shared_mailboxes"),
    )


def change(
    request: HttpRequest, actor: Actor, mailbox_id: str, *, owner: str, here: str, everything: str
) -> HttpResponse:
    """What the form ``what`` asks for, on the portal or the console; ``here``, ``everything``: their pages of the
    mailbox and of all; ``owner``: the collectivité. Errors: NotFound, Invalid, Conflict."""
    what = request.POST.get("what", "")
    if what == "reopen":
        closed = next((one for one in queries.closed_shared(actor, owner) if one.id == mailbox_id), None)
        mail.reopen_mailbox(actor=actor, mailbox=existing(closed, "mailbox"))
        messages.success(request, _("La boîte est rouverte, avec tout son contenu."))
        return HttpResponseRedirect(here)
    mailbox = queries.access_shared(actor, mailbox_id).mailbox
    if what == "add":
        person = identity.access_person(actor, request.POST.get("person", ""))
        actions.add_member(actor=actor, mailbox=mailbox, person=person)
        messages.success(request, _("%(name)s lit maintenant cette boîte.") % {"name": person.name})
    elif what == "remove":
        person_id = request.POST.get("person", "")
        actions.remove_member(actor=actor, mailbox=mailbox, person_id=person_id)
        return HttpResponseRedirect(f"{here}?retire={person_id}")
    elif what == "rename":
        try:
            actions.rename(actor=actor, mailbox=mailbox, title=request.POST.get("title", ""))
        except Invalid:
            messages.error(
                request, _("Donnez un nom à cette boîte, par exemple « Mairie » ou « État civil ».")
            )
        else:
            messages.success(request, _("Le nom est changé."))
    elif what == "close":
        mail.close_mailbox(actor=actor, mailbox=mailbox)
        messages.success(request, _("La boîte est fermée. Vous pouvez la rouvrir ci-dessous."))
        return HttpResponseRedirect(everything)
    else:
        raise Invalid("what")
    return HttpResponseRedirect(here)


@require_POST
@for_agents
def handle(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int) -> HttpResponse:
    """Beside one mail: for whom it is, a note, a note taken away or put again; then the mail again.

    The key is read from the mail itself, so nothing is written beside what does not lie there.
    """
    mailbox = mailboxes.access_mailbox(actor, mailbox_id)
    folder = asked_folder(request)
    with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened:
        key = queries.message_key(opened.read(uid, folder).summary)
    what, back = request.POST.get("what", ""), ""
    if what == "assign":
        before = handling.assign(
            actor=actor, mailbox=mailbox, key=key, person_id=request.POST.get("person", "")
        )
        back = f"avant={before or '-'}"
    elif what == "note":
        try:
            handling.add_note(actor=actor, mailbox=mailbox, key=key, text=typed(request, "text"))
        except Invalid:
            messages.error(request, _("Écrivez une note de 500 signes au plus."))
    elif what in ("note_remove", "note_back"):
        handling.remove_note(
            actor=actor, mailbox=mailbox, note_id=request.POST.get("note", ""), back=what == "note_back"
        )
    else:
        raise Invalid("what")
    target = reverse("mail_read", args=[mailbox.id, uid])
    query = "&".join(one for one in (f"dossier={quote(folder)}" if folder != "INBOX" else "", back) if one)
    return HttpResponseRedirect(f"{target}{'?' + query if query else ''}#h-team")


def team_context(
    request: HttpRequest, actor: Actor, mailbox: Mailbox, message: MessageSummary
) -> dict[str, Any]:
    """What the page of a mail shows of its functional mailbox; empty for a person's own."""
    title = queries.title_of(mailbox)
    if not title:
        return {}
    key = queries.message_key(message)
    members = queries.members(mailbox.id)
    before = request.GET.get("avant", "")
    known = {one.id: one.name for one in members}
    found = queries.marks(actor, mailbox, [key], notes=True).get(key) or queries.Marks()
    return {
        "team": {
            "title": title,
            "key": key,
            "members": members,
            "marks": found,
            "notes": [(one, found.names.get(one.person_id, "")) for one in found.notes],
            "undo": before if before == "-" or before in known else "",
            "sent_by": queries.sent_by(mailbox, message),
        }
    }


def marked(actor: Actor, mailbox: Mailbox, rows: list[dict[str, Any]]) -> str:
    """Put beside the rows of a list what colleagues do with them; return the name of the functional mailbox, "" for a
    person's own."""
    title = queries.title_of(mailbox)
    if not title:
        return ""
    keys = {queries.message_key(one) for row in rows for one in row["messages"]}
    found = queries.marks(actor, mailbox, keys)
    for row in rows:
        beside = [found[key] for one in row["messages"] if (key := queries.message_key(one)) in found]
        row["assigned"] = next((one.assigned_name for one in beside if one.assigned_to), "")
        row["answering"] = next((one.answering for one in beside if one.answering), "")
        row["notes"] = sum(len(one.notes) for one in beside)
    return title
