"""Who changed a file last, as lists say it: a colleague, another commune, a drop link, a handover.

Rule:    of another collectivité its name alone: who it was is in its own audit log and in the owner's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from django.utils.translation import gettext as _

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.store.listing import Maker
from beffroi.portal import drive_sharing


def named(actor: Actor, makers: Mapping[int, Maker], *, is_own: bool) -> dict[int, str]:
    """By node; "" for who is not known, or nobody of this collectivité any more. ``is_own``: the files are of the
    actor's collectivité; of others' files it is not said with whom else they are shared."""
    unhanded = {one.person_id for one in makers.values() if not one.was_handed}
    persons = identity.visible_names(actor, unhanded)
    others = (
        _elsewhere(actor, [one for one in makers.values() if one.person_id not in persons]) if is_own else {}
    )
    return {node: _words(one, persons, others) for node, one in makers.items()}


def _words(one: Maker, persons: Mapping[str, str], others: Mapping[Maker, str]) -> str:
    if one.was_handed:
        return _("une remise après un départ")
    # Who handed something in is no person here: their change is the link's.
    if one.person_id.startswith("shr_"):
        return _("un lien de dépôt")
    return persons.get(one.person_id, "") or others.get(one, "")


def _elsewhere(actor: Actor, makers: list[Maker]) -> dict[Maker, str]:
    """Those who were nobody of this collectivité when they made the change: where they were."""
    belonged = identity.belonged({one.person_id for one in makers})
    found: dict[Maker, set[str]] = {}
    for one in makers:
        at = datetime.fromtimestamp(one.at_s + 1, UTC)  # to the end of its second
        found[one] = {
            where
            for where, since, until in belonged.get(one.person_id, [])
            if since <= at and (until is None or one.at_s <= until.timestamp())
        }
    names = drive_sharing.names_of_communes(actor, {each for several in found.values() for each in several})
    out = {}
    for one, several in found.items():
        if several and actor.collectivite_id not in several:
            (where, *more) = several
            out[one] = _("une autre commune") if more else names.get(where, _("une autre commune"))
    return out
