"""A collectivité leaves, before real engines: its mail is refused from outside and led on from inside; then it is
erased with its mailboxes, and nothing of it opens."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.leaving import applying, continuing, erasing
from beffroi.mail import consumers as mail_consumers
from beffroi.mail.aliases import consumers as alias_consumers
from beffroi.mail.backup.work import Work
from beffroi.mail.domains import registrar_asking
from beffroi.mail.models import Mailbox
from imapclient.exceptions import IMAPClientError

from tests.clients.test_mail_backup import fill, held, work
from tests.clients.test_mail_closing import places
from tests.conftest import Commune
from tests.fixtures_erasure import other
from tests.fixtures_leaving import VISA, carry_out, granted, leave, planned, two
from tests.foreign_mail import PLAIN, Sending
from tests.mail_post import Post, needs_engines
from tests.submitting import letter, secret_of, submitting
from tests.waiting import until

__all__ = ["other", "places", "two", "work"]
pytest_plugins = ["tests.fixtures_mail", "tests.fixtures_sending"]
pytestmark = needs_engines


def test_its_mail_is_refused_from_outside_and_goes_to_its_new_server_from_inside(
    sending: Sending, make_commune: Callable[..., Commune], nuits: Commune
) -> None:
    gone = make_commune("Chagny", PLAIN)
    box, neighbour = (
        sending.post.mailbox(gone, gone.agent, "mairie"),
        sending.post.mailbox(nuits, nuits.agent, "voisine"),
    )
    outside = "habitant@ailleurs.example"
    text = f"From: {outside}\nTo: {box.address}\nSubject: avant\nMessage-ID: <avant@ailleurs.example>\n\nBonjour.\n"
    assert sending.post.send(text, box.address, sender=outside)[0] == 250
    sending.post.wait_count(box, 1)
    leave(planned(gone))
    run_pending("main")
    alias_consumers.put()  # each minute
    # Postfix remembers for up to 30 s where the last address led: another one.
    code, said = sending.post.send(text.replace("avant", "apres"), f"ecole@{PLAIN}", sender=outside)
    assert (code, "Relay access denied" in said) == (554, True), said
    refused = pytest.raises((smtplib.SMTPException, OSError))
    with refused, submitting(sending.post, box.address, secret_of(gone)) as smtp:
        smtp.sendmail(box.address, [neighbour.address], letter(box.address, neighbour.address, "encore"))
    with submitting(sending.post, neighbour.address, secret_of(nuits)) as smtp:
        smtp.sendmail(neighbour.address, [box.address], letter(neighbour.address, box.address, "suivi"))
    sending.foreign.arrives("suivi")


def test_its_mailboxes_are_erased_with_all_the_rest(  # noqa: PLR0917
    post: Post,
    beaune: Commune,
    nuits: Commune,
    two: tuple[Actor, Actor],
    places: Path,
    work: Work,
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(registrar_asking, "forget", lambda config, name: None)
    own, kept = post.mailbox(beaune, beaune.agent, "part"), post.mailbox(nuits, nuits.agent, "reste")
    for each in (own, kept):
        client = post.imap(each)
        fill(client, "INBOX", "Un", "Deux", "Trois")
        client.logout()
    leave(planned(beaune))
    run_pending("main")
    with pytest.raises(IMAPClientError):
        post.imap(own)
    lies = post.config.state / "mailboxes" / own.id
    assert lies.exists()
    post.engines.start("backup")
    erasure = carry_out(granted(beaune, *two), turns=60)
    post.engines.kill("backup")
    assert erasure.state == "done", (erasure.stage, erasure.waits_for)
    found = erasing.removed(erasure)["mailboxes"]
    assert [(one["address"], one["mails"], one["visa"]) for one in found] == [(own.address, 3, VISA)]
    assert not lies.exists() and not Mailbox.objects.filter(pk=own.pk).exists()
    assert len(held(post, kept)["INBOX"]) == 3


def test_who_wrote_there_before_is_led_on_by_the_same_process_after(
    sending: Sending, make_commune: Callable[..., Commune], nuits: Commune
) -> None:
    """Each smtpd keeps for its life where an address that it met leads; it is told when a domain comes or goes."""
    gone = make_commune("Chagny", PLAIN)
    box, neighbour = (
        sending.post.mailbox(gone, gone.agent, "mairie"),
        sending.post.mailbox(nuits, nuits.agent, "voisine"),
    )
    sending.post.engines.start("queue")
    try:
        mail_consumers.look_up_anew()
        with submitting(sending.post, neighbour.address, secret_of(nuits)) as smtp:
            smtp.sendmail(neighbour.address, [box.address], letter(neighbour.address, box.address, "avant"))
        sending.post.wait_count(box, 1)
        leave(planned(gone))
        run_pending("main")
        log = sending.post.config.log / "postfix.log"
        told = len(log.read_text("utf-8", "replace"))
        before = set(re.findall(r"smtpd\[(\d+)\]", log.read_text("utf-8", "replace")))
        mail_consumers.look_up_anew()
        until(lambda: "reload -- version" in log.read_text("utf-8", "replace")[told:], "Postfix is told")
        until(lambda: not any(Path(f"/proc/{one}").exists() for one in before), "who knew it before is gone")
        with submitting(sending.post, neighbour.address, secret_of(nuits)) as smtp:
            smtp.sendmail(neighbour.address, [box.address], letter(neighbour.address, box.address, "suite"))
        sending.foreign.arrives("suite")
    finally:
        sending.post.engines.kill("queue")


def test_mail_to_the_addresses_of_the_one_that_left_comes_to_the_one_that_continues(
    sending: Sending, make_commune: Callable[..., Commune], nuits: Commune, administrator: Actor
) -> None:
    gone = make_commune("Chagny", PLAIN)
    box, hall = (
        sending.post.mailbox(gone, gone.agent, "mairie"),
        sending.post.mailbox(nuits, nuits.agent, "accueil"),
    )
    Mailbox.objects.filter(pk__in=[box.id, hall.id]).update(person_id=None)
    sending.post.engines.start("queue")
    try:
        mail_consumers.look_up_anew()
        outside = "habitant@ailleurs.example"
        text = f"From: {outside}\nTo: {box.address}\nSubject: S\nMessage-ID: <avant@ailleurs.example>\n\nBonjour.\n"
        assert sending.post.send(text, box.address, sender=outside)[0] == 250
        sending.post.wait_count(box, 1)
        leaving = planned(gone)
        continuing.begin(actor=administrator, leaving=leaving, address=hall.address, reason="Arrêté")
        leave(leaving)
        run_pending("main")
        assert sending.post.send(text.replace("avant", "apres"), box.address, sender=outside)[0] == 250
        sending.post.wait_count(hall, 1)
        assert sending.post.send(text, f"ecole@{PLAIN}", sender=outside)[0] == 550, "nobody's address"
        leaving.refresh_from_db()
        applying.give_back(actor=administrator, leaving=leaving)
        run_pending("main")
        until(lambda: Mailbox.objects.exclude(ready_at=None).filter(pk=box.pk).exists(), "it is open again")
        assert sending.post.send(text.replace("avant", "retour"), box.address, sender=outside)[0] == 250
        sending.post.wait_count(box, 2)
        assert sending.post.count(hall) == 1
    finally:
        sending.post.engines.kill("queue")
