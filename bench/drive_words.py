"""The search of the drive as a commune grows: what one question costs by name, by content, and for what is new.

Part of ``drive-tree``: every file is indexed as the follower does it, with twenty words of a town hall's two thousand,
and one that a hundred files share.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from beffroi.drive.reach import Reach
from beffroi.drive.store.database import Database
from beffroi.drive.store.writing import Writing
from beffroi.drive.words import index, terms
from beffroi.drive.words.index import Indexed

KEY = terms.key_of(b"bench".ljust(32))
COMMON_WORDS, WORDS_A_FILE, FILES_A_WORD = 2000, 20, 100
INDEXED_A_CHANGE = 500


def fill(database: Database, root: int) -> None:
    """Index every file of the collectivité, all of which lie below ``root``."""
    with database.reading() as reading:
        rows = reading.all("SELECT id, name, etag, sha256 FROM node WHERE is_folder = 0 ORDER BY id")
        last = reading.one("SELECT MAX(number) FROM change")
    common = [terms.term(f"w{number}", KEY) for number in range(COMMON_WORDS)]
    dice = random.Random(1)

    def some(writing: Writing, start: int) -> None:
        for place, (node, name, etag, _) in enumerate(rows[start : start + INDEXED_A_CHANGE], start):
            numbers = {*dice.sample(common, WORDS_A_FILE), terms.term(f"r{place // FILES_A_WORD}", KEY)}
            index.replace(writing, node, Indexed(node, root, name, etag, "x", tuple(sorted(numbers))))

    for start in range(0, len(rows), INDEXED_A_CHANGE):
        database.write(lambda writing, start=start: some(writing, start))  # type: ignore[misc]
    database.write(lambda writing: index.take(writing, (), (last and last[0]) or 0))


def operations(database: Database, root: int, files: int) -> dict[str, Callable[[int], object]]:
    """By their names in the table; each asks one question."""

    def asks(question: Callable[[random.Random], tuple[str, ...]]) -> Callable[[int], object]:
        def ask(number: int) -> object:
            numbers = [terms.term(word, KEY) for word in question(random.Random(number))]
            with database.reading() as reading:
                return index.holding(reading, numbers, Reach(frozenset({root}), frozenset({root})), most=51)

        return ask

    def named(number: int) -> object:
        asked = f"f{random.Random(number).randrange(files)}"
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
