"""Read boîtiers on someone's behalf: the Département sees all, a commune its own."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Policy
from django.db.models import Count, Max, Q, QuerySet, Sum

from beffroi.boxes.models import Box, BoxAck, BoxNotice, BoxPolicy, FlowCount, LearnedFlow, RefusedDay
from beffroi.core.communes.row_security import unlimited
from beffroi.core.decisions import rules
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import existing

SILENT_AFTER_S = 180


def visible_boxes(actor: Actor) -> QuerySet[Box]:
    """Newest first."""
    return actor.visible(Box.objects.order_by("-created_at"))


def access_box(actor: Actor, box_id: str) -> Box:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_boxes(actor).filter(pk=box_id).first(), "box")


@dataclass(frozen=True)
class BoxState:
    """``silent``: in service, and not heard of for ``SILENT_AFTER_S``."""

    box: Box
    silent: bool


def box_states(actor: Actor) -> list[BoxState]:
    """One query for any number of boxes."""
    limit = clock.now() - timedelta(seconds=SILENT_AFTER_S)
    return [
        BoxState(
            box,
            box.state == Box.State.ACTIVE and (box.last_seen_at is None or box.last_seen_at < limit),
        )
        for box in visible_boxes(actor)
    ]


def acks_for(actor: Actor, *, channel: str, epoch: int, version: int) -> list[BoxAck]:
    """Acknowledgements of at least this version, first to enforce first. A later epoch begins with a snapshot
    of everything in force, so it carries the version too."""
    boxes = visible_boxes(actor).filter(state=Box.State.ACTIVE).values("id")
    reached = Q(epoch=epoch, version__gte=version) | Q(epoch__gt=epoch)
    rows = BoxAck.objects.filter(reached, box_id__in=boxes, channel=channel)
    return list(rows.order_by("enforced_at_ms"))


def visible_flows(actor: Actor) -> QuerySet[FlowCount]:
    """What was refused, latest first."""
    return actor.visible(FlowCount.objects.order_by("-last_at"))


@dataclass(frozen=True)
class Often:
    """How often one listed thing was refused since a day, and in how many collectivités: counts only."""

    flows_in: int = 0
    flows_out: int = 0
    names: int = 0
    communes: int = 0
    last_at: datetime | None = None


def how_often(kind: str, value: str, *, since: date) -> Often:
    """Of the whole département, whoever asks: it names nobody."""
    with unlimited():
        rows = FlowCount.objects.filter(value=value, kind=kind, day__gte=since)
        sums = {row["direction"]: int(row["n"]) for row in rows.values("direction").annotate(n=Sum("count"))}
        told = rows.aggregate(communes=Count("collectivite_id", distinct=True), last_at=Max("last_at"))
    return Often(
        sums.get("in", 0), sums.get("out", 0), sums.get("name", 0), told["communes"], told["last_at"]
    )


@dataclass
class Refused:
    """What was refused on one day: attempts in and out, look-ups, packets, and attempts that nobody is named for."""

    flows_in: int = 0
    flows_out: int = 0
    names: int = 0
    packets: int = 0
    attempts: int = 0

    @property
    def unnamed(self) -> int:
        return max(0, self.attempts - self.flows_in - self.flows_out)


def refused_by_day(actor: Actor, *, since: date, owner: str = "") -> dict[tuple[str, date], Refused]:
    """By collectivité and day (UTC); two queries for any number of them. ``owner``: of this one alone, in its index."""
    found: dict[tuple[str, date], Refused] = defaultdict(Refused)
    fields = {"in": "flows_in", "out": "flows_out", "name": "names"}
    of = {"collectivite_id": owner} if owner else {}
    counted = visible_flows(actor).filter(day__gte=since, **of).order_by()
    for row in counted.values("collectivite_id", "day", "direction").annotate(n=Sum("count")):
        setattr(found[row["collectivite_id"], row["day"]], fields[row["direction"]], int(row["n"]))
    sums = actor.visible(RefusedDay.objects.filter(day__gte=since, **of))
    for one in sums:
        day = found[one.collectivite_id, one.day]
        day.packets += one.packets
        day.attempts += one.attempts
    return dict(found)


def visible_notices(actor: Actor) -> QuerySet[BoxNotice]:
    """Entries refused by boxes and policies rolled back, latest first."""
    return actor.visible(BoxNotice.objects.order_by("-at"))


def current_policy(actor: Actor, collectivite_id: str) -> tuple[int, Policy] | None:
    """Return (version, policy), None before the first. Errors: NotFound if it is not the actor's to see."""
    actor.require_sees(collectivite_id)
    row = BoxPolicy.objects.filter(collectivite_id=collectivite_id).order_by("-policy_version").first()
    return (row.policy_version, msgspec.convert(row.policy, Policy)) if row else None


def talked_to(actor: Actor, indicator: Indicator, *, since: date) -> set[str]:
    """Collectivités that something in this indicator was refused at since that day, or that lived on its network while
    their box observed; for the Département only. What passed a box unrefused is known to that box alone."""
    if not actor.sees_all:
        return set()
    value = indicator.value
    # What came from outside and was refused is no user of it: only what went out, or asked for its name.
    refused = FlowCount.objects.filter(day__gte=since, direction__in=("out", "name"))
    if indicator.kind is Kind.DOMAIN:
        refused = refused.filter(Q(value=value) | Q(value__endswith=f".{value}"), kind="domain")
    elif indicator.kind in (Kind.IP, Kind.CIDR):
        network = ipaddress.ip_network(value)
        shared = rules.shared_text(network)
        refused = refused.filter(kind="ip", value__startswith=shared)
        wider = network.supernet(new_prefix=min(network.prefixlen, 24 if network.version == 4 else 48))
        lived = LearnedFlow.objects.filter(remote=str(wider), last_at__date__gte=since)
        near = refused.values_list("collectivite_id", "value").distinct()
        met = {owner for owner, one in near if ipaddress.ip_address(one) in network}
        return met | set(lived.values_list("collectivite_id", flat=True).distinct())
    else:
        refused = refused.filter(kind=indicator.kind.value, value=value)
    return set(refused.values_list("collectivite_id", flat=True).distinct())
