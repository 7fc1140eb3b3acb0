"""Deleted mail and room in a real Chromium before the real engines: a person deletes, finds again, undoes, is warned.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.mail.quota import actions as quota
from imapclient.exceptions import IMAPClientError

from tests.clients.test_webmail_browser import desk
from tests.fixtures_browser import browser, inspect
from tests.fixtures_portal import no_door
from tests.mail_post import Post, needs_engines

__all__ = ["browser", "desk", "no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, pytest.mark.browser]


def test_a_person_deletes_finds_again_and_undoes(post: Post, desk: Any) -> None:
    page, portal, box, _other = desk
    client = post.imap(box)
    for number, subject in enumerate(("Devis de la toiture", "Voeux du maire", "Cantine de mars")):
        client.append(
            "Trash", f"From: Jean <jean{number}@nuits.test>\r\nSubject: {subject}\r\n\r\nx\r\n".encode()
        )
    page.goto(f"{portal}/courrier/{box.id}/?dossier=Trash")
    for one in page.locator(".mails input").all():
        one.check()
    page.select_option("#id_what", "erase")
    page.click("button:has-text('Appliquer')")
    page.wait_for_selector("text=3 courriels effacés.")
    page.goto(f"{portal}/courrier/{box.id}/")
    page.click("text=Retrouver un courriel supprimé")
    page.wait_for_selector("text=Cantine de mars")
    inspect(page, "r-supprimes-vrais")
    page.fill("#id_q", "toit")
    page.keyboard.press("Enter")
    page.wait_for_selector("h2:has-text('1 courriel trouvé')")
    page.get_by_label("Devis de la toiture").check()
    page.click("button:has-text('Rendre les courriels cochés')")
    page.wait_for_selector(".say:has-text('1 courriel rendu : il est dans Boîte de réception.')")
    inspect(page, "r-supprimes-rendu")
    assert post.count(box) == 1
    page.click("button:has-text('Annuler')")
    page.wait_for_selector("text=C’est annulé")
    assert post.count(box) == 0 and page.locator("text=Devis de la toiture").count() == 1
    page.click("button:has-text('Rendre les courriels cochés')")
    page.wait_for_selector("text=Cochez d’abord")

    quota.limit_mailbox(actor=Actor.system("tests"), mailbox=box, limit_mib=1)
    run_pending("main")
    for size, name in ((870_000, "soon"), (120_000, "nearly"), (100_000, "full")):
        try:
            client.append("INBOX", b"Subject: x\r\n\r\n" + b"x" * size)
        except IMAPClientError:
            client.append("Sent", b"Subject: x\r\n\r\n" + b"x" * size)
        page.goto(f"{portal}/courrier/{box.id}/")
        inspect(page, f"r-place-{name}")
    assert "Rien n’est perdu" in page.inner_text("main")
    client.logout()
