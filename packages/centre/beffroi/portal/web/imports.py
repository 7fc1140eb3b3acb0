"""Reprendre mon ancien courrier: ask an old mailbox, choose folders, follow, tell the world the new address, undo.

Access: the mailbox is looked up among the actor's own; another one's is "no such page". A password comes in once, is
        wrapped at once, and never goes back to a page.
Input:  hostile: names of folders and addresses of senders, which templates escape.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.lib import digits
from beffroi.lib.errors import Conflict, Invalid
from beffroi.mail import queries as mail
from beffroi.mail import reader
from beffroi.mail.deleted import KEEP_DAYS
from beffroi.mail.importing import actions, providers, queries, undoing
from beffroi.mail.importing.errors import FieldInvalid
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.importing.source import PORTS, Where
from beffroi.mail.importing.undoing import Weighed
from beffroi.mail.models import Mailbox
from beffroi.portal import import_words
from beffroi.portal.pages import asks_part, for_agents, page

MAX_SENDERS = 100
_State = ImportJob.State


@require_GET
@for_agents
def own(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The short address on a person's sheet: to the import into their own mailbox, or to where mailboxes are listed."""
    mailbox = mail.personal_mailboxes(actor).first()
    return HttpResponseRedirect(reverse("mail_imports", args=[mailbox.id]) if mailbox else reverse("mail"))


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@for_agents
def imports(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """What was and is being brought, and the form for another old mailbox; POST begins, or ticks a place."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    if request.method == "POST" and "place" in request.POST:
        actions.tick(
            actor=actor, mailbox=mailbox, key=request.POST["place"], done=request.POST.get("done") == "1"
        )
        return HttpResponseRedirect(reverse("mail_imports", args=[mailbox.id]) + "#h-places")
    error: dict[str, str] = {}
    if request.method == "POST":
        try:
            job = actions.begin(actor=actor, mailbox=mailbox, where=_where(request))
        except FieldInvalid as invalid:
            error = {invalid.field: _field_error(invalid.field)}
        except Conflict:
            error = {
                "form": _("Trois reprises sont déjà ouvertes pour cette boîte : terminez-en une d’abord.")
            }
        else:
            return HttpResponseRedirect(reverse("mail_import", args=[mailbox.id, job.id]))
    return page(
        request,
        "portal/imports.html",
        _overview(request, actor, mailbox, error),
        status=400 if error else 200,
    )


def _overview(request: HttpRequest, actor: Actor, mailbox: Mailbox, error: dict[str, str]) -> dict[str, Any]:
    asked = request.POST if request.method == "POST" else request.GET
    key = asked.get("fournisseur", "")
    chosen = providers.provider(key)
    hint = import_words.HINTS.get(chosen.hint, "") if chosen else ""
    moved = queries.moved_places(actor, mailbox)
    return {
        "place": "mail",
        "mailbox": mailbox,
        "jobs": [
            (job, import_words.state(job), queries.progress(job)) for job in queries.imports(actor, mailbox)
        ],
        "providers": providers.PROVIDERS,
        "chosen": chosen,
        "other": key == "autre",
        "hint": hint or import_words.OTHER_HINT,
        "error": error,
        "form": {name: request.POST.get(name, "") for name in ("host", "username", "tls")},
        "senders": list(queries.senders(actor, mailbox)[:MAX_SENDERS]),
        "places": [(one, text, one in moved) for one, text in import_words.PLACES.items()],
        "moved": len(moved),
    }


def _where(request: HttpRequest) -> Where:
    """Errors: FieldInvalid."""
    form = request.POST
    tls = form.get("tls", "implicit")
    port = form.get("port", "").strip() or str(PORTS.get(tls, 993))
    number = digits.number(port, 5)
    if number is None:
        raise FieldInvalid("port")
    chosen = providers.provider(form.get("fournisseur", ""))
    host = chosen.host if chosen else form.get("host", "")
    return Where(host, number, tls, form.get("username", ""), form.get("password", ""))


def _field_error(name: str) -> str:
    return {
        "host": _("Indiquez le nom du serveur, par exemple imap.exemple.fr."),
        "port": _("Ce port ou cette protection n’existe pas."),
        "username": _("Indiquez l’identifiant : c’est en général l’ancienne adresse entière."),
        "password": _("Indiquez le mot de passe de l’ancienne boîte."),
    }.get(name, _("Vérifiez ce que vous avez saisi."))


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@for_agents
def one_import(request: HttpRequest, actor: Actor, mailbox_id: str, job_id: str) -> HttpResponse:
    """One import: its folders, how far it is, what failed. POST is one word of the person."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    job = queries.access_import(actor, mailbox, job_id)
    error = ""
    if request.method == "POST":
        try:
            _act(request, actor, job)
        except Invalid:
            error = (
                _("Choisissez au moins un dossier.")
                if job.state == _State.READY
                else _("Vérifiez ce que vous avez saisi.")
            )
        else:
            return HttpResponseRedirect(reverse("mail_import", args=[mailbox.id, job.id]))
    job.refresh_from_db()
    ticked = request.POST.getlist("folder")
    context = {
        "place": "mail",
        "mailbox": mailbox,
        "job": job,
        "state": import_words.state(job),
        "told": import_words.told(job),
        "progress": queries.progress(job),
        "folders": [
            (one, import_words.target(one.target), str(one.pk) in ticked if error else one.chosen)
            for one in job.folders.all()
        ],
        "collects": "collect" in request.POST or not error,
        "failures": [
            (one, import_words.target(one.folder.target), import_words.reason(one))
            for one in queries.failures(job)
        ],
        "passed": job.passed_names.splitlines(),
        "moving": job.state in (_State.LISTING, _State.RUNNING, _State.UNDOING),
        "may_undo": queries.may_undo(job),
        "left": undoing.left(job) if job.state == _State.UNDOING else 0,
        "unlisted": undoing.unlisted(job) if job.state in queries.OVER else 0,
        "days": KEEP_DAYS,
        "archive": job.tls == ImportJob.Tls.NONE,
        "error": error,
    }
    if not asks_part(request, "state"):
        return page(request, "portal/import.html", context, status=400 if error else 200)
    # 286 ends htmx's asking: there is nothing more to wait for.
    response = page(
        request, "portal/parts/import_state.html", context, status=200 if context["moving"] else 286
    )
    if job.state == _State.READY:  # its form of folders is no part that changes under the person's hands
        response["HX-Refresh"] = "true"
    return response


@require_http_methods(["GET", "POST"])
@for_agents
def undo(request: HttpRequest, actor: Actor, mailbox_id: str, job_id: str) -> HttpResponse:
    """What would go and what would stay; POST takes away what the import brought. Nothing, once its list is no more."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    job = queries.access_import(actor, mailbox, job_id)
    back = HttpResponseRedirect(reverse("mail_import", args=[mailbox.id, job.id]))
    if job.state in (_State.UNDOING, _State.UNDONE):  # also the second press of the button
        return back
    if request.method == "POST":
        actions.undo(actor=actor, job=job)
        return back
    weighed = Weighed()
    if queries.may_undo(job):
        with reader.connect(settings.BEFFROI, mailbox.address) as client:
            weighed = undoing.weigh(client, job)
    context = {
        "place": "mail",
        "mailbox": mailbox,
        "job": job,
        "goes_on": job.state in queries.OPEN,
        "weighed": weighed,
        "unlisted": undoing.unlisted(job),
        "days": KEEP_DAYS,
    }
    return page(request, "portal/import_undo.html", context)


def _act(request: HttpRequest, actor: Actor, job: ImportJob) -> None:
    """Errors: Invalid, Conflict."""
    word = request.POST.get("word", "")
    if word == "choose":
        wanted = set(request.POST.getlist("folder"))
        ids = [one for one in job.folders.values_list("id", flat=True) if str(one) in wanted]
        actions.choose(actor=actor, job=job, folder_ids=ids, collect=request.POST.get("collect") == "1")
    elif word == "pause":
        actions.pause(actor=actor, job=job)
    elif word == "resume":
        actions.resume(actor=actor, job=job, password=request.POST.get("password", ""))
    elif word == "cancel":
        actions.cancel(actor=actor, job=job)
    else:
        raise Invalid("word")
