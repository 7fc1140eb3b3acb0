"""Sending addresses and doubtful accounts on the console, in a real Chromium.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from pytest_django.live_server_helper import LiveServer

from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import console_client, no_door, on_listener
from tests.integration.test_mail_pools import POOLS

__all__ = ["browser", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def config(settings: Any, tmp_path: Path) -> Config:
    (tmp_path / "projections").mkdir()
    config = replace(settings.BEFFROI, state=tmp_path, outgoing_mail=True, outgoing_addresses="91.240.118.1")
    settings.BEFFROI = replace(config, outgoing_name="mx1.centre.example")
    return settings.BEFFROI


@pytest.fixture
def console() -> Iterator[str]:
    """The address of a server of its own: one that runs has the portal's middleware already."""
    with on_listener("console"):
        server = LiveServer("localhost")
        yield str(server.url)
        server.stop()


@pytest.mark.usefixtures("committed", "no_door")
def test_a_warm_up_is_read_paused_and_resumed_by_the_keyboard(
    config: Config, browser: Any, console: str, beaune: Commune, administrator: Actor
) -> None:
    client = console_client(administrator.id)
    context = browser.new_context(
        locale="fr-FR",
        viewport={"width": 1280, "height": 900},
    )
    cookie = django_settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": cookie, "value": client.cookies[cookie].value, "url": console}])
    page = context.new_page()
    page.goto(f"{console}/sortant/")
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
    page.goto(f"{console}/sortant/")
    page.click("summary:has-text('Le plan')")
    inspect(page, "p-adresses")
    page.goto(f"{console}/sortant/#h-exits")
    press(page, "Mettre en pause mx2.centre.example")
    page.wait_for_selector("text=à la demande d’une personne")
    Warming.objects.update(paused_by="", provider="orange")
    page.reload()
    inspect(page, "p-refusee")
    page.goto(f"{console}/sortant/#h-exits")
    press(page, "Reprendre la montée mx2.centre.example")
    page.wait_for_selector("text=au plus 30 destinataires")
    context.close()
