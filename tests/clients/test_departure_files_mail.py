"""Who is handed the files of somebody who left reads of it in a mail, once: real Postfix, rspamd and Dovecot."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.drive.handover import hand_over
from beffroi.drive.store import handovers
from beffroi.drive.store.passed import Going
from beffroi.lib import clock
from beffroi.mail.held.models import Notice
from beffroi.mail.held.posting import MailNotTaken
from beffroi.mail.models import Mailbox
from beffroi.portal.consumers import send_notices
from django.conf import settings
from django.db import transaction

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.fixtures_calendars import event
from tests.integration.test_departure_calendars import Own
from tests.mail_post import Post, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


@pytest.fixture
def box(post: Post, beaune: Commune) -> Mailbox:
    return post.mailbox(beaune, beaune.agent, "mairie")


@pytest.fixture
def theirs(post: Post, beaune: Commune) -> Drive:
    """The Coffre of the colleague, who left."""
    made = Drive(beaune.colleague_membership)
    made.file("délibération.pdf", made.folder("Conseil"))
    identity.end_access(actor=beaune.referent, membership=beaune.colleague_membership)
    return made


def ask(commune: Commune, theirs: Drive, going: Sequence[Going] = ()) -> int:
    """Hand all of it over; return the folder that the files come to."""
    return hand_over(
        actor=commune.referent,
        database=theirs.database,
        collectivite_id=commune.id,
        person_id=commune.colleague.id,
        heir=commune.agent.id,
        label="Fichiers de Jeanne",
        going=going,
    ).folder


def hear() -> None:
    while run_pending("main"):
        pass
    send_notices()


def test_the_heir_reads_where_the_files_are_and_no_name_of_one(
    committed: str, post: Post, theirs: Drive, beaune: Commune, box: Mailbox
) -> None:
    folder = ask(beaune, theirs)
    hear()
    post.wait_count(box, 1)
    (mail,) = post.mails(box)
    assert mail["Subject"] == "Ce qu’un collègue a laissé vous est remis" and mail["To"] == box.address
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert beaune.colleague_membership.person.name in text and f"/coffre/{folder}/" in text
    assert "délibération" not in mail.as_string() and "Conseil" not in text
    with transaction.atomic():  # an event that comes twice tells nothing
        told = {"person_id": beaune.colleague.id, "by": beaune.referent.id}
        publish(handovers.DUE, told, collectivite_id=beaune.id)
    hear()
    assert post.count(box) == 1


def test_the_heir_of_calendars_alone_reads_where_they_are(
    committed: str, post: Post, beaune: Commune, box: Mailbox
) -> None:
    identity.end_access(actor=beaune.referent, membership=beaune.colleague_membership)
    Own(settings.BEFFROI, beaune.id, beaune.colleague.id).put(
        "agenda", "a.ics", event("a", "Rendez-vous Petit")
    )
    going = [Going("agenda", "agenda", "Agenda de Jeanne", 1, 300)]
    assert ask(beaune, Drive(beaune.colleague_membership), going) == 0
    hear()
    post.wait_count(box, 1)
    (mail,) = post.mails(box)
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "1 rendez-vous" in text and "/agenda/" in text
    assert "fichiers" not in text and "Petit" not in mail.as_string()


def test_a_mail_that_postfix_does_not_take_is_tried_again(
    committed: str, post: Post, theirs: Drive, beaune: Commune, box: Mailbox
) -> None:
    ask(beaune, theirs)
    post.engines.kill("postfix")
    with pytest.raises(MailNotTaken):
        hear()
    post.engines.start("postfix")

    def retried() -> bool:
        Notice.objects.update(due_at=clock.now())
        send_notices()
        return post.count(box) == 1

    until(retried, "the mail")
