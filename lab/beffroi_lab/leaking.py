"""Attacks from inside: data carried out in DNS questions, a large upload at night to a place nobody knew, and a program
that calls its master at a fixed rhythm.

Process: the laboratory's own. All begin early, since they are seen by the minute, and are looked for later.
Source:  docs/internals/lab.md; beffroi_box.leaks.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from beffroi_lab.attack_steps import COMMAND_PORT, Outcome, Stage
from beffroi_lab.doors import now_ms
from beffroi_lab.names import TUNNEL_ZONE
from beffroi_lab.report import percentiles
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S

UPLOAD_BYTES = 6_000_000
PIECES, PAUSE_S = 80, 0.04
TUNNEL_WORDS = "données cachées dans des questions de noms"
UPLOAD_WORDS = "envois la nuit"
BEACON_WORDS = "appels réguliers vers l’extérieur"
BEACON_EVERY_S, BEACON_CALLS = 12.0, 40


@dataclass(frozen=True)
class Leaks:
    """When each began, in epoch ms."""

    tunnel_ms: int
    upload_ms: int
    uploaded_to: str
    beacon_ms: int = 0
    beacon_to: str = ""


@dataclass(frozen=True)
class Alarm:
    """What a box should tell, and the words of the incident that it opens."""

    detector: str
    value: str
    since_ms: int
    words: str


def begin(stage: Stage) -> Leaks:
    """A PC of the second town hall tunnels, one of the first sends much, at the box's night."""
    to = stage.feed.addresses[6]
    upload_ms = now_ms()
    first, second = stage.communes[:2]
    sent = stage.lan(first).ask("upload", address=to, port=COMMAND_PORT, size_bytes=UPLOAD_BYTES)
    tunnel_ms = now_ms()
    carried = stage.lan(second).ask(
        "tunnel", zone=TUNNEL_ZONE, server=second.lan.v4, pieces=PIECES, pause_s=PAUSE_S
    )
    stage.report.prove("leaks_begin", sent["ok"] and carried["ok"], f"upload {sent}, tunnel {carried}")
    stage.report.tell(
        f"a PC in {second.name} carries data out in {PIECES} DNS questions; one in {first.name} sends "
        f"{UPLOAD_BYTES // 1_000_000} MB to a new place at night"
    )
    return Leaks(tunnel_ms, upload_ms, to)


def begin_beacon(stage: Stage, leaks: Leaks) -> Leaks:
    """A PC of the first town hall calls home; once nobody else tries the attacker's addresses."""
    to, first, began_ms = stage.feed.addresses[7], stage.communes[0], now_ms()
    asked = stage.lan(first).ask(
        "beacon", address=to, port=COMMAND_PORT, every_s=BEACON_EVERY_S, beats=BEACON_CALLS
    )
    stage.report.prove("beacon_begins", asked["ok"], f"{asked}")
    stage.report.tell(f"a PC in {first.name} begins to call {to} every {BEACON_EVERY_S:.0f} s")
    return replace(leaks, beacon_ms=began_ms, beacon_to=to)


def tunnel(stage: Stage, leaks: Leaks) -> Outcome:
    """The alarm and its incident; the Département confirms, and no resolver gives the name. Errors: LabFailed."""
    report, outcome = stage.report, Outcome()
    sighting = _told(stage, outcome, Alarm("dns_tunnel", TUNNEL_ZONE, leaks.tunnel_ms, TUNNEL_WORDS))
    carried = _carry(stage)
    report.prove("tunnel_before", carried == len(stage.communes), f"{carried} resolvers carry the tunnel")
    if sighting is None or (decision := _confirm(stage, outcome, sighting, TUNNEL_ZONE)) is None:
        return outcome
    acknowledged = stage.world.centre.ask(
        "enforced", decision_ids=[decision["id"]], boxes_wanted=len(stage.world.boxes), ended=False
    )
    outcome.block_ms = percentiles(at - decision["activated_ms"] for at in acknowledged["boxes"].values())
    refused = acknowledged["ok"] and wait_until(lambda: not _carry(stage), PATIENCE_S)
    outcome.refused = {"seen": refused, "resolvers": len(stage.communes), "carrying": _carry(stage)}
    report.prove("tunnel_refused", refused, f"a resolver still carries: {outcome.refused}")
    report.tell(f"the Département presses Confirmer: no resolver carries {TUNNEL_ZONE} any more")
    stage.undo_by_page(decision["campaign_id"])
    outcome.undone = wait_until(lambda: _carry(stage) == len(stage.communes), PATIENCE_S)
    report.prove("tunnel_undone", outcome.undone, "a resolver still refuses the name")
    return outcome


def upload(stage: Stage, leaks: Leaks) -> Outcome:
    """The alarm and its incident; the Département confirms, and every box refuses the place. Errors: LabFailed."""
    return _to_a_place(stage, Alarm("leak_night", leaks.uploaded_to, leaks.upload_ms, UPLOAD_WORDS))


def beacon(stage: Stage, leaks: Leaks) -> Outcome:
    """The same for who calls home. Errors: LabFailed."""
    return _to_a_place(stage, Alarm("beacon", leaks.beacon_to, leaks.beacon_ms, BEACON_WORDS))


def _to_a_place(stage: Stage, alarm: Alarm) -> Outcome:
    report, place, outcome = stage.report, alarm.value, Outcome()
    sighting = _told(stage, outcome, alarm)
    if sighting is None:
        return outcome
    watchers = stage.watch(place, open_=False)
    decision = _confirm(stage, outcome, sighting, place)
    moments = stage.moments(watchers)
    if decision is None:
        return outcome
    outcome.block_ms = percentiles(max(0, at - decision["activated_ms"]) for at in moments)
    after = stage.tries([place])
    complete = len(moments) == 2 * len(stage.communes) and stage.none_passes(after)
    outcome.refused = {"seen": complete, **after}
    report.prove(f"{alarm.detector}_refused", complete, f"not refused everywhere: {after}", after)
    report.tell(
        f"the Département presses Confirmer: every box refuses {place} {outcome.block_ms['max']} ms later"
    )
    stage.undo_by_page(decision["campaign_id"])
    again = stage.moments(stage.watch(place, open_=True))
    outcome.undone = len(again) == 2 * len(stage.communes)
    report.prove(f"{alarm.detector}_undone", outcome.undone, "after Annuler the place is still refused")
    return outcome


def _told(stage: Stage, outcome: Outcome, alarm: Alarm) -> dict[str, Any] | None:
    """Wait for the alarm, and read its incident."""
    report = stage.report
    sighting = stage.sighting(f"box_{alarm.detector}", alarm.value, alarm.since_ms, PATIENCE_S)
    report.prove(f"{alarm.detector}_seen", sighting is not None, f"no box told of {alarm.value}")
    if sighting is None:
        return None
    outcome.seen_ms = sighting["at_ms"] - alarm.since_ms
    wait_until(lambda: bool(stage.incident_that_says(alarm.words)), PATIENCE_S, 0.5)
    outcome.explained = stage.incident_that_says(alarm.words)
    report.prove(f"{alarm.detector}_explained", bool(outcome.explained), "no incident says what was seen")
    report.tell(f"a box told of {alarm.value}; an incident says why: {outcome.explained}")
    return sighting


def _confirm(stage: Stage, outcome: Outcome, sighting: dict[str, Any], value: str) -> dict[str, Any] | None:
    began_ms = now_ms()
    stage.press(f"/decisions/{sighting['campaign_id']}/confirmer/")
    decision = stage.decision_about(value, began_ms, PATIENCE_S)
    stage.report.prove(f"{value}_decided", decision is not None, f"Confirmer decided nothing about {value}")
    outcome.decided_by = decision["rule"] if decision else ""
    return decision


def _carry(stage: Stage) -> int:
    """How many town halls' resolvers carry a question of the tunnel to the attacker's server and its answer back."""
    asked = [
        stage.lan(c).start(
            "lookup", server=c.lan.v4, name=f"{secrets.token_hex(8)}.{TUNNEL_ZONE}", kind="TXT"
        )
        for c in stage.communes
    ]
    return sum(bool(one.result(30)["ok"]) for one in asked)
