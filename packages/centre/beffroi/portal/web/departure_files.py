"""Files, calendars and contacts of somebody who left: what there is, who has it, and handing it to a colleague.

Input:  hostile: every field. The change is a POST after a step-up.
Access: the référent of the collectivité of the session, as ``leaving``; asked again by ``drive.handover``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.drive import handover
from beffroi.drive.departures import has_files
from beffroi.drive.store import handed, handovers, passed
from beffroi.drive.store.handovers import Handover, HandoverUnderWay
from beffroi.drive.store.model import AbsentNode, QuotaFull, StoreFull, TooManyEntries
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, NotFound, Unavailable
from beffroi.mail.people import leaving, queries
from beffroi.mail.people.models import Departure
from beffroi.portal import departure_calendars as calendars
from beffroi.portal import drive_words, words
from beffroi.portal.counts import Count
from beffroi.portal.drive_access import metadata_of
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import step_up
from beffroi.portal.words import de_fr

PLACE = {"place": "persons"}
REFUSED = (QuotaFull, TooManyEntries, AbsentNode, HandoverUnderWay, StoreFull, Unavailable)


def section(actor: Actor, departure: Departure) -> dict[str, Any]:
    """For the record of a departure: who has the files since when, what is left, whether it may be handed over."""
    owner = departure.collectivite_id
    if not has_files(settings.BEFFROI, owner):
        return {"handovers": [], "there": None, "hands_over": False, "beside": None}
    with metadata_of(owner).reading() as reading:
        found = handovers.of_person(
            reading, departure.person_id, since_s=int(departure.created_at.timestamp())
        )
        is_at_work = any(one.is_at_work for one in found)
        is_gone = not identity.belongs(departure.person_id, owner)
        there = handed.left(reading, departure.person_id) if is_gone and not is_at_work else None
        shown = [_shown(one, passed.counts(reading, one.id)) for one in found]
    beside = calendars.of_person(owner, departure.person_id) if there is not None else None
    # Empty folders alone are handed over once: those that were emptied stay for the way back.
    is_some = there is not None and bool(there.files or (there.folders and not found))
    is_some = is_some or (beside is not None and bool(beside.told))
    return {
        "handovers": shown,
        "at_work": is_at_work,
        "there": _words(there) if there is not None else None,
        "beside": beside,
        "some": is_some,
        "hands_over": is_some and handover.may_hand_over(actor, owner),
    }


def of_person(collectivite_id: str, person_id: str) -> dict[str, Any] | None:
    """What somebody who is still there has, in words; None where it is nothing that could be handed over."""
    if not has_files(settings.BEFFROI, collectivite_id):
        return None
    with metadata_of(collectivite_id).reading() as reading:
        there = handed.left(reading, person_id)
    beside = calendars.of_person(collectivite_id, person_id)
    if not (there.files or there.folders or beside.told):
        return None
    return _words(there) | {"beside": beside}


@require_http_methods(["GET", "POST"])
@for_agents
def departure_files(request: HttpRequest, actor: Actor, departure_id: str) -> HttpResponse:
    """Choose who gets the files. Errors: NotFound; POST: those of ``handover.hand_over``."""
    departure = leaving.access_departure(actor, departure_id)
    if not handover.may_hand_over(actor, departure.collectivite_id):
        raise NotFound("page")
    step_up.require(request)
    back = HttpResponseRedirect(reverse("departure", args=[departure.id]))
    shown = section(actor, departure)
    if request.method == "POST":
        hand_over(request, actor, departure, heir=str(request.POST.get("heir", "")))
        return back
    if not shown["hands_over"]:
        return back
    name = identity.person_name(departure.person_id) or _("Une personne partie")
    context = {"departure": departure, "name": name, "others": others(actor, departure.person_id)} | shown
    return page(request, "portal/departure_files.html", PLACE | context)


def others(actor: Actor, person_id: str) -> list[Person]:
    """Whom the files may go to."""
    inside = queries.people(actor, actor.collectivite_id or "")
    return [one for one in inside if one.id != person_id]


def hand_over(request: HttpRequest, actor: Actor, departure: Departure, *, heir: str) -> None:
    """And say how it went. Errors: as ``handover.hand_over``, but for REFUSED."""
    owner = departure.collectivite_id
    if not has_files(settings.BEFFROI, owner):
        raise NotFound("drive")
    # In names of things: French for all.
    name = identity.person_name(departure.person_id) or "une personne partie"
    try:
        going = calendars.going(owner, departure.person_id, name)
        handover.hand_over(
            actor=actor,
            database=metadata_of(owner),
            collectivite_id=owner,
            person_id=departure.person_id,
            heir=heir,
            label=f"Fichiers {de_fr(name)}",
            going=going,
        )
    except REFUSED as refused:
        messages.warning(request, _trouble(refused))
    else:
        messages.success(request, _("La remise est en cours."))


def _trouble(refused: BeffroiError) -> str:
    if isinstance(refused, QuotaFull):
        return _(
            "Cette personne n’a pas assez de place. Rien n’a bougé : donnez-lui plus de place (page « Espace » du"
            " Coffre), ou choisissez quelqu’un d’autre."
        )
    if isinstance(refused, HandoverUnderWay):
        return _("La remise est déjà en cours.")
    if isinstance(refused, AbsentNode):
        return _("Il n’y a plus rien à remettre.")
    if isinstance(refused, Unavailable):
        return _("Les agendas ne répondent pas. Rien n’a bougé : réessayez dans un instant.")
    return drive_words.refusal(refused)


def _words(there: handed.Left) -> dict[str, Any]:
    return {
        "files": there.files,
        "folders": there.folders,
        "closed": there.closed,
        "amount": words.size(there.size_bytes),
    }


def _shown(one: Handover, entries: Mapping[str, int]) -> dict[str, Any]:
    """``entries``: of calendars and address books, by kind."""
    heir = identity.person_name(one.heir) or _("Une personne partie")
    count = one.back_files if one.state in ("returning", "returned") else one.done_files
    moved = ngettext("%(n)s fichier", "%(n)s fichiers", count) % {"n": Count(count)}
    beside = calendars.counted(entries)
    return {
        "state": one.state,
        "why": one.why,
        "heir": heir,
        "files": one.files,
        "moved": f"{moved}, {beside}" if beside and one.files else beside or moved,
        "beside": beside,
        "done": count,
        "amount": words.size(one.done_bytes),
        "begun": datetime.fromtimestamp(one.begun_s, UTC),
        "ended": clock.moment(one.ended_s),
    }
