"""What was deleted comes back, before the real engines: found by words, given back, undone, gone after its time."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions as decisions
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotFound
from beffroi.mail import deleted, folders, holding, reader
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox
from beffroi.mail.quota import actions as quota
from beffroi.mail.quota import counting
from django.utils import timezone
from imapclient.exceptions import IMAPClientError

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, lure, needs_engines

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SYSTEM = Actor.system("tests")


def letter(subject: str, sender: str = "jean@nuits.test", kib: int = 1) -> bytes:
    head = f"From: Jean <{sender}>\r\nTo: x@y.test\r\nSubject: {subject}\r\n"
    head += f"Message-ID: <{subject.encode().hex()}@y.test>\r\n\r\n"
    return (head + ("texte " * 10 + "\r\n") * (kib * 16)).encode()


def fill(client: Any, folder: str, *subjects: str, kib: int = 1) -> None:
    for one in subjects:
        client.append(folder, letter(one, kib=kib))


def erase_all(client: Any, folder: str) -> None:
    """As a mail program does: mark and expunge, all at once."""
    client.select_folder(folder)
    client.delete_messages(client.search())
    client.expunge()


def subjects(post: Post, box: Mailbox, text: str = "", **days: date) -> list[str]:
    with reader.open_mailbox(post.config, box.address) as opened:
        return sorted(one.subject for one in deleted.search(opened, text, **days)[0])


def give_back(
    post: Post, commune: Commune, box: Mailbox, text: str = "", folder: str = "INBOX"
) -> tuple[list[int], int]:
    with reader.open_mailbox(post.config, box.address) as opened:
        uids = [one.uid for one in deleted.search(opened, text)[0]]
        return deleted.give_back(opened, actor=commune.agent, mailbox=box, uids=uids, folder=folder)


def test_every_way_of_deleting_leaves_each_mail_once(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "efface")
    assert subjects(post, box) == []
    client = post.imap(box)
    many = [f"Lot {n}" for n in range(9)]
    fill(client, "INBOX", *many)
    erase_all(client, "INBOX")
    fill(client, "Trash", "De la corbeille")
    client.create_folder("Projet")
    fill(client, "Projet", "Avec le dossier")
    client.delete_folder("Projet")
    fill(client, "INBOX", "Seulement jete")
    client.select_folder("INBOX")
    client.move(client.search(), "Trash")
    with reader.open_mailbox(post.config, box.address) as opened:
        opened.client.select_folder("Trash")
        first = opened.client.search()[:1]
        folders.act(opened, "Trash", first, "erase")
    fill(client, "Drafts", "Brouillon d avant")
    erase_all(client, "Drafts")
    client.logout()
    assert subjects(post, box) == sorted([*many, "De la corbeille", "Avec le dossier"])


def test_the_owners_programs_neither_see_it_nor_count_it(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "invisible")
    quota.limit_mailbox(actor=SYSTEM, mailbox=box, limit_mib=50)
    run_pending("main")
    client = post.imap(box)
    fill(client, "INBOX", "Secret un", "Secret deux", kib=300)
    erase_all(client, "INBOX")
    names = [name for _, _, name in client.list_folders()] + [n for _, _, n in client.list_sub_folders()]
    assert "Drafts" in names and not any("beffroi" in name for name in names)
    assert "beffroi" not in str(client.namespace())
    for guess in ("deleted/Messages", "beffroi-deleted/Messages", "Messages"):
        with pytest.raises(IMAPClientError):
            client.select_folder(guess)
    _, (found,) = client.get_quota_root("INBOX")
    assert found.usage == 0
    client.logout()
    assert subjects(post, box) == ["Secret deux", "Secret un"]
    # With the mailbox's own key, as everything of it.
    storage = b"".join(one.read_bytes() for one in _storage(post, box).glob("m.*"))
    assert storage.count(b"CRYPTED") == 2, "deleting copies nothing"


def test_what_an_old_program_moves_by_copying_leaves_nothing_among_the_deleted(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "copie")
    client = post.imap(box)
    client.create_folder("Dossier")
    fill(client, "INBOX", "Deplace")
    client.select_folder("INBOX")
    client.copy(client.search(), "Dossier")
    erase_all(client, "INBOX")
    assert subjects(post, box) == []
    erase_all(client, "Dossier")
    client.logout()
    assert subjects(post, box) == ["Deplace"]


def _storage(post: Post, box: Mailbox) -> Path:
    return layout.Paths(post.config.state).mailboxes / box.id / "mdbox" / "storage"


def test_it_is_found_by_sender_subject_and_day_and_given_back_and_that_is_undone(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "retrouve")
    client = post.imap(box)
    client.create_folder("Budget")
    client.append("INBOX", letter("Devis de la toiture"), [b"\\Seen", b"\\Flagged"])
    client.append("INBOX", letter("Cantine", sender="ecole@beaune.test"))
    erase_all(client, "INBOX")
    assert subjects(post, box, "toiture jean") == ["Devis de la toiture"]
    assert subjects(post, box, "ECOLE") == ["Cantine"]
    assert subjects(post, box, 'cantine" (\\ *') == ["Cantine"]  # what means something to IMAP divides words
    assert subjects(post, box, "introuvable") == []
    today = timezone.localdate()
    assert len(subjects(post, box, since=today.replace(year=today.year - 1), before=today)) == 2
    assert subjects(post, box, before=date(2020, 1, 1)) == []
    page, odd = f"/courrier/{box.id}/supprimes/", {"du": "0002-01-01", "au": "9999-12-31"}
    assert "Cantine" in portal_client(beaune.agent_membership).get(page, odd).content.decode()

    came, held = give_back(post, beaune, box, "toiture", folder="Budget")
    assert (len(came), held, subjects(post, box)) == (1, 0, ["Cantine"])
    client.select_folder("Budget")
    assert {b"\\Seen", b"\\Flagged"} <= set(client.get_flags(came)[came[0]])
    assert '"count":1' in AuditEntry.objects.get(verb="mail:deleted:given_back").details
    with reader.open_mailbox(post.config, box.address) as opened:
        assert deleted.take_away_again(opened, uids=came, folder="Budget") == 1
    assert post.count(box, "Budget") == 0
    assert subjects(post, box) == ["Cantine", "Devis de la toiture"]
    with pytest.raises(NotFound):
        give_back(post, beaune, box, folder="Nulle part")
    client.logout()


def test_a_taking_back_is_undone_once_and_the_page_says_where_there_is_nothing_to_undo(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "redit")
    client = post.imap(box)
    client.create_folder("Budget")
    client.append("INBOX", letter("Devis de la toiture"))
    erase_all(client, "INBOX")
    browser, page = portal_client(beaune.agent_membership), f"/courrier/{box.id}/supprimes/"

    def pressed(**fields: object) -> str:
        return browser.post(page, fields, follow=True).content.decode()

    def given_back() -> str:
        with reader.open_mailbox(post.config, box.address) as opened:
            (there,), _ = deleted.search(opened, "toiture")
        return pressed(uid=there.uid, target="Budget")

    nothing = "Rien à annuler\xa0: ces courriels ne sont plus là"
    assert nothing not in given_back()
    assert "de nouveau parmi les supprimés" in pressed(word="undo")
    assert nothing in pressed(word="undo"), "pressed twice"
    given_back()
    erase_all(client, "Budget")
    assert nothing in pressed(word="undo"), "another program was faster"
    given_back()
    client.delete_folder("Budget")
    assert nothing in pressed(word="undo"), "the folder is gone, too"
    client.logout()


def test_a_full_mailbox_is_said_and_nothing_is_lost(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "serre")
    client = post.imap(box)
    fill(client, "INBOX", "Gros", kib=900)
    erase_all(client, "INBOX")
    quota.limit_mailbox(actor=SYSTEM, mailbox=box, limit_mib=1)
    run_pending("main")
    client.logout()
    client = post.imap(box)
    fill(client, "INBOX", "Autre", kib=700)
    client.logout()
    with pytest.raises(deleted.NoRoom):
        give_back(post, beaune, box)
    assert (subjects(post, box), post.count(box)) == (["Gros"], 1)


def test_a_lure_that_was_deleted_does_not_come_back_while_a_decision_holds_it(
    post: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = post.mailbox(beaune, beaune.agent, "leurre")
    assert post.send(lure(box.address, "k1"), box.address)[0] == 250
    post.settle(1)
    client = post.imap(box)
    erase_all(client, "INBOX")
    client.logout()
    decision = post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert subjects(post, box) == ["Facture k1"]
    assert give_back(post, beaune, box) == ([], 1)
    # Decided between the question and the move: what came back is looked at once more.
    monkeypatch.setattr(holding, "holding", lambda *_: [])
    came, _ = give_back(post, beaune, box)
    monkeypatch.undo()
    assert (len(came), post.count(box)) == (1, 1)
    run_pending("remediation")
    assert (post.count(box), subjects(post, box)) == (0, [])
    decisions.revoke(actor=SYSTEM, decision=decision, reason="mistake")
    run_pending("remediation")
    assert post.count(box) == 1


def test_after_its_time_it_goes_for_good_and_the_disk_gets_its_room_back(
    post: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = post.mailbox(beaune, beaune.agent, "purge")
    counting.count()
    client = post.imap(box)
    for n in range(4):
        client.append("INBOX", letter(f"Plein {n}") + os.urandom(700_000).hex().encode())
    erase_all(client, "INBOX")
    fill(client, "INBOX", "Reste")
    client.logout()
    assert deleted.purge() == 1  # nothing is old enough
    assert len(subjects(post, box)) == 4

    def held_bytes() -> int:
        return sum(one.stat().st_size for one in _storage(post, box).glob("m.*"))

    before = held_bytes()
    assert before > 2_800_000
    monkeypatch.setattr(deleted, "KEEP_DAYS", -1)
    monkeypatch.setattr(deleted, "PURGE_EVERY", deleted.PURGE_EVERY * 0)
    assert deleted.purge() == 1
    assert (subjects(post, box), post.count(box)) == ([], 1)
    assert held_bytes() < 20_000 < before
    assert Doveadm(post.config).run([("fetch", {"user": box.address, "field": ["text"], "query": ["all"]})])[
        0
    ]
