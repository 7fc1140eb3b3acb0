"""Requests for mails from the backups without engines: who may ask for what, who sees it, what pages say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.drive.backup import drills
from beffroi.drive.backup.drills import Drill
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail.backup import actions, consumers, queries, restoring, told
from beffroi.mail.backup.asking import BackupUnavailable
from beffroi.mail.backup.keeper import due
from beffroi.mail.backup.models import Restore
from beffroi.mail.backup.retention import restores

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, own_mailbox, portal_client
from tests.markup import text_of

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("tests")


@pytest.fixture
def state(config: Config) -> Iterator[Config]:
    yield config
    (config.run / "backup.json").unlink(missing_ok=True)


def yesterday() -> Any:
    return clock.now() - timedelta(days=1)


def ask(*, actor: Actor, **asked: Any) -> Restore:
    return actions.keep(actor=actor, restore=actions.draft(actor=actor, **asked))


def test_only_readers_and_referents_of_the_same_commune_ask(beaune: Commune, nuits: Commune) -> None:
    box = own_mailbox(beaune)
    for stranger in (nuits.agent, nuits.referent):
        with pytest.raises(NotFound):
            ask(actor=stranger, mailbox=box, at=yesterday())
    own = ask(actor=beaune.agent, mailbox=box, at=yesterday())
    led = ask(actor=beaune.referent, mailbox=box, at=yesterday())
    assert (own.by_owner, led.by_owner) == (True, False)
    assert {one.id for one in queries.visible(beaune.agent)} == {own.id, led.id}, "the owner sees who asked"
    for stranger in (nuits.agent, nuits.referent):
        assert not queries.visible(stranger).exists()
        with pytest.raises(NotFound):
            queries.access_restore(stranger, own.id)
    for person in (beaune.agent, beaune.referent):
        with pytest.raises(NotAllowed):
            actions.carry_out(actor=person, restore=own)
        with pytest.raises(NotAllowed):
            actions.undo(actor=person, restore=own)
        with pytest.raises(NotAllowed):
            actions.preview(actor=person, restore=own)
    with pytest.raises(NotAllowed):
        actions.refuse(actor=beaune.referent, restore=own, reason="")
    assert (queries.waiting(SYSTEM), queries.waiting(beaune.referent)) == (2, 0)


def test_who_takes_a_restore_back_after_somebody_else_reads_that_it_is(beaune: Commune) -> None:
    row = ask(actor=beaune.agent, mailbox=own_mailbox(beaune), at=yesterday())
    with pytest.raises(Conflict, match="not done"):
        actions.undo(actor=SYSTEM, restore=row)
    seen_before = Restore.objects.get(pk=row.pk)
    seen_before.state = Restore.State.DONE
    Restore.objects.filter(pk=row.pk).update(state=Restore.State.UNDONE)
    with pytest.raises(Conflict, match="taken back already"):
        actions.undo(actor=SYSTEM, restore=seen_before)


def test_a_request_is_bounded_and_its_words_are_no_command(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    for values in (
        {"at": clock.now() + timedelta(hours=1)},
        {"folder": "x\ny"},
        {"search": "header:x"},
        {"search": "since:yesterday"},
        {"search": " ".join(["mot"] * 13)},
        {"search": "x" * 301},
        {"message_id": "<a\n@b>"},
    ):
        with pytest.raises(Invalid):
            ask(actor=SYSTEM, mailbox=box, **({"at": yesterday()} | values))
    for _ in range(actions.MAX_OPEN):
        ask(actor=SYSTEM, mailbox=box, at=yesterday())
    with pytest.raises(Conflict):
        ask(actor=SYSTEM, mailbox=box, at=yesterday())
    assert restoring.parse('subject:"devis toit" from:jean mot since:2026-11-01') == (
        ("subject", "devis toit"),
        ("from", "jean"),
        ("subject", "mot"),
        ("since", "2026-11-01"),
    )


def test_without_the_keeper_a_restore_waits(beaune: Commune, state: Config) -> None:
    row = ask(actor=SYSTEM, mailbox=own_mailbox(beaune), at=yesterday(), search="mot")
    with pytest.raises(BackupUnavailable):
        actions.carry_out(actor=SYSTEM, restore=row)
    row.refresh_from_db()
    assert (row.state, row.search) == ("running", "mot"), "given again, it goes on"
    assert restores(clock.now() + timedelta(seconds=1)).count() == 1


def test_the_pages_ask_take_back_and_refuse(beaune: Commune, nuits: Commune, state: Config) -> None:
    box, other = own_mailbox(beaune), own_mailbox(nuits)
    client = portal_client(beaune.agent_membership)
    page = text_of(client.get("/courrier/restaurations/"))
    assert box.address in page and other.address not in page and "Aucune demande" in page
    day = yesterday().date().isoformat()
    good = {"word": "ask", "boite": box.id, "jour": day, "mots": 'devis: "toit"', "dossier": "Budget"}
    assert client.post("/courrier/restaurations/", good | {"boite": other.id}).status_code == 404
    for bad, wrong in (
        ({"jour": ""}, "jour"),
        ({"jour": "2999-01-01"}, "jour"),
        ({"heure": "99:99"}, "jour"),
        ({"dossier": "a\x01"}, "dossier"),
    ):
        answer = client.post("/courrier/restaurations/", good | bad | {"ou": "place"})
        page = text_of(answer)
        assert answer.status_code == 400 and 'value="devis' in page and 'value="place" checked' in page
        assert re.findall(r'aria-describedby="id_(\w+)_error" aria-invalid="true"', page) == [wrong]
    assert not Restore.objects.exists()
    assert client.post("/courrier/restaurations/", good).status_code == 302
    row = Restore.objects.get()
    assert (row.by_owner, row.folder, row.search) == (True, "Budget", 'subject:"devis" subject:"toit"')
    assert row.into.startswith("Restauré le ")
    assert "Attend le Département" in text_of(client.get("/courrier/restaurations/"))
    stranger = portal_client(nuits.agent_membership)
    take = {"word": "cancel", "restore": row.id}
    assert stranger.post("/courrier/restaurations/", take).status_code == 404
    assert client.post("/courrier/restaurations/", take).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.search) == ("refused", "")
    assert AuditEntry.objects.filter(verb="mail:restore:refused").exists()


def test_the_console_says_how_old_the_backup_is_and_what_waits(
    beaune: Commune, administrator: Actor, state: Config
) -> None:
    now = clock.epoch_s()
    row = ask(actor=beaune.referent, mailbox=own_mailbox(beaune), at=yesterday())
    with on_listener("console"):
        client = console_client(administrator.id)
        page = text_of(client.get("/sauvegardes/"))
        assert "Pas encore." in page and f"./beffroi mail restore {row.id}" in page
        assert "1 demande de restauration de courriels attend" in text_of(client.get("/"))
        assert "La sauvegarde des boîtes" not in text_of(client.get("/"))
        told.write(state, told.Told(since=now - 10**6, backup_at=now - 27 * 3600, mailboxes=3, snapshots=9))
        assert "plus de 26 heures" in text_of(client.get("/sauvegardes/"))
        assert "La sauvegarde des boîtes demande un regard" in text_of(client.get("/"))
        told.changed(state, backup_at=now, checked_at=now, damaged=("data/ab/abcd",))
        assert "data/ab/abcd" in text_of(client.get("/sauvegardes/"))
        assert "data/ab/abcd" in told.problem(state, now=now)
        told.changed(state, damaged=())
        assert told.problem(state, now=now) == ""


def test_the_console_says_how_old_the_backup_of_the_database_is_and_whether_it_reads(
    administrator: Actor, state: Config
) -> None:
    now = clock.epoch_s()
    with on_listener("console"):
        client = console_client(administrator.id)
        page = text_of(client.get("/sauvegardes/"))
        assert "Sauvegarde de la base de données" in page and "la plus récente est relue en entier" in page
        told.write(state, told.Told(since=now - 10**6, backup_at=now))
        assert "La sauvegarde de la base de données demande un regard" in text_of(client.get("/"))
        told.changed_database(state, backup_at=now, people=812, size_bytes=2 * 10**6, snapshots=40)
        told.changed_database(state, drilled_at=now, drill_rows=12345, drill_took_s=7)
        page = text_of(client.get("/sauvegardes/"))
        assert "812 personnes" in page and "40 sauvegardes gardées" in page and "relues en 7 s" in page
        assert "chargée nulle part" not in page
        told.changed_database(state, drill_loaded=False)
        assert "Relue et comptée, mais chargée nulle part" in text_of(client.get("/sauvegardes/"))
        assert "base de données demande un regard" not in text_of(client.get("/"))
        told.changed_database(state, drill_failure="person has 3 rows of 812")
        assert "person has 3 rows of 812" in text_of(client.get("/sauvegardes/"))
        assert "base de données demande un regard" in text_of(client.get("/"))
        assert "could not be read" in told.database_problem(state, now=now)


def test_it_is_time_for_a_backup_then_for_a_check(state: Config) -> None:
    class Work:
        config = state

    def what(now: int, **tried_at: int) -> str:
        return due(Work(), now=now, tried_at=tried_at)  # type: ignore[arg-type]

    day = 86400
    told.write(state, told.Told(since=10 * day))
    assert what(10 * day) == "database", "seconds, where mailboxes may take hours"
    assert what(10 * day, database=10 * day - 60) == "backup"
    assert what(10 * day, database=10 * day - 60, backup=10 * day - 60) == "", (
        "a failed one is tried again after a quarter of an hour"
    )
    told.changed_database(state, backup_at=17 * day - 60, drilled_at=10 * day)
    told.changed(state, backup_at=17 * day - 60)
    assert what(17 * day - 30) == ""
    assert what(17 * day) == "check"
    told.changed(state, checked_at=17 * day)
    assert what(17 * day) == ""
    told.changed_database(state, drilled_at=17 * day - 30 * day)
    assert what(17 * day) == "drill", "a month later"
    told.changed_database(state, drilled_at=17 * day - 3600, drill_failure="it is damaged")
    assert what(17 * day) == ""
    told.changed_database(state, drilled_at=16 * day)
    assert what(17 * day) == "drill", "a bad one is repeated a day later"


def test_the_rows_that_open_a_backup_are_kept_as_they_are_today(beaune: Commune, state: Config) -> None:
    folder = state.state / "backup-rows"
    consumers.keep_rows()
    assert not folder.exists()
    folder.mkdir()
    box = own_mailbox(beaune)
    consumers.keep_rows()
    path = folder / "rows.json"
    assert box.id in path.read_text() and path.stat().st_mode & 0o077 == 0
    gone = box.id
    box.delete()
    consumers.keep_rows()
    assert gone not in path.read_text(), "a key that was destroyed is in no later copy"
    path.unlink()
    folder.rmdir()


def test_the_console_says_what_the_drills_of_the_coffre_found(
    beaune: Commune, nuits: Commune, administrator: Actor, state: Config
) -> None:
    now = clock.epoch_s()
    drills.path(state).parent.mkdir(parents=True, exist_ok=True)
    found = {
        beaune.id: Drill(now, took_s=40, picture_s=now - 60, files=1234, size_bytes=2_100_000_000),
        nuits.id: Drill(now, took_s=1, picture_s=now - 60, files=3, size_bytes=30, lost=2),
    }
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "chaque mois, tout est relu" in text_of(client.get("/sauvegardes/"))
        drills.path(state).write_bytes(msgspec.json.encode(found))
        page = text_of(client.get("/sauvegardes/"))
        assert "1 Coffre relu, rien ne manque : 1 234 fichiers et versions, 2,1 Go en 40 s." in page
        assert "Nuits-Saint-Georges" in page and "2 morceaux de fichiers manquent" in page
        own = text_of(client.get(f"/communes/{beaune.id}/coffre/"))
        assert "1 234 fichiers" in own and "Nuits-Saint-Georges" not in own
    assert nuits.id in drills.problem(state)
    drills.path(state).unlink()
