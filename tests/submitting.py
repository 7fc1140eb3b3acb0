"""A signed-in mail client on the submission port."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.lib import clock
from beffroi.mail import outgoing
from beffroi.mail.models import Sending

from tests.certificates import unverified
from tests.conftest import Commune
from tests.mail_post import Post
from tests.waiting import PATIENCE_S


def secret_of(commune: Commune, protocols: str = "imap,smtp") -> str:
    """A new app password of the commune's agent, known to the engines."""
    issued = identity.issue_app_password(
        actor=commune.agent, membership=commune.agent_membership, protocol_set=protocols, label="x"
    )
    run_pending("main")
    return issued.secret


@contextmanager
def starting(post: Post) -> Iterator[smtplib.SMTP]:
    """Encrypted, and not signed in yet."""
    with smtplib.SMTP("127.0.0.1", post.config.submission_port, timeout=PATIENCE_S) as smtp:
        smtp.starttls(context=unverified())
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


def leave_now() -> None:
    """What waits for its writer's second thoughts goes out."""
    Sending.objects.update(due_at=clock.now() - timedelta(seconds=1))
    outgoing.send_due()
