"""A mailbox that is lent, in a real Chromium: accessible, within the window, and by the keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures. Mails are shown from a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.identity.models import Membership, Person
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.mail import access
from beffroi.mail.people import delegations
from beffroi.mail.people.models import Delegation

from tests.browsing import desks
from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door, own_mailbox
from tests.fixtures_portal_mail import ShownMailbox, shown_mail

__all__ = ["browser", "no_door", "shown_mail"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def lent_mail(monkeypatch: pytest.MonkeyPatch, shown_mail: Any) -> None:
    @contextmanager
    def open_mailbox(config: object, opened: object) -> Iterator[ShownMailbox]:
        yield ShownMailbox(shown_mail)

    monkeypatch.setattr(access, "open_mailbox", open_mailbox)


@pytest.fixture
def desk(
    committed: str, beaune: Commune, browser: Any, live_server: Any
) -> Iterator[Callable[[Membership], Any]]:
    """``desk(membership)``: a page of this person, who gave the password a moment ago."""
    named = (
        (beaune.agent, "Claire Vernet"),
        (beaune.colleague, "Sophie Martin"),
        (beaune.referent, "Jean-Luc Mathey"),
    )
    for actor, name in named:
        Person.objects.filter(pk=actor.id).update(name=name)
    with desks(browser, live_server) as sit:
        yield sit


def test_a_mailbox_is_lent_read_and_taken_back(desk: Callable[[Membership], Any], beaune: Commune) -> None:
    box = own_mailbox(beaune)
    last = (clock.now().astimezone(PLACE) + timedelta(days=12)).date().isoformat()
    owner = desk(beaune.agent_membership)
    owner.goto("/courrier/delegations/")
    inspect(owner, "d-vide")
    with owner.expect_navigation():
        owner.click("a:has-text('Confier ma boîte')")
    owner.select_option("#id_person", label="Sophie Martin")
    owner.check("input[value=answer]")
    owner.fill("#id_last", last)
    inspect(owner, "d-nouvelle")
    press(owner, "Confier la boîte")
    row = Delegation.objects.get()
    for key in range(12):
        delegations.note(actor=beaune.colleague, delegation=row, what="read", message_key=f"{key:064x}")
    delegations.note(actor=beaune.colleague, delegation=row, what="sent", message_key="a" * 64)

    delegate = desk(beaune.colleague_membership)
    delegate.goto(f"/courrier/{box.id}/")
    inspect(delegate, "d-liste")
    delegate.goto(f"/courrier/{box.id}/2/")
    inspect(delegate, "d-courriel")
    delegate.goto(f"/courrier/{box.id}/ecrire/?repondre=2")
    inspect(delegate, "d-repondre")
    delegate.goto("/courrier/delegations/")
    inspect(delegate, "d-confiee")

    owner.goto(f"/courrier/{box.id}/")
    inspect(owner, "d-bandeau")
    owner.goto("/courrier/delegations/")
    inspect(owner, "d-fait")
    press(owner, f"Arrêter\xa0: {box.address}, Sophie Martin")
    inspect(owner, "d-arretee")
    assert delegate.goto(f"/courrier/{box.id}/2/").status == 404


def test_a_referent_lends_in_the_stead_of_who_cannot_and_the_owner_hears_of_it(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    own_mailbox(beaune)
    page = desk(beaune.referent_membership)
    page.goto("/courrier/delegations/nouvelle/")
    page.select_option("#id_person", label="Sophie Martin")
    page.fill("#id_last", clock.now().astimezone(PLACE).date().isoformat())
    press(page, "Confier la boîte")
    inspect(page, "d-referent-raison", status=400)  # a reason is asked for
    page.fill("#id_reason", "Absence imprévue, l’état civil doit continuer")
    press(page, "Confier la boîte")
    inspect(page, "d-referent")
    owner = desk(beaune.agent_membership)
    owner.goto("/")
    inspect(owner, "d-accueil")
    with owner.expect_navigation():
        owner.click("text=Voir, ou arrêter")
    inspect(owner, "d-appris")
    reader = desk(beaune.colleague_membership)
    reader.goto("/courrier/")
    inspect(reader, "d-boites")
