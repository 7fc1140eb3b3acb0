"""A signed-in mail client on the submission port."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from beffroi.core.events import run_pending
from beffroi.core.identity import actions as identity

from tests.conftest import Commune
from tests.mail_post import Post


def secret_of(commune: Commune) -> str:
    """A new app password of the commune's agent, known to the engines."""
    issued = identity.issue_app_password(
        actor=commune.agent, membership=commune.agent_membership, protocol_set="imap,smtp", label="x"
    )
    run_pending("main")
    return issued.secret


@contextmanager
def starting(post: Post) -> Iterator[smtplib.SMTP]:
    """Encrypted, and not signed in yet."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", post.config.submission_port, timeout=60) as smtp:
        smtp.starttls(context=context)
        smtp.ehlo()
        yield smtp


@contextmanager
def submitting(post: Post, address: str, secret: str) -> Iterator[smtplib.SMTP]:
    with starting(post) as smtp:
        smtp.login(address, secret)
        yield smtp


def letter(sender: str, to: str, subject: str) -> str:
    return f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nBonjour\r\n"


def refusal(error: smtplib.SMTPResponseException) -> str:
    """What the server said."""
    return error.smtp_error if isinstance(error.smtp_error, str) else error.smtp_error.decode()
