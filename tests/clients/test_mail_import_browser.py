"""An archive in the wrong mailbox is taken away again in a real Chromium, by keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from beffroi.mail.importing import bringing, runner

from tests import old_provider
from tests.clients.test_webmail_browser import desk
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door
from tests.mail_post import Post, needs_engines

__all__ = ["browser", "desk", "no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, pytest.mark.browser]


def test_an_archive_is_taken_away_again(post: Post, desk: Any) -> None:
    page, portal, box, _ = desk
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for number in range(5):
            made.writestr(f"Urbanisme/{number}.eml", old_provider.generated("Urbanisme", number))
        for number in range(12):
            made.writestr(f"Archives/sauvegarde de l’ancien poste, {2008 + number}.pst", b"!BDN")
    file.seek(0)
    job = bringing.bring(mailbox=box, file=file, name="claire.zip", folder="Reprise", account="root")
    client = post.imap(box)
    client.select_folder("Reprise/Urbanisme")
    client.add_flags(client.search(["UNANSWERED"])[:1], [b"\\Answered"])
    client.logout()
    page.goto(f"{portal}/courrier/{box.id}/reprendre/")
    page.click("a:has-text('Ouvrir')")
    inspect(page, "reprise")
    press(page, "Retirer ce qui a été copié")
    page.wait_for_selector("h2:has-text('4 courriels partent')")
    inspect(page, "reprise-retirer")
    press(page, "Retirer 4 courriels")
    page.wait_for_selector("h2:has-text('Retrait en cours')")
    inspect(page, "reprise-retrait")
    runner.run(job.id)
    page.wait_for_selector("h2:has-text('Retiré')")
    assert "4 courriels retirés." in page.inner_text("main")
    inspect(page, "reprise-retiree")
    press(page, "Retrouver un courriel supprimé")
    page.wait_for_selector("text=Objet")
