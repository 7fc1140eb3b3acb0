"""The Département's own active decisions, for a CSIRT: plain list, CSV, MISP JSON, STIX 2.1. Read-only.

Rule:   indicator, reason, end; never who reported, never which commune: those are not in a decision. Decisions of one
        collectivité alone, and what outside lists say, are left out: neither is the Département's word.
Source: MISP core format; STIX 2.1 sections 4.7 and 2.9 (deterministic identifiers, as UUID version 5).
"""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from beffroi_protocol.indicators import Kind
from django.db.models import QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import queries
from beffroi.core.decisions.models import SCOPE_ALL, Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.lib.spreadsheet import inert

_NAMESPACE = uuid.UUID("6f7e2f0d-7c5c-5b0e-9a53-0d6a4f6a2c11")
_MISP_TYPES = {
    Kind.IP: "ip-dst",
    Kind.CIDR: "ip-dst",
    Kind.DOMAIN: "domain",
    Kind.URL: "url",
    Kind.SHA256: "sha256",
    Kind.SENDER: "email-src",
}
_DIVIDED = re.compile(r";(?=[=+@-])")
"""Where a spreadsheet in French begins a cell that it computes, in a table with commas too."""
_STIX_PATHS = {
    Kind.DOMAIN: "domain-name:value",
    Kind.URL: "url:value",
    Kind.SHA256: "file:hashes.'SHA-256'",
    Kind.SENDER: "email-addr:value",
}


def own_decisions(actor: Actor) -> QuerySet[Decision]:
    """Active ones for all, of kinds that others understand. Errors: NotAllowed."""
    actor.require_departement("export decisions")
    rows = queries.active_decisions(actor).filter(scope=SCOPE_ALL, action__in=("block", "quarantine"))
    kinds = [kind.value for kind in _MISP_TYPES]
    return rows.filter(kind__in=kinds, expires_at__gt=clock.paced_now()).order_by("kind", "value")


def export(*, actor: Actor, format_: str) -> tuple[bytes, str, str]:
    """Return (content, media type, file name), and note in the audit log that it left. Errors: NotFound, NotAllowed."""
    if format_ not in _FORMATS:
        raise NotFound("format")
    write, media_type, ending = _FORMATS[format_]
    decisions = list(own_decisions(actor))
    audit.record(
        actor,
        "decision:exported",
        format_,
        collectivite_id=None,
        details={"format": format_, "count": len(decisions)},
    )
    return write(decisions), media_type, f"beffroi-{clock.now():%Y%m%d-%H%M}.{ending}"


def plain(decisions: Sequence[Decision]) -> bytes:
    return "".join(f"{one.value}\n" for one in decisions).encode()


def table(decisions: Sequence[Decision]) -> bytes:
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(("type", "value", "reason", "valid_from", "valid_until"))
    for one in decisions:
        cells = (_MISP_TYPES[Kind(one.kind)], one.value, one.reason, _from(one), _time(one.expires_at))
        rows.writerow(inert(_DIVIDED.sub(";'", cell)) for cell in cells)
    return out.getvalue().encode()


def misp(decisions: Sequence[Decision]) -> bytes:
    """One event of MISP (core format), JSON; an attribute a decision, whose uuid is the same each time."""
    now = clock.now()
    attributes = [
        {
            "uuid": str(uuid.uuid5(_NAMESPACE, one.id)),
            "type": _MISP_TYPES[Kind(one.kind)],
            "category": "Payload delivery" if one.kind in (Kind.SHA256, Kind.SENDER) else "Network activity",
            "value": one.value,
            "to_ids": True,
            "comment": one.reason,
            "timestamp": str(int((one.activated_at or now).timestamp())),
            "last_seen": _time(one.expires_at),
        }
        for one in decisions
    ]
    event = {
        "uuid": str(uuid.uuid5(_NAMESPACE, f"event/{now:%Y%m%d%H%M%S}")),
        "info": "Beffroi: decisions in force",
        "date": f"{now:%Y-%m-%d}",
        "timestamp": str(int(now.timestamp())),
        "threat_level_id": "2",
        "analysis": "2",
        "distribution": "0",
        "published": False,
        "Attribute": attributes,
    }
    return _json({"Event": event})


def stix(decisions: Sequence[Decision]) -> bytes:
    """One bundle of STIX 2.1, JSON; an indicator a decision, whose id is the same each time."""
    objects = [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--{uuid.uuid5(_NAMESPACE, one.id)}",
            "created": _from(one),
            "modified": _from(one),
            "name": f"Beffroi {one.kind}",
            "description": one.reason,
            "indicator_types": ["malicious-activity"],
            "pattern": _pattern(one),
            "pattern_type": "stix",
            "valid_from": _from(one),
            "valid_until": _time(one.expires_at),
        }
        for one in decisions
    ]
    bundle = {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": objects}
    return _json(bundle)


def _pattern(one: Decision) -> str:
    kind = Kind(one.kind)
    path = _STIX_PATHS.get(kind) or ("ipv6-addr:value" if ":" in one.value else "ipv4-addr:value")
    value = one.value.replace("\\", "\\\\").replace("'", "\\'")
    return f"[{path} = '{value}']"


def _from(one: Decision) -> str:
    return _time(one.activated_at or one.proposed_at)


def _time(moment: datetime | None) -> str:
    return (moment or clock.now()).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()


_FORMATS: dict[str, tuple[Callable[[Sequence[Decision]], bytes], str, str]] = {
    "plain": (plain, "text/plain; charset=utf-8", "txt"),
    "csv": (table, "text/csv; charset=utf-8", "csv"),
    "misp": (misp, "application/json", "misp.json"),
    "stix": (stix, "application/stix+json;version=2.1", "stix.json"),
}
