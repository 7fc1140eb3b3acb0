"""Courrier: list, read safely.

Input:  hostile: everything in a mail. Text is escaped by the templates; HTML is cleaned and served from its own
        address, in a sandbox, with a policy that loads nothing.
Access: ``mail.access``: the actor's own mailboxes, and those that are lent to them; another one's is "no such page".
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_GET

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import digits
from beffroi.lib.errors import NotAllowed, NotFound
from beffroi.mail import access, drafts, enclosed, folders, queries, reader, sendings
from beffroi.mail.access import Right
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.held import sealing
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import base_address
from beffroi.mail.people import queries as people
from beffroi.mail.quota import queries as quota
from beffroi.mail.safety import queries as safety
from beffroi.portal import elsewhere, room_words, safe_html, safety_words, words
from beffroi.portal.pages import asks_part, for_agents, page, sought
from beffroi.portal.web import (
    delegations,
    invitations,
    mail_files,
    mail_report,
    mail_sending,
    shared,
    unsubscribing,
)
from beffroi.portal.web.banners import banners
from beffroi.portal.web.folders import asked_folder, folder_context, found_rows, last_moved, listed_rows

PAGE_MESSAGES = 30
MAX_SEARCH_CHARS = 200
MAX_RESULT_PAGES = 20
ENCRYPTED = ("application/pgp-encrypted", *enclosed.KINDS)
PICTURES = frozenset({"image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"})
MAX_PICTURES_BYTES = 3_000_000
"""Of all that are shown within a mail."""
CONTENT_POLICY: dict[str, list[str]] = {
    "default-src": ["'none'"],
    "img-src": ["data:"],
    "style-src": [safe_html.STYLE_SOURCE],
    "form-action": ["'none'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'self'"],
    # Links may open in a new tab, which is an ordinary page of its own site.
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}


class AttachmentBlocked(NotAllowed):
    """This attachment is held by a decision."""

    code = "mail.attachment_blocked"


@require_GET
@for_agents
def mailboxes(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The only mailbox, or a choice."""
    own = access.openable(actor)
    if len(own) == 1:
        return HttpResponseRedirect(reverse("mail_list", args=[own[0].id]))
    named, lent = people.titles(own), delegations.lent(actor)
    unread = elsewhere.unread([one for one in own if one.id not in lent])
    context = {
        "place": "mail",
        "mailboxes": [(one, named.get(one.id, ""), lent.get(one.id), unread.get(one.id)) for one in own],
    }
    return page(request, "portal/mailboxes.html", context)


@require_GET
@for_agents
def messages(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    box = access.access(actor, mailbox_id, Right.READ)
    mailbox = box.mailbox
    folder = asked_folder(request)
    asked = sought(request, MAX_SEARCH_CHARS)
    before_uid = digits.number(request.GET.get("avant", ""), 10)
    part = asks_part(request, "list")
    # A search looks everywhere, unless it names a folder.
    everywhere = bool(asked) and not request.GET.get("dossier")
    nth = _nth(request)
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        places = folders.listing(opened) if asked or not part else []
        room = folders.room(opened) if box.owns and not part else None
        if asked:
            searched = [one for one in places if everywhere or one.name == folder]
            if not searched:
                raise NotFound("folder")
            hits = folders.search(opened, searched, asked, skip=(nth - 1) * folders.HITS)
            rows, total, older = found_rows(hits.rows, everywhere=everywhere), hits.total, None
        else:
            listed, total = opened.list(folder, limit=PAGE_MESSAGES + 1, before_uid=before_uid), 0
            rows = listed_rows(folder, listed[:PAGE_MESSAGES])
            older = listed[PAGE_MESSAGES - 1].uid if len(listed) > PAGE_MESSAGES else None
    letters = _warned(actor, rows)
    context = {
        **folder_context(folder, places),
        "shared": shared.marked(actor, mailbox, letters),
        "asked": asked,
        "total": total,
        "moved": "" if part else last_moved(request, mailbox),
        "everywhere": everywhere,
        "nth": nth,
        "more": asked and nth * folders.HITS < total and nth < MAX_RESULT_PAGES,
        "too_many": asked and nth == MAX_RESULT_PAGES and nth * folders.HITS < total,
        "sendings": [mail_sending.shown(one) for one in sendings.unsettled(actor, mailbox)],
        "place": "mail",
        "mailbox": mailbox,
        **delegations.shown(box),
        "banners": banners([mailbox]) if box.owns and not part else [],
        "mailboxes": access.openable(actor),
        "letters": letters,
        "unread": next((one.unseen for one in places if one.name == folder), 0),
        "older": older,
        "first_page": before_uid is None and nth == 1,
        "reported": mail_report.reported_among(request, actor, letters),
        "room": room_words.mailbox(room) if room else None,
        "collectivite_full": not part
        and box.owns
        and quota.rooms([mailbox.collectivite_id])[mailbox.collectivite_id].full,
        "referent": actor.role == "referent",
    }
    return page(request, "portal/parts/mails.html" if part else "portal/mail_list.html", context)


def _nth(request: HttpRequest) -> int:
    """Which page of the results is asked for, from 1 on."""
    return min(digits.number(request.GET.get("suite", ""), 3) or 1, MAX_RESULT_PAGES)


def _warned(actor: Actor, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the list, with the tone of their tag where a mail of the conversation wants a call back."""
    ids = [one.beffroi_id for row in rows for one in row["messages"] if one.beffroi_id]
    found = safety.bank_warnings(actor, ids)
    for row in rows:
        of_row = [found[one.beffroi_id] for one in row["messages"] if one.beffroi_id in found]
        row["bank"] = safety_words.bank_tone(of_row)
    return rows


@require_GET
@for_agents
def read(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int) -> HttpResponse:
    box = access.access(actor, mailbox_id, Right.READ)
    mailbox = box.mailbox
    folder = asked_folder(request)
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        view = opened.read(uid, folder)
        if not view.summary.seen:
            opened.mark_seen(uid, folder)
        places, related = folders.listing(opened), folders.conversation(opened, folder, uid)
        origin = _origin(view, mailbox, folder)
        calendar = invitations.fetch(opened, view, uid, folder)
        signed = _signed(opened, view, uid, folder, actor)
        first = bool(origin["external"]) and folders.first_contact(opened, folder, view.summary, places)
    card = invitations.card(request, box, view, folder, calendar)
    if card is not None:
        view = invitations.without_part(view)
    view = replace(view, text=signed.text or view.text)
    safe = safe_html.clean(view.html) if view.html else None
    links = safe.links if safe else safe_html.links_in_text(view.text)
    deceptions = list(dict.fromkeys((link.shown_host, link.host) for link in links if link.deceptive))
    # What to do first: report what is in doubt, answer the rest.
    tone = origin["authentication"].tone if "authentication" in origin else ""
    context = {
        **delegations.shown(box),
        "place": "mail",
        "mailbox": mailbox,
        "uid": uid,
        "view": view,
        "message": view.summary,
        "safe": safe,
        "frame_size": _frame_size(view.html),
        "signed": bool(signed.text),
        "enclosed": signed,
        "encrypted": any(one.content_type in ENCRYPTED for one in view.attachments),
        "too_large_bytes": reader.MAX_ATTACHMENT_BYTES,
        # The deceptive ones first: the list shows no more than its beginning.
        "links": sorted(links, key=lambda link: not link.deceptive),
        "deceptions": deceptions,
        "unsubscribe": unsubscribing.offered(actor, view),
        "in_doubt": bool(deceptions) or tone == "bad" or folder == "Junk",
        "report": mail_report.report_state(request, actor, view.summary.beffroi_id),
        "invitation": card,
        "bank": safety_words.bank(
            safety.bank_warnings(actor, [view.summary.beffroi_id]).get(view.summary.beffroi_id)
        ),
        "conversation": [
            {
                "message": one,
                "in_folder": folder_context(place, [])["in_folder"],
                "sent": place == "Sent",
                "current": (place, one.uid) == (folder, uid),
            }
            for place, one in related
        ],
        **folder_context(folder, places),
        **origin,
        "first_contact": first,
        "keeps": bool(view.attachments) and box.owns and mail_files.is_keepable(view, folder),
        "coffre_refusals": mail_files.refusals(),
        **shared.team_context(request, actor, mailbox, view.summary),
    }
    return page(request, "portal/mail_read.html", context)


@require_GET
@xframe_options_sameorigin
@csp_override(CONTENT_POLICY)
@for_agents
def content(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int) -> HttpResponse:
    """The HTML of a mail, cleaned, for the frame alone."""
    box = access.access(actor, mailbox_id, Right.READ)
    folder = asked_folder(request)
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        view = opened.read(uid, folder)
        pictures = _pictures(opened, view, uid, folder, actor)
    return HttpResponse(
        safe_html.clean(view.html, pictures).document,
        headers={
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )


def _signed(
    opened: reader.MailboxReader, view: reader.MessageView, uid: int, folder: str, actor: Actor
) -> enclosed.Enclosed:
    """What stands within the signature, unless a decision holds it."""
    part = enclosed.part_of(view)
    if part is None:
        return enclosed.Enclosed()
    data = opened.attachment(uid, part.part, folder)[1]
    held = queries.holds_file(actor, view.summary.beffroi_id, data)
    return enclosed.Enclosed() if held else enclosed.read(settings.BEFFROI, data, part.part)


def _pictures(
    opened: reader.MailboxReader, view: reader.MessageView, uid: int, folder: str, actor: Actor
) -> dict[str, str]:
    """Attached pictures that the HTML shows, Content-ID -> a data: address, for the frame may load nothing. Large ones,
    and those that a decision holds, stay attachments."""
    out: dict[str, str] = {}
    wanted, left = safe_html.pictures_in(view.html), MAX_PICTURES_BYTES
    for one in view.attachments:
        if one.content_id not in wanted or one.content_type not in PICTURES or one.size_bytes > left:
            continue
        found, data = opened.attachment(uid, one.part, folder)
        left -= found.size_bytes
        if left >= 0 and not queries.holds_file(actor, view.summary.beffroi_id, data):
            out[one.content_id] = f"data:{one.content_type};base64,{base64.b64encode(data).decode()}"
    return out


@require_GET
@for_agents
def attachment(
    request: HttpRequest, actor: Actor, mailbox_id: str, uid: int, part: str, *, number: int | None = None
) -> HttpResponse:
    """One attached file, to save and never to show, unless a decision holds it. ``number``: of a file within the
    signature that the part is.

    ``vers=coffre``: the page keeps it in the Coffre. Errors: AttachmentBlocked, NotKept, AttachmentTooLarge,
    TooMuchEnclosed, NotFound.
    """
    box = access.access(actor, mailbox_id, Right.READ)
    folder = asked_folder(request)
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        view = opened.read(uid, folder)
        if request.GET.get("vers") == "coffre":
            mail_files.require_keepable(view, folder)
        beffroi_id = view.summary.beffroi_id
        found, data = opened.attachment(uid, part, folder)
    name = found.file_name
    blocked = queries.holds_file(actor, beffroi_id, data)
    if number is not None and not blocked:
        name, data = enclosed.piece(settings.BEFFROI, data, number)
        blocked = queries.holds_file(actor, beffroi_id, data)
    if blocked:
        raise AttachmentBlocked("attachment")
    disposition = content_disposition_header(True, name) or "attachment"
    return HttpResponse(
        data,
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": disposition,
            "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )


@require_GET
@for_agents
def attached(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int, part: str) -> HttpResponse:
    """A mail that is attached to another, as text: nothing proves who wrote it. Errors: AttachmentBlocked, NotFound,
    AttachmentTooLarge."""
    box = access.access(actor, mailbox_id, Right.READ)
    folder = asked_folder(request)
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        summary = opened.read(uid, folder).summary
        if queries.holds_file(actor, summary.beffroi_id, opened.attachment(uid, part, folder)[1]):
            raise AttachmentBlocked("attachment")
        found = opened.read_attached(uid, part, folder)
    context = {
        **delegations.shown(box),
        "place": "mail",
        "mailbox": box.mailbox,
        "uid": uid,
        "around": summary,
        "mail": found,
        "words": found.text if found.text.strip() else safe_html.words_in(found.html),
        "too_large_bytes": reader.MAX_ATTACHMENT_BYTES,
        **folder_context(folder, []),
    }
    return page(request, "portal/mail_attached.html", context)


def _frame_size(html: str) -> str:
    """Height of the frame by length of the mail: the page may not measure inside of it."""
    short = len(html) < 1500 and not safe_html.pictures_in(html)
    return "short" if short else "long" if len(html) > 12000 else ""


def _is_returned(view: reader.MessageView, mailbox: Mailbox) -> bool:
    """Whether our own Postfix writes of a message that left from here: it passes no door, and brings back an identifier
    that is in no header outside."""
    if view.summary.from_address.lower() != f"mailer-daemon@{settings.BEFFROI.mail_name}":
        return False
    sender = base_address(queries.sender_of(view.returned)) if view.returned else ""
    return bool(sender) and (sender == mailbox.address or aliases.leads_to(sender, mailbox.id))


def _origin(view: reader.MessageView, mailbox: Mailbox, folder: str) -> dict[str, Any]:
    """Who says to have written, and what the entry found out about it: nothing of what was written here."""
    domain = view.summary.from_address.rpartition("@")[2].lower()
    if folder == drafts.SENT and not view.summary.beffroi_id:  # what came in bears it, wherever it was moved
        return {"domain": domain, "external": False, "sent": True}
    if sealing.is_own(settings.BEFFROI, mailbox.address, view):
        return {"domain": domain, "external": False, "own": True, "authentication": words.own_mail()}
    if _is_returned(view, mailbox):
        return {"domain": domain, "external": False, "own": True, "authentication": words.returned_mail()}
    found = view.authentication
    return {
        "domain": domain,
        "external": communes.collectivite_of_domain(domain) is None,
        "authentication": words.authentication(
            domain, spf=found.spf, dkim=found.dkim, dmarc="pass" if found.is_proven else found.dmarc
        ),
    }
