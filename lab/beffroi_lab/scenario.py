"""The scenario of immunity: a phishing mail to one commune is blocked for all, and taken back.

Purpose: the five steps of the main job on one lure, each with proofs by real connections, real mail and real pages.
Process: the laboratory's own; it asks hands, clerk and browsers in the places of the world.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab.campaign import Lure, Mail
from beffroi_lab.centre import CONSOLE, CONSOLE_PORT, IMAPS_PORT, PORTAL, PORTAL_PORT, SMTP_PORT
from beffroi_lab.plan import CommunePlan
from beffroi_lab.report import Report, percentiles
from beffroi_lab.topology import LabFailed
from beffroi_lab.world import World

DELIVERY_S, DECISION_S, CLEAN_S, BROWSER_S = 30, 4, 30, 90


class Scenario:
    """One run over one lure in a running world. ``browsers`` False presses by the same actions, without pages."""

    def __init__(self, world: World, lure: Lure, report: Report, *, browsers: bool = True) -> None:
        self.world = world
        self.lure = lure
        self.report = report
        self.browsers = browsers
        self.campaign = world.campaign(lure)
        self.communes = world.plan.communes
        self.landing = world.landing_hosts(lure)
        self.sent: list[Mail] = []
        self.copies: list[Mail] = []
        self.secrets: dict[str, str] = {}
        self.decisions: list[dict[str, Any]] = []
        self.campaign_id = ""
        self.began_ms = _now_ms()

    def run(self) -> None:
        """Errors: LabFailed when the laboratory itself fails; what the centre fails to do is in the report."""
        if not self.landing:
            raise LabFailed("every link of this mail leads to a protected name: nothing may be blocked")
        self.before()
        self.deliver()
        self.sight()
        self.blocked()
        self.undo()

    # -- before ------------------------------------------------------------------------------------------

    def before(self) -> None:
        people = [p.email for c in self.communes for p in c.people]
        self.secrets = self.world.centre.ask("app_passwords", emails=people)["secrets"]
        seen = []
        for c in self.communes:
            hands = self.world.hands[f"lan{c.letter}"]
            seen += [hands.ask("tcp", address=a, port=443)["ok"] for a in plans.ATTACKER_LANDING.both]
            seen += [hands.ask("hold", key=a, address=a, port=80)["ok"] for a in plans.ATTACKER_LANDING.both]
            seen += [self._lookup(c, host)["ok"] for host in self.landing]
        self.report.prove(
            "reachable_before", all(seen), "the landing page was not reachable from every town hall"
        )
        self.report.tell(f"from {len(self.communes)} town halls the landing page opens, by IPv4 and IPv6")

    # -- 1: the mail arrives -----------------------------------------------------------------------------

    def deliver(self) -> None:
        first = self.communes[0]
        mails = [self.campaign.first(first.people[0].email)]
        others = [first.people[1].email, *(p.email for c in self.communes[1:] for p in c.people[:2])]
        mails += self.campaign.variants(others)
        refused = []
        for mail in mails:
            answer = self.send(mail)
            if answer["ok"]:
                self.sent.append(mail)
            else:
                refused.append(f"{answer['code']} {answer['text']}")
        self.report.prove(
            "accepted_before", not refused, "the centre refused the unknown mail", refused or None
        )
        found = self._wait_delivered()
        self.copies = [m for m in self.sent if m.message_id in found]
        self.report.figures["delivered"] = len(self.copies)
        self.report.proofs["folders"] = sorted(set(found.values()))
        self.report.prove(
            "delivered",
            len(self.copies) == len(mails),
            f"{len(mails) - len(self.copies)} copies did not arrive",
        )
        self.report.tell(
            f"{len(self.copies)} copies of the unknown campaign lie in {len(self.copies)} mailboxes"
        )

    def send(self, mail: Mail, source: str = plans.ATTACKER_SENDER.v4) -> dict[str, Any]:
        return self.world.hands["inet"].ask(
            "smtp",
            host=plans.CENTRE.v4,
            port=SMTP_PORT,
            source=source,
            helo=mail.mail_from.rpartition("@")[2],
            mail_from=mail.mail_from,
            recipient=mail.recipient,
            data=base64.b64encode(mail.data).decode(),
        )

    def _wait_delivered(self) -> dict[str, str]:
        """Return the folder by message id, once all have arrived or the time is over."""
        found: dict[str, str] = {}
        deadline = time.monotonic() + DELIVERY_S
        while len(found) < len(self.sent) and time.monotonic() < deadline:
            found.update(self.where([m for m in self.sent if m.message_id not in found]))
            time.sleep(0.1)
        return found

    def where(self, mails: list[Mail]) -> dict[str, str]:
        """Return the folder in which IMAP shows each of these mails; one that is not shown is absent."""
        hands = self.world.hands["dept"]
        asked = [
            (
                mail,
                hands.start(
                    "imap_find",
                    host=plans.CENTRE.v4,
                    port=IMAPS_PORT,
                    user=mail.recipient,
                    password=self.secrets[mail.recipient],
                    message_ids=[mail.message_id],
                ),
            )
            for mail in mails
        ]
        shown: dict[str, str] = {}
        for mail, future in asked:
            answer = future.result(60)
            if not answer["ok"]:
                raise LabFailed(f"IMAP of {mail.recipient}: {answer['error']}")
            for folder in answer["folders"]:
                shown[mail.message_id] = folder
        return shown

    # -- 2 and 3: sightings become decisions --------------------------------------------------------------

    def sight(self) -> None:
        first, second = self.communes[0], self.communes[1]
        self.press_report(first, self.copies[0])
        time.sleep(1.0)
        one = self.landing_decisions()
        self.report.prove(
            "one_report_blocks_no_name",
            not one,
            "one press of a button blocked a name or an address for all",
        )
        self.report.tell(f"the secretary of {first.name} reports it: a sighting, nothing is blocked yet")
        self.watchers = self._watch(open_=False)
        self.press_report(second, next(m for m in self.copies if m.recipient.endswith("@" + second.domain)))
        self.report.tell(f"a second person, in {second.name}, reports a copy in other words")
        deadline = time.monotonic() + DECISION_S
        while not self.landing_decisions() and time.monotonic() < deadline:
            time.sleep(0.1)
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
        self.report.tell(f"{len(self.decisions)} decisions with evidence and an end stand in the centre")

    def landing_decisions(self) -> list[dict[str, Any]]:
        """Read the decisions of this run; return those that close the landing page at the boxes."""
        self.decisions = self.world.centre.ask("decided", since_ms=self.began_ms)["decisions"]
        return [d for d in self.decisions if d["kind"] in ("ip", "domain") and d["campaign_id"]]

    def press_report(self, commune: CommunePlan, mail: Mail) -> None:
        """Through the page where a browser can show the mail (the inbox), else through the same action."""
        account = self.world.centre.accounts[mail.recipient]
        if self.browsers and self.where([mail]).get(mail.message_id) == "INBOX":
            answer = self.browse(
                f"lan{commune.letter}",
                "report",
                url=f"https://{PORTAL}/",
                email=account.email,
                password=account.password,
            )
            self.report.prove(
                f"pressed_in_browser_{commune.letter}",
                bool(answer["ok"]),
                f"the page in {commune.name}: {answer.get('error', '')[:200]}",
            )
            if answer["ok"]:
                return
        made = self.world.centre.ask("report", email=mail.recipient, message_id=mail.message_id)
        if not made["ok"]:
            raise LabFailed(f"the report of {mail.recipient} was refused: {made['code']}")

    def press_word(self, word: str) -> None:
        if not self.browsers:
            answer = self.world.centre.ask(
                "undo" if word == "annuler" else "confirm", campaign_id=self.campaign_id
            )
        else:
            who = self.world.centre.accounts["departement"]
            account = {"email": who.email, "password": who.password, "totp_secret": who.totp_secret}
            url = f"https://{CONSOLE}:{CONSOLE_PORT}/"
            answer = self.browse(
                "dept", "decide", url=url, campaign_id=self.campaign_id, word=word, account=account
            )
        if not answer["ok"]:
            raise LabFailed(f"{word} in the console: {json.dumps(answer)[:600]}")

    def browse(self, place: str, do: str, **arguments: Any) -> dict[str, Any]:
        request = {
            "do": do,
            "arguments": arguments,
            "profile": str(self.world.directory / f"browser-{place}"),
            "certificate": str(self.world.centre.state / "tls" / "portal.pem"),
        }
        done = subprocess.run(
            self.world.network[place].command([sys.executable, "-m", "beffroi_lab.browser"]),
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=BROWSER_S,
            check=False,
        )
        if done.returncode != 0:
            return {"ok": False, "error": done.stderr.strip()[-400:]}
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    # -- 4: everywhere, within a second -------------------------------------------------------------------

    def blocked(self) -> None:
        began = min(d["activated_ms"] for d in self.landing_decisions())
        ids = [d["id"] for d in self.landing_decisions()]
        clean_at = self._until_shown(wanted=False)
        enforced = self.world.centre.ask(
            "enforced", decision_ids=ids, boxes_wanted=len(self.world.boxes), ended=False
        )
        self.report.prove(
            "every_box_enforces", enforced["ok"], f"{len(enforced['boxes'])} boxes acknowledged the decision"
        )
        times = [at - began for at in enforced["boxes"].values()]
        self.report.figures["block_ms"] = percentiles(times)
        self.report.figures["packets_refused_ms"] = self._watched(began)
        self.report.tell(f"every box enforces it after {max(times, default=0)} ms; new packets are refused")
        shut = self._packets(open_=False)
        self.report.prove("packets_dropped", shut["tcp"], "a town hall still reaches the landing page", shut)
        self.report.prove("established_cut", shut["held"], "an established connection goes on")
        named = bool(self._named())  # without a decision about a name nothing would be proved
        self.report.prove(
            "name_refused", named and shut["names"], "a box still gives the address of the name"
        )
        self.report.prove("innocent_reachable", shut["innocent"], "an innocent server was blocked too")
        self._smtp_refused()
        self._login_refused()
        withdrawn = len(self.copies) - len(self.where(self.copies))
        self.report.figures["withdrawn"] = withdrawn
        self.report.figures["clean_ms"] = clean_at - began if clean_at else None
        self.report.prove(
            "mailboxes_clean",
            withdrawn == len(self.copies),
            f"{len(self.copies) - withdrawn} copies are still shown",
        )
        self.report.tell(f"{withdrawn} copies have left every mailbox (seen over IMAP)")

    def _packets(self, *, open_: bool) -> dict[str, bool]:
        """Try from every LAN; each value is True when all is as ``open_`` says."""
        asked: dict[str, list[Future[dict[str, Any]]]] = {"tcp": [], "held": [], "names": [], "innocent": []}
        for c in self.communes:
            hands = self.world.hands[f"lan{c.letter}"]
            for address in plans.ATTACKER_LANDING.both:
                asked["tcp"].append(hands.start("tcp", address=address, port=443))
                asked["held"].append(hands.start("poke", key=address))
            # Asked of a foreign server on purpose: the box must answer in its place.
            asked["names"] += [
                hands.start("lookup", server=plans.DNS.v4, name=host) for host in self._named()
            ]
            asked["innocent"] += [hands.start("tcp", address=a, port=443) for a in plans.INNOCENT.both]
        wanted = {"tcp": open_, "held": False, "names": open_, "innocent": True}
        return {
            what: all(bool(f.result(30)["ok"]) is wanted[what] for f in futures)
            for what, futures in asked.items()
        }

    def _named(self) -> list[str]:
        return [d["value"] for d in self.decisions if d["kind"] == "domain" and d["value"] in self.landing]

    def _lookup(self, commune: CommunePlan, host: str) -> dict[str, Any]:
        hands = self.world.hands[f"lan{commune.letter}"]
        return hands.ask("lookup", server=plans.DNS.v4, name=host)

    def _smtp_refused(self) -> None:
        recipient = self.communes[-1].people[2].email
        mail = self.campaign.variants([recipient])[0]
        answers = [self.send(mail), self.send(mail, source=plans.ATTACKER_OTHER.v4)]
        texts = [f"{a['code']} {a['text']}" for a in answers]
        refused = all(500 <= a["code"] < 600 for a in answers)
        self.report.prove("next_mail_refused", refused, f"the next mail was answered {texts}", texts)
        self.report.tell(f"the next mail of the campaign is refused at SMTP: {texts[0][:120]}")

    def _login_refused(self) -> None:
        person = self.communes[0].people[0].email
        attacker = [self._imap(person, plans.ATTACKER_LANDING.v4), self._portal(plans.ATTACKER_LANDING.v4)]
        other = [self._imap(person, plans.INNOCENT.v4), self._portal(plans.INNOCENT.v4)]
        detail = {"imap": attacker[0], "portal": attacker[1], "from_elsewhere": other}
        seen = not attacker[0] and attacker[1] == 403 and bool(other[0]) and other[1] == 200
        self.report.prove("login_refused", seen, f"sign-in from the attacker's address: {detail}", detail)

    def _imap(self, person: str, source: str) -> bool:
        answer = self.world.hands["inet"].ask(
            "imap_login",
            host=plans.CENTRE.v4,
            port=IMAPS_PORT,
            user=person,
            password=self.secrets[person],
            source=source,
        )
        return bool(answer["ok"])

    def _portal(self, source: str) -> int:
        answer = self.world.hands["inet"].ask(
            "https",
            host=PORTAL,
            address=plans.CENTRE.v4,
            port=PORTAL_PORT,
            method="GET",
            path="/connexion/",
            source=source,
        )
        return int(answer["status"])

    def _watch(self, *, open_: bool) -> list[Future[dict[str, Any]]]:
        """Have every LAN connect again and again until the state changes."""
        return [
            self.world.hands[f"lan{c.letter}"].start(
                "until", address=address, port=443, open_=open_, limit_s=BROWSER_S + DECISION_S + 30
            )
            for c in self.communes
            for address in plans.ATTACKER_LANDING.both
        ]

    def _watched(self, since_ms: int) -> dict[str, int | None]:
        answers = [future.result(BROWSER_S + 60) for future in self.watchers]
        return percentiles(a["at_ms"] - since_ms for a in answers if a["ok"])

    def _until_shown(self, *, wanted: bool) -> int:
        """Wait until IMAP shows all copies (or none); return when, in epoch ms, 0 if it never was so."""
        deadline = time.monotonic() + CLEAN_S
        while time.monotonic() < deadline:
            asked_ms = _now_ms()
            if len(self.where(self.copies)) == (len(self.copies) if wanted else 0):
                return asked_ms
            time.sleep(0.02)
        return 0

    # -- 5: undo -------------------------------------------------------------------------------------------

    def undo(self) -> None:
        ids = [d["id"] for d in self.landing_decisions()]
        self.watchers = self._watch(open_=True)
        self.press_word("annuler")
        self.report.tell("the Département presses Annuler")
        back_at = self._until_shown(wanted=True)
        ended = [d["ended_ms"] for d in self.world.centre.ask("decided", since_ms=self.began_ms)["decisions"]]
        began = min((at for at in ended if at), default=0)
        released = self.world.centre.ask(
            "enforced", decision_ids=ids, boxes_wanted=len(self.world.boxes), ended=True
        )
        packets = self._watched(began)
        restored = len(self.where(self.copies))
        self.report.figures["restored"] = restored
        ends = [back_at, *released["boxes"].values(), began + (packets["max"] or 0)]
        complete = back_at and released["ok"] and packets["max"] is not None
        self.report.figures["undo_ms"] = max(ends) - began if complete else None
        self.report.figures["undo_box_ms"] = percentiles(at - began for at in released["boxes"].values())
        self.report.prove(
            "mailboxes_restored",
            restored == len(self.copies),
            f"{len(self.copies) - restored} copies did not come back",
        )
        again = self._packets(open_=True)
        self.report.prove(
            "packets_pass_again", again["tcp"] and again["names"], "a town hall stays blocked", again
        )
        mail = self.campaign.variants([self.communes[-1].people[2].email])[0]
        self.report.prove("mail_accepted_again", self.send(mail)["ok"], "the next mail is still refused")
        self.report.prove(
            "login_again",
            self._portal(plans.ATTACKER_LANDING.v4) == 200,
            "a sign-in from the address is still refused",
        )
        self.report.tell(f"{restored} copies are back, packets and names pass everywhere")

    def _open_campaign(self) -> str:
        found = self._campaigns()
        if not found:
            raise LabFailed("no campaign was made of the reports")
        return str(found[-1]["id"])

    def _campaigns(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.world.centre.ask("campaigns")["campaigns"]
        return [c for c in rows if c["state"] in ("open", "decided")]


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    """True as soon as ``condition`` holds, False after ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def _now_ms() -> int:
    return int(time.time() * 1000)
