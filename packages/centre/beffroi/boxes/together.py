"""One setting for many boxes at once: each keeps all its others, each change is a version of its own, one undo for all.

Purpose: 698 forms are not filled in one by one.
Fails:   a policy that changed meanwhile, or a change that does not fit there (a trap on an open port), leaves that
         commune as it was and says so; the others go on. NotAllowed for a commune.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from beffroi_protocol.messages import Policy
from django.db.models import Max, OuterRef, QuerySet, Subquery

from beffroi.boxes import actions
from beffroi.boxes.models import Box, BoxPolicy
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.lib.ids import new_id

SETTINGS = (
    "enforce", "redirect_dns", "refuse_doh", "unlock", "inspect",
    "honeyports", "canary_names", "leak_bytes_hour", "beacon_from_s", "beacon_beats",
)  # fmt: skip
"""What may be the same everywhere; the rest (openings, protected names, mode) is of one place."""


@dataclass(frozen=True)
class Change:
    """``policy``: the new one; ``version``: that it was made from."""

    collectivite_id: str
    version: int
    old: Policy
    policy: Policy


@dataclass(frozen=True)
class Outcome:
    """``left``: collectivités that were left as they are, with the code of why."""

    batch: str
    changed: int
    left: dict[str, str]


@dataclass(frozen=True)
class Progress:
    """``proved``: boxes that run the batch's version or a later one, of ``boxes``; ``rolled_back``: that refused it."""

    boxes: int
    proved: int
    rolled_back: int


def preview(actor: Actor, values: Mapping[str, object], chosen: Iterable[str] | None = None) -> list[Change]:
    """The communes whose policy ``values`` would change; ``chosen`` None: all. Errors: NotAllowed, Invalid."""
    actor.require_departement("change the policy of boxes")
    if not values or not set(values) <= set(SETTINGS):
        raise Invalid("settings")
    wanted = None if chosen is None else set(chosen)
    found = []
    for row in _latest():
        if wanted is not None and row.collectivite_id not in wanted:
            continue
        old = msgspec.convert(row.policy, Policy)
        new = msgspec.convert({**msgspec.to_builtins(old), **values}, Policy)
        if new != old:
            found.append(Change(row.collectivite_id, row.policy_version, old, new))
    return found


def apply(
    *, actor: Actor, values: Mapping[str, object], reason: str, chosen: Iterable[str] | None = None
) -> Outcome:
    """Change these settings in each policy that differs. Errors: NotAllowed, Invalid (settings, no reason)."""
    if not reason.strip():
        raise Invalid("reason")
    return _send(actor, preview(actor, values, chosen), reason, new_id("bat"))


def undo(*, actor: Actor, batch: str, reason: str) -> Outcome:
    """Give each commune of a batch the settings of before that it still has from it; what was changed since stays.

    Errors: NotAllowed, NotFound.
    """
    actor.require_departement("change the policy of boxes")
    earlier = BoxPolicy.objects.filter(
        collectivite_id=OuterRef("collectivite_id"), policy_version__lt=OuterRef("policy_version")
    )
    before = earlier.order_by("-policy_version").values("policy")[:1]
    rows = list(BoxPolicy.objects.filter(batch=batch).annotate(former=Subquery(before)))
    if not rows:
        raise NotFound("batch")
    now = {row.collectivite_id: row for row in _newest()}
    changes = []
    for row in rows:
        policies = (row.former, row.policy, now[row.collectivite_id].policy)
        former, given, present = (msgspec.convert(one, Policy) for one in policies)
        back = {
            name: getattr(former, name)
            for name in SETTINGS
            if getattr(former, name) != getattr(given, name) == getattr(present, name)
        }
        if back:
            new = msgspec.structs.replace(present, **back)
            changes.append(Change(row.collectivite_id, now[row.collectivite_id].policy_version, present, new))
    return _send(actor, changes, reason, new_id("bat"))


def batches(actor: Actor, *, limit: int) -> list[tuple[BoxPolicy, Progress]]:
    """The latest batches, each by one of its rows, with how far the boxes are; for the Département only."""
    if not actor.sees_all:
        return []
    newest = BoxPolicy.objects.exclude(batch="").values("batch").annotate(last=Max("id")).order_by("-last")
    rows = BoxPolicy.objects.filter(pk__in=[one["last"] for one in newest[:limit]]).order_by("-id")
    return [(row, _progress(row.batch)) for row in rows]


def _progress(batch: str) -> Progress:
    versions = dict(BoxPolicy.objects.filter(batch=batch).values_list("collectivite_id", "policy_version"))
    boxes = list(Box.objects.filter(state=Box.State.ACTIVE, collectivite_id__in=versions))
    proved = sum(box.policy_version >= versions[box.collectivite_id] for box in boxes)
    back = sum(box.rolled_back_version == versions[box.collectivite_id] for box in boxes)
    return Progress(len(boxes), proved, back)


def _send(actor: Actor, changes: list[Change], reason: str, batch: str) -> Outcome:
    left: dict[str, str] = {}
    for one in changes:
        commune = communes.access_collectivite(actor, one.collectivite_id)
        try:
            actions.set_policy(
                actor=actor,
                collectivite=commune,
                policy=one.policy,
                reason=reason,
                base_version=one.version,
                batch=batch,
            )
        except (Conflict, Invalid) as error:
            left[one.collectivite_id] = error.code
    return Outcome(batch, len(changes) - len(left), left)


def _newest() -> QuerySet[BoxPolicy]:
    """The policy in force of each collectivité."""
    newest = BoxPolicy.objects.filter(collectivite_id=OuterRef("collectivite_id")).order_by("-policy_version")
    return BoxPolicy.objects.filter(policy_version=Subquery(newest.values("policy_version")[:1]))


def _latest() -> QuerySet[BoxPolicy]:
    """Of those that have a working box."""
    with_box = Box.objects.filter(state=Box.State.ACTIVE).values("collectivite_id")
    return _newest().filter(collectivite_id__in=with_box)


def owners(actor: Actor) -> list[str]:
    """The collectivités that have a policy and a working box; for the Département only."""
    return list(_latest().values_list("collectivite_id", flat=True)) if actor.sees_all else []
