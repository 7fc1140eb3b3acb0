"""Boîtes fermées: what is left of a mailbox after a departure, its export for the archives, its erasure, its record.

Input:  hostile: every field. Asking and taking are POSTs after a step-up: an export is all that a colleague wrote.
Access: the référent of the collectivité of the session; for everybody else there is no such page.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotFound, Unavailable, existing
from beffroi.mail.closing import actions, bag, erasures, queries
from beffroi.mail.models import Mailbox
from beffroi.mail.people import queries as people
from beffroi.portal import closing_words, erasure_file
from beffroi.portal.pages import as_file, asks_part, for_agents, page
from beffroi.portal.web import step_up

PLACE = {"place": "persons"}
AT_ONCE = 2
"""Downloads of a process: each holds one of its threads for as long as the other side takes."""
_room = threading.BoundedSemaphore(AT_ONCE)


class DownloadsBusy(Unavailable):
    """Other exports are being downloaded; try again shortly."""

    code = "mail.downloads_busy"


class _Pieces:
    """What is sent; makes room for the next download at its end, however that comes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._open = pieces, True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._open:
            self._open = False
            _room.release()

    __del__ = close


@require_GET
@for_agents
def mailboxes(request: HttpRequest, actor: Actor) -> HttpResponse:
    if not people.may_manage(actor):
        raise NotFound("page")
    rows = list(queries.closed_mailboxes(actor)[:200])
    named, erasures_ = people.titles(rows), queries.erasures_of(rows)
    owners = identity.person_names({one.person_id for one in rows if one.person_id})
    shown = [
        {
            "box": one,
            "title": named.get(one.id, ""),
            "owner": owners.get(one.person_id or "", ""),
            "erasure": closing_words.erasure(erasures_[one.id]) if one.id in erasures_ else None,
        }
        for one in rows
    ]
    return page(request, "portal/closed_mailboxes.html", PLACE | {"rows": shown})


@require_http_methods(["GET", "POST"])
@for_agents
def mailbox(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """State, exports, erasure; POST asks for either, after a step-up, or calls one back."""
    found = queries.access_closed(actor, mailbox_id)
    if request.method == "POST":
        _change(request, actor, found)
        return HttpResponseRedirect(reverse("closed_mailbox", args=[found.id]))
    rows = [closing_words.export(one) for one in queries.exports(found)[:20]]
    erasure = _erasure(found)
    gone = not found.crypt_key
    context = PLACE | {
        "box": found,
        "owner": _owner(found),
        "exports": rows,
        "under_way": any(one["under_way"] for one in rows),
        "erasure": erasure,
        "stands": erasure is not None and erasure["row"].state in queries.STANDING,
        "gone": gone,
        "erasable_from": queries.erasable_from(found),
        "too_early": queries.erasable_from(found) > clock.now(),
        "held": erasures.held(found),
        "call_back_h": erasures.CALL_BACK_H,
    }
    part = asks_part(request, "exports")
    return page(
        request, "portal/parts/closed_exports.html" if part else "portal/closed_mailbox.html", context
    )


def _change(request: HttpRequest, actor: Actor, found: Mailbox) -> None:
    word = request.POST.get("word", "")
    if word in ("export", "erase"):
        step_up.require(request)
    if word == "export":
        actions.ask_export(actor=actor, mailbox=found)
        messages.success(request, _("L’export se prépare. Vous pouvez quitter cette page et y revenir."))
    elif word == "end":
        row = queries.access_export(actor, found.id, request.POST.get("export", ""))
        actions.end_export(actor=actor, export=row)
        messages.success(
            request, _("C’est fait : il n’y a plus de fichier. Un nouvel export reste possible.")
        )
    elif word == "erase":
        erasures.ask(actor=actor, mailbox=found)
        messages.success(
            request,
            _("C’est demandé : le Département répond avec le visa des Archives. Rien n’est effacé encore."),
        )
    elif word == "call_back":
        erasures.call_back(actor=actor, erasure=existing(queries.erasure_of(found), "erasure"))
        messages.success(request, _("L’effacement est abandonné : rien n’a été effacé."))
    else:
        raise Invalid("word")


@require_POST
@for_agents
def download(request: HttpRequest, actor: Actor, mailbox_id: str, export_id: str) -> HttpResponse:
    """The ZIP, after a step-up; piece by piece, so that its size does not matter."""
    found = queries.access_export(actor, mailbox_id, export_id)
    step_up.require(request)
    if not _room.acquire(blocking=False):
        raise DownloadsBusy
    try:
        pieces, size_bytes = actions.download(actor=actor, export=found)
    except BaseException:
        _room.release()
        raise
    name = bag.base(queries.access_closed(actor, mailbox_id).address, found.created_at) + ".zip"
    return StreamingHttpResponse(  # type: ignore[return-value]
        _Pieces(pieces),
        content_type="application/zip",
        headers={
            "Content-Length": str(size_bytes),
            "Content-Disposition": f'attachment; filename="{name}"',
        },
    )


@require_http_methods(["GET", "POST"])
@for_agents
def certificate(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """The record of an erasure, to print; POST gives it as a signed file."""
    found = queries.erasure_of(queries.access_closed(actor, mailbox_id))
    done = existing(found if found and found.state == found.State.DONE else None, "certificate")
    if request.method == "POST":
        return certificate_answer(actor, done)
    return page(
        request,
        "portal/closed_certificate.html",
        PLACE | {"file": erasure_file.content(actor, done), "box_id": mailbox_id},
    )


def certificate_answer(actor: Actor, erasure: Any) -> HttpResponse:
    """The signed ZIP."""
    name = f"attestation-{erasure.id[-6:]}.zip"
    return as_file(erasure_file.make(actor, erasure), "application/zip", name)


def _erasure(box: Mailbox) -> dict[str, Any] | None:
    row = queries.erasure_of(box)
    return closing_words.erasure(row) if row is not None else None


def _owner(box: Mailbox) -> str:
    return identity.person_name(box.person_id) if box.person_id else ""
