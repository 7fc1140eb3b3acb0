"""French typography of pages: no line begins with a colon or a question mark."""

from __future__ import annotations

import difflib

from tests import typography


def test_the_space_before_a_french_mark_does_not_break() -> None:
    wrong = [
        f"{path.name}: {line[1:].strip()[:160]}"
        for path, text, better in typography.found()
        for line in difflib.unified_diff(text.splitlines(), better.splitlines(), n=0, lineterm="")
        if line.startswith("-") and not line.startswith("---")
    ]
    assert not wrong, "python -m tests.typography mends: " + "\n".join(wrong)


def test_what_is_no_french_mark_stays() -> None:
    assert typography.mended("Pourquoi ? « oui » : non ; si !") == (
        "Pourquoi\xa0? «\xa0oui\xa0»\xa0: non\xa0; si\xa0!"
    )
    for code in ("{% if a != b %}x{% endif %}", "https://a.example/?b", "08:30", 'a="b:c"'):
        assert typography._template(code) == code
