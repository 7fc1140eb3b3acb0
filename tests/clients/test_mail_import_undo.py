"""What an import brought goes away again: among the deleted mails, for 30 days, and nothing else goes along."""

from __future__ import annotations

import io
import json
import os
import signal
import zipfile
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import actions as mail
from beffroi.mail import child_process, deleted, reader
from beffroi.mail.importing import actions, bringing, queries, runner, target, undoing
from beffroi.mail.importing.models import ImportedMails, ImportJob
from beffroi.mail.importing.undoing import Weighed
from beffroi.mail.models import Mailbox
from django.urls import reverse
from imapclient.exceptions import IMAPClientAbortError

from tests import old_provider
from tests.conftest import Commune
from tests.fixtures_import import State, asked, chosen, finish, office, provider, running_provider
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, needs_engines, until
from tests.old_provider import OldProvider

__all__ = ["no_door", "office", "provider", "running_provider"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def weighed(office: Post, box: Mailbox, job: ImportJob) -> Weighed:
    with reader.connect(office.config, box.address) as client:
        return undoing.weigh(client, job)


def undo(commune: Commune, job: ImportJob) -> None:
    job.refresh_from_db()
    actions.undo(actor=commune.agent, job=job)
    runner.run(job.id)
    job.refresh_from_db()


def in_trash(office: Post, box: Mailbox) -> int:
    with reader.open_mailbox(office.config, box.address) as opened:
        return deleted.search(opened)[1]


def folders_of(office: Post, box: Mailbox) -> set[str]:
    client = office.imap(box)
    try:
        return {str(name) for _flags, _delimiter, name in client.list_folders()}
    finally:
        client.logout()


def archive(count: int, *folders: str) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for folder in folders:
            for number in range(count):
                made.writestr(f"{folder}/{number}.eml", old_provider.generated(folder, number))
    file.seek(0)
    return file


def test_an_import_goes_away_again_and_what_was_there_or_was_worked_with_stays(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    before = folders_of(office, box)
    office.send("Subject: d'avant\r\n\r\nx\r\n", box.address)
    until(lambda: office.count(box) == 1, "it is delivered")
    provider.fill({"INBOX": 230, "Urbanisme/Permis 2020": 12, "Envoyés": 8})
    job = chosen(beaune, box)
    finish(job)
    assert office.count(box) == 231 and job.state == State.DONE
    came_answered = sum(b"R" in old_provider.flags_of(n).encode() for n in range(230))
    assert came_answered > 0, "what came with a mark goes, too"
    client = office.imap(box)
    client.select_folder("INBOX")
    plain = [one for one in client.search(["UNANSWERED", "UNFLAGGED"]) if one > 1]
    client.add_flags(plain[:1], [b"\\Answered"])
    client.add_flags(plain[1:2], [b"\\Flagged"])
    client.add_flags(plain[2:3], [b"$Forwarded"])
    client.add_flags(plain[3:6], [b"\\Seen", b"NonJunk"])
    client.move(plain[6:8], "Archive" if client.folder_exists("Archive") else "Junk")
    client.add_flags([1], [b"\\Deleted"])  # by a program that has not expunged it yet: not ours
    client.logout()

    assert weighed(office, box, job) == Weighed(goes=230 + 20 - 5, used=3, elsewhere=2)
    assert weighed(office, box, job).goes == 245, "weighing changes nothing"
    undo(beaune, job)
    assert (job.state, job.taken, job.stayed, job.error) == (State.UNDONE, 245, 5, "")
    assert office.count(box) == 1 + 3
    assert office.count(box, "Sent") == 0
    assert in_trash(office, box) == 245
    assert folders_of(office, box) - before <= {"Archive"}, "the folders that it made are gone"
    done = AuditEntry.objects.get(verb="mail:import:undone")
    assert json.loads(done.details)["taken"] == 245
    assert not ImportedMails.objects.exists()
    with pytest.raises(Conflict):
        actions.undo(actor=beaune.agent, job=job)

    again = chosen(beaune, box)  # and may be brought again
    finish(again)
    told = queries.progress(again)
    assert (told.copied, told.present) == (245 + 2, 3)


def test_an_archive_goes_away_again_with_its_folders_and_nothing_that_lay_there(
    office: Post, beaune: Commune
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    client = office.imap(box)
    client.create_folder("Reprise")
    client.append("Reprise", b"Subject: a moi\r\n\r\nx\r\n")
    client.logout()
    before = folders_of(office, box)
    file = archive(3, "A/B", "A", "C")
    job = bringing.bring(mailbox=box, file=file, name="a.zip", folder="Reprise", account="root")
    assert folders_of(office, box) - before >= {"Reprise/A", "Reprise/A/B", "Reprise/C"}
    client = office.imap(box)
    client.append("Reprise/C", b"Subject: ajoute depuis\r\n\r\nx\r\n")
    client.logout()
    undo(beaune, job)
    assert (job.state, job.taken, job.stayed) == (State.UNDONE, 9, 0)
    assert folders_of(office, box) - before == {"Reprise/C"}
    assert (office.count(box, "Reprise"), office.count(box, "Reprise/C")) == (1, 1)
    assert in_trash(office, box) == 9


def test_an_import_that_was_killed_in_the_middle_of_an_append_is_undone_whole(
    office: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    monkeypatch.setattr(runner, "BATCH", 4)
    whole = target.NewMailbox.append
    calls = []

    def killed(new: target.NewMailbox, folder: str, found: Any) -> Any:
        saved = whole(new, folder, found)
        calls.append(folder)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return saved

    monkeypatch.setattr(target.NewMailbox, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        bringing.bring(mailbox=box, file=archive(10, "A"), name="a.zip", folder="Reprise", account="root")
    job = ImportJob.objects.get()
    assert (job.state, office.count(box, "Reprise/A"), queries.progress(job).copied) == (
        State.CANCELLED,
        8,
        4,
    )
    assert weighed(office, box, job) == Weighed(goes=8)
    undo(beaune, job)
    assert (job.taken, job.stayed) == (8, 0)
    assert in_trash(office, box) == 8


def test_what_was_announced_and_came_later_is_counted_once(
    office: Post, provider: OldProvider, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wire to Dovecot was cut before an APPEND; the mails came with the next run, some of them answered."""
    monkeypatch.setattr(runner, "BATCH", 10)
    monkeypatch.setattr(undoing, "TOGETHER", 1)
    provider.fill({"INBOX": 40})
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = chosen(beaune, box)
    whole = target.NewMailbox.append
    calls: list[int] = []

    def cut(new: target.NewMailbox, folder: str, found: Any) -> Any:
        calls.append(len(found))
        if len(calls) == 2:
            raise IMAPClientAbortError("cut")
        return whole(new, folder, found)

    monkeypatch.setattr(target.NewMailbox, "append", cut)
    runner.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.error, office.count(box)) == (State.RUNNING, "mail.import_mailbox_away", 10)
    finish(job)
    assert office.count(box) == 40
    assert weighed(office, box, job) == Weighed(goes=40)
    undo(beaune, job)
    assert (job.taken, job.stayed, office.count(box)) == (40, 0, 0)


@pytest.mark.parametrize("where", ["add_flags", "uid_expunge", "after"])
def test_undoing_that_is_killed_counts_and_takes_each_mail_once(
    office: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    monkeypatch.setattr(runner, "BATCH", 3)
    monkeypatch.setattr(undoing, "TOGETHER", 1)
    job = bringing.bring(mailbox=box, file=archive(9, "A"), name="a.zip", folder="Reprise", account="root")
    actions.undo(actor=beaune.agent, job=job)

    class Killed(BaseException):
        pass

    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    with target.open_target(office.config, box.address) as new:
        client = new.client
        if where == "after":
            expunge = client.uid_expunge
            monkeypatch.setattr(client, "uid_expunge", lambda *a: (expunge(*a), dies()))
        else:
            monkeypatch.setattr(client, where, dies)
        with pytest.raises(Killed):
            undoing.take_away(client, job, box.address, lambda: None)
    runner.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.taken, job.stayed) == (State.UNDONE, 9, 0)
    assert in_trash(office, box) == 9


def test_the_process_undoes_through_a_kill_and_while_dovecot_is_away(office: Post, beaune: Commune) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = bringing.bring(mailbox=box, file=archive(1500, "A"), name="a.zip", folder="Reprise", account="root")
    actions.undo(actor=beaune.agent, job=job)
    child = child_process.start(office.config, "import", job.id)

    def taken() -> int:
        job.refresh_from_db()
        return job.taken

    until(lambda: taken() > 0, "some went")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    office.engines.kill("dovecot")
    ImportJob.objects.filter(pk=job.pk).update(next_run_at=clock.now())
    runner.run(job.id)
    job.refresh_from_db()
    if job.state != State.UNDONE:  # the child was faster than the kill
        assert (job.state, job.error) == (State.UNDOING, "mail.import_mailbox_away")
    office.engines.start("dovecot")
    office.engines.start("import")
    try:
        ImportJob.objects.filter(pk=job.pk).update(next_run_at=clock.now())
        until(lambda: bool(taken()) and job.state == State.UNDONE, "all went")
    finally:
        office.engines.kill("import")
    assert (job.taken, job.stayed) == (1500, 0)
    assert in_trash(office, box) == 1500


def test_the_page_says_how_many_go_and_a_second_press_changes_nothing(
    office: Post, beaune: Commune, nuits: Commune
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = bringing.bring(mailbox=box, file=archive(3, "A"), name="a.zip", folder="Reprise", account="root")
    path, of_job = (reverse(one, args=[box.id, job.id]) for one in ("mail_import_undo", "mail_import"))
    owner = portal_client(beaune.agent_membership)
    assert path in owner.get(of_job).content.decode()
    assert "3 courriels partent" in owner.get(path).content.decode()
    for stranger in (beaune.referent_membership, nuits.agent_membership):
        other = portal_client(stranger)
        assert other.get(path).status_code == other.post(path).status_code == 404
    assert office.count(box, "Reprise/A") == 3
    for _ in range(2):
        assert owner.post(path).headers["Location"] == of_job
    assert "Retrait en cours" in owner.get(of_job).content.decode()
    assert owner.get(path).headers["Location"] == of_job
    runner.run(job.id)
    told = owner.get(of_job).content.decode()
    assert "3 courriels retirés" in told and reverse("mail_deleted", args=[box.id]) in told
    assert path not in told
    assert AuditEntry.objects.filter(verb__in=("mail:import:undo", "mail:import:undone")).count() == 2


def test_only_the_owner_undoes_and_only_what_is_over(
    office: Post, provider: OldProvider, beaune: Commune, nuits: Commune
) -> None:
    provider.fill({"INBOX": 5})
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = chosen(beaune, box)
    with pytest.raises(Conflict):
        actions.undo(actor=beaune.agent, job=job)
    finish(job)
    for stranger in (beaune.colleague, beaune.referent, nuits.agent, nuits.referent):
        with pytest.raises(NotFound):
            actions.undo(actor=stranger, job=job)
    actions.undo(actor=beaune.agent, job=job)
    mail.close_mailbox(actor=beaune.referent, mailbox=box)
    runner.run(job.id)
    job.refresh_from_db()
    assert job.state == State.CANCELLED and queries.may_undo(job)


def test_what_was_never_chosen_has_nothing_to_undo(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"INBOX": 1})
    job = asked(beaune, office.mailbox(beaune, beaune.agent, "agent"))
    actions.cancel(actor=beaune.agent, job=job)
    with pytest.raises(Conflict):
        actions.undo(actor=beaune.agent, job=job)
