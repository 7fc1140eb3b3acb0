"""Imports on a bad night: the new mailbox fails in the middle, two go on at once, the old server never ends a line."""

from __future__ import annotations

import mailbox as archives
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.lib.config import STATE_VARIABLE
from beffroi.mail import child_process
from beffroi.mail.importing import actions, bringing, queries, runner, turns
from beffroi.mail.importing.errors import Cancelled
from beffroi.mail.importing.models import ImportFailure, ImportJob

from tests import old_provider
from tests.conftest import Commune
from tests.fixtures_import import WHERE, chosen, finish, office, provider, running_provider
from tests.mail_post import Post, needs_engines, until
from tests.old_provider import OldProvider
from tests.waiting import PATIENCE_S

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


def test_two_imports_of_one_old_mailbox_at_once_bring_each_mail_once(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 300})
    box = office.mailbox(beaune, beaune.agent, "agent")
    jobs = [chosen(beaune, box) for _ in range(2)]
    office.engines.start("import")
    try:
        done = ImportJob.objects.filter(pk__in=[one.pk for one in jobs], state=ImportJob.State.DONE)
        until(lambda: done.count() == 2, "both are over")
    finally:
        office.engines.kill("import")
    assert office.count(box) == 300
    told = [queries.progress(one) for one in jobs]
    assert sorted((one.copied, one.present) for one in told) == [(0, 300), (300, 0)]


def test_an_import_waits_while_another_one_has_the_mailbox(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 1})
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = chosen(beaune, box)
    with turns.turn(office.config, box.id, wait=True):
        child = child_process.start(office.config, "import", job.id)
        assert child.wait(PATIENCE_S) == 0
    job.refresh_from_db()
    assert job.state == ImportJob.State.RUNNING and job.next_run_at > clock.now()


def test_an_archive_that_its_owner_cancels_ends(
    office: Post, beaune: Commune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    archive = archives.mbox(tmp_path / "a.mbox")
    for number in range(MAILS):
        archive.add(old_provider.generated("a", number))
    archive.flush()
    monkeypatch.setattr(runner, "BATCH", 10)
    keep = runner.keep

    def keep_and_cancel(job: ImportJob, *arguments: Any) -> None:
        keep(job, *arguments)
        actions.cancel(actor=beaune.agent, job=job)

    monkeypatch.setattr(runner, "keep", keep_and_cancel)
    with (tmp_path / "a.mbox").open("rb") as file, pytest.raises(Cancelled):
        bringing.bring(mailbox=box, file=file, name="a.mbox", folder="Reprise", account="root")
    assert ImportJob.objects.get().state == ImportJob.State.CANCELLED
    assert office.count(box, "Reprise") == 10


def test_a_server_that_never_ends_a_line_is_left(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(provider.home / "server.pem", provider.home / "server.key")
    server = socket.create_server(("127.0.0.1", old_provider.WIRE_PORT))
    over = threading.Event()

    def drip() -> None:
        with suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True) as near:
            near.sendall(b"* OK ")
            while not over.wait(0.1):
                near.sendall(b"x")

    threading.Thread(target=drip, daemon=True).start()
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = actions.begin(actor=beaune.agent, mailbox=box, where=replace(WHERE, port=old_provider.WIRE_PORT))
    one = (
        "import django, sys; django.setup(); from beffroi.lib.config import load;"
        "from beffroi.mail.importing import children; children.LIFE_S = 3;"
        "sys.exit(children.child(load(), sys.argv[1]))"
    )
    child = subprocess.Popen(
        (sys.executable, "-c", one, job.id),
        stdin=subprocess.PIPE,
        env={**os.environ, STATE_VARIABLE: str(office.config.state)},
    )
    try:
        assert child.wait(PATIENCE_S) == -signal.SIGALRM
    finally:
        over.set()
        server.close()
