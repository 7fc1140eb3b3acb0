"""Each `./beffroi …` that a document gives is one that its parser knows: its verbs, its choices and its options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import beffroi_lab.__main__
import pytest
from beffroi.cli.__main__ import VERBS
from beffroi.cli.options import run

import bench.__main__

ROOT = Path(__file__).parents[2]
GIVEN = re.compile(r"\./beffroi +([a-z][^`\n]*)")
END = re.compile(r" {2}|#|>|\.(?: |$)|[;,:]| \||\) ?\|")
OF_THE_SCRIPT = ("help", "home", "test", "box package")
CASES = (ROOT / "beffroi").read_text("utf-8").partition("case $verb in")[2]
OF_PEOPLE = set(re.findall(r"[a-z]+", " ".join(re.findall(r"^  ([a-z |]+)\)", CASES, re.MULTILINE))))


class Known(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


@cache
def parser_of(verb: str, below: str) -> argparse.ArgumentParser | None:
    """The parser that would read the words after ``verb``: stopped before it reads."""

    def stop(parser: argparse.ArgumentParser, *_: object, **__: object) -> Any:
        raise Known(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        try:
            if verb in ("bench", "lab"):
                (bench.__main__ if verb == "bench" else beffroi_lab.__main__).main([below])
            elif verb in OF_PEOPLE:
                run(VERBS["releases" if verb == "box" else verb], [below])
        except Known as found:
            return found.parser
    return None


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: one
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, one in action.choices.items()
    }


def unknown(words: list[str]) -> str:
    """The first word that its parser does not know; empty where it knows all."""
    if " ".join(words).startswith(OF_THE_SCRIPT):
        return ""
    if words[0] == "bench":
        words = [word for word in words if word != "--peers"]
    parser = parser_of(words[0], words[1] if words[1:] else "")
    if parser is None:
        return words[0]
    # What it is called says how many words were taken to come to it.
    rest = words[len(parser.prog.split()) - 1 :]
    while verbs := verbs_of(parser):
        if not rest or rest[0] == "{}":
            return ""
        if rest[0] not in verbs:
            return rest[0]
        parser = verbs[rest.pop(0)]
    choices = [action.choices for action in parser._actions if not action.option_strings and action.choices]
    if choices and rest and rest[0].islower() and rest[0] not in choices[0]:
        return rest[0]
    known = parser._option_string_actions
    return next((word for word in rest if word.startswith("--") and word not in known), "")


def given() -> Iterator[tuple[str, list[str]]]:
    """(place, words) of each command; of ``a | b`` the first."""
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        if path.name == "CHANGELOG.md":
            continue  # what was once, too
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for text in GIVEN.findall(line):
                words = END.split(text)[0].replace("[", "").replace("]", "").split()
                yield f"{path.relative_to(ROOT)}:{number}", words


def test_each_command_of_a_document_is_one_that_its_parser_knows() -> None:
    found = [*given()]
    assert len(found) > 150
    wrong = [f"{place}: {unknown(words)}: {' '.join(words)}" for place, words in found if unknown(words)]
    assert not wrong, "\n".join(wrong)


def told() -> Iterator[list[str]]:
    """Of `./beffroi help`: each of ``a | b`` stands in the place of the last word in small letters before it."""
    for line in re.findall(r"^#   \./beffroi (.*)", (ROOT / "beffroi").read_text("utf-8"), re.MULTILINE):
        first, *others = re.sub(r" \[[^]]*\]", "", END.split(line.replace(" | ", "\0"))[0]).split("\0")
        before = [word for word in first.split() if word[0].islower()]
        yield first.split()
        yield from ([*before[:-1], *one.split()] for one in others)


def test_each_command_of_the_help_is_one_that_its_parser_knows() -> None:
    found = [*told()]
    assert ["database", "backup", "check"] in found and ["mail", "retry", "ID"] in found
    known = [words for words in found if words[0] not in ("bench", "lab")]  # whose names are no words
    wrong = [f"{unknown(words)}: {' '.join(words)}" for words in known if unknown(words)]
    assert not wrong, "\n".join(wrong)
