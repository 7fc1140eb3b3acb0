"""What a task costs who does it, in clicks and fields, against what docs/fr/gestes.md says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[1] / "docs" / "fr" / "gestes.md"
_ROW = re.compile(r"^\| ([^|]+) \|[^|]*\| (\d+) \| (\d+) \|$", re.MULTILINE)


class Hand:
    """Every press of a button, link, tick or file is a click; every field that is typed into or chosen in is one."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.clicks = self.fields = 0

    def click(self, selector: str) -> None:
        self.clicks += 1
        self.page.click(selector)

    def attach(self, selector: str, file: dict[str, object]) -> None:
        self.clicks += 1
        self.page.set_input_files(selector, file)

    def fill(self, selector: str, text: str) -> None:
        self.fields += 1
        self.page.fill(selector, text)

    def type_on(self, text: str) -> None:
        """Into the field that has the focus already."""
        self.fields += 1
        self.page.keyboard.type(text)


@contextmanager
def counted(page: Any, task: str) -> Iterator[Hand]:
    """``task``: as the table names it; it begins on the home and ends with the sentence that it is done."""
    hand = Hand(page)
    yield hand
    told = {
        name: (int(clicks), int(fields)) for name, clicks, fields in _ROW.findall(TABLE.read_text("utf-8"))
    }
    assert (hand.clicks, hand.fields) == told.get(task), f"{TABLE.name}: {task}"
