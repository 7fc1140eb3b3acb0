"""The centre's test mail that really leaves, and comes back through port 25 as any stranger's mail does."""

from __future__ import annotations

import email
import smtplib

from beffroi.mail.models import MailMessage
from beffroi.mail.probe import consumers, echo, paths
from beffroi.mail.probe.paths import Result

from tests.foreign_mail import PLAIN, Sending
from tests.mail_post import Post, needs_engines, until
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines
PROBE_ECHO = f"echo@{PLAIN}"


def echoed(post: Post) -> list[Result]:
    """As a run does at its beginning and its end."""
    return paths._leave(post.config, paths._returned(post.config))


def arrived(sending: Sending, mark: str) -> bytes:
    found: list[bytes] = []

    def there() -> bool:
        found[:] = [one for one in sending.foreign.arrived() if mark.encode() in one]
        return bool(found)

    until(there, "the echo's mail at the foreign server")
    return found[0]


def answers(post: Post, message: bytes) -> None:
    """A stranger's server that quotes the subject, and nothing else."""
    asked = email.message_from_bytes(message)
    body = f"From: {PROBE_ECHO}\r\nTo: {asked['From']}\r\nSubject: Re: {asked['Subject']}\r\n"
    body += f"Message-ID: <answer-{asked['X-Probe']}@{PLAIN}>\r\nIn-Reply-To: {asked['Message-ID']}\r\n\r\nBien.\r\n"
    with smtplib.SMTP(
        "127.0.0.1", post.config.smtp_port, local_hostname=f"mx.{PLAIN}", timeout=PATIENCE_S
    ) as smtp:
        smtp.sendmail(PROBE_ECHO, [post.config.probe_address], body.encode())


def test_a_mail_leaves_and_its_answer_is_found_by_the_next_run_and_counted_nowhere(sending: Sending) -> None:
    post = sending.post
    assert consumers.ensure_mailbox()
    assert echoed(post) == [], "nothing is said before the first one had its time"
    sent = echo.last(post.config)
    assert sent is not None
    answers(post, arrived(sending, sent.mark))
    until(lambda: paths._returned(post.config).code == "", "its answer")
    assert [(one.path, one.code) for one in echoed(post)] == [("echo", "")]
    post.settle(0)
    assert not MailMessage.objects.exists()


def test_what_does_not_come_back_fails_and_an_answer_to_another_mail_is_none(sending: Sending) -> None:
    post = sending.post
    assert consumers.ensure_mailbox()
    echoed(post)
    first = echo.last(post.config)
    assert first is not None
    assert [one.code for one in echoed(post)] == ["no_echo"]
    answers(post, arrived(sending, first.mark))
    assert [one.code for one in echoed(post)] == ["no_echo"]


def test_a_mail_that_cannot_leave_fails_at_once_and_none_is_waited_for(sending: Sending) -> None:
    post = sending.post
    assert consumers.ensure_mailbox()
    echoed(post)
    post.engines.kill("postfix")
    try:
        assert [one.code for one in echoed(post)] == ["unreachable"]
        assert echo.last(post.config) is None
    finally:
        post.engines.start("postfix")
