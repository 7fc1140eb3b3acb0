"""mailgate: the mail door. Answers rspamd and Dovecot from its own copy of the decisions.

Purpose: POST /check (facts of a message -> verdict), POST /authpolicy (address of a sign-in -> refuse or not; how it
         went: failures are counted), GET /healthz. Follows the feed (door mailgate, channel mail); writes
         evidence to its spool first.
Process: mailgate (``python -m beffroi.mail.gate``), 127.0.0.1 only, the centre's unprivileged user; no Django.
Hostile: the facts (values chosen by senders), the sign-in attempts. Callers show the key of the engines.
Fails:   open for mail: when this process is away rspamd delivers and marks. Stream or database away: goes on with
         what it has.
Source:  docs/internals/mail-engines.md; weakforced's protocol for /authpolicy (Dovecot "auth policy").
"""

from __future__ import annotations

import hmac
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

import msgspec
from beffroi_protocol.errors import UNDECODABLE, IndicatorInvalid
from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import Entry
from beffroi_protocol.table import every_overlay

from beffroi.core.planes.follower import Follower, door_follower
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotAllowed, NotFound
from beffroi.mail.engines.layout import Paths
from beffroi.mail.gate import attachments, bank, relays, texts
from beffroi.mail.gate import facts as facts_module
from beffroi.mail.gate.aliases import Aliases
from beffroi.mail.gate.exits import Exits
from beffroi.mail.gate.facts import Facts, Observation
from beffroi.mail.gate.failures import Failures
from beffroi.mail.gate.owners import Owners
from beffroi.mail.gate.policies import Policies
from beffroi.mail.gate.relays import Relays
from beffroi.mail.gate.rules import Verdict, judge, with_findings
from beffroi.mail.gate.sending import HELD_TEXT, Held, Limits, Sent
from beffroi.mail.gate.server import Request
from beffroi.mail.gate.sign_ins import SignIns
from beffroi.mail.gate.spool import Spool, SpoolUnavailable
from beffroi.mail.gate.store import Drain, record_of

KEY_HEADER = "x-beffroi-key"
MAX_POLICY_BYTES = 16 * 1024
CHANNELS = ("mail", every_overlay("mail"))
log = logging.getLogger("beffroi.mailgate")


class _Policy(msgspec.Struct):
    """A sign-in attempt as Dovecot tells it; before the passwords address and mailbox matter."""

    remote: str = ""
    login: str = ""
    protocol: str = ""
    success: bool = True
    policy_reject: bool = False
    app_password: str = ""


@dataclass(frozen=True)
class ForCommunes:
    """The table as it stands for the collectivités that a message goes to."""

    follower: Follower
    communes: frozenset[str]

    def match(self, indicator: Indicator) -> Entry | None:
        return self.follower.match(indicator, self.communes)

    def match_address(self, address: str) -> Entry | None:
        return self.follower.match_address(address, self.communes)

    def match_name(self, name: str) -> Entry | None:
        return self.follower.match_name(name, self.communes)


class Gate:
    """What the routes work with: table, spool, drain."""

    def __init__(self, config: Config) -> None:
        routes = Paths(config.state).routes
        self.key = config.secret("mailgate.key")
        self.follower: Follower = door_follower(config, door="mailgate", channels=CHANNELS)
        self.owners = Owners(routes)
        self.policies = Policies(routes)
        self.aliases = Aliases(routes)
        self.spool = Spool(config.state / "mailgate" / "spool.sqlite")
        self.failures = Failures()
        self.sign_ins = SignIns()
        self.sent = Sent(config.state / "mailgate" / "sending.sqlite", Limits.of(config))
        self.exits = Exits(config)
        self.relays = Relays(routes)
        self.held = Held(routes)
        self.probe = config.probe_address
        self.echo = config.probe_echo.lower()
        self.contain_at = config.sending_contain_refusals
        self.drain = Drain(config, self.spool, self.failures, self.sign_ins, self.sent)

    def start(self) -> None:
        self.follower.start()
        self.drain.start()

    def stop(self) -> None:
        self.follower.stop()
        self.drain.stop()
        self.spool.close()
        self.sent.close()
        self.exits.close()

    def check(self, facts: Facts) -> Verdict:
        """Judge and keep the evidence. Errors: SpoolUnavailable (the verdict would be "none")."""
        recipients = facts_module.recipients(facts)
        if self._is_probe(facts, recipients):
            return self.refuses_relay(facts, recipients) or Verdict("none")
        communes = self.owners.of(recipients)
        seen = facts_module.observations(facts)
        text = texts.sketch(self.key, facts_module.text(facts))
        decided = facts_module.texts(self.follower.near(text)) if text else []
        verdict = judge([*seen, *decided], ForCommunes(self.follower, communes))
        verdict = with_findings(verdict, self.findings(facts, communes, seen))
        if verdict.action != "reject" and (refused := self.refuses_sending(facts, recipients)):
            return refused  # what comes again is evidence when it passes
        verdict = replace(verdict, lane=self._lane(verdict, facts, recipients))
        facts = msgspec.structs.replace(facts, recipients=self.aliases.expanded(recipients))
        try:
            details = self.bank_details(facts, self.owners.known(recipients))
            self.spool.put(record_of(facts, verdict, [*seen, *decided], details, text))
        except SpoolUnavailable:
            # A refusal stands without its record; a message that would pass is marked for the sweep instead.
            if verdict.action != "reject":
                raise
        self.drain.wake()
        return verdict

    def findings(
        self, facts: Facts, communes: frozenset[str], seen: Sequence[Observation]
    ) -> tuple[str, ...]:
        """What the door holds it for, whatever the decisions say."""
        return attachments.held(
            facts_module.files(facts),
            allowed=self.policies.allowed(communes),
            virus=facts.virus,
            unparseable=facts_module.is_unparseable(facts, seen),
            # Words alone come in honest mail, too; a domain that disowns them does not.
            forged_bank=facts.announces_bank_details and facts.auth.dmarc == "fail",
            signed_in=facts.signed_in,
        )

    def bank_details(self, facts: Facts, communes: frozenset[str]) -> list[bank.Seen]:
        """What is remembered of bank details; of mail that a page would show with a warning."""
        return bank.seen(
            self.key,
            message_id=facts.id,
            sender=facts.visible_from or facts.sender,
            ibans=facts_module.ibans(facts),
            announces=facts.announces_bank_details,
            proved=facts.auth.dmarc == "pass",
            communes=communes,
        )

    def _lane(self, verdict: Verdict, facts: Facts, recipients: list[str]) -> str:
        """By which of our addresses it leaves, where there are several."""
        account = facts_module.account(facts)
        if not self.exits.several or not account or verdict.action == "reject":
            return ""
        return self.exits.lane(account, recipients, self.owners.current(), now_s=clock.epoch())

    def _is_probe(self, facts: Facts, recipients: list[str]) -> bool:
        """The centre's own test mail: no evidence, no count. What a person sends there counts as everything else."""
        account = facts_module.account(facts)
        if recipients == [self.probe]:
            return account in ("", self.probe)
        return account == self.probe and recipients == [self.echo]

    def refuses_relay(self, facts: Facts, recipients: list[str]) -> Verdict | None:
        """What a boîtier is told that may not send, or not to these recipients."""
        login = facts_module.relay_login(facts)
        if not login:
            return None
        allowed = self.relays.of(login)
        if allowed is None:
            return Verdict("later", text=relays.UNKNOWN_TEXT)
        outside = allowed.outside(recipients)
        if not outside:
            return None
        self.tell_outside(facts_module.account(facts), login)
        return Verdict("reject", text=relays.refusal(outside))

    def refuses_sending(self, facts: Facts, recipients: list[str]) -> Verdict | None:
        """Count a mail that somebody, a filter of theirs or a boîtier sends; return what they are told when it is too
        much, or not for these recipients."""
        if refused_relay := self.refuses_relay(facts, recipients):
            return refused_relay
        account, login = facts_module.account(facts), facts_module.relay_login(facts)
        allowed = self.relays.of(login) if login else None
        own = facts.by_filter or facts.visible_from.lower() == facts.sender.lower()
        if not account or not own:  # a forged From: is refused anyway
            return None
        if self.held.has(account):
            return Verdict("later", text=HELD_TEXT)
        try:
            refused = self.sent.take(
                account,
                max(1, len(recipients)),
                now_s=clock.epoch(),
                # A boîtier that was cut off brings what waited all at once: it is told "later", and is no thief.
                contain_at=0 if login else self.contain_at,
                relay=login,
                relay_hour=allowed.hour if allowed else 0,
            )
        except sqlite3.Error as error:
            log.warning("sent mail is not counted: %s", type(error).__name__)
            return None
        if refused is None:
            return None
        self.drain.wake()
        return Verdict("reject" if refused.alone else "later", text=refused.text)

    def tell_outside(self, account: str, login: str) -> None:
        """A person looks at it: an honest boîtier does this only with what waited while its policy became narrower."""
        try:
            self.sent.refuse_relay(account, login, now_s=clock.epoch())
        except sqlite3.Error as error:
            log.warning("a refused relay is not told: %s", type(error).__name__)
        self.drain.wake()

    def sign_in_failed(self, attempt: _Policy) -> None:
        """Count it for the rule that finds guessing."""
        owner = "".join(self.owners.of([attempt.login]))
        if self.failures.add(
            address=attempt.remote, account=attempt.login, door=attempt.protocol, owner=owner
        ):
            self.drain.wake()

    def signed_in(self, attempt: _Policy) -> None:
        """Keep it as evidence of who came from where."""
        if attempt.login.lower() == self.probe:
            return
        if self.sign_ins.add(
            address=attempt.remote,
            login=attempt.login,
            door=attempt.protocol,
            app_password=attempt.app_password,
        ):
            self.drain.wake()

    def refuses(self, address: str, login: str) -> bool:
        """``login``: whose mailbox; what its collectivité lets through is not refused."""
        try:
            return self.follower.match_address(address, self.owners.of([login])) is not None
        except IndicatorInvalid:
            return False


def answer(gate: Gate, request: Request) -> dict[str, Any]:
    """What the engines are told. Errors: NotAllowed, NotFound, TooLarge, RequestMalformed, FactsMalformed,
    SpoolUnavailable."""
    route = _ROUTES.get((request.method, request.path))
    if route is None:
        raise NotFound("address")
    return route(gate, request)


def _check(gate: Gate, request: Request) -> dict[str, Any]:
    _authorise(gate, request)
    verdict = gate.check(facts_module.decode(request.body(facts_module.MAX_BODY_BYTES)))
    return {
        "action": verdict.action,
        "decision_id": verdict.decision_id,
        "reason": verdict.reason,
        "text": verdict.text,
        "lane": verdict.lane,
    }


def _authpolicy(gate: Gate, request: Request) -> dict[str, Any]:
    _authorise(gate, request)
    body = request.body(MAX_POLICY_BYTES)
    command = parse_qs(request.query).get("command", [""])[-1]
    try:
        attempt = msgspec.json.decode(body, type=_Policy)
    except UNDECODABLE:
        return {"status": 0, "msg": ""}
    if command == "allow" and gate.refuses(attempt.remote, attempt.login):
        return {"status": -1, "msg": "blocked by collective immunity"}
    if command == "report" and attempt.success:
        gate.signed_in(attempt)
    elif command == "report" and not attempt.policy_reject:
        gate.sign_in_failed(attempt)
    return {"status": 0, "msg": ""}


def _healthz(gate: Gate, request: Request) -> dict[str, Any]:
    return {
        "stream": gate.follower.connected,
        "stale": gate.follower.stale(),
        "versions": {c: list(v) for c, v in gate.follower.versions().items()},
        "lists_missing": gate.follower.missing_lists(),
        "spooled": gate.spool.count(),
    }


_ROUTES = {
    ("POST", "/check"): _check,
    ("POST", "/authpolicy"): _authpolicy,
    ("GET", "/healthz"): _healthz,
}


def _authorise(gate: Gate, request: Request) -> None:
    """Errors: NotAllowed."""
    if not hmac.compare_digest(gate.key, request.headers.get(KEY_HEADER, "").encode("utf-8", "replace")):
        raise NotAllowed("the key of the engines is missing")
