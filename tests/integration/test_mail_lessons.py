"""Who teaches the filter what, and how much of it."""

from __future__ import annotations

import pytest
from beffroi.lib import clock
from beffroi.mail.actions import report_phishing
from beffroi.mail.held import actions, lessons
from beffroi.mail.held.models import Lesson
from beffroi.mail.models import Mailbox, MailDelivery

from tests.conftest import Commune
from tests.fixtures_held import hold
from tests.fixtures_portal import no_door, own_mailbox

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


def test_a_block_of_what_the_filter_set_aside_teaches_and_its_undo_takes_that_back(
    beaune: Commune, box: Mailbox
) -> None:
    row = hold(box)
    actions.block_sender(actor=beaune.agent, held_id=row.id)
    lesson = Lesson.objects.get()
    assert (lesson.wanted, lesson.state, lesson.person_id) == (False, "queued", beaune.agent.id)
    actions.undo(actor=beaune.agent, held_id=row.id)
    assert Lesson.objects.get().state == "withdrawn"
    actions.release(actor=beaune.agent, held_id=row.id)
    lesson = Lesson.objects.get()
    assert (lesson.wanted, lesson.state) == (True, "queued"), "one lesson for a mail: the last word"


def test_a_report_teaches_once_for_a_mail(beaune: Commune, box: Mailbox) -> None:
    message_id = hold(box).message_id
    MailDelivery.objects.create(
        message_id=message_id,
        mailbox_id=box.id,
        collectivite_id=box.collectivite_id,
        folder="Junk",
        delivered_at=clock.now(),
    )
    for _ in range(3):
        report_phishing(actor=beaune.agent, mailbox=box, beffroi_id=message_id)
    lesson = Lesson.objects.get()
    assert (lesson.wanted, lesson.state, lesson.message_id) == (False, "queued", message_id)


def test_one_person_teaches_so_many_mails_a_day(beaune: Commune, box: Mailbox) -> None:
    def word(number: int, person: str = "per_a") -> bool:
        return lessons.queue(mailbox=box, message_id=f"msg_{number}", person_id=person, wanted=False)

    assert [word(number) for number in range(lessons.PERSON_DAY + 1)] == [True] * lessons.PERSON_DAY + [False]
    assert word(0) and Lesson.objects.count() == lessons.PERSON_DAY, "the same word again is no new one"
    assert word(99, "per_b")
    with clock.shifted(86401):
        assert word(100)


def test_one_commune_does_not_teach_the_others_alone(beaune: Commune, nuits: Commune, box: Mailbox) -> None:
    other = own_mailbox(nuits)

    def word(mailbox: Mailbox, number: int, *, wanted: bool = False) -> bool:
        return lessons.queue(
            mailbox=mailbox, message_id=f"msg_{number}", person_id=f"per_{number}", wanted=wanted
        )

    assert sum(word(box, number) for number in range(60)) == lessons.ALWAYS
    assert word(box, 61, wanted=True), "of the other kind it has said nothing yet"
    Lesson.objects.bulk_create(
        Lesson(
            mailbox_id=f"mbx_{number}",
            collectivite_id=f"col_{number}",
            message_id="m",
            wanted=False,
            state="taught",
        )
        for number in range(lessons.ALWAYS * lessons.SHARE)
    )
    assert sum(word(box, number) for number in range(100, 160)) == lessons.ALWAYS // lessons.SHARE
    assert word(other, 200)
