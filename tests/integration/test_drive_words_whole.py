"""The index of words is made anew, by itself or for an operator, and answers meanwhile."""

from __future__ import annotations

import pytest
from beffroi.drive.store.writing import Writing
from beffroi.drive.views import View
from beffroi.drive.words import index, indexer, kinds, whole
from beffroi.lib.errors import Unavailable

from tests.integration.test_drive_words import ALICE, World, scanner, world
from tests.pdf_samples import document

__all__ = ["scanner", "world"]


def test_an_index_of_other_rules_is_made_anew_without_reading_contents_again(world: World) -> None:
    for number in range(3):
        world.put(ALICE, f"photo{number}.jpg", b"1")
    world.put(ALICE, "pv.pdf", document(["Tarifs de la cantine"]))
    lost = world.put(ALICE, "note.txt", b"Les horaires de la cantine")
    world.settle()
    database = world.communes.metadata(ALICE.collectivite_id)

    def age(writing: Writing) -> None:
        """A hole, kinds that were not kept yet, words under other numbers."""
        index.replace(writing, lost.id, None)
        for table in ("DELETE FROM node_kind", "DELETE FROM meta WHERE name = 'words_whole'"):
            writing.run(table)
        for (node,) in writing.all("SELECT node FROM word_file"):
            kept = index.kept(writing, node)
            assert kept is not None
            index.replace(writing, node, kept._replace(terms=(1, 2) if kept.terms else ()))

    database.write(age)
    assert world.names(ALICE, "cantine") == []

    def reads(_: bytes) -> str:
        raise AssertionError("it was read before")

    world.reads = reads
    world.restart()
    world.settle()
    with database.reading() as reading:
        root = View(database, ALICE).roots(reading)[0]
        assert whole.way(reading) is None and kinds.behind(reading, 0) == []
        assert kinds.all_of(reading, root.id) == ["application", "image", "text"]
        assert reading.all("SELECT 1 FROM word WHERE term < 3") == []
    assert world.names(ALICE, "cantine") == ["note.txt", "pv.pdf"]


def test_what_was_stored_before_more_of_its_kind_was_read_is_read_once_more(world: World) -> None:
    """An RTF had no text, an OpenDocument one without its headers; what else is kept is not read again."""
    asked: list[bytes] = []
    for name in ("plan.odt", "lettre.rtf", "pv.pdf"):
        world.put(ALICE, name, name.encode())
    world.reads = lambda data: "" if data == b"lettre.rtf" else "cantine"
    world.restart()
    world.settle()
    database = world.communes.metadata(ALICE.collectivite_id)

    def age(writing: Writing) -> None:
        writing.run("UPDATE meta SET value = '2' WHERE name = 'words_whole'")
        writing.run("UPDATE word_file SET content = '' WHERE name = 'lettre.rtf'")

    def reads(data: bytes) -> str:
        asked.append(data)
        return "cantine mairie"

    database.write(age)
    for _ in range(2):
        world.reads = reads
        world.restart()
        world.settle()
    assert world.names(ALICE, "mairie") == ["lettre.rtf", "plan.odt"]
    assert world.names(ALICE, "cantine") == ["lettre.rtf", "plan.odt", "pv.pdf"]
    assert sorted(asked) == [b"lettre.rtf", b"plan.odt"]


def test_an_index_that_an_operator_has_made_anew_reads_contents_again_and_answers_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "MOST_AT_ONCE", 2)
    truly, asked = world.reads, []
    names = [f"pv{number}.pdf" for number in range(5)]
    for name in names:
        world.put(ALICE, name, document([f"Tarifs de la cantine, {name}"]))
    world.settle()
    database = world.communes.metadata(ALICE.collectivite_id)

    def reads(data: bytes) -> str:
        asked.append(data)
        return truly(data) + " piscine"

    world.reads = reads
    world.restart()
    database.write(whole.ask)
    while world.indexer.step(ALICE.collectivite_id) and len(asked) < 3:
        assert world.names(ALICE, "cantine") == names
    database.write(whole.ask)  # once more, and cut in the middle
    world.restart()
    world.settle()
    with database.reading() as reading:
        assert whole.way(reading) is None
    assert len(asked) == 5 and world.names(ALICE, "cantine piscine") == names


def test_what_is_made_anew_loses_no_word_while_the_scanner_is_away(world: World) -> None:
    reads, asked = world.reads, []
    world.put(ALICE, "a.pdf", document(["Tarifs de la cantine"]))
    world.settle()

    def away(data: bytes) -> str:
        asked.append(data)
        raise Unavailable("The scanner of files")

    world.reads = away
    world.restart()
    world.put(ALICE, "b.pdf", document(["Menus de la cantine"]))
    world.settle()
    database = world.communes.metadata(ALICE.collectivite_id)
    database.write(whole.ask)
    world.settle()
    assert world.names(ALICE, "cantine") == ["a.pdf"] and len(asked) == 1
    assert world.indexer._late.wait_s() is not None, "it is looked at again in a minute"
    world.reads = reads
    world.restart()
    world.settle()
    assert world.names(ALICE, "cantine") == ["a.pdf", "b.pdf"]
