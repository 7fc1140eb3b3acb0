"""What Postfix delivers again, because Dovecot or Postfix was killed in between, lies once in its mailbox."""

from __future__ import annotations

import os
import smtplib

import pytest
from beffroi.core.events.running import run_pending
from beffroi.mail import journal, once, sweep
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, PendingDelivery

from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def deliver_again(post: Post, mailbox: Mailbox) -> None:
    """The first mail of the inbox, as it lies there and as Postfix would bring it."""
    client = post.imap(mailbox)
    try:
        client.select_folder("INBOX", readonly=True)
        (data,) = client.fetch([1], ["BODY.PEEK[]"]).values()
    finally:
        client.logout()
    path = post.config.state / "postfix" / "queue" / "private" / "dovecot-lmtp"
    with smtplib.LMTP(str(path)) as lmtp:
        lmtp.ehlo("postfix.test")
        assert lmtp.mail("billing@sender.example.net")[0] == 250
        assert lmtp.rcpt(mailbox.address)[0] == 250
        assert lmtp.data(data[b"BODY[]"])[0] == 250
    post.wait_count(mailbox, 2)


def test_a_copy_that_the_journal_tells_of_again_is_removed_and_the_owners_own_copy_is_not(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "encore")
    assert post.send(lure(box.address, "encore"), box.address)[0] == 250
    post.settle(1)
    client = post.imap(box)
    client.create_folder("Factures")
    client.select_folder("INBOX")
    client.copy([1], "Factures")
    client.logout()
    deliver_again(post, box)

    def settled() -> bool:
        journal.follow()
        sweep.sweep()
        return post.count(box) == 1 and not PendingDelivery.objects.exists()

    until(settled, "one copy")
    assert post.count(box, "Factures") == 1
    assert MailDelivery.objects.count() == 1


def test_a_copy_that_came_late_is_compared_with_what_lies_there(
    post: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = post.mailbox(beaune, beaune.agent, "tard")
    assert post.send(lure(box.address, "tard"), box.address)[0] == 250
    post.wait_count(box, 1)
    until(MailMessage.objects.exists, "its evidence")  # else its lines wait for the sweep
    # Killed before it told of the first copy.
    os.truncate(post.config.state / "journal" / "deliveries.log", 0)
    deliver_again(post, box)
    until(lambda: journal.follow() >= 0 and MailDelivery.objects.exists(), "the second copy on record")
    with monkeypatch.context() as patched:
        patched.setattr(once, "LATE_S", 3600.0)
        run_pending("remediation")
        assert post.count(box) == 2
    monkeypatch.setattr(once, "LATE_S", 0.0)
    delivery = MailDelivery.objects.get()
    assert once.look_at([(delivery.message_id, delivery.mailbox_id)]) == 1
    assert post.count(box) == 1
    assert once.look_at([(delivery.message_id, delivery.mailbox_id)]) == 0
    assert post.count(box) == 1


def test_who_else_got_a_mail_twice_loses_the_second_copy_without_a_line_of_the_journal(
    post: Post, beaune: Commune
) -> None:
    told, quiet = post.mailbox(beaune, beaune.agent, "dit"), post.mailbox(beaune, beaune.agent, "tu")
    assert post.send(lure(told.address, "deux"), told.address, quiet.address)[0] == 250
    post.settle(2)
    deliver_again(post, quiet)
    post.wait_count(quiet, 2)
    # A second kill took the line along.
    os.truncate(post.config.state / "journal" / "deliveries.log", 0)
    deliver_again(post, told)

    def settled() -> bool:
        journal.follow()
        sweep.sweep()
        return post.count(told) == 1 and not PendingDelivery.objects.exists()

    until(settled, "one copy")
    assert post.count(quiet) == 1
