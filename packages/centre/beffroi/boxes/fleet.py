"""The Département's words on policies of boxes: observation, learned flows, going back, and what a fleet looks like.

Purpose: 698 boxes and one operator: one row a box with what is wrong with it, counts first.
Input:   ``fleet`` asks six queries for any number of boxes and keeps one row of each in memory.
Fails:   NotAllowed for a commune; a policy that changed meanwhile is a Conflict, never overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from beffroi_protocol.messages import InboundRule, Policy
from django.db import transaction
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery

from beffroi.boxes import actions, queries
from beffroi.boxes.models import Box, BoxAck, BoxBypass, BoxPolicy, BoxRun, LearnedFlow
from beffroi.core.audit import actions as audit
from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions.models import FeedBatch, FeedChannel
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound, existing

FEED = "box"
BEHIND_AFTER_S = 60
TWICE_FOR = timedelta(days=1)
"""So long after they were last seen two machines with one identity are an alarm."""
LABELS_KEPT = timedelta(days=30)
"""How long a box knows which machine it meant (``beffroi_box.labels``)."""
FLAGS = ("twice", "pending", "silent", "rolled_back", "behind", "outdated", "observing")
"""What an operator looks for, most urgent first."""


@dataclass(frozen=True)
class FleetRow:
    """``flags``: those of FLAGS that hold. ``list_version`` 0: it never acknowledged. ``list_lag`` in versions, -1
    where it cannot be told (another epoch). ``policy_wanted``: the latest policy's version, 0 for none; ``enforces``:
    what is listed is refused by it."""

    box: Box
    commune: str
    flags: tuple[str, ...]
    list_version: int
    list_lag: int
    policy_wanted: int
    observe_until: datetime | None
    enforces: bool

    @property
    def state(self) -> str:
        """The one word for it."""
        if self.box.state == Box.State.REVOKED:
            return "box_revoked"
        return self.flags[0] if self.flags else "box_active"


def fleet(actor: Actor, *, with_revoked: bool = False) -> list[FleetRow]:
    """The boxes that ``actor`` may see, most urgent first, then by commune."""
    boxes = queries.visible_boxes(actor)
    found = list(boxes if with_revoked else boxes.exclude(state=Box.State.REVOKED))
    if not found:
        return []
    names = communes.visible_names(actor)
    acks = {
        box_id: (epoch, version)
        for box_id, epoch, version in BoxAck.objects.filter(
            channel=FEED, box_id__in=boxes.order_by().values("id")
        ).values_list("box_id", "epoch", "version")
    }
    policies = _policies_now(() if actor.sees_all else (found[0].collectivite_id,))
    now = clock.now()
    newest = max((_numbers(box.agent_version) for box in found if box.state == Box.State.ACTIVE), default=())
    head = FeedChannel.objects.filter(pk=FEED).values_list("epoch", "version").first() or (0, 0)
    due = _due(now)
    twice = seen_twice(now)
    silent_before = now - timedelta(seconds=queries.SILENT_AFTER_S)
    rows = []
    for box in found:
        wanted, observe_until, enforces = policies.get(box.collectivite_id, _NO_POLICY)
        epoch, version = acks.get(box.id, (0, 0))
        flags = []
        if box.state == Box.State.PENDING:
            flags.append("pending")
        elif box.state == Box.State.ACTIVE:
            if box.id in twice:
                flags.append("twice")
            if box.last_seen_at is None or box.last_seen_at < silent_before:
                flags.append("silent")
            if box.rolled_back_version and box.rolled_back_version == wanted > box.policy_version:
                flags.append("rolled_back")
            if (epoch, version) < due:
                flags.append("behind")
            if _numbers(box.agent_version) < newest:
                flags.append("outdated")
            if observe_until is not None and observe_until > now:
                flags.append("observing")
        lag = head[1] - version if epoch == head[0] else -1
        commune = names.get(box.collectivite_id, "")
        rows.append(FleetRow(box, commune, tuple(flags), version, lag, wanted, observe_until, enforces))
    rows.sort(key=_urgency)
    return rows


def behind(actor: Actor) -> int:
    """How many boxes answer, and do not enforce what was sent a minute ago."""
    now = clock.now()
    epoch, version = _due(now)
    enforce = Q(epoch__gt=epoch) | Q(epoch=epoch, version__gte=version)
    done = BoxAck.objects.filter(enforce, channel=FEED).values("box_id")
    since = now - timedelta(seconds=queries.SILENT_AFTER_S)
    answering = queries.visible_boxes(actor).filter(state=Box.State.ACTIVE, last_seen_at__gte=since)
    return answering.exclude(id__in=done).count() if epoch else 0


def seen_twice(now: datetime) -> set[str]:
    """Boxes as which two machines followed lately, revoked ones too."""
    return set(BoxRun.objects.filter(twice_at__gt=now - TWICE_FOR).values_list("box_id", flat=True))


def followed_twice(boxes: Iterable[Box]) -> int:
    """How many of these boxes two machines followed as lately."""
    twice = seen_twice(clock.now())
    return sum(box.id in twice for box in boxes)


def _urgency(row: FleetRow) -> tuple[int, str, str]:
    first = FLAGS.index(row.flags[0]) if row.flags else len(FLAGS)
    return (first + 10 * (row.box.state == Box.State.REVOKED), row.commune, row.box.serial)


_NO_POLICY = (0, None, True)


def _policies_now(owners: Sequence[str] = ()) -> dict[str, tuple[int, datetime | None, bool]]:
    """Collectivité -> version, end of observation, whether what is listed is refused; of ``owners``, () for all."""
    latest = BoxPolicy.objects.filter(collectivite_id=OuterRef("collectivite_id"))
    newest = latest.values("collectivite_id").annotate(v=Max("policy_version")).values("v")
    rows = BoxPolicy.objects.filter(policy_version=Subquery(newest[:1]))
    if owners:
        rows = rows.filter(collectivite_id__in=owners)
    return {
        owner: (version, clock.moment(until), enforce is not False)
        for owner, version, until, enforce in rows.values_list(
            "collectivite_id", "policy_version", "policy__observe_until", "policy__enforce"
        )
    }


def _due(now: datetime) -> tuple[int, int]:
    """(epoch, version) that every box should enforce by now: the last one of a minute ago."""
    old = FeedBatch.objects.filter(channel=FEED, created_at__lt=now - timedelta(seconds=BEHIND_AFTER_S))
    return old.order_by("-epoch", "-to_version").values_list("epoch", "to_version").first() or (0, 0)


def _numbers(version: str) -> tuple[int, ...]:
    """``0.10.2`` as (0, 10, 2): what follows a digit's end counts as nothing."""
    return tuple(int(part) for part in version.split(".") if part.isascii() and part.isdigit())


# -- policies ----------------------------------------------------------------------------------------------


def policy_history(actor: Actor, collectivite_id: str) -> QuerySet[BoxPolicy]:
    """Newest first. Errors: NotFound if it is not the actor's to see."""
    actor.require_sees(collectivite_id)
    return BoxPolicy.objects.filter(collectivite_id=collectivite_id).order_by("-policy_version")


def restore_policy(*, actor: Actor, collectivite: Collectivite, version: int, reason: str) -> int:
    """Give an earlier policy again, under a new version. The centre's own names and addresses stay those of now: an
    old address would cut the boxes off; openings too: one that was closed comes back by a request alone. A trap on a
    port that is open now is left out.

    Errors: NotAllowed, NotFound, Conflict (it is in force)."""
    history = policy_history(actor, collectivite.id)
    current, found = history.first(), history.filter(policy_version=version).first()
    if current is None or found is None:
        raise NotFound("policy")
    if current.policy_version == version:
        raise Conflict("this policy is in force")
    now, then = (msgspec.convert(one.policy, Policy) for one in (current, found))
    led = {one.port for one in now.openings if one.protocol == "tcp"}
    policy = msgspec.structs.replace(
        then,
        centre_names=now.centre_names,
        centre_addresses=now.centre_addresses,
        openings=now.openings,
        honeyports=tuple(port for port in then.honeyports if port not in led),
    )
    return actions.set_policy(
        actor=actor,
        collectivite=collectivite,
        policy=policy,
        reason=reason,
        restores=version,
        base_version=current.policy_version,
    )


def observe(*, actor: Actor, collectivite: Collectivite, days: int, reason: str) -> int:
    """Observe ``days`` longer than now or than planned, 0 to end observation. Errors: NotAllowed, NotFound."""
    version, policy = _current(actor, collectivite)
    until = max(policy.observe_until, clock.epoch_s()) + days * 86400 if days else 0
    policy = msgspec.structs.replace(policy, observe_until=until)
    return actions.set_policy(
        actor=actor, collectivite=collectivite, policy=policy, reason=reason, base_version=version
    )


# -- learned flows -----------------------------------------------------------------------------------------


def learned_flows(actor: Actor, collectivite_id: str) -> QuerySet[LearnedFlow]:
    """Most used first. Errors: NotFound if it is not the actor's to see."""
    actor.require_sees(collectivite_id)
    return LearnedFlow.objects.filter(collectivite_id=collectivite_id).order_by("-count", "port", "remote")


def bypasses(actor: Actor, collectivite_id: str) -> QuerySet[BoxBypass]:
    """Latest first, of the days for which a box knows its labels. Errors: as learned_flows."""
    actor.require_sees(collectivite_id)
    since = clock.now() - LABELS_KEPT
    return BoxBypass.objects.filter(collectivite_id=collectivite_id, last_at__gte=since).order_by("-last_at")


@transaction.atomic
def accept_flow(*, actor: Actor, collectivite: Collectivite, flow_id: int, label: str, reason: str) -> int:
    """Make a learned inbound flow a rule of the policy; return the policy's version.

    Errors: NotAllowed, NotFound, Conflict (someone answered meanwhile).
    """
    flow = _answered(actor, collectivite, flow_id, LearnedFlow.State.ACCEPTED)
    version, policy = _current(actor, collectivite)
    policy = msgspec.structs.replace(policy, inbound=with_source(policy.inbound, flow, label))
    return actions.set_policy(
        actor=actor, collectivite=collectivite, policy=policy, reason=reason, base_version=version
    )


@transaction.atomic
def ignore_flow(*, actor: Actor, collectivite: Collectivite, flow_id: int) -> None:
    """Say no to a proposal: it is refused once observation ends. Errors: as accept_flow."""
    flow = _answered(actor, collectivite, flow_id, LearnedFlow.State.IGNORED)
    details: dict[str, str | int] = {"protocol": flow.protocol, "port": flow.port, "remote": flow.remote}
    audit.record_of(actor, "box:flow_ignored", collectivite, details)


def with_source(rules: tuple[InboundRule, ...], flow: LearnedFlow, label: str) -> tuple[InboundRule, ...]:
    """The rules that also let this flow in: one rule a port; a rule for anyone needs no more."""
    for at, rule in enumerate(rules):
        if (rule.protocol, rule.port) != (flow.protocol, flow.port):
            continue
        if not rule.sources or flow.remote in rule.sources:
            return rules
        wider = msgspec.structs.replace(rule, sources=tuple(sorted({*rule.sources, flow.remote})))
        return (*rules[:at], wider, *rules[at + 1 :])
    return (*rules, InboundRule(flow.protocol, flow.port, (flow.remote,), label[:200]))


def _answered(actor: Actor, collectivite: Collectivite, flow_id: int, state: str) -> LearnedFlow:
    actor.require_departement("answer proposals of boxes")
    flows = learned_flows(actor, collectivite.id).filter(direction="in")
    flow = flows.filter(pk=flow_id).first()
    if flow is None:
        raise NotFound("flow")
    changed = flows.filter(pk=flow_id, state=LearnedFlow.State.OPEN).update(
        state=state, decided_by=actor.id, decided_at=clock.now()
    )
    if not changed:
        raise Conflict("this proposal is answered")
    return flow


def _current(actor: Actor, collectivite: Collectivite) -> tuple[int, Policy]:
    return existing(queries.current_policy(actor, collectivite.id), "policy")


# -- what waits for a person ---------------------------------------------------------------------------------

SOON_S = 3 * 86400
"""So long before observation ends, open proposals are a task: afterwards they are refused."""


def ending_with_proposals(actor: Actor) -> dict[str, datetime]:
    """Collectivité -> when its observation ends (within three days) or ended, with inbound proposals that nobody
    answered; of those that the actor may see."""
    own = actor.visible(LearnedFlow.objects.filter(direction="in", state=LearnedFlow.State.OPEN))
    open_ = set(own.values_list("collectivite_id", flat=True).distinct())
    if not open_:
        return {}
    limit = clock.now() + timedelta(seconds=SOON_S)
    with_box = set(
        queries.visible_boxes(actor).filter(state=Box.State.ACTIVE).values_list("collectivite_id", flat=True)
    )
    return {
        owner: until
        for owner, (_version, until, _enforces) in _policies_now().items()
        if owner in open_ & with_box and until is not None and until <= limit
    }


def refusing_policies(boxes: Iterable[Box]) -> int:
    """How many of these boxes put their former policy back and were given no other since."""
    back = [box for box in boxes if box.rolled_back_version > box.policy_version]
    wanted = _policies_now() if back else {}
    return sum(wanted.get(box.collectivite_id, _NO_POLICY)[0] == box.rolled_back_version for box in back)
