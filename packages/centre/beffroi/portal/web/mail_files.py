"""Courrier meets Coffre: what is too large for a mail goes by a link, files of the Coffre are attached, and attachments
are kept there.

Input:  hostile: identifiers, the form, and the mail whose attachment is kept.
Access: ``mail.access`` for the mailbox, ``View`` and ``drive.links`` for files: the Coffre is always that of who sits
        there, also in a mailbox that was lent to them.
Bytes:  go between browser and drive under the grants of docs/decisions/0074; this process holds none of a file of the
        Coffre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from beffroi.core.identity.actor import Actor
from beffroi.drive import links, sharing
from beffroi.drive.store import sent_files, shares, tree
from beffroi.drive.store.model import AbsentNode, Act
from beffroi.drive.store.names import in_order
from beffroi.drive.store.orders import orders
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import View
from beffroi.drive.web.granted import OUT_PATH
from beffroi.lib import digits, hashed
from beffroi.lib.errors import BeffroiError, NotAllowed
from beffroi.mail import access, sendings
from beffroi.mail.access import Access, Right
from beffroi.mail.drafts import DRAFTS
from beffroi.mail.reader import MAX_LIST, MailboxReader, MessageView
from beffroi.portal import drive_words, marked, words
from beffroi.portal.dates import date_format
from beffroi.portal.drive_access import act_of, give_grants, view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_links

RECEIVED_FOLDER = "Pièces jointes reçues"
MAX_ROWS = 500
CLOSED_FOLDERS = ("Junk", "Trash")


class NotKept(NotAllowed):
    """An attachment of a mail that was set aside, or is not checked yet, is not kept in the Coffre."""

    code = "mail.attachment_not_kept"


def require_keepable(view: MessageView, folder: str) -> None:
    """Errors: NotKept."""
    if not is_keepable(view, folder):
        raise NotKept("attachment")


def is_keepable(view: MessageView, folder: str) -> bool:
    return not view.summary.unchecked and folder not in CLOSED_FOLDERS


@require_GET
@for_agents
def place(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Where the page puts files, with a grant to do so; with ``dossier`` what lies in that folder of the Coffre.

    Errors: NotFound, NotAllowed, AbsentNode.
    """
    access.access(actor, mailbox_id, Right.READ)
    view = view_of(request, actor)
    with view.database.reading() as reading:
        own, common = view.roots(reading)
        found: dict[str, Any] = {"folder": own.id, "sent": sent_files.FOLDER, "received": RECEIVED_FOLDER}
        asked = request.GET.get("dossier", "")
        if asked:
            at = view.at(reading, digits.needed(asked))
            part = orders.part(reading, at.owner, at.node, first=0, most=MAX_ROWS)
            found["more"] = part.total > MAX_ROWS
            found["trail"] = [
                {"id": one, "name": in_order(name)} for name, one in drive.trail(reading, view, at)
            ]
            found["rows"] = [
                {"id": one.id, "name": in_order(one.name), "is_folder": one.is_folder, "size_bytes": one.size_bytes,
                 "bytes": f"{OUT_PATH}/{marked.written(one.id)}",
                 "size": words.size(one.size_bytes)}
                for one in part.entries
            ]  # fmt: skip
            if at.node.id == own.id:
                found["rows"].insert(0, {"id": common.id, "name": _("Commune"), "is_folder": True})
    response = JsonResponse(found)
    give_grants(response, view.who)
    return response


@require_POST
@for_agents
def link(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Make a link to a file, and tell the line that goes into the mail. ``message_id``: of the message for which the
    file was put into the Coffre; throwing that one away takes it along.

    Errors: NotFound, AbsentNode, ReadOnly, Invalid.
    """
    access.access(actor, mailbox_id, Right.ANSWER)
    view, node_id = view_of(request, actor), digits.needed(request.POST.get("node", ""))
    wish, errors = drive_links.asked_wish(request)
    if errors:
        return JsonResponse({"errors": errors}, status=400)
    message_id = request.POST.get("message_id", "")

    def note(writing: Writing, share: Share) -> None:
        node = sharing.shareable(view, writing, node_id).node
        if message_id and _lies_among_sent(view, writing, node.parent):
            sent_files.note(writing, share.id, node_id, actor.id, hashed.sha256(message_id))

    try:
        share, token = links.make(
            actor=actor, view=view, act=act_of(view), node_id=node_id, wish=wish, also=note
        )
    except BeffroiError as error:
        return JsonResponse({"code": error.code}, status=error.http_status)
    with view.database.reading() as reading:
        node = sharing.shareable(view, reading, node_id).node
    names = {
        "name": in_order(node.name),
        "size": words.size(node.size_bytes),
        "day": date_format(datetime.fromtimestamp(share.expires_s, UTC), "j F Y"),
    }
    line = _("%(name)s (%(size)s), à télécharger jusqu’au %(day)s :") % names
    line += "\n" + drive_words.link_address(view.who.collectivite_id, token)
    if wish.password:
        line += "\n" + _("Un mot de passe est demandé ; il vous est donné par un autre moyen.")
    return JsonResponse({"share": share.id, "line": line, "until": names["day"]})


@require_POST
@for_agents
def remove(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """End a link that this person made, and take its file out of the Coffre where it was put there for a mail.

    Errors: NotFound, AbsentNode.
    """
    access.access(actor, mailbox_id, Right.ANSWER)
    _take_back(actor, view_of(request, actor), request.POST.get("share", ""))
    return JsonResponse({})


def drafts_among(opened: MailboxReader, ticked: Mapping[str, Sequence[int]]) -> list[str]:
    """Message-IDs of the drafts among mails of these folders."""
    uids = ticked.get(DRAFTS)
    if not uids:
        return []
    opened.client.select_folder(DRAFTS, readonly=True)
    return [one.message_id for one in opened.summaries(uids)]


def forget_message(request: HttpRequest, box: Access, message_ids: Sequence[str]) -> None:
    """What was put into the Coffre for drafts that are thrown away goes to its trash, and its links end: not of a
    message that left, from another window perhaps, nor of one that another draft still is. A Coffre or a mailbox that
    cannot be reached keeps nobody from throwing a draft away: its links end by their date."""
    try:
        view = view_of(request, box.actor)
        with view.database.reading() as reading:
            found = {
                one: sent_files.of_message(reading, box.actor.id, hashed.sha256(one))
                for one in message_ids
                if one
            }
        if not any(found.values()):
            return
        with access.open_mailbox(settings.BEFFROI, box) as opened:
            still = {one.message_id for one in opened.list(DRAFTS, MAX_LIST)}
    except BeffroiError:
        return
    for message_id, files in found.items():
        if message_id in still or sendings.has_left(box.mailbox, message_id):
            continue
        for one in files:
            with suppress(BeffroiError):
                _take_back(box.actor, view, one.share_id)


def _take_back(actor: Actor, view: View, share_id: str) -> None:
    """Errors: AbsentNode, those of the store."""
    act = act_of(view)
    links.end(actor=actor, view=view, act=act, share_id=share_id)
    view.database.write(partial(_delete, view=view, act=act, share_id=share_id))


def _delete(writing: Writing, *, view: View, act: Act, share_id: str) -> None:
    """The file that was put there for the mail of this link; no other, and not one that is also shared otherwise."""
    found = sent_files.find(writing, view.who.person_id, share_id)
    if found is None:
        return
    sent_files.forget(writing, share_id)
    try:
        place = view.at(writing, found.node)
    except AbsentNode:
        return  # its owner deleted it themselves
    if place.rights.may_write and not shares.of_node(writing, found.node, now_s=act.now_s):
        tree.delete(writing, act, found.node)


def _lies_among_sent(view: View, reading: Reading, folder_id: int) -> bool:
    path = view.at(reading, folder_id).path
    return path == (sent_files.FOLDER,)


def refusals() -> dict[str, str]:
    """Words for the script of the page, by code."""
    own = {
        "mail.attachment_not_kept": _(
            "Cette pièce jointe est retenue, ou son courriel n’est pas encore vérifié : elle ne va pas dans le Coffre."
        ),
        "drive.frozen": _("Ce fichier a été reconnu comme dangereux : le Coffre ne le prend pas."),
    }
    return {code: str(words) for code, words in (drive_words.REFUSALS | drive_words.SENDING).items()} | own
