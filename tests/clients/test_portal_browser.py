"""The pages in a real Chromium against a real granian: accessibility, keyboard, narrow and wide windows.

BEFFROI_SHOTS=DIRECTORY keeps a picture of every page.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from tests.effort import counted
from tests.fixtures_browser import (
    ARGUMENTS,
    CHROMIUM,
    FOCUSED,
    PATIENCE_MS,
    Centre,
    administrator,
    agent,
    browser,
    centre,
    inspect,
    press,
    referent,
    sign_in,
    tab_to,
    visitor,
)
from tests.fixtures_portal import LURE_ID
from tests.portal_server import PASSWORD
from tests.seeded_pages import AGENT_PAGES, CONSOLE_PAGES, REFUSALS

__all__ = ["administrator", "agent", "browser", "centre", "referent", "visitor"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("name", AGENT_PAGES)
def test_a_page_of_the_portal_is_accessible_and_fits(centre: Centre, agent: Any, name: str) -> None:
    agent.goto(centre.portal + AGENT_PAGES[name].format(**centre.seeded))
    inspect(agent, name, status=REFUSALS.get(name, 200))


@pytest.mark.parametrize("name", CONSOLE_PAGES)
def test_a_page_of_the_console_is_accessible_and_fits(centre: Centre, administrator: Any, name: str) -> None:
    administrator.goto(centre.console + CONSOLE_PAGES[name].format(**centre.seeded))
    inspect(administrator, "c-" + name)


def test_a_setting_of_all_is_previewed_with_the_keyboard(centre: Centre, administrator: Any) -> None:
    page = administrator
    page.goto(centre.console + "/boitiers/reglages/?setting=refuse_doh")
    page.focus("#id_refuse_doh")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_selector("h2:has-text('changent')")
    inspect(page, "c-boitiers-ensemble-apercu")
    page.fill("#id_reason", "Politique du Département")
    page.keyboard.press("Enter")
    page.wait_for_selector("#h-bat")
    inspect(page, "c-boitiers-ensemble-envoye")


def test_a_decision_is_let_pass_and_blocked_again_with_the_keyboard(
    centre: Centre, administrator: Any
) -> None:
    page = administrator
    for decision, button, heading in (
        ("decision_id", "Laisser passer pour une commune", "Laisser passer pour une commune"),
        ("undone_id", "Bloquer de nouveau", "Bloquer"),
    ):
        page.goto(centre.console + f"/decisions/regle/{centre.seeded[decision]}/")
        press(page, button)
        assert page.locator("h1").inner_text() == heading
        assert page.locator("input[name=q]").last.input_value()


def test_who_answers_for_a_commune_is_told_what_will_be_refused(centre: Centre, referent: Any) -> None:
    page = referent
    page.wait_for_selector("text=Bientôt, votre boîtier refusera")
    inspect(page, "referent")
    press(page, "Que faire")
    inspect(page, "referent-suspendue")
    page.go_back()
    press(page, "Voir le boîtier")
    inspect(page, "referent-boitier")
    page.goto(centre.portal + "/retenus/")
    page.wait_for_selector("text=1 pas regardé depuis plus d’un jour ouvré")
    assert "Facture" not in page.inner_text("main")
    inspect(page, "referent-retenus")
    for name, path in (
        ("renvois", "/renvois/"),
        ("acces", "/personnes/acces/?q=morel"),
        ("departs", "/departs/"),
    ):
        page.goto(centre.portal + path)
        inspect(page, f"referent-{name}")
    page.goto(centre.portal + "/domaines/")
    press(page, "Qui envoie en notre nom " + page.locator("h2").first.inner_text())
    inspect(page, "referent-envois")


def test_who_has_a_held_account_is_told_at_the_sign_in_and_prints_a_sheet(
    centre: Centre, visitor: Any
) -> None:
    page = visitor
    page.goto(centre.portal + "/")
    sign_in(page, centre.seeded["held_email"])
    page.wait_for_selector("[role=alert]:has-text('suspendue par précaution')")
    inspect(page, "suspendue-accueil")
    press(page, "Ce qui s’est passé, et que faire")
    inspect(page, "suspendue")
    page.emulate_media(media="print")
    assert page.locator("h1").is_hidden() and page.locator(".sheet").is_visible()


def test_a_digest_s_link_is_read_without_a_sign_in(centre: Centre, visitor: Any) -> None:
    page = visitor
    page.goto(centre.portal + "/retenus/liste/?l=" + centre.seeded["held_link"])
    inspect(page, "retenus-lien")
    page.click("text=Se connecter et libérer")
    page.wait_for_selector("#id_login")


def test_a_mail_of_the_digest_is_released_over_the_sign_in_and_taken_back(
    centre: Centre, visitor: Any
) -> None:
    page = visitor
    page.goto(centre.portal + f"/retenus/lien/liberer/?l={centre.seeded['held_one']}")
    assert "Libérer ce courriel" in page.locator("h1").inner_text() and page.locator("main form").count() == 0
    inspect(page, "retenus-lien-libere")
    press(page, "Se connecter")
    sign_in(page, centre.seeded["agent_email"])
    page.wait_for_selector("main form button")
    assert page.locator("main button").all_inner_texts() == ["Libérer"]
    inspect(page, "retenus-lien-confirmer")
    press(page, "Libérer")
    page.wait_for_selector(".say:has-text('Bulletin des maires')")
    press(page, "Annuler")
    page.wait_for_selector("button:has-text('Libérer Bulletin des maires')")
    page.goto(centre.portal + f"/retenus/lien/bloquer/?l={centre.seeded['held_one']}")
    inspect(page, "retenus-lien-bloquer")
    press(page, "Bloquer l’expéditeur")
    page.wait_for_selector(".say:has-text('Expéditeur bloqué')")
    press(page, "Annuler")
    page.goto(centre.portal + f"/retenus/lien/verifier/?l={centre.seeded['held_decided']}")
    inspect(page, "retenus-lien-verifier")
    press(page, "Demander une vérification")
    page.wait_for_selector("textarea#text")


def test_a_held_mail_is_released_and_taken_back_by_keyboard(centre: Centre, agent: Any) -> None:
    agent.goto(centre.portal + "/retenus/")
    press(agent, "Libérer Catalogue 2027")
    agent.wait_for_selector(".say:has-text('Catalogue 2027')")
    press(agent, "Annuler")
    agent.wait_for_selector("button:has-text('Libérer Catalogue 2027')")


def test_sign_in_pages_are_accessible_and_fit(centre: Centre, browser: Any) -> None:
    context = browser.new_context(locale="fr-FR")
    page = context.new_page()
    for name, address in (("connexion", centre.portal), ("c-connexion", centre.console)):
        page.goto(address + "/connexion/")
        inspect(page, name)
    context.close()


def test_a_form_that_lost_its_token_is_refused_with_a_page(centre: Centre, visitor: Any) -> None:
    visitor.goto(centre.portal + "/connexion/")
    visitor.evaluate("document.querySelector('main [name=csrfmiddlewaretoken]').remove()")
    with visitor.expect_navigation():
        sign_in(visitor, centre.seeded["agent_email"])
    assert "Le formulaire a expiré" in visitor.locator("h1").inner_text()
    inspect(visitor, "formulaire-expire", status=403)


def test_dark_colours_have_enough_contrast(centre: Centre, agent: Any) -> None:
    agent.emulate_media(color_scheme="dark")
    for name in ("accueil", "lire", "acces"):
        agent.goto(centre.portal + AGENT_PAGES[name].format(**centre.seeded))
        inspect(agent, f"sombre-{name}")
    agent.emulate_media(color_scheme="light")


def test_text_twice_as_large_fits_and_covers_nothing(
    centre: Centre, browser: Any, agent: Any, administrator: Any
) -> None:
    """As chosen in the settings of the browser."""
    larger = browser.browser_type.launch(
        executable_path=CHROMIUM, args=[*ARGUMENTS, "--blink-settings=defaultFontSize=32"]
    )
    for person, address, pages, names in (
        (agent, centre.portal, AGENT_PAGES, ("accueil", "lire", "dossier")),
        (administrator, centre.console, CONSOLE_PAGES, ("vue", "boitiers", "journal")),
    ):
        context = larger.new_context(locale="fr-FR", storage_state=person.context.storage_state())
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        for name in names:
            page.goto(address + pages[name].format(**centre.seeded))
            assert page.evaluate("getComputedStyle(document.body).fontSize") == "34px"
            for width in (1280, 360):
                page.set_viewport_size({"width": width, "height": 900})
                wide = page.evaluate("document.documentElement.scrollWidth") - width
                assert wide <= 0, f"{name}: {wide} px too wide at {width} px"
                brand, menu = (page.locator(one).bounding_box() for one in (".brand", "header .menu"))
                assert brand["x"] + brand["width"] <= menu["x"] or brand["y"] + brand["height"] <= menu["y"]
        context.close()
    larger.close()


def test_the_keyboard_stays_where_it_was_when_a_part_of_the_page_is_replaced(
    centre: Centre, administrator: Any
) -> None:
    """As each half-minute and with each news: also on a link that has no name of its own in the page."""
    page = administrator
    page.goto(centre.console + "/boitiers/")
    link = f"#list th a[href='/boitiers/{centre.seeded['active_box_id']}/']"
    page.locator(link).focus()
    before = page.locator(link).element_handle()
    page.evaluate("htmx.trigger(document.body, 'live:box')")
    page.wait_for_function("one => !one.isConnected && document.activeElement !== document.body", arg=before)
    assert page.locator(link).evaluate("one => one === document.activeElement")


def test_the_keyboard_is_seen_in_the_frame_of_a_mail(centre: Centre, agent: Any) -> None:
    agent.goto(centre.portal + f"/courrier/{centre.seeded['mailbox_id']}/1/")
    for _ in range(60):
        agent.keyboard.press("Tab")
        if agent.evaluate("document.activeElement.localName") == "iframe":
            break
    frame = agent.locator("iframe")
    assert frame.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    agent.keyboard.press("Shift+Tab")
    assert frame.evaluate("one => getComputedStyle(one).outlineStyle") == "none"


def test_the_head_of_the_console_takes_two_rows_of_a_telephone(centre: Centre, administrator: Any) -> None:
    page = administrator
    page.goto(centre.console + "/")
    page.set_viewport_size({"width": 360, "height": 700})
    brand, menu = (page.locator(one).bounding_box() for one in (".brand", "header .menu"))
    assert brand["x"] + brand["width"] <= menu["x"], "beside each other"
    page.set_viewport_size({"width": 1280, "height": 900})


def test_a_mail_is_reported_by_the_keyboard_alone(centre: Centre, agent: Any) -> None:
    faults: list[str] = []
    agent.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    agent.goto(centre.portal + "/")
    with counted(agent, "Signaler un courriel suspect") as hand:
        agent.focus(".mails a:has-text('Votre colis')")
        with agent.expect_navigation():
            agent.keyboard.press("Enter")
        agent.keyboard.press("Tab")
        assert agent.evaluate("document.activeElement.className") == "skip"
        agent.keyboard.press("Enter")
        for wanted in ("Signaler un hameçonnage", "Signaler"):
            press(agent, wanted)
        hand.clicks += 3
        agent.wait_for_url(f"**/courrier/signale/{LURE_ID}/")
    inspect(agent, "merci")
    # /live is another process and not here; the browser must complain about nothing else.
    assert [one for one in faults if "404" not in one and "MIME" not in one] == []


def test_why_a_site_is_blocked_is_asked_and_answered_by_the_keyboard_alone(
    centre: Centre, agent: Any
) -> None:
    agent.goto(centre.portal + "/")
    press(agent, "Blocages")
    tab_to(agent, "q")
    agent.keyboard.type("www.n7.lure.example.net")
    with agent.expect_navigation():
        agent.keyboard.press("Enter")
    press(agent, "n7.lure.example.net")
    tab_to(agent, "id_text")
    agent.keyboard.type("Le catalogue de notre fournisseur.")
    press(agent, "Contester")
    agent.wait_for_selector("text=Le Département vous répondra.")


def test_a_date_that_has_the_focus_shows_it(centre: Centre, agent: Any) -> None:
    agent.goto(centre.portal + AGENT_PAGES["reglages"].format(**centre.seeded))
    tab_to(agent, "id_first")
    assert agent.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_essential_path_works_without_scripts(centre: Centre, browser: Any) -> None:
    context = browser.new_context(locale="fr-FR", java_script_enabled=False)
    page = context.new_page()
    page.goto(centre.portal + "/")
    page.fill("#id_login", centre.seeded["agent_email"])
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    page.click("text=Ouvrir le courrier")
    page.click("#mails a:has-text('Préfecture de la Côte-d’Or')")
    page.wait_for_selector("h1:has-text('Contrôle de légalité')")
    context.close()


def test_a_telephone_opens_and_closes_the_menu_without_scripts(centre: Centre, browser: Any) -> None:
    context = browser.new_context(
        locale="fr-FR", java_script_enabled=False, viewport={"width": 360, "height": 740}
    )
    page = context.new_page()
    page.goto(centre.portal + "/retenus/")
    sign_in(page, centre.seeded["agent_email"])
    menu, places = page.get_by_role("button", name="Menu : Retenus"), page.locator("nav#menu a")
    menu.focus()
    assert not places.first.is_visible()
    page.keyboard.press("Enter")
    assert [one.inner_text().strip() for one in places.all()][:2] == ["Accueil", "Météo"]
    assert places.nth(5).get_attribute("aria-current") == "page" and places.nth(5).is_visible()
    if shots := os.environ.get("BEFFROI_SHOTS"):
        page.screenshot(path=f"{shots}/menu-360.png")
    page.keyboard.press("Escape")
    places.first.wait_for(state="hidden")
    page.keyboard.press("Enter")  # the button has the focus again
    for _ in range(3):
        page.keyboard.press("Tab")  # to close it, Accueil, Météo
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url.endswith("/meteo/")
    context.close()


def test_an_english_browser_reads_english_and_may_change(centre: Centre, browser: Any) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(centre.portal + "/connexion/")
    page.wait_for_selector("h1:has-text('Sign in')")
    inspect(page, "english")
    page.click("footer button:has-text('Français')")
    page.wait_for_selector("h1:has-text('Se connecter')")
    context.close()


def test_an_attachment_is_saved_as_a_file(centre: Centre, agent: Any) -> None:
    agent.goto(centre.portal + f"/courrier/{centre.seeded['mailbox_id']}/1/")
    with agent.expect_download() as waiting:
        agent.click("a:has-text('Enregistrer')")
    assert waiting.value.suggested_filename == "facture 88213.zip"
    assert agent.url.endswith("/1/")


def test_the_zero_of_hours_and_counts_has_no_slash(centre: Centre, agent: Any) -> None:
    agent.goto(centre.portal + "/")
    loaded = agent.evaluate(
        "document.fonts.ready.then(() => [...document.fonts]"
        ".filter(f => f.unicodeRange === 'U+30' && f.status === 'loaded').length)"
    )
    assert loaded == 1


def test_a_deceptive_link_is_told_before_the_mail_and_again_by_the_link_itself(
    centre: Centre, agent: Any
) -> None:
    agent.goto(centre.portal + f"/courrier/{centre.seeded['mailbox_id']}/1/")
    warning = agent.get_by_role("region", name="ne mène pas là où il le dit")
    assert "N’y saisissez ni mot de passe" in warning.inner_text()
    order = agent.evaluate(
        "document.getElementById('deceptive').compareDocumentPosition(document.querySelector('.mail-frame'))"
    )
    assert order & 4  # the warning is read before the mail
    assert agent.locator(".mail-frame").get_attribute("aria-describedby") == "h-deceptive"
    # By keyboard: from the warning to the list of targets.
    warning.get_by_role("link").focus()
    agent.keyboard.press("Enter")
    assert agent.evaluate("document.activeElement.id") == "h-links"
    # In the frame the name of the link, as a screen reader says it, holds its target.
    named = agent.frame_locator(".mail-frame").get_by_role("link", name="mène en réalité à")
    assert named.count() >= 1


def test_a_task_is_ticked_and_the_file_taken_with_the_keyboard(centre: Centre, agent: Any) -> None:
    agent.goto(centre.portal + "/acces/double-verification/")
    if agent.locator("#id_password").count():  # the step-up of the whole module was too long ago
        agent.fill("#id_password", PASSWORD)
        agent.keyboard.press("Enter")
        agent.wait_for_selector("h1:has-text('Activer la double')")
    agent.goto(centre.portal + "/")
    agent.locator("#home-incidents a.primary").focus()
    agent.keyboard.press("Enter")
    agent.wait_for_selector("h1:has-text('serveur d’attaquants')")
    first = agent.locator("#incident form button").first
    first.focus()
    ticked = agent.evaluate("document.activeElement.id")
    agent.keyboard.press("Enter")
    agent.wait_for_selector("#incident .tag:has-text('Fait')")
    assert agent.evaluate("document.activeElement.id") == ticked
    agent.keyboard.press("Tab")
    assert agent.evaluate(FOCUSED).startswith("C’est fait "), "the next step is one on"
    agent.get_by_role("link", name="Télécharger le dossier").focus()
    agent.keyboard.press("Enter")
    agent.wait_for_selector("h1:has-text('Télécharger le dossier')")
    agent.get_by_role("button", name="Télécharger").focus()
    with agent.expect_download() as download:
        agent.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".zip")


@pytest.mark.parametrize(
    ("path", "seen"), [("/meteo/mois/", "Le mois en chiffres"), ("/dossiers/fiche-reflexe/", "Qui appeler")]
)
def test_a_sheet_prints_on_one_page(centre: Centre, agent: Any, path: str, seen: str) -> None:
    agent.goto(centre.portal + path)
    agent.emulate_media(media="print")
    printed = agent.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1
    assert not agent.get_by_text("Imprimer", exact=True).is_visible()
    assert agent.get_by_text(seen).is_visible()
    agent.emulate_media(media="screen")


def test_what_it_costs_to_add_a_person_is_what_the_guide_says(centre: Centre, referent: Any) -> None:
    page = referent
    page.goto(centre.portal + "/personnes/ajouter/")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#id_first")
    page.goto(centre.portal + "/")
    with counted(page, "Ajouter une personne") as hand:
        hand.click("nav a:has-text('Personnes')")
        hand.click("main a:has-text('Ajouter une personne')")
        hand.fill("#id_first", "Léa")
        hand.fill("#id_last", "Roux")
        hand.click("main button.primary")
        page.wait_for_selector("#id_local")
        hand.click("main button:has-text('Ajouter et faire la feuille d’accès')")
        page.wait_for_selector("text=Feuille d’accès")


def test_what_it_costs_to_settle_see_and_undo_a_block_is_what_the_guide_says(
    centre: Centre, administrator: Any, agent: Any
) -> None:
    page = administrator
    page.goto(centre.console + "/")
    with counted(page, "Trancher ce qui attend (Département)") as hand:
        hand.click("main a:text-is('Trancher')")
        hand.click("main a:has-text('fournitures-bureau-bourgogne.com')")
        hand.click("main a:text-is('Bloquer partout')")
        page.wait_for_selector("h1:has-text('Bloquer partout')")
        hand.click("main button:text-is('Bloquer partout')")
        page.wait_for_selector("main .tag:has-text('En vigueur')")
    own = "#protection a:has-text('Le site fournitures-bureau-bourgogne.com est bloqué')"
    agent.goto(centre.portal + "/")
    with counted(agent, "Voir ce qui a été bloqué, et pourquoi") as hand:
        hand.click(own)
        agent.wait_for_selector("dt:has-text('Motif')")
    agent.goto(centre.portal + "/")
    with counted(agent, "Débloquer un site pour une heure") as hand:
        hand.click(own)
        hand.fill("#id_text", "Nos commandes de papier")
        hand.click("button:has-text('Débloquer 60 minutes')")
        agent.wait_for_selector("text=Débloqué chez vous")


def test_an_opening_is_asked_for_and_what_is_wrong_is_said(centre: Centre, referent: Any) -> None:
    page = referent
    page.goto(centre.portal + "/boitier/")
    press(page, "Demander une ouverture")
    inspect(page, "referent-ouverture")
    for name, typed in (
        ("machine", "192.168.1.61"),
        ("port", "8444"),
        ("sources", "82.64.0.0/16"),
        ("purpose", "x"),
    ):
        page.fill(f"#id_{name}", typed)
    page.fill("#id_until", "2099-01-01")
    press(page, "Envoyer la demande")
    inspect(page, "referent-ouverture-fausse", status=400)
    assert "trop large" in page.inner_text("main") and "dans un an au plus" in page.inner_text("main")


def test_settings_of_a_box_are_changed_with_the_keyboard(centre: Centre, administrator: Any) -> None:
    """Last: from then on nobody of that commune lets a site through."""
    page = administrator
    page.goto(centre.console + "/boitiers/{active_box_id}/reglages/".format(**centre.seeded))
    page.focus("#id_unlock")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Ce qui change')")
    inspect(page, "c-boitier-envoyer")
    page.fill("#id_reason", "Demande de la mairie")
    page.keyboard.press("Enter")
    page.wait_for_selector("#reglages")
    assert "Demande de la mairie" in page.inner_text("#reglages")
    inspect(page, "c-boitier-change")
