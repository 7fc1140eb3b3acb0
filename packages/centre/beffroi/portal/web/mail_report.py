"""Courrier: report a mail as phishing, and what became of that.

Input:  hostile: what the form sends back; everything in the mail, which the templates escape.
Access: ``mail.access``: the actor's own mailboxes, and those that are lent to them, there what the delegate may see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError, Invalid, NotFound
from beffroi.lib.ids import is_id
from beffroi.mail import access, actions, queries, reader
from beffroi.mail.access import Access, Right
from beffroi.portal import safe_html
from beffroi.portal.pages import asks_part, for_agents, page
from beffroi.portal.web import delegations
from beffroi.portal.web.folders import asked_folder, folder_context
from beffroi.watch import queries as watch

REPORTED_KEY = "reported"
MAX_REMEMBERED = 100


class NotCheckedYet(BeffroiError):
    """This mail was delivered while the mail door was away; its evidence is being collected."""

    code = "mail.not_checked_yet"
    http_status = 409
    retryable = True


@require_http_methods(["GET", "POST"])
@for_agents
def report(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int) -> HttpResponse:
    """Ask for confirmation with the consequences; then hand the sighting in."""
    box = access.access(actor, mailbox_id, Right.READ)
    folder = asked_folder(request)
    if request.method == "GET":
        view = _read(box, uid, folder)
        context = {
            "place": "mail",
            "mailbox": box.mailbox,
            "uid": uid,
            "message": view.summary,
            "code_hosts": list(
                dict.fromkeys(
                    safe_html.host_of(url) for url in queries.in_codes(box.mailbox, view.summary.beffroi_id)
                )
            ),
        }
        context |= delegations.shown(box)
        context |= folder_context(folder, [])
        return page(request, "portal/mail_report.html", context)
    beffroi_id = request.POST.get("beffroi_id", "")
    if not is_id(beffroi_id, "msg"):
        raise Invalid("beffroi_id")
    if report_state(request, actor, beffroi_id) is None:
        _hand_in(box, uid, beffroi_id, folder)
        known = [one for one in request.session.get(REPORTED_KEY, []) if one != beffroi_id]
        request.session[REPORTED_KEY] = [*known, beffroi_id][-MAX_REMEMBERED:]
    return HttpResponseRedirect(reverse("mail_reported", args=[beffroi_id]))


def _hand_in(box: Access, uid: int, beffroi_id: str, folder: str) -> None:
    """Errors: NotFound, NotCheckedYet (the mail lies there, and the sweep has not collected its evidence yet)."""
    # A delegate reports what they may see, so the mail itself is asked first.
    if not box.owns and _read(box, uid, folder).summary.beffroi_id != beffroi_id:
        raise NotFound("message")
    try:
        actions.report_phishing(actor=box.actor, mailbox=box.mailbox, beffroi_id=beffroi_id)
    except NotFound:
        if _read(box, uid, folder).summary.beffroi_id != beffroi_id:
            raise
        raise NotCheckedYet from None


@require_GET
@for_agents
def reported(request: HttpRequest, actor: Actor, beffroi_id: str) -> HttpResponse:
    """Thank you, and what became of it. Does not need the mail: it may have been withdrawn meanwhile."""
    state = report_state(request, actor, beffroi_id)
    if state is None:
        raise NotFound("report")
    context = {"place": "mail", "report": state, "beffroi_id": beffroi_id}
    part = asks_part(request, "state")
    return page(request, "portal/parts/report_state.html" if part else "portal/mail_reported.html", context)


def report_state(request: HttpRequest, actor: Actor, beffroi_id: str) -> dict[str, Any] | None:
    """The actor's own report of this message and what came of it; None if there is none."""
    if not beffroi_id:
        return None
    own = watch.own_report(actor, beffroi_id)
    if own is not None:
        return {"state": own.state, "seen_at": own.seen_at, "beffroi_id": beffroi_id}
    if beffroi_id in request.session.get(REPORTED_KEY, []):
        # Handed in a moment ago; the evidence is being compared.
        return {"state": "received", "seen_at": None, "beffroi_id": beffroi_id}
    return None


def reported_among(request: HttpRequest, actor: Actor, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which mails of a list the actor reported; of what was handed in a moment ago this browser knows."""
    shown = [row["message"].beffroi_id for row in rows if row["message"].beffroi_id]
    return watch.own_reports(actor, shown) | set(request.session.get(REPORTED_KEY, []))


def _read(box: Access, uid: int, folder: str) -> reader.MessageView:
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        return opened.read(uid, folder)
