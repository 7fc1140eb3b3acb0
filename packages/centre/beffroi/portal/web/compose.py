"""Courrier: write, answer, pass on; keep the draft; send.

Input:  hostile: what is typed, what is attached, and the mail that is answered. A line end in a header is refused.
Access: ``mail.access``: the actor's own mailboxes, and those that are lent to them to answer; another one's is "no such
        page".
Works without scripts; with them (static/portal/webmail.js) the same form is saved by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, digits
from beffroi.lib.errors import BeffroiError, Invalid, NotFound
from beffroi.mail import access, compose, contacts, drafts, original, queries, reader, sendings
from beffroi.mail.access import Access, Right
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.compose import Draft, DraftInvalid, File
from beffroi.mail.drafts import DraftChanged, Place
from beffroi.mail.filters import queries as own_settings
from beffroi.mail.models import Mailbox
from beffroi.mail.people import handling
from beffroi.mail.people import queries as team
from beffroi.portal import calendars, drive_words, safe_html, webmail_words
from beffroi.portal.error_words import words_of
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import delegations, mail_files, unsubscribing
from beffroi.portal.web.folders import asked_folder
from beffroi.portal.words import exact, file_title, hour

ANSWERS = {"repondre": "reply", "tous": "all", "transferer": "forward"}
_SECTION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,20}")
MAX_ASKED_CHARS = 8000
"""Of addresses in an address: a group of contacts."""
FIELDS = ("to", "cc", "bcc", "subject", "text", "message_id", "in_reply_to", "references", "tab", "source")


@require_GET
@for_agents
def write(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """An empty page to write on, or one that answers a mail (``repondre``, ``tous``, ``transferer`` = its number),
    or leaves its list (``desabonner``)."""
    box = access.access(actor, mailbox_id, Right.ANSWER)
    mailbox = box.mailbox
    asked = {"to": "a", "bcc": "cci"}
    form: dict[str, Any] = {name: request.GET.get(word, "")[:MAX_ASKED_CHARS] for name, word in asked.items()}
    for word, how in ANSWERS.items():
        uid = digits.number(request.GET.get(word, ""), 10)
        if uid is not None:
            form = _answer(box, uid, asked_folder(request), how)
            if how != "forward" and team.title_of(mailbox) and form["answered"]:
                form["answering"] = _colleague(actor, mailbox, form["answered"])
                handling.answering(actor=actor, mailbox=mailbox, key=form["answered"])
            break
    if (uid := digits.number(request.GET.get("desabonner", ""), 10)) is not None:
        return _form(request, box, unsubscribing.form(box, uid, asked_folder(request)))
    own = delegations.signature(box) or own_settings.signature(actor, mailbox)
    signed = compose.signed(own, own_settings.common_line(mailbox.collectivite_id))
    form["text"] = signed + form.get("text", "")
    return _form(request, box, form)


def _answer(box: Access, uid: int, folder: str, how: str) -> dict[str, Any]:
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        view = opened.read(uid, folder)
        found = original.fetch(opened, uid, folder, _words(view))
    own = [box.address, *aliases.senders(box.mailbox)]
    names = {"who": found.from_name or found.from_address}
    names |= {"when": exact(found.sent_at)} if found.sent_at else {}
    if how == "forward":
        words = _("---------- Message transféré ----------") + "\n"
        words += _("De : %(who)s") % {"who": f"{found.from_name} <{found.from_address}>".strip()} + "\n"
        words += _("Date : %(when)s") % names + "\n" if found.sent_at else ""
        words += _("Objet : %(subject)s") % {"subject": found.subject} + "\n"
        words += _("À : %(to)s") % {"to": ", ".join(found.to)}
    else:
        words = (_("Le %(when)s, %(who)s a écrit :") if found.sent_at else _("%(who)s a écrit :")) % names
    others = [one.alias.address for one in aliases.leading_to([box.mailbox])]
    form: dict[str, Any] = compose.answer(found, how, box.address, words, others)
    form["sender"] = compose.addressed(found, own)
    form["source"] = compose.source_of(found, how)
    form["how"] = how
    form["answered"] = team.message_key(view.summary)
    if how == "forward":
        form["forwarded"] = view.attachments
        form["forwarded_uid"], form["forwarded_folder"] = uid, folder
    return form


def _words(one: reader.MessageView | original.Opened) -> str:
    """Some programs send an empty text beside their HTML."""
    return one.text if one.text.strip() else safe_html.words_in(one.html)


def _colleague(actor: Actor, mailbox: Mailbox, key: str) -> str:
    """Who else is answering this mail just now; "" for nobody."""
    found = team.marks(actor, mailbox, [key]).get(key)
    return found.answering if found else ""


def _presence(request: HttpRequest, actor: Actor, mailbox: Mailbox, what: str) -> None:
    """Tell the colleagues of a functional mailbox that its mail is still being answered, or not any more."""
    key = request.POST.get("answered", "")
    if team.is_key(key) and team.title_of(mailbox):
        tell = handling.answering if what == "save" else handling.stop_answering
        tell(actor=actor, mailbox=mailbox, key=key)


@require_GET
@for_agents
def draft(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int) -> HttpResponse:
    """Go on writing a draft."""
    box = access.access(actor, mailbox_id, Right.ANSWER)
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        found = original.draft(opened, uid)
    form = {name: getattr(found, name, "") for name in FIELDS}
    form["text"] = _words(found)
    form |= {"uid": found.uid, "uid_validity": found.uid_validity, "files": found.attachments}
    form |= {"sender": found.sender, "reply_to": found.reply_to, "asks_receipt": found.asks_receipt}
    form["formatted"] = bool(found.html.strip())
    # Begun by a program that names its machine, or the alias' domain.
    if not _is_own(found.message_id, box.mailbox):
        form["message_id"] = ""
    return _form(request, box, form)


@require_POST
@for_agents
def save(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Keep the draft (``what`` = save), send it, or put it away; JSON for the script of the page."""
    box = access.access(actor, mailbox_id, Right.ANSWER)
    mailbox = box.mailbox
    what = request.POST.get("what", "save")
    if what not in ("save", "send", "discard"):
        raise Invalid("what")
    at = _place(request)

    def call_back(place: Place) -> None:
        sendings.call_back(actor=actor, mailbox=mailbox, place=place)

    try:
        if what == "discard":
            if at is not None:
                call_back(at)
            _presence(request, actor, mailbox, what)
            answer = _discard(request, box, at)
            mail_files.forget_message(request, box, [request.POST.get("message_id", "")])
            return answer
        forwarded, left_out = _passed(request, box, lenient=what != "send" and _by_script(request))
        written = _written(request, box, forwarded)
        compose.check(written, clock.now(), lenient=what != "send")
        with access.open_drafts(settings.BEFFROI, box) as folder:
            saved = folder.save(written, at=at, replaces=call_back, keep=_kept(request), final=what == "send")
    except (
        DraftInvalid,
        DraftChanged,
        sendings.AlreadyLeaving,
        reader.MailboxUnavailable,
        NotFound,
    ) as error:
        return _not_saved(request, box, error)
    _presence(request, actor, mailbox, what)
    if what == "send":
        leaving = sendings.schedule(
            actor=actor,
            mailbox=mailbox,
            place=saved.place,
            message_id=written.message_id,
            recipients=len(compose.recipients(written)),
        )
        return _went(request, f"{reverse('mail_list', args=[mailbox.id])}#sending-{leaving.id}")
    return _kept_answer(request, box, saved, written, left_out)


def _passed(request: HttpRequest, box: Access, *, lenient: bool) -> tuple[list[File], str]:
    """Attachments that are passed on; ``lenient``: none, and why, where they cannot be. Errors: DraftInvalid."""
    try:
        return _forwarded(request, box), ""
    except DraftInvalid as error:
        if not lenient:
            raise
        return [], webmail_words.trouble(error)


def _discard(request: HttpRequest, box: Access, at: Place | None) -> HttpResponse:
    if at is not None:
        try:
            with access.open_drafts(settings.BEFFROI, box) as folder:
                folder.put_away(at)
        except DraftChanged:
            pass
    return _went(request, reverse("mail_list", args=[box.mailbox.id]))


def _went(request: HttpRequest, target: str) -> HttpResponse:
    return JsonResponse({"goto": target}) if _by_script(request) else HttpResponseRedirect(target)


def _kept_answer(
    request: HttpRequest, box: Access, saved: drafts.Saved, written: Draft, left_out: str
) -> HttpResponse:
    """``left_out``: why what is passed on is not in it; the page goes on showing that, ticked."""
    if not _by_script(request):
        return HttpResponseRedirect(reverse("mail_draft", args=[box.mailbox.id, saved.place.uid]))
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        files = (
            opened.read(saved.place.uid, drafts.DRAFTS).attachments if written.files or _kept(request) else ()
        )
    return JsonResponse(
        {
            "uid": saved.place.uid,
            "uid_validity": saved.place.uid_validity,
            "message_id": written.message_id,
            "saved": _("Brouillon gardé à %(hour)s") % {"hour": hour(clock.now())},
            "apart": saved.apart,
            "left_out": left_out,
            "files": [
                {"part": one.part, "name": file_title(one), "size_bytes": one.size_bytes} for one in files
            ],
        }
    )


def _not_saved(request: HttpRequest, box: Access, error: BeffroiError) -> HttpResponse:
    """What is wrong and what to do, with everything that was typed still there."""
    words = webmail_words.trouble(error) or " ".join(words_of(error, getattr(request, "actor", None)))
    field_name = error.field_name if isinstance(error, DraftInvalid) else ""
    if _by_script(request):
        return JsonResponse({"error": words, "field": field_name}, status=error.http_status)
    form: dict[str, Any] = {name: request.POST.get(name, "") for name in (*FIELDS, "answered", "sender")}
    at = _place(request)
    form |= {"uid": at.uid if at else "", "uid_validity": at.uid_validity if at else ""}
    form |= {"error": words, "error_field": field_name}
    if at is not None and not isinstance(error, (DraftChanged, NotFound)):
        form["files"] = _named(box, _kept(request), at.uid, drafts.DRAFTS)
    parts, uid, folder = _passed_on(request)
    if parts and not isinstance(error, NotFound):
        form |= {"forwarded": _named(box, parts, uid, folder), "forwarded_uid": uid}
        form |= {"forwarded_folder": folder}
    return _form(request, box, form, status=error.http_status)


def _named(box: Access, parts: Sequence[str], uid: int, folder: str) -> list[reader.Attachment]:
    """These attachments, to be ticked again; without their names where the mailbox does not tell them now."""
    known: dict[str, reader.Attachment] = {}
    with suppress(NotFound, reader.MailboxUnavailable), access.open_mailbox(settings.BEFFROI, box) as opened:
        known = {one.part: one for one in opened.read(uid, folder).attachments}
    return [known.get(one) or reader.Attachment(one, "", "", 0) for one in parts]


def _written(request: HttpRequest, box: Access, forwarded: Sequence[File]) -> Draft:
    """What the form says. Errors: DraftInvalid."""
    mailbox = box.mailbox
    values: dict[str, Any] = {name: request.POST.get(name, "") for name in FIELDS}
    values["message_id"] = values["message_id"] or compose.new_message_id(mailbox.address)
    if not _is_own(values["message_id"], mailbox):
        raise DraftInvalid("message_id", "control")
    sender = request.POST.get("sender", "").lower() or mailbox.address
    if sender != mailbox.address and not aliases.may_write_as(mailbox, sender):
        raise DraftInvalid("sender", "not_yours")
    files = [*forwarded, *_uploaded(request)]
    if box.delegation is not None:
        values |= delegations.sender(box)
    else:
        values["from_name"] = team.title_of(mailbox) or identity.person_name(box.actor.id)
    return Draft(
        from_address=sender,
        files=files,
        **values,
    )


def _is_own(message_id: str, mailbox: Mailbox) -> bool:
    return message_id.endswith(f"@{mailbox.address.rpartition('@')[2]}>")


def _uploaded(request: HttpRequest) -> list[File]:
    # What is larger than memory may hold never becomes a file here (settings.web).
    if int(request.headers.get("Content-Length") or 0) > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
        raise DraftInvalid("files", "too_large")
    found = request.FILES.getlist("files")
    if len(found) > compose.MAX_FILES:
        raise DraftInvalid("files", "too_many")
    if sum(one.size or 0 for one in found) > compose.MAX_FILES_BYTES:
        raise DraftInvalid("files", "too_large")
    return [File(one.name or "", one.read()) for one in found]


def _forwarded(request: HttpRequest, box: Access) -> list[File]:
    """Attachments of the mail that is passed on, at the first saving; none that a decision holds. Errors: DraftInvalid,
    before more than can leave is in memory."""
    parts, uid, folder = _passed_on(request)
    if not parts:
        return []
    out = []
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        beffroi_id = opened.read(uid, folder).summary.beffroi_id
        for part in parts[: compose.MAX_FILES]:
            found, data = opened.attachment(uid, part, folder)
            if queries.holds_file(box.actor, beffroi_id, data):
                raise DraftInvalid("files", "held", found.name)
            out.append(File(found.file_name, data))
            if sum(len(one.data) for one in out) > compose.MAX_FILES_BYTES:
                raise DraftInvalid("files", "too_large")
    return out


def _passed_on(request: HttpRequest) -> tuple[list[str], int, str]:
    """(sections of attachments, number and folder of the mail that has them)."""
    uid = digits.number(request.POST.get("forwarded_uid", ""), 10)
    if uid is None:
        return [], 0, ""
    parts = [one for one in request.POST.getlist("forward") if _SECTION.fullmatch(one)]
    return parts, uid, request.POST.get("forwarded_folder", "INBOX")[:255]


def _kept(request: HttpRequest) -> list[str]:
    return [one for one in request.POST.getlist("keep") if _SECTION.fullmatch(one)]


def _place(request: HttpRequest) -> Place | None:
    uid, validity = (digits.number(request.POST.get(name, ""), 10) for name in ("uid", "uid_validity"))
    return None if uid is None or validity is None else Place(validity, uid)


def _by_script(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "") == "application/json"


def _form(request: HttpRequest, box: Access, form: dict[str, Any], *, status: int = 200) -> HttpResponse:
    form["message_id"] = form.get("message_id") or compose.new_message_id(box.address)
    context = {
        **delegations.shown(box),
        "place": "mail",
        "mailbox": box.mailbox,
        "form": form,
        "senders": _senders(box.mailbox, str(form.get("sender") or "")),
        "limit_bytes": compose.MAX_FILES_BYTES,
        "files_too_large": webmail_words.files_too_large(),
        "undo_s": sendings.UNDO_S,
        "ends": drive_words.link_ends(),
        "coffre_refusals": mail_files.refusals(),
    }
    return page(request, "portal/mail_compose.html", context, status=status)


def _senders(mailbox: Mailbox, chosen: str) -> list[str]:
    """As whom one may write: one's own address first, then aliases, then the address with "+detail" that was written
    to. One alone is no choice."""
    known = [mailbox.address, *aliases.senders(mailbox)]
    if chosen.lower() not in known and aliases.may_write_as(mailbox, chosen.lower()):
        known.append(chosen.lower())
    return known if len(known) > 1 else []


@require_GET
@for_agents
def people(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Whom one may want to write to: [name, address] each, the ones written to most recently first, then the
    collectivité, then one's contacts."""
    mailbox = access.access(actor, mailbox_id, Right.ANSWER).mailbox
    found = contacts.suggestions(settings.BEFFROI, actor, mailbox)
    known = {address.lower() for _, address in found}
    found += [one for one in calendars.suggestions(actor) if one[1].lower() not in known]
    return JsonResponse({"people": found})
