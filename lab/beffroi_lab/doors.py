"""Every door of the département, tried from where it matters: SMTP, IMAP, the portal's form, packets, names.

Purpose: what a scenario proves is what these tries answer: real connections, made by hands in the places.
Process: the laboratory's own.
Patience: with ``patience_s`` a try behaves as real programs and people do when something is down for a moment: a
         sending server tries again, a mail program connects anew. Without, the first answer counts.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab.campaign import Mail
from beffroi_lab.centre import IMAPS_PORT, PORTAL, PORTAL_PORT, SMTP_PORT
from beffroi_lab.plan import CommunePlan
from beffroi_lab.report import percentiles
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S, LabFailed
from beffroi_lab.world import World

_AGAIN_S = 0.3
Answer = dict[str, Any]


@dataclass
class Doors:
    """``secrets``: app passwords for IMAP, by address."""

    world: World
    patience_s: float = 0.0
    secrets: dict[str, str] = field(default_factory=dict)

    def open_mailboxes(self) -> None:
        """Give everyone an app password, without which no IMAP look is possible. Errors: LabFailed."""
        people = [p.email for p in self.world.plan.people]
        self.secrets = self.world.centre.ask("app_passwords", emails=people)["secrets"]
        for person in people:
            if not wait_until(lambda p=person: self._imap(p).result(PATIENCE_S)["ok"], PATIENCE_S):  # type: ignore[misc]
                raise LabFailed(f"IMAP of {person} does not open")

    # -- mail ---------------------------------------------------------------------------------------------

    def send(self, mail: Mail, source: str = plans.ATTACKER_SENDER.v4) -> Answer:
        deadline = time.monotonic() + self.patience_s
        while True:
            answer = self.world.hands["inet"].ask(
                "smtp",
                host=plans.CENTRE.v4,
                port=SMTP_PORT,
                source=source,
                helo=mail.mail_from.rpartition("@")[2],
                mail_from=mail.mail_from,
                recipient=mail.recipient,
                data=base64.b64encode(mail.data).decode(),
            )
            if answer["ok"] or answer["code"] >= 500 or time.monotonic() > deadline:
                return answer
            time.sleep(_AGAIN_S)

    def where(self, mails: Sequence[Mail]) -> dict[str, str]:
        """Return the folder in which IMAP shows each of these mails, by message id; one not shown is absent."""
        shown: dict[str, str] = {}
        waiting = [(mail, self._look(mail)) for mail in mails]
        deadline = time.monotonic() + self.patience_s
        while waiting:
            mail, future = waiting.pop(0)
            answer = future.result(60)
            if answer["ok"]:
                shown.update((mail.message_id, folder) for folder in answer["folders"])
            elif time.monotonic() < deadline:
                time.sleep(_AGAIN_S)
                waiting.append((mail, self._look(mail)))
            else:
                raise LabFailed(f"IMAP of {mail.recipient}: {answer['error']}")
        return shown

    def _look(self, mail: Mail) -> Future[Answer]:
        return self.world.hands["dept"].start(
            "imap_find",
            host=plans.CENTRE.v4,
            port=IMAPS_PORT,
            user=mail.recipient,
            password=self.secrets[mail.recipient],
            message_ids=[mail.message_id],
        )

    def until_shown(self, mails: Sequence[Mail], *, all_: bool, limit_s: float) -> int:
        """Wait until IMAP shows all of these mails (or none); return when, in epoch ms, 0 if it never was so."""
        asked_ms = 0

        def as_wanted() -> bool:
            nonlocal asked_ms
            asked_ms = now_ms()
            return len(self.where(mails)) == (len(mails) if all_ else 0)

        return asked_ms if wait_until(as_wanted, limit_s, 0.02) else 0

    # -- packets and names --------------------------------------------------------------------------------

    def hold(self) -> bool:
        """Open connections to the landing page from every town hall and keep them; whether all opened."""
        seen = []
        for c in self.world.plan.communes:
            hands = self._lan(c)
            seen += [hands.ask("tcp", address=a, port=443)["ok"] for a in plans.ATTACKER_LANDING.both]
            seen += [hands.ask("hold", key=a, address=a, port=80)["ok"] for a in plans.ATTACKER_LANDING.both]
        return all(seen)

    def names_answered(self, names: Sequence[str]) -> bool:
        answers = [
            self._lan(c).ask("lookup", server=plans.DNS.v4, name=name)
            for c in self.world.plan.communes
            for name in names
        ]
        return all(answer["ok"] for answer in answers)

    def packets(self, names: Sequence[str], *, open_: bool) -> dict[str, bool]:
        """Try from every LAN; each value is True when all is as ``open_`` says.

        Held connections must be cut with the rest; whether one lives again afterwards is its own affair.
        """
        seen: dict[str, bool] = {}

        def as_wanted() -> bool:
            nonlocal seen
            seen = self._packets(names, open_=open_)
            return all(seen.values())

        wait_until(as_wanted, self.patience_s, _AGAIN_S)
        return seen

    def _packets(self, names: Sequence[str], *, open_: bool) -> dict[str, bool]:
        wanted = {"tcp": open_, "names": open_, "innocent": True} | ({} if open_ else {"held": False})
        asked: dict[str, list[Future[Answer]]] = {what: [] for what in wanted}
        for c in self.world.plan.communes:
            hands = self._lan(c)
            for address in plans.ATTACKER_LANDING.both:
                asked["tcp"].append(hands.start("tcp", address=address, port=443))
                if not open_:
                    asked["held"].append(hands.start("poke", key=address))
            # Asked of a foreign server on purpose: the box must answer in its place.
            asked["names"] += [hands.start("lookup", server=plans.DNS.v4, name=name) for name in names]
            asked["innocent"] += [hands.start("tcp", address=a, port=443) for a in plans.INNOCENT.both]
        return {
            what: all(bool(f.result(30)["ok"]) is wanted[what] for f in futures)
            for what, futures in asked.items()
        }

    def watch(self, *, open_: bool) -> list[Future[Answer]]:
        """Have every LAN connect to the landing page again and again until that works, or no longer does."""
        pairs = zip(plans.ATTACKER_LANDING.both, plans.INNOCENT.both, strict=True)
        targets = [(address, witness) for address, witness in pairs]
        return [
            self._lan(c).start(
                "until", address=address, port=443, open_=open_, witness=witness, limit_s=PATIENCE_S
            )
            for c in self.world.plan.communes
            for address, witness in targets
        ]

    def watched(self, watchers: Sequence[Future[Answer]], since_ms: int) -> dict[str, int | None]:
        answers = [future.result(PATIENCE_S + 30) for future in watchers]
        return percentiles(a["at_ms"] - since_ms for a in answers if a["ok"])

    def _lan(self, commune: CommunePlan) -> Any:
        return self.world.hands[f"lan{commune.letter}"]

    # -- sign-in ------------------------------------------------------------------------------------------

    def sign_in(self, person: str, source: str) -> Answer:
        """Try the person's correct credentials from ``source``: ``imap`` and ``portal`` (truth), ``status`` of the
        portal's answer to the form."""
        account = self.world.centre.accounts[person]
        imap = self._imap(person, source)
        portal = self.world.hands["inet"].ask(
            "portal_sign_in",
            host=PORTAL,
            address=plans.CENTRE.v4,
            port=PORTAL_PORT,
            email=account.email,
            password=account.password,
            source=source,
            form_source=plans.INNOCENT.v4,
        )
        return {
            "imap": bool(imap.result(60)["ok"]),
            "portal": bool(portal["ok"]),
            "status": int(portal["status"]),
        }

    def _imap(self, person: str, source: str = plans.INNOCENT.v4) -> Future[Answer]:
        return self.world.hands["inet"].start(
            "imap_login",
            host=plans.CENTRE.v4,
            port=IMAPS_PORT,
            user=person,
            password=self.secrets[person],
            source=source,
        )

    def signs_in(self, person: str, source: str, *, wanted: bool) -> tuple[bool, Answer]:
        """Whether both sign-ins are as ``wanted``, the portal's refusal being the door's own (403)."""
        answer: Answer = {}

        def as_wanted() -> bool:
            nonlocal answer
            answer = self.sign_in(person, source)
            refused = not answer["imap"] and not answer["portal"] and answer["status"] == 403
            return (answer["imap"] and answer["portal"]) if wanted else refused

        return wait_until(as_wanted, self.patience_s, 1.0), answer


def now_ms() -> int:
    return int(time.time() * 1000)
