"""Lengths of files: the same words from the server and from scripts, in both languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import beffroi.portal
import pytest
from beffroi.portal import words
from django.utils import translation

from tests.fixtures_browser import browser

__all__ = ["browser"]
pytestmark = [pytest.mark.browser]
SCRIPT = Path(beffroi.portal.__file__).parent / "static" / "portal" / "sizes.js"
SAID = {
    0: "0 o",
    999: "999 o",
    1_000: "1 ko",
    1_499: "1 ko",
    1_500: "2 ko",
    999_499: "999 ko",
    999_500: "1 Mo",
    1_250_000: "1,3 Mo",
    1_449_999: "1,4 Mo",
    99_949_999: "99,9 Mo",
    99_950_000: "100 Mo",
    999_499_999: "999 Mo",
    20_000_000_000: "20 Go",
    1_960_000_000_000: "2 To",
    4_321_000_000_000_000: "4 321 To",
}


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_server_and_scripts_say_the_same_length(browser: Any, language: str) -> None:
    page = browser.new_page()
    page.set_content(f'<html lang="{language}"></html>')
    page.add_script_tag(path=str(SCRIPT))
    with translation.override(language):
        told = [words.size(one) for one in SAID]
    assert page.evaluate("(sizes) => sizes.map(window.sizes)", list(SAID)) == told
    page.close()
    if language == "fr":
        assert [one.replace("\u00a0", " ") for one in told] == list(SAID.values())
    else:
        assert told[0] == "0\u00a0B" and told[7] == "1.3\u00a0MB"
