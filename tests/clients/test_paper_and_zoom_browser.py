"""Pages on paper, on a phone, and in the 320 px that a window of 640 has at twice the size, in a real Chromium."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures_browser import Centre, administrator, agent, browser, centre
from tests.seeded_pages import AGENT_PAGES

__all__ = ["administrator", "agent", "browser", "centre"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
LINES = """(of) => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector(of));
  return new Set([...range.getClientRects()].map((one) => one.top)).size;
}"""
MIDDLE = "(one) => one.getBoundingClientRect().top + one.getBoundingClientRect().height / 2"


@pytest.mark.parametrize("name", ["lire", "dossier", "dossier-compte"])
def test_no_button_and_no_form_is_printed(centre: Centre, agent: Any, name: str) -> None:
    agent.goto(centre.portal + AGENT_PAGES[name].format(**centre.seeded))
    agent.emulate_media(media="print")
    shown = "main :is(button, .btn, textarea, input):visible"
    assert agent.locator(shown).all_inner_texts() == []
    assert agent.locator("h1").is_visible()
    agent.emulate_media(media="screen")


@pytest.mark.parametrize("width", [320, 360])
@pytest.mark.parametrize("name", ["courrier", "corbeille", "brouillons", "courrier-rien"])
def test_the_title_of_a_folder_of_mails_stands_in_one_line(
    centre: Centre, agent: Any, name: str, width: int
) -> None:
    agent.set_viewport_size({"width": width, "height": 450})
    agent.goto(centre.portal + AGENT_PAGES[name].format(**centre.seeded))
    assert agent.evaluate(LINES, "h1") == 1
    assert agent.evaluate("document.documentElement.scrollWidth") == width
    agent.set_viewport_size({"width": 1280, "height": 900})


def test_the_head_of_a_phone_s_page_takes_two_lines(centre: Centre, agent: Any, administrator: Any) -> None:
    for page, address in ((agent, centre.portal), (administrator, centre.console)):
        page.set_viewport_size({"width": 360, "height": 780})
        page.goto(address + "/")
        assert page.evaluate(LINES, ".top-in > .menu span") == 1
        if page is administrator:
            page.locator(".self strong").evaluate(
                "(one) => { one.textContent = 'Direction des systèmes d’Ada' }"
            )
        tops = page.evaluate(
            "[...document.querySelectorAll('.who :is(span, strong, form)')].map(" + MIDDLE + ")"
        )
        assert len(tops) > 2 and max(tops) - min(tops) < 8
        page.set_viewport_size({"width": 1280, "height": 900})
