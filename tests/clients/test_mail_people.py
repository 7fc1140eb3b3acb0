"""Functional mailboxes and departures before real engines: who opens what, who sends as whom, what a kick ends."""

from __future__ import annotations

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity import activation
from beffroi.core.identity.models import Person
from beffroi.mail import doveadm, reader, submission
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, Sending
from beffroi.mail.people import actions, arriving, leaving, queries
from django.test import Client
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from tests.certificates import unverified
from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, lure, needs_engines
from tests.submitting import leave_now, secret_of
from tests.waiting import PATIENCE_S, until

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def functional(beaune: Commune, *members: Person, local: str) -> Mailbox:
    box = actions.create_shared(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        address=f"{local}@{beaune.domain}",
        title="Mairie de Beaune",
    )
    for one in members:
        actions.add_member(actor=beaune.referent, mailbox=box, person=one)
    run_pending("main")
    return box


def sign_in(post: Post, box: Mailbox, secret: str) -> IMAPClient:
    client = IMAPClient(
        "127.0.0.1", post.config.imaps_port, ssl=True, ssl_context=unverified(), timeout=PATIENCE_S
    )
    client.login(box.address, secret)
    return client


def write(client: Client, box: Mailbox, to: str) -> Sending:
    form = {
        "what": "send",
        "to": to,
        "subject": "Permanence",
        "text": "De 9 h à 12 h.",
        "tab": "tab-of-a-test",
    }
    answer = client.post(f"/courrier/{box.id}/brouillon/", form, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.content
    return Sending.objects.latest("created_at")


def test_a_member_reads_and_answers_in_its_name_and_all_see_who_sent(
    post: Post, beaune: Commune, no_door: None
) -> None:
    agent, colleague = beaune.agent_membership, beaune.colleague_membership
    box = functional(beaune, agent.person, colleague.person, local="mairie")
    own = post.mailbox(beaune, beaune.agent, "lit")
    assert post.send(lure(box.address, "1").replace("Subject: ", "Subject: Demande "), box.address)[0] == 250
    post.wait_count(box, 1)
    client = portal_client(agent)
    sending = write(client, box, own.address)
    leave_now()
    post.wait_count(own, 1)
    with reader.open_mailbox(post.config, own.address) as opened:
        (received,) = opened.list()
    assert (received.from_address, received.from_name) == (box.address, "Mairie de Beaune")
    assert sending.person_id == agent.person_id
    with reader.open_mailbox(post.config, box.address) as opened:
        (sent,) = opened.list("Sent")
        assert queries.sent_by(box, sent) == "agent"
        (asked,) = opened.list()
    page = portal_client(colleague).get(f"/courrier/{box.id}/{sent.uid}/?dossier=Sent").content.decode()
    assert "Envoyé par agent" in page
    # Beside the mail: a key of its own, from the real headers.
    path = f"/courrier/{box.id}/{asked.uid}/suivi/"
    client.post(path, {"what": "assign", "person": colleague.person_id})
    assert "Pour collegue" in client.get(f"/courrier/{box.id}/").content.decode()
    # A detail after + leads to the same mailbox.
    detailed = box.address.replace("@", "+cantine@")
    assert post.send(lure(detailed, "5"), detailed)[0] == 250
    post.wait_count(box, 2)


def test_a_member_taken_off_sends_nothing_that_still_waits(
    post: Post, beaune: Commune, no_door: None
) -> None:
    box = functional(beaune, beaune.agent_membership.person, local="etatcivil")
    own = post.mailbox(beaune, beaune.colleague, "attend")
    sending = write(portal_client(beaune.agent_membership), box, own.address)
    actions.remove_member(actor=beaune.referent, mailbox=box, person_id=beaune.agent.id)
    leave_now()
    sending.refresh_from_db()
    assert (sending.state, sending.reason) == ("refused", "closed")
    assert post.count(own) == 0 and post.count(box, "Drafts") == 1


def test_an_app_password_of_a_member_does_not_open_a_functional_mailbox(post: Post, beaune: Commune) -> None:
    box = functional(beaune, beaune.agent_membership.person, local="accueil")
    own = post.mailbox(beaune, beaune.agent, "ouvre")
    secret = secret_of(beaune)
    sign_in(post, own, secret).logout()
    with pytest.raises(LoginError):
        sign_in(post, box, secret)


def test_a_departure_ends_open_connections_and_is_confirmed_only_then(post: Post, beaune: Commune) -> None:
    own = post.mailbox(beaune, beaune.agent, "part")
    box = functional(beaune, beaune.agent_membership.person, local="urbanisme")
    secret = secret_of(beaune)
    assert post.send(lure(own.address, "2"), own.address)[0] == 250
    post.wait_count(own, 1)
    open_client = sign_in(post, own, secret)
    open_client.select_folder("INBOX")
    open_client.idle()
    engine = Doveadm(post.config)
    until(lambda: bool(engine.run([doveadm.who(own.address)])[0]), "the connection is listed")
    departure = leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.agent_membership.person,
        successors={box.id: beaune.colleague.id},
    )
    assert not leaving.confirm(departure)  # the engines have not heard of it
    departure.refresh_from_db()
    assert departure.waits_for == "projection"
    run_pending("main")
    until(lambda: leaving.confirm(departure), "the engines confirm the departure")
    assert engine.run([doveadm.who(own.address)]) == [[]]
    with pytest.raises((IMAPClientError, OSError)):
        open_client.idle_done()
        open_client.noop()
    with pytest.raises(LoginError):
        sign_in(post, own, secret)
    with pytest.raises(reader.MailboxUnavailable), reader.open_mailbox(post.config, own.address):
        pass
    assert post.send(lure(own.address, "3"), own.address)[0] == 550
    with pytest.raises(submission.Refused):
        submission.submit(post.config, own.address, [box.address], b"From: a\r\n\r\nx")
    assert [one.id for one in queries.members(box.id)] == [beaune.colleague.id]
    # Undone: the same mail is there, the password is not.
    leaving.undo(actor=beaune.referent, departure=departure)
    run_pending("main")
    assert post.count(own) == 1
    assert post.send(lure(own.address, "4"), own.address)[0] == 250
    post.wait_count(own, 2)
    with pytest.raises(LoginError):
        sign_in(post, own, secret)


def test_a_departure_waits_for_engines_that_do_not_answer(post: Post, beaune: Commune) -> None:
    post.mailbox(beaune, beaune.agent, "absent")
    departure = leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.agent_membership.person,
        successors={},
    )
    run_pending("main")
    post.engines.kill("dovecot")
    try:
        assert not leaving.confirm(departure)
        departure.refresh_from_db()
        assert (departure.state, departure.waits_for) == ("confirming", "engines")
    finally:
        post.engines.start("dovecot")
    until(lambda: leaving.confirm(departure), "confirmed once dovecot is back")
    departure.refresh_from_db()
    assert departure.state == "confirmed"


def test_who_is_added_taken_back_and_added_again_reads_their_first_mail(
    post: Post, beaune: Commune, no_door: None
) -> None:
    """The empty mailbox is given again with the key that Dovecot knows; in between nothing is accepted."""

    def add() -> arriving.Arrived:
        made = arriving.arrive(
            actor=beaune.referent,
            collectivite=beaune.collectivite,
            name="Élodie Febvre",
            role="agent",
            local="elodie.febvre",
            domain=beaune.domain,
        )
        run_pending("main")
        return made

    first = add()
    address = first.mailbox.address
    arriving.cancel(actor=beaune.referent, collectivite=beaune.collectivite, person_id=first.person.pk)
    run_pending("main")
    assert post.send(lure(address, "1"), address)[0] == 550
    second = add()
    assert second.mailbox.pk == first.mailbox.pk
    assert post.send(lure(address, "2"), address)[0] == 250
    box = Mailbox.objects.get(pk=first.mailbox.pk)
    post.wait_count(box, 1)
    new = "quatre mots sans rapport"
    client = Client(headers={"X-Beffroi-Listener": "portal"})
    form = {"email": address, "code": second.sheet.code, "new": new, "again": new}
    assert client.post("/premiere-connexion/", form).status_code == 302
    listed = client.get(f"/courrier/{box.id}/")
    assert listed.status_code == 200 and f"/courrier/{box.id}/1/" in listed.content.decode()
    with reader.open_mailbox(post.config, address) as opened:
        assert len(opened.list()) == 1
    with pytest.raises(activation.AlreadyCame):
        activation.make(actor=beaune.referent, collectivite_id=beaune.id, person_id=second.person.pk)


def test_a_lure_that_was_decided_on_while_a_mailbox_was_closed_is_not_in_it_when_it_is_opened_again(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    assert post.send(lure(box.address, "1"), box.address)[0] == 250
    post.settle(1)
    departure = leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=Person.objects.get(pk=beaune.agent.id),
        successors={},
    )
    run_pending("main")
    post.block("domain", "pay.evil.example.com")
    run_pending("remediation")
    leaving.undo(actor=beaune.referent, departure=departure)
    run_pending("main")
    run_pending("remediation")
    assert post.count(box) == 0
    assert HeldMail.objects.get().reason == "decision"
