"""Signed-in clients on the submission port: who may send as whom, and from which address."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actions import IssuedAppPassword
from beffroi.mail import reader
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox

from tests import mail_shapes
from tests.certificates import unverified
from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import OTHER_IP, SENDER_IP, Post, needs_engines
from tests.waiting import PATIENCE_S

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def _open(post: Post, client: str = SENDER_IP) -> smtplib.SMTP:
    context = unverified()
    smtp = smtplib.SMTP("127.0.0.1", post.config.submission_port, timeout=PATIENCE_S)
    smtp.starttls(context=context)
    smtp.ehlo("pc.mairie.test")
    smtp.docmd("XCLIENT", f"ADDR={client} NAME=pc.mairie.test")
    smtp.ehlo("pc.mairie.test")
    return smtp


def _issued(commune: Commune, protocols: str = "imap,smtp") -> IssuedAppPassword:
    issued = identity.issue_app_password(
        actor=commune.agent, membership=commune.agent_membership, protocol_set=protocols, label="x"
    )
    run_pending("main")
    return issued


def _secret(commune: Commune, protocols: str) -> str:
    return _issued(commune, protocols).secret


def _mail(sender: str, to: Mailbox) -> str:
    return f"From: {sender}\r\nTo: {to.address}\r\nSubject: x\r\n\r\nBonjour\r\n"


def test_client_sends_to_another_commune_and_nothing_leaves_the_centre(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    box, other = post.mailbox(beaune, beaune.agent, "envoi"), post.mailbox(nuits, nuits.agent, "recoit")
    secret = _secret(beaune, "imap,smtp")
    with _open(post) as smtp:
        smtp.login(box.address, secret)
        smtp.sendmail(box.address, [other.address], _mail(box.address, other))
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail(box.address, ["someone@elsewhere.example.com"], _mail(box.address, other))
    post.wait_count(other, 1)
    with reader.open_mailbox(post.config, other.address) as opened:
        uid = opened.list()[0].uid
    page = portal_client(nuits.agent_membership).get(f"/courrier/{other.id}/{uid}/").content.decode()
    assert "Ce courriel vient bien de beaune.test." in page, "who signs in writes in nobody else's name"


def test_client_sends_as_nobody_else(post: Post, beaune: Commune, nuits: Commune) -> None:
    box, other = post.mailbox(beaune, beaune.agent, "moi"), post.mailbox(nuits, nuits.agent, "toi")
    secret = _secret(beaune, "smtp")
    with _open(post) as smtp:
        smtp.login(box.address, secret)
        with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused)):
            smtp.sendmail(other.address, [other.address], _mail(other.address, other))
        # The envelope is honest and what people see is not.
        with pytest.raises(smtplib.SMTPDataError):
            smtp.sendmail(box.address, [other.address], _mail(other.address, other))
    assert post.count(other) == 0


def test_what_looks_like_a_read_receipt_keeps_the_sender_that_an_app_password_has(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    """Else refusals of what a stolen password sends would be counted for nobody."""
    box, other = post.mailbox(beaune, beaune.agent, "moi"), post.mailbox(nuits, nuits.agent, "toi")
    secret = _secret(beaune, "smtp")
    kind = 'multipart/report; report-type=disposition-notification; boundary="b"'
    with _open(post) as smtp:
        smtp.login(box.address, secret)
        smtp.sendmail(box.address, [other.address], f"Content-Type: {kind}\r\n{_mail(box.address, other)}")
    post.wait_count(other, 1)
    assert post.mails(other)[0]["Return-Path"].strip("<>") == box.address


def test_an_open_session_sends_nothing_more_once_its_password_is_revoked(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    box, other = post.mailbox(beaune, beaune.agent, "moi"), post.mailbox(nuits, nuits.agent, "toi")
    lost, kept = _issued(beaune), _issued(beaune)
    with _open(post) as phone, _open(post) as computer:
        phone.login(box.address, lost.secret)
        computer.login(box.address, kept.secret)
        for smtp in (phone, computer):
            smtp.sendmail(box.address, [other.address], _mail(box.address, other))
        identity.revoke_app_password(actor=beaune.agent, app_password=lost.record)
        run_pending("main")
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="not owned"):
            phone.sendmail(box.address, [other.address], _mail(box.address, other))
        computer.sendmail(box.address, [other.address], _mail(box.address, other))
    post.wait_count(other, 3)


@pytest.fixture
def tls_first(post: Post) -> Iterator[smtplib.SMTP_SSL]:
    with smtplib.SMTP_SSL(
        "127.0.0.1", post.config.submissions_port, timeout=PATIENCE_S, context=unverified()
    ) as smtp:
        yield smtp


def test_a_client_sends_with_tls_from_the_first_byte_as_itself_alone(
    post: Post, beaune: Commune, nuits: Commune, tls_first: smtplib.SMTP_SSL
) -> None:
    box, other = post.mailbox(beaune, beaune.agent, "implicite"), post.mailbox(nuits, nuits.agent, "arrive")
    tls_first.login(box.address, _secret(beaune, "imap,smtp"))
    assert not tls_first.has_extn("starttls")
    with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused)):
        tls_first.sendmail(other.address, [other.address], _mail(other.address, other))
    tls_first.sendmail(box.address, [other.address], _mail(box.address, other))
    post.wait_count(other, 1)


def test_with_tls_first_the_account_password_is_refused_in_words_and_nobody_relays(
    post: Post, beaune: Commune, tls_first: smtplib.SMTP_SSL
) -> None:
    box = post.mailbox(beaune, beaune.agent, "refus")
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        tls_first.login(box.address, PASSWORD)
    assert layout.sign_in_refused(post.config).encode() in refused.value.smtp_error
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        tls_first.sendmail(box.address, [box.address], _mail(box.address, box))
    with pytest.raises((smtplib.SMTPServerDisconnected, TimeoutError)):  # no plain text here
        smtplib.SMTP("127.0.0.1", post.config.submissions_port, timeout=3)


def test_account_password_and_password_for_imap_do_not_send(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "imapseul")
    for wrong in (PASSWORD, _secret(beaune, "imap")):
        with _open(post) as smtp, pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login(box.address, wrong)


def test_blocked_address_does_not_sign_in_even_with_the_right_password(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "bloque")
    secret = _secret(beaune, "smtp")
    with _open(post, OTHER_IP) as smtp:
        smtp.login(box.address, secret)
    post.block("ip", OTHER_IP)
    post.wait_gate(1)
    with _open(post, OTHER_IP) as smtp, pytest.raises(smtplib.SMTPAuthenticationError):
        smtp.login(box.address, secret)
    with _open(post) as smtp:
        smtp.login(box.address, secret)


def test_a_client_is_shown_as_nobody_else(post: Post, beaune: Commune, nuits: Commune) -> None:
    box, other = post.mailbox(beaune, beaune.agent, "moi"), post.mailbox(nuits, nuits.agent, "toi")
    secret = _secret(beaune, "smtp")
    with _open(post) as smtp:
        smtp.login(box.address, secret)
        for number, name in enumerate(mail_shapes.SENDERS.values()):
            mail = mail_shapes.signed(name, to=other.address, number=number, me=box.address)
            with pytest.raises(smtplib.SMTPDataError, match="not your own address"):
                smtp.sendmail(box.address, [other.address], mail.encode())
        for number, name in enumerate(mail_shapes.CLEAR, 100):
            mail = mail_shapes.signed(name, to=other.address, number=number, me=box.address)
            smtp.sendmail(box.address, [other.address], mail.encode())
    post.wait_count(other, len(mail_shapes.CLEAR))
    with post.imap(other) as client:
        client.select_folder("INBOX", readonly=True)
        shown = {
            row[b"ENVELOPE"].from_[0].mailbox for row in client.fetch(client.search(), ["ENVELOPE"]).values()
        }
    assert shown == {b"moi"}
