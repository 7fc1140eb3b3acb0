"""The change log can be read: days, the newest first, each with the same lists, and gathered once it is over."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
LISTS = ["To do when you upgrade", "Added", "Changed", "Removed", "Fixed", "Security"]
DAYS_UNDER_WAY = 2
GATHERED_WORDS = 1500


def days() -> list[tuple[date, str]]:
    """(day, text), as they stand."""
    _, *found = re.split(r"^## (.+)\n", CHANGELOG.read_text("utf-8"), flags=re.MULTILINE)
    return [(date.fromisoformat(day), text) for day, text in zip(found[::2], found[1::2], strict=True)]


def test_days_stand_the_newest_first_each_once() -> None:
    found = [day for day, _ in days()]
    assert len(found) >= 8
    assert found == sorted(set(found), reverse=True)


def test_each_day_has_the_same_lists_in_one_order_and_nothing_else() -> None:
    for day, text in days():
        before, *named = re.split(r"^### (.+)\n", text, flags=re.MULTILINE)
        assert not before.strip(), day
        assert named[::2] == [one for one in LISTS if one in named[::2]], day
        for name, lines in zip(named[::2], named[1::2], strict=True):
            assert lines.strip(), f"{day}: {name} is empty"
            assert all(line.startswith("- ") for line in lines.strip().splitlines()), f"{day}: {name}"


def test_a_day_that_is_over_was_gathered() -> None:
    words = {day: len(text.split()) for day, text in days()[DAYS_UNDER_WAY:]}
    assert not {day: count for day, count in words.items() if count > GATHERED_WORDS}
