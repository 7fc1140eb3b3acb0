"""What somebody left is handed over in a real Chromium: by the keyboard, without JavaScript's help, and it fits.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.models import Membership, Person
from beffroi.lib.config import Config

from tests.browsing import desks
from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_calendars import calendars_alone, card, event
from tests.fixtures_portal import no_door
from tests.integration.test_departure_calendars import INVITING, SERIES, Own

__all__ = ["browser", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def desk(
    committed: str, config: Config, beaune: Commune, browser: Any, live_server: Any
) -> Iterator[Callable[[Membership], Any]]:
    Person.objects.filter(pk=beaune.agent.id).update(name="Claire Vernet")
    Person.objects.filter(pk=beaune.colleague.id).update(name="Marie-Antoinette Lefebvre-Desmoulins")
    with calendars_alone(config), desks(browser, live_server) as sit:
        Drive(beaune.colleague_membership).file("budget.ods")
        own = Own(config, beaune.id, beaune.colleague.id)
        for number in range(12):
            own.put("agenda", f"{number}.ics", event(str(number), "Rendez-vous Petit", more=INVITING))
        own.put("agenda", "s.ics", event("s", "Permanence", more=SERIES))
        own.put("agenda", "p.ics", event("p", "Privé : santé"))
        own.put("contacts", "c.vcf", card("c", "Imprimeur"))
        group = "X-ADDRESSBOOKSERVER-KIND:group\r\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:c\r\nFN:"
        own.put("contacts", "g.vcf", card("g", "Travaux").replace("FN:", group))
        yield sit


def test_what_somebody_left_is_handed_over_by_the_keyboard(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    page = desk(beaune.referent_membership)
    page.goto(f"/departs/personne/{beaune.colleague.id}/")
    inspect(page, "d-prepare")
    press(page, "Fermer tous ses accès")
    run_pending("main")
    page.reload()
    inspect(page, "d-depart")
    press(page, "Remettre à un collègue")
    inspect(page, "d-choix")
    page.locator("select").select_option(label="Claire Vernet")
    press(page, "Remettre")
    inspect(page, "d-en-cours")
    run_pending("main")
    page.wait_for_selector("text=13 rendez-vous et 2 contacts")
    page.wait_for_selector("text=Remis à Claire Vernet")
    inspect(page, "d-remis")
    heir = desk(beaune.agent_membership)
    heir.goto("/agenda/?mois=2026-12")
    label = "Agenda de Marie-Antoinette Lefebvre-Desmoulins"
    assert heir.locator(f".tag:has-text('{label}')").count() == 15
    assert heir.locator("a:has-text('Modifier')").count() == 0
    inspect(heir, "d-agenda")
    heir.goto("/contacts/")
    inspect(heir, "d-contacts")
    with heir.expect_download() as begun:
        heir.click("a:has-text('Télécharger « Contacts de Marie-Antoinette')")
    assert begun.value.suggested_filename == "contacts-de-marie-antoinette-lefebvre-desmoulins.vcf"
    press(heir, "Travaux")
    inspect(heir, "d-groupe")
    press(page, "Annuler ce départ")
    run_pending("main")
    page.reload()
    page.wait_for_selector("text=Revenus de chez Claire Vernet")
    inspect(page, "d-revenus")
