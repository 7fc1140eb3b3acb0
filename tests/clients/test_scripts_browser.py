"""A script of a mail program on the page of settings, and the words about a refused password, in a real Chromium.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.mail.scripts.models import PersonalScript
from beffroi.mail.sending.models import SendingAlarm

from tests.clients.test_mail_safety_browser import desk
from tests.conftest import PASSWORD, Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door, own_mailbox
from tests.fixtures_portal_mail import shown_mail

__all__ = ["browser", "desk", "no_door", "shown_mail"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("shown_mail")]
TEXT = (
    'require ["fileinto"];\r\n# Délibérations\r\n'
    'if header :contains "subject" "délibération" {\r\n  fileinto "Conseil";\r\n}\r\n'
)


def test_a_script_is_read_switched_off_and_deleted_by_the_keyboard(desk: Any, beaune: Commune) -> None:
    open_for, portal = desk
    box = own_mailbox(beaune)
    of_it = {"mailbox_id": box.id, "collectivite_id": box.collectivite_id, "person_id": beaune.agent.id}
    PersonalScript.objects.create(**of_it, name="Thunderbird", text=TEXT, is_active=True)
    PersonalScript.objects.create(
        **of_it, name="ancien-script-d-un-autre-logiciel-au-nom-tres-long", text="discard;"
    )
    page = open_for(beaune.agent_membership)
    page.goto(f"{portal}/courrier/{box.id}/reglages/")
    page.locator("summary:has-text('Voir son texte')").nth(0).click()
    inspect(page, "m-scripts")
    press(page, "Éteindre Thunderbird")
    page.wait_for_selector("text=Supprimer >> nth=1")
    assert not PersonalScript.objects.filter(is_active=True).exists()
    page.click("button:has-text('Supprimer'):has-text('Thunderbird')")
    page.wait_for_selector("text=Script supprimé")
    assert PersonalScript.objects.count() == 1


def test_the_pages_about_a_refused_password(desk: Any, beaune: Commune) -> None:
    open_for, portal = desk
    box = own_mailbox(beaune)
    SendingAlarm.objects.create(
        mailbox_id=box.id, collectivite_id=box.collectivite_id, person_id=beaune.agent.id,
        limit="takeover", most=0, contained_at=clock.now(),
    )  # fmt: skip
    page = open_for(beaune.agent_membership)
    page.goto(f"{portal}/acces/")
    page.click("summary:has-text('Votre logiciel refuse')")
    assert "Ce mot de passe n’est pas un mot de passe d’application" in page.inner_text("main")
    inspect(page, "m-acces")
    page.goto(f"{portal}/acces/mot-de-passe/")
    if page.locator("#id_password").count():  # asked once more before the form
        page.fill("#id_password", PASSWORD)
        page.click("button:has-text('Confirmer')")
    page.wait_for_selector("text=déposer des règles de classement")
    inspect(page, "m-mot-de-passe")
    page.context.clear_cookies()
    page.goto(f"{portal}/connexion/")
    inspect(page, "m-connexion")
    assert "Ce mot de passe n’est pas un mot de passe d’application" in page.inner_text("body")
