"""The webmail in a real Chromium before the real engines: a person writes, attaches, sends, calls back, finds again.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from beffroi.mail import reader
from beffroi.mail.models import Sending
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session

from tests.conftest import Commune
from tests.effort import counted
from tests.fixtures_browser import FOCUSED, begins, browser, inspect, press
from tests.fixtures_portal import cookie, no_door, portal_client, session_cookie
from tests.mail_post import Post, needs_engines, until

__all__ = ["browser", "no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, pytest.mark.browser]


@pytest.fixture
def desk(post: Post, beaune: Commune, nuits: Commune, browser: Any, live_server: Any) -> Iterator[Any]:
    """A page of the signed-in secretary, her mailbox and a neighbour's."""
    box = post.mailbox(beaune, beaune.agent, "claire")
    other = post.mailbox(nuits, nuits.agent, "jean")
    client = portal_client(beaune.agent_membership)
    context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
    context.add_cookies([session_cookie(client, live_server.url)])
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page, live_server.url, box, other
    # /live is another process and not here; an address that is not finished is answered with 400, what waits for
    # Dovecot with 503.
    assert [one for one in faults if not any(word in one for word in ("404", "400", "503", "MIME"))] == []
    context.close()


def test_a_person_writes_sends_calls_back_and_sends_again(post: Post, desk: Any) -> None:
    page, portal, box, other = desk
    page.goto(f"{portal}/courrier/{box.id}/")
    inspect(page, "w-vide")
    page.keyboard.press("n")
    page.wait_for_selector("h1:has-text('Nouveau message')")
    inspect(page, "w-ecrire")
    page.fill("#id_to", f"Jean <{other.address}>")
    page.fill("#id_subject", "Réunion de jeudi")
    page.fill("#id_text", "Bonjour,\n\nÀ jeudi.")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    assert post.count(box, "Drafts") == 1
    page.set_input_files(
        "#id_files", {"name": "ordre du jour.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-" * 900}
    )
    page.wait_for_selector("[data-files] li:has-text('ordre du jour.pdf')")
    page.fill("#id_text", "Bonjour,\n\nÀ jeudi, avec l’ordre du jour.")
    page.wait_for_timeout(4500)
    assert post.count(box, "Drafts") == 1
    inspect(page, "w-brouillon")
    page.reload()  # what is left without a word is kept, and opens again
    page.goto(f"{portal}/courrier/{box.id}/?dossier=Drafts")
    page.click(".mails a")
    assert page.input_value("#id_text").endswith("ordre du jour.")
    page.click("button:has-text('Envoyer')")
    page.wait_for_selector("text=Votre message part dans quelques secondes")
    inspect(page, "w-envoi")
    page.click("#undo")
    page.wait_for_selector("h1:has-text('Brouillon')")
    assert Sending.objects.get().state == "cancelled"
    page.fill("#id_to", "jean")
    page.click("button:has-text('Envoyer')")
    page.wait_for_selector("#trouble:has-text('n’est pas une adresse complète')")
    assert page.evaluate("document.activeElement.id") == "id_to"
    inspect(page, "w-erreur")
    page.fill("#id_to", other.address)
    page.click("button:has-text('Envoyer')")
    begins(page, "Votre message part dans quelques secondes", then="Annuler l’envoi")
    from beffroi.lib import clock
    from beffroi.mail import outgoing

    Sending.objects.filter(state="waiting").update(due_at=clock.now())
    outgoing.send_due()
    page.wait_for_selector("text=Votre message est parti")
    assert "Votre message est parti" in page.evaluate(FOCUSED), "what the keyboard was on has gone"
    post.wait_count(other, 1)
    with reader.open_mailbox(post.config, other.address) as opened:
        view = opened.read(opened.list()[0].uid)
    assert [one.name for one in view.attachments] == ["ordre du jour.pdf"]
    page.goto(f"{portal}/courrier/{box.id}/ecrire/")
    page.focus("#id_to")
    page.keyboard.type("jea")
    page.wait_for_selector("[role=option]")
    page.keyboard.press("ArrowDown")
    page.screenshot(path=f"{os.environ['BEFFROI_SHOTS']}/w-noms.png") if os.environ.get(
        "BEFFROI_SHOTS"
    ) else None
    page.keyboard.press("Enter")
    assert other.address in page.input_value("#id_to")


def test_what_mails_cost_is_what_the_guide_says(post: Post, desk: Any) -> None:
    page, portal, box, other = desk
    letter = f"From: Jean <{other.address}>\r\nTo: {box.address}\r\nSubject: Question\r\n\r\nQuand ?\r\n"
    post.imap(box).append("INBOX", letter.encode())
    page.goto(f"{portal}/")
    with counted(page, "Lire un courriel et répondre") as hand:
        hand.click("main .mails a:has-text('Question')")
        hand.click("main a:text-is('Répondre')")
        page.wait_for_selector("#id_text:focus")
        hand.type_on("Jeudi.")
        hand.click("button:text-is('Envoyer')")
        page.wait_for_selector("text=Votre message part dans quelques secondes")
    page.goto(f"{portal}/")
    with counted(page, "Envoyer un fichier joint") as hand:
        hand.click("main a:text-is('Nouveau message')")
        page.wait_for_selector("#id_to:focus")
        hand.fill("#id_to", other.address)
        hand.fill("#id_subject", "Le plan")
        hand.fill("#id_text", "Le voici.")
        hand.attach("#id_files", {"name": "plan.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-" * 90})
        page.wait_for_selector("[data-files] li:has-text('plan.pdf')")
        hand.click("button:text-is('Envoyer')")
        page.wait_for_selector("text=Votre message part dans quelques secondes")


def test_send_pressed_twice_sends_one_message_and_says_that_it_leaves(post: Post, desk: Any) -> None:
    page, portal, box, other = desk
    posts: list[str] = []
    page.on("request", lambda one: posts.append(one.url) if one.method == "POST" else None)
    page.goto(f"{portal}/courrier/{box.id}/ecrire/")
    page.fill("#id_to", other.address)
    page.fill("#id_text", "Bonjour.")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    assert re.search(r"Brouillon gardé à \d+\u00a0h\u00a0\d\d$", page.text_content("[data-state]"))
    kept = len(posts)
    page.dblclick("button:has-text('Envoyer')")
    page.wait_for_selector("text=Votre message part dans quelques secondes")
    assert [one.state for one in Sending.objects.all()] == ["waiting"]
    assert len(posts) == kept + 1


def test_a_page_whose_files_or_message_are_still_on_their_way_asks_before_it_is_closed(
    post: Post, desk: Any
) -> None:
    """On a slow line they are for minutes, and the message has not left."""
    page, portal, box, other = desk
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.goto(f"{portal}/courrier/{box.id}/ecrire/")
    page.fill("#id_to", other.address)
    page.fill("#id_text", "Bonjour.")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    slow: list[Any] = []

    def hold(route: Any) -> None:
        slow.append(route)

    page.route("**/brouillon/", hold)
    page.set_input_files(
        "#id_files", {"name": "plan.pdf", "mimeType": "application/pdf", "buffer": b"x" * 900}
    )
    until(lambda: page.wait_for_timeout(50) or slow, "the file is on its way")
    page.close(run_before_unload=True)
    until(lambda: page.wait_for_timeout(50) or asked == ["beforeunload"], "asked of the file")
    slow.pop().continue_()
    page.wait_for_selector("[name=keep]")
    page.click("button:has-text('Envoyer')")
    until(lambda: page.wait_for_timeout(50) or slow, "the message is on its way")
    page.close(run_before_unload=True)
    until(lambda: page.wait_for_timeout(50) or asked == ["beforeunload"] * 2, "asked of the message")
    slow.pop().continue_()
    page.wait_for_selector("text=Votre message part dans quelques secondes")
    assert len(asked) == 2


def test_a_person_reads_finds_and_files_by_the_keyboard(post: Post, desk: Any) -> None:
    page, portal, box, _ = desk
    for n in range(3):
        mail = (
            f"From: =?utf-8?q?Pr=C3=A9fecture_{n}?= <billing@sender.example.net>\n"
            f"To: {box.address}\nSubject: Objet {n}\n"
            f"Message-ID: <{n}@sender.example.net>\n"
            + (f"References: <{n - 1}@sender.example.net>\n" if n == 1 else "")
            + f"Content-Type: text/plain; charset=utf-8\n\nLe texte {n}.\n"
        )
        assert post.send(mail, box.address)[0] == 250
    post.wait_count(box, 3)
    page.goto(f"{portal}/courrier/{box.id}/")
    inspect(page, "w-liste")
    page.set_viewport_size({"width": 360, "height": 640})
    assert page.locator("section:has(#mails)").bounding_box()["y"] <= 300, (
        "in the first screen of a telephone"
    )
    page.set_viewport_size({"width": 1280, "height": 900})
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Objet 1')")
    assert page.locator("#h-thread").count() == 1
    inspect(page, "w-lire")
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    inspect(page, "w-touches")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.wait_for_selector("h1:has-text('Répondre')")
    assert page.input_value("#id_to") == "billing@sender.example.net"
    assert "> Le texte 1." in page.input_value("#id_text")
    inspect(page, "w-repondre")
    page.goto(f"{portal}/courrier/{box.id}/")
    page.keyboard.press("/")
    page.keyboard.type("préfecture texte")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=3 courriels trouvés")
    inspect(page, "w-cherche")
    page.keyboard.press("Tab")
    page.goto(f"{portal}/courrier/{box.id}/")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("a")
    page.keyboard.type("Mettre")
    press(page, "Appliquer aux courriels cochés")
    begins(page, "1 courriel déplacé vers Corbeille", then="Annuler")
    assert until(lambda: post.count(box, "Trash") == 1, "it lies in the trash") is None
    inspect(page, "w-corbeille")
    press(page, "Annuler")
    begins(page, "C’est annulé : 1 courriel est de nouveau à sa place.", then="Nouveau message")
    assert (post.count(box), post.count(box, "Trash")) == (3, 0)
    assert page.locator("button:has-text('Annuler')").count() == 0


def test_a_draft_outlives_its_session_and_a_new_sign_in(post: Post, desk: Any, beaune: Commune) -> None:
    page, portal, box, _ = desk
    page.goto(f"{portal}/courrier/{box.id}/ecrire/")
    page.fill("#id_text", "Avant")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    Session.objects.all().delete()
    page.fill("#id_text", "Après")
    page.wait_for_selector("#trouble:has-text('Votre session est terminée')")
    # Signed in again in another window: a new session, and a new token for forms.
    token = cookie(django_settings.CSRF_COOKIE_NAME, "n" * 32, portal)
    page.context.add_cookies([session_cookie(portal_client(beaune.agent_membership), portal), token])
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    assert page.is_hidden("#trouble")
    with reader.open_mailbox(post.config, box.address) as opened:
        (kept,) = opened.list("Drafts")
        assert opened.read(kept.uid, "Drafts").text.strip() == "Après"


def test_a_draft_is_kept_once_the_mailbox_answers_again(post: Post, desk: Any) -> None:
    page, portal, box, _ = desk
    page.goto(f"{portal}/courrier/{box.id}/ecrire/")
    post.engines.kill("dovecot")
    try:
        page.fill("#id_text", "Pendant la panne")
        page.wait_for_selector("#trouble:visible")
    finally:
        post.engines.start("dovecot")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    assert page.is_hidden("#trouble") and post.count(box, "Drafts") == 1


def test_what_is_too_large_to_be_passed_on_keeps_no_text_from_being_saved(post: Post, desk: Any) -> None:
    page, portal, box, _ = desk
    letter = EmailMessage()
    letter["From"], letter["Subject"] = "a@example.org", "Plans"
    letter.set_content("Les plans")
    for number in range(2):
        letter.add_attachment(
            bytes(11_000_000), maintype="application", subtype="pdf", filename=f"plan{number}.pdf"
        )
    post.imap(box).append("INBOX", letter.as_bytes())
    with reader.open_mailbox(post.config, box.address) as opened:
        uid = next(one.uid for one in opened.list() if one.subject == "Plans")
    page.goto(f"{portal}/courrier/{box.id}/ecrire/?transferer={uid}")
    page.fill("#id_text", "Voici les plans.")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    assert page.is_visible("[data-refused]") and page.locator("[name=forward]").count() == 2
    with reader.open_mailbox(post.config, box.address) as opened:
        (kept,) = opened.list("Drafts")
        assert opened.read(kept.uid, "Drafts").text.strip() == "Voici les plans."
    page.uncheck("[name=forward] >> nth=0")
    page.wait_for_selector("[name=keep]")
    assert page.locator("[name=forward]").count() == 0
    with reader.open_mailbox(post.config, box.address) as opened:
        (kept,) = opened.list("Drafts")
        assert [one.name for one in opened.read(kept.uid, "Drafts").attachments] == ["plan1.pdf"]


def test_files_are_taken_off_by_the_keyboard_also_while_the_draft_is_being_kept(
    post: Post, desk: Any
) -> None:
    page, portal, box, _other = desk
    page.goto(f"{portal}/courrier/{box.id}/ecrire/")
    names = ("un.pdf", "deux.pdf", "trois.pdf")
    page.set_input_files(
        "#id_files", [{"name": one, "mimeType": "application/pdf", "buffer": b"%PDF-" * 9} for one in names]
    )
    ticks = page.locator("[data-files] input")
    page.wait_for_selector("[data-files] li:has-text('trois.pdf')")
    ticks.nth(1).focus()
    page.fill("#id_subject", "Pièces")
    page.wait_for_selector("[data-state]:has-text('Pas encore enregistré')")
    ticks.nth(1).focus()
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    assert "deux.pdf" in page.evaluate("document.activeElement.closest('li').textContent"), (
        "it stays where it was"
    )

    def meanwhile(route: Any) -> None:
        answer = route.fetch()
        ticks.nth(2).uncheck()  # what the answer does not know of
        route.fulfill(response=answer)

    page.route("**/brouillon/", meanwhile, times=1)
    page.keyboard.press("Space")
    page.wait_for_selector("[data-files]:not(:has-text('trois.pdf'))")
    assert page.locator("[data-files] li").all_inner_texts()[0].strip().startswith("un.pdf")
    assert ticks.count() == 1
    assert page.evaluate("document.activeElement.id") == "id_files", "what the keyboard was on is gone"
