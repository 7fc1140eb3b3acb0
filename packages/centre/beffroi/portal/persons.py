"""The people of a collectivité, as the pages of the portal and of the console show and change them.

Input: hostile: every field. Who may is said by the actions; a page that changes something asks for a step-up first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import actions as identity
from beffroi.core.identity import activation, offers
from beffroi.core.identity.activation import Colleague, MadeCode
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.lib import accents
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotAllowed
from beffroi.mail.engines.layout import portal_url
from beffroi.mail.naming import AddressUnusable
from beffroi.mail.people import arriving
from beffroi.portal import address_words

MAX_SOUGHT_CHARS = 80
SEARCHED_FROM = 9
"""So many people do not stand in one window: their list has a field to find somebody."""
FIELDS = ("first", "last", "role", "local", "domain")
ACTIVATE_PATH, IMPORTS_PATH = "premiere-connexion/", "reprendre/"


@dataclass(frozen=True)
class Answer:
    """What became of a form: a sheet to show, or what to say (``failed``: the field that it is about)."""

    sheet: dict[str, Any] | None = None
    said: str = ""
    failed: str = ""
    status: int = 200
    form: dict[str, str] = field(default_factory=dict)


def lines(actor: Actor, collectivite_id: str) -> list[dict[str, Any]]:
    """Everybody there with the words of the page."""
    return [line(actor, one) for one in activation.colleagues(actor, collectivite_id)]


def matches(q: str, *texts: str) -> bool:
    """Whether each word, or beginning or middle of one, stands in these texts; accents, capitals and signs ignored."""
    words = re.findall(r"\w+", accents.bare(q))
    whole = accents.bare(" ".join(texts))
    return bool(words) and all(word in whole for word in words)


def listed(people: list[dict[str, Any]], q: str) -> dict[str, Any]:
    """For a page: those of these lines whom somebody looks for, all where ``q`` is empty."""
    shown = [one for one in people if not q or matches(q, one["person"].name, one["person"].email)]
    return {"q": q, "people": shown, "searched": bool(q) or len(people) >= SEARCHED_FROM}


def line(actor: Actor, one: Colleague) -> dict[str, Any]:
    return {
        "person": one.person,
        "memberships": one.memberships,
        "waited_for": one.waited_for,
        "came": one.came,
        "sheet_until": one.sheet_until,
        "second_factor": one.second_factor,
        "self": one.person.pk == actor.id,
        "may_change": identity.may_end(actor, one.memberships) and one.person.pk != actor.id,
    }


def form_context(actor: Actor, collectivite_id: str, form: dict[str, str]) -> dict[str, Any]:
    return {
        "roles": identity.roles_given_by(actor),
        "domains": arriving.domains(collectivite_id),
        "form": {"role": Membership.Role.AGENT.value, **form},
    }


def typed(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "").strip()[:253] for name in FIELDS}


def add(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> Answer:
    """First without an address: one is proposed. Then the person is added, and the sheet is the answer."""
    form = typed(request)
    known = arriving.domains(collectivite.id)
    if form["domain"] not in known:
        form["domain"] = known[0] if known else ""
    try:
        name = arriving.full_name(form["first"], form["last"])
        if not form["domain"]:
            raise Invalid("domain")
        if not form["local"]:
            form["local"] = arriving.proposed(form["first"], form["last"], form["domain"])
            said = "" if form["local"] else _("Écrivez l’adresse : ce nom n’en donne aucune.")
            return Answer(form=form, said=said, failed="local" if said else "")
        made = arriving.arrive(
            actor=actor,
            collectivite=collectivite,
            name=name,
            role=form["role"],
            local=form["local"],
            domain=form["domain"],
        )
    except (Invalid, Conflict, NotAllowed) as error:
        said, failed = _trouble(error)
        form["local"] = _better(error) or form["local"]
        return Answer(said=said, failed=failed, status=error.http_status, form=form)
    return Answer(sheet=sheet(collectivite, made.person, made.sheet))


def offer(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> Answer:
    """Ask somebody who has an account elsewhere; the same answer whether anybody has this address."""
    form = {"email": request.POST.get("email", "").strip()[:254], "role": request.POST.get("role", "")}
    try:
        offers.make(actor=actor, collectivite=collectivite, email=form["email"], role=form["role"])
    except Conflict as error:
        said = _(
            "Cette personne travaille déjà ici, ou une demande l’attend déjà. Vingt au plus attendent à la fois."
        )
        return Answer(said=said, failed="email", status=error.http_status, form=form)
    except (Invalid, NotAllowed) as error:
        about_role = isinstance(error, NotAllowed) or error.what == "role"
        said = _("Choisissez un rôle de la liste.") if about_role else _("Écrivez son adresse entière.")
        return Answer(said=said, failed="email", status=error.http_status, form=form)
    return Answer()


def offered() -> str:
    return _("Demande envoyée. La personne la trouve sur son accueil, pendant 30 jours, et répond elle-même.")


def sheet(collectivite: Collectivite, person: Person, made: MadeCode) -> dict[str, Any]:
    """What the page to print needs."""
    return {
        "person": person,
        "of": collectivite.name,
        "made": made,
        "portal": portal_url(settings.BEFFROI, ACTIVATE_PATH),
        "imports": portal_url(settings.BEFFROI, IMPORTS_PATH),
    }


def mailbox(one: Colleague, collectivite_id: str) -> dict[str, Any]:
    """For a person's page: the own mailboxes there, or what a form for one proposes."""
    domains = arriving.domains(collectivite_id)
    domain = domains[0] if domains else ""
    return {
        "mailboxes": arriving.mailboxes_of(one.person.pk, collectivite_id),
        "address": {"local": arriving.proposed_to(one.person, domain) if domain else "", "domain": domain},
    }


def give_mailbox(
    request: HttpRequest, actor: Actor, one: Colleague, collectivite: Collectivite
) -> tuple[str, Answer]:
    """(the address that was given, what is wrong with the form). Errors: NotFound, NotAllowed, Conflict (has one)."""
    form = {name: typed(request)[name] for name in ("local", "domain")}
    try:
        made = arriving.give_mailbox(actor=actor, collectivite=collectivite, person_id=one.person.pk, **form)
    except (Invalid, arriving.ArrivalAddressTaken) as error:
        said, _failed = _trouble(error)
        form["local"] = _better(error) or form["local"]
        return "", Answer(said=said, failed="local", status=error.http_status, form=form)
    said = _("%(address)s est sa boîte. Elle reçoit dans une minute.") % {"address": made.address}
    return said, Answer()


def change_role(actor: Actor, one: Colleague, membership_id: str, role: str) -> str:
    """Return what to say. Errors: NotFound, NotAllowed, Invalid, Conflict."""
    membership = next((row for row in one.memberships if row.pk == membership_id), None)
    if membership is None:
        raise Invalid("membership")
    identity.change_role(actor=actor, membership=membership, role=role)
    return _("Le rôle est changé. Il vaut dès la prochaine page ouverte.")


def cancelled(kept: list[str]) -> str:
    """What to say after an adding was taken back; ``kept``: mailboxes in which mail arrived."""
    if not kept:
        return _(
            "L’ajout est annulé : le code de la feuille n’ouvre plus rien, et l’adresse est de nouveau libre."
        )
    return _(
        "L’ajout est annulé. Du courrier était arrivé : la boîte %(address)s est fermée et le garde ; elle est"
        " parmi les boîtes fermées."
    ) % {"address": kept[0]}


def _better(error: BeffroiError) -> str:
    if isinstance(error, AddressUnusable):
        return error.proposal
    return error.free if isinstance(error, arriving.ArrivalAddressTaken) else ""


def _trouble(error: BeffroiError) -> tuple[str, str]:
    """(what is wrong and what to do, the field)."""
    if isinstance(error, arriving.NameUnusable):
        return _("Écrivez le prénom et le nom."), "name"
    if isinstance(error, AddressUnusable):
        return address_words.unusable(error), "local"
    if isinstance(error, arriving.ArrivalAddressTaken):
        if not error.free:
            return _("Cette adresse est déjà prise. Choisissez-en une autre."), "local"
        said = _("Cette adresse est déjà prise. « %(free)s » est libre : vérifiez, puis ajoutez.")
        return said % {"free": error.free}, "local"
    if isinstance(error, NotAllowed) or error.what == "role":
        return _("Choisissez un rôle de la liste."), "role"
    return _("Il faut d’abord un nom de domaine : demandez-le au Département."), "local"
