"""A membership that ends while another one is given or ends: an account is open as long as it has one, not longer.
What a session let in while it is ended gets nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from beffroi.core.identity import actions, administrators, login_flows, offers
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.core.identity.models import (
    Administrator,
    AppPassword,
    LoginFlow,
    Membership,
    MembershipOffer,
    Person,
)
from beffroi.lib.errors import BeffroiError, Conflict, NotFound
from django.db import DatabaseError, connection, transaction

from tests.conftest import PASSWORD, Commune
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.usefixtures("committed")
SYSTEM = Actor.system("tests")


def at_once(
    first: Callable[[], object], second: Callable[[], object], *, then: Callable[[], object] = bool
) -> list[Exception]:
    """``second`` begins when ``first`` has done all but its commit, and what it does ``then``; return what it raised.

    On PostgreSQL that is when it waits for the first one's lock; SQLite lets nobody else begin to write.
    """
    raised: list[Exception] = []

    def run() -> None:
        try:
            second()
        except (BeffroiError, DatabaseError) as problem:
            raised.append(problem)
        finally:
            connection.close()

    other = threading.Thread(target=run)
    with transaction.atomic():
        first()
        other.start()
        until = time.monotonic() + PATIENCE_S
        while connection.vendor == "postgresql" and other.is_alive() and not _somebody_waits():
            assert time.monotonic() < until
            time.sleep(0.02)
        then()
    other.join(PATIENCE_S)
    assert not other.is_alive()
    return raised


def _somebody_waits() -> bool:
    """For what this transaction holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        )
        return cursor.fetchone() is not None


def ask(beaune: Commune) -> MembershipOffer:
    return offers.make(
        actor=beaune.referent, collectivite=beaune.collectivite, email="agent@nuits.test", role="agent"
    )


def standing(person_id: str) -> tuple[bool, int]:
    """Whether the account is open, and how many memberships it has."""
    current = Membership.objects.filter(person_id=person_id, until=None)
    return Person.objects.get(pk=person_id).is_active, current.count()


def test_who_joined_a_moment_ago_keeps_the_account(beaune: Commune, nuits: Commune) -> None:
    offer = ask(beaune)
    raised = at_once(
        lambda: offers.answer(actor=nuits.agent, offer_id=offer.pk, accept=True),
        lambda: actions.end_access(actor=SYSTEM, membership=nuits.agent_membership),
    )
    assert raised == [] and standing(nuits.agent.id) == (True, 1)


def test_a_closed_account_joins_nowhere(beaune: Commune, nuits: Commune) -> None:
    offer = ask(beaune)
    raised = at_once(
        lambda: actions.end_access(actor=SYSTEM, membership=nuits.agent_membership),
        lambda: offers.answer(actor=nuits.agent, offer_id=offer.pk, accept=True),
    )
    assert [type(one) for one in raised] == [NotFound] and standing(nuits.agent.id) == (False, 0)
    offer.refresh_from_db()
    assert offer.accepted_at is None


def test_the_last_two_end_together(beaune: Commune, nuits: Commune) -> None:
    person = Person.objects.get(pk=nuits.agent.id)
    also = actions.add_membership(actor=SYSTEM, person=person, collectivite=beaune.collectivite, role="agent")
    raised = at_once(
        lambda: actions.end_access(actor=SYSTEM, membership=nuits.agent_membership),
        lambda: actions.end_access(actor=SYSTEM, membership=also),
    )
    assert raised == [] and standing(nuits.agent.id) == (False, 0)


def test_an_access_that_is_given_back_opens_the_account_again(beaune: Commune, nuits: Commune) -> None:
    """The account's row and the lock of those who publish are taken in one order."""
    person = Person.objects.get(pk=nuits.agent.id)
    also = actions.add_membership(actor=SYSTEM, person=person, collectivite=beaune.collectivite, role="agent")
    actions.end_access(actor=SYSTEM, membership=also)
    also.refresh_from_db()
    assert also.until is not None
    ended_at = also.until
    raised = at_once(
        lambda: actions.end_access(actor=SYSTEM, membership=nuits.agent_membership),
        lambda: actions.restore_access(
            actor=SYSTEM, person=person, collectivite=beaune.collectivite, roles=["agent"], ended_at=ended_at
        ),
    )
    assert raised == [] and standing(nuits.agent.id) == (True, 1)


def test_two_administrators_who_end_one_another_leave_one(new_administrator: NewAdministrator) -> None:
    first = new_administrator.record
    second = administrators.create_administrator(
        actor=SYSTEM, email="b@cotedor.test", name="Blaise", password=PASSWORD
    ).record
    raised = at_once(
        lambda: administrators.end_administrator_access(actor=SYSTEM, administrator=first),
        lambda: administrators.end_administrator_access(actor=SYSTEM, administrator=second),
    )
    assert [type(one) for one in raised] == [Conflict]
    assert [one.pk for one in Administrator.objects.filter(is_active=True)] == [second.pk]


def test_a_program_that_asks_while_the_sessions_end_gets_nothing(beaune: Commune) -> None:
    begun = login_flows.begin(program="x", address="192.0.2.1")
    asked = login_flows.find(begun.page_secret)
    login_flows.grant(actor=beaune.agent, asked=asked, membership=beaune.agent_membership)
    person = Person.objects.get(pk=beaune.agent.id)
    raised = at_once(
        lambda: actions.end_sessions(actor=beaune.agent, person=person),
        lambda: login_flows.poll(begun.poll_secret),
    )
    assert [type(one) for one in raised] == [NotFound] and not AppPassword.objects.exists()


def test_of_two_answers_at_once_to_a_program_one_counts(beaune: Commune) -> None:
    asked = login_flows.find(login_flows.begin(program="x", address="192.0.2.1").page_secret)
    raised = at_once(
        lambda: login_flows.grant(actor=beaune.agent, asked=asked, membership=beaune.agent_membership),
        lambda: login_flows.refuse(actor=beaune.agent, asked=asked),
    )
    assert [type(one) for one in raised] == [NotFound] and LoginFlow.objects.count() == 1
