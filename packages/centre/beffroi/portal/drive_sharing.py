"""Shares of the Coffre as pages need them: who may be chosen, what was made, what came, and their lines on record.

Process: web. No page of its own; ``web.drive_shares`` and the home page show it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import recorded
from beffroi.drive.sharing import Sharing
from beffroi.drive.store import groups, look, mounts, received, seen, shares
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id
from beffroi.portal import drive_share_words
from beffroi.portal.drive_access import act_of, metadata_of

MOST_FOUND = 20
MOST_WITHOUT_SEARCH = 12
log = logging.getLogger("beffroi.portal")


class Choice(NamedTuple):
    """``value``: kind and identifier with a colon between. ``note``: what tells two of one name apart."""

    value: str
    words: str
    note: str = ""


def sharing_of(actor: Actor, view: View) -> Sharing:
    return Sharing(view, act_of(view), partial(recorded.record, actor=actor))


def known(actor: Actor, wish: Wish) -> bool:
    """Whether the target of a wish, whatever somebody sent, can be chosen by this person."""
    if wish.kind == "person":
        return is_id(wish.target, "per") and identity.visible_persons(actor).filter(pk=wish.target).exists()
    if wish.kind == "collectivite":
        return is_id(wish.target, "col") and communes.neighbours(actor).filter(pk=wish.target).exists()
    if wish.kind == "group":
        return True  # the metadata, where groups lie, know it: ``shares.check``
    return wish.kind == "role" and wish.target in drive_share_words.ROLES


def choices(reading: Reading, actor: Actor, asked: str) -> list[tuple[str, list[Choice]]]:
    """What may be chosen, by kind: people and groups whose names hold the words, roles, other collectivités."""
    people = identity.visible_persons(actor).exclude(pk=actor.id)
    others = communes.neighbours(actor)
    if asked:
        people, others = people.filter(name__icontains=asked), others.filter(name__icontains=asked)
    else:
        others = others.none()
        people = people[: MOST_WITHOUT_SEARCH + 1]
    found = [Choice(f"person:{one.id}", one.name, one.email) for one in people[:MOST_FOUND]]
    if not asked and len(found) > MOST_WITHOUT_SEARCH:
        found = []
    roles = [Choice(f"role:{role}", str(words)) for role, words in drive_share_words.ROLES.items()]
    there = [Choice(f"collectivite:{one.id}", one.name) for one in others[:MOST_FOUND]]
    return [
        ("people", found),
        ("groups", _groups(reading, asked)),
        ("roles", [] if asked else roles),
        ("communes", there),
    ]


def _groups(reading: Reading, asked: str) -> list[Choice]:
    inside = groups.by_group(reading)
    return [
        Choice(f"group:{one.id}", one.name, drive_share_words.group(len(inside.get(one.id, ()))))
        for one in groups.every(reading)
        if asked.casefold() in one.name.casefold()
    ]


def rows(reading: Reading, actor: Actor, found: Iterable[Share]) -> list[dict[str, Any]]:
    """What a list shows of each share that leads from here."""
    found = list(found)
    ids = {one.created_by for one in found} | {one.target for one in found if one.kind == "person"}
    persons = identity.visible_names(actor, ids)
    places = names_of_communes(actor, {one.target for one in found if one.kind == "collectivite"})
    names = {"person": persons, "collectivite": places, "group": groups.names(reading)}
    out = []
    for one in found:
        out.append(
            {
                **row_of(reading, one, persons),
                "target": drive_share_words.target(one.kind, one.target, names),
                "target_id": one.target,
                "kind": one.kind,
                "rights": drive_share_words.RIGHTS[one.rights],
                "ends": clock.moment(one.expires_s),
                "is_mine": one.created_by == actor.id,
                "answer": _answer(one),
            }
        )
    return out


def row_of(reading: Reading, share: Share, persons: Mapping[str, str]) -> dict[str, Any]:
    """What a list shows of a share of any kind. ``persons``: names of who made it."""
    node = look.node(reading, share.node)
    return {
        "id": share.id,
        "node": node,
        "name": node.name if node is not None else share.label,
        "is_folder": node is not None and node.is_folder,
        "who": persons.get(share.created_by, ""),
        "made": clock.moment(share.created_s),
        "stands": shares.stands(reading, share, now_s=clock.epoch_s()),
    }


def _answer(share: Share) -> str:
    """What the other collectivité said; "" of other kinds."""
    if share.kind != "collectivite":
        return ""
    try:
        with metadata_of(share.target).reading() as there:
            state = next((one.state for one in received.every(there) if one.share_id == share.id), "offered")
    except KeysErased:
        state = "erased"
    except BeffroiError as error:  # one's own list is shown, whatever is wrong elsewhere
        log.warning("what %s answered is not shown: %s", share.target, error.code)
        state = "silent"
    return str(drive_share_words.STATES[state])


def came(view: View, reading: Reading, actor: Actor) -> list[dict[str, Any]]:
    """What others share with this person, as the page lists it; what they left, too."""
    mounted = {one.share.id: one for one in view.mounts(reading)}
    here = list(view.shared_here(reading))
    left = {one for one, kept in mounts.of(reading, view.who.person_id).items() if kept.left_s}
    makers = {one.created_by for one in here}
    persons = identity.visible_names(actor, makers)
    named = groups.names(reading)
    out = []
    for share in here:
        node = look.node(reading, share.node)
        if node is None:
            continue
        mount = mounted.pop(share.id, None)
        out.append(
            {
                "id": share.id,
                "name": mount.name if mount is not None else node.name,
                "node_id": node.id,
                "is_folder": bool(node.is_folder),
                "rights": drive_share_words.RIGHTS[share.rights],
                "from": persons.get(share.created_by, ""),
                "group": named.get(share.target, "") if share.kind == "group" else "",
                "ends": clock.moment(share.expires_s),
                "is_left": mount is None and share.id in left,
                "is_visit": False,
            }
        )
    owners = names_of_communes(actor, {one.owner for one in mounted.values()})
    out += [
        {
            "id": one.share.id,
            "name": one.name,
            "node_id": one.node.id,
            "is_folder": bool(one.node.is_folder),
            "rights": drive_share_words.RIGHTS["write" if one.may_write else "read"],
            "from": owners.get(one.owner, ""),
            "ends": clock.moment(one.share.expires_s),
            "is_left": False,
            "is_visit": True,
        }
        for one in mounted.values()
        if one.owner != view.collectivite_id
    ]
    return out + _left_abroad(view, reading, actor)


def _left_abroad(view: View, reading: Reading, actor: Actor) -> list[dict[str, Any]]:
    left = {one for one, kept in mounts.of(reading, view.who.person_id).items() if kept.left_s}
    found = [one for one in received.every(reading) if one.state == "accepted" and one.share_id in left]
    owners = names_of_communes(actor, {one.owner for one in found})
    return [
        {"id": one.share_id, "name": one.label, "from": owners.get(one.owner, ""), "is_left": True}
        for one in found
    ]


def offers(view: View, reading: Reading, actor: Actor) -> list[dict[str, Any]]:
    """What other collectivités offered and still stand by, or lost, for the référent; the newest first. Who does not
    answer is left out."""
    if view.who.role != "referent":
        return []
    found = received.every(reading)
    owners = names_of_communes(actor, {one.owner for one in found})
    out = []
    for one in reversed(found):
        share, is_lost = None, False
        try:
            with metadata_of(one.owner).reading() as there:
                share = shares.of_owner(
                    there, one.owner, one.share_id, view.who.collectivite_id, now_s=clock.epoch_s()
                )
        except KeysErased:
            continue
        except shares.ShareLost:
            is_lost = one.state == "accepted"
            if is_lost:  # its line says what is wrong, and what to do
                view.lost.discard(one.owner)
        except BeffroiError as error:
            view.leave_out(one.owner, error)
        if share is not None or is_lost:
            out.append(
                {
                    "id": one.share_id,
                    "label": one.label,
                    "from": owners.get(one.owner, ""),
                    "state": "lost" if is_lost else one.state,
                    "rights": drive_share_words.RIGHTS[share.rights] if share is not None else "",
                    "ends": clock.moment(share.expires_s) if share is not None else None,
                    "offered": clock.moment(one.offered_s),
                }
            )
    return out


def news(view: View, reading: Reading) -> list[Share]:
    """What colleagues shared since this person looked, or came with a group that they were added to since."""
    since_s = seen.shares(reading, view.who.person_id)
    added = groups.of_person(reading, view.who.person_id)
    return [
        one for one in view.shared_here(reading) if max(one.created_s, added.get(one.target, 0)) > since_s
    ]


def accepted_since(view: View, reading: Reading) -> int:
    """How many shares of other collectivités were accepted here since this person looked, by somebody else, and stand.
    Each is asked of its owner; one that does not answer is not counted."""
    since_s, found = seen.shares(reading, view.who.person_id), 0
    for one in received.every(reading):
        if one.state != "accepted" or one.answered_s <= since_s or one.answered_by == view.who.person_id:
            continue
        with suppress(BeffroiError):
            visit = view.visit(reading, one.share_id)
            with visit.database.reading() as there:
                found += visit.mount(there) is not None
    return found


def name_of_commune(actor: Actor, collectivite_id: str) -> str:
    return names_of_communes(actor, {collectivite_id}).get(collectivite_id, "")


def lacking(actor: Actor, view: View) -> dict[str, list[str]]:
    """Names of the collectivités that a list of this view left out, as a sentence begins with them: ``lacks`` did not
    answer, ``lost`` lost what they shared."""
    known = names_of_communes(actor, view.silent | view.lost)

    def named(owners: set[str]) -> list[str]:
        return sorted({known.get(one) or _("Une commune qui partage avec vous") for one in owners})

    return {"lacks": named(view.silent), "lost": named(view.lost)}


def names_of_communes(actor: Actor, wanted: set[str]) -> dict[str, str]:
    return dict(communes.neighbours(actor).filter(pk__in=wanted).values_list("id", "name")) if wanted else {}
