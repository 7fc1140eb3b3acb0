"""Chez le fournisseur: a domain's zone at its provider, what differs from our plan, writing it, taking it back.

Keys pass through this process to ``registrar`` and are shown nowhere again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.mail.domains import actions, providers, queries
from beffroi.mail.domains import registrar_asking as asking
from beffroi.mail.domains.difference import Difference
from beffroi.mail.domains.registrar_asking import Done, RegistrarRefused, State
from beffroi.portal import registrar_words
from beffroi.portal.pages import for_administrators, page, pressed

Shown = dict[str, Any]


@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
@for_administrators
def registrar(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    """Errors: NotFound, Invalid."""
    one = queries.access_domain(actor, domain_id)
    shown: Shown = {}
    problem = ""
    if request.method == "POST":
        act = pressed(request, _ACTS)
        try:
            shown = act(actor, one, request.POST)
        except RegistrarRefused as error:
            problem = registrar_words.reason(error.reason)
            if error.reason == "changed":
                shown = _again(one)
        if not shown and not problem:
            return HttpResponseRedirect(reverse("mail_domain_registrar", args=[one.id]))
    try:
        state = asking.state(settings.BEFFROI, one.name)
    except RegistrarRefused as error:
        state, problem = State("", None, None, 0), problem or registrar_words.reason(error.reason)
    context = {
        "place": "communes",
        "domain": one,
        "collectivite_name": communes.access_collectivite(actor, one.collectivite_id).name,
        "state": state,
        "provider": providers.PROVIDERS.get(state.provider),
        "offered": providers.offered(powerdns=bool(settings.BEFFROI.powerdns_api)),
        "chosen": providers.PROVIDERS.get(request.POST.get("provider", "") or request.GET.get("chez", "")),
        "problem": problem,
        **shown,
    }
    return page(
        request,
        "console/domain_registrar.html",
        context,
        status=409 if problem and request.method == "POST" else 200,
    )


def _keep(actor: Actor, one: Domain, given: QueryDict) -> Shown:
    name = given.get("provider", "")
    provider = providers.PROVIDERS.get(name)
    keys = providers.credentials(provider, given.dict()) if provider else {}
    if not keys:
        raise RegistrarRefused("request")
    asking.keep(settings.BEFFROI, one.name, name, keys)
    actions.note_registrar(actor=actor, domain=one, what="kept", provider=name)
    return {}


def _forget(actor: Actor, one: Domain, _given: QueryDict) -> Shown:
    asking.forget(settings.BEFFROI, one.name)
    actions.note_registrar(actor=actor, domain=one, what="forgotten")
    return {}


def _look(_actor: Actor, one: Domain, _given: QueryDict) -> Shown:
    return _said(asking.look(settings.BEFFROI, one.name, queries.plan(one)))


def _again(one: Domain) -> Shown:
    try:
        return _said(asking.look(settings.BEFFROI, one.name, queries.plan(one)))
    except RegistrarRefused:
        return {}


def _apply(actor: Actor, one: Domain, given: QueryDict) -> Shown:
    config = settings.BEFFROI
    mark, replace = given.get("mark", ""), set(given.getlist("replace"))
    done = _noted(
        lambda: asking.apply(config, one.name, queries.plan(one), mark=mark, replace=replace),
        lambda count: actions.note_published(actor=actor, domain=one, server="registrar", count=count),
    )
    wrong = [{"key": key, "said": registrar_words.REFUSED} for key in sorted(done.refused)]
    return {**_said(done.left), "written": True, "refused": wrong}


def _undo(actor: Actor, one: Domain, _given: QueryDict) -> Shown:
    done = _noted(
        lambda: asking.undo(settings.BEFFROI, one.name),
        lambda _count: actions.note_registrar(actor=actor, domain=one, what="undone"),
    )
    return {
        "undone": True,
        "refused": [{"key": key, "said": registrar_words.REFUSED} for key in sorted(done.refused)],
    }


def _noted[D: Done](change: Callable[[], D], note: Callable[[int], None]) -> D:
    """What was written before a cut is written, and noted; where nothing was, nothing."""
    wrote: int | None = None
    try:
        done = change()
        wrote = done.wrote
    except RegistrarRefused as error:
        wrote = error.wrote
        raise
    finally:
        if wrote is not None:
            note(wrote)
    return done


def _said(found: Difference) -> Shown:
    clashes = [{"clash": one, "label": _label(one.key)} for one in found.clashes]
    return {"found": found, "clashes": clashes}


def _label(key: str) -> str:
    kind = key.rpartition(" ")[2]
    if kind == "MX":
        return _("Le courrier de la commune va aujourd’hui à un autre serveur.")
    if kind == "TXT":
        return _("Une autre règle se trouve à cette place ; il ne peut y en avoir qu’une.")
    return _("Un autre enregistrement occupe cette place.")


_ACTS: dict[str, Callable[[Actor, Domain, QueryDict], Shown]] = {
    "keep": _keep,
    "forget": _forget,
    "look": _look,
    "apply": _apply,
    "undo": _undo,
}
