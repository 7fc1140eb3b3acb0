"""Numbers in sentences: in groups, also where no template writes them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi import portal
from beffroi.portal import drive_words, weather_words
from beffroi.portal.console.overview import NAMED, first_sentence
from beffroi.portal.counts import Count
from beffroi.portal.web.home import lead
from beffroi.watch.weather.rules import Reason
from django.utils.translation import override

ROOT = Path(portal.__file__).parent
LANGUAGES = [("fr", "12\N{NO-BREAK SPACE}345"), ("en", "12,345")]


@pytest.mark.parametrize(("language", "said"), LANGUAGES)
def test_a_count_is_written_in_the_groups_of_its_reader(language: str, said: str) -> None:
    with override(language):
        assert f"{Count(12345)}" == "%s" % Count(12345) == said  # noqa: UP031 - as sentences do
        assert str(Count(999)) == "999"


@pytest.mark.parametrize(("language", "said"), LANGUAGES)
def test_sentences_of_several_pages_say_large_numbers_in_groups(language: str, said: str) -> None:
    with override(language):
        for sentence in (
            drive_words.done("deleted", 12345),
            drive_words.carried("move", 12345),
            weather_words.reason(Reason.SURGE, 12345),
            lead(0, 12345),
            first_sentence(["x"] * (NAMED + 12345)),
        ):
            assert said in sentence


def plain_counts() -> Iterator[str]:
    """Where a sentence is given its number ``n`` as it is."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Dict):
                continue
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "n" and "Count(" not in ast.unparse(value):
                    yield f"{path.relative_to(ROOT)}:{value.lineno}"


def test_no_sentence_is_given_its_number_without_groups() -> None:
    assert list(plain_counts()) == []


def test_no_sentence_writes_a_number_by_itself() -> None:
    """``%d`` knows no language; the number of an entry is a name."""
    found = [
        (str(path.relative_to(ROOT)), one)
        for path in ROOT.rglob("*.py")
        for one in re.findall(r"%\((\w+)\)d", path.read_text("utf-8"))
    ]
    assert {one for _, one in found} == {"position"}
