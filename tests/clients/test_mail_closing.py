"""Exports and erasures of closed mailboxes, before real Dovecot and the keeper of the backups."""

from __future__ import annotations

import contextlib
import email
import io
import json
import random
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.mail import actions as mail
from beffroi.mail import child_process, projections
from beffroi.mail.backup import asking, told
from beffroi.mail.backup.asking import BackupRefused
from beffroi.mail.backup.work import Work
from beffroi.mail.closing import actions, children, erasures, exporting, opening
from beffroi.mail.closing.models import Erasure, Export
from beffroi.mail.engines import layout
from beffroi.mail.held.models import SenderRule
from beffroi.mail.importing.models import ImportJob, ImportSender
from beffroi.mail.models import Mailbox
from imapclient.exceptions import IMAPClientError

from tests.clients.test_mail_backup import fill, held, letter, work
from tests.conftest import Commune
from tests.faults.test_mail_backup_faults import small_disk
from tests.mail_post import Post, needs_engines, until

__all__ = ["small_disk", "work"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
PROFESSIONAL = {"INBOX": 120, "Projet/Été": 50, "Sent": 20}


@pytest.fixture
def places(post: Post) -> Iterator[Path]:
    """What the preparation of a centre makes."""
    for name in ("exports", "backup-rows"):
        (post.config.state / name).mkdir(mode=0o700, exist_ok=True)
    yield post.config.state / "exports"
    for name in ("exports", "backup-rows"):
        shutil.rmtree(post.config.state / name)


def closed(post: Post, commune: Commune, local: str) -> Mailbox:
    """190 professional mails and 10 personal ones, and what goes to no archive."""
    box = post.mailbox(commune, commune.agent, local)
    client = post.imap(box)
    for name in ("Projet/Été", "Privé/Famille"):
        client.create_folder(name)
    for name, count in PROFESSIONAL.items():
        client.multiappend(name, [letter(f"Devis {name[:2]} {n}") for n in range(count)])
    fill(client, "Privé/Famille", *(f"Vacances {n}" for n in range(9)))
    fill(client, "INBOX", "PERSONNEL rendez-vous")
    fill(client, "Trash", "Jete")
    fill(client, "Junk", "Indesirable")
    client.logout()
    mail.close_mailbox(actor=commune.referent, mailbox=box)
    run_pending("main")
    return Mailbox.objects.get(pk=box.pk)


def old(box: Mailbox) -> Mailbox:
    box.closed_at = clock.now() - timedelta(days=31)
    box.save(update_fields=["closed_at"])
    return box


def unpacked(commune: Commune, export: Export, target: Path) -> Path:
    """The bag, taken as its référent takes it."""
    pieces, size_bytes = actions.download(actor=commune.referent, export=export)
    data = b"".join(pieces)
    assert len(data) == size_bytes
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(target)
    (bag,) = target.iterdir()
    return bag


def granted(box: Mailbox, commune: Commune, administrator: Any) -> Erasure:
    asked = erasures.ask(actor=commune.referent, mailbox=box)
    made = erasures.grant(actor=administrator, erasure=asked, visa="AD21 2026-114")
    Erasure.objects.filter(pk=made.pk).update(due_at=clock.now())
    return made


def test_an_export_holds_what_is_professional_and_archives_can_check_it(
    post: Post, beaune: Commune, places: Path, tmp_path: Path
) -> None:
    box = closed(post, beaune, "depart")
    export = actions.ask_export(actor=beaune.referent, mailbox=box)
    with pytest.raises(Conflict):
        actions.ask_export(actor=beaune.referent, mailbox=box)
    children.work(post.config, clock.paced_now())
    export.refresh_from_db()
    assert (export.state, export.done, export.total, export.left_out) == ("ready", 190, 190, 10)
    lies = actions.path_of(post.config, export.id)
    assert b"Devis" not in lies.read_bytes() and b"PK" not in lies.read_bytes()[:2]
    assert lies.stat().st_mode & 0o077 == 0

    bag = unpacked(beaune, export, tmp_path)
    for name in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "-c", "--quiet", "--strict", name], cwd=bag, check=True)
    named = {line.split("  ", 1)[1] for line in (bag / "manifest-sha256.txt").read_text().splitlines()}
    assert named == {str(one.relative_to(bag)) for one in (bag / "data").rglob("*.eml")}
    folders = json.loads((bag / "dossiers.json").read_text())
    found = {folders[one.name]: len(list(one.iterdir())) for one in (bag / "data").iterdir()}
    assert found == PROFESSIONAL
    subjects = [email.message_from_bytes(one.read_bytes())["subject"] for one in bag.rglob("*.eml")]
    assert len(set(subjects)) == 190 and not any("PERSONNEL" in one or "Vacances" in one for one in subjects)
    info = (bag / "bag-info.txt").read_text()
    assert "Left-Out-Personal: 10" in info and ".190\n" in info and beaune.collectivite.name in info

    # Meanwhile and afterwards nobody opens it, by whatever name.
    assert not projections.opens(post.config, addresses=[box.address, opening.name_of(box)], app_passwords=[])
    with pytest.raises(IMAPClientError):
        post.imap(box)
    verbs = set(AuditEntry.objects.filter(object_id=export.id).values_list("verb", flat=True))
    assert verbs == {"mail:export:asked", "mail:export:ready", "mail:export:downloaded"}
    actions.end_export(actor=beaune.referent, export=export)
    assert not list(places.iterdir()) and Export.objects.get().key == ""
    with pytest.raises(actions.ExportOver):
        actions.download(actor=beaune.referent, export=export)


def test_a_mailbox_that_is_open_again_is_not_exported_and_stays_open(
    post: Post, beaune: Commune, places: Path
) -> None:
    box = closed(post, beaune, "revenu")
    export = actions.ask_export(actor=beaune.referent, mailbox=box)
    mail.reopen_mailbox(actor=beaune.referent, mailbox=box)
    run_pending("main")
    children.work(post.config, clock.paced_now())
    export.refresh_from_db()
    assert (export.state, export.error) == ("failed", "open")
    assert len(held(post, box)["INBOX"]) == 121 and not list(places.iterdir())


def test_an_erased_mailbox_opens_nowhere_any_more(  # noqa: PLR0917
    post: Post, beaune: Commune, administrator: Any, places: Path, work: Work, tmp_path: Path
) -> None:
    box = old(closed(post, beaune, "efface"))
    other = post.mailbox(beaune, beaune.agent, "voisine")
    client = post.imap(other)
    fill(client, "INBOX", "Reste")
    client.logout()
    for each in (box, other):
        kept = {"mailbox_id": each.id, "collectivite_id": beaune.id}
        SenderRule.objects.create(**kept, address="notaire@exemple.fr", verdict="allow")
        job = ImportJob.objects.create(**kept, host="", username="claire@exemple.fr", state="done")
        ImportSender.objects.create(job=job, address="notaire@exemple.fr", last_at=clock.now())
    work.back_up()
    home = layout.Paths(post.config.state).mailboxes / box.id
    key = _key(box)
    erasure = granted(box, beaune, administrator)

    # Without the keeper: the key goes, the files wait.
    children.work(post.config, clock.paced_now())
    erasure.refresh_from_db()
    assert (erasure.state, erasure.waits_for, home.exists()) == ("erasing", "backup", True)
    assert (erasure.mails, erasure.private, erasure.hidden) == (202, 10, 0)
    assert key.encode() not in (post.config.state / "projections" / "auth.sqlite").read_bytes()
    with pytest.raises(Conflict):
        mail.reopen_mailbox(actor=beaune.referent, mailbox=box)

    # A keeper that was killed in the middle of it leaves some.
    for one in list(home.rglob("dovecot.index*"))[:5]:
        one.unlink()
    post.engines.start("backup")
    _until_done(post, erasure)
    for model in (SenderRule, ImportJob):
        assert list(model._default_manager.values_list("mailbox_id", flat=True)) == [other.id], model
    assert ImportSender.objects.count() == 1, "who wrote to the old address is somebody else's mail"
    assert not home.exists() and not (post.config.state / "backup-work" / "stage" / box.id).exists()
    assert '"crypt_key": ""' in (post.config.state / "backup-rows" / "rows.json").read_text()
    with pytest.raises(BackupRefused):
        asking.ask(post.config, "erase", mailbox_id=other.id)
    with pytest.raises(BackupRefused):
        asking.ask(post.config, "restore", mailbox_id=box.id, at_s=clock.epoch_s(), restore_id="rst_1")
    post.engines.kill("backup")
    assert held(post, other) == {"INBOX": ["Reste"]}

    # What the snapshots still hold: bodies that no key opens, and none of their words.
    snapshot = work.store.snapshots()[0]
    work.store.bring(snapshot, box.id, tmp_path / "then")
    raw = b"".join(one.read_bytes() for one in (tmp_path / "then").rglob("*") if one.is_file())
    assert raw and b"Devis" not in raw and b"texte" not in raw and key.encode() not in raw


def _key(box: Mailbox) -> str:
    from beffroi.lib import envelopes
    from beffroi.mail import key_pairs, keys
    from django.conf import settings

    outer = keys.commune_key(settings.BEFFROI, box.collectivite_id)
    return key_pairs.of_secret(envelopes.unwrap(outer, box.crypt_key, box.id)).private


def _until_done(post: Post, erasure: Erasure) -> None:
    def done() -> bool:
        Erasure.objects.update(next_run_at=clock.now())
        children.work(post.config, clock.paced_now())
        erasure.refresh_from_db()
        return erasure.state == "done"  # "backup" while the keeper makes a backup of its own

    until(done, "the erasure")
    assert erasure.waits_for == ""


def test_an_erasure_waits_for_dovecot_and_nothing_is_lost_before_its_time(
    post: Post, beaune: Commune, administrator: Any, places: Path
) -> None:
    box = old(closed(post, beaune, "attend"))
    erasure = granted(box, beaune, administrator)
    Erasure.objects.update(due_at=clock.now() + timedelta(hours=1))
    children.work(post.config, clock.paced_now())
    erasure.refresh_from_db()
    assert (erasure.state, erasure.begun_at) == ("granted", None), "it can be called back until then"
    erasures.call_back(actor=beaune.referent, erasure=erasure)
    mail.reopen_mailbox(actor=beaune.referent, mailbox=box)
    run_pending("main")
    assert len(held(post, box)["INBOX"]) == 121


def test_an_export_that_is_killed_is_made_again_and_nothing_half_is_shown(
    post: Post, beaune: Commune, places: Path, tmp_path: Path
) -> None:
    box = closed(post, beaune, "coupe")
    export = actions.ask_export(actor=beaune.referent, mailbox=box)

    for times in (1, 2):
        child = child_process.start(post.config, "closing", str(clock.epoch_s()))
        while True:  # stopped while it is looked at: between the look and its end it would otherwise be done
            child.send_signal(signal.SIGSTOP)
            export.refresh_from_db()
            if export.attempts == times and export.done:
                break
            assert child.poll() is None, (export.state, export.error)
            child.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        child.kill()
        child.wait()
        export.refresh_from_db()
        assert (export.state, export.key) == ("running", ""), "killed in the middle of it"
        assert not actions.path_of(post.config, export.id).exists()
        with pytest.raises(actions.ExportOver):
            actions.download(actor=beaune.referent, export=export)
    children.work(post.config, clock.paced_now())
    export.refresh_from_db()
    assert (export.state, export.done, export.attempts) == ("ready", 190, 3)
    assert [one.name for one in places.iterdir()] == [f"{export.id}.sealed"]
    assert not projections.opens(post.config, addresses=[opening.name_of(box)], app_passwords=[])
    bag = unpacked(beaune, export, tmp_path)
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "manifest-sha256.txt"], cwd=bag, check=True)


def test_a_full_disk_is_said_and_an_export_leaves_room_for_mail(
    post: Post, beaune: Commune, places: Path, small_disk: Path, monkeypatch: Any
) -> None:
    box = closed(post, beaune, "plein")
    places.rmdir()
    places.symlink_to(small_disk)
    try:
        for kept_free in (exporting.KEPT_FREE_BYTES, -(1 << 40)):
            monkeypatch.setattr(exporting, "KEPT_FREE_BYTES", kept_free)
            if kept_free < 0:
                room = shutil.disk_usage(small_disk).free
                (small_disk / "ballast").write_bytes(b"x" * (room - 16384))
            export = actions.ask_export(actor=beaune.referent, mailbox=box)
            children.work(post.config, clock.paced_now())
            export.refresh_from_db()
            assert (export.state, export.error, export.key) == ("failed", "disk", "")
            assert not list(small_disk.glob("exp_*"))
        (small_disk / "ballast").unlink()
        again = actions.ask_export(actor=beaune.referent, mailbox=box)
        children.work(post.config, clock.paced_now())
        again.refresh_from_db()
        assert again.state == "ready"
    finally:
        places.unlink()
        places.mkdir()


def test_an_erasure_that_is_killed_has_the_key_or_has_begun(
    post: Post, beaune: Commune, administrator: Any, places: Path
) -> None:
    box = old(closed(post, beaune, "interrompu"))
    erasure, rng = granted(box, beaune, administrator), random.Random(20261126)
    for _ in range(5):
        child = child_process.start(post.config, "closing", str(clock.epoch_s()))
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(rng.uniform(1.0, 4.0))
        child.kill()
        child.wait()
        erasure.refresh_from_db()
        box.refresh_from_db()
        assert (erasure.state, bool(box.crypt_key)) in {("granted", True), ("erasing", False)}
        Erasure.objects.update(next_run_at=clock.now())
    told.changed(post.config, backup_at=clock.epoch_s(), checked_at=clock.epoch_s())
    post.engines.start("backup")
    _until_done(post, erasure)
    post.engines.kill("backup")
    assert erasure.mails == 202
    assert not (layout.Paths(post.config.state).mailboxes / box.id).exists()
