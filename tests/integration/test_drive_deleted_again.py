"""A version that somebody deleted does not come back with a restore of the backup."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from beffroi.cli import drive as command
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.drive import audited, deleted_again
from beffroi.drive.backup.work import Backups
from beffroi.drive.store import commune, keys, locks, versions
from beffroi.drive.store.commune import Communes
from beffroi.drive.version_actions import DELETED
from beffroi.lib import clock
from django.conf import settings
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, drive
from tests.fixtures_portal import no_door
from tests.integration.test_drive_version_delete_pages import DONE, asked, client, history, written

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db
Restore = Callable[[], str]


@pytest.fixture
def communes() -> Iterator[Communes]:
    with commune.opened(settings.BEFFROI) as opened:
        yield opened


@pytest.fixture
def restore(communes: Communes, beaune: Commune, capsys: pytest.CaptureFixture[str]) -> Restore:
    """The command; what it says."""

    def given() -> str:
        options = command._parser().parse_args(["restore", beaune.id, "--calendars", "--yes"])
        assert command.run(settings.BEFFROI, communes, options) == 0
        return capsys.readouterr().out

    return given


def back_up(communes: Communes, beaune: Commune) -> None:
    keys.make(settings.BEFFROI, beaune.id)
    Backups(settings.BEFFROI, communes).back_up(beaune.id)


def test_it_is_deleted_again_and_nothing_else_is(
    drive: Drive, client: Client, communes: Communes, restore: Restore, *, beaune: Commune
) -> None:
    node = written(drive, drive.own, "personnel", "b", "cc")
    newer, older = history(drive, node)
    back_up(communes, beaune)
    assert DONE in asked(client, older)
    said = restore()
    assert "1 versions that people had deleted since are deleted again." in said
    assert history(drive, node) == [newer]
    with drive.database.reading() as reading:
        assert versions.erased(reading, [(node.id, older.etag)]), "the past of a folder says so"
    assert AuditEntry.objects.filter(verb=DELETED, actor_kind="system").count() == 1
    assert "deleted again" in restore(), "given twice, it does the same twice"
    assert history(drive, node) == [newer]


def test_what_was_deleted_before_the_backup_is_nothing_to_do(
    drive: Drive, client: Client, communes: Communes, restore: Restore, *, beaune: Commune
) -> None:
    node = written(drive, drive.own, "personnel", "b")
    assert DONE in asked(client, history(drive, node)[0])
    back_up(communes, beaune)
    assert "deleted" not in restore()


def test_a_present_content_as_of_the_restore_stays_and_is_said(
    drive: Drive, client: Client, communes: Communes, restore: Restore, *, beaune: Commune
) -> None:
    node = written(drive, drive.own, "personnel")
    back_up(communes, beaune)
    written(drive, drive.own, "b")
    (older,) = history(drive, node)
    assert DONE in asked(client, older)
    assert "1 contents that people had deleted since are there again" in restore()


def test_what_is_locked_as_of_the_restore_stays_and_is_said(
    drive: Drive, client: Client, communes: Communes, restore: Restore, *, beaune: Commune
) -> None:
    node = written(drive, drive.own, "personnel", "b")
    (older,) = history(drive, node)
    lock = drive.database.write(
        lambda w: locks.lock(w, drive.act, node.id, deep=False, shared=False, owner="", timeout_s=6000)
    )
    back_up(communes, beaune)
    drive.database.write(lambda w: locks.unlock(w, drive.act, node.id, lock.token))
    assert DONE in asked(client, older)
    assert "1 contents that people had deleted since are there again" in restore()
    assert history(drive, node) == [older]


@pytest.mark.parametrize("change", ["length", "time", "told and not done", "another commune"])
def test_numbers_alone_delete_nothing(drive: Drive, beaune: Commune, nuits: Commune, change: str) -> None:
    """Metadata that were lost count anew: another file has the number then."""

    node = written(drive, drive.own, "a", "b")
    (older,) = history(drive, node)
    details = {"version": older.etag, "size_bytes": older.size_bytes, "replaced_s": older.replaced_s}
    if change == "length":
        details["size_bytes"] += 1
    if change == "time":
        details["replaced_s"] += 1
    owner = nuits.id if change == "another commune" else beaune.id
    actor = Actor("person", drive.who.person_id, owner, "agent")
    audited.record(actor, DELETED, object_id=str(node.id), collectivite_id=owner, details=details)
    if change == "told and not done":
        audited.record(
            actor,
            audited.FAILED,
            object_id=str(node.id),
            collectivite_id=owner,
            details={"verb": DELETED, "code": "drive.locked"},
        )
    assert deleted_again.again(drive.database, beaune.id, as_of_s=clock.epoch_s()) == (0, 0)
    assert history(drive, node) == [older]
