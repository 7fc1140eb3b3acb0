"""Sources: outside lists of indicators. What waits for an answer comes first; nothing is fetched before "Démarrer"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError, Conflict, Invalid
from beffroi.portal import source_words, verbs, words
from beffroi.portal.pages import as_file, asks_part, for_administrators, page
from beffroi.watch.sources import actions, catalogue, export, handover, queries
from beffroi.watch.sources.formats.values import KINDS
from beffroi.watch.sources.models import FeedSource, SourceUpdate

DAY_S, HOUR_S = 86400, 3600


@dataclass(frozen=True)
class Row:
    """One source with its words. ``state``: a key of ``words.STATES``."""

    source: FeedSource
    state: str
    error: str
    detail: str
    weight: str
    held: Any
    doubts: str
    last: Any
    every: str
    ttl: str


class SourceForm(forms.Form):
    """What an administrator says about a source. Days and hours here, seconds behind."""

    name = forms.CharField(label=gettext_lazy("Nom"), max_length=80)
    address = forms.CharField(label=gettext_lazy("Adresse (https)"), max_length=500, required=False)
    format = forms.ChoiceField(label=gettext_lazy("Format"), choices=list(source_words.FORMATS.items()))
    licence = forms.CharField(label=gettext_lazy("Licence ou conditions d’usage"), max_length=100)
    weight = forms.ChoiceField(label=gettext_lazy("Effet"), choices=list(source_words.WEIGHTS.items()))
    threat = forms.ChoiceField(
        label=gettext_lazy("Menace"),
        choices=[("", gettext_lazy("plusieurs, ou non précisée")), *words.THREATS.items()],
        required=False,
    )
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Indices retenus"),
        choices=[(kind.value, words.KINDS[kind.value]) for kind in KINDS],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    ttl_days = forms.IntegerField(
        label=gettext_lazy("Durée de vie d’un indice non renouvelé (jours)"), min_value=1, max_value=365
    )
    every_hours = forms.IntegerField(
        label=gettext_lazy("Lecture toutes les (heures)"), min_value=1, max_value=720
    )
    column = forms.CharField(
        label=gettext_lazy("Colonne de l’indice (nom ou numéro)"), max_length=40, required=False
    )
    type_column = forms.CharField(
        label=gettext_lazy("Colonne du type MISP (nom ou numéro)"), max_length=40, required=False
    )
    delimiter = forms.ChoiceField(
        label=gettext_lazy("Séparateur"),
        choices=[(",", ","), (";", ";"), ("tab", gettext_lazy("tabulation")), ("|", "|")],
        required=False,
    )
    header = forms.BooleanField(
        label=gettext_lazy("La première ligne porte le nom des colonnes"), required=False
    )
    collections = forms.CharField(
        label=gettext_lazy("Collections TAXII, séparées par des virgules"), max_length=500, required=False
    )
    days = forms.IntegerField(
        label=gettext_lazy("Flux MISP : événements des derniers jours"),
        min_value=1,
        max_value=3650,
        required=False,
    )
    account = forms.CharField(label=gettext_lazy("Compte"), max_length=200, required=False)
    secret = forms.CharField(
        label=gettext_lazy("Mot de passe ou clé"),
        max_length=400,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )

    def values(self) -> dict[str, Any]:
        """What the actions take."""
        given = self.cleaned_data
        options: dict[str, Any] = {}
        if given["format"] == "csv":
            options = {
                name: given[name] for name in ("column", "type_column", "delimiter", "header") if given[name]
            }
        elif given["format"] == "taxii":
            options = {"collections": [one.strip() for one in given["collections"].split(",") if one.strip()]}
        elif given["format"] == "misp_feed" and given["days"]:
            options = {"days": given["days"]}
        return {
            **{
                name: given[name]
                for name in ("name", "format", "licence", "weight", "threat", "kinds", "account", "secret")
            },
            "address": given["address"].strip(),
            "ttl_s": given["ttl_days"] * DAY_S,
            "every_s": given["every_hours"] * HOUR_S,
            "options": options,
        }


@require_GET
@for_administrators
def sources(request: HttpRequest, actor: Actor) -> HttpResponse:
    states = queries.source_states(actor)
    taken = {one.source.address for one in states}
    context = {
        "place": "sources",
        "rows": [_row(one) for one in states],
        "held": [_row(one) for one in states if one.held is not None],
        "suggestions": [one for one in catalogue.CATALOGUE if one.address not in taken],
        "decisions": export.own_decisions(actor).count(),
        "formats": [("plain", _("Liste simple")), ("csv", "CSV"), ("misp", "MISP"), ("stix", "STIX 2.1")],
    }
    part = asks_part(request, "list")
    return page(request, "console/parts/sources.html" if part else "console/sources.html", context)


@require_http_methods(["GET", "POST"])
@for_administrators
def add(request: HttpRequest, actor: Actor) -> HttpResponse:
    suggestion = catalogue.find(request.GET.get("suggestion", ""))
    form = SourceForm(request.POST or None, initial=_initial(suggestion))
    if request.method == "POST" and form.is_valid():
        try:
            source = actions.add_source(actor=actor, **form.values())
        except BeffroiError as error:
            _say(form, error)
        else:
            return HttpResponseRedirect(reverse("source", args=[source.id]))
    context = {"place": "sources", "form": form, "suggestion": suggestion}
    return page(request, "console/source_form.html", context, status=_status(form))


@require_http_methods(["GET", "POST"])
@for_administrators
def change(request: HttpRequest, actor: Actor, source_id: str) -> HttpResponse:
    one = queries.access_source(actor, source_id)
    form = SourceForm(request.POST or None, initial=_initial(one))
    if request.method == "POST" and form.is_valid():
        try:
            actions.change_source(actor=actor, source=one, **form.values())
        except BeffroiError as error:
            _say(form, error)
        else:
            return HttpResponseRedirect(reverse("source", args=[one.id]))
    context = {"place": "sources", "form": form, "source": one}
    return page(request, "console/source_form.html", context, status=_status(form))


@require_http_methods(["GET", "POST"])
@for_administrators
def source(request: HttpRequest, actor: Actor, source_id: str) -> HttpResponse:
    """One source: its state, what it brought, what is on trial, and the words about it."""
    one = queries.access_source(actor, source_id)
    error = ""
    if request.method == "POST":
        try:
            return _word(request, actor, one)
        except Invalid:
            error = _("Dites en quelques mots pourquoi : la raison va au journal.")
    state = queries.state_of(one)
    context = {
        "place": "sources",
        "row": _row(state),
        "trials": [(trial, int(trial.tried_s // 60)) for trial in state.trials],
        "trial_minutes": -(-settings.BEFFROI.list_trial_s // 60),
        "communes": queries.communes_heard() if state.trials else 0,
        "error": error,
        "max_bytes": handover.MAX_CONTENT_BYTES,
        "format": source_words.FORMATS[one.format],
        "effect": source_words.WEIGHTS[one.weight],
        "threat": words.THREATS.get(one.threat, ""),
        "history": [
            (update, source_words.doubts(update.doubts), _who(update)) for update in queries.history(one)
        ],
        "ask_stop": request.GET.get("arreter") == "1" and one.active,
    }
    status = HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK
    return page(request, "console/source.html", context, status=status)


def _word(request: HttpRequest, actor: Actor, one: FeedSource) -> HttpResponse:
    word = request.POST.get("word", "")
    if word == "start":
        actions.start_source(actor=actor, source=one)
    elif word == "stop":
        actions.stop_source(actor=actor, source=one)
    elif word == "fetch":
        actions.fetch_now(actor=actor, source=one)
    elif word == "file" and isinstance(file := request.FILES.get("file"), UploadedFile):
        actions.give_file(actor=actor, source=one, pieces=file.chunks())
    elif word in {"trial_enforce", "trial_refuse"}:
        kind, why = request.POST.get("kind", ""), request.POST.get("why", "")
        enforce = word == "trial_enforce"
        actions.answer_trial(actor=actor, source=one, kind=kind, enforce=enforce, why=why)
    elif word == "remove":
        actions.remove_source(actor=actor, source=one)
        return HttpResponseRedirect(reverse("sources"))
    else:
        raise Conflict("no such word")
    return HttpResponseRedirect(reverse("source", args=[one.id]))


@require_http_methods(["GET", "POST"])
@for_administrators
def update(request: HttpRequest, actor: Actor, source_id: str, update_id: str) -> HttpResponse:
    """A held update: what it would change, and the answer with its reason."""
    one = queries.access_source(actor, source_id)
    held = queries.access_update(actor, one, update_id)
    error = ""
    if request.method == "POST":
        try:
            accept = request.POST.get("word") == "accept"
            actions.answer_update(actor=actor, update=held, accept=accept, why=request.POST.get("why", ""))
        except Invalid:
            error = _("Dites en quelques mots pourquoi : la raison va au journal.")
        else:
            return HttpResponseRedirect(reverse("source", args=[one.id]))
    context = {
        "place": "sources",
        "source": one,
        "update": held,
        "doubts": source_words.doubts(held.doubts),
        "effect": source_words.WEIGHTS[one.weight],
        "examples": _examples(held.examples),
        "error": error,
    }
    status = HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK
    return page(request, "console/source_update.html", context, status=status)


@require_http_methods(["POST"])
@for_administrators
def download(request: HttpRequest, actor: Actor, format_: str) -> HttpResponse:
    """The Département's own decisions as a file. Errors: NotFound."""
    with transaction.atomic():
        content, media_type, name = export.export(actor=actor, format_=format_)
    return as_file(content, media_type, name)


def _row(one: queries.SourceState) -> Row:
    found = one.source
    return Row(
        source=found,
        state=f"source_{one.state}",
        error=source_words.error(found.last_error) if found.last_error and found.active else "",
        detail=source_words.detail(found.last_error_detail),
        weight=str(source_words.SHORT_WEIGHTS[found.weight]),
        held=one.held,
        doubts=source_words.doubts(one.held.doubts) if one.held else "",
        last=one.last,
        every=source_words.days(found.every_s),
        ttl=source_words.days(found.ttl_s),
    )


def _who(update: SourceUpdate) -> str:
    return verbs.actor("administrator", update.answered_by) if update.answered_by else ""


def _examples(found: Iterable[list[str]]) -> list[dict[str, str]]:
    return [{"kind": kind, "value": value} for kind, value, _why in found]


def _initial(one: FeedSource | catalogue.Suggestion | None) -> dict[str, Any]:
    if one is None:
        return {"ttl_days": 2, "every_hours": 6, "weight": "observe", "kinds": [kind.value for kind in KINDS]}
    return {
        **{name: getattr(one, name) for name in ("name", "address", "format", "licence", "weight", "threat")},
        "account": getattr(one, "account", ""),
        "kinds": list(one.kinds) or [kind.value for kind in KINDS],
        "ttl_days": max(1, one.ttl_s // DAY_S),
        "every_hours": max(1, one.every_s // HOUR_S),
        **one.options,
        "collections": ", ".join(one.options.get("collections", ())),
    }


def _say(form: SourceForm, error: BeffroiError) -> None:
    if error.code == "source.address_invalid":
        form.add_error("address", source_words.error(error.code))
    elif error.code == "source.key_missing":
        form.add_error("secret", source_words.error(error.code))
    elif "name" in str(error):
        form.add_error("name", _("Une autre source porte déjà ce nom."))
    elif "address" in str(error):
        form.add_error("address", _("Ce format demande une adresse."))
    else:
        form.add_error(None, _("Vérifiez ce que vous avez saisi."))


def _status(form: SourceForm) -> int:
    return HTTPStatus.BAD_REQUEST if form.is_bound and form.errors else HTTPStatus.OK
