"""The scenario of immunity: a phishing mail to one commune is blocked for all, and taken back.

Purpose: the steps of the main job on one lure, each with proofs by real connections, real mail and real pages.
Process: the laboratory's own; it asks doors, clerk and screens in the places of the world.
Faults:  with ``faults_seed`` things break inside the steps; then each proof may come late, but must come.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab.campaign import Lure, Mail
from beffroi_lab.doors import Doors, now_ms
from beffroi_lab.faults import Faults
from beffroi_lab.plan import CommunePlan
from beffroi_lab.report import Report, percentiles
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S, LabFailed
from beffroi_lab.world import World

THROUGH_FAULTS_S = 40
"""How late a proof may be in a run with faults."""
USUAL_S = {"deliver": 0.7, "sight": 1.0, "block": 2.5, "undo": 1.5}
VISIT_S = {"sight": 6.0, "undo": 2.0}
"""Length of the steps on a quiet machine, and what a browser adds: moments of faults are shares of it."""


class Scenario:
    """One run over one lure in a running world. ``browsers`` False presses by the same actions, without pages."""

    def __init__(
        self,
        world: World,
        lure: Lure,
        report: Report,
        *,
        browsers: bool = True,
        faults_seed: int | None = None,
    ) -> None:
        self.world = world
        self.lure = lure
        self.report = report
        self.browsers = browsers
        self.faults = None if faults_seed is None else Faults(world, report, faults_seed)
        self.patience_s = THROUGH_FAULTS_S if self.faults else 0
        self.doors = Doors(world, self.patience_s)
        self.campaign = world.campaign(lure)
        self.communes = world.plan.communes
        self.landing = world.landing_hosts(lure)
        self.copies: list[Mail] = []
        self.decisions: list[dict[str, Any]] = []
        self.campaign_id = ""
        self.began_ms = now_ms()

    def run(self) -> None:
        """Errors: LabFailed when the laboratory itself fails; what the centre fails to do is in the report."""
        if not self.landing:
            raise LabFailed("every link of this mail leads to a protected name: nothing may be blocked")
        self.before()
        with self.step("deliver"):
            self.deliver()
        with self.step("sight"):
            self.sight()
        with self.step("block"):
            self.block()
        with self.step("undo"):
            self.undo()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step, with the faults that the seed chose for it."""
        if self.faults is None:
            yield
            return
        with self.faults.during(name, USUAL_S[name] + (VISIT_S.get(name, 0.0) if self.browsers else 0.0)):
            yield

    # -- before ------------------------------------------------------------------------------------------

    def before(self) -> None:
        self.doors.open_mailboxes()
        opens = self.doors.hold() and self.doors.names_answered(self.landing)
        self.report.prove(
            "reachable_before", opens, "the landing page was not reachable from every town hall"
        )
        seen, detail = self._attacker_signs_in(wanted=True)
        self.report.prove(
            "login_before", seen, f"stolen credentials do not open the doors yet: {detail}", detail
        )
        self.report.tell(f"from {len(self.communes)} town halls the landing page opens, by IPv4 and IPv6")
        self._past = {c["id"] for c in self.world.centre.ask("campaigns")["campaigns"]}

    def _attacker_signs_in(self, *, wanted: bool) -> tuple[bool, dict[str, Any]]:
        person = self.communes[0].people[0].email
        return self.doors.signs_in(person, plans.ATTACKER_LANDING.v4, wanted=wanted)

    # -- 1: the mail arrives -----------------------------------------------------------------------------

    def deliver(self) -> None:
        first = self.communes[0]
        mails = [self.campaign.first(first.people[0].email)]
        others = [first.people[1].email, *(p.email for c in self.communes[1:] for p in c.people[:2])]
        mails += self.campaign.variants(others)
        answers = [(mail, self.doors.send(mail)) for mail in mails]
        refused = [f"{answer['code']} {answer['text']}" for _, answer in answers if not answer["ok"]]
        self.report.prove(
            "accepted_before", not refused, "the centre refused the unknown mail", refused or None
        )
        sent = [mail for mail, answer in answers if answer["ok"]]
        found: dict[str, str] = {}

        def delivered() -> bool:
            found.update(self.doors.where([m for m in sent if m.message_id not in found]))
            return len(found) == len(sent)

        wait_until(delivered, PATIENCE_S)
        self.copies = [m for m in sent if m.message_id in found]
        self.report.figures["delivered"] = len(self.copies)
        self.report.proofs["folders"] = sorted(set(found.values()))
        missing = len(mails) - len(self.copies)
        self.report.prove("delivered", not missing, f"{missing} copies did not arrive")
        self.report.tell(
            f"{len(self.copies)} copies of the unknown campaign lie in {len(self.copies)} mailboxes"
        )
        if missing == len(mails):
            raise LabFailed("no copy arrived: there is nothing to report")

    # -- 2 and 3: sightings become decisions --------------------------------------------------------------

    def sight(self) -> None:
        first, second = self.communes[0], self.communes[1]
        self.press_report(first, self.copies[0])
        self._sighted(1)
        one = self.landing_decisions()
        self.report.prove(
            "one_report_blocks_no_name", not one, "one press of a button blocked a name or an address for all"
        )
        self.report.tell(f"the secretary of {first.name} reports it: a sighting, nothing is blocked yet")
        self.watchers = self.doors.watch(open_=False)
        self.press_report(second, next(m for m in self.copies if m.recipient.endswith("@" + second.domain)))
        self.report.tell(f"a second person, in {second.name}, reports a copy in other words")
        # Deciding is part of taking a sighting in: once both are in, what is not decided needs a person.
        self._sighted(2)
        if not self.landing_decisions():
            self.campaign_id = self._open_campaign()
            self.press_word("confirmer")
            self.report.tell("the evidence of machines is thin: the Département presses Confirmer")
            self.landing_decisions()
        self.report.figures["decided_by"] = sorted({d["rule"] for d in self.decisions})
        self.report.proofs["decisions"] = [
            {k: d[k] for k in ("kind", "value", "action", "rule", "ttl_s", "evidence")}
            for d in self.decisions
        ]
        sound = all(d["ttl_s"] > 0 and d["evidence"] for d in self.decisions)
        shown = bool(self.landing_decisions()) and sound
        self.report.prove("decided", shown, "no decision with evidence and an end was made")
        if not shown:
            raise LabFailed(
                "no decision about the landing page was made: " + json.dumps(self._campaigns())[:800]
            )
        self.campaign_id = self.landing_decisions()[0]["campaign_id"]
        by = ", ".join(self.report.figures["decided_by"])
        self.report.tell(
            f"{len(self.decisions)} decisions with evidence and an end stand in the centre ({by})"
        )

    def _sighted(self, count: int) -> None:
        """Wait until the centre has taken in so many reports."""
        wait_until(lambda: sum(c["sightings"] for c in self._campaigns()) >= count, PATIENCE_S, 0.05)

    def landing_decisions(self) -> list[dict[str, Any]]:
        """Read the decisions of this run; return those that close the landing page at the boxes."""
        self.decisions = self.world.centre.ask("decided", since_ms=self.began_ms)["decisions"]
        return [d for d in self.decisions if d["kind"] in ("ip", "domain") and d["campaign_id"]]

    def press_report(self, commune: CommunePlan, mail: Mail) -> None:
        """Through the page where a browser can show the mail (the inbox), else through the same action."""
        account = self.world.centre.accounts[mail.recipient]
        if self.browsers and self.doors.where([mail]).get(mail.message_id) == "INBOX":
            answer: dict[str, Any] = {}

            def pressed() -> bool:
                nonlocal answer
                answer = self.world.screens.report(commune, account)
                if not answer["ok"]:
                    why = f"{answer.get('title', '')}: {answer.get('error', '')}"
                    self.report.tell(f"the page in {commune.name} did not take the report: {why[:160]}")
                return bool(answer["ok"])

            self.report.prove(
                f"pressed_in_browser_{commune.letter}",
                wait_until(pressed, self.patience_s, 1.0),
                f"the page in {commune.name}: {answer.get('error', '')[:200]}",
            )
            if answer["ok"]:
                return
        request = {"do": "report", "email": mail.recipient, "message_id": mail.message_id}
        if not wait_until(lambda: self.world.centre.ask(**request)["ok"], PATIENCE_S):
            raise LabFailed(f"the report of {mail.recipient} was refused")

    def press_word(self, word: str) -> None:
        """Confirmer or Annuler; whoever sees an error looks first whether it was heard."""
        answer: dict[str, Any] = {}

        def pressed() -> bool:
            nonlocal answer
            if self.browsers:
                answer = self.world.screens.decide(self.campaign_id, word)
            else:
                do = "undo" if word == "annuler" else "confirm"
                answer = self.world.centre.ask(do, campaign_id=self.campaign_id)
            return bool(answer["ok"]) or self._state() == {"annuler": "revoked", "confirmer": "decided"}[word]

        if not wait_until(pressed, self.patience_s, 1.0):
            raise LabFailed(f"{word} in the console: {json.dumps(answer)[:600]}")

    def _state(self) -> str:
        rows = self.world.centre.ask("campaigns")["campaigns"]
        return str(next(c["state"] for c in rows if c["id"] == self.campaign_id))

    # -- 4: everywhere, within a second -------------------------------------------------------------------

    def block(self) -> None:
        began = min(d["activated_ms"] for d in self.landing_decisions())
        ids = [d["id"] for d in self.landing_decisions()]
        clean_at = self.doors.until_shown(self.copies, all_=False, limit_s=PATIENCE_S)
        enforced = self._acknowledged(ids, ended=False)
        self.report.prove(
            "every_box_enforces", enforced["ok"], f"{len(enforced['boxes'])} boxes acknowledged the decision"
        )
        times = [at - began for at in enforced["boxes"].values()]
        self.report.figures["block_ms"] = percentiles(times)
        self.report.figures["packets_refused_ms"] = self.doors.watched(self.watchers, began)
        self.report.tell(f"every box enforces it after {max(times, default=0)} ms; new packets are refused")
        shut = self.doors.packets(self._named(), open_=False)
        self.report.prove("packets_dropped", shut["tcp"], "a town hall still reaches the landing page", shut)
        self.report.prove("established_cut", shut["held"], "an established connection goes on")
        named = bool(self._named())  # without a decision about a name nothing would be proved
        self.report.prove(
            "name_refused", named and shut["names"], "a box still gives the address of the name"
        )
        self.report.prove("innocent_reachable", shut["innocent"], "an innocent server was blocked too")
        self._smtp_refused()
        self._login_refused()
        if self.faults:
            self.doors.until_shown(self.copies, all_=False, limit_s=PATIENCE_S)
        shown = len(self.doors.where(self.copies))
        self.report.figures["withdrawn"] = len(self.copies) - shown
        self.report.figures["clean_ms"] = clean_at - began if clean_at else None
        self.report.prove("mailboxes_clean", not shown, f"{shown} copies are still shown")
        self.report.tell(f"{len(self.copies) - shown} copies have left every mailbox (seen over IMAP)")

    def _acknowledged(self, decision_ids: list[str], *, ended: bool) -> dict[str, Any]:
        return self.world.centre.ask(
            "enforced",
            decision_ids=decision_ids,
            boxes_wanted=len(self.world.boxes),
            ended=ended,
            limit_s=PATIENCE_S,
        )

    def _named(self) -> list[str]:
        return [d["value"] for d in self.decisions if d["kind"] == "domain" and d["value"] in self.landing]

    def _smtp_refused(self) -> None:
        """The next mail, from the known and from another server. While its check is away a mail is accepted, and
        withdrawn later: it counts among the copies."""
        texts: list[str] = []
        for source in (plans.ATTACKER_SENDER.v4, plans.ATTACKER_OTHER.v4):
            began = time.monotonic()
            while True:
                mail = self.campaign.variants([self.communes[-1].people[2].email])[0]
                answer = self.doors.send(mail, source)
                if not answer["ok"] or time.monotonic() - began > self.patience_s:
                    break
                self.copies.append(mail)
                self.report.figures["delivered"] += 1
                self.report.tell("the next mail passed unchecked: it must be withdrawn")
                time.sleep(1)  # the check is coming back; each try is one more mail to withdraw
            texts.append(f"{answer['code']} {answer['text']}")
        refused = all(text.startswith("5") for text in texts)
        self.report.prove("next_mail_refused", refused, f"the next mail was answered {texts}", texts)
        self.report.tell(f"the next mail of the campaign is refused at SMTP: {texts[0][:120]}")

    def _login_refused(self) -> None:
        attacker, at_attacker = self._attacker_signs_in(wanted=False)
        person = self.communes[0].people[0].email
        other, elsewhere = self.doors.signs_in(person, plans.INNOCENT.v4, wanted=True)
        detail = {"attacker": at_attacker, "from_elsewhere": elsewhere}
        self.report.prove(
            "login_refused", attacker and other, f"sign-in from the attacker's address: {detail}", detail
        )
        self.report.tell(
            "with stolen credentials the attacker's address is refused at the portal's form and at IMAP"
        )

    # -- 5: undo -------------------------------------------------------------------------------------------

    def undo(self) -> None:
        ids = [d["id"] for d in self.landing_decisions()]
        watchers = self.doors.watch(open_=True)
        self.press_word("annuler")
        self.report.tell("the Département presses Annuler")
        back_at = self.doors.until_shown(self.copies, all_=True, limit_s=PATIENCE_S)
        ended = [d["ended_ms"] for d in self.world.centre.ask("decided", since_ms=self.began_ms)["decisions"]]
        began = min((at for at in ended if at), default=0)
        released = self._acknowledged(ids, ended=True)
        packets = self.doors.watched(watchers, began)
        restored = len(self.doors.where(self.copies))
        self.report.figures["restored"] = restored
        ends = [back_at, *released["boxes"].values(), began + (packets["max"] or 0)]
        complete = back_at and released["ok"] and packets["max"] is not None
        self.report.figures["undo_ms"] = max(ends) - began if complete else None
        self.report.figures["undo_box_ms"] = percentiles(at - began for at in released["boxes"].values())
        lost = len(self.copies) - restored
        self.report.prove("mailboxes_restored", not lost, f"{lost} copies did not come back")
        again = self.doors.packets(self._named(), open_=True)
        self.report.prove(
            "packets_pass_again", again["tcp"] and again["names"], "a town hall stays blocked", again
        )
        accepted = wait_until(self._next_mail_accepted, self.patience_s, 1.0)
        self.report.prove("mail_accepted_again", accepted, "the next mail is still refused")
        seen, detail = self._attacker_signs_in(wanted=True)
        self.report.prove(
            "login_again", seen, f"a sign-in from the address is still refused: {detail}", detail
        )
        self.report.tell(f"{restored} copies are back, packets, names and sign-ins pass everywhere")

    def _next_mail_accepted(self) -> bool:
        mail = self.campaign.variants([self.communes[-1].people[2].email])[0]
        return bool(self.doors.send(mail)["ok"])

    def _open_campaign(self) -> str:
        found = self._campaigns()
        if not found:
            raise LabFailed("no campaign was made of the reports")
        return str(found[-1]["id"])

    def _campaigns(self) -> list[dict[str, Any]]:
        """What this run's reports became."""
        rows: list[dict[str, Any]] = self.world.centre.ask("campaigns")["campaigns"]
        return [c for c in rows if c["state"] in ("open", "decided") and c["id"] not in self._past]
