"""Réglages d'une boîte: absence, filters, signature. Forwards have a page of their own (``forwards``).

Input:  hostile: every field; words and texts become Sieve strings (mail/filters/sieve.py).
Access: the mailbox is looked up among the actor's own; another one's is "no such page".
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, digits
from beffroi.lib.errors import Invalid, NotFound, Unavailable
from beffroi.mail import folders, reader
from beffroi.mail import queries as mail
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.filters import actions, preview, queries, sieve
from beffroi.mail.filters.errors import SettingRefused, TooManyFilters
from beffroi.mail.models import Mailbox
from beffroi.mail.people import queries as people
from beffroi.mail.scripts import queries as scripts
from beffroi.portal import filters_words as words
from beffroi.portal.counts import Count
from beffroi.portal.dates import day_of
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web.banners import banners
from beffroi.portal.web.folders import title

FIELDS = ("field", "words", "act", "folder", "new_folder")
NEW_FOLDER = "*"
"""No folder has this name."""


@require_GET
@for_agents
def show(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Everything; the form of a filter may come filled in (a link beside a mail, or one just removed)."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    return _page(request, actor, mailbox, form=_asked(request.GET))


def _asked(data: QueryDict) -> dict[str, str]:
    return {name: data.get(name, "")[:300] for name in FIELDS}


def _page(
    request: HttpRequest,
    actor: Actor,
    mailbox: Mailbox,
    *,
    form: dict[str, str] | None = None,
    error: SettingRefused | None = None,
    said: str = "",
) -> HttpResponse:
    away = queries.absence(mailbox)
    typed = request.POST if error is not None else QueryDict()
    today = clock.now().astimezone(clock.PLACE).date()
    rows = list(queries.rules(mailbox))
    context: dict[str, Any] = {
        "place": "mail",
        "mailbox": mailbox,
        "banners": banners([mailbox]),
        "absence": away,
        "first": typed.get("first")
        or (away.begins_at.astimezone(clock.PLACE).date() if away else today).isoformat(),
        "last": typed.get("last") or (words.last_day(away).isoformat() if away else ""),
        "today": today.isoformat(),
        "text": typed.get("text") or (away.text if away else ""),
        "every": words.EVERY,
        "every_days": away.every_days if away else 7,
        "scripts": list(scripts.scripts(mailbox)) if mailbox.person_id == actor.id else [],
        "rules": [(one, words.rule(one)) for one in rows],
        "fields": words.FIELDS,
        "acts": words.ACTS,
        "places": _places(mailbox),
        "form": form or _asked(QueryDict()),
        "new_folder": NEW_FOLDER,
        "aliases": aliases.leading_to([mailbox]),
        "caught": aliases.caught_by(mailbox),
        "detailed": mailbox.address.replace("@", "+mot@"),
        "said": said,
        "signature": typed.get("signature") or queries.signature(actor, mailbox),
        "line": typed.get("line") or queries.common_line(mailbox.collectivite_id),
        "team_title": people.title_of(mailbox),
        "referent": actor.role == "referent",
        "error": {error.field_name: words.trouble(error)} if error else {},
    }
    return page(request, "portal/mail_settings.html", context, status=400 if error else 200)


def _places(mailbox: Mailbox) -> list[tuple[str, str]]:
    """One's own folders, then the bin; that alone while the mail server does not answer."""
    try:
        with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened:
            names = [one.name for one in folders.listing(opened) if not one.role]
    except Unavailable:
        names = []
    return [(name, title(name)) for name in (*names, "Trash")]


def _back(mailbox: Mailbox, anchor: str, query: str = "") -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('mail_settings', args=[mailbox.id])}{query}#{anchor}")


@require_POST
@for_agents
def absence(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Set it, or end it (``word`` = end). Errors: NotFound."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    if request.POST.get("word") == "end":
        if actions.end_absence(actor=actor, mailbox=mailbox):
            messages.info(request, _("L’absence est terminée : plus aucune réponse automatique ne part."))
        return HttpResponseRedirect(reverse("mail_list", args=[mailbox.id]))
    try:
        actions.set_absence(
            actor=actor,
            mailbox=mailbox,
            first=day_of(request.POST, "first"),
            last=day_of(request.POST, "last"),
            text=request.POST.get("text", ""),
            every_days=digits.number(request.POST.get("every_days", ""), 3) or 0,
        )
    except SettingRefused as error:
        return _page(request, actor, mailbox, error=error)
    messages.info(request, _("C’est noté. Un bandeau vous le rappelle tant que l’absence dure."))
    return _back(mailbox, "h-absence")


@require_POST
@for_agents
def add_filter(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Say what a filter would have met (``word`` = try), or add it. Errors: NotFound."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    form = _asked(request.POST)
    matched, looked = _preview(mailbox, form)
    if request.POST.get("word") == "try" and form["words"].strip():
        return _page(request, actor, mailbox, form=form, said=_met(matched, looked))
    try:
        if form["folder"] == NEW_FOLDER and form["act"] in ("move", "copy"):
            form["folder"] = _new_folder(mailbox, form["new_folder"].strip())
        actions.add_rule(
            actor=actor,
            mailbox=mailbox,
            field=form["field"],
            words=form["words"],
            act=form["act"],
            folder=form["folder"],
            matched=matched,
            looked=looked,
        )
    except SettingRefused as error:
        return _page(request, actor, mailbox, form=form, error=error)
    except TooManyFilters:
        messages.error(request, _("Il y a déjà 50 filtres : supprimez-en un d’abord."))
    else:
        messages.info(request, _("Filtre ajouté : il vaut pour les courriels à venir."))
    return _back(mailbox, "h-filters")


def _new_folder(mailbox: Mailbox, name: str) -> str:
    """Make it, or take the one of this name that is there. Errors: SettingRefused."""
    try:
        with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened:
            if name not in {one.name for one in folders.listing(opened)}:
                folders.create(opened, name)
    except Invalid:
        raise SettingRefused("new_folder", "name") from None
    except Unavailable:
        raise SettingRefused("new_folder", "away") from None
    return name


def _preview(mailbox: Mailbox, form: dict[str, str]) -> tuple[int, int]:
    if form["field"] not in words.FIELDS or not form["words"].strip():
        return 0, 0
    rule = sieve.Rule(form["field"], form["words"].strip(), form["act"], form["folder"])
    try:
        with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened:
            return preview.look(opened, rule)
    except (Unavailable, NotFound):
        return 0, 0


def _met(matched: int, looked: int) -> str:
    if not looked:
        return _("Aucun courriel à comparer pour l’instant.")
    told = {"n": Count(matched), "looked": Count(looked)}
    return (
        ngettext(
            "Parmi vos %(looked)s derniers courriels, ce filtre en aurait reconnu %(n)s.",
            "Parmi vos %(looked)s derniers courriels, ce filtre en aurait reconnu %(n)s.",
            matched,
        )
        % told
    )


@require_POST
@for_agents
def change_filter(request: HttpRequest, actor: Actor, mailbox_id: str, rule_id: str) -> HttpResponse:
    """One word: on, off, up, remove. Errors: NotFound, Invalid."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    rule, word = queries.access_rule(mailbox, rule_id), request.POST.get("word", "")
    if word in ("on", "off"):
        actions.switch_rule(actor=actor, mailbox=mailbox, rule=rule, on=word == "on")
    elif word == "up":
        actions.raise_rule(actor=actor, mailbox=mailbox, rule=rule)
    elif word == "remove":
        actions.remove_rule(actor=actor, mailbox=mailbox, rule=rule)
        messages.info(request, _("Filtre supprimé. Il est encore dans le formulaire : « Ajouter » le remet."))
        left = QueryDict(mutable=True)
        left.update({"field": rule.field, "words": rule.words, "act": rule.act, "folder": rule.folder})
        return _back(mailbox, "h-filters", f"?{left.urlencode()}")
    else:
        raise Invalid("word")
    return _back(mailbox, "h-filters")


@require_POST
@for_agents
def signature(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Errors: NotFound."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    try:
        actions.set_signature(actor=actor, mailbox=mailbox, text=request.POST.get("signature", ""))
        if "line" in request.POST and actor.role == "referent":
            actions.set_common_line(actor=actor, text=request.POST["line"])
    except SettingRefused as error:
        return _page(request, actor, mailbox, error=error)
    messages.info(request, _("Signature gardée : elle vient sous vos prochains messages."))
    return _back(mailbox, "h-signature")
