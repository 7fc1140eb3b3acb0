"""What somebody typed waits on its page while their session is over, another commune is chosen, or the line is down.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.decisions.models import Decision
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.incidents.models import Incident, IncidentEntry
from django.conf import settings

from tests.browsing import desk
from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect
from tests.fixtures_portal import no_door
from tests.fixtures_stream import block

__all__ = ["browser", "desk", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
TEXT = "Élodie D’Ambrosio a cliqué l’après-midi.\nPuis la souris bougeait seule."


def begin(page: Any) -> None:
    page.goto("/dossiers/nouveau/")
    page.check("input[value=password_typed]")
    page.fill("textarea[name=note]", TEXT)


def press(page: Any) -> None:
    page.get_by_role("button", name="Signaler").click()


def arrived() -> list[tuple[str, str]]:
    """Commune and text of what was told."""
    notes = IncidentEntry.objects.exclude(text="").values_list("incident__collectivite_id", "text")
    return [(commune, text.replace("\r\n", "\n")) for commune, text in notes]


def test_a_text_waits_for_a_new_session_and_for_the_line(desk: Callable[[Any], Any], beaune: Commune) -> None:
    page = desk(beaune.agent_membership)
    begin(page)
    name = settings.SESSION_COOKIE_NAME
    (kept,) = [one for one in page.context.cookies() if one["name"] == name]
    page.context.clear_cookies(name=name)
    press(page)
    page.wait_for_selector("text=votre texte y est encore")
    inspect(page, "texte-garde")
    page.context.add_cookies([kept])
    page.context.set_offline(True)
    press(page)
    page.wait_for_selector("text=Pas de liaison avec le centre")
    assert page.locator("[data-kept]").count() == 1 and not Incident.objects.exists()
    page.context.set_offline(False)
    page.get_by_role("button", name="Signaler").dblclick()
    page.wait_for_url("**/dossiers/inc_*/")
    assert arrived() == [(beaune.id, TEXT)]


def test_a_text_of_one_commune_waits_until_it_is_chosen_again(
    desk: Callable[[Any], Any], beaune: Commune, nuits: Commune
) -> None:
    identity.add_membership(
        actor=Actor.system("tests"),
        person=beaune.agent_membership.person,
        collectivite=nuits.collectivite,
        role="agent",
    )
    page = desk(beaune.agent_membership)
    begin(page)
    chooses = page.context.new_page()
    for waits in (True, False):
        chooses.goto("/collectivites/")
        with chooses.expect_navigation():
            chooses.get_by_role("button", name="Choisir").click()
        press(page)
        if waits:
            page.wait_for_selector("text=une autre collectivité est choisie")
            assert not Incident.objects.exists()
    page.wait_for_url("**/dossiers/inc_*/")
    assert arrived() == [(beaune.id, TEXT)]


def test_a_text_that_comes_too_late_is_to_be_copied(desk: Callable[[Any], Any], beaune: Commune) -> None:
    decision = block("185.203.116.9")
    page = desk(beaune.agent_membership)
    page.goto(f"/blocages/{decision.id}/")
    page.fill("textarea[name=text]", TEXT)
    Decision.objects.update(state="expired")
    page.get_by_role("button", name="Contester").click()
    page.wait_for_selector("text=La situation a changé")
    assert page.get_by_label("Ce que vous aviez écrit").input_value() == TEXT
    assert page.get_by_role("button", name="Copier").is_visible()
    inspect(page, "texte-trop-tard", status=409)


def test_a_text_of_spaces_is_refused_at_its_field_in_a_frame(
    desk: Callable[[Any], Any], beaune: Commune
) -> None:
    page = desk(beaune.agent_membership)
    begin(page)
    page.fill("textarea[name=note]", "  ")
    press(page)
    field = page.locator("textarea[aria-invalid]:focus")
    field.wait_for()
    assert field.evaluate("(one) => getComputedStyle(one).borderTopWidth") == "2px"
    assert page.is_checked("input[value=password_typed]")
