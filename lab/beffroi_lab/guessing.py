"""The attack on passwords: one address tries accounts of several communes at IMAP and at the portal.

Process: the laboratory's own; every guess is a real sign-in with a wrong password.
Source:  docs/internals/lab.md; beffroi.watch.login_attacks.
"""

from __future__ import annotations

import secrets
from concurrent.futures import Future
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab.attack_steps import Outcome, Stage
from beffroi_lab.centre import IMAPS_PORT, PORTAL, PORTAL_PORT
from beffroi_lab.doors import now_ms
from beffroi_lab.report import percentiles
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S

WORDS = ("de nombreux comptes ont été essayés depuis cette adresse", "preuve établie par une machine")


def guess_passwords(stage: Stage) -> Outcome:
    """Errors: LabFailed."""
    report, outcome = stage.report, Outcome()
    attacker = stage.feed.addresses[1]
    victim = stage.communes[0].people[0].email
    opens, detail = stage.doors.signs_in(victim, attacker, wanted=True)
    passes = stage.all_pass(stage.tries([attacker]))
    report.prove(
        "guessing_before", opens and passes, f"the address was refused before the attack: {detail}", detail
    )
    watchers = stage.watch(attacker, open_=False)
    began_ms = now_ms()
    guesses = _guess(stage, attacker)
    report.tell(
        f"{attacker} tries {len(guesses)} accounts of {len(stage.communes)} communes at IMAP and at the portal"
    )
    shut = stage.inet.start(
        "until_shut",
        limit_s=PATIENCE_S,
        imap={
            "host": plans.CENTRE.v4,
            "port": IMAPS_PORT,
            "user": victim,
            "password": stage.doors.secrets[victim],
            "source": attacker,
        },
        portal={"host": PORTAL, "address": plans.CENTRE.v4, "port": PORTAL_PORT, "source": attacker},
    )
    decision = stage.decision_about(attacker, began_ms, PATIENCE_S)
    report.prove(
        "guessing_decided", decision is not None, "nothing was decided about the address that guesses"
    )
    if decision is None:
        return outcome
    outcome.decided_by = f"{decision['rule']}: {', '.join(decision['evidence']['detectors'])}"
    outcome.seen_ms = decision["activated_ms"] - began_ms
    doors = shut.result(PATIENCE_S + 30)
    moments = stage.moments(watchers)
    moments += [at for at in (doors["imap_at_ms"], doors["portal_at_ms"]) if at]
    outcome.block_ms = percentiles(max(0, at - decision["activated_ms"]) for at in moments)
    after = stage.tries([attacker])
    posted = stage.inet.ask(
        "portal_sign_in",
        host=PORTAL,
        address=plans.CENTRE.v4,
        port=PORTAL_PORT,
        email=victim,
        password=stage.world.centre.accounts[victim].password,
        source=attacker,
        form_source=plans.INNOCENT.v4,
    )
    at_doors = bool(doors["imap_at_ms"]) and not posted["ok"] and posted["status"] == 403
    answers = {"imap": not doors["imap_at_ms"], "portal": posted["ok"], "status": posted["status"]}
    elsewhere, _ = stage.doors.signs_in(victim, plans.INNOCENT.v4, wanted=True)
    complete = len(moments) == 2 * len(stage.communes) + 2 and stage.none_passes(after) and at_doors
    outcome.refused = {"seen": complete, **after, "sign_in": answers, "sign_in_from_elsewhere": elsewhere}
    report.prove(
        "guessing_refused", complete and elsewhere, f"not refused everywhere: {outcome.refused}", answers
    )
    report.tell(
        f"decided by {outcome.decided_by}; {outcome.block_ms['max']} ms later portal, IMAP and every box refuse it, "
        "correct credentials or not"
    )
    outcome.explained = stage.explained(f"/decisions/{decision['campaign_id']}/", attacker, *WORDS)
    report.prove("guessing_explained", bool(outcome.explained), "the page of the decision does not say why")
    stage.undo_by_page(decision["campaign_id"])
    again = stage.moments(stage.watch(attacker, open_=True))
    # Dovecot lets an address that failed wait, up to 15 s, also when it has the right password.
    opens = wait_until(lambda: stage.doors.signs_in(victim, attacker, wanted=True)[0], PATIENCE_S, 1.0)
    outcome.undone = (
        opens and len(again) == 2 * len(stage.communes) and stage.all_pass(stage.tries([attacker]))
    )
    report.prove("guessing_undone", outcome.undone, f"after Annuler it is still refused (sign-in: {opens})")
    opened = [one.result(60)["ok"] for one in guesses]
    report.prove("guesses_fail", not any(opened), "a random password opened a door")
    report.tell("Annuler on the page: the address signs in and connects again")
    return outcome


def _guess(stage: Stage, attacker: str) -> list[Future[dict[str, Any]]]:
    """Two people of each commune, one at IMAP and one at the portal, with wrong passwords."""
    guesses: list[Future[dict[str, Any]]] = []
    for commune in stage.communes:
        at_imap, at_portal = commune.people[1].email, commune.people[2].email
        guesses.append(
            stage.inet.start(
                "imap_login",
                host=plans.CENTRE.v4,
                port=IMAPS_PORT,
                user=at_imap,
                password=secrets.token_hex(8),
                source=attacker,
            )
        )
        guesses.append(
            stage.inet.start(
                "portal_sign_in",
                host=PORTAL,
                address=plans.CENTRE.v4,
                port=PORTAL_PORT,
                email=at_portal,
                password=secrets.token_hex(8),
                source=attacker,
                form_source=attacker,
            )
        )
    return guesses
