"""One order of locks: that of those who publish, then rows. A departure has published when it comes to most rows that
it ends: whoever changes such a row and publishes afterwards would wait for it, and it for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from beffroi.core.events import outbox
from beffroi.core.identity import actions, activation, erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, Person
from beffroi.lib import clock
from beffroi.mail import actions as mail
from beffroi.mail.filters import actions as filters
from beffroi.mail.filters.models import Forward
from beffroi.mail.models import Mailbox
from beffroi.mail.people import actions as shared
from beffroi.mail.people import arriving, delegations, leaving
from beffroi.mail.people.models import Delegation
from beffroi.mail.scripts import actions as scripts
from beffroi.mail.scripts.models import PersonalScript
from django.db import DatabaseError

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import own_mailbox, shared_box
from tests.integration.test_identity_at_once import at_once

pytestmark = pytest.mark.usefixtures("committed")
ADMINISTRATOR = Actor("administrator", "adm_1", None, "administrator")


@dataclass
class Account:
    """Somebody who uses everything that a departure ends."""

    commune: Commune
    person: Person
    mailbox: Mailbox
    common: Mailbox
    app_password: AppPassword
    lent: Delegation
    forward: Forward

    def lend(self, to: Actor) -> Delegation:
        return lend(self.commune, self.mailbox, to)


def lend(commune: Commune, mailbox: Mailbox, to: Actor) -> Delegation:
    day = clock.now().astimezone(clock.PLACE).date()
    return delegations.give(
        actor=commune.agent, mailbox=mailbox, person_id=to.id, right="read", first=day, last=day
    )


@pytest.fixture
def account(beaune: Commune) -> Account:
    actor, mailbox = beaune.agent, own_mailbox(beaune)
    app_password = actions.issue_app_password(
        actor=actor, membership=beaune.agent_membership, protocol_set="imap"
    )
    of_it = {"mailbox_id": mailbox.id, "collectivite_id": beaune.id, "person_id": actor.id}
    PersonalScript.objects.create(**of_it, name="a", text="keep;", is_active=True)
    common = shared_box(beaune, actor)
    return Account(
        beaune,
        Person.objects.get(pk=actor.id),
        mailbox,
        common,
        app_password.record,
        lend(beaune, mailbox, beaune.colleague),
        filters.set_forward(actor=actor, mailbox=mailbox, target=common.address),
    )


def knots(first: Callable[[], object], second: Callable[[], object]) -> list[Exception]:
    """``first`` has published, and changes its rows once ``second`` waits. Return what the database refused."""
    raised = at_once(outbox.serialise, second, then=first)
    return [one for one in raised if isinstance(one, DatabaseError)]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(act, id=name)
        for name, act in {
            "role": lambda one: actions.change_role(
                actor=one.commune.referent, membership=one.commune.agent_membership, role="elu"
            ),
            "app-password": lambda one: actions.revoke_app_password(
                actor=one.commune.agent, app_password=one.app_password
            ),
            "password": lambda one: actions.set_password(
                actor=one.commune.agent, person=one.person, password=PASSWORD[::-1]
            ),
            "password-given": lambda one: actions.give_password(
                actor=ADMINISTRATOR, person=one.person, reason="vue"
            ),
            "sessions": lambda one: actions.end_sessions(actor=one.commune.agent, person=one.person),
            "member": lambda one: shared.remove_member(
                actor=one.commune.referent, mailbox=one.common, person_id=one.person.pk
            ),
            "lend": lambda one: one.lend(one.commune.referent),
            "lent": lambda one: delegations.end(actor=one.commune.agent, delegation=one.lent),
            "forward": lambda one: filters.end_forward(actor=one.commune.agent, row=one.forward),
            "forward-renewed": lambda one: filters.renew_forward(
                actor=one.commune.agent, mailbox=one.mailbox
            ),
            "forward-set": lambda one: filters.set_forward(
                actor=one.commune.agent, mailbox=one.mailbox, target=f"a@{one.commune.domain}"
            ),
            "script": lambda one: scripts.activate(actor=one.commune.agent, mailbox=one.mailbox, row=None),
            "mailbox": lambda one: mail.close_mailbox(actor=one.commune.referent, mailbox=one.mailbox),
            "erased": lambda one: erasure.carry_out(one.person.pk),
        }.items()
    ],
)
def test_a_departure_and_what_its_person_does_meanwhile(
    account: Account, act: Callable[[Account], object]
) -> None:
    beaune, person = account.commune, account.person

    def depart() -> None:
        leaving.depart(actor=beaune.referent, collectivite=beaune.collectivite, person=person, successors={})

    assert knots(depart, lambda: act(account)) == []
    person.refresh_from_db()
    assert not person.is_active


@pytest.mark.parametrize("act", ["sheet", "cancel", "opened"])
def test_a_departure_and_the_sheet_of_who_has_not_come(beaune: Commune, act: str) -> None:
    made = arriving.arrive(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        name="Zoé Petit",
        role="agent",
        local="zoe.petit",
        domain=beaune.domain,
    )
    acts: dict[str, Callable[[], object]] = {
        "sheet": lambda: activation.make(
            actor=beaune.referent, collectivite_id=beaune.id, person_id=made.person.pk
        ),
        "cancel": lambda: arriving.cancel(
            actor=beaune.referent, collectivite=beaune.collectivite, person_id=made.person.pk
        ),
        "opened": lambda: activation.open_account(made.sheet.record, password=PASSWORD[::-1]),
    }

    def depart() -> None:
        leaving.depart(
            actor=beaune.referent, collectivite=beaune.collectivite, person=made.person, successors={}
        )

    assert knots(depart, acts[act]) == []
    made.person.refresh_from_db()
    assert not made.person.is_active
