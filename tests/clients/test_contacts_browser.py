"""Contacts in a real Chromium over the real process ``calendars``: by the keyboard, without JavaScript, and it fits.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.identity.models import Membership

from tests.calendar_pages import desk, fill, without_scripts
from tests.conftest import Commune
from tests.fixtures_browser import begins, browser, inspect, press
from tests.fixtures_portal import no_door, own_mailbox

__all__ = ["browser", "desk", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = "Syndicat intercommunal d’assainissement, d’eau potable et d’éclairage public du pays beaunois"


def test_a_contact_is_added_found_changed_and_deleted(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    own_mailbox(beaune)
    page = desk(beaune.agent_membership)
    page.goto("/contacts/")
    inspect(page, "k-rien")
    press(page, "Ajouter un contact")
    inspect(page, "k-ajouter")
    fill(page, emails="elise", phones="au bureau")
    page.wait_for_selector("#id_family_error:has-text('Donnez un nom')")
    inspect(page, "k-erreur", status=400)
    fill(
        page,
        given="Élise",
        family="Charton",
        emails="elise@charton.test",
        phones="03 80 22 22 22",
        note="Le matin",
    )
    begins(page, "enregistré", then="Ajouter un contact")
    page.goto("/contacts/ajouter/")
    page.check("input[value=prive]")
    fill(page, organisation=LONG, emails=f"{'accueil' * 8}@assainissement-du-pays-beaunois.test")
    page.goto("/contacts/")
    assert page.locator("li:has-text('Charton') .tag").inner_text() == "Mairie"
    assert page.locator("li:has-text('Syndicat') .tag").inner_text() == "Mes contacts"
    inspect(page, "k-liste")
    page.fill("#q", "elise 0380")
    page.press("#q", "Enter")
    page.wait_for_selector("h2:has-text('elise 0380')")
    assert page.locator(".rows strong").all_inner_texts() == ["Élise Charton"]
    inspect(page, "k-cherche")
    with page.expect_navigation():
        page.click("li:has-text('Charton') a:has-text('elise@charton.test')")
    assert "elise@charton.test" in page.content() and "/ecrire/" in page.url
    page.goto("/contacts/?q=personne")
    inspect(page, "k-introuvable")
    page.goto("/contacts/")
    with page.expect_navigation():
        page.click("li:has-text('Charton') a:has-text('Modifier')")
    assert page.input_value("#id_phones") == "03 80 22 22 22"
    inspect(page, "k-modifier")
    fill(page, phones="03 80 33 33 33")
    page.wait_for_selector("a[href='tel:0380333333']")
    with page.expect_navigation():
        page.click("li:has-text('Charton') a:has-text('Supprimer')")
    inspect(page, "k-supprimer")
    press(page, "Supprimer")
    begins(page, "supprimé", then="Annuler la suppression")
    assert page.locator("li:has-text('Charton')").count() == 0
    assert page.locator("li:has-text('Syndicat')").count() == 1
    inspect(page, "k-supprime")
    page.keyboard.press("Enter")
    page.wait_for_selector("li:has-text('Charton')")


def test_a_group_is_made_by_the_keyboard_and_written_to(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    own_mailbox(beaune)
    page = desk(beaune.agent_membership)
    page.goto("/contacts/groupes/commun/")
    inspect(page, "g-sans")
    for family, emails in (
        ("Charton", "elise@charton.test"),
        (LONG, ""),
        ("Petit", f"{'accueil' * 8}@petit.test"),
    ):
        page.goto("/contacts/ajouter/")
        fill(page, family="" if family == LONG else family, organisation=family, emails=emails)
    page.goto("/contacts/")
    press(page, "Groupe de la mairie")
    press(page, "Enregistrer")
    page.wait_for_selector("#id_members_error:has-text('Cochez')")
    inspect(page, "g-erreur", status=400)
    page.fill("#id_title", "Conseil municipal")
    for name in ("Charton", "Petit", "Syndicat"):
        page.focus(f"label:has-text('{name}') input")
        page.keyboard.press("Space")
    press(page, "Enregistrer")
    page.wait_for_selector("h1:has-text('Conseil municipal')")
    inspect(page, "g-groupe")
    press(page, "Modifier")
    assert page.locator("input:checked").count() == 3
    inspect(page, "g-modifier")
    page.goto("/contacts/")
    inspect(page, "g-liste")
    page.click("a:has-text('Conseil municipal')")
    page.click("a:has-text('Écrire aux 2 adresses')")
    page.wait_for_url("**/ecrire/**")
    assert "elise@charton.test" in page.content() and "@petit.test" in page.content()
    page.go_back()
    press(page, "Supprimer")
    inspect(page, "g-supprimer")
    press(page, "Supprimer")
    page.wait_for_selector("[role=status]:has-text('Ses contacts restent')")


def test_a_long_group_is_narrowed_while_one_types_and_ticks_stay(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    page = desk(beaune.agent_membership)
    for n, family in enumerate(("Église", "Petit", "Vernet", "Roy", "Bon", "Lux", "Roux", "Noël", "Martin")):
        page.goto("/contacts/ajouter/")
        fill(page, family=family, emails=f"nom{n}@x.test")
    page.goto("/contacts/groupes/commun/")
    page.fill("#id_title", "Conseil municipal")
    page.check("label:has-text('Petit') input")
    page.focus("#id_narrow")
    page.keyboard.type("eglise")
    page.wait_for_selector("[role=status]:has-text('1 sur 9')")
    page.keyboard.press("Enter")  # sends nothing
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#members label:visible").all_inner_texts() == ["Église nom0@x.test"]
    inspect(page, "g-filtre")
    page.fill("#id_narrow", "")
    assert page.locator("#members label:visible").count() == 9
    press(page, "Enregistrer")
    assert page.locator("#members strong").all_inner_texts() == ["Église", "Petit"]
    assert page.locator("#id_narrow").count() == 0, "two stand in one window"
    press(page, "Modifier")
    for name in page.locator("#members label").all():
        name.locator("input").check()
    press(page, "Enregistrer")
    page.fill("#id_narrow", "nom3")
    assert page.locator("#members li:visible strong").all_inner_texts() == ["Roy"]
    inspect(page, "g-groupe-filtre")


def test_without_javascript_it_is_the_same(
    desk: Callable[[Membership], Any], beaune: Commune, browser: Any, live_server: Any
) -> None:
    with without_scripts(beaune.agent_membership, browser, live_server) as page:
        page.goto("/contacts/ajouter/")
        fill(page, family="Sans script")
        page.wait_for_selector("li:has-text('Sans script')")
        for words in ("Supprimer", "Supprimer", "Annuler la suppression"):
            with page.expect_navigation():
                page.click(f"main :is(a, button):has-text('{words}')")
        page.wait_for_selector("li:has-text('Sans script')")


def test_who_writes_a_mail_is_proposed_their_contacts(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    mailbox = own_mailbox(beaune)
    page = desk(beaune.agent_membership)
    page.goto("/contacts/ajouter/")
    fill(page, given="Élise", family="Charton", emails="elise@charton.test")
    page.goto(f"/courrier/{mailbox.id}/ecrire/")
    page.fill("#id_to", "char")
    page.wait_for_selector("text=elise@charton.test")
