"""Round the resolver: a PC has the address of a listed name from its hosts file, and opens it by name.

Purpose: at an address that no list names, the inspection engine of the box reads the name in the first packets, resets
         the connection and tells the centre; all other pages of the same address open.
Process: the laboratory's own; the engine runs in one town hall's box, as its policy asks.
Source:  docs/internals/lab.md; beffroi_box.inspection.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab.attack_steps import Answer, Outcome, Stage
from beffroi_lab.doors import now_ms
from beffroi_lab.outside import lists_command
from beffroi_lab.plan import CommunePlan
from beffroi_lab.report import percentiles
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S, LabFailed

NAME, LIST = "suivi-colis-securise.com", "noms-hostiles"
EXPLAINED = ("une liste d’attaquants le nomme", "dans 1 collectivité")
OTHER = "mairie-exemple.com"


def visit_by_hosts_file(stage: Stage) -> Outcome:
    """Errors: LabFailed."""
    report, outcome, commune = stage.report, Outcome(), stage.communes[1]
    if not report.prove("inspection_installed", bool(shutil.which("suricata")), "suricata is not installed"):
        return outcome
    _policy(stage, commune, inspect=True)
    box = stage.world.boxes[commune.letter]
    box.start_inspector()
    if not wait_until(lambda: box.status().get("inspection") == "on", PATIENCE_S):
        raise LabFailed(f"the inspection engine is {box.status().get('inspection')}")
    before = _visits(stage, commune, NAME)
    report.prove("hosts_file_before", _all(before, ok=True), f"it did not open before: {before}", before)
    report.tell(
        f"in {commune.name} the box reads names; a PC has {NAME} in its hosts file, at an innocent address"
    )
    file = stage.world.directory / "outside-names.txt"
    file.write_text(f"{NAME}\n", "ascii")
    lists_command(
        stage, "import", LIST, str(file),
        "--kind", "domain", "--source", "the laboratory", "--licence", "EUPL-1.2", "--threat", "phishing",
    )  # fmt: skip
    row = next(one for one in json.loads(lists_command(stage, "show", "--json")) if one["name"] == LIST)
    published_ms = int(datetime.fromisoformat(row["published_at"]).timestamp() * 1000)
    outcome.decided_by = "bulk_list"
    began: list[int] = []
    refused: list[dict[str, Answer]] = []

    def cut() -> bool:
        began.append(now_ms())
        refused[:] = [_visits(stage, commune, NAME)]
        return _all(refused[0], ok=False)

    seen = wait_until(cut, PATIENCE_S, 0.02)
    if seen:
        outcome.block_ms = percentiles([began[-1] - published_ms])
    reset = seen and all("Reset" in one.get("error", "") for one in refused[0].values())
    below, other = _visits(stage, commune, f"www.{NAME}"), _visits(stage, commune, OTHER)
    complete = reset and _all(below, ok=False) and _all(other, ok=True)
    outcome.refused = {"seen": complete, "name": refused[0], "below": below, "other": other}
    report.prove(
        "hosts_file_refused", complete, f"not reset, or others too: {outcome.refused}", outcome.refused
    )
    report.tell(
        f"TLS and HTTP to {NAME} are reset {outcome.block_ms['max']} ms after the list was published; {OTHER} opens at "
        "the same address"
    )
    told = wait_until(lambda: _told(stage, commune), PATIENCE_S, 0.2)
    outcome.seen_ms = now_ms() - began[-1] if told else None
    report.prove("hosts_file_told", told, "the box did not tell the centre what it refused")
    path = f"/decisions/pourquoi/?q={NAME}"
    wait_until(lambda: bool(stage.explained(path, NAME, LIST, *EXPLAINED)), PATIENCE_S, 0.5)
    outcome.explained = stage.explained(path, NAME, LIST, *EXPLAINED)
    report.prove("hosts_file_explained", bool(outcome.explained), "the console does not say why")
    lists_command(stage, "withdraw", LIST)
    outcome.undone = wait_until(lambda: _all(_visits(stage, commune, NAME), ok=True), PATIENCE_S, 0.2)
    report.prove("hosts_file_undone", outcome.undone, "a name of a withdrawn list stays refused")
    _policy(stage, commune, inspect=False)
    report.tell(f"the console says: {outcome.explained}; the list is withdrawn and {NAME} opens again")
    return outcome


def _visits(stage: Stage, commune: CommunePlan, name: str) -> dict[str, Answer]:
    """Open the name at an innocent address by TLS and by HTTP."""
    lan, place = stage.lan(commune), plans.INNOCENT.v4
    tls = lan.ask("https", host=name, address=place, port=443, method="GET", path="/")
    asked = {"tls": tls, "http": lan.ask("visit", host=name, address=place)}
    return {way: {k: one[k] for k in ("ok", "error") if k in one} for way, one in asked.items()}


def _all(visits: dict[str, Answer], *, ok: bool) -> bool:
    return all(one["ok"] is ok for one in visits.values())


def _told(stage: Stage, commune: CommunePlan) -> bool:
    """Whether this box, whose resolver nobody asked for the name, told that it refused it."""
    box_id = stage.world.boxes[commune.letter].box_id
    rows: list[dict[str, Any]] = stage.world.centre.ask("facts", kind="names_refused")["facts"]
    return any(r["source"] == box_id and json.loads(r["payload"])["indicator"]["value"] == NAME for r in rows)


def _policy(stage: Stage, commune: CommunePlan, *, inspect: bool) -> None:
    version = stage.world.centre.ask("set_policy", domain=commune.domain, changes={"inspect": inspect})[
        "version"
    ]
    box = stage.world.boxes[commune.letter]
    if not wait_until(lambda: box.status().get("policy_version", 0) >= version, PATIENCE_S):
        raise LabFailed(f"box {commune.letter} did not take its policy:\n{box.status()}")
