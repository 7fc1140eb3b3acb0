"""What a mailbox's settings send to other servers: by which envelope, and within which limits. Real engines."""

from __future__ import annotations

import email
from datetime import timedelta
from email.utils import make_msgid

from beffroi.core.events import run_pending
from beffroi.lib import clock
from beffroi.mail.filters import actions
from beffroi.mail.held.workdays import PLACE

from tests.conftest import Commune
from tests.foreign_mail import HOUR_MESSAGES, PLAIN, Sending
from tests.mail_post import needs_engines

pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines
SENDER = f"habitant@{PLAIN}"


def _receive(sending: Sending, to: str, subject: str) -> None:
    text = (
        f"From: {SENDER}\nTo: {to}\nSubject: {subject}\nMessage-ID: {make_msgid(domain=PLAIN)}\n"
        "Date: Tue, 24 Nov 2026 10:00:00 +0000\n\nBonjour, une question sur le permis de construire. Merci.\n"
    )
    assert sending.post.send(text, to, sender=SENDER)[0] == 250


def test_a_forward_and_an_answer_leave_in_the_mailboxs_own_name(sending: Sending, beaune: Commune) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "suite")
    today = clock.now().astimezone(PLACE).date()
    actions.set_forward(actor=beaune.agent, mailbox=box, target=f"maire@{PLAIN}")
    actions.set_absence(
        actor=beaune.agent,
        mailbox=box,
        first=today,
        last=today + timedelta(days=2),
        text="Absente jusqu’à jeudi.",
        every_days=7,
    )
    run_pending("main")
    _receive(sending, box.address, "permis")
    onward = email.message_from_bytes(sending.foreign.arrives("permis"))
    answer = email.message_from_bytes(sending.foreign.arrives("Auto: permis"))
    for one in (onward, answer):
        assert one["Return-Path"].strip("<>") == box.address
        assert not [name for name in one if name.lower().startswith("x-beffroi-")]
    assert onward["From"] == SENDER
    assert answer["From"].strip("<>") == box.address and answer["To"].strip("<>") == SENDER
    assert answer["Auto-Submitted"].startswith("auto-replied")
    sending.post.wait_count(box, 1)


def test_what_goes_on_counts_and_waits_in_our_queue_past_the_limit(sending: Sending, beaune: Commune) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "flot")
    row = actions.set_forward(actor=beaune.agent, mailbox=box, target=f"maire@{PLAIN}")
    run_pending("main")
    for number in range(HOUR_MESSAGES + 1):
        _receive(sending, box.address, f"flot {number}")
    assert "temporary failure" in sending.logged(f"to=<{box.address}>", "status=deferred")
    sending.post.wait_count(box, HOUR_MESSAGES)
    actions.end_forward(actor=beaune.agent, row=row)
    run_pending("main")
    _receive(sending, box.address, "sans renvoi")
    sending.post.wait_count(box, HOUR_MESSAGES + 1)
