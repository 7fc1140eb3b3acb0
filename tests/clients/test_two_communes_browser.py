"""Who works for two communes, in two tabs: what a page of the one sends never lands in the other.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.drive.store import preparing

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.fixtures_browser import browser, inspect
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]
FILES = "#desk input[type=file][multiple]"
LETTER = {"name": "lettre.txt", "mimeType": "text/plain", "buffer": b"de Beaune"}


@pytest.fixture(autouse=True)
def counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of one commune is one of another, too, as it may be by chance."""
    monkeypatch.setattr(preparing, "FIRST_NUMBERS", 1)


def test_a_tab_that_stayed_with_the_other_commune_opens_nothing_of_this_one(
    drive: Drive, page: Any, beaune: Commune, nuits: Commune
) -> None:
    """Numbers of files are of one collectivité: the same one is another file there."""
    other = Drive(
        identity.add_membership(
            actor=Actor.system("tests"),
            person=beaune.agent_membership.person,
            collectivite=nuits.collectivite,
            role="agent",
        )
    )
    mine, theirs = drive.file("de-beaune.pdf"), other.file("de-nuits.pdf")
    assert mine.id == theirs.id
    page.goto("/coffre/")
    lists, reads, chooses = page, page.context.new_page(), page.context.new_page()
    reads.goto("/coffre/")
    with reads.expect_navigation():
        reads.click(".files >> text=de-beaune.pdf")
    with reads.expect_download() as waiting:
        reads.click("a:has-text('Télécharger')")
    assert waiting.value.suggested_filename == "de-beaune.pdf"
    chooses.goto("/collectivites/")
    with chooses.expect_navigation():
        chooses.get_by_role("button", name="Choisir").click()
    chooses.goto("/coffre/")
    for tab, link in ((lists, ".files >> text=de-beaune.pdf"), (reads, "a:has-text('Télécharger')")):
        downloads: list[str] = []
        tab.on("download", lambda one, seen=downloads: seen.append(one.suggested_filename))
        tab.click(link)
        tab.wait_for_selector("h1:has-text('Cette page est celle d’une autre collectivité')")
        assert "de-nuits" not in tab.content() and downloads == []
    inspect(lists, "deux-communes-autre", status=409)
    lists.click("a:has-text('Choisir la collectivité')")
    lists.wait_for_selector("h1:has-text('Pour quelle collectivité travaillez-vous')")
    chooses.click(".files >> text=de-nuits.pdf")
    chooses.wait_for_selector("h1:has-text('de-nuits.pdf')")


def test_a_tab_that_stayed_with_the_other_commune_changes_nothing(
    drive: Drive, page: Any, beaune: Commune, nuits: Commune
) -> None:
    second = identity.add_membership(
        actor=Actor.system("tests"),
        person=beaune.agent_membership.person,
        collectivite=nuits.collectivite,
        role="agent",
    )
    other = Drive(second)
    assert drive.own.id == other.own.id, "numbers of folders are of one collectivité"
    page.goto("/coffre/")
    sends, makes, chooses = page, page.context.new_page(), page.context.new_page()
    makes.goto("/coffre/")
    chooses.goto("/collectivites/")
    with chooses.expect_navigation():
        chooses.get_by_role("button", name="Choisir").click()
    chooses.goto("/coffre/")  # whose grants for files the browser has from now on
    sends.set_input_files(FILES, [LETTER])
    sends.wait_for_selector("text=Vous travaillez maintenant pour une autre collectivité")
    inspect(sends, "deux-communes-envoi")
    makes.click("summary:has-text('Nouveau dossier')")
    makes.fill("#id_name", "Dossier de Beaune")
    makes.keyboard.press("Enter")
    makes.wait_for_selector("text=une autre collectivité est choisie")
    assert makes.input_value("#id_name") == "Dossier de Beaune"
    assert drive.names() == other.names() == []
    sends.reload()
    with sends.expect_navigation():
        sends.set_input_files(FILES, [LETTER])
    sends.wait_for_selector("text=lettre.txt")
    assert (drive.names(), other.names()) == ([], ["lettre.txt"])
    # What was begun for the one commune is sent once it is chosen again.
    makes.goto("/coffre/")
    makes.click("summary:has-text('Nouveau dossier')")
    makes.fill("#id_name", "Dossier de Nuits")
    for _ in ("Beaune", "Nuits"):
        chooses.goto("/collectivites/")
        with chooses.expect_navigation():
            chooses.get_by_role("button", name="Choisir").click()
    with makes.expect_navigation():  # what the page said meanwhile may have taken the focus
        makes.press("#id_name", "Enter")
    makes.wait_for_selector("text=Dossier de Nuits")
    assert (drive.names(), other.names()) == ([], ["Dossier de Nuits", "lettre.txt"])


@pytest.mark.parametrize("several", [False, True])
def test_long_names_of_person_and_commune_take_two_lines_of_a_telephone(
    page: Any, beaune: Commune, nuits: Commune, several: bool
) -> None:
    """A page begins as near to the top as it can; the commune, by which mistakes are made, is whole."""
    person = beaune.agent_membership.person
    Person.objects.filter(pk=person.id).update(name="Marie-Christine Delacroix-Beaumont")
    Collectivite.objects.filter(pk=beaune.id).update(name="Saint-Germain-Source-Seine")
    if several:
        identity.add_membership(
            actor=Actor.system("tests"), person=person, collectivite=nuits.collectivite, role="agent"
        )
    page.goto("/dossiers/")
    page.set_viewport_size({"width": 360, "height": 800})
    lines, is_whole = page.evaluate(
        """() => {
          const said = [...document.querySelectorAll(".who > span, .self strong, .self button")];
          const boxes = said.map((one) => one.getBoundingClientRect());
          const middles = boxes.map(({top, height}) => Math.round(top + height / 2));
          return [new Set(middles).size, said[0].scrollWidth <= said[0].clientWidth];
        }"""
    )
    assert lines == 2 and is_whole
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    inspect(page, f"deux-communes-entete-{several}")
