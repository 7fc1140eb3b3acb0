"""Aliases, a catch-all and + addresses before real engines: where mail goes, what is refused, who writes as whom."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from datetime import timedelta

from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import actions as mail
from beffroi.mail import outgoing, projections, reader
from beffroi.mail.alias_routes import MailRoutes
from beffroi.mail.aliases import actions, consumers, queries
from beffroi.mail.aliases.models import Alias
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, MailDelivery, Sending
from beffroi.mail.quota.models import MailboxRoom

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, lure, needs_engines
from tests.submitting import letter, secret_of, submitting
from tests.waiting import until

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SYSTEM = Actor.system("tests")


def alias(beaune: Commune, local: str, *boxes: Mailbox, sends: bool = False) -> Alias:
    made = actions.create(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        address=f"{local}@{beaune.domain}",
        mailboxes=[one.id for one in boxes],
        sends=sends,
    )
    run_pending("main")
    return made


def swaks(post: Post, *recipients: str, subject: str) -> tuple[int, str]:
    """Exit status and dialogue of a real client; 24: a recipient was refused."""
    done = subprocess.run(
        ("swaks", "--server", "127.0.0.1", "--port", str(post.config.smtp_port), "--timeout", "60",
         "--helo", "mail.sender.example.net", "--from", "a@sender.example.net", "--to", ",".join(recipients),
         "--xclient", "ADDR=198.51.100.7 NAME=mail.sender.example.net",
         "--header", f"Subject: {subject}", "--header", f"Message-Id: <{subject}@sender.example.net>"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def log_of(post: Post) -> str:
    return (post.config.log / "postfix.log").read_text("utf-8", "replace")


def on_record(boxes: Iterable[Mailbox]) -> list[int]:
    return [MailDelivery.objects.filter(mailbox_id=one.id).count() for one in boxes]


def test_an_alias_leads_to_each_of_its_mailboxes_once_with_evidence_for_each(
    post: Post, beaune: Commune
) -> None:
    boxes = [post.mailbox(beaune, beaune.agent, "un"), post.mailbox(beaune, beaune.colleague, "deux")]
    both, first = alias(beaune, "elus", *boxes), alias(beaune, "premier", boxes[0])
    assert swaks(post, both.address, subject="a1")[0] == 0
    for one in boxes:
        post.wait_count(one, 1)
    post.settle(2)
    assert on_record(boxes) == [1, 1]
    # Two aliases and the mailbox itself in one mail: one copy.
    assert swaks(post, both.address, first.address, boxes[0].address, subject="a2")[0] == 0
    post.wait_count(boxes[1], 2)
    post.settle(4)
    assert [post.count(one) for one in boxes] == [2, 2]
    assert on_record(boxes) == [2, 2]
    # Written in capitals and with a detail, which is kept on the way.
    detailed = both.address.replace("elus@", "Elus+Ecole@")
    assert swaks(post, detailed, subject="a3")[0] == 0
    for one in boxes:
        post.wait_count(one, 3)
    post.settle(6)
    assert on_record(boxes) == [3, 3]
    # The mailbox and a detail of it in one mail: Postfix delivers both, and the second copy goes.
    assert swaks(post, boxes[1].address, boxes[1].address.replace("@", "+x@"), subject="a4")[0] == 0
    until(lambda: f"to=<deux+x@{beaune.domain}>" in log_of(post), "Postfix has delivered both")
    post.settle(7)

    def once() -> bool:
        post.settle(7)
        return post.count(boxes[1]) == 4

    until(once, "one copy is left")
    assert f"to=<un+Ecole@{beaune.domain}>" in log_of(post)


def test_what_a_decision_withdraws_is_withdrawn_from_each_mailbox_of_an_alias(
    post: Post, beaune: Commune
) -> None:
    boxes = [post.mailbox(beaune, beaune.agent, "trois"), post.mailbox(beaune, beaune.colleague, "quatre")]
    led = alias(beaune, "conseil", *boxes)
    assert post.send(lure(led.address, "w1"), led.address)[0] == 250
    for one in boxes:
        post.wait_count(one, 1)
    post.settle(2)
    post.block("url", "https://pay.evil.example.com/f?x=1")
    run_pending("main")
    run_pending("remediation")
    for one in boxes:
        post.wait_count(one, 0)


def test_a_closed_mailbox_is_out_of_its_aliases_and_the_last_one_leaves_a_clear_refusal(
    post: Post, beaune: Commune
) -> None:
    boxes = [post.mailbox(beaune, beaune.agent, "cinq"), post.mailbox(beaune, beaune.colleague, "six")]
    led = alias(beaune, "accueil", *boxes)
    mail.close_mailbox(actor=SYSTEM, mailbox=boxes[0])
    run_pending("main")
    assert swaks(post, led.address, subject="c1")[0] == 0
    post.wait_count(boxes[1], 1)
    mail.close_mailbox(actor=SYSTEM, mailbox=boxes[1])
    run_pending("main")
    status, said = swaks(post, led.address, subject="c2")
    assert status == 24 and "550 5.1.1" in said and "Nobody reads this address any more" in said
    assert queries.lost_aliases(beaune.referent)[0].alias == led
    status, said = swaks(post, boxes[1].address, subject="c3")
    assert status == 24 and "This address is closed" in said
    boxes[1].refresh_from_db()
    mail.reopen_mailbox(actor=SYSTEM, mailbox=boxes[1])
    run_pending("main")
    assert swaks(post, led.address, subject="c4")[0] == 0
    post.wait_count(boxes[1], 2)
    actions.end(actor=beaune.referent, alias=led)
    run_pending("main")
    assert swaks(post, led.address, subject="c5")[0] == 24
    actions.restore(actor=beaune.referent, alias=led)
    run_pending("main")
    assert swaks(post, led.address, subject="c6")[0] == 0


def test_an_alias_works_while_python_is_stopped_and_its_copies_are_found_afterwards(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "sept")
    led = alias(beaune, "etatcivil", box)
    post.engines.kill("mailgate", "stream")
    assert swaks(post, led.address, subject="p1")[0] == 0
    post.wait_count(box, 1)
    post.engines.start("stream", "mailgate")
    post.settle(1)
    assert on_record([box]) == [1]


def test_an_alias_whose_mailboxes_are_all_full_is_put_off(post: Post, beaune: Commune) -> None:
    boxes = [post.mailbox(beaune, beaune.agent, "huit"), post.mailbox(beaune, beaune.colleague, "neuf")]
    led = alias(beaune, "toutpleins", *boxes)
    rooms = [
        MailboxRoom.objects.create(mailbox_id=one.id, collectivite_id=beaune.id, limit_mib=1, used_bytes=used)
        for one, used in zip(boxes, (2 * 1024 * 1024, 0), strict=True)
    ]
    consumers.put()
    assert swaks(post, led.address, subject="f1")[0] == 0  # one has room: the alias goes on
    MailboxRoom.objects.filter(pk=rooms[1].pk).update(used_bytes=2 * 1024 * 1024)
    consumers.put()
    status, said = swaks(post, led.address, subject="f2")
    assert status == 24 and "452 4.2.2" in said
    assert swaks(post, led.address.replace("@", "+x@"), subject="f3")[0] == 24


def test_readers_of_an_alias_write_with_it_only_where_it_is_allowed(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "dix")
    other = post.mailbox(beaune, beaune.colleague, "onze")
    led = alias(beaune, "urbanisme", box)
    secret = secret_of(beaune)

    def sent_as(sender: str, subject: str) -> int:
        with submitting(post, box.address, secret) as smtp:
            smtp.mail(sender)
            code, _ = smtp.rcpt(other.address)
            if code == 250:
                code, _ = smtp.data(letter(sender, other.address, subject))
            return code

    assert sent_as(led.address, "e1") == 553
    actions.let_send(actor=beaune.referent, alias=led, sends=True)
    run_pending("main")
    assert sent_as(led.address, "e2") == 250
    assert sent_as(box.address.replace("@", "+site@"), "e3") == 250  # one's own with a detail
    assert sent_as(other.address, "e4") == 553
    post.wait_count(other, 2)


def test_a_catch_all_takes_unknown_addresses_for_a_time_but_never_those_that_are_reserved(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    box, gone = post.mailbox(beaune, beaune.agent, "douze"), post.mailbox(beaune, beaune.colleague, "partie")
    neighbour = post.mailbox(nuits, nuits.agent, "voisin")
    led = alias(beaune, "ancien", box)
    actions.end(actor=beaune.referent, alias=led)
    mail.close_mailbox(actor=SYSTEM, mailbox=gone)
    run_pending("main")
    typo = f"mairrie@{beaune.domain}"
    assert swaks(post, typo, subject="u0")[0] == 24  # off, unless somebody turns it on
    row = actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=box.id)
    run_pending("main")
    assert swaks(post, typo, subject="u1")[0] == 0
    assert swaks(post, typo.replace("@", "+x@"), subject="u2")[0] == 0
    post.wait_count(box, 2)
    for reserved in (gone.address, gone.address.replace("@", "+x@"), led.address):
        assert swaks(post, reserved, subject="u3")[0] == 24
    assert swaks(post, f"mairrie@{nuits.domain}", subject="u4")[0] == 24
    assert swaks(post, neighbour.address, subject="u5")[0] == 0
    post.wait_count(neighbour, 1)
    post.settle(3)
    assert queries.came_through(row) == [(typo, 2)]
    # One press makes it real; the mailbox itself was never caught.
    assert swaks(post, box.address, subject="u6")[0] == 0
    post.wait_count(box, 3)
    # Postfix ends it by itself, without any Python.
    projections.put_aliases(
        post.config,
        MailRoutes(catch_alls=[(beaune.domain, box.address, 1)], reserved=[gone.address]),
    )
    assert swaks(post, typo, subject="u7")[0] == 24
    consumers.put()
    MailboxRoom.objects.create(
        mailbox_id=box.id, collectivite_id=beaune.id, limit_mib=1, used_bytes=2 * 1024 * 1024
    )
    consumers.put()
    assert swaks(post, typo, subject="u8")[0] == 24  # a full mailbox catches nothing


def test_what_is_held_is_on_the_list_of_each_reader_also_with_a_detail(post: Post, beaune: Commune) -> None:
    boxes = [post.mailbox(beaune, beaune.agent, "treize"), post.mailbox(beaune, beaune.colleague, "quatorze")]
    led = alias(beaune, "marches", *boxes)
    post.block("url", "https://pay.evil.example.com/f?x=1", action="quarantine")
    run_pending("main")
    post.wait_gate(1)
    to = led.address.replace("@", "+lot2@")
    assert post.send(lure(to, "h1"), to)[0] == 250
    post.settle(2)
    held = HeldMail.objects.filter(state="held").values_list("mailbox_id", flat=True)
    assert set(held) == {one.id for one in boxes}
    assert [post.count(one) for one in boxes] == [0, 0]


def test_the_webmail_writes_with_an_alias_and_with_a_detail_until_it_is_ended(
    post: Post, beaune: Commune, no_door: None
) -> None:
    box, other = post.mailbox(beaune, beaune.agent, "quinze"), post.mailbox(beaune, beaune.colleague, "seize")
    led = alias(beaune, "culture", box, sends=True)
    client = portal_client(beaune.agent_membership)

    def leave(sender: str) -> Sending:
        form = {"what": "send", "to": other.address, "subject": "x", "text": "x", "tab": "tab-of-a-test"}
        answer = client.post(
            f"/courrier/{box.id}/brouillon/",
            form | {"sender": sender},
            headers={"Accept": "application/json"},
        )
        assert answer.status_code == 200, answer.content
        return Sending.objects.latest("created_at")

    def go(sending: Sending) -> tuple[str, str]:
        Sending.objects.filter(pk=sending.pk).update(due_at=clock.now() - timedelta(seconds=1))
        outgoing.send_due()
        sending.refresh_from_db()
        return sending.state, sending.reason

    written = [led.address, box.address.replace("@", "+site@")]
    for one in written:
        assert go(leave(one)) == ("sent", "")
    post.wait_count(other, 2)
    with reader.open_mailbox(post.config, other.address) as opened:
        assert sorted(one.from_address for one in opened.list()) == sorted(written)
    late = leave(led.address)
    actions.end(actor=beaune.referent, alias=led)
    run_pending("main")
    assert go(late) == ("refused", "sender")
    assert post.count(other) == 2 and post.count(box, "Drafts") == 1
