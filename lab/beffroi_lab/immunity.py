"""`lab immunity` from one lure to one result: world, scenario, protected names, audit, foreign packets.

Process: the laboratory's own, as root.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from beffroi_lab import campaign, history, plan
from beffroi_lab import plan as plans
from beffroi_lab.campaign import Lure, LureUnusable, Mail
from beffroi_lab.centre import PORTAL
from beffroi_lab.report import Report
from beffroi_lab.running import wait_until
from beffroi_lab.scenario import Scenario
from beffroi_lab.topology import PATIENCE_S
from beffroi_lab.world import World, protected, world

PROTECTED_LINKS = ("https://www.impots.gouv.fr/", f"https://{PORTAL}/")


def first_usable(paths: Sequence[Path]) -> Lure:
    """Return the first mail that leads somewhere that may be blocked. Errors: LureUnusable."""
    why = "There is no mail to play."
    for path in paths:
        try:
            lure = campaign.load(path)
        except LureUnusable as error:
            why = str(error)
            continue
        if not all(protected(host) for host in lure.link_hosts):
            return lure
        why = f"{path.name} links to protected names only: nothing of it may be blocked at a box."
    raise LureUnusable(why)


def run(
    lure: Lure,
    *,
    communes: int = 3,
    history_days: int = history.DAYS,
    faults_seed: int | None = None,
    keep: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Play the whole scenario once. Errors: LabImpossible, LabFailed, ValueError."""
    layout = plan.make(communes)
    with world(layout, [lure], say=say, keep=keep, history_days=history_days, browsers=True) as made:
        report = Report(say=say)
        play(made, lure, report, faults_seed=faults_seed)
        return {"lure": lure.path.name, "communes": communes, "boxes": len(made.boxes), **report.as_object()}


def play(
    made: World, lure: Lure, report: Report, *, browsers: bool = True, faults_seed: int | None = None
) -> None:
    """The scenario, then what must be true at its end."""
    report.figures["history_days"] = made.history_days
    report.tell(
        f"history of {made.history_days} days; {made.past}" if made.past else "a centre without a past"
    )
    if made.enrolled_by_page:
        report.proofs["enrolled_by_page"] = made.enrolled_by_page
        report.tell(f"box {', '.join(made.enrolled_by_page)} was enrolled on the console's pages")
    report.tell(f"lure {lure.path.name}: {len(lure.link_hosts)} link hosts")
    Scenario(made, lure, report, browsers=browsers, faults_seed=faults_seed).run()
    if made.history_days:
        spare_known(made, report)
    refuse_protected(made, report)
    report.figures["memory_bytes"] = {
        "centre": made.network["dc"].memory_bytes(),
        "box": max(made.network[f"box{c.letter}"].memory_bytes() for c in made.plan.communes),
    }
    audit = made.centre.ask("verify_audit")
    report.figures["audit_verified"] = bool(audit["ok"] and audit["count"] > 0)
    report.prove("audit", report.figures["audit_verified"], "the audit chain does not verify")
    packets, addresses = made.network.foreign()
    report.figures["foreign_packets"] = packets
    report.figures["foreign_names_asked"] = len(made.foreign_names())
    report.prove("no_foreign_packet", packets == 0, f"{packets} packets for {addresses[:5]}")
    report.tell(f"audit log of {audit['count']} entries verified; {packets} packets wanted to leave")


def spare_known(made: World, report: Report) -> None:
    """The other side of the history: the same burst from a known correspondent, falsely reported by two communes,
    is blocked by no rule."""
    began_ms = int(time.time() * 1000)
    known = history.CORRESPONDENTS[0]
    mails = [history.letter(known, c.people[0].email) for c in made.plan.communes]
    history.send(made.hands["inet"], mails)
    reported = all(_report_when_delivered(made, mail) for mail in mails[:2])

    def mine() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = made.centre.ask("campaigns")["campaigns"]
        return [one for one in rows if known.link_host in one["names"]]

    counted = wait_until(lambda: sum(one["sightings"] for one in mine()) >= 2, PATIENCE_S)
    blocked = [d["value"] for d in made.centre.ask("decided", since_ms=began_ms)["decisions"]]
    seen = reported and counted and not blocked
    report.prove("known_correspondent_spared", seen, f"reported {reported}, counted {counted}, {blocked}")
    report.tell("a letter of a known correspondent, reported by two communes, is not blocked: it is not new")


def refuse_protected(made: World, report: Report) -> None:
    """A false report of protected names is refused in the centre, and a forged entry in every box."""
    centre = _centre_refuses(made, report)
    boxes = _boxes_refuse(made, report)
    report.figures["protected_refused"] = centre and boxes


def _centre_refuses(made: World, report: Report) -> bool:
    first, second = made.plan.communes[:2]
    recipients = [first.people[2].email, second.people[2].email]
    mails = [_false_alarm(recipient) for recipient in recipients]
    for mail in mails:
        made.hands["inet"].ask(
            "smtp",
            host=plans.CENTRE.v4,
            port=25,
            source=plans.INNOCENT.v4,
            helo="courrier.exemple-innocent.fr",
            mail_from=mail.mail_from,
            recipient=mail.recipient,
            data=base64.b64encode(mail.data).decode(),
        )
    ids = [mail.message_id for mail in mails]
    wait_until(lambda: len(made.centre.ask("messages", message_ids=ids)["ids"]) == 2, PATIENCE_S)
    reported = [_report_when_delivered(made, mail) for mail in mails]
    # What is protected joins no campaign: each report stands alone, and each is refused.
    wait_until(lambda: len(_refused_campaigns(made)) == len(mails), PATIENCE_S)
    found = _refused_campaigns(made)
    words = [made.centre.ask("confirm", campaign_id=one["id"]) for one in found]
    active = made.centre.ask("decided", since_ms=0)["decisions"]
    hit = [d["value"] for d in active if "gouv.fr" in d["value"] or PORTAL in d["value"]]
    direct = [
        made.centre.ask("block", kind=kind, value=value).get("code")
        for kind, value in (("domain", "www.impots.gouv.fr"), ("domain", PORTAL), ("ip", plans.CENTRE.v4))
    ]
    seen = all(reported) and len(found) == len(mails) and not hit and set(direct) == {"decision.protected"}
    detail = {
        "refusals": sorted({f"{r['kind']} {r['code']}" for one in found for r in one["refusals"]}),
        "direct": direct,
        "confirmed": [word.get("decisions", word.get("code")) for word in words],
    }
    report.prove("protected_in_centre", seen, f"a protected name was not refused: {hit} {detail}", detail)
    report.tell(
        "two communes report gouv.fr and the centre itself, and the Département confirms: nothing is blocked"
    )
    return seen


def _report_when_delivered(made: World, mail: Mail) -> bool:
    """The evidence may reach the database a moment after the mail."""
    return wait_until(
        lambda: bool(made.centre.ask("report", email=mail.recipient, message_id=mail.message_id)["ok"]),
        PATIENCE_S,
    )


def _refused_campaigns(made: World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = made.centre.ask("campaigns")["campaigns"]
    return [one for one in rows if any("gouv.fr" in r["value"] for r in one["refusals"])]


def _boxes_refuse(made: World, report: Report) -> bool:
    """What a compromised centre would send, signed by the feed key."""
    forged = {
        value: made.centre.ask("forge", kind=kind, value=value)["decision_id"]
        for kind, value in (("domain", "impots.gouv.fr"), ("ip", plans.CENTRE.v4))
    }
    wanted = {(box.box_id, entry) for box in made.boxes.values() for entry in forged.values()}

    def refused() -> set[tuple[str, str]]:
        rows = made.centre.ask("facts", kind="entry_refused")["facts"]
        return {pair for pair in wanted for r in rows if pair[0] in r["source"] and pair[1] in r["payload"]}

    told = wait_until(lambda: refused() == wanted, PATIENCE_S)
    passes = []
    for commune in made.plan.communes:
        hands = made.hands[f"lan{commune.letter}"]
        passes.append(hands.ask("lookup", server=plans.DNS.v4, name="www.impots.gouv.fr")["ok"])
        passes.append(hands.ask("tcp", address=plans.CENTRE.v4, port=443)["ok"])
    for entry in forged.values():
        made.centre.ask("withdraw", decision_id=entry)
    report.prove(
        "protected_in_box",
        told and all(passes),
        f"{len(refused())} of {len(wanted)} refusals were reported; still reachable: {all(passes)}",
    )
    report.tell(
        "a forged entry for gouv.fr and for the centre, signed by the feed key, is refused by every box"
    )
    return told and all(passes)


def _false_alarm(recipient: str) -> Mail:
    """An honest mail that links to protected names only."""
    message_id = f"<{secrets.token_hex(12)}@exemple-innocent.fr>"
    links = "\r\n".join(PROTECTED_LINKS)
    text = (
        f"Message-ID: {message_id}\r\nFrom: <info@exemple-innocent.fr>\r\nTo: <{recipient}>\r\n"
        "Subject: Votre espace\r\nDate: Mon, 02 Mar 2026 08:00:00 +0100\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\nBonjour,\r\n\r\nVotre avis est en ligne :\r\n{links}\r\n"
    )
    return Mail(message_id, "info@exemple-innocent.fr", recipient, text.encode())


def summary(result: dict[str, Any]) -> list[str]:
    """The result for a person."""
    block = result.get("block_ms", {})
    lines = [
        "",
        f"{result['communes']} communes, {result['boxes']} boxes: {result.get('delivered')} copies delivered, "
        f"{result.get('withdrawn')} withdrawn, {result.get('restored')} restored",
        f"block: p50 {block.get('p50')} ms, p99 {block.get('p99')} ms, max {block.get('max')} ms; "
        f"last mailbox clean after {result.get('clean_ms')} ms; undone in {result.get('undo_ms')} ms",
        f"protected names refused: {result.get('protected_refused')}; audit verified: "
        f"{result.get('audit_verified')}; foreign packets: {result.get('foreign_packets')}",
        f"decided by: {', '.join(result.get('decided_by', []))}",
    ]
    if "faults_seed" in result:
        lines += [f"faults of seed {result['faults_seed']}:"]
        lines += [f"  {f['at_ms'] / 1000:7.2f} s  in {f['step']}: {f['what']}" for f in result["faults"]]
    lines += [f"NOT SHOWN  {one}" for one in result["failures"]]
    return lines
