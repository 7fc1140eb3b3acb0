"""What a mailbox's settings send to other servers: by which envelope, and within which limits. Real engines."""

from __future__ import annotations

import email
import itertools
import time
from datetime import timedelta
from email.utils import make_msgid

from beffroi.core.events.running import run_pending
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.mail import signing
from beffroi.mail.filters import actions

from tests.conftest import Commune
from tests.foreign_mail import HOUR_MESSAGES, PLAIN, Sending
from tests.mail_post import needs_engines
from tests.signed_mail import DomainKey
from tests.submitting import secret_of, submitting

pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines
SENDER = f"habitant@{PLAIN}"


def _receive(
    sending: Sending, to: str, subject: str, sender: str = SENDER, author: DomainKey | None = None
) -> None:
    text = (
        f"From: {sender}\nTo: {to}\nSubject: {subject}\nMessage-ID: {make_msgid(domain=PLAIN)}\n"
        "Date: Tue, 24 Nov 2026 10:00:00 +0000\nContent-Type: text/plain; charset=utf-8\n"
        f"Content-Transfer-Encoding: 8bit\n\nBonjour, une question sur le permis de construire{' né' * 400}. Merci.\n"
    )
    data = text.replace("\n", "\r\n").encode()
    assert sending.post.send(author.signed(data, PLAIN) if author else data, to, sender=sender)[0] == 250


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


def test_what_is_signed_arrives_as_it_was_signed_also_what_is_passed_on(
    sending: Sending, beaune: Commune
) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "signee")
    today, key, author, tries = (
        clock.now().astimezone(PLACE).date(),
        DomainKey(),
        DomainKey(),
        itertools.count(),
    )
    signing.put(sending.config, [key.signs(beaune.domain)])
    last = today + timedelta(days=1)
    text = "Absente jusqu’à jeudi.\n.\n" + "Voyez l’accueil. " * 80
    actions.set_absence(actor=beaune.agent, mailbox=box, first=today, last=last, text=text, every_days=7)
    actions.set_forward(actor=beaune.agent, mailbox=box, target=f"maire@{PLAIN}")
    run_pending("main")

    def answered() -> tuple[bytes, bytes]:
        number = next(tries)
        time.sleep(2 * bool(number))  # rspamd looks at its map of keys each few seconds
        # Each is answered once.
        _receive(sending, box.address, f"demande {number}", f"habitant{number}@{PLAIN}", author)
        onward = sending.foreign.arrives(f"demande {number}")
        return sending.foreign.arrives(f"Auto: demande {number}"), onward

    answer, onward = next(found for found in iter(answered, None) if b"DKIM-Signature" in found[0])
    assert f"d={beaune.domain}".encode() in answer
    assert key.verifies(answer)
    # A server without 8BITMIME has nothing to encode anew, and none has a line to cut.
    assert answer.isascii() and max(map(len, answer.splitlines())) <= 998
    said = email.message_from_bytes(answer).get_payload(decode=True)
    assert isinstance(said, bytes) and said.decode().split() == text.split()
    assert not key.verifies(answer.replace(b"Absente", b"Presente"))
    # Its author's signature alone, and whole: it is what proves a forward (decision 182).
    assert onward.count(b"DKIM-Signature:") == 1 and author.verifies(onward)

    secret, long = secret_of(beaune), "<p>Délibération du conseil municipal.</p>" * 30
    for subject, encoding, text in (("huit", "8bit", long), ("sept", "7bit", long.replace("é", "&eacute;"))):
        written = (
            f"From: {box.address}\r\nTo: x@{PLAIN}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
            "Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nContent-Type: text/html; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: {encoding}\r\n\r\n{text}\r\n"
        )
        with submitting(sending.post, box.address, secret) as smtp:
            smtp.sendmail(box.address, [f"x@{PLAIN}"], written.encode(), ["BODY=8BITMIME"])
        came = sending.foreign.arrives(subject)
        assert key.verifies(came)
        read = email.message_from_bytes(came).get_payload(decode=True)
        assert isinstance(read, bytes) and read.decode().strip() == text
