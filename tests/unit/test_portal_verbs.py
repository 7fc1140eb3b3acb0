"""Every verb that the code writes into the audit log has words: the journal is read by people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from beffroi.portal.verbs import VERBS, actor

SOURCE = Path(__file__).parents[2] / "packages/centre/beffroi"
VERB = re.compile(r"[a-z_]+(:[a-z_]+){1,2}")


def written(path: Path) -> Iterator[str]:
    """Verbs handed to a function that records; those of events go to the outbox and are nobody's words."""
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if "record" not in name:
            continue
        for one in [*call.args, *(word.value for word in call.keywords if word.arg == "verb")]:
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and VERB.fullmatch(one.value):
                yield one.value


def test_every_verb_has_words() -> None:
    found = {verb for path in SOURCE.rglob("*.py") for verb in written(path)}
    assert len(found) > 80
    assert found - set(VERBS) == set()


def test_what_a_citizen_leaves_by_a_link_came_through_the_coffre_and_no_sign_in() -> None:
    assert actor("door", "drive") == "Le Coffre"
    assert actor("door", "login") == "La porte de connexion"
