"""No password of an old mailbox outlives what it was given for: its person leaves, is erased, or goes on no more."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from beffroi.core.audit.models import AuditPersonal
from beffroi.core.events import Event
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity import erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.core.retention import actions as purge
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail import actions as mail
from beffroi.mail.importing import actions, consumers
from beffroi.mail.importing.models import ImportJob, MovedPlace
from beffroi.mail.importing.source import Where
from beffroi.mail.models import Mailbox
from beffroi.mail.people import actions as people

from tests.conftest import Commune
from tests.fixtures_portal import own_mailbox, shared_box
from tests.fixtures_projections import engines

__all__ = ["engines"]

pytestmark = pytest.mark.django_db
State = ImportJob.State
OLD = Where("imap.orange.fr", 993, "implicit", "claire.martin@orange.fr", "mot-de-passe-ancien")


def imported(commune: Commune, mailbox: Mailbox, state: str) -> ImportJob:
    job = actions.begin(actor=commune.agent, mailbox=mailbox, where=OLD)
    ImportJob.objects.filter(pk=job.pk).update(state=state)
    return job


def stands(job: ImportJob) -> tuple[str, bool]:
    job.refresh_from_db()
    return job.state, bool(job.password)


@pytest.mark.parametrize("state", [State.READY, State.PAUSED, State.COLLECTING])
def test_who_leaves_takes_the_password_of_the_old_mailbox_along(
    beaune: Commune, system: Actor, state: str
) -> None:
    own = imported(beaune, own_mailbox(beaune), state)
    shared = shared_box(beaune)
    people.add_member(actor=beaune.referent, mailbox=shared, person=beaune.agent_membership.person)
    of_all = imported(beaune, shared, state)
    identity.end_access(actor=system, membership=beaune.agent_membership)
    run_pending("main")
    assert stands(own) == (State.CANCELLED, False)
    assert stands(of_all) == (State.PAUSED, False), "another member goes on, with the password"


@pytest.mark.parametrize("state", [State.LISTING, State.READY, State.RUNNING, State.PAUSED, State.COLLECTING])
def test_who_reads_a_functional_mailbox_no_more_brings_nothing_into_it_until_a_member_gives_the_password(
    beaune: Commune, state: str
) -> None:
    shared = shared_box(beaune)
    for one in (beaune.agent_membership, beaune.colleague_membership):
        people.add_member(actor=beaune.referent, mailbox=shared, person=one.person)
    job = imported(beaune, shared, state)
    of_colleague = actions.begin(actor=beaune.colleague, mailbox=shared, where=OLD)
    archive = actions.begin_archive(mailbox=shared, name="ancienne.mbox", account="root")
    people.remove_member(actor=beaune.referent, mailbox=shared, person_id=beaune.agent.id)
    run_pending("main")
    assert stands(job) == (State.PAUSED, False)
    assert job.error == "mail.import_asker_gone"
    assert stands(of_colleague) == (State.LISTING, True) and stands(archive)[0] == State.RUNNING
    with pytest.raises(Invalid):
        actions.resume(actor=beaune.colleague, job=job)
    with pytest.raises(NotFound):
        actions.resume(actor=beaune.agent, job=job, password="mot-de-passe-ancien")
    actions.resume(actor=beaune.colleague, job=job, password="mot-de-passe-ancien")
    assert stands(job) == (State.LISTING, True)
    people.add_member(actor=beaune.referent, mailbox=shared, person=beaune.agent_membership.person)
    people.remove_member(actor=beaune.referent, mailbox=shared, person_id=beaune.agent.id)
    run_pending("main")
    assert stands(job) == (State.LISTING, True), "it is the colleague's password now"


@pytest.mark.parametrize("state", [State.READY, State.PAUSED])
def test_a_closed_mailbox_has_no_import_and_one_that_was_opened_again_keeps_its_new_one(
    beaune: Commune, system: Actor, state: str
) -> None:
    mailbox = own_mailbox(beaune)
    before = imported(beaune, mailbox, state)
    mail.close_mailbox(actor=system, mailbox=mailbox)
    row = OutboxEvent.objects.get(kind="mail:mailbox_closed")
    closed = Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload), row.created_at)
    consumers.end_imports(closed)
    assert stands(before) == (State.CANCELLED, False)
    mail.reopen_mailbox(actor=system, mailbox=mailbox)
    after = imported(beaune, mailbox, state)
    consumers.end_imports(closed)  # a worker that was behind
    assert stands(after) == (state, True)


@pytest.mark.usefixtures("engines")
def test_what_an_erased_person_brought_is_forgotten_with_their_old_address(beaune: Commune) -> None:
    mailbox = own_mailbox(beaune)
    imported(beaune, mailbox, State.DONE)
    actions.tick(actor=beaune.agent, mailbox=mailbox, key="chorus_pro", done=True)
    assert "claire.martin" in str(list(AuditPersonal.objects.values_list("content", flat=True)))
    erasure.erase(Person.objects.get(pk=beaune.agent.id))
    run_pending("main")
    assert not (ImportJob.objects.exists() or MovedPlace.objects.exists())
    assert "claire.martin" not in str(list(AuditPersonal.objects.values_list("content", flat=True)))


@pytest.mark.parametrize("state", [State.READY, State.PAUSED])
def test_an_import_that_nobody_goes_on_with_forgets_the_password_after_its_term(
    beaune: Commune, state: str
) -> None:
    job = imported(beaune, own_mailbox(beaune), state)
    for days, after in ((29, (state, True)), (31, (State.CANCELLED, False))):
        with clock.shifted(days * 86400):
            assert purge.go_on(purge.begin(clock_confirmed_by="root"))
        assert stands(job) == after, days
    assert job.done_at is not None and job.done_at > clock.now() + timedelta(days=30)


def test_an_archive_whose_command_died_is_over_as_well(beaune: Commune) -> None:
    job = actions.begin_archive(mailbox=own_mailbox(beaune), name="ancienne.mbox", account="root")
    with clock.shifted(31 * 86400):
        assert purge.go_on(purge.begin(clock_confirmed_by="root"))
    assert stands(job) == (State.CANCELLED, False)
