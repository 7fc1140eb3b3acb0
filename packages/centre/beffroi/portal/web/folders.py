"""Courrier: folders, moving and marking.

Input:  hostile: folder names and numbers of the form. Every change is a POST with a token of the session.
Access: ``mail.access``: whoever answers in the owner's stead marks mails; moving, deleting and folders are the owner's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, digits
from beffroi.lib.errors import Invalid
from beffroi.mail import access, deleted, folders
from beffroi.mail.access import Access, Right
from beffroi.mail.folders import Folder
from beffroi.mail.heads import MessageSummary
from beffroi.mail.models import Mailbox
from beffroi.portal.counts import Count
from beffroi.portal.pages import for_agents
from beffroi.portal.web import mail_files

INBOX = "INBOX"
NAMES = {
    "inbox": gettext_lazy("Boîte de réception"),
    "drafts": gettext_lazy("Brouillons"),
    "sent": gettext_lazy("Envoyés"),
    "junk": gettext_lazy("Indésirables"),
    "trash": gettext_lazy("Corbeille"),
}
UNDO_S = 600
MOVED_KEY = "mails_moved"
"""In the session: what was moved last, from where, and where it lies now."""
_FIXED = {INBOX: "inbox", "Drafts": "drafts", "Sent": "sent", "Junk": "junk", "Trash": "trash"}


def asked_folder(request: HttpRequest) -> str:
    """The folder that the address names. Errors: Invalid."""
    return folders.checked_name(request.GET.get("dossier") or request.POST.get("dossier") or INBOX)


def title(name: str) -> str:
    """A folder's name for people."""
    return str(NAMES.get(_FIXED.get(name, ""), name))


def folder_context(folder: str, places: Sequence[Folder]) -> dict[str, Any]:
    """What pages of a folder show of it; ``in_folder`` is put at the end of addresses."""
    return {
        "folder": folder,
        "role": _FIXED.get(folder, ""),
        "folder_title": title(folder),
        "in_folder": "" if folder == INBOX else f"?dossier={quote(folder)}",
        "folders": [
            {"name": one.name, "title": NAMES.get(one.role, one.name), "role": one.role, "unseen": one.unseen}
            for one in places
        ],
    }


def listed_rows(folder: str, letters: Sequence[MessageSummary]) -> list[dict[str, Any]]:
    """What the list of a folder shows: one row a conversation, its newest message; ``messages`` are all of it on this
    page, ``uids`` what a tick stands for. Where something is sent, deleted or a draft, a message stands alone."""
    joined = _FIXED.get(folder, "inbox") == "inbox"
    conversations: dict[str, list[MessageSummary]] = {}
    for one in letters:
        conversations.setdefault((joined and one.root) or f"#{one.uid}", []).append(one)
    return [_row(folder, several) for several in conversations.values()]


def found_rows(hits: Sequence[tuple[str, MessageSummary]], *, everywhere: bool) -> list[dict[str, Any]]:
    """What a search shows, message by message; of several folders each says where it lies (``place``), and a tick
    stands for the number and the folder."""
    rows = [_row(folder, [one]) for folder, one in hits]
    for (folder, one), row in zip(hits, rows, strict=True):
        if everywhere:
            row |= {"place": title(folder), "uids": f"{one.uid}/{folder}"}
    return rows


def _row(folder: str, letters: list[MessageSummary]) -> dict[str, Any]:
    where = folder_context(folder, [])
    return {
        "message": letters[0],
        "messages": letters,
        "uids": ",".join(str(one.uid) for one in letters),
        "seen": all(one.seen for one in letters),
        "count": len(letters),
        "role": where["role"],
        "in_folder": where["in_folder"],
    }


@require_POST
@for_agents
def act(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Mark or move messages, or take the last move back; then the list again."""
    what, target = request.POST.get("what", ""), request.POST.get("target", "")
    box = access.access(actor, mailbox_id, Right.ANSWER if what in folders.FLAGS else Right.OWN)
    folder = asked_folder(request)
    if what.startswith("move:"):
        what, target = "move", what[5:]
    if what == "undo":
        _undo(request, box)
    else:
        _act(request, box, _ticked(request, folder), what, target)
    again = {name: request.POST[name] for name in ("dossier", "q") if request.POST.get(name)}
    if again == {"dossier": INBOX}:
        again = {}
    suffix = f"?{urlencode(again, quote_via=quote)}" if again else ""
    return HttpResponseRedirect(reverse("mail_list", args=[mailbox_id]) + suffix)


def _act(request: HttpRequest, box: Access, ticked: dict[str, list[int]], what: str, target: str) -> None:
    if not ticked:
        messages.info(request, _("Cochez d’abord un ou plusieurs courriels."))
        return
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        thrown = mail_files.drafts_among(opened, ticked) if what in ("trash", "erase") else []
        done = {name: folders.act(opened, name, uids, what, target) for name, uids in ticked.items()}
    mail_files.forget_message(request, box, thrown)
    if what in folders.FLAGS:
        return
    count = sum(one.count for one in done.values())
    back = [(one.place, list(one.uids), name) for name, one in done.items() if one.uids]
    if what == "erase":
        messages.info(request, _erased(count))
    elif thrown or not back:  # a draft that is thrown away loses its links, which do not come back with it
        messages.info(request, _moved(count, folders.MOVES.get(what, target)))
    else:
        request.session[MOVED_KEY] = {"mailbox": box.mailbox.id, "back": back, "at_s": clock.epoch_s()}


def last_moved(request: HttpRequest, mailbox: Mailbox) -> str:
    """What was moved here a moment ago and may be taken back, in words; "" for nothing."""
    last = request.session.get(MOVED_KEY)
    if not last or last["mailbox"] != mailbox.id or clock.epoch_s() - last["at_s"] > UNDO_S:
        return ""
    return _moved(sum(len(uids) for _place, uids, _from in last["back"]), last["back"][0][0])


def _undo(request: HttpRequest, box: Access) -> None:
    back = request.session[MOVED_KEY]["back"] if last_moved(request, box.mailbox) else []
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        count = sum(folders.act(opened, place, uids, "move", name).count for place, uids, name in back)
    request.session.pop(MOVED_KEY, None)
    if not count:
        messages.info(request, _("Rien à annuler : ces courriels ne sont plus là où vous les aviez mis."))
        return
    said = ngettext(
        "C’est annulé : %(n)s courriel est de nouveau à sa place.",
        "C’est annulé : %(n)s courriels sont de nouveau à leur place.",
        count,
    )
    messages.info(request, said % {"n": Count(count)})


def _ticked(request: HttpRequest, folder: str) -> dict[str, list[int]]:
    """Folder -> numbers of the mails that were ticked; one that names no folder lies in this one. Errors: Invalid."""
    found: dict[str, list[int]] = {}
    for several in request.POST.getlist("uid")[: folders.MAX_UIDS]:
        numbers, named, place = several.partition("/")
        uids = [
            uid
            for one in numbers.split(",")[: folders.MAX_UIDS]
            if (uid := digits.number(one, 10)) is not None
        ]
        if uids:
            found.setdefault(folders.checked_name(place) if named else folder, []).extend(uids)
    return found


def _erased(count: int) -> str:
    said = ngettext(
        "%(n)s courriel effacé. « Retrouver un courriel supprimé », plus bas, le rend pendant %(days)s jours.",
        "%(n)s courriels effacés. « Retrouver un courriel supprimé », plus bas, les rend pendant %(days)s jours.",
        count,
    )
    return said % {"n": Count(count), "days": deleted.KEEP_DAYS}


def _moved(count: int, place: str) -> str:
    said = ngettext(
        "%(n)s courriel déplacé vers %(place)s.", "%(n)s courriels déplacés vers %(place)s.", count
    )
    return said % {"n": Count(count), "place": title(place)}


@require_POST
@for_agents
def create(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """A new folder, open."""
    box = access.access(actor, mailbox_id)
    name = request.POST.get("name", "").strip()
    try:
        with access.open_mailbox(settings.BEFFROI, box) as opened:
            folders.create(opened, name)
    except Invalid:
        messages.error(
            request, _("Ce nom de dossier existe déjà ou ne convient pas : lettres, chiffres et espaces.")
        )
        return HttpResponseRedirect(reverse("mail_list", args=[mailbox_id]))
    return HttpResponseRedirect(reverse("mail_list", args=[mailbox_id]) + f"?dossier={quote(name)}")
