"""A collectivité leaves, in a real Chromium: accessible, and by the keyboard, from the day to the certificate.

BEFFROI_SHOTS=DIRECTORY keeps pictures. No engine runs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.core.identity.models import Membership
from beffroi.leaving import erasures, queries
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.lib import clock
from beffroi.mail.models import MailDelivery

from tests.browsing import console_page, desk
from tests.conftest import Commune, code_of
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_erasure import other, state
from tests.fixtures_leaving import VISA, WISH, box, carry_out, exported, leave, leaving_state, planned
from tests.fixtures_portal import no_door, shared_box

__all__ = ["browser", "console_page", "desk", "leaving_state", "no_door", "other", "state"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("committed", "leaving_state")]


def test_the_referent_says_the_day_and_asks_by_the_keyboard(
    desk: Callable[[Membership], Any], beaune: Commune, nuits: Commune
) -> None:
    referent, agent = desk(beaune.referent_membership), desk(beaune.agent_membership)
    referent.goto("/personnes/")
    press(referent, "La collectivité quitte le Département")
    inspect(referent, "dep-dire")
    day = queries.today() + timedelta(days=40)
    referent.fill("#id_day", day.isoformat())
    referent.focus("#id_reason")
    referent.keyboard.type(WISH)
    with referent.expect_navigation():
        referent.keyboard.press("Enter")
    inspect(referent, "dep-dit")
    agent.goto("/")
    inspect(agent, "dep-accueil-agent")
    person = beaune.colleague_membership.person
    there = identity.add_membership(
        actor=Actor.system("tests"), person=person, collectivite=nuits.collectivite, role="agent"
    )
    elsewhere = desk(there)
    elsewhere.goto("/")
    inspect(elsewhere, "dep-accueil-ailleurs")
    exported_long_ago(beaune)
    referent.reload()
    inspect(referent, "dep-export")
    press(referent, "Demander l’effacement")
    inspect(referent, "dep-demande")
    referent.goto("/")
    inspect(referent, "dep-accueil")
    press(referent, "Voir le départ")
    press(referent, "La collectivité reste")
    assert Leaving.objects.get().state == "taken_back" and CommuneErasure.objects.get().state == "withdrawn"


def exported_long_ago(commune: Commune) -> None:
    """A mail came since."""
    mailbox = box(commune, "archive")
    at = exported(commune).begun_at - timedelta(days=9)
    CommuneExport.objects.update(begun_at=at, changed_at=at)
    MailDelivery.objects.create(
        message_id="msg_1", mailbox_id=mailbox.id, collectivite_id=commune.id, folder="INBOX", delivered_at=clock.now()
    )  # fmt: skip


def test_the_departement_erases_what_left(
    console_page: Any, beaune: Commune, new_administrator: NewAdministrator, other: Actor
) -> None:
    page = console_page
    box(beaune, "agent", beaune.agent.id)
    page.goto(f"/communes/{beaune.id}/depart/")
    inspect(page, "depc-enregistrer")
    made = planned(beaune)
    page.reload()
    inspect(page, "depc-prevu")
    page.goto("/communes/")
    inspect(page, "depc-communes-prevu")
    leave(made)
    page.reload()
    inspect(page, "depc-communes-partie")
    press(page, "Beaune")
    inspect(page, "depc-partie")
    page.click("text=Demander l’effacement")
    page.fill("#id_name", "Beaune")
    page.check("[name=no_export]")
    page.fill("#id_code_ask", "000000")
    press(page, "Demander l’effacement")
    inspect(page, "depc-code", status=403)
    exported_long_ago(beaune)
    request = erasures.ask(actor=other, collectivite=beaune.collectivite)
    page.goto(f"/communes/{beaune.id}/depart/")
    page.fill("#id_visa", VISA)
    page.fill("#id_code_grant", code_of(new_administrator))
    inspect(page, "depc-accorder")
    press(page, "Accorder l’effacement")
    inspect(page, "depc-accorde")
    carry_out(request, turns=1)
    page.reload()
    inspect(page, "depc-en-cours")
    carry_out(request)
    page.wait_for_selector("text=Ce qui reste, et pourquoi")  # by itself
    inspect(page, "depc-attestation")
    with page.expect_download() as got:
        page.click("text=Télécharger l’attestation signée")
    assert got.value.suggested_filename.startswith("attestation-")


def test_the_departement_says_who_continues_it(
    console_page: Any, beaune: Commune, nuits: Commune, new_administrator: NewAdministrator
) -> None:
    page = console_page
    box(beaune, "agent", beaune.agent.id)
    shared_box(beaune, local="mairie")
    hall = shared_box(nuits, local="accueil")
    made = planned(beaune)
    page.goto(f"/communes/{beaune.id}/depart/")
    page.click("text=Faire suivre son courrier à une autre collectivité")
    page.fill("#id_receiver", "personne@nuits.test")
    page.fill("#id_act", "Arrêté préfectoral du 3 octobre")
    page.fill("#id_code_continue", code_of(new_administrator))
    press(page, "Faire suivre")
    inspect(page, "depc-suite-erreur", status=400)
    page.fill("#id_receiver", hall.address)
    page.fill("#id_code_continue", code_of(new_administrator, 30))
    press(page, "Faire suivre")
    page.click("text=1 adresse suivra")
    inspect(page, "depc-suite-dite")
    leave(made)
    page.reload()
    inspect(page, "depc-suite-faite")
    press(page, "Ne plus faire suivre son courrier")
    assert page.is_visible("text=Faire suivre son courrier à une autre collectivité")
