"""The search of the drive as a commune grows: what one question costs by name, by content, and for what is new.

Part of ``drive-tree``; what is found was indexed by ``drive_fill``.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from beffroi.drive.reach import Reach
from beffroi.drive.store.database import Database
from beffroi.drive.words import index, terms

from bench.drive_fill import COMMON_WORDS, FILES_A_WORD, KEY


def operations(database: Database, root: int, files: int) -> dict[str, Callable[[int], object]]:
    """By their names in the table; each asks one question."""

    def asks(question: Callable[[random.Random], tuple[str, ...]]) -> Callable[[int], object]:
        def ask(number: int) -> object:
            numbers = [terms.term(word, KEY) for word in question(random.Random(number))]
            with database.reading() as reading:
                return index.holding(reading, numbers, Reach(frozenset({root}), frozenset({root})), most=51)

        return ask

    with database.reading() as reading:
        last = reading.one("SELECT MAX(node) FROM word_file")
    assert last is not None
    longest = range(10 ** (len(str(last[0])) - 1), last[0])
    """Numbers of files that no other one begins with."""

    def named(number: int) -> object:
        asked = f"f{random.Random(number).choice(longest)}"
        with database.reading() as reading:
            return index.named(reading, asked, Reach(frozenset({root}), frozenset({root})), most=200)

    def recent(_: int) -> object:
        with database.reading() as reading:
            return index.recent(reading, Reach(frozenset({root}), frozenset({root})), most=100)

    return {
        "find a name": named,
        "what was written last": recent,
        "find a word that 100 files have": asks(lambda dice: (f"r{dice.randrange(files // FILES_A_WORD)}",)),
        "find two words that 1 % have": asks(
            lambda dice: tuple(f"w{n}" for n in dice.sample(range(COMMON_WORDS), 2))
        ),
    }
