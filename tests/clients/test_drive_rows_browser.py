"""Rows of the Coffre's lists in a real Chromium: how they stand at every width, and what hands do with them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY
from beffroi.lib import clock
from beffroi.portal import words

from tests.clients.test_drive_page_browser import browser, drive, no_door, page
from tests.fixtures_browser import inspect
from tests.integration.test_drive_pages import Drive

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy joins portal and drive"),
]
DAY_S = 86400
OVERLAPS = """() => [...document.querySelectorAll(".files li")].filter((row) => {
    const text = (part) => {
        const range = document.createRange();
        range.selectNodeContents(row.querySelector(part));
        return range.getBoundingClientRect();
    };
    const over = (a, b) => a.right > b.left && b.right > a.left && a.bottom > b.top && b.bottom > a.top;
    const size = text(".num"), time = text("time"), name = text(".name");
    return over(size, time) || over(size, name) || over(time, name);
}).length"""


@pytest.mark.parametrize("days, year_is_told", [(1, False), (800, True)])
def test_a_list_says_the_day_alone_of_another_year(days: int, year_is_told: bool) -> None:
    at = clock.now() - timedelta(days=days)
    assert words.listed(at) == (words.when(at).partition(",")[0] if year_is_told else words.when(at))
    assert (str(at.year) in words.listed(at)) == year_is_told


def test_no_word_of_a_row_covers_another(drive: Drive, page: Any) -> None:
    long = replace(EMPTY, size_bytes=888_800_000)

    def fill(writing: Any) -> None:
        for number, days in enumerate((0, 1, 40, 800)):
            mtime_s = drive.act.now_s - days * DAY_S
            tree.put(writing, drive.act, drive.own.id, f"Pièce {number}.pdf", long, mtime_s=mtime_s)

    drive.database.write(fill)
    for address in ("/coffre/", "/coffre/recents/", "/coffre/recherche/?q=pièce"):
        page.goto(address)
        assert page.locator(".files li").count() == 4
        for width in (1280, 760, 360, 320):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(OVERLAPS) == 0, f"{address} at {width} px"
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/coffre/")
    heights = page.evaluate("[...document.querySelectorAll('.files time')].map((one) => one.offsetHeight)")
    assert len(set(heights)) == 1, "every date stands in one line where there is room"
    inspect(page, "d-rangees")
