"""Templates can be read: an element a line, as tall as they need."""

from __future__ import annotations

import re
from pathlib import Path

from beffroi import portal

TEMPLATES = Path(portal.__file__).parent / "templates"
MOST_CHARS = 300
_WHOLE = re.compile(r"\{% blocktranslate.*?\{% endblocktranslate %\}|\{% translate .*?%\}|<svg.*?</svg>")
"""A sentence stays in one piece for its translators, a drawing for who draws it again."""


def test_a_line_of_a_template_holds_little_beside_its_sentence() -> None:
    found = [
        f"{path.relative_to(TEMPLATES)}:{number}"
        for path in sorted(TEMPLATES.rglob("*.html"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if len(_WHOLE.sub("", line).strip()) > MOST_CHARS
    ]
    assert found == []
