"""A mailbox that is lent for a period, in the tables: who may, how long, what it opens, when it ends."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import Event
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import access, outgoing, sendings
from beffroi.mail import queries as mail
from beffroi.mail.access import Right
from beffroi.mail.drafts import Place
from beffroi.mail.filters.errors import SettingRefused
from beffroi.mail.models import Mailbox
from beffroi.mail.people import consumers, delegations, leaving, retention
from beffroi.mail.people.models import DelegatedAct, Delegation

from tests.conftest import Commune
from tests.fixtures_portal import own_mailbox, shared_box

pytestmark = pytest.mark.django_db
KEY = "a" * 64


def today() -> date:
    return clock.now().astimezone(PLACE).date()


def lend(commune: Commune, box: Mailbox, **more: Any) -> Delegation:
    asked: dict[str, Any] = {
        "actor": commune.agent,
        "person_id": commune.colleague.id,
        "right": "answer",
        "first": today(),
        "last": today() + timedelta(days=9),
    } | more
    return delegations.give(mailbox=box, **asked)


def opens(actor: Actor, box: Mailbox, right: Right = Right.READ) -> bool:
    try:
        return access.access(actor, box.id, right).mailbox == box
    except NotFound:
        return False


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: moment)


def test_a_colleague_opens_it_from_the_first_to_the_last_day_and_not_a_second_longer(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = own_mailbox(beaune)
    first, last = today() + timedelta(days=2), today() + timedelta(days=4)
    row = lend(beaune, box, first=first, last=last)
    assert not opens(beaune.colleague, box)
    for moment, expected in (
        (row.begins_at - timedelta(seconds=1), False),
        (row.begins_at, True),
        (row.ends_at - timedelta(seconds=1), True),
        (row.ends_at, False),
    ):
        at(monkeypatch, moment)
        assert opens(beaune.colleague, box) is expected
        assert (box in access.openable(beaune.colleague)) is expected
    assert row.begins_at.astimezone(PLACE).date() == first
    assert (row.ends_at - timedelta(seconds=1)).astimezone(PLACE).date() == last


def test_a_right_opens_no_more_than_it_says(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box, right="read")
    assert opens(beaune.colleague, box) and not opens(beaune.colleague, box, Right.ANSWER)
    delegations.end(actor=beaune.agent, delegation=row)
    lend(beaune, box)
    assert opens(beaune.colleague, box, Right.ANSWER) and not opens(beaune.colleague, box, Right.OWN)
    # What asks for no right is the owner's: settings, forwards, filters, held mail, import, telephones.
    with pytest.raises(NotFound):
        mail.access_mailbox(beaune.colleague, box.id)
    assert box not in mail.own_mailboxes(beaune.colleague)
    assert box not in mail.personal_mailboxes(beaune.colleague)
    assert opens(beaune.agent, box, Right.OWN)


def test_only_the_owner_or_the_referent_with_a_reason_lends(beaune: Commune, nuits: Commune) -> None:
    box = own_mailbox(beaune)
    for stranger in (
        beaune.colleague,
        nuits.agent,
        nuits.referent,
        Actor.system("x"),
        Actor("administrator", "adm_x"),
    ):
        with pytest.raises(NotFound):
            lend(beaune, box, actor=stranger, reason="x")
    with pytest.raises(SettingRefused, match="reason"):
        lend(beaune, box, actor=beaune.referent, reason="  ")
    with pytest.raises(SettingRefused, match="person"):  # who lends in the owner's stead is not who reads
        lend(beaune, box, actor=beaune.referent, reason="x", person_id=beaune.referent.id)
    for nobody in (beaune.agent.id, nuits.agent.id, "per_unknown", ""):
        with pytest.raises(SettingRefused, match="person"):
            lend(beaune, box, person_id=nobody)
    row = lend(beaune, box, actor=beaune.referent, reason="absence imprévue")
    assert (row.by, row.reason, row.seen_at) == (beaune.referent.id, "absence imprévue", None)
    assert delegations.unseen(beaune.agent) == [row]
    assert delegations.end(actor=beaune.agent, delegation=row)  # at once
    assert not opens(beaune.colleague, box)
    verbs = AuditEntry.objects.filter(verb__startswith="mail:delegation").order_by("id")
    assert list(verbs.values_list("verb", "actor_id")) == [
        ("mail:delegation:given", beaune.referent.id),
        ("mail:delegation:ended", beaune.agent.id),
    ]


def test_a_delegate_passes_nothing_on_and_a_functional_mailbox_is_not_lent(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    lend(beaune, box)
    with pytest.raises(NotFound):
        lend(beaune, box, actor=beaune.colleague, person_id=beaune.referent.id)
    shared = shared_box(beaune, beaune.agent)
    for one in (beaune.agent, beaune.referent):
        with pytest.raises(NotFound):
            lend(beaune, shared, actor=one, reason="x")
    assert shared not in delegations.lendable(beaune.agent)


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        (0, -1, "last"),
        (3, 2, "last"),
        (0, 90, "last"),
        (10, 100, "last"),
        (-5, -1, "last"),
        (181, 182, "first"),
    ],
)
def test_a_period_that_is_over_reversed_or_too_long_is_refused(
    beaune: Commune, first: int, last: int, field: str
) -> None:
    box = own_mailbox(beaune)
    with pytest.raises(SettingRefused) as refused:
        lend(beaune, box, first=today() + timedelta(days=first), last=today() + timedelta(days=last))
    assert refused.value.field_name == field
    lend(beaune, box, last=today() + timedelta(days=89))


def test_two_delegations_of_one_colleague_do_not_overlap(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    lend(beaune, box)
    with pytest.raises(Conflict):
        lend(beaune, box, right="read", first=today() + timedelta(days=9), last=today() + timedelta(days=20))
    lend(beaune, box, first=today() + timedelta(days=10), last=today() + timedelta(days=20))
    lend(beaune, box, person_id=beaune.referent.id)  # another colleague may have it too


def test_the_departure_of_either_ends_it(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    successors: dict[str, str] = {}
    leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.colleague_membership.person,
        successors=successors,
    )
    row.refresh_from_db()
    assert row.ended_at is not None and not opens(beaune.colleague, box)
    other = lend(beaune, box, person_id=beaune.referent.id)
    assert opens(beaune.referent, box)
    leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.agent_membership.person,
        successors=successors,
    )
    other.refresh_from_db()
    assert other.ended_at is not None and not opens(beaune.referent, box)


def test_it_ends_with_the_access_in_whichever_way_that_ends(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    membership = beaune.colleague_membership
    identity.end_access(actor=beaune.referent, membership=membership)
    event = Event(1, "identity:access_ended", beaune.id, {"membership_id": membership.id}, clock.now())
    consumers.end_members(event)
    row.refresh_from_db()
    assert row.ended_at is not None


def test_a_closed_mailbox_or_one_with_another_owner_is_open_to_no_delegate(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    lend(beaune, box)
    Mailbox.objects.update(closed_at=clock.now())
    assert not opens(beaune.colleague, box)
    Mailbox.objects.update(closed_at=None, person_id=beaune.referent.id)
    assert not opens(beaune.colleague, box)


def test_what_was_written_in_the_owners_name_leaves_only_while_the_right_lasts(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    sending = sendings.schedule(
        actor=beaune.colleague, mailbox=box, place=Place(1, 1), message_id="<a@beaune.test>", recipients=1
    )
    entry = AuditEntry.objects.get(verb="mail:sending:scheduled")
    assert entry.actor_id == beaune.colleague.id and row.id in entry.details
    assert outgoing._opened(sending) is not None
    # The owner's own is not the delegate's to call back, nor to see; the delegate's is the owner's.
    own = sendings.schedule(
        actor=beaune.agent, mailbox=box, place=Place(1, 2), message_id="<b@beaune.test>", recipients=1
    )
    with pytest.raises(NotFound):
        sendings.cancel(actor=beaune.colleague, sending=own)
    sendings.call_back(actor=beaune.colleague, mailbox=box, place=Place(1, 2))
    own.refresh_from_db()
    assert own.state == "waiting"
    assert sendings.access_sending(beaune.agent, box.id, sending.id) == sending
    delegations.end(actor=beaune.agent, delegation=row)
    assert outgoing._opened(sending) is None
    lend(beaune, box, right="read")
    assert outgoing._opened(sending) is None
    with pytest.raises(NotFound):
        sendings.schedule(
            actor=beaune.colleague, mailbox=box, place=Place(1, 3), message_id="<c@beaune.test>", recipients=1
        )


def test_what_was_done_is_counted_once_a_day_and_says_nothing_of_the_mail(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    for key in (KEY, KEY, "b" * 64):
        delegations.note(actor=beaune.colleague, delegation=row, what="read", message_key=key)
    delegations.note(actor=beaune.colleague, delegation=row, what="sent", message_key=KEY)
    assert delegations.days([row]) == {row.id: [delegations.Day(today(), 2, 1)]}
    assert AuditEntry.objects.filter(verb="mail:delegation:read", actor_id=beaune.colleague.id).count() == 2
    # What was done goes first, then the delegation itself.
    later = clock.now() + timedelta(days=4000)
    assert retention.delegated_acts(later).count() == 3 and not retention.delegations(later).exists()
    DelegatedAct.objects.all().delete()
    assert retention.delegations(later).exists() and not retention.delegations(clock.now()).exists()
