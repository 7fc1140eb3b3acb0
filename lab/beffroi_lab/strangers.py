"""Attacks on town halls from the internet: a port scan, and a visit of traps in two communes.

Process: the laboratory's own; each touch is a real connection from one address of the attacker.
Source:  docs/internals/lab.md; beffroi_box.traps.
"""

from __future__ import annotations

from beffroi_lab import plan as plans
from beffroi_lab.attack_steps import HONEYPORTS, SERVICE_PORT, Outcome, Stage
from beffroi_lab.doors import now_ms
from beffroi_lab.report import percentiles
from beffroi_lab.topology import PATIENCE_S

SCANNED = range(8000, 8040)
TRAPS_WORDS = "attaques vues par les boîtiers de deux collectivités"


def scan_ports(stage: Stage) -> Outcome:
    """One scanned box refuses the source for a while by itself: a scan's source may be forged, so that nobody else
    is told to. Errors: LabFailed."""
    report, outcome, attacker = stage.report, Outcome(), stage.feed.addresses[4]
    first, others = stage.communes[0], stage.communes[1:]
    report.prove(
        "scan_before", stage.all_pass(stage.tries([attacker])), "the address was refused before its scan"
    )
    began_ms = now_ms()
    found = stage.inet.ask("scan", targets=[first.pc.v4], ports=[SERVICE_PORT, *SCANNED], source=attacker)
    report.prove(
        "scan_finds_the_service_only", found["open"] == [[first.pc.v4, SERVICE_PORT]], f"{found['open']}"
    )
    report.tell(f"{attacker} scans {found['tried']} ports of {first.name}")
    sighting = stage.sighting("box_port_scan", attacker, began_ms, PATIENCE_S)
    shut = stage.inet.ask(
        "until",
        address=first.pc.v4,
        port=SERVICE_PORT,
        open_=False,
        limit_s=PATIENCE_S,
        source=attacker,
        witness=first.pc.v4,
        witness_source=plans.INNOCENT.v4,
    )
    outcome.seen_ms = sighting["at_ms"] - began_ms if sighting else None
    outcome.decided_by = "the box that was scanned, for ten minutes"
    outcome.block_ms = percentiles([shut["at_ms"] - began_ms] if shut["ok"] else [])
    here, elsewhere = stage.tries([attacker], [first]), stage.tries([attacker], others)
    refused = not here["in"] and here["innocent"]
    spared = stage.all_pass(elsewhere) and not stage.decision_about(attacker, began_ms, 0)
    outcome.refused = {"seen": refused, "here": here, "elsewhere": elsewhere}
    report.prove(
        "scan_refused_here", refused and sighting is not None, f"the scanned box: {here}, {sighting}", here
    )
    report.prove("scan_decides_nothing_for_others", spared, f"a scan decided for all: {elsewhere}", elsewhere)
    if sighting is not None:
        outcome.explained = stage.explained(f"/decisions/{sighting['campaign_id']}/", attacker)
        report.prove("scan_explained", bool(outcome.explained), "the console does not show the scan")
    report.tell(
        f"the box sees it, refuses the address by itself {outcome.block_ms['max']} ms after the scan began, and "
        "tells the centre; nobody else refuses it: a scan may be forged"
    )
    return outcome


def touch_traps(stage: Stage) -> Outcome:
    """Errors: LabFailed."""
    report, outcome, attacker = stage.report, Outcome(), stage.feed.addresses[5]
    touched, others = stage.communes[:2], stage.communes[2:]
    report.prove("traps_before", stage.all_pass(stage.tries([attacker])), "the address was refused before")
    watchers = stage.watch(attacker, open_=False)
    began_ms = now_ms()
    opened = [_touch(stage, touched[0].pc.v4, HONEYPORTS[1], attacker)]
    report.tell(f"{attacker} connects to a trap of {touched[0].name} (port {HONEYPORTS[1]})")
    first = stage.sighting("box_honeyport", attacker, began_ms, PATIENCE_S)
    alone = stage.decision_about(attacker, began_ms, 0)
    report.prove(
        "one_box_decides_nothing", first is not None and alone is None, f"after one box: {first}, {alone}"
    )
    second_ms = now_ms()
    opened.append(_touch(stage, touched[1].pc.v4, HONEYPORTS[0], attacker))
    report.prove("traps_answer", all(opened), "a trap did not complete the connection")
    report.tell(f"and to a trap of {touched[1].name}")
    decision = stage.decision_about(attacker, began_ms, PATIENCE_S)
    report.prove("traps_decided", decision is not None, "the boxes of two communes decided nothing")
    if decision is None:
        return outcome
    outcome.seen_ms = decision["activated_ms"] - second_ms
    outcome.decided_by = decision["rule"]
    moments = stage.moments(watchers)
    outcome.block_ms = percentiles(max(0, at - decision["activated_ms"]) for at in moments)
    after = stage.tries([attacker])
    complete = len(moments) == 2 * len(stage.communes) and stage.none_passes(after)
    outcome.refused = {"seen": complete, **after}
    report.prove("traps_refused", complete, f"not refused everywhere: {after}", after)
    report.tell(
        f"decided by {outcome.decided_by}; the last box refuses the address {outcome.block_ms['max']} ms later, also "
        "where no trap was touched"
    )
    path = f"/decisions/{decision['campaign_id']}/"
    outcome.explained = stage.explained(path, attacker, TRAPS_WORDS)
    report.prove("traps_explained", bool(outcome.explained), "the page of the decision does not say why")
    stage.undo_by_page(decision["campaign_id"])
    again = stage.moments(stage.watch(attacker, open_=True, communes=others))
    last = stage.tries([attacker])
    # The two boxes that were touched let it begin no connection for ten minutes, whatever the centre says.
    wanted = {"in": len(others), "out": len(stage.communes)}
    outcome.undone = len(again) == 2 * len(others) and {way: last[way] for way in wanted} == wanted
    report.prove("traps_undone", outcome.undone, f"after Annuler: {last}", last)
    report.tell(
        "Annuler on the page: it passes again, but into the two town halls whose own box refuses it for a while"
    )
    return outcome


def _touch(stage: Stage, address: str, port: int, attacker: str) -> bool:
    return bool(stage.inet.ask("tcp", address=address, port=port, source=attacker)["ok"])
