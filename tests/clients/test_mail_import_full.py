"""An import meets a full mailbox: it stops there with a reason, and goes on from there when there is room."""

from __future__ import annotations

import mailbox as archives
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.mail.importing import actions, bringing, runner
from beffroi.mail.importing.errors import MailboxFull
from beffroi.mail.importing.models import ImportFailure, ImportJob
from beffroi.mail.models import Mailbox
from beffroi.mail.quota import actions as quota

from tests.conftest import Commune
from tests.fixtures_import import chosen, finish, office, provider, running_provider
from tests.mail_post import Post, needs_engines
from tests.old_provider import OldProvider

__all__ = ["office", "provider", "running_provider"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
MAILS = 24


def large(folder: str, number: int) -> bytes:
    head = f"From: a@old.test\r\nSubject: {folder} {number}\r\nMessage-ID: <{number}@old.test>\r\n"
    return (head + "Date: Tue, 03 Mar 2020 10:00:00 +0100\r\n\r\n" + ("x" * 70 + "\r\n") * 1300).encode()


def limit(box: Mailbox, mib: int | None) -> None:
    quota.limit_mailbox(actor=Actor.system("tests"), mailbox=box, limit_mib=mib)
    run_pending("main")


def test_an_import_stops_at_a_full_mailbox_and_brings_each_mail_once_when_there_is_room(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": MAILS}, large)
    box = office.mailbox(beaune, beaune.agent, "importe")
    limit(box, 1)
    job = chosen(beaune, box)
    runner.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.error) == (ImportJob.State.PAUSED, "mail.import_mailbox_full")
    assert 8 <= office.count(box) < 12
    assert not ImportFailure.objects.exists()
    limit(box, None)
    actions.resume(actor=beaune.agent, job=job)
    finish(job)
    assert office.count(box) == MAILS
    client = office.imap(box)
    client.select_folder("INBOX", readonly=True)
    rows = client.fetch(client.search(), ["ENVELOPE"]).values()
    assert len({row[b"ENVELOPE"].message_id for row in rows}) == MAILS
    client.logout()


def test_an_archive_stops_there_too_and_is_completed_when_it_is_given_again(
    office: Post, beaune: Commune, tmp_path: Path
) -> None:
    box = office.mailbox(beaune, beaune.agent, "archive")
    limit(box, 1)
    archive = archives.mbox(tmp_path / "a.mbox")
    for number in range(MAILS):
        archive.add(large("Archive", number))
    archive.flush()

    def bring() -> Any:
        with (tmp_path / "a.mbox").open("rb") as file:
            return bringing.bring(mailbox=box, file=file, name="a.mbox", folder="Reprise", account="root")

    with pytest.raises(MailboxFull):
        bring()
    assert 8 <= office.count(box, "Reprise") < 12
    limit(box, None)
    bring()
    assert office.count(box, "Reprise") == MAILS
