"""A domain whose mailboxes move one by one: old and new server beside each other. Real engines, a second Postfix."""

from __future__ import annotations

import email
import smtplib

import pytest
from beffroi.core.communes.models import Domain
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid
from beffroi.mail.domains import actions
from beffroi.mail.models import Mailbox

from tests.conftest import Commune
from tests.foreign_mail import MOVING, PLAIN, SILENT, UNKNOWN, Sending
from tests.mail_post import needs_engines
from tests.submitting import letter, secret_of, submitting

pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines
OLD_SERVER = f"mx.{PLAIN}"
SENDER = f"habitant@{PLAIN}"


def _choose(commune: Commune, old_mx: str) -> None:
    domain = Domain.objects.get(name=commune.domain)
    actions.choose(actor=Actor.system("tests"), domain=domain, dmarc="none", sts="none", old_mx=old_mx)
    run_pending("main")


def _receive(sending: Sending, to: str, subject: str) -> tuple[int, str]:
    named = subject.replace(" ", ".")
    text = (
        f"From: {SENDER}\nTo: {to}\nSubject: {subject}\nMessage-ID: <{named}@{PLAIN}>\n\n"
        "Bonjour, une question sur le permis de construire. Merci.\n"
    )
    return sending.post.send(text, to, sender=SENDER)


@pytest.fixture
def moved(sending: Sending, beaune: Commune) -> Mailbox:
    """The first mailbox that is here; the domain is still moving."""
    assert beaune.domain == MOVING
    box = sending.post.mailbox(beaune, beaune.agent, "mairie")
    _choose(beaune, OLD_SERVER)
    return box


def test_who_is_here_gets_mail_here_and_who_is_not_yet_on_the_old_server(
    sending: Sending, beaune: Commune, moved: Mailbox
) -> None:
    assert _receive(sending, moved.address, "pour la mairie")[0] == 250
    assert _receive(sending, f"mairie+sncf@{MOVING}", "avec un detail")[0] == 250
    sending.post.wait_count(moved, 2)
    assert _receive(sending, f"urbanisme@{MOVING}", "pas encore ici")[0] == 250
    kept = email.message_from_bytes(sending.foreign.arrives("pas encore ici"))
    assert kept["Return-Path"].strip("<>") == SENDER
    secret = secret_of(beaune)
    with submitting(sending.post, moved.address, secret) as smtp:
        there = f"collegue@{MOVING}"
        smtp.sendmail(moved.address, [there], letter(moved.address, there, "entre collegues"))
    sending.foreign.arrives("entre collegues")
    subjects = [email.message_from_bytes(one)["Subject"] for one in sending.foreign.arrived()]
    assert not {"pour la mairie", "avec un detail"} & set(subjects)


def test_what_the_old_server_does_not_know_is_refused_and_while_it_is_away_the_sender_tries_again(
    sending: Sending, beaune: Commune, moved: Mailbox
) -> None:
    code, text = _receive(sending, UNKNOWN, "personne")
    assert (code, "nobody here" in text) == (550, True)
    refused = pytest.raises(smtplib.SMTPRecipientsRefused)
    with submitting(sending.post, moved.address, secret_of(beaune)) as smtp, refused:
        smtp.sendmail(moved.address, [UNKNOWN], letter(moved.address, UNKNOWN, "personne non plus"))
    _choose(beaune, f"mx.{SILENT}")
    assert _receive(sending, f"ecole@{MOVING}", "plus tard")[0] == 450
    assert _receive(sending, moved.address, "comme toujours")[0] == 250
    sending.post.wait_count(moved, 1)


def test_when_everybody_has_moved_an_unknown_address_is_refused_here(
    sending: Sending, beaune: Commune, moved: Mailbox
) -> None:
    late = f"tard@{MOVING}"
    assert _receive(sending, late, "encore la-bas")[0] == 250
    sending.foreign.arrives("encore la-bas")
    box = sending.post.mailbox(beaune, beaune.colleague, "tard")
    # Postfix remembers for up to 30 s where the last address led.
    assert _receive(sending, moved.address, "un autre")[0] == 250
    sending.post.wait_count(moved, 1)
    assert _receive(sending, late, "maintenant ici")[0] == 250
    sending.post.wait_count(box, 1)
    _choose(beaune, "")
    code, text = _receive(sending, f"urbanisme@{MOVING}", "nulle part")
    assert (code, "User unknown" in text) == (550, True)


def test_our_own_server_is_no_old_server(sending: Sending, beaune: Commune) -> None:
    with pytest.raises(Invalid):
        _choose(beaune, sending.config.mail_name)
