"""A box whose clock is ten years behind: what counts is only the difference, so the centre runs ten years ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.town_hall import TownHall, needs_network, town_hall
from tests.town_hall_network import EVIL, LAN, connects
from tests.waiting import until

pytestmark = needs_network
TEN_YEARS_S = 10 * 365 * 86400


@pytest.fixture(scope="module")
def hall() -> Iterator[TownHall]:
    with town_hall(ahead_s=TEN_YEARS_S) as made:
        yield made


def test_it_connects_although_the_certificate_begins_in_ten_years_and_enforces(hall: TownHall) -> None:
    assert hall.status()["connected"] and not hall.status()["stale"]
    hall.block(EVIL)
    assert not connects(LAN, EVIL)


def test_an_entry_of_two_seconds_lives_two_seconds_and_not_ten_years(hall: TownHall) -> None:
    hall.clear()
    hall.block(EVIL, life_s=2)
    assert not connects(LAN, EVIL)
    until(lambda: connects(LAN, EVIL), "trusted time ends it")


def test_after_a_restart_trusted_time_goes_on_from_disk(hall: TownHall) -> None:
    hall.block(EVIL)
    hall.kill("agent", 15)
    hall.start_agent()
    hall.connected()
    assert not connects(LAN, EVIL)
