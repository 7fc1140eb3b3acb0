"""Courrier: aliases, addresses that lead to one or several mailboxes of the collectivité.

Input:  hostile: every field. Changes are POSTs with a token of the session; each can be undone.
Access: a référent decides; whoever reads by an alias sees it and to whom else it leads.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotFound
from beffroi.mail.aliases import actions, queries
from beffroi.mail.aliases.errors import AddressTaken, AliasLoop, NoTarget, TooManyTargets
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import AddressUnusable
from beffroi.mail.people import queries as people
from beffroi.portal import address_words
from beffroi.portal.counts import Count
from beffroi.portal.pages import for_agents, page

PLACE = {"place": "mail"}
ABOUT_BOXES = (NoTarget, TooManyTargets, AliasLoop)


def named(mailboxes: list[Mailbox]) -> list[tuple[Mailbox, str]]:
    """With the name of a functional one, or of its owner."""
    titles = people.titles(mailboxes)
    return [(one, titles.get(one.id) or identity.person_name(one.person_id or "")) for one in mailboxes]


@require_http_methods(["GET", "POST"])
@for_agents
def aliases(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Those that lead to the person, all of them for a référent, who makes new ones here."""
    if request.method == "POST":
        return _create(request, actor)
    return _list(request, actor)


def _list(request: HttpRequest, actor: Actor, status: int = 200, **more: Any) -> HttpResponse:
    manages = people.may_manage(actor)
    context = PLACE | {
        "aliases": queries.visible_aliases(actor),
        "ended": queries.ended_aliases(actor),
        "manages": manages,
        "candidates": named(queries.candidates(actor, actor.collectivite_id or "")) if manages else [],
        "domains": [one.name for one in communes.visible_domains(actor)] if manages else [],
        "most": actions.MAX_TARGETS,
        "form": {"local": request.GET.get("local", "")[:64], "domain": request.GET.get("domain", "")[:253]},
        **more,
    }
    return page(request, "portal/aliases.html", context, status=status)


def _create(request: HttpRequest, actor: Actor) -> HttpResponse:
    if not people.may_manage(actor):
        raise NotFound("page")
    form: dict[str, Any] = {
        name: request.POST.get(name, "").strip()[:253] for name in ("local", "domain", "sends")
    }
    form["mailboxes"] = request.POST.getlist("mailbox")
    try:
        made = actions.create(
            actor=actor,
            collectivite=communes.access_collectivite(actor, actor.collectivite_id or ""),
            address=f"{form['local']}@{form['domain']}",
            mailboxes=form["mailboxes"],
            sends=form["sends"] == "1",
        )
    except (Invalid, Conflict) as error:
        if isinstance(error, AddressUnusable):
            form["local"] = error.proposal or form["local"]
        failed = "boxes" if isinstance(error, ABOUT_BOXES) else "local"
        return _list(request, actor, error.http_status, form=form, error=trouble(error), failed=failed)
    messages.success(request, _("L’alias est créé. Il reçoit dans une minute."))
    return HttpResponseRedirect(reverse("alias", args=[made.id]))


def trouble(error: BeffroiError) -> str:
    """What is wrong with a form, and what to do."""
    if isinstance(error, AddressUnusable):
        return address_words.unusable(error)
    if isinstance(error, AddressTaken):
        return {
            "mailbox": _("Cette adresse est déjà celle d’une boîte. Choisissez-en une autre."),
            "closed": _(
                "Cette adresse est celle d’une boîte fermée : elle reste réservée, pour que personne d’autre ne"
                " reçoive ce courrier. Choisissez-en une autre."
            ),
            "alias": _("Cet alias existe déjà. Ouvrez-le dans la liste."),
            "ended": _("Cet alias a été arrêté : reprenez-le dans la liste « Arrêtés »."),
        }[error.what]
    if isinstance(error, NoTarget):
        return _("Cochez au moins une boîte : un alias sans lecteur refuserait son courrier.")
    if isinstance(error, TooManyTargets):
        return _("Un alias mène à %(n)s boîtes au plus. Pour plus de monde, créez une boîte de service.") % {
            "n": Count(actions.MAX_TARGETS)
        }
    if isinstance(error, AliasLoop):
        return _(
            "Cette boîte renvoie son courrier vers cet alias : il tournerait en rond. Arrêtez ce renvoi d’abord."
        )
    return address_words.plain()


@require_http_methods(["GET", "POST"])
@for_agents
def one(request: HttpRequest, actor: Actor, alias_id: str) -> HttpResponse:
    """Where it leads; a référent adds, takes off, allows writing with it, ends and takes up again."""
    if request.method == "POST":
        return _change(request, actor, alias_id)
    found = queries.access_alias(actor, alias_id)
    manages = people.may_manage(actor)
    left = queries.candidates(actor, found.alias.collectivite_id, found) if manages else []
    taken = request.GET.get("retire", "")
    context = PLACE | {
        "led": found,
        "open": named(found.open_),
        "closed": named(found.closed),
        "candidates": named(left),
        "removed": next((box for box in left if box.id == taken), None),
        "manages": manages,
        "here": request.path,
    }
    return page(request, "portal/alias.html", context)


def _change(request: HttpRequest, actor: Actor, alias_id: str) -> HttpResponse:
    if not people.may_manage(actor):
        raise NotFound("alias")
    return change(
        request,
        actor,
        alias_id,
        here=reverse("alias", args=[alias_id]),
        everything=reverse("aliases"),
        mailbox_id=request.POST.get("mailbox", ""),
    )


def change(
    request: HttpRequest, actor: Actor, alias_id: str, *, here: str, everything: str, mailbox_id: str
) -> HttpResponse:
    """What the form ``what`` asks for, on the portal or the console; ``here``, ``everything``: their pages of the alias
    and of all. Errors: NotFound, Invalid."""
    what = request.POST.get("what", "")
    if what == "restore":
        actions.restore(actor=actor, alias=queries.access_ended(actor, alias_id))
        messages.success(request, _("L’alias est repris, avec les mêmes boîtes."))
        return HttpResponseRedirect(here)
    alias = queries.access_alias(actor, alias_id).alias
    if what == "add":
        try:
            actions.add_target(actor=actor, alias=alias, mailbox_id=mailbox_id)
        except (AliasLoop, TooManyTargets) as error:
            messages.error(request, trouble(error))
        else:
            messages.success(request, _("Cette boîte reçoit maintenant ce qui est écrit à l’alias."))
    elif what == "remove":
        try:
            actions.remove_target(actor=actor, alias=alias, mailbox_id=mailbox_id)
        except NoTarget:
            messages.error(request, _("C’est la dernière boîte. Ajoutez-en une autre, ou arrêtez l’alias."))
        else:
            return HttpResponseRedirect(f"{here}?retire={mailbox_id}")
    elif what in ("sends", "sends_not"):
        actions.let_send(actor=actor, alias=alias, sends=what == "sends")
        messages.success(request, _("C’est noté : cela vaut dans une minute."))
    elif what == "end":
        actions.end(actor=actor, alias=alias)
        messages.success(
            request,
            _("L’alias est arrêté : qui lui écrit reçoit un refus. Vous pouvez le reprendre ci-dessous."),
        )
        return HttpResponseRedirect(everything)
    else:
        raise Invalid("what")
    return HttpResponseRedirect(here)
