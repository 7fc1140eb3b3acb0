"""Files of contacts and of an agenda: one is looked at, taken in, taken out again; a book or a calendar is downloaded.

The file is read by the process ``calendars``, and waits there; this one holds it while it is handed on.
Input:  hostile: the file, its size, the form. Names in it are escaped by templates, and never logged.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes, wire_bringing
from beffroi.drive.calendars.wire_bringing import Kind
from beffroi.lib.errors import NotFound, TooLarge, Unavailable
from beffroi.portal import bringing_words
from beffroi.portal.calendars import CALENDARS, SHOWN, WORDS, asking, require_new
from beffroi.portal.dates import date_format
from beffroi.portal.pages import as_file, for_agents, page

_GIVEN: dict[tuple[Kind, str], str] = {
    ("contacts", "prive"): "mes-contacts",
    ("contacts", "commun"): "contacts-de-la-mairie",
    ("agenda", "prive"): "mon-agenda",
    ("agenda", "commun"): "agenda-de-la-mairie",
}
_TYPES: dict[Kind, tuple[str, str]] = {"contacts": ("text/vcard", "vcf"), "agenda": ("text/calendar", "ics")}


@require_http_methods(["GET", "POST"])
@for_agents
def bring(request: HttpRequest, actor: Actor, kind: Kind) -> HttpResponse:
    """A file to choose, what the one that waits would do, what the last one did. Errors: NotAllowed."""
    if request.method == "GET":
        return _shown(request, actor, kind)
    if "file" in request.FILES or "id" not in request.POST:
        return _look(request, actor, kind)
    return _act(request, actor, kind, request.POST["id"])


@require_GET
@for_agents
def give(request: HttpRequest, actor: Actor, kind: Kind, calendar: str, handed: str = "") -> HttpResponse:
    """``handed``: the name of one that was handed over. Errors: NotFound (what one does not see)."""
    if calendar == "commun" and actor.role not in homes.READERS:
        raise NotFound("calendar")
    try:
        given = asking(actor).give(wire_bringing.Given(kind, SHOWN[calendar], handed))
    except TooLarge:
        messages.error(
            request,
            _("Il y en a trop pour un seul fichier, à cause des photos. Branchez un appareil à la place."),
        )
        return HttpResponseRedirect(reverse(kind))
    if not given.text:
        messages.info(request, _("Il n’y a encore rien à télécharger."))
        return HttpResponseRedirect(reverse(kind))
    name = _GIVEN.get((kind, calendar)) or slugify(given.title) or kind
    media_type, suffix = _TYPES[kind]
    return as_file(given.text, f"{media_type}; charset=utf-8", f"{name}.{suffix}")


def _look(request: HttpRequest, actor: Actor, kind: Kind) -> HttpResponse:
    """Errors: NotAllowed."""
    calendar, file = request.POST.get("calendar", "prive"), request.FILES.get("file")
    require_new(actor, calendar)
    if not isinstance(file, UploadedFile):
        # One that is larger than memory may hold never becomes a file here (settings.web).
        sent = int(request.headers.get("Content-Length") or 0) > wire_bringing.MAX_FILE_BYTES
        wrong = bringing_words.refused(kind, "size") if sent else _("Choisissez un fichier.")
        return _shown(request, actor, kind, wrong)
    if (file.size or 0) > wire_bringing.MAX_FILE_BYTES:
        return _shown(request, actor, kind, bringing_words.refused(kind, "size"))
    try:
        found = asking(actor).bring(wire_bringing.Brought(kind, CALENDARS[calendar], file.read()))
    except bringing_words.FULL as error:
        return _shown(request, actor, kind, bringing_words.full(error))
    if found.refused:
        return _shown(request, actor, kind, bringing_words.refused(kind, found.refused))
    return HttpResponseRedirect(reverse(f"{kind}_bring"))


def _act(request: HttpRequest, actor: Actor, kind: Kind, file_id: str) -> HttpResponse:
    """Errors: NotAllowed."""
    which = wire_bringing.Which(kind, file_id)
    try:
        if "take" in request.POST:
            messages.success(request, bringing_words.taken(kind, asking(actor).take_in(which)))
        else:
            waited = not asking(actor).brought(wire_bringing.Last(kind)).taken
            done = asking(actor).take_out(which)
            said = _("Rien n’a été ajouté.") if waited else bringing_words.taken_out(kind, done)
            messages.success(request, said)
    except NotFound:
        messages.error(
            request, _("Ce fichier n’attend plus ici : un autre a pris sa place, ou il est trop tard.")
        )
    except Unavailable:
        # What was begun goes on without whoever asked.
        messages.warning(
            request, _("C’est plus long que prévu. Revenez ici dans une minute pour voir où cela en est.")
        )
        return HttpResponseRedirect(reverse(kind))
    except bringing_words.FULL as error:
        messages.error(request, bringing_words.full(error))
    return HttpResponseRedirect(reverse(f"{kind}_bring"))


def _shown(request: HttpRequest, actor: Actor, kind: Kind, wrong: str = "") -> HttpResponse:
    file = asking(actor).brought(wire_bringing.Last(kind))
    writes = actor.role in homes.WRITERS
    context = {
        "place": kind,
        "kind": kind,
        "back": reverse(kind),
        "file": file,
        "word": WORDS[file.calendar],
        "unreadable": bringing_words.unreadable(file),
        "rest": file.broken - len(file.unreadable),
        "more": file.new - len(file.names),
        "until": _until(file),
        "writes": writes,
        "calendar": request.POST.get("calendar", "commun" if writes else "prive"),
        "most": wire_bringing.MAX_FILE_BYTES,
        "wrong": wrong,
    }
    return page(request, "portal/bring.html", context, status=400 if wrong else 200)


def _until(file: wire_bringing.File) -> str:
    if file.at is None:
        return ""
    last = timezone.localdate(file.at + timedelta(days=wire_bringing.KEPT_DAYS))
    return date_format(last, "j F")
