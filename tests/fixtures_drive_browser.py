"""The page of the Coffre before the real processes, in a real Chromium that complains of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.conftest import STATE, Commune
from tests.drive_desk import joined
from tests.drive_pages import Drive
from tests.drive_server import served
from tests.fixtures_portal import portal_client


@pytest.fixture
def drive(committed: str, beaune: Commune) -> Drive:
    return Drive(beaune.agent_membership)


@pytest.fixture
def page(drive: Drive, beaune: Commune, browser: Any, live_server: Any, tmp_path: Path) -> Iterator[Any]:
    with (
        served(STATE) as server,
        joined(tmp_path, web=live_server.url, drive_port=server.port, run=settings.BEFFROI.run) as address,
    ):
        client = portal_client(beaune.agent_membership)
        name = settings.SESSION_COOKIE_NAME
        context = browser.new_context(
            locale="fr-FR", viewport={"width": 1280, "height": 900}, base_url=address, accept_downloads=True
        )
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])
        opened = context.new_page()
        wrong: list[str] = []
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on(
            "console",
            lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None,
        )
        yield opened
        context.close()
        assert wrong == []
