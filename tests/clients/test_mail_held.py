"""Held mail through the real engines: set aside, released, blocked, withdrawn, taught, told of by mail."""

from __future__ import annotations

import json
import urllib.request
from datetime import datetime, timedelta

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import reader
from beffroi.mail.actions import report_phishing
from beffroi.mail.held import actions, due, following, lessons, notices, workdays
from beffroi.mail.held.models import HeldMail, Lesson, Notice
from beffroi.mail.models import Mailbox, MailDelivery
from beffroi.mail.people import delegations
from beffroi.mail.quota import actions as quota
from beffroi.portal import held_digest
from beffroi.portal.consumers import send_notices
from beffroi.portal.letters import unlinked
from django.test import Client
from imapclient.exceptions import IMAPClientError

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import OTHER_IP, SENDER_IP, Post, Zone, lure, needs_engines, until
from tests.waiting import PATIENCE_S

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SENDER = "contact@papeterie.example.org"
MESSAGE = """\
From: =?utf-8?q?Papeterie_c=C3=B4t=C3=A9_cour?= <{sender}>
To: {to}
Subject: =?utf-8?q?Devis_n=C2=B0_{n}?=
Message-ID: <{n}@papeterie.example.org>
Date: Tue, 24 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Bonjour, voici le devis des ramettes de papier, des enveloppes et des classeurs que la mairie a demandé hier.
Il reste valable trente jours. La livraison est offerte, le bon de commande suffit, merci de votre confiance.
"""


@pytest.fixture(autouse=True)
def strict_domain(mail_zone: Zone) -> None:
    """A domain that asks to set aside what it did not send."""
    if ("papeterie.example.org.", "TXT") not in mail_zone.records:
        mail_zone.add(
            'papeterie.example.org. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"\n'
            '_dmarc.papeterie.example.org. 60 IN TXT "v=DMARC1; p=quarantine"\n'
            "papeterie.example.org. 60 IN A 192.0.2.1"
        )


def receive(post: Post, box: Mailbox, n: int, *, client: str = SENDER_IP) -> None:
    before = MailDelivery.objects.count()
    message = MESSAGE.format(to=box.address, n=n, sender=SENDER)
    assert post.send(message, box.address, sender=SENDER, client=client)[0] == 250
    post.settle(before + 1)


def folders(post: Post, box: Mailbox) -> tuple[int, int]:
    return post.count(box), post.count(box, "Junk")


def test_what_the_filter_sets_aside_is_listed_released_and_taken_back(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    receive(post, box, 1)
    assert folders(post, box) == (0, 1)
    row = HeldMail.objects.get()
    assert (row.reason, row.state, row.collectivite_id) == ("filter", "held", beaune.id)
    client = portal_client(beaune.agent_membership)
    shown = client.get("/retenus/").content.decode()
    assert "Devis n° 1" in shown and "Papeterie côté cour" in shown and SENDER in shown
    assert "l’expéditeur est peut-être usurpé" in shown

    client.post(f"/retenus/{row.id}/liberer/")
    run_pending("remediation")
    assert folders(post, box) == (1, 0)
    client.post(f"/retenus/{row.id}/annuler/")
    run_pending("remediation")
    assert folders(post, box) == (0, 1)


def test_a_released_sender_never_goes_to_junk_again_in_this_mailbox_only(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    other = post.mailbox(beaune, beaune.colleague, "collegue")
    receive(post, box, 1)
    actions.release(actor=beaune.agent, held_id=HeldMail.objects.get().id)
    run_pending("remediation")
    receive(post, box, 2)
    assert folders(post, box) == (2, 0)
    receive(post, box, 3, client=OTHER_IP)  # a forger elsewhere
    assert folders(post, box) == (2, 1)
    receive(post, other, 4)
    assert folders(post, other) == (0, 1)


def test_the_mail_of_a_blocked_sender_goes_to_junk(post: Post, beaune: Commune, box: Mailbox) -> None:
    other = post.mailbox(beaune, beaune.colleague, "collegue")
    receive(post, box, 1)
    row = HeldMail.objects.get()
    actions.block_sender(actor=beaune.agent, held_id=row.id)
    run_pending("remediation")
    assert folders(post, box) == (0, 1)
    mail = MESSAGE.format(to=box.address, n=2, sender=SENDER)
    assert post.send(mail, box.address, other.address, sender=SENDER, client="192.0.2.1")[0] == 250
    post.settle(3)
    assert folders(post, box) == (0, 2)
    assert folders(post, other) == (1, 0)
    assert HeldMail.objects.latest("id").reason == "sender_blocked"
    actions.undo(actor=beaune.agent, held_id=row.id)
    run_pending("remediation")
    mail = MESSAGE.format(to=box.address, n=3, sender=SENDER)
    assert post.send(mail, box.address, sender=SENDER, client="192.0.2.1")[0] == 250
    post.settle(4)
    assert folders(post, box) == (1, 2)


def test_what_a_decision_withdraws_is_listed_and_comes_off_when_it_ends(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    assert post.send(lure(box.address, "1"), box.address)[0] == 250
    post.settle(1)
    assert not HeldMail.objects.exists()
    decision = post.block("domain", "pay.evil.example.com")
    run_pending("remediation")
    row = HeldMail.objects.get()
    assert (row.reason, row.decision_id, row.state) == ("decision", decision.id, "held")
    shown = portal_client(beaune.agent_membership).get("/retenus/").content.decode()
    assert "Facture 1" in shown and "Service comptable" in shown and "Demander une vérification<" in shown
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="x")
    run_pending("remediation")
    assert HeldMail.objects.get().state == "returned"
    assert folders(post, box) == (1, 0)


def test_a_long_withdrawal_is_listed_in_portions(
    post: Post, beaune: Commune, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LISTED_AT_ONCE", 2)
    for n in range(5):
        assert post.send(lure(box.address, f"p{n}"), box.address)[0] == 250
    post.settle(5)
    decision = post.block("domain", "pay.evil.example.com")
    run_pending("remediation")
    assert HeldMail.objects.filter(state="held", decision_id=decision.id).count() == 5
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="x")
    run_pending("remediation")
    assert HeldMail.objects.filter(state="returned").count() == 5


def test_what_its_owner_moves_away_comes_off_the_list(post: Post, box: Mailbox) -> None:
    receive(post, box, 1)
    client = post.imap(box)
    client.select_folder("Junk")
    client.move(client.search("ALL"), "INBOX")
    client.logout()
    with clock.shifted(3600):
        assert following.look() == 1
    assert HeldMail.objects.get().state == "gone"


def learnt(post: Post) -> dict[str, int]:
    """How many mails the classifier has learnt, by kind."""
    with urllib.request.urlopen(
        f"http://127.0.0.1:{post.config.rspamd_controller_port}/stat", timeout=PATIENCE_S
    ) as answer:
        return {one["symbol"]: one["revision"] for one in json.load(answer)["statfiles"]}


def test_releases_blocks_and_reports_teach_rspamd_once_their_undo_is_over(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    before = learnt(post)
    receive(post, box, 1)
    row = HeldMail.objects.get()
    actions.release(actor=beaune.agent, held_id=row.id)
    run_pending("remediation")
    assert lessons.teach() == 0
    with clock.shifted(lessons.WAIT.total_seconds() + 1):
        assert lessons.teach() == 1
        assert lessons.teach() == 0
    assert Lesson.objects.get().state == "taught"
    assert learnt(post) == {**before, "BAYES_HAM": before["BAYES_HAM"] + 1}
    receive(post, box, 2, client=OTHER_IP)
    actions.block_sender(actor=beaune.agent, held_id=HeldMail.objects.get(state="held").id)
    assert post.send(lure(box.address, "1"), box.address)[0] == 250
    post.settle(3)
    reported = MailDelivery.objects.latest("id").message_id
    report_phishing(actor=beaune.agent, mailbox=box, beffroi_id=reported)
    run_pending("remediation")
    with clock.shifted(lessons.WAIT.total_seconds() + 1):
        assert lessons.teach() == 2
    assert learnt(post) == {"BAYES_HAM": before["BAYES_HAM"] + 1, "BAYES_SPAM": before["BAYES_SPAM"] + 2}


def test_a_digest_arrives_by_mail_and_its_link_opens_the_subjects(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    receive(post, box, 1)
    day = workdays.next_working(clock.now().date())
    morning = datetime.combine(day, datetime.min.time(), clock.PLACE) + timedelta(hours=8)
    assert send_digests(morning - timedelta(minutes=1)) == 0
    assert send_digests(morning) == 1
    assert send_digests(morning + timedelta(hours=1)) == 0
    post.wait_count(box, 1)
    post.settle(2)
    with reader.open_mailbox(post.config, box.address) as opened:
        view = opened.read(opened.list()[0].uid)
    assert view.summary.subject == "1 courriel retenu à regarder"
    assert "Devis n° 1" in view.text and SENDER in view.text and "usurpé" in view.text
    one = view.text.split("Libérer\xa0:")[1].split()[0].removeprefix("https://localhost:8443")
    assert "Rien n’est encore fait" in Client().get(one).content.decode()
    assert "<form" in portal_client(beaune.agent_membership).get(one).content.decode().split("<main")[1]
    assert HeldMail.objects.get().state == "held"
    HeldMail.objects.update(seen_at=None)
    link = view.text.split("pendant 7 jours\xa0:")[1].split()[0]
    path = link.removeprefix("https://localhost:8443")
    shown = Client().get(path).content.decode()
    assert "Devis n° 1" in shown and SENDER not in shown
    assert HeldMail.objects.get().seen_at is None
    later = datetime.combine(workdays.next_working(workdays.next_working(day)), morning.time(), clock.PLACE)
    assert [len(one.again) for one in due.due(later)] == [1]


@pytest.mark.parametrize(
    "subject", ["Facture 1", "Payez sur https://pay.evil.example.com/f ou www.evil.example.com"]
)
def test_a_digest_that_names_what_is_blocked_arrives_and_brings_no_link_of_it(
    post: Post, beaune: Commune, box: Mailbox, subject: str
) -> None:
    mail = lure(box.address, "1").replace("Facture 1", subject, 1)
    assert post.send(mail, box.address)[0] == 250
    post.settle(1)
    for name in ("pay.evil.example.com", "evil.example.com"):
        post.block("domain", name)
    run_pending("remediation")
    assert send_digests(eight()) == 1
    post.wait_count(box, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        view = opened.read(opened.list()[0].uid)
    assert view.summary.subject == "1 courriel retenu à regarder"
    for said in (view.text, view.html):
        assert unlinked(subject) in said and "evil[.]example[.]com" in said
        assert "evil.example.com" not in said


def test_a_digest_that_the_mail_door_refuses_keeps_no_other_from_hearing(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = post.mailbox(nuits, nuits.agent, "agent")
    assert box.id < other.id, "the one that is refused comes first"
    for one in (box, other):
        receive(post, one, 1)
    post.block("domain", "evil.example.com")
    links = held_digest._links
    monkeypatch.setattr(
        held_digest,
        "_links",
        lambda mailbox, shown: (
            [("x", "https://evil.example.com/")] if mailbox.id == box.id else links(mailbox, shown)
        ),
    )
    assert send_digests(eight()) == 1
    post.wait_count(other, 1)
    assert HeldMail.objects.get(mailbox_id=box.id).told_at is None


def send_digests(moment: datetime) -> int:
    with clock.shifted((moment - clock.now()).total_seconds()):
        held_digest.ask_due()
        return notices.send_due(held_digest.compose)


def eight() -> datetime:
    """In the morning of the next working day."""
    day = workdays.next_working(clock.now().date())
    return datetime.combine(day, datetime.min.time(), clock.PLACE) + timedelta(hours=8)


def test_a_full_mailbox_keeps_no_other_from_hearing_of_what_is_held_or_lent(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    other = post.mailbox(nuits, nuits.agent, "agent")
    assert box.id < other.id, "the full one comes first"
    for one in (box, other):
        receive(post, one, 1)
    quota.limit_mailbox(actor=Actor.system("tests"), mailbox=box, limit_mib=1)
    run_pending("main")
    client = post.imap(box)
    for size in (100_000, 10_000, 1_000):
        with pytest.raises(IMAPClientError, match="OVERQUOTA"):
            while True:
                client.append("INBOX", b"Subject: x\r\n\r\n" + b"x" * size)
    client.logout()
    day = workdays.next_working(clock.now().date())
    morning = datetime.combine(day, datetime.min.time(), clock.PLACE) + timedelta(hours=8)
    assert send_digests(morning) == 1
    post.wait_count(other, 1)
    assert HeldMail.objects.get(mailbox_id=box.id).told_at is None
    first = clock.now().astimezone(clock.PLACE).date()
    for commune, one in ((beaune, box), (nuits, other)):
        delegations.give(
            actor=commune.referent,
            mailbox=one,
            person_id=commune.colleague.id,
            right="read",
            first=first,
            last=first,
            reason="absente",
        )
    run_pending("main")
    send_notices()
    words = Notice.objects.filter(about="delegation")
    assert [words.get(mailbox_id=one).told_at is None for one in (box.id, other.id)] == [True, False]


def test_both_mailboxes_of_two_communes_keep_their_own_list(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    foreign = post.mailbox(nuits, nuits.agent, "agent")
    message = MESSAGE.format(to=box.address, n=1, sender=SENDER)
    assert post.send(message, box.address, foreign.address, sender=SENDER)[0] == 250
    post.settle(2)
    until(lambda: HeldMail.objects.count() == 2, "two held copies")
    row = HeldMail.objects.get(mailbox_id=box.id)
    assert portal_client(nuits.agent_membership).post(f"/retenus/{row.id}/liberer/").status_code == 404
    actions.release(actor=beaune.agent, held_id=row.id)
    run_pending("remediation")
    assert folders(post, box) == (1, 0) and folders(post, foreign) == (0, 1)


def test_hostile_headings_are_listed_too(post: Post, beaune: Commune, box: Mailbox) -> None:
    """Raw bytes that are no UTF-8, a folded subject, a name that breaks out of its quotes."""
    text = MESSAGE.format(to=box.address, n=1, sender=SENDER)
    head = text.index("From:"), text.index("Message-ID:")
    raw = (
        b'From: "A \\"<b>\xe9" <' + SENDER.encode() + b">\nTo: " + box.address.encode() + b"\n"
        b"Subject: d\xe9lib\xe9ration <script>alert(1)</script>\n =?utf-8?b?w6k=?= \xe2\x80\xaegpj\n"
    )
    message = text[: head[0]].encode() + raw + text[head[1] :].encode()
    assert post.send(message, box.address, sender=SENDER)[0] == 250
    post.settle(1)
    row = HeldMail.objects.get()
    assert row.state == "held"
    shown = portal_client(beaune.agent_membership).get("/retenus/").content.decode()
    assert "&lt;script&gt;alert(1)" in shown and "<script>alert" not in shown and "\u202e" not in shown
    assert SENDER in shown
