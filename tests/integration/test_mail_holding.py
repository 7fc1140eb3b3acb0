"""Withdrawal speaks of the same messages as the mail door: what a decision would refuse now is what it takes back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest
from beffroi.core.approvals import actions as approvals
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import exceptions
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.lib.ids import new_id
from beffroi.mail import actions, holding, remediation
from beffroi.mail.gate.facts import Facts, Link, observations
from beffroi.mail.gate.rules import judge
from beffroi.mail.held import actions as held
from beffroi.mail.held import following, queries
from beffroi.mail.held.heading import Heading
from beffroi.mail.models import Mailbox, MailDelivery, MailObservation, RemediationJob
from beffroi_protocol.indicators import normalise
from beffroi_protocol.messages import Action, Batch, Entry
from beffroi_protocol.table import DecisionTable

from tests.conftest import Commune
from tests.fixtures_mail_table import Asked, Layered

pytestmark = pytest.mark.usefixtures("database")
CLIENTS = ("91.240.118.66", "91.240.118.67", "91.240.119.66", "2a0b:f4c2:77::9", "2a0b:f4c2:78::9")
LINK = "https://185.203.116.9/payer"


def arrive(commune: Commune, client: str, link: str = "https://www.payer-ici.com/") -> Facts:
    """A delivered message as mailgate and the journal record it."""
    host = link.split("/")[2]
    facts = Facts(1, new_id("msg"), sender="a@sender.example.net", client_ip=client, urls=[Link(link, host)])
    for seen in observations(facts):
        MailObservation.objects.create(
            message_id=facts.id, kind=seen.indicator.kind, value=seen.indicator.value, role=seen.role
        )
    box, _ = Mailbox.objects.get_or_create(
        address=f"agent@{commune.domain}", defaults={"collectivite_id": commune.id, "crypt_key": "-"}
    )
    MailDelivery.objects.create(
        message_id=facts.id,
        mailbox_id=box.id,
        collectivite_id=commune.id,
        folder="INBOX",
        delivered_at=clock.now(),
    )
    return facts


def decide(kind: str, value: str, *, scope: str = "all", who: str = "", communes: int = 2) -> Decision:
    return decisions.activate(
        actor=Actor("administrator", who, None, "administrator") if who else Actor.system("tests"),
        indicator=normalise(kind, value),
        action="block",
        scope=scope,
        reason="phishing",
        evidence={"communes": communes},
        rule="test",
        ttl_s=3600,
    )


def refused(facts: Facts, decision: Decision) -> bool:
    """What the door says of the same message."""
    table = DecisionTable("mail")
    end = clock.epoch_s() + 3600
    entry = Entry(decision.id, normalise(decision.kind, decision.value), Action.BLOCK, end)
    table.apply(Batch(1, "mail", 0, 0, 1, 0, end, "", (entry,)), b"{}")
    now = clock.epoch_s()
    found = judge(observations(facts), Asked(table, now))
    return found.action == "reject"


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        ("cidr", "91.240.118.0/24", 3),
        ("cidr", "91.240.118.64/31", 0),
        ("cidr", "91.240.118.66/31", 3),
        ("cidr", "2a0b:f4c2:77::/48", 1),
        ("cidr", "185.203.116.0/24", 1),
        ("ip", "91.240.118.67", 2),
        ("domain", "payer-ici.com", 5),
        ("sender", "a@sender.example.net", 6),
    ],
)
def test_a_decision_takes_back_what_the_mail_door_would_refuse(
    beaune: Commune, kind: str, value: str, taken: int
) -> None:
    arrived = [arrive(beaune, client) for client in CLIENTS]
    arrived.append(arrive(beaune, CLIENTS[1], LINK))
    decision = decide(kind, value)
    copies = {copy.message_id for copy in holding.copies_under(decision)}
    assert len(copies) == taken
    for facts in arrived:
        assert (facts.id in copies) is refused(facts, decision)
        assert (facts.id in copies) is (decision in holding.holding(facts.id, beaune.id))


WORLD = (
    ("domain", "payer-ici.com"),
    ("domain", "www.payer-ici.com"),
    ("domain", "net.payer-ici.com"),
    ("url", "https://www.payer-ici.com/"),
    ("ip", CLIENTS[0]),
    ("cidr", "91.240.118.0/24"),
    ("sender", "a@sender.example.net"),
    ("domain", "example.net"),
)


@pytest.mark.parametrize("opened", [*combinations(WORLD, 1), *combinations(WORLD[:6], 2)])
def test_what_a_commune_lets_through_is_taken_back_from_others_alone(
    beaune: Commune, nuits: Commune, opened: Sequence[tuple[str, str]]
) -> None:
    ours, theirs = arrive(beaune, CLIENTS[0]), arrive(nuits, CLIENTS[0])
    let_pass(beaune, opened)
    for blocked in WORLD:
        decision = decide(*blocked, communes=0)
        taken = {copy.message_id for copy in holding.copies_under(decision)}
        passes = judge(observations(ours), Layered([blocked], list(opened))).action == "none"
        is_theirs = judge(observations(theirs), Layered([blocked], [])).action != "none"
        assert (ours.id in taken) is not passes, blocked
        assert (ours.id in taken) is (decision in holding.holding(ours.id, beaune.id)), blocked
        assert (theirs.id in taken) is is_theirs, blocked
        decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="test")


def test_what_is_held_is_its_owners_once_their_commune_lets_it_through(beaune: Commune) -> None:
    facts = arrive(beaune, CLIENTS[0])
    decision = decide("domain", "payer-ici.com", communes=0)
    box = Mailbox.objects.get(collectivite_id=beaune.id)
    Mailbox.objects.filter(pk=box.pk).update(person_id=beaune.agent.id)
    row = held.hold(
        mailbox=box,
        message_id=facts.id,
        reason="decision",
        found=Heading("", "", ""),
        decision_id=decision.id,
    )
    assert [one.by_decision for one in queries.shown([row])] == [True]
    with pytest.raises(held.HeldByDecision):
        held.release(actor=beaune.agent, held_id=row.id)
    let_pass(beaune, [("domain", "payer-ici.com")])
    assert [one.by_decision for one in queries.shown([row])] == [False]
    assert held.release(actor=beaune.agent, held_id=row.id).state == "released"


def test_two_decisions_that_end_one_after_the_other_leave_nothing_on_the_list(beaune: Commune) -> None:
    """The second ends while the first one's copies are still being given back."""
    facts = arrive(beaune, CLIENTS[0])
    box = Mailbox.objects.get(collectivite_id=beaune.id)
    both = [decide("ip", CLIENTS[0]), decide("sender", "a@sender.example.net")]
    row = held.hold(
        mailbox=box, message_id=facts.id, reason="decision", found=Heading("", "", ""), decision_id=both[0].id
    )
    for decision in both:
        decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="test")
    for decision, state in zip(both, ("kept", "moved"), strict=True):
        job = RemediationJob.objects.create(decision_id=decision.id, direction="restore", state="done")
        job.items.create(
            message_id=facts.id, mailbox_id=box.id, collectivite_id=beaune.id, state=state, folder="INBOX"
        )
        following.follow_job(job.id)
    row.refresh_from_db()
    assert (row.reason, row.state) == ("decision", "returned")


def let_pass(commune: Commune, indicators: Sequence[tuple[str, str]]) -> None:
    for one in indicators:
        exceptions.allow_locally(
            actor=Actor("administrator", "adm_1", None, "administrator"),
            collectivite_id=commune.id,
            indicator=normalise(*one),
            ttl_s=3600,
            reason="notre fournisseur",
        )


def test_a_range_takes_back_each_copy_once_however_many_addresses_it_has(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "MOST_VALUES", 2)
    made = [arrive(beaune, f"91.240.118.{n}", f"https://91.240.118.{n + 1}/").id for n in range(1, 8)]
    assert [copy.message_id for copy in holding.copies_under(decide("cidr", "91.240.118.0/24"))] == made


def test_a_range_of_one_commune_takes_nothing_from_another(beaune: Commune, nuits: Commune) -> None:
    own, foreign = arrive(beaune, CLIENTS[0]), arrive(nuits, CLIENTS[0])
    decision = decide("cidr", "91.240.118.0/24", scope=beaune.id)
    assert [copy.message_id for copy in holding.copies_under(decision)] == [own.id]
    assert holding.holding(foreign.id, nuits.id) == []


@pytest.mark.parametrize(
    ("value", "who", "communes", "waits"),
    [
        (CLIENTS[0], "", 1, True),
        (CLIENTS[0], "", 2, False),
        (CLIENTS[0], "adm_1", 0, False),
        ("91.240.118.0/24", "adm_1", 0, True),
        ("91.240.118.0/24", "adm_1", 2, False),
    ],
    ids=[
        "one commune",
        "two communes",
        "the Département",
        "a range: nobody spoke before",
        "a range, two communes",
    ],
)
def test_a_large_withdrawal_waits_for_the_second_word(
    beaune: Commune, value: str, who: str, communes: int, waits: bool
) -> None:
    arrive(beaune, CLIENTS[0])
    decision = decide("cidr", value, who=who, communes=communes)  # a range of one address is an address
    assert not remediation.needs_second_person(decision, remediation.FREE_MESSAGES)
    assert remediation.needs_second_person(decision, remediation.FREE_MESSAGES + 1) is waits


def test_a_request_that_nobody_answered_in_time_can_be_made_again(
    beaune: Commune, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remediation, "FREE_MESSAGES", 0)
    arrive(beaune, CLIENTS[0])
    job = remediation.withdraw(decide("ip", CLIENTS[0], communes=1).id)
    assert job is not None
    first = actions.request_remediation(actor=administrator, job=job)
    with pytest.raises(Conflict):
        actions.request_remediation(actor=administrator, job=job)
    with clock.shifted(approvals.VALID_S + 1):
        assert approvals.expire_due() == 1
        again = actions.request_remediation(actor=administrator, job=job)
        approvals.approve(actor=Actor("administrator", "adm_2", None, "administrator"), approval=again)
    assert (first.id != again.id, again.state) == (True, "granted")


def test_a_delivery_taken_before_its_decision_opens_the_whole_withdrawal(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remediation, "FREE_MESSAGES", 2)
    first, *_ = [arrive(beaune, CLIENTS[0]) for _ in range(3)]
    decide("ip", CLIENTS[0], communes=1)
    box = Mailbox.objects.get()
    [job] = remediation.add_late([(first.id, box.id)])
    assert (job.items.count(), job.state) == (3, "waiting"), (
        "its reach is that of all copies, not of the late ones"
    )


def test_a_withdrawal_that_was_done_goes_on_with_what_came_since(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    monkeypatch.setattr(remediation, "run", lambda job: runs.append(job.items.count()))
    arrive(beaune, CLIENTS[0])
    decision = decide("ip", CLIENTS[0])
    job = remediation.withdraw(decision.id)
    assert job is not None
    job.items.update(state="moved")
    RemediationJob.objects.update(state="done")
    remediation.withdraw(decision.id)
    assert runs == [1], "nothing is left to do"
    arrive(beaune, CLIENTS[0])
    remediation.withdraw(decision.id)
    assert (runs, RemediationJob.objects.get().state) == ([1, 2], "running")
