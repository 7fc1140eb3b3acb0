"""A running town hall (``tests.town_hall``) for all tests of a module, cleared after each of them.

Used as a plugin: ``pytest_plugins = ["tests.fixtures_box"]``. Ports 22700-22701.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.town_hall import TownHall, town_hall


@pytest.fixture(scope="module")
def town_hall_options() -> dict[str, Any]:
    """Arguments of ``town_hall``; a module that wants others has a fixture of this name."""
    return {}


@pytest.fixture(scope="module")
def running(town_hall_options: dict[str, Any]) -> Iterator[TownHall]:
    with town_hall(**town_hall_options) as hall:
        yield hall


@pytest.fixture
def hall(running: TownHall) -> Iterator[TownHall]:
    yield running
    running.clear()
