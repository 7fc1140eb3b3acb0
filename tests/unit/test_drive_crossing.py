"""How often an access from another collectivité is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from beffroi.drive import crossing
from beffroi.drive.crossing import Crossing, Told
from beffroi.lib import clock


def listing(person_id: str = "per_a") -> Crossing:
    return Crossing("shr_a", "col_a", "col_b", person_id, "", "list", 0)


def test_a_listing_is_told_again_after_an_hour_though_the_clock_was_set_back() -> None:
    told, lines = Told(), list[Crossing]()
    with clock.jumped(86400):
        told(listing(), lines.append)
        told(listing(), lines.append)
    assert len(lines) == 1
    with clock.shifted(crossing.LISTED_AGAIN_S + 1):
        told(listing(), lines.append)
    assert len(lines) == 2


def test_many_at_once_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "MOST_REMEMBERED", 2)
    told = Told()
    with ThreadPoolExecutor(8) as pool:
        done = [
            pool.submit(told, listing(f"per_{number % 5}"), lambda _: None, goes_on=False)
            for number in range(20_000)
        ]
        for one in done:
            one.result()
    assert len(told._seen) == 2
