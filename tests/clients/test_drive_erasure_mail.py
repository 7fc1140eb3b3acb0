"""The Coffre of a commune is to be erased, and who answers for the commune reads of it in a mail: real Postfix, rspamd
and Dovecot."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage

import pytest
from beffroi.core.approvals.models import Approval
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import create_administrator
from beffroi.drive import erasures
from beffroi.lib import clock
from beffroi.mail.held.models import Notice
from beffroi.mail.held.posting import MailNotTaken
from beffroi.mail.models import Mailbox
from beffroi.portal.consumers import send_notices

from tests.conftest import PASSWORD, Commune, make_member
from tests.mail_post import Post, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


@pytest.fixture
def granted(committed: str, system: Actor, administrator: Actor, beaune: Commune) -> Callable[[], Approval]:
    other = create_administrator(actor=system, email="bea@cotedor.test", name="Béa", password=PASSWORD)
    second = Actor("administrator", other.record.id, None, "administrator")

    def grant() -> Approval:
        asked = erasures.request(actor=administrator, collectivite=beaune.collectivite, reason="Elle part")
        erasures.grant(actor=second, approval=asked)
        return asked

    return grant


@pytest.fixture
def boxes(post: Post, system: Actor, beaune: Commune, nuits: Commune) -> dict[str, Mailbox]:
    mayor = make_member(system, beaune.collectivite, "maire@beaune.test", "elu")
    actor = Actor("person", mayor.person_id, beaune.id, "elu")
    return {
        "referent": post.mailbox(beaune, beaune.referent, "referente"),
        "elu": post.mailbox(beaune, actor, "maire"),
        "agent": post.mailbox(beaune, beaune.agent, "mairie"),
        "neighbour": post.mailbox(nuits, nuits.referent, "referent"),
    }


def work() -> None:
    while run_pending("main"):
        pass
    send_notices()


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    found: str = body.get_content()
    return found


def test_who_answers_for_the_commune_reads_of_it_and_of_its_end(
    post: Post, administrator: Actor, granted: Callable[[], Approval], boxes: dict[str, Mailbox]
) -> None:
    approval = granted()
    work()
    for who in ("referent", "elu"):
        post.wait_count(boxes[who], 1)
    erasures.call_back(actor=administrator, approval=approval)
    work()
    for who in ("referent", "elu"):
        post.wait_count(boxes[who], 2)
        first, second = sorted(post.mails(boxes[who]), key=lambda one: "annulé" in text_of(one))
        assert first["Subject"] == "Tout le Coffre sera effacé" and first["To"] == boxes[who].address
        assert first["Auto-Submitted"] == "auto-generated"
        assert "Beaune sera effacé le " in text_of(first) and "/coffre/" in text_of(first)
        assert second["Subject"] == "Le Coffre ne sera pas effacé"
        assert "Rien n’a été effacé" in text_of(second)
        for private in ("Elle part", administrator.id, "Béa"):
            assert private not in first.as_string() + second.as_string()
    assert post.count(boxes["agent"]) == post.count(boxes["neighbour"]) == 0


def test_what_is_called_back_before_the_worker_came_is_not_told_as_if_it_stood(
    post: Post, administrator: Actor, granted: Callable[[], Approval], boxes: dict[str, Mailbox]
) -> None:
    erasures.call_back(actor=administrator, approval=granted())
    work()
    post.wait_count(boxes["referent"], 1)
    (only,) = post.mails(boxes["referent"])
    assert only["Subject"] == "Le Coffre ne sera pas effacé"


def test_a_mail_that_postfix_does_not_take_is_tried_again_and_nobody_reads_it_twice(
    post: Post, granted: Callable[[], Approval], boxes: dict[str, Mailbox]
) -> None:
    granted()
    post.engines.kill("postfix")
    with pytest.raises(MailNotTaken):
        work()
    post.engines.start("postfix")

    def retried() -> bool:
        Notice.objects.update(due_at=clock.now())
        send_notices()
        return post.count(boxes["referent"]) == 1 and post.count(boxes["elu"]) == 1

    until(retried, "the mails")
    send_notices()
    assert post.count(boxes["referent"]) == post.count(boxes["elu"]) == 1
