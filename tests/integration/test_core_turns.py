"""Nothing lies for as long as the clock was ahead, once it is set right."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.models import Approval
from beffroi.core.events.running import whole
from beffroi.core.identity.actor import Actor
from beffroi.drive.seals import actions as seals
from beffroi.leaving import erasing
from beffroi.leaving import queries as leaving
from beffroi.leaving.models import CommuneErasure
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import actions as mail
from beffroi.mail import deleted, outgoing, sendings
from beffroi.mail.closing import children as closing_children
from beffroi.mail.closing import erasing as erasing_mail
from beffroi.mail.closing import erasures
from beffroi.mail.closing import queries as closing
from beffroi.mail.closing.erasing import Inventory
from beffroi.mail.closing.models import Erasure, Export
from beffroi.mail.held import lessons, notices
from beffroi.mail.held.models import Lesson, Notice
from beffroi.mail.importing import children
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.models import Mailbox, Sending
from beffroi.mail.quota.models import MailboxRoom
from django.db import IntegrityError

from tests.conftest import Commune
from tests.fixtures_portal import own_mailbox

pytestmark = pytest.mark.django_db
AHEAD_S = 40 * 86400


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


def ahead(seconds: float = 0) -> datetime:
    """What a program writes for ``seconds`` later while the clock is ahead."""
    with clock.jumped(AHEAD_S):
        return clock.now() + timedelta(seconds=seconds)


def sending(box: Mailbox, state: str, **times: datetime) -> Sending:
    return Sending.objects.create(
        mailbox_id=box.id,
        collectivite_id=box.collectivite_id,
        person_id=box.person_id,
        uid=1,
        **{"uid_validity": 1, "message_id_hash": "0" * 64, "state": state, "due_at": clock.now(), **times},
    )


def test_a_mail_that_was_sent_while_the_clock_was_ahead_leaves_once_it_is_set_right(box: Mailbox) -> None:
    one = sending(box, Sending.State.WAITING, due_at=ahead(sendings.UNDO_S))
    assert [claimed.id for claimed in sendings.claim()] == [one.id]


def test_a_mail_of_this_moment_waits_for_its_undo_and_its_pause(box: Mailbox) -> None:
    one = sending(box, Sending.State.WAITING, due_at=clock.now() + timedelta(seconds=sendings.UNDO_S))
    assert not sendings.claim()
    Sending.objects.update(due_at=clock.now() + timedelta(seconds=outgoing.LONGEST_PAUSE_S))
    assert not sendings.claim()
    assert one.state == Sending.State.WAITING


@pytest.mark.parametrize("state", [Sending.State.SENDING, Sending.State.ACCEPTED])
def test_a_mail_that_was_left_behind_while_the_clock_was_ahead_is_taken_up(
    box: Mailbox, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    for name in ("_file", "_refused"):
        monkeypatch.setattr(outgoing, name, lambda one, *_args: taken.append(one.id))
    one = sending(box, state, changed_at=ahead())
    outgoing.take_up_what_was_left()
    assert taken == [one.id]
    Sending.objects.update(changed_at=clock.now() + timedelta(seconds=1))
    outgoing.take_up_what_was_left()
    assert taken == [one.id], "another process is at it"


def test_exports_and_erasures_go_on(box: Mailbox) -> None:
    rows = {"mailbox_id": box.id, "collectivite_id": box.collectivite_id}
    export = Export.objects.create(**rows, asked_by="tests", next_run_at=ahead(60))
    assert closing.due_exports().get() == export
    Export.objects.update(next_run_at=clock.now() + timedelta(seconds=60))
    assert not closing.due_exports().exists()
    state = Erasure.State.GRANTED
    erasure = Erasure.objects.create(
        **rows, approval_id="-", asked_by="tests", state=state, due_at=clock.now(), next_run_at=ahead(60)
    )
    assert closing.due_erasures(clock.now()).get() == erasure
    Erasure.objects.update(next_run_at=clock.now() + timedelta(seconds=60))
    assert not closing.due_erasures(clock.now()).exists()
    Erasure.objects.update(next_run_at=ahead(60), due_at=ahead(60))
    assert not closing.due_erasures(clock.now()).exists(), "the time to call it back is no pause"


def test_a_clock_that_jumped_leaves_the_day_in_which_an_erasure_is_called_back(
    box: Mailbox, config: Config
) -> None:
    clock.paced()
    granted = Erasure.objects.create(
        mailbox_id=box.id, collectivite_id=box.collectivite_id, approval_id="-", asked_by="tests",
        state=Erasure.State.GRANTED, due_at=clock.now() + timedelta(days=1), next_run_at=clock.now(),
    )  # fmt: skip
    with clock.jumped(2 * 86400):
        assert not closing_children.step()
        closing_children.work(config, clock.paced_now())
        granted.refresh_from_db()
        assert granted.state == Erasure.State.GRANTED
        with clock.shifted(clock.BELIEVED_AFTER_S + 60):
            assert closing.due_erasures(clock.paced_now()).get() == granted


def test_the_erasure_of_a_collectivite_goes_on(beaune: Commune) -> None:
    now = clock.now()
    erasure = CommuneErasure.objects.create(
        collectivite_id=beaune.id,
        approval_id="-",
        asked_by="tests",
        state="erasing",
        due_at=now,
        next_run_at=ahead(60),
    )
    assert leaving.due_erasures(now).get() == erasure
    CommuneErasure.objects.update(next_run_at=now + timedelta(seconds=60))
    assert not leaving.due_erasures(now).exists()


def test_an_import_goes_on(box: Mailbox) -> None:
    now = clock.now()
    job = ImportJob.objects.create(
        mailbox_id=box.id,
        collectivite_id=box.collectivite_id,
        asked_by=box.person_id,
        state="running",
        host="imap.orange.fr",
        tls="implicit",
        next_run_at=ahead(3600),
    )
    assert children.due(now).get() == job
    ImportJob.objects.update(next_run_at=now + timedelta(hours=24))
    assert not children.due(now).exists(), "the day of its provider is over"


def test_what_is_to_be_said_is_said(box: Mailbox) -> None:
    notices.ask("tests", "1", [box])
    Notice.objects.update(due_at=ahead(60), asked_at=ahead())
    asked: list[str] = []
    notices.send_due(lambda notice, _mailbox: asked.append(notice.ref))
    assert asked == ["1"]


def test_a_lesson_is_taught(box: Mailbox) -> None:
    Lesson.objects.create(mailbox_id="-", collectivite_id="-", message_id="-", queued_at=ahead())
    lessons.teach()
    assert Lesson.objects.get().state == Lesson.State.FAILED, "its mailbox is gone: it was looked at"


def test_what_was_deleted_goes(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    Mailbox.objects.filter(pk=box.id).update(ready_at=clock.now())
    MailboxRoom.objects.create(pk=box.id, purged_at=ahead())
    monkeypatch.setattr("beffroi.core.retention.rules.doubt", lambda *_args, **_named: "")
    monkeypatch.setattr(deleted, "Doveadm", lambda _config: type("D", (), {"run_groups": lambda *_: None})())
    assert deleted.purge() == 1
    assert deleted.purge() == 0, "its day is not over"


def test_an_erasure_of_a_collectivite_that_the_database_refuses_keeps_no_other_from_its_turn(
    beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    for commune in (beaune, nuits):
        CommuneErasure.objects.create(
            collectivite_id=commune.id,
            approval_id="-",
            asked_by="tests",
            state="erasing",
            due_at=now,
            next_run_at=now,
        )
    tried: list[str] = []

    def refused(erasure: CommuneErasure) -> None:
        tried.append(erasure.collectivite_id)
        raise IntegrityError("a row of somebody else")

    monkeypatch.setattr(erasing, "run", refused)
    whole(erasing.work())
    assert sorted(tried) == sorted([beaune.id, nuits.id])
    assert not leaving.due_erasures(now).exists(), "tried again later"


def test_an_elimination_that_was_granted_by_then_and_not_carried_out_is_asked_for_anew(
    beaune: Commune, administrator: Actor
) -> None:
    Approval.objects.create(
        verb=seals.VERB,
        subject_id="seal_x",
        collectivite_id=beaune.id,
        state=Approval.State.GRANTED,
        requested_by="tests",
        requested_at=ahead(),
        decided_at=ahead(60),
        expires_at=ahead(seals.VALID_S),
    )
    assert not seals.is_under_way(seals.elimination_of(beaune.referent, "seal_x"))
    asked = approvals.request(
        actor=beaune.referent, verb=seals.VERB, subject_id="seal_x", payload={}, collectivite_id=beaune.id
    )
    assert seals.elimination_of(beaune.referent, "seal_x") == asked, (
        "the one that waits for its second person"
    )
    approvals.approve(actor=administrator, approval=asked)
    found = seals.elimination_of(beaune.referent, "seal_x")
    assert found == asked and seals.is_under_way(found)


def test_a_mailbox_that_was_closed_by_then_goes_with_its_collectivite(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing_mail, "inventory", lambda _mailbox: Inventory(3, 1, 0, 4096, "ab" * 32))
    monkeypatch.setattr(erasing_mail, "_finish", lambda _erasure: None)
    Mailbox.objects.filter(pk=box.pk).update(closed_at=ahead())
    approval = Approval.objects.create(
        verb="tests", subject_id="-", requested_by="tests", expires_at=clock.now()
    )
    said = {"approval_id": approval.id, "asked_by": "tests", "decided_by": "others", "visa": "AD21"}
    for _ in range(2):
        erasures.granted_with_all(box.collectivite_id, **said)
        for one in closing.due_erasures(clock.now()):
            erasing_mail.run(one)
    assert Erasure.objects.get().state == Erasure.State.ERASING, "begun once, and not called back each minute"


def test_an_erasure_that_was_asked_for_by_then_is_over_once_its_mailbox_is_opened_again(
    box: Mailbox, beaune: Commune, administrator: Actor
) -> None:
    system = Actor.system("tests")
    mail.close_mailbox(actor=system, mailbox=box)
    with clock.jumped(AHEAD_S):
        erasure = erasures.ask(actor=beaune.referent, mailbox=box)
    mail.reopen_mailbox(actor=system, mailbox=box)
    erasures.reopened(box.id, at=clock.now())
    mail.close_mailbox(actor=system, mailbox=box)
    erasure.refresh_from_db()
    assert erasure.state == Erasure.State.WITHDRAWN, (
        "it is closed since a moment, and is kept for thirty days"
    )
