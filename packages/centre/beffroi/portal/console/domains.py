"""Domaines: what each commune's zone must say, what it says, the letter to its provider, keys, a check now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.envelopes import KeyUnreadable
from beffroi.lib.errors import Conflict, Invalid
from beffroi.mail import signing
from beffroi.mail.domains import actions, checking, queries, update, zone
from beffroi.mail.reports import queries as reports
from beffroi.portal import certificate_view, domain_view, domain_words
from beffroi.portal.pages import as_file, for_administrators, page, pressed

CHECK_S = 20.0
"""A person waits for this check; what is not answered by then is "not verified"."""


@require_GET
@for_administrators
def domains(request: HttpRequest, actor: Actor) -> HttpResponse:
    checks = {one.domain_id: one for one in queries.visible_checks(actor)}
    names = communes.visible_names(actor)
    unreadable = set(signing.unreadable(settings.BEFFROI))
    sudden = Counter(reports.alarms(actor).values_list("domain_id", flat=True))
    rows = []
    for one in communes.visible_domains(actor):
        last = checks.get(one.id)
        lines = domain_words.lines(last.items.items()) if last else []
        rows.append(
            {
                "domain": one,
                "collectivite": names.get(one.collectivite_id, ""),
                "last": last,
                "tag": lines[0].tag if lines else "domain_unknown",
                "sudden": sudden[one.id],
                "unreadable": one.name in unreadable,
                "lost": [domain_words.label(item) for item in last.lost] if last else [],
            }
        )
    context = certificate_view.overview() | {
        "place": "communes",
        "rows": rows,
        "fallen": [one for one in rows if one["lost"]],
    }
    return page(request, "console/domains.html", context)


@require_http_methods(["GET", "POST"])
@for_administrators
def domain(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    one = queries.access_domain(actor, domain_id)
    problem = ""
    if request.method == "POST":
        act = pressed(request, _ACTS)
        problem = act(actor, one, request.POST)
        if not problem:
            return HttpResponseRedirect(reverse("mail_domain", args=[one.id]))
    context = {
        "place": "communes",
        **domain_view.context(one),
        **(domain_view.written(request.POST) if problem else {}),
        **certificate_view.context(one),
        "problem": problem,
        "unreadable": one.name in signing.unreadable(settings.BEFFROI),
        "collectivite_name": communes.access_collectivite(actor, one.collectivite_id).name,
        "own": zone.lines("", queries.own_records(one)),
        "policies": domain_words.DMARC.items(),
        "sts_modes": domain_words.STS.items(),
        "outgoing": settings.BEFFROI.outgoing_mail,
    }
    return page(request, "console/domain.html", context, status=409 if problem else 200)


def _check(actor: Actor, one: Domain, _given: Mapping[str, str]) -> str:
    asker = checking.own_resolver(settings.BEFFROI, budget_s=CHECK_S)
    made, _row = checking.check_and_store(actor, one, asker)
    return _("Le résolveur du centre ne répond pas : rien n’a été vérifié.") if made.silent else ""


def _publish(actor: Actor, one: Domain, _given: Mapping[str, str]) -> str:
    config = settings.BEFFROI
    try:
        target = update.server(config)
        planned = update.held(target, queries.plan(one))
        update.apply(target, planned)
    except update.UpdateUnanswered:
        return _("Le serveur DNS ne répond pas : rien n’a été écrit. Réessayez dans une minute.")
    except update.UpdateClash:
        return _(
            "Le domaine lui-même est un CNAME, sans doute vers le site : aucun courrier ne peut se trouver à côté. Rien"
            " n’a été écrit. Remplacez-le par des lignes A et AAAA, puis publiez de nouveau."
        )
    except (update.UpdateRefused, update.NoUpdateServer):
        return _("Le serveur DNS a refusé : cette zone n’est pas chez lui, ou la clé n’est pas la bonne.")
    actions.note_published(actor=actor, domain=one, server=config.dns_update_server, count=len(planned))
    return ""


def _rotate(actor: Actor, one: Domain, _given: Mapping[str, str]) -> str:
    try:
        actions.rotate_key(actor=actor, domain=one)
    except Conflict:
        return _("La prochaine clé n’a pas encore été vue dans DNS : publiez-la, puis vérifiez de nouveau.")
    except KeyUnreadable:
        return _("La prochaine clé ne s’ouvre pas : rien n’a changé. Remettez secrets/commune-master.key.")
    return ""


def _choose(actor: Actor, one: Domain, given: Mapping[str, str]) -> str:
    try:
        actions.choose(
            actor=actor,
            domain=one,
            dmarc=given.get("dmarc", ""),
            sts=given.get("sts", ""),
            also_sends=given.get("also_sends", "")[:400],
            old_mx=given.get("old_mx", "")[:253],
        )
    except Invalid:
        return _("Ces choix ne sont pas valables. Exemple d’ancien expéditeur : include:spf.orange.fr")
    return ""


def _declare(actor: Actor, one: Domain, given: Mapping[str, str]) -> str:
    try:
        actions.declare(
            actor=actor,
            domain=one,
            site=given.get("declared_site", "")[:400],
            address=given.get("declared_address", "")[:400],
        )
    except Invalid:
        return domain_words.declared_wrong()
    return _check(actor, one, given)


def _keys(actor: Actor, one: Domain, _given: Mapping[str, str]) -> str:
    actions.ensure_keys(actor=actor, domain=one)
    return ""


_ACTS: dict[str, Callable[[Actor, Domain, Any], str]] = {
    "check": _check,
    "publish": _publish,
    "rotate": _rotate,
    "choose": _choose,
    "declare": _declare,
    "keys": _keys,
}


@require_GET
@for_administrators
def zone_file(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    one = queries.access_domain(actor, domain_id)
    text = zone.zone_file(one.name, queries.plan(one))
    return as_file(text, "text/plain; charset=utf-8", f"{one.name}.zone")


@require_GET
@for_administrators
def letter(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    one = queries.access_domain(actor, domain_id)
    context = {
        "place": "communes",
        **domain_view.context(one),
        **domain_view.delegated(one, request.GET.get("delegation", "")),
        "collectivite_name": communes.access_collectivite(actor, one.collectivite_id).name,
        "today": clock.now(),
    }
    return page(request, "console/domain_letter.html", context)
