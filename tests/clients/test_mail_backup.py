"""Backups of mailboxes and restores from them, before real Dovecot and restic: nothing lost, nothing twice."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail import doveadm
from beffroi.mail.backup import told
from beffroi.mail.backup.restoring import Box
from beffroi.mail.backup.store import NotInBackup
from beffroi.mail.backup.work import Work
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox

from tests.conftest import Commune
from tests.mail_post import Post, needs_engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
INTO = "Restauré le 26-11-2026 à 10h00"


@pytest.fixture
def work(post: Post) -> Iterator[Work]:
    """A store of its own for each test."""
    made = Work(post.config)
    for name in ("backup", "backup-work"):
        shutil.rmtree(post.config.state / name, ignore_errors=True)
    (post.config.run / "backup.json").unlink(missing_ok=True)
    made.prepare()
    yield made
    for name in ("backup", "backup-work"):
        shutil.rmtree(post.config.state / name, ignore_errors=True)


def letter(subject: str, lines: int = 40) -> bytes:
    head = f"From: Jean <jean@nuits.test>\r\nTo: x@y.test\r\nSubject: {subject}\r\n"
    return (head + f"Message-ID: <{subject.encode().hex()}@y.test>\r\n\r\n" + "texte\r\n" * lines).encode()


def fill(client: Any, folder: str, *subjects: str) -> None:
    for one in subjects:
        client.append(folder, letter(one), [b"\\Seen"] if one.endswith("0") else [])


def held(post: Post, box: Mailbox) -> dict[str, list[str]]:
    """Subjects of each folder that has mails; what is read has a mark."""
    client, found = post.imap(box), {}
    for kind, _, name in client.list_folders():
        if b"\\Noselect" in kind:
            continue
        client.select_folder(name, readonly=True)
        rows = client.fetch(client.search(), ["ENVELOPE", "FLAGS", "BODY.PEEK[TEXT]"])
        for row in rows.values():
            assert row[b"BODY[TEXT]"].startswith(b"texte"), "readable with the mailbox's key"
            seen = "+" if b"\\Seen" in row[b"FLAGS"] else ""
            found.setdefault(name, []).append(row[b"ENVELOPE"].subject.decode() + seen)
    client.logout()
    return {name: sorted(subjects) for name, subjects in found.items()}


def select(client: Any, folder: str, subject: str) -> list[int]:
    """Those whose subject begins so: the index of words may lag behind."""
    client.select_folder(folder)
    rows = client.fetch(client.search(), ["ENVELOPE"])
    return [uid for uid, row in rows.items() if row[b"ENVELOPE"].subject.decode().startswith(subject)]


def erase(client: Any, folder: str) -> None:
    client.select_folder(folder)
    client.delete_messages(client.search())
    client.expunge()


def asked(box: Mailbox, number: str = "1", **values: Any) -> dict[str, Any]:
    now = {"restore_id": f"rst_{number}", "mailbox_id": box.id, "at_s": clock.epoch_s() + 1, "owner": True}
    return now | {"into": INTO} | values


def restore(work: Work, box: Mailbox, number: str = "1", **values: Any) -> dict[str, Any]:
    return work.restore(asked(box, number, **values), lambda _line: None)


def between_backups() -> int:
    """A moment after what was, and before what comes: backups are told apart by the second."""
    moment = clock.epoch_s() + 1
    time.sleep(1.1 - time.time() % 1 + 0.05)
    return moment


def test_what_was_deleted_comes_back_as_of_before_once_and_that_is_undone(
    post: Post, beaune: Commune, work: Work
) -> None:
    box = post.mailbox(beaune, beaune.agent, "sauve")
    client = post.imap(box)
    client.create_folder("Projet/Été")
    fill(client, "INBOX", *(f"Devis {n}" for n in range(400)))
    fill(client, "Projet/Été", *(f"Plan {n}" for n in range(100)))
    before = held(post, box)
    assert work.back_up()["unsteady"] == []
    then = between_backups()
    client.delete_messages(select(client, "INBOX", "Devis 1"))
    client.expunge()
    client.delete_folder("Projet/Été")
    client.move(select(client, "INBOX", "Devis 2"), "Trash")
    fill(client, "INBOX", "Nouveau")
    client.logout()
    after = held(post, box)
    work.back_up()

    seen = restore(work, box, at_s=then, preview=True)
    assert (seen["missing"], seen["folders"]) == (211, {"INBOX": 111, "Projet/Été": 100})
    assert seen["present"] == 289, "what was moved to the bin is not gone"
    assert held(post, box) == after, "a preview changes nothing"
    done: list[int] = []
    answer = work.restore(asked(box, at_s=then), lambda line: done.append(line["done"]))
    assert answer["restored"] == 211 and done[-1] == 211
    now = held(post, box)
    assert now[f"{INTO}/Projet/Été"] == before["Projet/Été"], "with what had been read"
    assert sorted(now[f"{INTO}/INBOX"]) == sorted(x for x in before["INBOX"] if x.startswith("Devis 1"))
    assert restore(work, box, "2", at_s=then)["missing"] == 0, "a second run adds nothing"
    assert held(post, box) == now
    assert restore(work, box, "3")["missing"] == 0, "as of after the deletion there is nothing to bring"

    client = post.imap(box)
    client.move(select(client, f"{INTO}/INBOX", "Devis 17"), "INBOX")
    fill(client, f"{INTO}/INBOX", "Rangé ici".encode("ascii", "replace").decode())
    client.logout()
    removed = work.undo({"restore_id": "rst_1"})["removed"]
    left = held(post, box)
    assert removed == 200 and "Devis 17" in left["INBOX"], "what its owner took from there stays"
    assert left[f"{INTO}/INBOX"] == ["Rang? ici"]


def test_one_folder_one_search_one_mail_in_their_place(post: Post, beaune: Commune, work: Work) -> None:
    box = post.mailbox(beaune, beaune.agent, "choisi")
    client = post.imap(box)
    client.create_folder("Budget")
    fill(client, "INBOX", "Devis toiture", "Devis chaudiere", "Facture")
    fill(client, "Budget", "Devis ecole")
    work.back_up()
    erase(client, "INBOX")
    erase(client, "Budget")
    assert restore(work, box, into="", search="subject:devis", folder="INBOX")["restored"] == 2
    assert held(post, box) == {"INBOX": ["Devis chaudiere", "Devis toiture"]}
    name = f"<{b'Facture'.hex()}@y.test>"
    assert restore(work, box, "2", into="", message_id=name)["restored"] == 1
    assert held(post, box)["INBOX"] == ["Devis chaudiere", "Devis toiture", "Facture"]
    assert restore(work, box, "3", into="", search='from:nobody "Devis ecole"')["missing"] == 0
    client.logout()


def test_a_folder_that_held_nothing_then_is_an_error_and_names_those_that_did(
    post: Post, beaune: Commune, work: Work
) -> None:
    box = post.mailbox(beaune, beaune.agent, "dossiers")
    client = post.imap(box)
    for name in ("Sent", "Perso"):
        if not client.folder_exists(name):
            client.create_folder(name)
        fill(client, name, f"Devis {name}")
    work.back_up()
    client.logout()
    for folder in ("sent", "Envoyés", "INBOX"):
        with pytest.raises(NotFound) as refused:
            restore(work, box, folder=folder, search="subject:devis", owner=False)
        assert "Sent" in str(refused.value) and "Perso" not in str(refused.value)
    with pytest.raises(NotFound, match="Perso, Sent"):
        restore(work, box, folder="INBOX", owner=True)
    assert restore(work, box, folder="Sent", search="subject:facture", preview=True)["missing"] == 0


def test_no_name_of_a_folder_is_an_option_of_a_command(post: Post, beaune: Commune, work: Work) -> None:
    """doveadm takes "-A" for all mailboxes, wherever it stands."""
    box, other = (
        post.mailbox(beaune, who, name) for who, name in ((beaune.agent, "tiret"), (beaune.colleague, "b"))
    )
    names = ("-A", "-Archives 2019", f"-u{other.address}", "-h", "--")
    client = post.imap(box)
    for name in names:
        client.create_folder(name)
        fill(client, name, f"Plan {name}")
    work.back_up()
    for name in names:
        erase(client, name)
    client.logout()
    assert restore(work, box, folder="-A", preview=True)["missing"] == 1
    assert restore(work, box, into="")["restored"] == len(names)
    assert held(post, box) == {name: [f"Plan {name}"] for name in names}
    assert held(post, other) == {}
    assert work.undo({"restore_id": "rst_1"})["removed"] == len(names)


def test_what_is_private_comes_back_at_its_owners_wish_alone(post: Post, beaune: Commune, work: Work) -> None:
    box = post.mailbox(beaune, beaune.agent, "prive")
    client = post.imap(box)
    client.create_folder("Privé")
    fill(client, "Privé", "Vacances")
    fill(client, "INBOX", "PERSONNEL rendez-vous", "Arrosage")
    client.append("INBOX", b"Sensitivity: Private\r\n" + letter("Notaire"))
    work.back_up()
    erase(client, "INBOX")
    erase(client, "Privé")
    client.logout()
    seen = restore(work, box, owner=False, into="")
    assert (seen["restored"], seen["private"], seen["folders"]) == (1, 3, {"INBOX": 1})
    assert held(post, box) == {"INBOX": ["Arrosage"]}
    assert restore(work, box, "2", owner=True, into="")["restored"] == 3


def test_a_mailbox_whose_directory_is_gone_is_there_again_and_readable(
    post: Post, beaune: Commune, work: Work
) -> None:
    box = post.mailbox(beaune, beaune.agent, "perdu")
    client = post.imap(box)
    client.create_folder("Projet")
    fill(client, "INBOX", *(f"Devis {n}" for n in range(20)))
    fill(client, "Projet", "Plan")
    client.logout()
    before = held(post, box)
    work.back_up()
    home = layout.Paths(post.config.state).mailboxes / box.id
    shutil.rmtree(home)
    assert restore(work, box, preview=True)["whole"]
    assert not list(home.rglob("m.*")), "a preview changes nothing"
    assert restore(work, box)["restored"] == 21
    assert held(post, box) == before
    assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (layout.MAIL_UID, 0o700)

    # Gone once more, and Dovecot made a new one before anybody noticed.
    shutil.rmtree(home)
    client = post.imap(box)
    fill(client, "INBOX", "Arrive entre temps")
    client.logout()
    assert restore(work, box, "2", into="")["restored"] == 21
    assert held(post, box) == before | {"INBOX": sorted([*before["INBOX"], "Arrive entre temps"])}


def test_a_backup_is_whole_while_mail_arrives_and_is_purged(post: Post, beaune: Commune, work: Work) -> None:
    box = post.mailbox(beaune, beaune.agent, "vivant")
    client, ended = post.imap(box), threading.Event()
    fill(client, "INBOX", *(f"Devis {n}" for n in range(50)))
    client.logout()

    def live() -> None:
        own, n = post.imap(box), 0
        while not ended.is_set():
            fill(own, "INBOX", f"Lot {n}")
            if n % 5 == 4:
                own.delete_messages(select(own, "INBOX", f"Lot {n - 4}"))
                own.expunge()
                Doveadm(post.config).run([doveadm.purge(box.address)])
            n += 1
            ended.wait(0.1)  # without a pause the mailbox grows as long as the backup of its growth
        own.logout()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        for _ in range(4):
            assert work.back_up()["unsteady"] == []
    finally:
        ended.set()
        thread.join()
    shutil.rmtree(layout.Paths(post.config.state).mailboxes / box.id)
    for shot in work.store.snapshots():
        with work._former(shot, box.id) as former:
            texts = Box(post.config, box.address, former).texts(100_000, former=True)
            assert len(texts) >= 50, "every mail of the picture opens"
    assert restore(work, box)["restored"] >= 50


def test_no_backup_is_as_old_as_that(post: Post, beaune: Commune, work: Work) -> None:
    box = post.mailbox(beaune, beaune.agent, "jeune")
    with pytest.raises(NotInBackup):
        restore(work, box)
    work.back_up()
    with pytest.raises(NotInBackup):
        restore(work, box, at_s=clock.epoch_s() - 3600)
    late = post.mailbox(beaune, beaune.agent, "jeune2")
    with pytest.raises(NotInBackup):
        restore(work, late)


def test_the_age_is_told_and_becomes_an_alarm(post: Post, work: Work) -> None:
    now = clock.epoch_s()
    assert told.problem(post.config, now=now) == ""
    assert "not backed up for 27 hours" in told.problem(post.config, now=now + 27 * 3600)
    work.back_up()
    state = told.read(post.config)
    assert state.backup_at >= now and state.store_bytes > 0 and state.snapshots == 1
    assert not told.late(state, now=now + 25 * 3600)
    assert told.late(state, now=now + int(timedelta(hours=27).total_seconds()))


def test_only_root_opens_the_store(post: Post, work: Work) -> None:
    work.back_up()
    for path in (post.config.state / "backup", post.config.secrets / "backup.key"):
        assert path.stat().st_uid == 0 and path.stat().st_mode & 0o077 == 0
    stage = Path(post.config.state / "backup-work" / "stage")
    assert stage.stat().st_mode & 0o077 == 0
    assert list((post.config.state / "backup-work" / "scratch").iterdir()) == []
