"""docs/internals/data.md names every prefix of an identifier, once."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = re.compile(r"\b(?:new_id|id_field)\(\s*[\"']([a-z]+)[\"']")


def test_each_prefix_of_an_identifier_is_in_the_table_once() -> None:
    sources = (ROOT / "packages" / "centre" / "beffroi").rglob("*.py")
    made = {prefix for path in sources for prefix in MADE.findall(path.read_text("utf-8"))}
    table = (ROOT / "docs" / "internals" / "data.md").read_text("utf-8").partition("| prefix |")[2]
    named = re.findall(r"\| `([a-z]+)` \|", table.partition("\n\n")[0])
    assert len(made) > 40 and sorted(named) == sorted(made)
