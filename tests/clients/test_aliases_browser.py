"""Aliases and unknown addresses in a real Chromium: accessible, within the window, and by the keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures. Mails are shown from a list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.identity.models import Membership
from beffroi.lib import clock
from beffroi.mail import actions as mail
from beffroi.mail.aliases.models import Alias
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, MailRecipient

from tests.clients.test_people_browser import desk
from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door, own_mailbox, shared_box
from tests.fixtures_portal_mail import shown_mail
from tests.integration.test_mail_aliases import SYSTEM, made

__all__ = ["browser", "desk", "no_door", "shown_mail"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def caught(box: Mailbox, *addresses: str) -> None:
    """Mails that came through the catch-all into this mailbox."""
    for number, address in enumerate(addresses):
        message = MailMessage.objects.create(
            id=f"msg_{number:026}", received_at=clock.now(), message_id_hash="0" * 64, verdict="{}"
        )
        MailRecipient.objects.create(message_id=message.id, address=address)
        MailDelivery.objects.create(
            message_id=message.id,
            mailbox_id=box.id,
            collectivite_id=box.collectivite_id,
            delivered_at=clock.now(),
        )


def test_an_alias_is_made_changed_ended_and_taken_up_again(
    desk: Callable[[Membership], Any], beaune: Commune, shown_mail: object
) -> None:
    own, box = own_mailbox(beaune), shared_box(beaune, beaune.agent)
    page = desk(beaune.referent_membership)
    page.goto("/courrier/alias/")
    inspect(page, "p-alias-vide")
    page.fill("#id_local", "conseillers-municipaux")
    press(page, "Créer l’alias")
    inspect(page, "p-alias-sans-boite", status=400)
    for one in (own, box):
        page.check(f"input[value='{one.id}']")
    press(page, "Créer l’alias")
    inspect(page, "p-alias-neuf")
    with page.expect_navigation():
        page.click(f"text=Retirer {own.address}")
    inspect(page, "p-alias-retire")
    with page.expect_navigation():
        page.click("button:has-text('Annuler')")
    press(page, "Permettre")
    inspect(page, "p-alias")
    press(page, "Arrêter cet alias")
    inspect(page, "p-alias-arrete")
    with page.expect_navigation():
        page.click("button:has-text('Reprendre')")
    assert Alias.objects.get().ended_at is None
    agent = desk(beaune.agent_membership)
    agent.goto(f"/courrier/{own.id}/ecrire/")
    inspect(agent, "p-ecrire-de")
    agent.goto(f"/courrier/{own.id}/reglages/")
    inspect(agent, "p-reglages-adresses")
    agent.goto("/courrier/alias/")
    inspect(agent, "p-alias-agent")


def test_an_alias_without_a_reader_is_shown_where_somebody_leaves(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    own, box = own_mailbox(beaune), shared_box(beaune)
    made(beaune, "elus", own)
    made(beaune, "accueil", own, box)
    page = desk(beaune.referent_membership)
    page.goto(f"/departs/personne/{beaune.agent.id}/")
    inspect(page, "p-depart-alias")
    mail.close_mailbox(actor=SYSTEM, mailbox=own)
    page.goto("/courrier/alias/")
    inspect(page, "p-alias-perdu")
    with page.expect_navigation():
        page.click("text=Modifier elus@beaune.test")
    inspect(page, "p-alias-perdu-un")
    page.goto("/courrier/boites/")
    inspect(page, "p-boites-alias")
    page.goto("/")
    inspect(page, "p-accueil-alias")


def test_unknown_addresses_are_received_and_one_press_makes_an_alias(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    own = own_mailbox(beaune)
    page = desk(beaune.referent_membership)
    page.goto("/courrier/adresses-inconnues/")
    inspect(page, "p-inconnues-refusees")
    page.click("summary:has-text('Les recevoir un temps')")
    inspect(page, "p-inconnues-formulaire")
    press(page, "Recevoir")
    inspect(page, "p-inconnues-vide")
    caught(own, "mairrie@beaune.test", "mairrie@beaune.test", "bulletin-municipal-2019@beaune.test")
    page.reload()
    inspect(page, "p-inconnues")
    with page.expect_navigation():
        page.click("text=Faire un alias mairrie@beaune.test")
    assert Alias.objects.get().address == "mairrie@beaune.test"
    inspect(page, "p-inconnues-alias")
    press(page, "Refuser de nouveau")
