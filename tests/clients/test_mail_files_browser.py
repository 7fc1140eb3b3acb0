"""Courrier and Coffre in a real Chromium before real engines and a real drive: large files, links, files kept.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.drive.store import shares, trash
from beffroi.lib import clock
from beffroi.mail import outgoing, reader
from beffroi.mail.models import Mailbox, Sending

from tests.conftest import Commune
from tests.drive_desk import joined
from tests.drive_pages import Drive
from tests.drive_server import served
from tests.fixtures_browser import browser, inspect
from tests.fixtures_portal import no_door, portal_client, session_cookie
from tests.mail_post import Post, needs_engines

__all__ = ["browser", "no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, pytest.mark.browser, pytest.mark.front]
SENT, RECEIVED = "Pièces jointes envoyées", "Pièces jointes reçues"
PLAN = bytes(range(256)) * 4096 * 22
"""22 MiB: more than a mail takes."""


@dataclass
class Desk:
    post: Post
    page: Any
    box: Mailbox
    drive: Drive

    @property
    def write(self) -> str:
        return f"/courrier/{self.box.id}/ecrire/"

    def inside(self, folder: str) -> list[str]:
        with self.drive.database.reading() as reading:
            row = reading.one(
                "SELECT id FROM node WHERE parent = ? AND name = ?", (self.drive.own.id, folder)
            )
            rows = reading.all(
                "SELECT name FROM node WHERE parent = ? ORDER BY name", (row[0] if row else -1,)
            )
        return [str(one[0]) for one in rows]

    def links(self) -> list[shares.Share]:
        with self.drive.database.reading() as reading:
            return shares.made_by(reading, self.box.person_id or "", now_s=clock.epoch_s())

    def thrown(self) -> list[str]:
        with self.drive.database.reading() as reading:
            return [one.name for one in trash.page(reading, self.drive.own.id)]


@pytest.fixture
def desk(post: Post, beaune: Commune, browser: Any, live_server: Any, tmp_path: Path) -> Iterator[Desk]:
    box, drive = post.mailbox(beaune, beaune.agent, "claire"), Drive(beaune.agent_membership)
    with (
        served(post.config.state) as server,
        joined(tmp_path, web=live_server.url, drive_port=server.port) as address,
    ):
        context = browser.new_context(
            locale="fr-FR", viewport={"width": 1280, "height": 900}, base_url=address
        )
        context.add_cookies([session_cookie(portal_client(beaune.agent_membership), address)])
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None)
        yield Desk(post, page, box, drive)
        context.close()
        assert wrong == []


def choose(page: Any, tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    page.set_input_files("#id_files", str(tmp_path / name))


def test_what_is_too_large_goes_by_a_link_that_the_sender_sees_first(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    page.goto(desk.write)
    page.fill("#id_to", f"Claire <{desk.box.address}>")
    page.fill("#id_subject", "Plans")
    page.fill("#id_text", "Bonjour,\n\n-- \nClaire")
    choose(page, tmp_path, "petit.txt", b"petit")
    page.wait_for_selector("[data-files] li:has-text('petit.txt')")
    choose(page, tmp_path, "plan.bin", PLAN)
    page.wait_for_selector("[data-linked] li:has-text('Trop lourd pour un courriel')")
    assert desk.links() == [] and desk.inside(SENT) == []  # nothing goes before somebody says so
    inspect(page, "f-trop-lourd")
    page.click("button:has-text('Envoyer')")  # not without the file that was chosen
    page.wait_for_selector("[data-linked] :text('n’est pas encore dans le message')")
    page.fill("#id_link_password", "court")
    page.click("button:has-text('Mettre un lien')")
    page.wait_for_selector("[data-linked] :text('de 8 à')")
    page.fill("#id_link_password", "un long secret")
    page.select_option("#id_link_days", "7")
    page.click("button:has-text('Mettre un lien')")
    page.wait_for_selector("[data-linked] .tag:has-text('Lien jusqu’au')")
    inspect(page, "f-lien")
    text = page.input_value("#id_text")
    found = re.search(
        r"plan\.bin \(23,\d.Mo\), à télécharger jusqu’au .+\nhttps://\S+/partage/(\S+)/(\S+)/\nUn mot de passe",
        text,
    )
    assert found is not None and text.index("plan.bin") < text.index("-- \nClaire")
    (share,) = desk.links()
    assert share.has_password and desk.inside(SENT) == ["plan.bin"]
    assert AuditEntry.objects.filter(verb="drive:link:made", object_id=share.id).count() == 1
    assert "un long secret" not in text
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    page.click("button:has-text('Envoyer')")
    page.wait_for_selector("text=Votre message part dans quelques secondes")
    Sending.objects.filter(state="waiting").update(due_at=clock.now())
    outgoing.send_due()
    desk.post.wait_count(desk.box, 1)
    with reader.open_mailbox(desk.post.config, desk.box.address) as opened:
        view = opened.read(opened.list()[0].uid)
    assert [one.name for one in view.attachments] == ["petit.txt"] and found[2] in view.text
    assert desk.links() == [share]  # what left keeps its file


def test_a_link_that_is_taken_back_and_a_draft_that_is_thrown_away_take_the_file_along(
    desk: Desk, tmp_path: Path
) -> None:
    page = desk.page
    page.goto(desk.write)
    page.fill("#id_text", "Bonjour")
    for name in ("un.bin", "deux.bin"):
        choose(page, tmp_path, name, PLAN)
        page.click(f"[data-linked] li:has-text('{name}') button:has-text('Mettre un lien')")
        page.wait_for_selector(f"[data-linked] li:has-text('{name}') .tag:has-text('Lien jusqu’au')")
    assert desk.inside(SENT) == ["deux.bin", "un.bin"]
    page.click("[data-linked] li:has-text('un.bin') button:has-text('Retirer')")
    page.wait_for_selector("[data-linked] li:has-text('un.bin')", state="detached")
    assert "un.bin" not in page.input_value("#id_text") and "deux.bin" in page.input_value("#id_text")
    assert desk.inside(SENT) == ["deux.bin"] and len(desk.links()) == 1
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    page.goto(f"/courrier/{desk.box.id}/?dossier=Drafts")
    page.click(".mails a")
    with page.expect_navigation():
        page.click("button:has-text('Jeter')")
    assert desk.inside(SENT) == [] and desk.links() == []
    assert sorted(desk.thrown()) == ["deux.bin", "un.bin"]  # from where they come back


def test_what_left_or_is_in_another_draft_keeps_its_link_when_an_old_window_throws_it_away(
    desk: Desk, tmp_path: Path, beaune: Commune
) -> None:
    page, client = desk.page, portal_client(beaune.agent_membership)
    page.goto(desk.write)
    page.fill("#id_to", desk.box.address)
    choose(page, tmp_path, "plan.bin", PLAN)
    page.click("button:has-text('Mettre un lien')")
    page.wait_for_selector("[data-linked] .tag:has-text('Lien jusqu’au')")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    names = ("uid", "uid_validity", "message_id", "to", "text")
    old = {name: page.input_value(f"[name={name}]") for name in names}
    save = f"/courrier/{desk.box.id}/brouillon/"
    # Another window keeps a state of its own, and throws that away.
    apart = {**old, "tab": "another-window", "uid": "99", "what": "save"}
    found = client.post(save, apart, headers={"Accept": "application/json"}).json()
    assert found["apart"] and len(desk.links()) == 1
    client.post(save, {**old, "uid": found["uid"], "what": "discard"})
    assert len(desk.links()) == 1 and desk.inside(SENT) == ["plan.bin"]
    # The message has left, and the old window is thrown away.
    page.click("button:has-text('Envoyer')")
    page.wait_for_selector("text=Votre message part dans quelques secondes")
    Sending.objects.filter(state="waiting").update(due_at=clock.now())
    outgoing.send_due()
    client.post(save, {**old, "what": "discard"})
    assert len(desk.links()) == 1 and desk.inside(SENT) == ["plan.bin"]


def test_a_file_of_the_coffre_is_attached_or_linked_and_an_attachment_is_kept(
    desk: Desk, tmp_path: Path
) -> None:
    page = desk.page
    page.goto("/coffre/")
    (tmp_path / "budget.txt").write_bytes(b"1 000 EUR")
    with page.expect_navigation():
        page.set_input_files("#desk input[type=file]:not([webkitdirectory])", str(tmp_path / "budget.txt"))
    page.goto(desk.write)
    page.fill("#id_to", desk.box.address)
    page.click("button:has-text('Prendre dans le Coffre')")
    page.wait_for_selector("dialog li:has-text('budget.txt')")
    inspect(page, "f-prendre")
    page.click("dialog li:has-text('budget.txt') button:has-text('Joindre')")
    page.wait_for_selector("[data-files] li:has-text('budget.txt')")
    page.click("button:has-text('Prendre dans le Coffre')")
    page.click("dialog li:has-text('budget.txt') button:has-text('Par un lien')")
    page.wait_for_selector("[data-linked] .tag:has-text('Lien jusqu’au')")
    assert "budget.txt (9" in page.input_value("#id_text")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    page.click("button:has-text('Envoyer')")
    page.wait_for_selector("text=Votre message part dans quelques secondes")
    Sending.objects.filter(state="waiting").update(due_at=clock.now())
    outgoing.send_due()
    desk.post.wait_count(desk.box, 1)
    page.goto(f"/courrier/{desk.box.id}/")
    page.click(".mails a")
    page.click("button:has-text('Garder dans le Coffre')")
    page.wait_for_selector("a:has-text('Enregistrée dans le Coffre')")
    inspect(page, "f-garder")
    assert desk.inside(RECEIVED) == ["budget.txt"]
    with page.expect_navigation():
        page.click("a:has-text('Enregistrée dans le Coffre')")
    assert "budget.txt" in page.inner_text("main")
    # A mail that was set aside gives nothing to the Coffre, also to who asks for it by hand.
    with reader.connect(desk.post.config, desk.box.address) as client:
        client.select_folder("INBOX")
        client.move(client.search(["ALL"]), "Junk")
        client.select_folder("Junk")
        uid = client.search(["ALL"])[-1]
    page.goto(f"/courrier/{desk.box.id}/{uid}/?dossier=Junk")
    assert page.locator("a:has-text('Enregistrer')").count() == 1
    assert page.locator("[data-keep]").count() == 0
    answer = page.request.get(f"/courrier/{desk.box.id}/{uid}/piece/2/?dossier=Junk&vers=coffre")
    assert answer.status == 403
    assert page.request.get(f"/courrier/{desk.box.id}/{uid}/piece/2/?dossier=Junk").status == 200


def test_a_link_is_made_to_nothing_of_another_commune(desk: Desk, nuits: Commune) -> None:
    """The file of a neighbour is absent, whatever mailbox one has."""
    other = Drive(nuits.agent_membership).file("secret.txt")
    client = portal_client(desk_membership(desk))
    address = f"/courrier/{desk.box.id}/coffre/"
    answer = client.post(address + "lien/", {"node": str(other.id + 10_000), "days": "7"})
    assert answer.status_code == 404 and "secret" not in answer.content.decode()
    assert client.get(address, {"dossier": str(other.id + 10_000)}).status_code == 404
    assert client.post(address + "retirer/", {"share": "shr_" + "0" * 26}).status_code == 404
    assert desk.links() == []


def desk_membership(desk: Desk) -> Any:
    from beffroi.core.identity.models import Membership

    return Membership.objects.get(person_id=desk.box.person_id)


def test_a_link_stands_above_what_is_passed_on(desk: Desk, tmp_path: Path) -> None:
    letter = b"From: a@example.org\r\nSubject: x\r\n\r\nBonjour\r\n\r\n-- \r\nJean\r\n"
    desk.post.imap(desk.box).append("INBOX", letter)
    page = desk.page
    page.goto(f"{desk.write}?transferer=1")
    choose(page, tmp_path, "plan.bin", PLAN)
    page.click("button:has-text('Mettre un lien')")
    page.wait_for_selector("[data-linked] .tag:has-text('Lien jusqu’au')")
    text = page.input_value("#id_text")
    assert text.index("plan.bin") < text.index("Message transféré") < text.index("Bonjour")
