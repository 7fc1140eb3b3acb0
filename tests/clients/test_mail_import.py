"""A whole old mailbox moves: from a real second Dovecot, cut in the middle, without loss and without a duplicate.

1,000 mails; BEFFROI_IMPORT_MAILS=5000 for the full size, with the figure printed (-s).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.mail import child_process, journal
from beffroi.mail.importing import actions, letters, queries, runner, target
from beffroi.mail.importing.letters import Letter
from beffroi.mail.importing.models import ImportFailure, ImportFolder, ImportJob
from beffroi.mail.importing.source import Where
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, MailObservation, PendingDelivery

from tests import old_provider
from tests.conftest import Commune
from tests.fixtures_import import (
    WHERE,
    Talker,
    asked,
    chosen,
    finish,
    office,
    provider,
    running_provider,
    wire,
)
from tests.mail_post import Post, needs_engines, until
from tests.old_provider import PASSWORD, USER, OldProvider, Wire

__all__ = ["office", "provider", "running_provider", "wire"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines

MAILS = int(os.environ.get("BEFFROI_IMPORT_MAILS", "1000"))
BY_WIRE = replace(WHERE, port=old_provider.WIRE_PORT)
State = ImportJob.State


Row = tuple[bytes, int, tuple[bytes, ...]]


def content(post: Post, mailbox: Mailbox, folder: str) -> list[Row]:
    """Subject, date and flags of each mail in a folder of the new mailbox."""
    client = post.imap(mailbox)
    client.normalise_times = False
    try:
        client.select_folder(folder, readonly=True)
        rows = client.fetch(client.search(), ["FLAGS", "INTERNALDATE", "ENVELOPE"]) if client.search() else {}
        return sorted(
            (
                one[b"ENVELOPE"].subject,
                int(one[b"INTERNALDATE"].timestamp()),
                tuple(sorted(flag for flag in one[b"FLAGS"] if flag != b"\\Recent")),
            )
            for one in rows.values()
        )
    finally:
        client.logout()


def expected(folder: str, count: int) -> list[Row]:
    names = {"F": b"\\Flagged", "R": b"\\Answered", "S": b"\\Seen"}
    return sorted(
        (
            f"Objet {folder.encode().hex()}.{number}".encode(),
            old_provider.received_s(number),
            tuple(sorted(names[letter] for letter in old_provider.flags_of(number))),
        )
        for number in range(count)
    )


def shares() -> dict[str, int]:
    return {
        "INBOX": MAILS * 6 // 10,
        "Envoyés": MAILS * 2 // 10,
        "Urbanisme/Permis 2020": MAILS // 10,
        "Corbeille": MAILS - MAILS * 6 // 10 - MAILS * 2 // 10 - MAILS // 10,
    }


GOES_TO = {
    "INBOX": "INBOX",
    "Envoyés": "Sent",
    "Urbanisme/Permis 2020": "Urbanisme/Permis 2020",
    "Corbeille": "Trash",
}


def test_folders_are_listed_with_counts_and_where_they_go(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 3, "Envoyés": 2, "Corbeille": 1})
    job = asked(beaune, office.mailbox(beaune, beaune.agent, "agent"))
    assert job.state == State.READY
    found = {(one.name, one.target, one.total, one.chosen) for one in job.folders.all()}
    assert found >= {
        ("INBOX", "INBOX", 3, True),
        ("Envoyés", "Sent", 2, True),
        ("Corbeille", "Trash", 1, False),
    }
    assert job.folders.all()[0].name == "INBOX"


def test_a_mailbox_moves_whole_through_a_kill_and_cut_wires_and_a_second_import_brings_nothing(
    office: Post, provider: OldProvider, wire: Wire, beaune: Commune, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.fill(shares())
    box = office.mailbox(beaune, beaune.agent, "agent")
    before = MailMessage.objects.count(), MailObservation.objects.count()
    job = chosen(beaune, box, BY_WIRE)

    # The process is killed in the middle of it, twice.
    began = time.monotonic()
    for fifths in (1, 2):
        child = child_process.start(office.config, "import", job.id)
        until(lambda: queries.progress(job).dealt_with >= MAILS * fifths // 5, "some fifths are copied")  # noqa: B023
        child.send_signal(signal.SIGKILL)
        child.wait()
    at_kill = queries.progress(job).dealt_with
    assert at_kill < MAILS

    # The wire is cut three times, each time a little after it was connected again.
    wire.cut_after_bytes, wire.cuts_left = 900_000, 3
    finish(job)
    took_s = time.monotonic() - began
    assert wire.cuts_left == 0
    assert job.state == State.DONE and job.password == "" and job.error == ""
    told = queries.progress(job)
    assert (told.dealt_with, told.failed, told.total) == (MAILS, 0, MAILS)
    for folder, count in shares().items():
        assert content(office, box, GOES_TO[folder]) == expected(folder, count), folder

    # A second import, which remembers nothing of the first, knows every mail.
    again = chosen(beaune, box)
    began = time.monotonic()
    finish(again)
    again_s = time.monotonic() - began
    told = queries.progress(again)
    assert (told.copied, told.present, told.failed) == (0, MAILS, 0)
    assert sum(len(content(office, box, target)) for target in GOES_TO.values()) == MAILS

    # It is no delivery: nothing that counts mail heard of it.
    journal.follow()
    assert (MailMessage.objects.count(), MailObservation.objects.count()) == before
    assert MailDelivery.objects.count() == PendingDelivery.objects.count() == 0
    with capsys.disabled():
        sys.stdout.write(
            f"\n{MAILS} mails: {took_s:.1f} s, killed after {at_kill}, cut 3 times; again {again_s:.1f} s\n"
        )


def test_the_same_import_run_again_fetches_only_what_is_new(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 20})
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = chosen(beaune, box, collect=True)
    finish(job)
    assert job.state == State.COLLECTING and job.password
    provider.fill({"INBOX": 23})
    finish(job)
    told = queries.progress(job)
    assert (told.copied, told.present) == (23, 0)
    assert office.count(box) == 23
    ImportJob.objects.filter(pk=job.pk).update(collect_until=clock.now())  # the year is over
    finish(job)
    assert job.state == State.DONE and job.password == ""


def test_mails_numbered_anew_by_the_old_server_are_known_by_what_they_are(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 12})
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = chosen(beaune, box, collect=True)
    finish(job)
    ImportFolder.objects.filter(job=job, name="INBOX").update(uidvalidity=7)
    finish(job)
    told = queries.progress(job)
    assert (told.copied, told.present) == (12, 12)
    assert office.count(box) == 12


def test_what_cannot_be_copied_is_reported_mail_by_mail_and_the_rest_arrives(
    office: Post, provider: OldProvider, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.fill({"INBOX": 60})  # the 50th has 200 kB
    monkeypatch.setattr(letters, "MAX_BYTES", 100_000)
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = chosen(beaune, box)
    finish(job)
    told = queries.progress(job)
    assert (told.copied, told.failed) == (59, 1)
    failure = ImportFailure.objects.get()
    assert failure.reason == "too_large" and failure.size_bytes > 200_000
    assert isinstance(failure.received_at, datetime)
    assert int(failure.received_at.timestamp()) == old_provider.received_s(49)


def test_what_shows_all_mails_again_brings_only_those_that_lie_nowhere_else(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 5, "Tout": 8}, lambda _folder, number: old_provider.generated("one", number))
    box = office.mailbox(beaune, beaune.agent, "agent")
    finish(chosen(beaune, box))
    assert (office.count(box), office.count(box, "Archive")) == (5, 3)


def test_who_still_writes_to_the_old_address_is_remembered(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 3})
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = chosen(beaune, box, collect=True)
    finish(job)
    assert not queries.senders(beaune.agent, box).exists()
    later_s = clock.epoch_s() + 60
    for number in range(3):
        sender = b"From: =?utf-8?q?Ma=C3=AEtre?= <Notaire@exemple.fr>\nMessage-ID: <n%d@x>\n\nx\n" % number
        provider.arrive(100 + number, sender, at_s=later_s + number)
    provider.arrive(200, b"From: nobody\nMessage-ID: <n@x>\n\nx\n", at_s=later_s)
    finish(job)
    assert [(one.address, one.mails) for one in queries.senders(beaune.agent, box)] == [
        ("notaire@exemple.fr", 3)
    ]


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (b"220 mail.example ESMTP\r\n",),
        (b"* BYE no\r\n",),
        (b"* OK hi\r\n", b"\x00\xff" * 500 + b"\r\n"),
        (b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n", b"* CAPABILITY (((\r\n"),
        (b"* OK hi\r\n", b"x" * 2_000_000),
    ],
)
def test_a_server_that_speaks_no_imap_is_an_error_of_ours(
    office: Post,
    provider: OldProvider,
    beaune: Commune,
    answers: tuple[bytes, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beffroi.mail.importing.source.TIMEOUT_S", 3.0)  # who says nothing more is waited for
    talker = Talker(provider, answers)
    try:
        job = asked(beaune, office.mailbox(beaune, beaune.agent, "agent"), BY_WIRE)
    finally:
        talker.close()
    assert job.state == State.LISTING and job.attempts == 1
    assert job.error in ("mail.import_unreachable", "mail.import_not_understood")


def test_forged_stamps_of_our_mail_door_do_not_come_along(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    def forged(folder: str, number: int) -> bytes:
        return (
            b"X-Beffroi-Id: msg_" + b"1" * 26 + b"\nX-Beffroi-Auth: spf=pass; dkim=pass; dmarc=pass\n"
            b"From: a@b.example\rX-Beffroi-Id: msg_2\nSubject: x\nMessage-ID: <%d@b>\n\nX-Beffroi-Id: body"
            % number
        )

    provider.fill({"INBOX": 2}, forged)
    box = office.mailbox(beaune, beaune.agent, "agent")
    finish(chosen(beaune, box))
    client = office.imap(box)
    client.select_folder("INBOX")
    for row in client.fetch(client.search(), ["BODY.PEEK[]"]).values():
        assert row[b"BODY[]"].lower().count(b"x-beffroi") == 1  # the one in its text
    client.logout()


def test_mails_with_odd_line_ends_are_known_again(office: Post, beaune: Commune) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    odd = (
        b"From: a@b\r\r\nMessage-ID: <1@b>\r\r\n\r\r\nbody\r\r\n",
        b"From: a@b\r\nMessage-ID: <2@b>\r\n\r\nbody\rline\r",
        b"From: a@b\rMessage-ID: <3\r@b>\n\nbody\0",
        b"\r\nMessage-ID: <4@b>\r\n\r\nno header",
        b"From: a@b\nno field\n \nDate : \xe9\nMessage-ID:\n <5@b>",
    )
    mails = [Letter(letters.clean(raw), (), clock.now()) for raw in odd]
    with target.open_target(office.config, box.address) as new:
        new.ensure("Odd")
        assert [one.reason for one in new.append("Odd", mails)] == [""] * len(odd)
        assert new.known("Odd") == {one.key for one in mails}


def refused(commune: Commune, mailbox: Mailbox, where: Where) -> str:
    job = asked(commune, mailbox, where)
    assert job.state == State.PAUSED and not job.folders.exists()
    return job.error


def test_a_wrong_password_waits_for_the_right_one(
    office: Post, provider: OldProvider, beaune: Commune, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    provider.fill({"INBOX": 1})
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = asked(beaune, box, replace(WHERE, password="mot de passe faux"))
    assert (job.state, job.error) == (State.PAUSED, "mail.import_sign_in_refused")
    actions.resume(actor=beaune.agent, job=job, password=PASSWORD)
    runner.run(job.id)
    job.refresh_from_db()
    assert job.state == State.READY
    job_id = job.id
    for word in ("mot de passe faux", PASSWORD, USER):
        assert word not in caplog.text
        assert not any(word in str(one.details) for one in AuditEntry.objects.all())
        assert word not in ImportJob.objects.get(pk=job_id).password


def test_a_certificate_for_another_name_or_of_a_stranger_is_refused(
    office: Post, provider: OldProvider, beaune: Commune, settings: Any
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    assert refused(beaune, box, replace(WHERE, host=old_provider.OTHER_HOST)) == "mail.import_not_trusted"
    settings.BEFFROI = replace(office.config, import_ca="")
    assert refused(beaune, box, WHERE) == "mail.import_not_trusted"


def test_starttls_works_and_the_centre_itself_is_never_asked(
    office: Post, provider: OldProvider, beaune: Commune, settings: Any
) -> None:
    provider.fill({"INBOX": 1})
    box = office.mailbox(beaune, beaune.agent, "agent")
    assert (
        asked(beaune, box, replace(WHERE, port=old_provider.STARTTLS_PORT, tls="starttls")).state
        == State.READY
    )
    settings.BEFFROI = replace(office.config, import_networks="10.0.0.0/8")
    assert refused(beaune, box, WHERE) == "mail.import_address_inside"


def test_the_process_runs_what_is_due_and_pause_and_cancel_are_heard(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 30})
    box = office.mailbox(beaune, beaune.agent, "agent")
    office.engines.start("import")
    try:
        job = actions.begin(actor=beaune.agent, mailbox=box, where=WHERE)

        def state() -> str:
            job.refresh_from_db()
            return job.state

        until(lambda: state() == State.READY, "the folders are listed")
        inbox = job.folders.get(name="INBOX")
        actions.choose(actor=beaune.agent, job=job, folder_ids=[inbox.pk], collect=True)
        until(lambda: state() == State.COLLECTING, "all is copied")
        assert office.count(box) == 30
        actions.pause(actor=beaune.agent, job=job)
        with pytest.raises(Conflict):
            actions.pause(actor=beaune.agent, job=job)
        actions.resume(actor=beaune.agent, job=job)
        until(lambda: state() == State.COLLECTING, "it was taken up again")
        actions.cancel(actor=beaune.agent, job=job)
        assert state() == State.CANCELLED and job.password == ""
    finally:
        office.engines.kill("import")


def test_only_the_owner_of_a_mailbox_brings_mail_into_it(
    office: Post, provider: OldProvider, beaune: Commune, nuits: Commune
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = asked(beaune, box)
    for stranger in (beaune.colleague, beaune.referent, nuits.agent, nuits.referent):
        for attempt in (
            lambda who: actions.begin(actor=who, mailbox=box, where=WHERE),
            lambda who: actions.choose(actor=who, job=job, folder_ids=[], collect=False),
            lambda who: actions.pause(actor=who, job=job),
            lambda who: actions.resume(actor=who, job=job),
            lambda who: actions.cancel(actor=who, job=job),
        ):
            with pytest.raises(NotFound):
                attempt(stranger)
    for bad in (
        {"host": "a b"},
        {"host": ""},
        {"port": 0},
        {"tls": "none"},
        {"password": ""},
        {"username": "a\r\nb"},
    ):
        with pytest.raises(Invalid):
            actions.begin(actor=beaune.agent, mailbox=box, where=replace(WHERE, **bad))
