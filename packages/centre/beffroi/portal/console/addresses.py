"""Adresses of one collectivité: functional mailboxes, aliases, and what is written to addresses that do not exist.

Input:  hostile: every field. To receive unknown addresses asks for a present code, as on the portal for a step-up.
Access: the Département, by the actions of the référent's pages; which unknown addresses were written to stays there.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.lib import digits
from beffroi.lib.errors import Conflict, Invalid, existing
from beffroi.mail import queries as mail
from beffroi.mail.aliases import actions, queries
from beffroi.mail.aliases.errors import NoTarget
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import AddressUnusable
from beffroi.mail.people import actions as people_actions
from beffroi.mail.people import queries as people
from beffroi.portal.console.incidents import step_up
from beffroi.portal.pages import for_administrators, page, sought
from beffroi.portal.web import aliases as alias_pages
from beffroi.portal.web import shared as shared_pages
from beffroi.portal.web.unknown_addresses import receive

PAGE = 50
STATES = {"": "", "perdus": "lost", "arretes": "ended"}
"""As the address of the page says it -> as ``queries.STATES`` do."""


@require_http_methods(["GET", "POST"])
@for_administrators
def addresses(request: HttpRequest, actor: Actor, collectivite_id: str) -> HttpResponse:
    """Show; POST makes an alias or a functional mailbox, or changes what happens to unknown addresses.

    Errors: NotFound, Invalid.
    """
    collectivite = communes.access_collectivite(actor, collectivite_id)
    forms = {"alias": _make_alias, "box": _make_box, "receive": _receive, "refuse": _refuse}
    if request.method == "GET":
        return shown(request, actor, collectivite)
    form = forms.get(request.POST.get("what", ""))
    if form is None:
        raise Invalid("what")
    return form(request, actor, collectivite)


def shown(
    request: HttpRequest, actor: Actor, collectivite: Collectivite, status: int = 200, **more: Any
) -> HttpResponse:
    """``more``: a form that was refused: ``failed`` is its name, ``error`` what is said, ``form`` what was typed."""
    owner = collectivite.id
    asked = request.GET.get("etat", "")
    state = asked if asked in STATES else ""
    text = sought(request, 100)
    at = digits.number(request.GET.get("page", ""), 5) or 1
    aliases, total = queries.found(
        actor, owner, state=STATES[state], text=text, start=(at - 1) * PAGE, most=PAGE
    )
    counts = queries.counted(actor, owner)
    closed = people.closed_shared(actor, owner)
    titles = people.titles(closed)
    domains = list(communes.visible_domains(actor).filter(collectivite_id=owner))
    running = {one.domain: one for one in queries.catch_alls(actor)}
    catching = Mailbox.objects.in_bulk(
        [running[one.name].mailbox_id for one in domains if one.name in running]
    )

    def to(page_number: int, which: str = state) -> str:
        kept = {"q": text, "etat": which, "page": "" if page_number == 1 else str(page_number)}
        return "?" + urlencode({name: value for name, value in kept.items() if value}) + "#h-aliases"

    context = {
        "place": "communes",
        "collectivite": collectivite,
        "boxes": people.shared_of(actor, owner),
        "closed": [(one, titles.get(one.id, "")) for one in closed],
        "aliases": aliases,
        "total": total,
        "state": state,
        "q": text,
        "tabs": [
            (to(1, which), which == state, label, counts[STATES[which]])
            for which, label in (
                ("", _("En service")),
                ("perdus", _("Sans lecteur")),
                ("arretes", _("Arrêtés")),
            )
        ],
        "before": to(at - 1) if at > 1 else "",
        "after": to(at + 1) if total > at * PAGE else "",
        "first": (at - 1) * PAGE + 1,
        "last": min(total, at * PAGE),
        "domains": domains,
        "unknown": [
            {"name": one.name, "row": row, "mailbox": catching.get(row.mailbox_id) if row else None}
            for one in domains
            for row in (running.get(one.name),)
        ],
        "days": actions.CATCH_ALL_DAYS,
        "most": actions.MAX_TARGETS,
        "form": {},
        **more,
    }
    return page(request, "console/addresses.html", context, status=status)


def typed_mailbox(actor: Actor, collectivite_id: str, address: str) -> Mailbox | None:
    """The open mailbox of this collectivité that somebody means; None for none."""
    rows = mail.visible_mailboxes(actor).filter(collectivite_id=collectivite_id)
    return rows.filter(address=address.strip().lower()).first()


def no_such_mailbox(address: str) -> str:
    return _("Cette collectivité n’a pas de boîte ouverte « %(address)s ».") % {
        "address": address.strip()[:100]
    }


def _typed(request: HttpRequest, *names: str) -> dict[str, Any]:
    return {name: request.POST.get(name, "").strip()[:4000] for name in names}


def _unknown_addresses(collectivite: Collectivite) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("commune_addresses", args=[collectivite.id]) + "#h-unknown")


def _make_alias(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> HttpResponse:
    form = _typed(request, "local", "domain", "mailboxes", "sends")
    wanted = form["mailboxes"].replace(",", " ").split()
    found = [(one, typed_mailbox(actor, collectivite.id, one)) for one in wanted[: actions.MAX_TARGETS + 1]]
    missing = [one for one, mailbox in found if mailbox is None]
    error, status, about_boxes = no_such_mailbox(missing[0]) if missing else "", 400, bool(missing)
    if not error:
        try:
            made = actions.create(
                actor=actor,
                collectivite=collectivite,
                address=f"{form['local']}@{form['domain']}",
                mailboxes=[mailbox.id for _one, mailbox in found if mailbox is not None],
                sends=form["sends"] == "1",
            )
        except (Invalid, Conflict) as refused:
            form["local"] = (isinstance(refused, AddressUnusable) and refused.proposal) or form["local"]
            status, about_boxes = refused.http_status, isinstance(refused, alias_pages.ABOUT_BOXES)
            error = (
                _("Écrivez l’adresse d’une boîte au moins : un alias sans lecteur refuserait son courrier.")
                if isinstance(refused, NoTarget)
                else alias_pages.trouble(refused)
            )
        else:
            messages.success(request, _("L’alias est créé. Il reçoit dans une minute."))
            return HttpResponseRedirect(reverse("commune_alias", args=[collectivite.id, made.id]))
    return shown(
        request, actor, collectivite, status, failed="alias", error=error, about_boxes=about_boxes, form=form
    )


def _make_box(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> HttpResponse:
    form = _typed(request, "local", "domain", "title")
    try:
        made = people_actions.create_shared(
            actor=actor,
            collectivite=collectivite,
            address=f"{form['local']}@{form['domain']}",
            title=form["title"][:200],
        )
    except (Invalid, Conflict) as refused:
        form["local"] = (isinstance(refused, AddressUnusable) and refused.proposal) or form["local"]
        said = shared_pages.trouble(refused, form["title"])
        return shown(request, actor, collectivite, refused.http_status, failed="box", error=said, form=form)
    messages.success(
        request, _("La boîte est créée. Elle reçoit dans une minute ; ajoutez maintenant qui la lit.")
    )
    return HttpResponseRedirect(reverse("commune_shared", args=[collectivite.id, made.id]))


def _receive(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> HttpResponse:
    form = _typed(request, "domain", "address", "days")
    own = communes.visible_domains(actor).filter(collectivite_id=collectivite.id, name=form["domain"])
    domain = existing(own.first(), "domain").name
    mailbox = typed_mailbox(actor, collectivite.id, form["address"])
    if mailbox is None:
        said = no_such_mailbox(form["address"])
        return shown(request, actor, collectivite, 400, failed="receive", error=said, form=form)
    if wrong := step_up(request, actor):
        return shown(request, actor, collectivite, 403, failed="code", error=wrong, form=form)
    receive(request, actor, domain, mailbox.id)
    return _unknown_addresses(collectivite)


def _refuse(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> HttpResponse:
    rows = [one for one in queries.catch_alls(actor) if one.collectivite_id == collectivite.id]
    wanted = request.POST.get("domain", "")
    row = existing(next((one for one in rows if one.domain == wanted), None), "catch-all")
    actions.end_catch_all(actor=actor, row=row)
    messages.success(request, _("Ces adresses sont de nouveau refusées."))
    return _unknown_addresses(collectivite)
