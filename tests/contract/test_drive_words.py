"""The index of words keeps its promises on every database."""

from __future__ import annotations

import pytest
from beffroi.drive.reach import Reach
from beffroi.drive.store import findings, frozen, schema, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.words import index, terms
from beffroi.drive.words.index import Indexed

from tests.drive_trees import ME, NOW_S, content, folder, put

pytest_plugins = ["tests.fixtures_drive_store"]
KEY = terms.key_of(b"k" * 32)


def keep(database: Database, node: Node, root: Node, text: str) -> None:
    """As the follower does, of a content that it has read."""
    content = f"{node.sha256}.txt"
    one = Indexed(node.id, root.id, node.name, node.etag, content, tuple(terms.terms(text, KEY)))
    database.write(lambda writing: index.replace(writing, node.id, one))


def _reach(roots: tuple[Node, ...]) -> Reach:
    ids = frozenset(one.id for one in roots)
    return Reach(ids, ids)


def named(database: Database, asked: str, *roots: Node, most: int = 50) -> list[str]:
    with database.reading() as reading:
        return [one.name for one in index.named(reading, asked, _reach(roots), most=most)]


def holding(database: Database, asked: str, *roots: Node) -> list[str]:
    numbers = [terms.term(word, KEY) for word in terms.words(asked)]
    with database.reading() as reading:
        return [one.name for one in index.holding(reading, numbers, _reach(roots), most=50)]


def recent(database: Database, *roots: Node, most: int = 50) -> list[str]:
    with database.reading() as reading:
        return [one.name for one in index.recent(reading, _reach(roots), most=most)]


def settled(database: Database) -> None:
    """What changed so far is taken up, and waits for nothing: only the index knows it."""
    with database.reading() as reading:
        last = reading.one("SELECT MAX(number) FROM change")
    assert last is not None
    database.write(lambda writing: index.take(writing, (), last[0] or 0))


def other_home(database: Database) -> Node:
    return database.write(lambda writing: tree.make_root(writing, schema.HOME + "per_b", now_s=NOW_S))


def test_all_words_of_a_question_stand_in_what_is_found(metadata: Database, home: Node) -> None:
    one, two = put(metadata, home.id, "a.txt", b"1"), put(metadata, home.id, "b.txt", b"2")
    keep(metadata, one, home, "budget primitif de la voirie")
    keep(metadata, two, home, "budget annexe de l’eau")
    assert sorted(holding(metadata, "budgets", home)) == ["a.txt", "b.txt"]
    assert holding(metadata, "voiries budget", home) == ["a.txt"]
    assert holding(metadata, "voirie eau", home) == [] and holding(metadata, "de la", home) == []


def test_nothing_below_another_root_is_found(metadata: Database, home: Node) -> None:
    theirs = other_home(metadata)
    one = put(metadata, theirs.id, "secret.txt", b"1")
    keep(metadata, one, theirs, "budget secret")
    settled(metadata)
    for find in (named, holding):
        assert find(metadata, "secret", home) == [] and find(metadata, "secret", theirs) == ["secret.txt"]
    assert recent(metadata, home) == [] and recent(metadata, theirs) == ["secret.txt"]


def test_what_the_index_has_not_seen_is_found_by_name_at_once(metadata: Database, home: Node) -> None:
    put(metadata, home.id, "Délibération 12.odt", b"1")
    assert named(metadata, "deliberation", home) == ["Délibération 12.odt"]
    assert recent(metadata, home) == ["Délibération 12.odt"]


def test_names_are_found_by_the_index_alone_from_inside_and_newest_first(
    metadata: Database, home: Node
) -> None:
    for number, name in enumerate(("Budget 2023.ods", "Vieux budget.ods", "Plan.pdf")):
        node = metadata.write(
            lambda w, name=name, number=number: tree.put(
                w, ME, home.id, name, content(b"%d" % number), mtime_s=1000 + number
            )
        )[0]
        keep(metadata, node, home, "")
    settled(metadata)
    assert named(metadata, "budget", home) == ["Vieux budget.ods", "Budget 2023.ods"]
    assert named(metadata, "udge 2023", home) == ["Budget 2023.ods"]
    assert named(metadata, "100%_", home) == [] and named(metadata, "", home) == []
    assert named(metadata, "budget", home, most=1) == ["Vieux budget.ods"]


def test_a_name_is_found_among_many_that_share_one_of_its_words(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MOST_LOOKED", 3)
    names = (
        "2024-06 photo.jpg",
        "20240612.jpg",
        "photo 2024.jpg",
        "2024 plans",
        "vue 2024.jpg",
        "PV 2024.pdf",
    )
    for name in names:
        keep(metadata, put(metadata, home.id, name, name.encode()), home, "")
    settled(metadata)
    assert named(metadata, "pv 2024", home) == named(metadata, "2024 pv", home) == ["PV 2024.pdf"]
    assert named(metadata, "plan", home) == ["2024 plans"]
    assert "PV 2024.pdf" in named(metadata, "2024", home), "of too many the newest"


def test_a_plural_finds_a_name_in_the_singular(metadata: Database, home: Node) -> None:
    for name in ("Journal.pdf", "Factures", "Planning.ods", "Plan.pdf"):
        keep(metadata, put(metadata, home.id, name, name.encode()), home, "")
    settled(metadata)
    asked = ("journaux", "facture", "plans")
    assert [named(metadata, one, home) for one in asked] == [["Journal.pdf"], ["Factures"], ["Plan.pdf"]]


def test_a_file_that_is_deleted_moved_or_frozen_is_not_found_whatever_the_index_still_says(
    metadata: Database, home: Node
) -> None:
    inside = folder(metadata, home.id, "dossier")
    one = put(metadata, inside.id, "a.txt", b"1")
    keep(metadata, one, home, "budget")
    settled(metadata)
    assert holding(metadata, "budget", home) == ["a.txt"]
    metadata.write(lambda w: frozen.freeze(w, sha256=one.sha256, decision_id="dec_x", now_s=NOW_S))
    assert holding(metadata, "budget", home) == []
    with metadata.reading() as reading:
        assert index.due(reading, 10) == [one.id], "its words leave the index"
    metadata.write(lambda w: frozen.thaw(w, sha256=one.sha256))
    assert holding(metadata, "budget", home) == ["a.txt"]
    virus = findings.Result(one.sha256, "m", {findings.VIRUS: ["x"]}, True)
    metadata.write(lambda w: findings.keep(w, [virus], now_s=NOW_S))
    assert holding(metadata, "budget", home) == [], "nobody reads a passage of what nobody opens"
    metadata.write(lambda w: findings.release(w, one.sha256, person_id="per_a", now_s=NOW_S))
    assert holding(metadata, "budget", home) == ["a.txt"]
    metadata.write(lambda w: tree.delete(w, ME, inside.id))
    assert holding(metadata, "budget", home) == [] and named(metadata, "a", home) == []
    metadata.write(lambda w: trash.restore(w, ME, home.id, inside.id))
    theirs = other_home(metadata)
    metadata.write(lambda w: tree.move(w, ME, inside.id, theirs.id, "dossier"))
    assert holding(metadata, "budget", home) == []


def test_what_stood_in_a_file_before_is_not_found_whatever_the_index_still_says(
    metadata: Database, home: Node
) -> None:
    one = put(metadata, home.id, "a.txt", b"1")
    keep(metadata, one, home, "budget")
    metadata.write(lambda w: tree.move(w, ME, one.id, home.id, "b.odt"))
    assert holding(metadata, "budget", home) == ["b.odt"]
    put(metadata, home.id, "b.odt", b"2")
    assert holding(metadata, "budget", home) == []
    put(metadata, home.id, "b.odt", b"1")
    assert holding(metadata, "budget", home) == ["b.odt"]


def test_what_came_by_a_link_is_found_once_it_was_looked_at(metadata: Database, home: Node) -> None:
    one = put(metadata, home.id, "a.txt", b"1")
    keep(metadata, one, home, "budget")
    settled(metadata)
    row = (one.id, "x", one.sha256)
    metadata.write(lambda w: w.run("INSERT INTO handed (node, handing, sha256) VALUES (?, ?, ?)", row))
    assert holding(metadata, "budget", home) == []
    looked = findings.Result(one.sha256, "m", {}, True)
    metadata.write(lambda w: findings.keep(w, [looked], now_s=NOW_S))
    assert holding(metadata, "budget", home) == ["a.txt"]


def test_an_entry_that_is_replaced_leaves_nothing_behind(metadata: Database, home: Node) -> None:
    one = put(metadata, home.id, "a.txt", b"1")
    keep(metadata, one, home, "budget voirie")
    keep(metadata, one._replace(name="b.txt"), home, "voirie cantine")
    assert holding(metadata, "budget", home) == [] and holding(metadata, "cantine voirie", home) == ["a.txt"]
    metadata.write(lambda writing: index.replace(writing, one.id, None))
    with metadata.reading() as reading:
        for table in ("SELECT 1 FROM word", "SELECT 1 FROM word_name", "SELECT 1 FROM word_file"):
            assert reading.all(table) == []


def test_what_is_written_last_comes_first_from_the_index_and_from_the_journal(
    metadata: Database, home: Node
) -> None:
    nodes = [put(metadata, home.id, name, name.encode()) for name in ("a", "b", "c")]
    for one in nodes:
        keep(metadata, one, home, "")
    settled(metadata)
    assert recent(metadata, home) == ["c", "b", "a"]
    put(metadata, home.id, "a", b"again")
    put(metadata, home.id, "d", b"new")
    assert recent(metadata, home) == ["d", "a", "c", "b"] and recent(metadata, home, most=2) == ["d", "a"]


def test_what_waits_is_taken_a_level_at_a_time_and_unread_documents_wait_again(
    metadata: Database, home: Node
) -> None:
    inside = folder(metadata, home.id, "dossier")
    deep = put(metadata, inside.id, "a.pdf", b"1")
    gone = put(metadata, home.id, "b.pdf", b"2")
    metadata.write(lambda w: tree.delete(w, ME, gone.id))

    def due() -> list[int]:
        with metadata.reading() as reading:
            return index.due(reading, 10)

    metadata.write(index.begin)
    assert due() == [inside.id], "what lies in the trash waits for nothing"
    metadata.write(lambda writing: index.wait_inside(writing, inside.id))
    metadata.write(lambda writing: index.wait(writing, [deep.id]))
    assert due() == sorted((inside.id, deep.id))
    unread = Indexed(deep.id, home.id, "a.pdf", deep.etag, index.UNREAD)
    metadata.write(lambda writing: index.replace(writing, deep.id, unread))
    metadata.write(lambda writing: index.replace(writing, inside.id, None))
    assert due() == []
    assert metadata.write(lambda writing: index.wait_unread(writing, 10)) == 1 and due() == [deep.id]
    sealed = unread._replace(content="x", text_id=b"id", sealed=b"text")
    metadata.write(lambda writing: index.replace(writing, deep.id, sealed))
    metadata.write(lambda writing: index.seal_anew(writing, 2))
    with metadata.reading() as reading:
        assert due() == [deep.id] and index.sealed_by(reading) == 2
