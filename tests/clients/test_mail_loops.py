"""Answers that could call for answers: two absences, bounces, mail of our own. Real engines, one mail each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.mail.filters import actions
from beffroi.mail.held import posting
from beffroi.mail.models import Mailbox

from tests.conftest import Commune
from tests.mail_post import Post, needs_engines
from tests.submitting import secret_of, submitting

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


@pytest.fixture
def box(post: Post, beaune: Commune) -> Mailbox:
    return post.mailbox(beaune, beaune.agent, "mairie")


@pytest.fixture
def other(post: Post, nuits: Commune) -> Mailbox:
    return post.mailbox(nuits, nuits.agent, "mairie")


@pytest.fixture
def communes(beaune: Commune, nuits: Commune) -> tuple[Commune, Commune]:
    return beaune, nuits


def away(box: Mailbox, actor: Actor) -> None:
    today = clock.now().astimezone(PLACE).date()
    actions.set_absence(
        actor=actor,
        mailbox=box,
        first=today,
        last=today + timedelta(days=3),
        text="Absente jusqu’à lundi.",
        every_days=1,
    )
    run_pending("main")


def write(post: Post, commune: Commune, sender: Mailbox, to: Mailbox, subject: str) -> None:
    with submitting(post, sender.address, secret_of(commune)) as smtp:
        text = (
            f"From: {sender.address}\nTo: {to.address}\nSubject: {subject}\n\nBonjour, merci de votre avis.\n"
        )
        smtp.sendmail(sender.address, [to.address], text)


def test_two_absences_answer_each_other_no_second_time(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, other: Mailbox
) -> None:
    away(box, beaune.agent)
    away(other, nuits.agent)
    write(post, beaune, box, other, "Reunion")
    post.wait_count(box, 1)  # the answer of the one
    asking = post.mailbox(beaune, beaune.agent, "temoin")
    write(post, beaune, asking, box, "Une question")
    # An answer to this, which came later: whatever answers an answer was there before.
    post.wait_count(asking, 1)
    assert (post.count(box), post.count(other)) == (2, 1)


@pytest.mark.parametrize("is_report", [False, True], ids=["null sender", "bounce"])
def test_what_nobody_wrote_is_not_answered(
    post: Post, communes: tuple[Commune, Commune], box: Mailbox, other: Mailbox, is_report: bool
) -> None:
    beaune, nuits = communes
    away(box, beaune.agent)
    head = f"From: {other.address}\nTo: {box.address}\nSubject: Retour\nMessage-ID: <1@x.example>\n"
    if is_report:
        head += "Content-Type: multipart/report; report-type=delivery-status; boundary=b1\n"
        text = (
            head
            + "\n--b1\n\nNon remis.\n--b1\nContent-Type: message/delivery-status\n\nAction: failed\n--b1--\n"
        )
    else:
        text = head + "\nBonjour, merci de votre reponse.\n"
    assert post.send(text, box.address, sender="")[0] == 250
    post.wait_count(box, 1)
    write(post, nuits, other, box, "Une question")
    post.wait_count(other, 1)  # the only answer, and it came after
    assert post.count(box) == 2


def test_our_own_mail_is_not_answered(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, other: Mailbox
) -> None:
    away(box, beaune.agent)
    own = posting.compose(post.config, to=box.address, subject="Retenus", text="Un.", html="<p>Un.</p>")
    posting.post(post.config, own, box.address)
    post.wait_count(box, 1)
    write(post, nuits, other, box, "Une question")
    post.wait_count(other, 1)  # the only answer, and it came after
    assert post.count(box) == 2
    log = (post.config.log / "postfix.log").read_text()
    assert f"to=<beffroi@{post.config.mail_name}>" not in log
