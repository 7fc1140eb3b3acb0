"""Room before the real engines: asked at RCPT and at the end, told to clients; nothing accepted is lost or bounces."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib.config import Config
from beffroi.lib.gigabytes import GB
from beffroi.mail import doveadm, folders, reader, submission
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.models import Mailbox
from beffroi.mail.quota import actions, counting, queries
from beffroi.mail.quota.models import MailboxRoom
from beffroi.mail.quota.rules import mib_of
from beffroi.portal import words
from imapclient.exceptions import IMAPClientError

from tests.conftest import Commune
from tests.mail_post import Post, needs_engines
from tests.waiting import PATIENCE_S, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SYSTEM = Actor.system("tests")


def give(box: Mailbox, mib: int | None) -> None:
    actions.limit_mailbox(actor=SYSTEM, mailbox=box, limit_mib=mib)
    run_pending("main")


def letter(to: str, subject: str, kib: int) -> bytes:
    head = f"From: a@sender.example.net\r\nTo: {to}\r\nSubject: {subject}\r\n"
    head += f"Message-ID: <{subject}@sender.example.net>\r\n"
    return (head + "\r\n" + (("x" * 62) + "\r\n") * (kib * 16)).encode()


@contextmanager
def smtp(config: Config) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", config.smtp_port, timeout=PATIENCE_S) as opened:
        opened.ehlo("mail.sender.example.net")
        yield opened


def begin(opened: smtplib.SMTP, *recipients: str, size: int = 0) -> list[tuple[int, bytes]]:
    opened.mail("a@sender.example.net", [f"SIZE={size}"] if size else [])
    return [opened.rcpt(one) for one in recipients]


def test_a_full_mailbox_is_a_matter_of_time_and_takes_mail_again_when_it_has_room(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "plein")
    other = post.mailbox(beaune, beaune.colleague, "vide")
    give(box, 1)
    with smtp(post.config) as opened:  # a size that is announced is asked about at once
        (code, text), (fits, _) = begin(opened, box.address, other.address, size=1_500_000)
        assert (code, text[:5], fits) == (452, b"4.2.2", 250)
    assert post.send(letter(box.address, "un", 700), box.address)[0] == 250
    post.wait_count(box, 1)
    with smtp(post.config) as opened:
        (code, text), (fits, _) = begin(opened, box.address, other.address, size=700_000)
        assert (code, text[:5], fits) == (452, b"4.2.2", 250)
        opened.rset()
        (code, text), *_ = begin(opened, box.address.replace("@", "+x@"), size=700_000)
        assert (code, text[:5]) == (452, b"4.2.2")
    # A size that nobody announced is asked about at the end.
    code, text = post.send(letter(box.address, "deux", 700), box.address)
    assert (code, text[:5]) == (452, "4.2.2")
    assert post.send(letter(box.address, "petit", 10), box.address)[0] == 250
    give(box, None)
    assert post.send(letter(box.address, "trois", 700), box.address)[0] == 250
    post.wait_count(box, 3)


def limit_bytes(post: Post, box: Mailbox) -> int:
    """As Dovecot says it, in KiB."""
    (rows,) = Doveadm(post.config).run([doveadm.quota(box.address)])
    (found,) = (one["limit"] for one in rows or () if one["type"] == "STORAGE")
    return int(found) * 1024


def test_dovecot_holds_what_pages_say(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "place")
    for given_mib, said in ((None, "5\u00a0Go"), (mib_of(12 * GB), "12\u00a0Go"), (mib_of(GB), "1\u00a0Go")):
        give(box, given_mib)
        until(
            lambda mib=given_mib: abs(limit_bytes(post, box) - queries.limit_bytes(mib)) < 1024, "the limit"
        )
        assert words.size(limit_bytes(post, box)) == words.size(queries.limit_bytes(given_mib)) == said


def test_what_two_mails_take_together_is_delivered_past_the_limit(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "course")
    other = post.mailbox(beaune, beaune.colleague, "temoin")
    give(box, 1)
    with smtp(post.config) as first, smtp(post.config) as second:
        for opened in (first, second):
            assert [code for code, _ in begin(opened, box.address, other.address)] == [250, 250]
        for number, opened in enumerate((first, second)):
            code, _ = opened.data(letter(box.address, f"ensemble{number}", 700))
            assert code == 250
            post.wait_count(box, number + 1)
    post.wait_count(other, 2)
    with reader.open_mailbox(post.config, box.address) as opened_box:
        room = folders.room(opened_box)
    assert room is not None and room.full and room.percent > 130
    (code, _), *_ = _asked(post, box)
    assert code == 452


def _asked(post: Post, box: Mailbox) -> list[tuple[int, bytes]]:
    with smtp(post.config) as opened:
        return begin(opened, box.address)


def test_a_mail_to_many_details_of_one_address_is_refused_and_to_a_few_delivered_to_each(
    post: Post, beaune: Commune
) -> None:
    """Room is asked for each alone: a thousand copies of one large mail would pass any limit."""
    box = post.mailbox(beaune, beaune.agent, "details")
    details = [box.address.replace("@", f"+{number}@") for number in range(21)]
    for count, answer in ((21, 554), (2, 250)):
        with smtp(post.config) as opened:
            assert {code for code, _ in begin(opened, *details[:count])} == {250}
            assert opened.data(letter(box.address, f"details{count}", 1))[0] == answer
    post.wait_count(box, 2)


def test_mail_is_accepted_while_dovecot_is_away_and_delivered_whatever_the_limit(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "absent")
    give(box, 1)
    assert post.send(letter(box.address, "avant", 700), box.address)[0] == 250
    post.wait_count(box, 1)
    post.engines.kill("dovecot")
    try:
        assert post.send(letter(box.address, "pendant", 700), box.address)[0] == 250
    finally:
        post.engines.start("dovecot")
    etc = post.config.state / "postfix" / "etc"

    def came() -> bool:
        subprocess.run(["/usr/sbin/postqueue", "-c", str(etc), "-f"], check=False)
        return post.count(box) == 2

    until(came, "the mail that waited is delivered")


def test_a_full_collectivite_takes_no_mail_and_its_neighbour_does(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "commune")
    neighbour = post.mailbox(nuits, nuits.agent, "voisin")
    assert post.send(letter(box.address, "c1", 1200), box.address)[0] == 250
    post.wait_count(box, 1)
    actions.limit_collectivite(actor=SYSTEM, collectivite=beaune.collectivite, limit_mib=1)
    run_pending("main")
    assert _asked(post, box)[0][0] == 250  # not counted yet
    assert counting.count() == 2
    row = MailboxRoom.objects.get(pk=box.id)
    assert 1_200_000 < row.used_bytes < 1_400_000
    assert queries.use(beaune.referent, beaune.id).room.full
    code, text = _asked(post, box)[0]
    assert (code, text[:5]) == (452, b"4.2.2")
    assert _asked(post, neighbour)[0][0] == 250
    actions.limit_collectivite(actor=SYSTEM, collectivite=beaune.collectivite, limit_mib=None)
    run_pending("main")
    assert _asked(post, box)[0][0] == 250


def test_a_client_sees_the_room_and_may_still_write_and_throw_away_when_there_is_none(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "client")
    give(box, 1)
    client = post.imap(box)
    assert b"QUOTA" in client.capabilities()
    client.append("INBOX", letter(box.address, "q1", 700))
    with pytest.raises(IMAPClientError, match="OVERQUOTA"):
        client.append("INBOX", letter(box.address, "q2", 700))
    _, (found,) = client.get_quota_root("INBOX")
    assert (found.resource, found.limit) == ("STORAGE", 1024) and 650 < found.usage < 800
    client.append("Drafts", letter(box.address, "q3", 700))
    client.select_folder("Drafts")
    client.move([1], "Sent")
    client.select_folder("INBOX")
    client.copy([1], "Trash")  # as older programs throw away
    client.delete_messages([1])
    client.expunge()
    client.select_folder("Trash")
    client.delete_messages(client.search())
    client.expunge()
    _, (found,) = client.get_quota_root("INBOX")
    assert 650 < found.usage < 800  # what was sent; what is deleted takes no room
    client.logout()


def test_the_webmail_names_the_colleague_whose_mailbox_is_full(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "expediteur")
    full = post.mailbox(beaune, beaune.colleague, "collegue")
    give(full, 1)
    client = post.imap(full)
    client.append("INBOX", letter(full.address, "f1", 700))
    client.append("Sent", letter(full.address, "f2", 700))
    client.logout()
    message = b"From: " + box.address.encode() + b"\r\nSubject: x\r\n\r\nBonjour\r\n"
    with pytest.raises(submission.Refused) as refused:
        submission.submit(post.config, box.address, [full.address], message)
    assert (refused.value.reason, refused.value.addresses, refused.value.again) == (
        "full",
        (full.address,),
        True,
    )
