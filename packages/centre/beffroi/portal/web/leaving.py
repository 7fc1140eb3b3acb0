"""Somebody leaves: what they have, who takes over, everything ended at once, the record, and its undoing.

Input:  hostile: every field. Each change is a POST after a step-up: it ends a colleague's work, or opens it again.
Access: the référent of the collectivité of the session; for everybody else there is no such page.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity import actions as accounts
from beffroi.core.identity import activation
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.models import Mailbox
from beffroi.mail.people import leaving, queries
from beffroi.mail.people.models import Departure
from beffroi.portal.pages import asks_part, for_agents, page, sought
from beffroi.portal.persons import MAX_SOUGHT_CHARS, listed
from beffroi.portal.web import departure_files as files
from beffroi.portal.web import step_up

PLACE = {"place": "persons"}
WAITS_FOR = {
    "": gettext_lazy("Les accès sont en train de se fermer."),
    "projection": gettext_lazy("Les serveurs de courrier apprennent que ces accès n’existent plus."),
    "connections": gettext_lazy("Une connexion ouverte est en train d’être coupée."),
    "engines": gettext_lazy(
        "Le serveur de courrier ne répond pas : la coupure sera vérifiée dès son retour. Si cela dure, prévenez"
        " le Département."
    ),
}


def _checked(actor: Actor) -> None:
    if not queries.may_manage(actor):
        raise NotFound("page")


@require_GET
@for_agents
def departures(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Everybody of the collectivité, to choose who leaves; and who left."""
    _checked(actor)
    inside = activation.colleagues(actor, actor.collectivite_id or "")
    people = [
        {"person": one.person, "may_end": accounts.may_end(actor, one.memberships)}
        for one in inside
        if one.person.pk != actor.id
    ]
    context = PLACE | listed(people, sought(request, MAX_SOUGHT_CHARS))
    context |= {"departures": [_shown(one) for one in leaving.visible(actor)]}
    return page(request, "portal/departures.html", context)


@require_http_methods(["GET", "POST"])
@for_agents
def prepare(request: HttpRequest, actor: Actor, person_id: str) -> HttpResponse:
    """What the person has, a successor for each functional mailbox; then everything is ended at once."""
    _checked(actor)
    try:
        person = identity.access_person(actor, person_id)
    except NotFound:
        # Pressed twice, or gone back to: the departure is there already.
        done = next((one for one in leaving.visible(actor) if one.person_id == person_id), None)
        if done is None:
            raise
        return HttpResponseRedirect(reverse("departure", args=[done.id]))
    step_up.require(request)
    return _prepare(request, actor, person)


def _prepare(request: HttpRequest, actor: Actor, person: Person) -> HttpResponse:
    collectivite = communes.access_collectivite(actor, actor.collectivite_id or "")
    if request.method == "POST":
        successors = {
            name.removeprefix("heir-"): value
            for name, value in request.POST.items()
            if name.startswith("heir-") and isinstance(value, str) and value
        }
        heir = str(request.POST.get("files", ""))
        if heir and heir not in {one.id for one in files.others(actor, person.id)}:
            raise Invalid("successor")
        made = leaving.depart(actor=actor, collectivite=collectivite, person=person, successors=successors)
        if heir:
            files.hand_over(request, actor, made, heir=heir)
        return HttpResponseRedirect(reverse("departure", args=[made.id]))
    read = leaving.read_by(person.id, collectivite.id)
    named = queries.titles(read)
    others = [one for one in queries.people(actor, collectivite.id) if one.id != person.id]
    context = PLACE | {
        "person": person,
        "self": person.id == actor.id,
        "may_end": accounts.may_end(
            actor, activation.access_colleague(actor, collectivite.id, person.id).memberships
        ),
        "owned": leaving.owned_by(person.id, collectivite.id),
        "read": [
            {
                "mailbox": one,
                "title": named.get(one.id, ""),
                "members": [two for two in queries.members(one.id) if two.id != person.id],
            }
            for one in read
        ],
        "others": others,
        **_aliases_of(leaving.owned_by(person.id, collectivite.id)),
        "app_passwords": leaving.app_passwords_of(person.id, collectivite.id),
        **leaving.also_ends(person.id, collectivite.id),
        "files": files.of_person(collectivite.id, person.id),
        "undo_days": leaving.UNDO_DAYS,
    }
    return page(request, "portal/departure_prepare.html", context)


def _aliases_of(owned: list[Mailbox]) -> dict[str, Any]:
    """The aliases that lead to what will be closed: which go on with others, which lose their last reader."""
    closing = {one.id for one in owned}
    led = aliases.leading_to(owned)
    return {
        "kept": [one for one in led if {box.id for box in one.open_} - closing],
        "losing": [one for one in led if not {box.id for box in one.open_} - closing],
    }


@require_http_methods(["GET", "POST"])
@for_agents
def departure(request: HttpRequest, actor: Actor, departure_id: str) -> HttpResponse:
    """The record: what was ended, whether the engines confirmed it; its undoing."""
    found = leaving.access_departure(actor, departure_id)
    if request.method == "POST":
        step_up.require(request)
        leaving.undo(actor=actor, departure=found)
        messages.success(
            request,
            _(
                "Le départ est annulé : la personne a de nouveau ses accès et ses boîtes ; ses groupes et"
                " ses partages du Coffre reviennent dans la minute, comme ses fichiers, agendas et contacts qui ont"
                " été remis."
                " Elle refait ses mots de passe d’application."
            ),
        )
        return HttpResponseRedirect(reverse("departure", args=[found.id]))
    for part in ("state", "files"):
        if asks_part(request, part):
            shown = PLACE | _shown(found) | (files.section(actor, found) if part == "files" else {})
            return page(request, f"portal/parts/departure_{part}.html", shown)
    return page(request, "portal/departure.html", PLACE | _shown(found) | files.section(actor, found))


def _shown(one: Departure) -> dict[str, Any]:
    what = leaving.ended(one)
    ids = [*what["closed"], *(mailbox for mailbox, _heir in what["left"])]
    boxes = Mailbox.objects.in_bulk(ids)
    return {
        "departure": one,
        "name": identity.person_name(one.person_id) or _("Une personne partie"),
        "by": identity.person_name(one.by) or _("Le Département"),
        "closed": [boxes[key].address for key in what["closed"] if key in boxes],
        "left": [
            (boxes[key].address, identity.person_name(heir) if heir else "")
            for key, heir in what["left"]
            if key in boxes
        ],
        "lost": [
            led for led in aliases.leading_to([boxes[k] for k in what["closed"] if k in boxes]) if led.lost
        ],
        "app_passwords": what["app_passwords"],
        **{key: len(what.get(key, ())) for key in ("forwards", "scripts", "lent")},
        "waits": WAITS_FOR.get(one.waits_for, WAITS_FOR[""]),
        "undo_until": leaving.undo_until(one),
    }
