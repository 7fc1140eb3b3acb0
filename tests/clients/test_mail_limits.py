"""An account that sends too much is refused, told why, and at last held; a person gives it back. Real engines."""

from __future__ import annotations

import smtplib
import ssl

import imapclient
import imapclient.exceptions
import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.mail.sending import actions, queue
from beffroi.mail.sending.models import SendingAlarm

from tests.conftest import Commune
from tests.foreign_mail import CONTAIN, HOUR_MESSAGES, SILENT, Sending
from tests.mail_post import needs_engines, until
from tests.submitting import letter, refusal, secret_of, submitting
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines


def _flood(sending: Sending, address: str, secret: str, to: str, count: int) -> list[tuple[int, str]]:
    """Send one after another; the answers that were refusals."""
    refused = []
    with submitting(sending.post, address, secret) as smtp:
        for n in range(count):
            try:
                smtp.sendmail(address, [to], letter(address, to, f"flot {n}"))
            except smtplib.SMTPDataError as error:
                refused.append((error.smtp_code, refusal(error)))
    return refused


def _alarm(*, contained: bool) -> bool:
    run_pending("main")
    return SendingAlarm.objects.filter(closed_at=None, contained_at__isnull=not contained).exists()


def test_mail_over_the_limit_is_refused_for_now_with_the_reason_also_after_a_restart(
    sending: Sending, beaune: Commune, nuits: Commune
) -> None:
    box, other = (
        sending.post.mailbox(beaune, beaune.agent, "flot"),
        sending.post.mailbox(nuits, nuits.agent, "recoit"),
    )
    secret = secret_of(beaune)
    refused = _flood(sending, box.address, secret, other.address, HOUR_MESSAGES + 1)
    assert [code for code, _ in refused] == [451]
    assert f"{HOUR_MESSAGES} messages par heure" in refused[0][1]
    assert f"{HOUR_MESSAGES} messages an hour" in refused[0][1]
    sending.post.wait_count(other, HOUR_MESSAGES)
    sending.post.engines.kill("mailgate")
    sending.post.engines.start("mailgate")
    assert len(_flood(sending, box.address, secret, other.address, 1)) == 1
    until(lambda: _alarm(contained=False), "an alarm")
    alarm = SendingAlarm.objects.get()
    assert (alarm.mailbox_id, alarm.collectivite_id) == (box.id, beaune.collectivite.id)
    assert alarm.limit == "hour_messages"


def test_account_that_goes_on_like_a_machine_is_held_until_a_person_gives_it_back(
    sending: Sending, beaune: Commune
) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "pirate")
    secret, to = secret_of(beaune), f"x@{SILENT}"
    thief = imapclient.IMAPClient(
        "127.0.0.1",
        sending.config.imaps_port,
        ssl_context=ssl._create_unverified_context(),
        timeout=PATIENCE_S,
    )
    thief.login(box.address, secret)
    assert len(_flood(sending, box.address, secret, to, HOUR_MESSAGES + CONTAIN)) == CONTAIN
    sending.post.engines.start("queue")
    try:
        until(lambda: _alarm(contained=True), "the account is held")
        until(
            lambda: {one.queue for one in queue.read(sending.config).messages} == {"hold"}, "its mail is held"
        )
        with pytest.raises(smtplib.SMTPAuthenticationError), submitting(sending.post, box.address, secret):
            pass
        # What was open reads no further mail.
        with pytest.raises((imapclient.exceptions.IMAPClientError, OSError)):
            thief.select_folder("INBOX")
        actions.give_back(actor=Actor.system("tests"), alarm=SendingAlarm.objects.get())
        run_pending("main")
        with submitting(sending.post, box.address, secret):
            pass
        until(
            lambda: "hold" not in {one.queue for one in queue.read(sending.config).messages},
            "its mail goes on",
        )
        ids = [one.id for one in queue.read(sending.config).messages]
        queue.change(sending.config, "delete", ids)
        assert queue.read(sending.config).total == 0
    finally:
        sending.post.engines.kill("queue")


def test_forged_sender_in_a_second_from_header_does_not_pass(
    sending: Sending, beaune: Commune, nuits: Commune
) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "double")
    other = sending.post.mailbox(nuits, nuits.agent, "cible")
    with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
        for headers in (
            f"From: {box.address}\r\nFrom: {other.address}\r\n",
            f"From: {other.address}\r\nFrom: {box.address}\r\n",
            f"From: {box.address}, {other.address}\r\n",
        ):
            with pytest.raises(smtplib.SMTPDataError, match="not your own address"):
                smtp.sendmail(
                    box.address, [other.address], f"{headers}To: {other.address}\r\n\r\nBonjour\r\n"
                )
    assert sending.post.count(other) == 0


def test_a_mail_program_shows_in_french_what_to_do_about_each_refusal(
    sending: Sending, beaune: Commune
) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "refus")
    own, secret = box.address, secret_of(beaune)
    many = [f"x{n}@{SILENT}" for n in range(1001)]
    text = letter(own, many[0], "lettre")
    cases: list[tuple[str, list[str], str, int, str]] = [
        (own, ["inconnue@beaune.test"], text, 550, "verifiez-la lettre a lettre"),
        (own, ["mairie"], text, 504, "n'est pas complete"),
        ("maire@nuits.test", many[:1], letter("maire@nuits.test", many[0], "x"), 553, "choisissez celle"),
        (own, many[:1], letter("maire@nuits.test", many[0], "x"), 554, "choisissez celle"),
        (own, many[:1], text + ("x" * 76 + "\r\n") * 700_000, 552, "/coffre/"),
        (own, many, text, 452, "Trop de destinataires"),
        (own, many[:501], text, 554, "501 (500 destinataires par heure au plus)"),
    ]
    for sender, recipients, message, code, words in cases:
        with submitting(sending.post, own, secret) as smtp:
            told = _told(smtp, sender, recipients, message)
        assert told.startswith(f"{code} ") and words in told, told
        assert told.isascii() and "Mot de passe" not in told, "a refusal that is about no password names none"
    sending.post.engines.start("queue")
    try:
        assert not queue.read(sending.config, senders={own}).messages, "nothing left"
    finally:
        sending.post.engines.kill("queue")


def _told(smtp: smtplib.SMTP, sender: str, recipients: list[str], message: str) -> str:
    """The first refusal of a mail, as a program shows it."""
    code, text = smtp.mail(sender)
    for one in recipients:
        if code < 400:
            code, text = smtp.rcpt(one)
    if code < 400:
        code, text = smtp.data(message)
    return f"{code} {text.decode()}"
