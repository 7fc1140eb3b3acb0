"""What boxes learned while they observed, which machines go round them, and which ones somebody should look at.

Purpose: proposals of inbound rules before default deny bites; warnings that a person reads.
Process: worker.
Input:   events of ``boxes.consumers``, numbers bounded there; a hostile box fills at most ``MAX_FLOWS`` rows of its own
         collectivité, and every value is checked again here, because an accepted proposal becomes policy.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime

from django.db.models import F
from django.db.models.functions import Greatest

from beffroi.boxes import openings
from beffroi.boxes.models import BoxBypass, LearnedFlow
from beffroi.core.events.registry import Event, consumer

MAX_FLOWS = 500
MAX_KINDS = 20
OBSERVED = frozenset({"dns_flood", "flow_flood", "dhcp_flood", "cleartext_password", "gateway_spoof"})
"""Alarms that open no incident, since a program of the town hall's own may do it too; shown beside its box."""
MAX_MACHINES = 20
"""Of a kind, the latest ones: who forges addresses gets many labels."""
_LABEL = re.compile(r"poste-[0-9A-Z]{5}")
_V4_BITS, _V6_BITS = 24, 48


@consumer(name="boxes.learned", kinds=("box:flow_learned", "box:bypassed", "box:alarm"))
def keep(event: Event) -> None:
    if event.collectivite_id is None:
        return
    if event.kind == "box:flow_learned":
        _keep_flow(event, event.collectivite_id)
    elif event.kind == "box:alarm":
        _keep_observed(event, event.collectivite_id)
    else:
        _keep_bypass(event, event.collectivite_id)


def _keep_flow(event: Event, collectivite_id: str) -> None:
    told = event.payload
    direction, protocol, port = str(told["direction"]), str(told["protocol"]), int(told["port"])
    remote = prefix_of(str(told["remote"])) if direction == "in" else ""
    if direction == "in" and not (remote and protocol in ("tcp", "udp") and 0 < port < 65536):
        return  # nothing that could become a rule
    rows = LearnedFlow.objects.filter(collectivite_id=collectivite_id)
    key = {
        "direction": direction,
        "protocol": protocol[:8],
        "port": port,
        "remote": remote,
        "service": str(told["service"])[:64],
    }
    first_at, last_at = _time(told["first_at"]), _time(told["last_at"])
    if direction == "in" and openings.led_in(collectivite_id, protocol, port, remote, since=first_at):
        return  # it has an end and one machine; a rule would have neither
    if not rows.filter(**key).exists() and rows.count() >= MAX_FLOWS:
        return
    row, _ = LearnedFlow.objects.get_or_create(
        collectivite_id=collectivite_id, **key, defaults={"first_at": first_at, "last_at": last_at}
    )
    LearnedFlow.objects.filter(pk=row.pk).update(
        count=F("count") + int(told["count"]), last_at=Greatest("last_at", last_at)
    )


def _keep_bypass(event: Event, collectivite_id: str) -> None:
    kind, at = str(event.payload["kind"])[:64], _time(event.payload["at"])
    rows = BoxBypass.objects.filter(collectivite_id=collectivite_id, machine="")
    if not rows.filter(kind=kind).exists() and rows.count() >= MAX_KINDS:
        return
    row, _ = BoxBypass.objects.get_or_create(
        collectivite_id=collectivite_id, kind=kind, machine="", defaults={"first_at": at, "last_at": at}
    )
    BoxBypass.objects.filter(pk=row.pk).update(
        count=int(event.payload["count"]), last_at=Greatest("last_at", at)
    )


def _keep_observed(event: Event, collectivite_id: str) -> None:
    kind, at = str(event.payload["detector"]), _time(event.payload["seen_at"])
    machine = str(dict(event.payload["evidence"]).get("machine", ""))
    if kind not in OBSERVED or not _LABEL.fullmatch(machine):
        return
    rows = BoxBypass.objects.filter(collectivite_id=collectivite_id, kind=kind).exclude(machine="")
    row, _ = BoxBypass.objects.get_or_create(
        collectivite_id=collectivite_id,
        kind=kind,
        machine=machine,
        defaults={"first_at": at, "last_at": at},
    )
    BoxBypass.objects.filter(pk=row.pk).update(count=F("count") + 1, last_at=Greatest("last_at", at))
    for old in rows.order_by("-last_at", "-pk")[MAX_MACHINES:]:
        old.delete()


def prefix_of(text: str) -> str:
    """Return ``text`` as a prefix that is no wider than a box may tell, "" when it is none."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return ""
    return str(network) if network.prefixlen >= (_V4_BITS if network.version == 4 else _V6_BITS) else ""


def _time(epoch_s: object) -> datetime:
    return datetime.fromtimestamp(int(str(epoch_s)), UTC)
