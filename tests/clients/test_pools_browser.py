"""Sending addresses and doubtful accounts on the console, in a real Chromium.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import exits, pool_actions, reputation
from beffroi.mail.sending.models import Warming
from django.conf import settings as django_settings

from tests.browsing import console_page
from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door
from tests.integration.test_mail_pools import POOLS

__all__ = ["browser", "console_page", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def config(settings: Any, tmp_path: Path) -> Config:
    (tmp_path / "projections").mkdir()
    config = replace(settings.BEFFROI, state=tmp_path, outgoing_mail=True, outgoing_addresses="91.240.118.1")
    settings.BEFFROI = replace(config, outgoing_name="mx1.centre.example")
    return settings.BEFFROI


@pytest.mark.usefixtures("committed", "no_door")
def test_a_warm_up_is_read_paused_and_resumed_by_the_keyboard(
    config: Config, console_page: Any, beaune: Commune, administrator: Actor
) -> None:
    page = console_page
    page.goto("/sortant/")
    inspect(page, "p-une-seule")

    django_settings.BEFFROI = replace(config, outgoing_pools=POOLS)
    box = Mailbox.objects.create(
        collectivite_id=beaune.collectivite.id, address=f"lettre@{beaune.domain}", crypt_key="x"
    )
    exits.look(django_settings.BEFFROI)
    Warming.objects.update(step=3)
    lanes = [
        ("nouvelle", "orange", "sent", 31),
        ("nouvelle", "orange", "refused", 2),
        ("nouvelle", "", "sent", 80),
    ]
    pool_actions.count_answers(lanes, [], now=clock.now())
    pool_actions.doubt({box.id: (box.collectivite_id, "contained refused")})
    for address, helo, state in (
        ("91.240.118.1", "mx1.centre.example", reputation.NAMED),
        ("91.240.118.2", "mx2.centre.example", reputation.OTHER_PTR),
    ):
        pool_actions.note_name(address=address, helo=helo, state=state)
    page.goto("/sortant/")
    page.click("summary:has-text('Le plan')")
    inspect(page, "p-adresses")
    page.goto("/sortant/#h-exits")
    press(page, "Mettre en pause mx2.centre.example")
    page.wait_for_selector("text=à la demande d’une personne")
    Warming.objects.update(paused_by="", provider="orange")
    page.reload()
    inspect(page, "p-refusee")
    page.goto("/sortant/#h-exits")
    press(page, "Reprendre la montée mx2.centre.example")
    page.wait_for_selector("text=au plus 30 destinataires")
