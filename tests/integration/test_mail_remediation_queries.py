"""A withdrawal and its end ask the database as often for many copies as for a few, and lose no folder and no copy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import exceptions
from beffroi.core.decisions.models import Decision
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.registry import Event
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail import consumers, moving, once, remediation
from beffroi.mail.doveadm import Command, DoveadmUnavailable, Rows
from beffroi.mail.held import actions as held
from beffroi.mail.held import following
from beffroi.mail.held.heading import Heading
from beffroi.mail.models import Mailbox, MailDelivery, MailObservation, RemediationItem, RemediationJob
from beffroi_protocol.indicators import normalise
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import Commune
from tests.integration.test_mail_holding import decide

pytestmark = pytest.mark.usefixtures("database")
QUARANTINE = "aside"
FOLDERS = ("INBOX", "Marchés", "INBOX\nCopies")


class Boxes:
    """Stands for Dovecot: in which folders each mailbox has its copies of one mail. A UID is the place in the list."""

    lying: dict[str, list[str]]

    def __init__(self, _config: object) -> None:
        self.quarantine = QUARANTINE

    def run(self, commands: Sequence[Command], *, at_once: int = 1) -> list[Rows | None]:
        return [self._do(*one) for one in commands]

    def run_groups(self, groups: Sequence[Sequence[Command]]) -> list[list[Rows | None]]:
        return [self.run(group) for group in groups]

    def _do(self, name: str, arguments: dict[str, object]) -> Rows:
        user, query = str(arguments["user"]), arguments.get("query")
        if name == "mailboxCreate":
            return []
        assert isinstance(query, list)
        there, wanted = self.lying[user], query[1]
        if name == "move":
            uid = query[query.index("uid") + 1] if "uid" in query else ""
            self.lying[user] = [
                str(arguments["destinationMailbox"]) if one == wanted and uid in ("", str(n)) else one
                for n, one in enumerate(there)
            ]
            return []
        if name == "expunge":
            gone = query[query.index("uid") + 1].split(",")
            self.lying[user] = [one for n, one in enumerate(there) if one != wanted or str(n) not in gone]
            return []
        return [
            {"mailbox": one, "uid": str(n), "flags": r"\Seen"}
            for n, one in enumerate(there)
            if one == wanted or (wanted == "*" and one != QUARANTINE)
        ]


def delivered(commune: Commune, count: int) -> str:
    """One mail to so many mailboxes; the link in it."""
    message, link = new_id("msg"), f"https://185.203.116.9/{new_id('x')}"
    for kind, value in (("url", link), ("ip", "185.203.116.9")):
        MailObservation.objects.create(message_id=message, kind=kind, value=value, role="link")
    for number in range(count):
        address = f"b{number}-{message[-6:]}@{commune.domain}"
        box = Mailbox.objects.create(address=address, collectivite_id=commune.id, crypt_key="-")
        Boxes.lying[address] = FOLDERS[number % len(FOLDERS)].split("\n")
        MailDelivery.objects.create(
            message_id=message,
            mailbox_id=box.id,
            collectivite_id=commune.id,
            folder="INBOX",
            delivered_at=clock.now(),
        )
    return link


def test_many_copies_cost_no_more_queries_than_a_few(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune
) -> None:
    monkeypatch.setattr(moving, "Doveadm", Boxes)
    asked: list[tuple[int, int]] = []
    for count in (6, 60):
        Boxes.lying = {}
        decision = decide("url", delivered(beaune, count))
        with CaptureQueriesContext(connection) as withdrawing:
            job = remediation.withdraw(decision.id)
        assert job is not None and job.moved == count
        assert {one for lying in Boxes.lying.values() for one in lying} == {QUARANTINE}
        items = RemediationItem.objects.filter(job=job)
        assert set(items.values_list("folder", "flags", "state")) == {(f, r"\Seen", "moved") for f in FOLDERS}
        decision.__class__.objects.filter(pk=decision.pk).update(state="ended")
        with CaptureQueriesContext(connection) as restoring:
            back = remediation.restore(decision.id)
        assert back is not None and back.moved == count
        assert sorted("\n".join(one) for one in Boxes.lying.values()) == sorted(
            FOLDERS[n % len(FOLDERS)] for n in range(count)
        )
        asked.append((len(withdrawing), len(restoring)))
    assert asked[0] == asked[1]


@pytest.mark.parametrize("word", ["none yet", "refused"])
def test_what_a_withdrawal_that_waits_for_two_people_kept_comes_back_when_its_decision_ends(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune, word: str
) -> None:
    """The first decision took the copies; they stay, since the second stands; nothing else gives them back."""
    monkeypatch.setattr(moving, "Doveadm", Boxes)
    Boxes.lying = {}
    link = delivered(beaune, 3)
    where = dict(Boxes.lying)
    first = decide("url", link)
    remediation.withdraw(first.id)
    monkeypatch.setattr(remediation, "FREE_MESSAGES", 0)
    second = decide("ip", "185.203.116.9", communes=1)
    waiting = remediation.withdraw(second.id)
    assert waiting is not None and waiting.state == "waiting"
    if word == "refused":
        remediation.refused(waiting.id)
    for decision in (first, second):
        decision.__class__.objects.filter(pk=decision.pk).update(state="revoked")
        kept = remediation.restore(decision.id)
        assert kept is not None
        if decision is first:
            assert (kept.moved, Boxes.lying == where) == (0, False)
    assert Boxes.lying == where


def test_a_withdrawal_whose_decision_ends_meanwhile_takes_no_more(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune
) -> None:
    decided: list[Decision] = []

    class Undone(Boxes):
        """Somebody presses Annuler while the first slice is moved."""

        def run_groups(self, groups: Sequence[Sequence[Command]]) -> list[list[Rows | None]]:
            Decision.objects.filter(pk=decided[0].pk).update(state="revoked")
            return super().run_groups(groups)

    monkeypatch.setattr(moving, "Doveadm", Undone)
    monkeypatch.setattr(moving, "SLICE", 2)
    Boxes.lying = {}
    decided.append(decide("url", delivered(beaune, 6)))
    where = dict(Boxes.lying)
    remediation.withdraw(decided[0].id)
    assert sum(lying != where[one] for one, lying in Boxes.lying.items()) == 2
    remediation.resume()
    assert sum(lying != where[one] for one, lying in Boxes.lying.items()) == 2
    back = remediation.restore(decided[0].id)
    assert back is not None and (back.moved, Boxes.lying) == (2, where)
    assert not RemediationJob.objects.filter(state="running").exists()


def test_time_gives_no_mail_back_and_a_person_does(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune, system: Actor
) -> None:
    """Seven days after a lure was taken out of the mailboxes nobody has said that it was none."""
    monkeypatch.setattr(moving, "Doveadm", Boxes)
    Boxes.lying = {}
    decision = decide("url", delivered(beaune, 3))
    where = dict(Boxes.lying)
    remediation.withdraw(decision.id)
    with clock.shifted(10 * 86400):
        assert decisions.expire_due() == 1
        assert remediation.restore(decision.id) is None
        assert {one for lying in Boxes.lying.values() for one in lying} == {QUARANTINE}
        decision.refresh_from_db()
        assert decisions.revoke(actor=system, decision=decision, reason="undone")
        assert not decisions.revoke(actor=system, decision=decision, reason="undone")
        told = OutboxEvent.objects.filter(kind="decision:taken_back").get()
        consumers.follow_decision(Event(told.id, told.kind, None, json.loads(told.payload), clock.now()))
    assert Boxes.lying == where


def test_a_withdrawal_that_its_decision_outlived_not_lists_what_it_took(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune
) -> None:
    decided: list[Decision] = []

    class Slow(Boxes):
        """The decision's time is over while the first slice is moved."""

        def run_groups(self, groups: Sequence[Sequence[Command]]) -> list[list[Rows | None]]:
            Decision.objects.filter(pk=decided[0].pk).update(state="expired", end_reason="ttl")
            return super().run_groups(groups)

    monkeypatch.setattr(moving, "Doveadm", Slow)
    monkeypatch.setattr(moving, "SLICE", 2)
    Boxes.lying = {}
    decided.append(decide("url", delivered(beaune, 6)))
    job = remediation.withdraw(decided[0].id)
    assert job is not None and remediation.restore(decided[0].id) is None
    job.refresh_from_db()
    assert (job.state, job.moved) == ("done", 2)
    assert OutboxEvent.objects.filter(kind="remediation:done").count() == 1


@pytest.mark.parametrize(
    ("kind", "rule", "days", "back"),
    [
        ("domain", "two_communes", 20, True),
        ("domain", "two_communes", 10, False),
        ("url", "two_communes", 20, False),
        ("ip", "two_boxes", 0, True),
        ("ip", "two_communes", 0, False),
    ],
    ids=[
        "before the attack",
        "of the attack",
        "the very page",
        "its mail was reported by nobody",
        "the sending host",
    ],
)
def test_time_gives_back_what_nobody_called_an_attack(
    monkeypatch: pytest.MonkeyPatch,
    beaune: Commune,
    system: Actor,
    *,
    kind: str,
    rule: str,
    days: int,
    back: bool,
) -> None:
    """A supplier whose site was taken over for a day: the mails of years that link to it are no lures."""
    monkeypatch.setattr(moving, "Doveadm", Boxes)
    Boxes.lying = {}
    url = delivered(beaune, 2)
    message = MailDelivery.objects.values_list("message_id", flat=True)[0]
    MailObservation.objects.create(message_id=message, kind="domain", value="a.example.com", role="link")
    MailDelivery.objects.update(delivered_at=clock.now() - timedelta(days=days))
    where = dict(Boxes.lying)
    decision = decide(kind, {"url": url, "domain": "a.example.com", "ip": "185.203.116.9"}[kind])
    Decision.objects.update(rule=rule)
    remediation.withdraw(decision.id)
    assert Boxes.lying != where
    with clock.shifted(10 * 86400):
        assert decisions.expire_due() == 1
        remediation.restore(decision.id)
        assert (Boxes.lying == where) is back
        decision.refresh_from_db()
        decisions.revoke(actor=system, decision=decision, reason="undone")
        remediation.restore(decision.id)
        assert Boxes.lying == where


def test_what_another_decision_claims_stays_when_the_time_of_both_is_over(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune, system: Actor
) -> None:
    """The page is the lure's, whenever it came; the name is its owner's again. Whichever ends first."""
    for first in ("url", "domain"):
        Boxes.lying = {}
        monkeypatch.setattr(moving, "Doveadm", Boxes)
        url = delivered(beaune, 2)
        message = MailObservation.objects.get(value=url).message_id
        name = f"{first}.example.com"
        MailObservation.objects.create(message_id=message, kind="domain", value=name, role="link")
        MailDelivery.objects.update(delivered_at=clock.now() - timedelta(days=20))
        where = dict(Boxes.lying)
        made = {"url": decide("url", url), "domain": decide("domain", name)}
        order = [made.pop(first), *made.values()]
        for one in order:
            remediation.withdraw(one.id)
        for one in order:
            Decision.objects.filter(pk=one.pk).update(state="expired", end_reason="ttl")
            remediation.restore(one.id)
        assert {one for lying in Boxes.lying.values() for one in lying} == {QUARANTINE}, first
        for one in order:
            one.refresh_from_db()
            decisions.revoke(actor=system, decision=one, reason="undone")
            remediation.restore(one.id)
        assert Boxes.lying == where, first


def test_what_was_asked_about_and_nobody_answered_claims_nothing(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune
) -> None:
    monkeypatch.setattr(moving, "Doveadm", Boxes)
    Boxes.lying = {}
    url = delivered(beaune, 2)
    message = MailObservation.objects.get(value=url).message_id
    MailObservation.objects.create(message_id=message, kind="domain", value="a.example.com", role="link")
    MailDelivery.objects.update(delivered_at=clock.now() - timedelta(days=20))
    where = dict(Boxes.lying)
    page, name = decide("url", url), decide("domain", "a.example.com")
    remediation.withdraw(page.id)
    remediation.withdraw(name.id)
    for one, state, why in (
        (page, "review", ""),
        (page, "expired", "nobody_decided"),
        (name, "expired", "ttl"),
    ):
        assert Boxes.lying != where
        Decision.objects.filter(pk=one.pk).update(state=state, end_reason=why)
        remediation.restore(one.id)
    assert Boxes.lying == where


def test_copies_whose_move_nobody_confirmed_are_listed_when_the_time_of_their_decision_is_over(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune
) -> None:
    """Dovecot moved them and did not answer any more, until after the four hours of an address."""

    class Silent(Boxes):
        def run_groups(self, groups: Sequence[Sequence[Command]]) -> list[list[Rows | None]]:
            super().run_groups(groups)
            raise DoveadmUnavailable("Dovecot")

    monkeypatch.setattr(moving, "Doveadm", Silent)
    Boxes.lying = {}
    decision = decide("url", delivered(beaune, 2))
    with pytest.raises(DoveadmUnavailable):
        remediation.withdraw(decision.id)
    monkeypatch.setattr(moving, "Doveadm", Boxes)
    with clock.shifted(10 * 86400):
        assert decisions.expire_due() == 1
        assert remediation.restore(decision.id) is None
    job = RemediationJob.objects.get(decision_id=decision.id)
    assert (job.state, job.moved, job.items.filter(state="moved").count()) == ("done", 2, 2)


def test_what_passed_by_an_exception_is_taken_when_it_turns_out_an_attack(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune, nuits: Commune
) -> None:
    monkeypatch.setattr(moving, "Doveadm", Boxes)
    monkeypatch.setattr(following, "Doveadm", Boxes)
    Boxes.lying = {}
    link = delivered(beaune, 3)
    decision = decide("url", link, communes=1)
    remediation.withdraw(decision.id)
    exceptions.allow_locally(
        actor=beaune.referent,
        collectivite_id=beaune.id,
        indicator=normalise("url", link),
        ttl_s=3600,
        reason="notre fournisseur",
    )
    released, message = next(iter(Boxes.lying)), MailObservation.objects.get(kind="url").message_id
    Boxes.lying[released] = ["INBOX"]
    late = Mailbox.objects.create(address="tard@beaune.test", collectivite_id=beaune.id, crypt_key="-")
    Boxes.lying[late.address] = ["INBOX"]
    MailDelivery.objects.create(
        message_id=message,
        mailbox_id=late.id,
        collectivite_id=beaune.id,
        folder="INBOX",
        delivered_at=clock.now(),
    )
    assert remediation.add_late([(message, late.id)]) == []
    decide("url", link, communes=2)
    for row in OutboxEvent.objects.filter(kind="exception:ended"):
        consumers.withdraw_what_passed(
            Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload), row.created_at)
        )
    assert {one for lying in Boxes.lying.values() for one in lying} == {QUARANTINE}
    job = RemediationJob.objects.get(direction="withdraw")
    assert (job.state, job.moved) == ("done", 4)
    Decision.objects.update(state="revoked")
    remediation.restore(decision.id)
    assert Boxes.lying[released] == Boxes.lying[late.address] == ["INBOX"]
    assert QUARANTINE not in {one for lying in Boxes.lying.values() for one in lying}


def test_copies_of_an_owner_are_no_second_delivery_in_quarantine_either(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune
) -> None:
    """A mail that came late, twice into the inbox, of which a filter made a copy; a decision takes all three."""
    monkeypatch.setattr(moving, "Doveadm", Boxes)
    monkeypatch.setattr(once, "Doveadm", Boxes)
    Boxes.lying = {}
    link = delivered(beaune, 3)
    copied = next(address for address, lying in Boxes.lying.items() if len(lying) == 2)
    Boxes.lying[copied] = ["INBOX", "INBOX", "Copies"]
    decision = decide("url", link)
    remediation.withdraw(decision.id)
    with clock.shifted(60):
        MailDelivery.objects.update(delivered_at=clock.now())
    assert once.look_at(list(MailDelivery.objects.values_list("message_id", "mailbox_id"))) == 1
    decision.__class__.objects.filter(pk=decision.pk).update(state="revoked")
    remediation.restore(decision.id)
    assert Boxes.lying[copied] == ["INBOX", "Copies"]


def test_copies_that_no_decision_could_withdraw_are_found_by_their_mailbox() -> None:
    """Without an index a mailbox that opens again read every copy ever withdrawn: 0.3 s of 100,000."""
    with CaptureQueriesContext(connection) as asked:
        assert remediation.missed("mbx_1") == []
    is_file = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        if not is_file:  # it reads a table of one page whole, unless it may not
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if is_file else ''}{asked.captured_queries[0]['sql']}")
        assert any("mail_remediation_missed" in str(row) for row in cursor.fetchall())


def test_what_a_closed_mailbox_could_not_be_given_back_comes_when_it_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune, system: Actor
) -> None:
    """Its person left, the block turned out a mistake, and the departure was undone."""
    closed: set[str] = set()

    class Closed(Boxes):
        def run(self, commands: Sequence[Command], *, at_once: int = 1) -> list[Rows | None]:
            return [None if one[1]["user"] in closed else self._do(*one) for one in commands]

    monkeypatch.setattr(moving, "Doveadm", Closed)
    monkeypatch.setattr(following, "Doveadm", Closed)
    Boxes.lying = {}
    decision = decide("url", delivered(beaune, 1))
    where, box = dict(Boxes.lying), Mailbox.objects.get(address__in=Boxes.lying)
    remediation.withdraw(decision.id)
    delivery = MailDelivery.objects.get()
    row = held.hold(
        mailbox=box,
        message_id=delivery.message_id,
        reason="decision",
        found=Heading("", "", ""),
        decision_id=decision.id,
    )
    closed.add(box.address)
    decisions.revoke(actor=system, decision=decision, reason="undone")
    job = remediation.restore(decision.id)
    assert job is not None and job.items.get().state == "failed"
    following.follow_job(job.id)
    row.refresh_from_db()
    assert row.state == "held"  # it lies in quarantine, and nowhere else
    closed.clear()
    remediation.open_again(box.id)
    remediation.resume()
    assert Boxes.lying == where
    following.follow_job(job.id)
    row.refresh_from_db()
    assert row.state == "returned"
