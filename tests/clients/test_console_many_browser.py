"""Lists of a whole département in a real Chromium: long names beside large numbers, and a field that narrows them."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.core.communes.models import Collectivite
from beffroi.core.communes.queries import names
from beffroi.lib import clock

from tests.browsing import console_page
from tests.fixtures_browser import browser, inspect, press

__all__ = ["browser", "console_page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = "Communauté d’agglomération Beaune, Côte et Sud – Communauté Beaune-Chagny-Nolay"
CUT = """() => [...document.querySelectorAll("main table :is(.tag, td.r)")].flatMap((cell) => {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) for (const word of walker.currentNode.data.matchAll(/[^ \\n]+/g)) {
    const range = document.createRange();
    range.setStart(walker.currentNode, word.index);
    range.setEnd(walker.currentNode, word.index + word[0].length);
    if (range.getClientRects().length > 1) found.push(word[0]);
  }
  return found;
})"""
"""Words of signs and numbers that stand on two lines."""


def test_beside_a_long_name_no_number_and_no_sign_is_cut_and_one_of_many_is_found(console_page: Any) -> None:
    Collectivite.objects.bulk_create(
        Collectivite(kind="commune", name=LONG if not n else f"Évelle {n}", enrolled_at=clock.now())
        for n in range(12)
    )
    many = len(names())
    console_page.goto("/communes/usage/")
    for width in (1280, 1024, 360):
        console_page.set_viewport_size({"width": width, "height": 900})
        assert console_page.evaluate(CUT) == []
    inspect(console_page, "c-usage-long")
    console_page.focus("#id_narrow")
    console_page.keyboard.type("evelle 11")
    console_page.wait_for_selector(f"[role=status]:has-text('1 sur {many}')")
    assert console_page.locator("#used tr:visible th").all_inner_texts() == ["Évelle 11"]


def test_the_next_page_of_communes_begins_at_their_list(console_page: Any) -> None:
    Collectivite.objects.bulk_create(
        Collectivite(kind="commune", name=f"Évelle {n:03}", enrolled_at=clock.now()) for n in range(120)
    )
    console_page.goto("/communes/")
    press(console_page, f"Sans référent {len(names())}")
    console_page.wait_for_selector("h2:focus:has-text('Collectivités inscrites')")
    console_page.keyboard.press("Shift+Tab")
    press(console_page, "Page suivante")
    console_page.wait_for_selector("h2:focus:has-text('Collectivités inscrites')")
    assert "page 2 sur 3" in console_page.locator("caption").inner_text()
    inspect(console_page, "c-communes-page")
