"""The page of the Coffre before the real processes, in a real Chromium that complains of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.browsing import sound_page
from tests.conftest import STATE, Commune
from tests.drive_desk import joined
from tests.drive_pages import Drive
from tests.drive_server import served


@pytest.fixture
def drive(committed: str, beaune: Commune) -> Drive:
    return Drive(beaune.agent_membership)


@pytest.fixture
def page(drive: Drive, beaune: Commune, browser: Any, live_server: Any, tmp_path: Path) -> Iterator[Any]:
    with (
        served(STATE) as server,
        joined(tmp_path, web=live_server.url, drive_port=server.port, run=settings.BEFFROI.run) as address,
        sound_page(browser, address, beaune.agent_membership) as opened,
    ):
        yield opened
