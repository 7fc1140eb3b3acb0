"""What a mail program is told when it brings a password that opens nothing: the same words at each door, whatever the
reason, with the place where a password of its own is made."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import subprocess
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword
from beffroi.mail import actions, projections
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import actions as sending
from django.test import Client

from tests.certificates import unverified
from tests.conftest import PASSWORD, Commune
from tests.mail_post import Post, needs_engines
from tests.sieve_client import OTHER_LOOPBACK
from tests.submitting import secret_of
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


@pytest.fixture
def box(post: Post, beaune: Commune) -> Iterator[Mailbox]:
    post.engines.start("queue")
    yield post.mailbox(beaune, beaune.agent, "mairie")
    projections.put_held(post.config, ())  # the engines serve the next tests too
    post.engines.kill("queue")


class Elsewhere(imaplib.IMAP4):
    """Without TLS, from another address than the server's: from the same one Dovecot takes it for safe."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return socket.create_connection((self.host, self.port), source_address=(OTHER_LOOPBACK, 0))


@contextmanager
def imap(post: Post, *, tls: bool = True) -> Iterator[imaplib.IMAP4]:
    if tls:
        made: imaplib.IMAP4 = imaplib.IMAP4_SSL("127.0.0.1", post.config.imaps_port, ssl_context=unverified())
    else:
        made = Elsewhere("127.0.0.1", post.config.imap_port)
    try:
        yield made
    finally:
        made.shutdown()


def by_imap(post: Post, address: str, password: str) -> str:
    """The text of the refusal; "" when it opened."""
    with imap(post) as client:
        try:
            client.login(address, password)
        except imaplib.IMAP4.error as error:
            return error.args[0].decode("ascii")
    return ""


def by_smtp(post: Post, address: str, password: str) -> str:
    with smtplib.SMTP("127.0.0.1", post.config.submission_port, timeout=PATIENCE_S) as smtp:
        smtp.starttls(context=unverified())
        try:
            smtp.login(address, password)
        except smtplib.SMTPAuthenticationError as error:
            return f"{error.smtp_code} {error.smtp_error.decode('ascii')}"
    return ""


def held(post: Post, box: Mailbox) -> None:
    sending.note_takeover(mailbox=box, what="forward")
    run_pending("main")


def closed(post: Post, box: Mailbox) -> None:
    actions.close_mailbox(actor=Actor.system("tests"), mailbox=box)
    run_pending("main")


def test_every_refused_password_gets_the_same_words_and_the_way_out(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    secret, revoked = secret_of(beaune), secret_of(beaune)
    row = identity_row(revoked)
    identity.revoke_app_password(actor=beaune.agent, app_password=row)
    run_pending("main")
    assert (by_imap(post, box.address, secret), by_smtp(post, box.address, secret)) == ("", "")
    said = layout.sign_in_refused(post.config)
    assert said.endswith("/acces/")
    cases = [
        (box.address, PASSWORD),  # the portal's own, and right
        (box.address, "faux"),
        (box.address, revoked),
        (box.address, secret_of(nuits)),
        ("personne@beaune.test", PASSWORD),
        ("x@ailleurs.example", "faux"),
    ]
    for name in ("as it is", "held", "closed"):
        if name == "held":
            held(post, box)
            cases = [(box.address, secret)]
        if name == "closed":
            closed(post, box)
        # An ALERT is what a program must show (RFC 3501, 7.1).
        assert {by_imap(post, *one) for one in cases} == {f"[ALERT] {said}"}
        answers = {by_smtp(post, *one) for one in cases}
        assert len(answers) == 1 and f"535 5.7.8 Error: authentication failed: {said}" in answers.pop()


def identity_row(secret: str) -> AppPassword:
    import hashlib

    return AppPassword.objects.get(sha256=hashlib.sha256(secret.encode()).hexdigest())


def test_swaks_shows_the_words(post: Post, box: Mailbox) -> None:
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(post.config.submission_port), "--tls", "--to", box.address,
         "--from", box.address, "--auth", "LOGIN", "--auth-user", box.address, "--auth-password", PASSWORD],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and layout.sign_in_refused(post.config) in done.stdout


def test_without_tls_no_password_is_asked_for(post: Post, box: Mailbox) -> None:
    """Dovecot's and Postfix's own words, and in the greeting and the footer ours."""
    with imap(post, tls=False) as client:
        assert layout.sign_in_help(post.config).encode() in client.welcome
        with pytest.raises(imaplib.IMAP4.error) as refused:
            client.login(box.address, PASSWORD)
        assert b"PRIVACYREQUIRED" in refused.value.args[0]
    with smtplib.SMTP("127.0.0.1", post.config.submission_port, timeout=PATIENCE_S) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth") and smtp.has_extn("starttls")
        code, text = smtp.docmd("AUTH", "PLAIN")
        assert code == 530 and layout.sign_in_help(post.config).encode() in text


def plain(text: str) -> str:
    """Without accents, typographic signs and their spaces."""
    text = text.replace("’", "'").replace("\xa0", " ")
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def test_the_sign_in_page_says_the_same_words(post: Post, client: Client) -> None:
    assert layout.REFUSED in plain(client.get("/connexion/").content.decode())
