"""What happens to the new mailbox in the middle of an import is no fault of a mail: the import goes on afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.mail.importing import queries, runner
from beffroi.mail.importing.models import ImportFailure, ImportJob

from tests.conftest import Commune
from tests.fixtures_import import chosen, finish, office, provider, running_provider
from tests.mail_post import Post, needs_engines
from tests.old_provider import OldProvider

__all__ = ["office", "provider", "running_provider"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
MAILS = 30


def test_a_folder_that_its_owner_deletes_meanwhile_is_made_again(
    office: Post, provider: OldProvider, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.fill({"Urbanisme": MAILS})
    monkeypatch.setattr(runner, "BATCH", 10)
    box = office.mailbox(beaune, beaune.agent, "agent")
    job, deleted = chosen(beaune, box), []
    keep = runner.keep

    def keep_and_delete(*arguments: Any) -> None:
        keep(*arguments)
        if not deleted:
            deleted.append("Urbanisme")
            client = office.imap(box)
            client.delete_folder("Urbanisme")
            client.logout()

    monkeypatch.setattr(runner, "keep", keep_and_delete)
    runner.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.error) == (ImportJob.State.RUNNING, "mail.import_mailbox_away")
    finish(job)
    assert not ImportFailure.objects.exists()
    assert office.count(box, "Urbanisme") == MAILS - 10  # the first ten went as their owner wished


def test_a_storage_that_takes_nothing_fails_no_mail(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": MAILS})
    box = office.mailbox(beaune, beaune.agent, "agent")
    office.count(box)  # signed in once: the storage is there
    job = chosen(beaune, box)
    storage = office.config.state / "mailboxes" / box.id / "mdbox" / "storage"
    mode = storage.stat().st_mode
    storage.chmod(0o500)
    try:
        runner.run(job.id)
    finally:
        storage.chmod(mode)
    job.refresh_from_db()
    assert (job.state, job.error) == (ImportJob.State.RUNNING, "mail.import_mailbox_away")
    finish(job)
    assert queries.progress(job).failed == 0
    assert office.count(box) == MAILS
