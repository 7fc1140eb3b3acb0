"""Functional mailboxes in the tables, without engines: who reads, who answers, who is told what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import Event
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail import contacts, outgoing, sendings
from beffroi.mail import queries as mail
from beffroi.mail.drafts import Place
from beffroi.mail.held import due, links
from beffroi.mail.models import Mailbox
from beffroi.mail.people import actions, consumers, handling, queries
from beffroi.mail.people.models import Handling, Note, SharedMailbox

from tests.conftest import Commune
from tests.fixtures_held import hold
from tests.fixtures_portal import own_mailbox, shared_box

pytestmark = pytest.mark.django_db
KEY = "a" * 64


def opened(actor: Actor) -> list[str]:
    return [one.address for one in mail.own_mailboxes(actor)]


def person(actor: Actor) -> Person:
    return Person.objects.get(pk=actor.id)


def test_a_member_reads_a_functional_mailbox_and_nobody_else_does(beaune: Commune, nuits: Commune) -> None:
    own = own_mailbox(beaune)
    box = shared_box(beaune)
    assert actions.add_member(actor=beaune.referent, mailbox=box, person=person(beaune.agent))
    assert not actions.add_member(actor=beaune.referent, mailbox=box, person=person(beaune.agent))
    assert opened(beaune.agent) == [own.address, box.address]  # one's own first
    for stranger in (beaune.colleague, beaune.referent, nuits.agent, nuits.referent):
        assert box.address not in opened(stranger)
    assert actions.remove_member(actor=beaune.referent, mailbox=box, person_id=beaune.agent.id)
    assert opened(beaune.agent) == [own.address]


def test_only_the_referent_of_the_same_collectivite_decides_who_reads(
    beaune: Commune, nuits: Commune
) -> None:
    box = shared_box(beaune, beaune.agent)
    for stranger in (beaune.agent, nuits.referent):
        with pytest.raises(NotFound):
            actions.add_member(actor=stranger, mailbox=box, person=person(beaune.colleague))
        with pytest.raises(NotFound):
            actions.remove_member(actor=stranger, mailbox=box, person_id=beaune.agent.id)
        with pytest.raises(NotFound):
            actions.rename(actor=stranger, mailbox=box, title="X")
    with pytest.raises(NotFound):
        actions.add_member(actor=beaune.referent, mailbox=box, person=person(nuits.agent))
    with pytest.raises(NotFound):  # a person's own mailbox has no members
        actions.add_member(
            actor=beaune.referent, mailbox=own_mailbox(beaune), person=person(beaune.colleague)
        )


@pytest.mark.parametrize("title", ["", " \n ", "x" * 101, "a\x00b"])
def test_a_title_that_cannot_be_shown_is_refused(beaune: Commune, title: str) -> None:
    with pytest.raises(Invalid):
        actions.create_shared(
            actor=beaune.referent,
            collectivite=beaune.collectivite,
            address="x@beaune.test",
            title=title,
        )
    assert not Mailbox.objects.exists()


def test_a_member_sends_in_its_name_until_taken_off_and_the_record_says_who(beaune: Commune) -> None:
    box = shared_box(beaune, beaune.agent, beaune.colleague)
    sending = sendings.schedule(
        actor=beaune.agent, mailbox=box, place=Place(1, 1), message_id="<a@beaune.test>", recipients=1
    )
    assert AuditEntry.objects.get(verb="mail:sending:scheduled").actor_id == beaune.agent.id
    assert (opened := outgoing._opened(sending)) and opened.mailbox == box
    # A colleague who opens the shared draft calls it back.
    assert sendings.cancel(actor=beaune.colleague, sending=sending)
    actions.remove_member(actor=beaune.referent, mailbox=box, person_id=beaune.agent.id)
    assert outgoing._opened(sending) is None


def test_held_mails_of_a_functional_mailbox_are_told_and_the_link_ends_with_its_readers(
    beaune: Commune,
) -> None:
    box = shared_box(beaune, beaune.agent)
    hold(box)
    monday = clock.now().replace(year=2026, month=11, day=23, hour=20)
    assert [one.mailbox for one in due.due(monday)] == [box]
    link = links.make(box)
    assert links.read(link) == box
    actions.add_member(actor=beaune.referent, mailbox=box, person=person(beaune.colleague))
    with pytest.raises(NotFound):
        links.read(link)
    for one in (beaune.agent, beaune.colleague):
        actions.remove_member(actor=beaune.referent, mailbox=box, person_id=one.id)
    assert not list(due.due(monday))
    with pytest.raises(NotFound):
        links.read(links.make(box))


def test_a_functional_mailbox_is_completed_by_its_name(
    beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    own, box = own_mailbox(beaune), shared_box(beaune)
    shared_box(nuits)
    monkeypatch.setattr(contacts, "_written_to", lambda *_: [])
    assert contacts.suggestions(settings.BEFFROI, beaune.agent, own) == [("Mairie", box.address)]


def test_a_mail_is_given_to_a_member_and_taken_back(beaune: Commune, nuits: Commune) -> None:
    box = shared_box(beaune, beaune.agent, beaune.colleague)
    before = handling.assign(actor=beaune.agent, mailbox=box, key=KEY, person_id=beaune.colleague.id)
    assert before == ""
    found = queries.marks(beaune.colleague, box, [KEY])[KEY]
    assert (found.assigned_name, found.assigned_by) == ("collegue", "agent")
    assert handling.assign(actor=beaune.agent, mailbox=box, key=KEY, person_id=before) == beaune.colleague.id
    assert queries.marks(beaune.agent, box, [KEY])[KEY].assigned_to == ""
    with pytest.raises(Invalid):  # no member
        handling.assign(actor=beaune.agent, mailbox=box, key=KEY, person_id=beaune.referent.id)
    with pytest.raises(Invalid):
        handling.assign(actor=beaune.agent, mailbox=box, key="", person_id="")
    for stranger in (beaune.referent, nuits.agent):
        with pytest.raises(NotFound):
            handling.assign(actor=stranger, mailbox=box, key=KEY, person_id="")
        with pytest.raises(NotFound):
            queries.marks(stranger, box, [KEY])


def test_somebody_answers_for_the_others_only_and_it_ends_by_itself(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = shared_box(beaune, beaune.agent, beaune.colleague)
    handling.answering(actor=beaune.agent, mailbox=box, key=KEY)
    assert queries.marks(beaune.colleague, box, [KEY])[KEY].answering == "agent"
    assert queries.marks(beaune.agent, box, [KEY])[KEY].answering == ""
    handling.stop_answering(actor=beaune.colleague, mailbox=box, key=KEY)  # not theirs to end
    assert queries.marks(beaune.colleague, box, [KEY])[KEY].answering == "agent"
    Handling.objects.update(answering_until=clock.now() - timedelta(seconds=1))
    assert queries.marks(beaune.colleague, box, [KEY])[KEY].answering == ""
    handling.answering(actor=beaune.agent, mailbox=box, key=KEY)
    handling.stop_answering(actor=beaune.agent, mailbox=box, key=KEY)
    assert queries.marks(beaune.colleague, box, [KEY])[KEY].answering == ""


def test_a_note_is_its_authors_and_its_text_is_not_in_the_audit_log(beaune: Commune) -> None:
    box = shared_box(beaune, beaune.agent, beaune.colleague)
    note = handling.add_note(actor=beaune.agent, mailbox=box, key=KEY, text=" vu avec la trésorerie ")
    assert note.text == "vu avec la trésorerie"
    with pytest.raises(NotFound):
        handling.remove_note(actor=beaune.colleague, mailbox=box, note_id=note.id)
    handling.remove_note(actor=beaune.agent, mailbox=box, note_id=note.id)
    assert KEY not in queries.marks(beaune.colleague, box, [KEY])
    handling.remove_note(actor=beaune.agent, mailbox=box, note_id=note.id, back=True)
    assert [one.text for one in queries.marks(beaune.colleague, box, [KEY])[KEY].notes] == [note.text]
    assert not any("trésorerie" in one.details for one in AuditEntry.objects.all())
    for text in ("", "  ", "x" * 501, "a\x00b"):
        with pytest.raises(Invalid):
            handling.add_note(actor=beaune.agent, mailbox=box, key=KEY, text=text)
    with pytest.raises(NotFound):  # beside a person's own mail there is nothing
        handling.add_note(actor=beaune.agent, mailbox=own_mailbox(beaune), key=KEY, text="x")
    assert Note.objects.count() == 1


def test_whoever_leaves_in_another_way_is_taken_off_too(beaune: Commune) -> None:
    box = shared_box(beaune, beaune.agent)
    identity.end_access(actor=beaune.referent, membership=beaune.agent_membership)
    assert queries.members(box.id) != []
    payload = {"membership_id": beaune.agent_membership.id, "person_id": beaune.agent.id}
    consumers.end_members(Event(1, "identity:access_ended", beaune.id, payload, clock.now()))
    assert queries.members(box.id) == []


def test_a_functional_mailbox_closes_and_opens_again(beaune: Commune) -> None:
    from beffroi.mail import actions as mailboxes

    box = shared_box(beaune, beaune.agent)
    assert mailboxes.close_mailbox(actor=beaune.referent, mailbox=box)
    assert opened(beaune.agent) == [] and queries.closed_shared(beaune.referent, beaune.id) == [box]
    assert queries.closed_shared(beaune.agent, beaune.id) == []
    with pytest.raises(NotFound):
        mailboxes.reopen_mailbox(actor=beaune.agent, mailbox=box)
    assert mailboxes.reopen_mailbox(actor=beaune.referent, mailbox=box)
    assert not mailboxes.reopen_mailbox(actor=beaune.referent, mailbox=box)
    assert opened(beaune.agent) == [box.address]
    assert SharedMailbox.objects.filter(pk=box.pk).exists()
