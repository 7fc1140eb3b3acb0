"""A restore from the request to its undoing, by the command, with the real keeper; and a lure that stays away."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.mail.backup import actions, asking, queries
from beffroi.mail.backup.models import Restore
from beffroi.mail.backup.work import Work
from beffroi.mail.models import Mailbox

from tests.clients.test_mail_backup import erase, fill, held, work
from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until

__all__ = ["work"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SYSTEM = Actor.system("tests")


def command(post: Post, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "beffroi.cli", "mail", *words, "--state", str(post.config.state)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def asked_in_place(actor: Actor, box: Mailbox) -> Restore:
    asked = actions.draft(actor=actor, mailbox=box, at=clock.now(), in_place=True)
    return actions.keep(actor=actor, restore=asked)


def test_by_command_with_preview_progress_and_undo(post: Post, beaune: Commune, work: Work) -> None:
    box = post.mailbox(beaune, beaune.agent, "commande")
    client = post.imap(box)
    fill(client, "INBOX", *(f"Devis {n}" for n in range(12)))
    post.engines.start("backup")
    try:
        until(lambda: command(post, "backup", "now").returncode == 0, "the first backup")
        listed = command(post, "backup", "list").stdout
        assert listed.count("MiB of mailboxes") >= 1
        erase(client, "INBOX")
        client.logout()
        assert command(post, "restore", "nobody@beaune.test", "--at", "2026-11-01").returncode == 1
        assert "--at is needed" in command(post, "restore", box.address).stderr
        for day, why in (
            ("2020-01-01", "No backup holds this mailbox"),
            ("0001-01-01 00:00", "a moment such as"),
        ):
            refused = command(post, "restore", box.address, "--at", day)
            assert refused.returncode == 1 and why in refused.stderr, refused.stderr
        refused = command(
            post, "restore", box.address, "--at", "2999-01-01", "--folder", "Boîte de réception"
        )
        assert refused.returncode == 1 and "Folders with mails: INBOX" in refused.stderr, refused.stdout
        seen = command(post, "restore", box.address, "--at", "2999-01-01", "--preview")
        assert "12 mails are missing today" in seen.stdout and "Devis" not in seen.stdout
        assert not Restore.objects.exists(), "a preview is no request"
        assert command(post, "restore", box.address, "--at", "2999-01-01").returncode == 1, "not confirmed"
        done = command(post, "restore", box.address, "--at", "2999-01-01", "--yes")
        assert "12 of 12" in done.stdout and "12 mails are back" in done.stdout, done.stderr
        (row,) = Restore.objects.all()
        assert (row.state, row.found, row.search) == ("done", 12, "")
        assert list(held(post, box)) == [f"{row.into}/INBOX"]
        again = command(post, "restore", box.address, "--at", "2999-01-01", "--yes")
        assert "0 mails are missing today; 12 lie" in again.stdout
        assert "12 mails were taken away" in command(post, "restore", row.id, "--undo").stdout
        assert held(post, box) == {}
        assert command(post, "restore", row.id, "--yes").returncode == 1, "its words are gone: it is over"
        refused = command(post, "restore", row.id, "--folder", "INBOX")
        assert refused.returncode == 1 and "leave out --folder" in refused.stderr, refused.stderr
        assert row.id in command(post, "restore", "list").stdout
        verbs = set(AuditEntry.objects.values_list("verb", flat=True))
        assert {"mail:restore:asked", "mail:restore:done", "mail:restore:undone"} <= verbs
        assert "holds what was written" in command(post, "backup", "check", "--full").stdout
    finally:
        post.engines.kill("backup")


def answering(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper's work, in this process."""

    def ask(_config: Any, verb: str, tell: Any = None, **values: Any) -> dict[str, Any]:
        del tell
        return work.undo(values) if verb == "undo" else work.restore(values, lambda _line: None)

    monkeypatch.setattr(asking, "ask", ask)


def test_a_lure_does_not_come_back_by_a_restore(
    post: Post, beaune: Commune, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(work, monkeypatch)
    kept, gone = (post.mailbox(beaune, beaune.agent, name) for name in ("retire", "efface"))
    for box in (kept, gone):
        assert post.send(lure(box.address, box.id[-6:]), box.address)[0] == 250
        post.wait_count(box, 1)
    post.settle(2)
    work.back_up()
    client = post.imap(gone)
    erase(client, "INBOX")
    client.logout()
    post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert post.count(kept) == 0, "withdrawn"
    for box in (kept, gone):
        row = asked_in_place(SYSTEM, box)
        done = actions.carry_out(actor=SYSTEM, restore=row)
        assert done.found == (box is gone), "what is in quarantine is not missing"
        run_pending("remediation")
        assert post.count(box) == 0
    with pytest.raises(Conflict):
        actions.preview(actor=SYSTEM, restore=done)


def test_a_request_of_the_owner_brings_what_is_private_and_one_of_the_referent_does_not(
    post: Post, beaune: Commune, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(work, monkeypatch)
    box = post.mailbox(beaune, beaune.agent, "demande")
    client = post.imap(box)
    client.create_folder("Personnel")
    fill(client, "Personnel", "Vacances")
    fill(client, "INBOX", "Devis")
    work.back_up()
    erase(client, "INBOX")
    erase(client, "Personnel")
    client.logout()
    row = asked_in_place(beaune.referent, box)
    assert queries.waiting(SYSTEM) == 1 and queries.access_restore(beaune.agent, row.id) == row
    assert (actions.carry_out(actor=SYSTEM, restore=row).left_out, held(post, box)) == (
        1,
        {"INBOX": ["Devis"]},
    )
    row = asked_in_place(beaune.agent, box)
    assert actions.carry_out(actor=SYSTEM, restore=row).found == 1
    assert held(post, box) == {"INBOX": ["Devis"], "Personnel": ["Vacances"]}
