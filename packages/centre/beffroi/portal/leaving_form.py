"""Forms of a collectivité that leaves, the same on the console and in its portal: what they say, and what is wrong."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.erasures import SealsRunning
from beffroi.leaving import actions, erasures, queries
from beffroi.leaving.actions import DayInvalid
from beffroi.leaving.erasures import NotExported
from beffroi.lib.errors import Invalid
from beffroi.portal import dates


def known(collectivite_id: str) -> dict[str, Any]:
    """What a request for an erasure depends on."""
    exported = queries.complete_export(collectivite_id)
    return {
        "exported": exported,
        "since": queries.since_export(exported) if exported else {},
        "incidents": queries.open_incidents(collectivite_id),
        "running_seals": queries.running_seals(collectivite_id),
        "has_referent": queries.has_referent(collectivite_id),
        "first_day": queries.first_day().isoformat(),
    }


def who(actor_id: str) -> str:
    """A name for a person or an administrator, and as what they said it."""
    if actor_id == queries.SYSTEM.id:
        return _("le programme, après une remise de la base de données")
    name = identity.administrator_name(actor_id) or identity.person_name(actor_id) or _("une personne partie")
    of_departement = actor_id.startswith("adm_")
    said = _("%(name)s, Département") if of_departement else _("%(name)s, personne référente")
    return said % {"name": name}


def planned_from(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> dict[str, str]:
    """Record the day that a form names; what is wrong with it, by field."""
    day = dates.day(request.POST.get("day", ""))
    if day is None:
        return {"day": _("Choisissez un jour.")}
    try:
        actions.plan(
            actor=actor, collectivite=collectivite, leaves_on=day, reason=request.POST.get("reason", "")
        )
    except DayInvalid:
        return {"day": _("Choisissez un jour à venir, dans les trois ans.")}
    except Invalid:
        return {"reason": _("Dites quelle demande écrite, de quel jour, et qui l’a signée.")}
    messages.success(request, _("Le départ est enregistré. Rien n’a changé encore."))
    return {}


def asked_from(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> dict[str, str]:
    """Ask for the erasure as a form says; what is wrong, by field."""
    try:
        erasures.ask(actor=actor, collectivite=collectivite, **said(request))
    except (NotExported, SealsRunning) as error:
        return unsaid(error)
    messages.success(request, _("C’est demandé. Rien n’est effacé encore."))
    return {}


def said(request: HttpRequest) -> dict[str, bool]:
    """The boxes that were ticked."""
    return {
        "no_export": bool(request.POST.get("no_export")),
        "ends_seals": bool(request.POST.get("seals")),
    }


def unsaid(error: Exception) -> dict[str, str]:
    if isinstance(error, NotExported):
        return {
            "no_export": _("Il n’y a pas d’export complet : faites-le d’abord, ou cochez la case."),
            "word": "ask",
        }
    return {
        "seals": _("Des dossiers seraient détruits avant leur terme : cochez la case, ou attendez."),
        "word": "ask",
    }
