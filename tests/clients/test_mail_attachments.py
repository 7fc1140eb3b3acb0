"""Attached files through the real engines: what is held and why, what passes, release, hand-over, policy, sweep."""

from __future__ import annotations

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.mail.held import actions
from beffroi.mail.held.models import HeldMail, Lesson, SenderRule
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage
from beffroi.mail.safety import actions as safety

from tests import mail_files, mail_shapes
from tests.conftest import Commune
from tests.mail_post import Post, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def receive(post: Post, box: Mailbox, name: str, content: bytes) -> None:
    before = MailDelivery.objects.count()
    assert post.send(mail_files.letter(name, content, to=box.address), box.address)[0] == 250
    post.settle(before + 1)


def test_each_risky_file_is_held_with_its_reason_and_each_harmless_one_arrives(
    post: Post, box: Mailbox
) -> None:
    for name, content in mail_files.HARMLESS.items():
        receive(post, box, name, content)
    assert not HeldMail.objects.exists(), HeldMail.objects.values_list("findings", flat=True)
    post.wait_count(box, len(mail_files.HARMLESS))
    found = {}
    for name, (content, _) in mail_files.HELD.items():
        receive(post, box, name, content)
        row = HeldMail.objects.latest("id")
        found[name] = row.findings
        assert (row.reason, row.state) == ("content", "held")
        row.delete()
    assert found == {name: codes for name, (_, codes) in mail_files.HELD.items()}
    assert post.count(box) == len(mail_files.HARMLESS)
    assert post.count(box, "Junk") == 0


def test_the_owner_releases_a_macro_and_takes_it_back(post: Post, beaune: Commune, box: Mailbox) -> None:
    receive(post, box, "budget.docm", mail_files.HELD["budget.docm"][0])
    row = HeldMail.objects.get()
    actions.release(actor=beaune.agent, held_id=row.id)
    run_pending("remediation")
    post.wait_count(box, 1)
    # A file says nothing about its sender's other mail.
    assert not SenderRule.objects.exists() and not Lesson.objects.exists()
    actions.undo(actor=beaune.agent, held_id=row.id)
    run_pending("remediation")
    post.wait_count(box, 0)
    assert post.count(box, "Junk") == 0


def test_a_program_is_handed_over_by_the_departement_alone(post: Post, beaune: Commune, box: Mailbox) -> None:
    receive(post, box, "outil.exe", mail_files.EXE)
    row = HeldMail.objects.get()
    with pytest.raises(actions.HeldForProgram):
        actions.release(actor=beaune.agent, held_id=row.id)
    actions.hand_over(actor=Actor.system("tests"), held_id=row.id)
    run_pending("remediation")
    post.wait_count(box, 1)


def test_what_a_collectivite_lets_pass_arrives_there_and_not_next_door(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    other = post.mailbox(nuits, nuits.agent, "agent")
    safety.set_policy(actor=beaune.referent, allowed=["macro"])
    run_pending("main")
    content = mail_files.HELD["budget.docm"][0]
    receive(post, box, "budget.docm", content)
    post.wait_count(box, 1)
    receive(post, other, "budget-2.docm", content)
    assert HeldMail.objects.get().mailbox_id == other.id
    # One mail to both is one verdict: the stricter rule holds it.
    mail = mail_files.letter("budget-3.docm", content, to=box.address)
    assert post.send(mail, box.address, other.address)[0] == 250
    post.settle(4)
    assert post.count(box) == 1 and HeldMail.objects.count() == 3


def test_a_mail_that_passed_while_the_door_was_away_is_held_by_the_sweep(post: Post, box: Mailbox) -> None:
    post.engines.kill("mailgate")
    mail = mail_files.letter("outil.exe", mail_files.EXE, to=box.address)
    assert post.send(mail, box.address)[0] == 250
    post.wait_count(box, 1)
    assert not MailMessage.objects.exists()
    post.engines.start("mailgate")
    post.settle(1)
    until(lambda: post.count(box) == 0, "the copy in quarantine")
    assert HeldMail.objects.get().findings == "program"


def test_what_a_decision_held_besides_is_still_held_for_its_file_when_the_decision_ends(
    post: Post, box: Mailbox
) -> None:
    receive(post, box, "outil.exe", mail_files.EXE)
    decision = post.block("sender", "billing@sender.example.net")
    run_pending("remediation")
    assert HeldMail.objects.get().reason == "decision"
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="a mistake")
    run_pending("remediation")
    row = HeldMail.objects.get()
    assert (row.reason, row.findings, row.state) == ("content", "program", "held")
    assert (post.count(box), post.count(box, "Junk")) == (0, 0)


def test_a_file_that_only_one_program_finds_or_names_so_is_held(post: Post, box: Mailbox) -> None:
    shapes = [*mail_shapes.HARMLESS.values(), *mail_shapes.HELD.values()]
    for number, shape in enumerate(shapes):
        assert post.send(mail_shapes.letter(shape, to=box.address, number=number), box.address)[0] == 250
    post.settle(len(shapes))
    with post.imap(box) as client:
        client.select_folder("INBOX", readonly=True)
        rows = client.fetch(client.search(), ["ENVELOPE"]).values()
    shown = {int(row[b"ENVELOPE"].subject.split()[1]) for row in rows}
    harmless = set(range(len(mail_shapes.HARMLESS)))
    assert [list(mail_shapes.HELD)[n - len(mail_shapes.HARMLESS)] for n in shown - harmless] == []
    assert shown == harmless
    assert HeldMail.objects.count() == len(mail_shapes.HELD)


def test_a_sender_whom_two_programs_read_differently_is_held(post: Post, box: Mailbox) -> None:
    names = [*mail_shapes.CLEAR, *mail_shapes.SENDERS.values()]
    for number, name in enumerate(names):
        assert post.send(mail_shapes.signed(name, to=box.address, number=number), box.address)[0] == 250
    detailed = mail_shapes.signed(
        "Lettre <{me}>", to=box.address, number=99, me="billing+lettre@sender.example.net"
    )
    assert post.send(detailed, box.address)[0] == 250
    post.settle(len(names) + 1)
    with post.imap(box) as client:
        client.select_folder("INBOX", readonly=True)
        found = [row[b"ENVELOPE"] for row in client.fetch(client.search(), ["ENVELOPE"]).values()]
    # The one who is shown is the one who was proved.
    assert {(one.from_[0].mailbox, one.from_[0].host) for one in found} == {
        (b"billing", b"sender.example.net"),
        (b"billing+lettre", b"sender.example.net"),
    }
    assert len(found) == len(mail_shapes.CLEAR) + 1
    assert set(HeldMail.objects.values_list("findings", flat=True)) == {"unparseable"}
