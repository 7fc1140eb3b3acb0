"""Cards of a series of which some dates went another way, through real engines and in Chromium.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import pytest

from tests.clients.test_invitations_browser import WEEKLY, Desk, desk, foreign, press
from tests.clients.test_proposals_browser import arrives
from tests.fixtures_browser import browser, inspect
from tests.fixtures_portal import no_door
from tests.mail_post import needs_engines

__all__ = ["browser", "desk", "no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, pytest.mark.browser]


def dated(method: str, day: str, at: str, *more: str, stamp: str = "20300102T080000Z") -> str:
    """A mail about the date of WEEKLY on that day of May 2030, now at ``at``."""
    where = (f"RECURRENCE-ID;TZID=Europe/Paris:203005{day}T090000", f"DTSTART;TZID=Europe/Paris:{at}")
    text = foreign(method, *where, "DURATION:PT1H", "SUMMARY:Point hebdomadaire", *more)
    return text.replace("20300101T080000Z", stamp)


def test_the_card_of_a_series_says_what_became_of_its_dates(desk: Desk) -> None:
    page, invited = desk.claire, f"ATTENDEE;CN=Claire:mailto:{desk.hers.address}"
    series = foreign("REQUEST", *WEEKLY, invited)
    assert "Dates à part" not in arrives(desk, series)
    press(page, "Accepter")
    arrives(desk, dated("REQUEST", "14", "20300515T140000", "SEQUENCE:1", "LOCATION:Halle", invited))
    press(page, "Refuser")
    called_off = dated("CANCEL", "21", "20300521T090000", "SEQUENCE:1")
    arrives(desk, called_off)
    press(page, "Retirer de mon agenda")
    gone = page.inner_text("#invitation")
    assert "Cette date n’est pas dans votre agenda" in gone
    assert page.locator("#invitation button").count() == 0
    page.goto(f"{desk.portal}/agenda/?mois=2030-05")
    assert page.inner_text("main").count("Point hebdomadaire") == 2, "the 7th and the 28th"

    told = arrives(desk, series).replace("\xa0", " ")
    assert "Vous avez accepté." in told and "Dates à part" in told
    rows = page.locator("#invitation dd li.row").all_inner_texts()
    moved, off = (one.replace("\xa0", " ") for one in rows[:2])
    assert "Mercredi 15 mai 2030, de 14 h 00 à 15 h 00" in moved and "au lieu de mardi 14 mai 2030" in moved
    assert "Halle" in moved and "Vous avez refusé." in moved
    assert "Mardi 21 mai 2030" in off and "annulée" in off
    assert "Elle vaut pour toutes les dates" in told
    inspect(page, "i-dates-a-part")
    press(page, "Peut-être")
    page.goto(f"{desk.portal}/agenda/?mois=2030-05")
    may = page.inner_text("main")
    assert may.count("Point hebdomadaire") == 3 and "Halle" in may and "21 mai" not in may


def test_a_mail_about_two_dates_names_both_and_one_answer_counts_for_both(desk: Desk) -> None:
    page, mine = desk.claire, desk.hers.address
    arrives(desk, foreign("REQUEST", *WEEKLY, f"ATTENDEE:mailto:{mine}"))
    press(page, "Accepter")
    days = [
        dated("REQUEST", day, f"203005{day}T090000", "SEQUENCE:1", f"ATTENDEE:mailto:{mine}")
        for day in ("14", "21")
    ]
    event = days[1].split("BEGIN:VEVENT")[1].split("END:VCALENDAR")[0]
    both = days[0].replace("END:VCALENDAR", f"BEGIN:VEVENT{event}END:VCALENDAR")
    told = arrives(desk, both).replace("\xa0", " ")
    assert "Plusieurs dates d’un rendez-vous qui se répète" in told and "Une seule date" not in told
    assert "Et aussi" in told and "Mardi 21 mai 2030, de 9 h 00 à 10 h 00" in told
    inspect(page, "i-deux-dates")
    press(page, "Refuser")
    page.goto(f"{desk.portal}/agenda/?mois=2030-05")
    assert page.inner_text("main").count("Point hebdomadaire") == 2
