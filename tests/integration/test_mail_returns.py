"""Any history of deliveries, decisions, ends, exceptions, words of two people and a Dovecot that goes away: what a
decision holds lies in quarantine, and when nothing is decided any more each copy lies where its owner had it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import exceptions
from beffroi.core.decisions.models import Decision, LocalException
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail import holding, moving, remediation, unclaimed
from beffroi.mail.doveadm import Command, DoveadmUnavailable, Rows
from beffroi.mail.gate.facts import Facts, Link, observations
from beffroi.mail.models import Mailbox, MailDelivery, MailObservation, RemediationJob
from beffroi_protocol.indicators import normalise

from tests.conftest import Commune
from tests.integration.test_mail_holding import decide

pytestmark = pytest.mark.usefixtures("database")
QUARANTINE = "aside"
LINK, CLIENT = "https://pay.evil.example.com/x", "185.203.116.9"
NAMED = (("url", LINK), ("domain", "pay.evil.example.com"), ("domain", "evil.example.com"), ("ip", CLIENT))
FOLDERS = ("INBOX", "Archives", "Projets")
NOTHING = Decision(kind="ip", rule="two_boxes")
"""Claims no mail."""
ADMINISTRATOR = Actor("administrator", "adm_1", None, "administrator")


@dataclass
class Copy:
    """``wanted``: where its owner put it last."""

    user: str
    message: str
    folder: str
    wanted: str
    uid: int


@dataclass
class Dovecot:
    """``away``: how often it does not answer, or not any more after it did what was asked."""

    away: float
    chance: random.Random
    copies: list[Copy] = field(default_factory=list)
    uids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    quarantine: str = QUARANTINE

    def run(self, commands: Sequence[Command]) -> list[Rows | None]:
        return [self._do(*one) for one in commands]

    def run_groups(self, groups: Sequence[Sequence[Command]]) -> list[list[Rows | None]]:
        return [self.run(group) for group in groups]

    def _do(self, name: str, asked: dict[str, object]) -> Rows:
        self._perhaps_away()
        query = asked.get("query")
        if not isinstance(query, list):
            return []
        said = dict(itertools.batched(query[:-3], 2, strict=True))  # the last three: the message
        found = [
            one
            for one in sorted(self.copies, key=lambda one: one.uid)
            if one.user == asked["user"] and one.message == query[-1]
            if one.folder == said["mailbox"] or (said["mailbox"] == "*" and one.folder != QUARANTINE)
            if str(one.uid) == said.get("uid", str(one.uid))
        ]
        for one in found if name == "move" else ():
            one.folder, one.uid = str(asked["destinationMailbox"]), next(self.uids)
        self._perhaps_away()
        return [{"mailbox": one.folder, "uid": str(one.uid), "flags": ""} for one in found]

    def _perhaps_away(self) -> None:
        if self.chance.random() < self.away:
            raise DoveadmUnavailable("Dovecot")


@dataclass
class History:
    chance: random.Random
    dovecot: Dovecot
    boxes: list[Mailbox]
    copies: tuple[int, ...]
    due: list[Callable[[], object]] = field(default_factory=list)
    """What the process remediation has not come to yet."""

    def deliver(self) -> None:
        link = self.chance.choice((LINK, "https://evil.example.com/", "https://kind.example.org/"))
        client = self.chance.choice((CLIENT, "192.0.2.7"))
        facts = Facts(1, new_id("msg"), client_ip=client, urls=[Link(link, link.split("/")[2])])
        for seen in observations(facts):
            MailObservation.objects.create(
                message_id=facts.id, kind=seen.indicator.kind, value=seen.indicator.value, role=seen.role
            )
        to = self.chance.sample(self.boxes, 2)
        for box in to:
            for folder in self.chance.sample(FOLDERS, self.chance.choice(self.copies)):
                new = Copy(box.address, facts.id, folder, folder, next(self.dovecot.uids))
                self.dovecot.copies.append(new)
            MailDelivery.objects.create(
                message_id=facts.id,
                mailbox_id=box.id,
                collectivite_id=box.collectivite_id,
                folder="INBOX",
                delivered_at=clock.now() - timedelta(days=self.chance.choice((0, 0, 20))),
            )
        self.due.append(lambda: remediation.add_late([(facts.id, box.id) for box in to]))

    def decide(self) -> None:
        decision = decide(*self.chance.choice(NAMED), communes=self.chance.choice((1, 2)))
        self.due.append(lambda: remediation.withdraw(decision.id))

    def end(self) -> None:
        active = list(Decision.objects.filter(state="active").order_by("id"))
        if active:
            decision = self.chance.choice(active)
            decisions.revoke(actor=ADMINISTRATOR, decision=decision, reason="test")
            self.due.append(lambda: remediation.restore(decision.id))

    def time_is_over(self) -> None:
        active = list(Decision.objects.filter(state="active").order_by("id"))
        if active:
            one = self.chance.choice(active)
            Decision.objects.filter(pk=one.pk).update(expires_at=clock.now() - timedelta(seconds=1))
            decisions.expire_due()
            self.due.append(lambda: remediation.restore(one.id))

    def take_back(self) -> None:
        expired = list(Decision.objects.filter(state="expired").order_by("id"))
        if expired:
            one = self.chance.choice(expired)
            decisions.revoke(actor=ADMINISTRATOR, decision=one, reason="test")
            self.due.append(lambda: remediation.restore(one.id))

    def answer(self) -> None:
        job = RemediationJob.objects.filter(state="waiting").order_by("id").first()
        if job is not None:
            word = self.chance.choice((remediation.approved, remediation.refused))
            self.due.append(lambda: word(job.id))

    def let_pass(self) -> None:
        owner, named = self.chance.choice(self.boxes).collectivite_id, normalise(*self.chance.choice(NAMED))
        exceptions.allow_locally(
            actor=ADMINISTRATOR, collectivite_id=owner, indicator=named, ttl_s=3600, reason="test"
        )

    def refuse_again(self) -> None:
        for one in LocalException.objects.filter(state="active").order_by("id")[:1]:
            exceptions.end(actor=ADMINISTRATOR, exception_id=one.id)

    def move(self) -> None:
        seen = [one for one in self.dovecot.copies if one.folder != QUARANTINE]
        if seen:
            one = self.chance.choice(seen)
            one.folder = one.wanted = self.chance.choice(FOLDERS)
            one.uid = next(self.dovecot.uids)

    def work(self) -> None:
        try:
            while self.due:
                self.due[0]()
                self.due.pop(0)
            remediation.resume()
        except DoveadmUnavailable:
            pass  # the event is tried again

    def settle(self) -> None:
        self.dovecot.away = 0
        self.work()


@pytest.mark.parametrize(
    ("seed", "expires"), [*((seed, False) for seed in range(8)), *((seed, True) for seed in range(8))]
)
def test_copies_follow_what_is_decided_and_come_back(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune, nuits: Commune, seed: int, expires: bool
) -> None:
    chance = random.Random(seed)
    dovecot = Dovecot(chance.choice((0, 0.02, 0.05)), chance)
    monkeypatch.setattr(moving, "Doveadm", lambda config: dovecot)
    monkeypatch.setattr(remediation, "FREE_MESSAGES", chance.choice((0, 100)))
    boxes = [
        Mailbox.objects.create(address=f"{n}@{one.domain}", collectivite_id=one.id, crypt_key="-")
        for one in (beaune, nuits)
        for n in "ab"
    ]
    # Where time ends what a cut withdrawal holds, a second copy may come back to the folder of the first.
    history = History(chance, dovecot, boxes, (1,) if expires else (1, 1, 2))
    steps = [history.deliver, history.deliver, history.decide, history.decide, history.end, history.answer]
    if expires:
        steps += [history.time_is_over, history.time_is_over, history.take_back]
    steps += [history.let_pass, history.refuse_again, history.move, history.work, history.work]
    for _ in range(40):
        chance.choice(steps)()
    history.settle()
    owners = {box.address: box.collectivite_id for box in boxes}
    waits = RemediationJob.objects.filter(state__in=("waiting", "refused")).exists()
    ids = {box.address: box.id for box in boxes}
    if not waits and not LocalException.objects.exists():
        for one in dovecot.copies:
            held, aside = bool(holding.holding(one.message, owners[one.user])), one.folder == QUARANTINE
            over = not unclaimed.among([(one.message, ids[one.user], "")], NOTHING)
            assert held <= aside <= (held or over), one
    while Decision.objects.filter(state="active").exists():
        history.end()
    while Decision.objects.filter(state="expired").exists():
        history.take_back()
    history.settle()
    for one in dovecot.copies:
        assert one.folder == one.wanted, one
