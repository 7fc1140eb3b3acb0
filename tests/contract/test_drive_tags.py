"""Tags of a collectivité on both databases: its list, who changes it, and what is on a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import pytest
from beffroi.drive.store import tags, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.writing import Reading, Row
from beffroi.drive.who import Role, Who

from tests.drive_trees import ME, put

pytest_plugins = ["tests.fixtures_drive_store"]


def who(person_id: str, role: Role = "agent") -> Who:
    return Who(person_id, "mem", "col_test", role, person_id, person_id, "app_1")


AGENT, OTHER, REFERENT, ELU = (
    who("per_me"),
    who("per_other"),
    who("per_ref", "referent"),
    who("per_elu", "elu"),
)


def made(metadata: Database, name: str, *, visible: bool = True, assignable: bool = True) -> tags.Tag:
    return metadata.write(lambda w: tags.make(w, ME, name, visible=visible, assignable=assignable))


def seen(metadata: Database, person: Who) -> list[str]:
    with metadata.reading() as reading:
        return [one.name for one in tags.seen(reading, person)]


def test_a_hidden_tag_is_its_makers_and_the_referents(metadata: Database, home: Node) -> None:
    urgent, hidden = made(metadata, "Urgent"), made(metadata, "à trier", visible=False, assignable=False)
    assert seen(metadata, AGENT) == seen(metadata, REFERENT) == ["à trier", "Urgent"]
    assert seen(metadata, OTHER) == seen(metadata, ELU) == ["Urgent"]
    for person in (OTHER, ELU):
        for refused in (
            lambda w, p=person: tags.assign(w, p, home.id, hidden.id),
            lambda w, p=person: tags.remove(w, p, hidden.id),
            lambda w, p=person: tags.change(w, p, hidden._replace(is_visible=1)),
        ):
            with pytest.raises(tags.AbsentTag):
                metadata.write(refused)
        with pytest.raises(tags.TagRefused):
            metadata.write(lambda w, p=person: tags.remove(w, p, urgent.id))
        with pytest.raises(tags.TagRefused):
            metadata.write(lambda w, p=person: tags.change(w, p, urgent._replace(name="x")))
    metadata.write(lambda w: tags.change(w, REFERENT, hidden._replace(is_visible=1)))
    assert seen(metadata, OTHER) == ["à trier", "Urgent"]
    with pytest.raises(tags.TagRefused):
        metadata.write(lambda w: tags.assign(w, OTHER, home.id, hidden.id))
    metadata.write(lambda w: tags.assign(w, REFERENT, home.id, hidden.id))


def test_a_name_is_one_tag_whatever_its_capitals(metadata: Database) -> None:
    urgent, other = made(metadata, "Urgent"), made(metadata, "Signé")
    for taken in ("Urgent", "URGENT", "signé"):
        with pytest.raises(tags.TagTaken):
            made(metadata, taken)
    with pytest.raises(tags.TagTaken):
        metadata.write(lambda w: tags.change(w, AGENT, other._replace(name="urgent")))
    for refused in ("", " a", "a\x00", "a\n", "x" * 65):
        with pytest.raises(tags.TagNameRefused):
            made(metadata, refused)
    # Of capitals alone, or of more signs: a new name is a name.
    street = made(metadata, "Rue des Fossés ss")
    for refused in ("Rue des Fossés ß ", "Rue des Fossés ſs\n", " Rue des Fossés ß"):
        with pytest.raises(tags.TagNameRefused):
            metadata.write(lambda w, n=refused: tags.change(w, AGENT, street._replace(name=n)))
    long = made(metadata, "ß" * 33)
    with pytest.raises(tags.TagNameRefused):
        metadata.write(lambda w: tags.change(w, AGENT, long._replace(name="s" * 66)))
    metadata.write(lambda w: tags.change(w, AGENT, long._replace(is_visible=0)))
    metadata.write(lambda w: tags.remove(w, AGENT, long.id))
    metadata.write(lambda w: tags.remove(w, AGENT, street.id))
    metadata.write(lambda w: tags.change(w, AGENT, urgent._replace(name="urgent")))
    assert seen(metadata, ELU) == ["Signé", "urgent"]


def test_files_have_tags_and_are_found_by_all_of_several(metadata: Database, home: Node) -> None:
    one, two = made(metadata, "un"), made(metadata, "deux")
    a, b = put(metadata, home.id, "a", b"a"), put(metadata, home.id, "b", b"b")
    etag = a.etag
    for node, tag in ((a, one), (a, two), (b, one)):
        metadata.write(lambda w, n=node, t=tag: tags.assign(w, OTHER, n.id, t.id))
    with pytest.raises(tags.TagTaken):
        metadata.write(lambda w: tags.assign(w, AGENT, a.id, one.id))
    with metadata.reading() as reading:
        found = tags.by_node(reading, ELU, [a.id, b.id, home.id])
        assert {key: [tag.name for tag in some] for key, some in found.items()} == {
            a.id: ["deux", "un"],
            b.id: ["un"],
        }
        assert tags.with_all(reading, ELU, [one.id]) == {a.id, b.id}
        assert tags.with_all(reading, ELU, [one.id, two.id]) == {a.id}
        with pytest.raises(tags.AbsentTag):
            tags.with_all(reading, ELU, [one.id, 999_999])
        assert reading.one("SELECT etag FROM node WHERE id = ?", (a.id,)) == (etag,), "nobody fetches it anew"
    metadata.write(lambda w: tags.unassign(w, AGENT, a.id, two.id))
    with pytest.raises(tags.AbsentTag):
        metadata.write(lambda w: tags.unassign(w, AGENT, a.id, two.id))
    metadata.write(lambda w: tags.remove(w, AGENT, one.id))
    with metadata.reading() as reading:
        assert reading.one("SELECT COUNT(*) FROM tagged") == (0,)
        assert tags.by_node(reading, AGENT, [a.id]) == {}


def test_what_is_destroyed_leaves_no_tag_behind(metadata: Database, home: Node) -> None:
    word, node = made(metadata, "un"), put(metadata, home.id, "a", b"a")
    metadata.write(lambda w: tags.assign(w, AGENT, node.id, word.id))
    metadata.write(lambda w: tree.delete(w, ME, node.id))
    with metadata.reading() as reading:
        assert tags.with_all(reading, AGENT, [word.id]) == {node.id}, "it has it when it comes back"
    metadata.write(lambda w: trash.empty(w, ME, home.id))
    trash.destroy_all(metadata, ME)
    with metadata.reading() as reading:
        assert tags.with_all(reading, AGENT, [word.id]) == frozenset()


def test_there_is_an_end_to_them(metadata: Database, home: Node) -> None:
    first = made(metadata, "0")
    rows = [(10**6 + n, f"t{n}", f"t{n}", 1, 1, "per_me", 0) for n in range(tags.MOST_TAGS - 1)]
    metadata.write(lambda w: w.many("INSERT INTO tag VALUES (?, ?, ?, ?, ?, ?, ?)", rows))
    with pytest.raises(tags.TooManyTags):
        made(metadata, "one more")
    metadata.write(
        lambda w: w.many(
            "INSERT INTO tagged (node, tag) VALUES (?, ?)",
            [(home.id, row[0]) for row in rows[: tags.MOST_OF_A_FILE]],
        )
    )
    with pytest.raises(tags.TooManyTags):
        metadata.write(lambda w: tags.assign(w, AGENT, home.id, first.id))


def test_nothing_is_looked_up_for_listings_that_ask_for_no_tags(metadata: Database, home: Node) -> None:
    asked: list[str] = []

    class Watched:
        def __init__(self, on: Reading) -> None:
            self.one = on.one
            self._all = on.all

        def all(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[Row]:
            asked.append(sql)
            return self._all(sql, parameters)

    urbanisme = made(metadata, "urbanisme")
    metadata.write(lambda w: tags.assign(w, AGENT, home.id, urbanisme.id))
    with metadata.reading() as reading:
        watched = Watched(reading)
        assert tags.by_node(watched, AGENT, ()) == {}
        assert asked == []
        assert tags.by_node(watched, AGENT, [home.id]) == {home.id: [urbanisme]}
        assert len(asked) == 2


def test_what_has_a_tag_comes_in_parts_the_newest_first(metadata: Database, home: Node) -> None:
    urgent, other = made(metadata, "Urgent"), made(metadata, "autre")
    ids = [put(metadata, home.id, name, b"a").id for name in "abcd"]
    for node_id in (ids[2], ids[0], ids[3]):
        metadata.write(lambda w, n=node_id: tags.assign(w, AGENT, n, urgent.id))
    metadata.write(lambda w: tags.assign(w, AGENT, ids[1], other.id))
    with metadata.reading() as reading:
        assert tags.newest(reading, ELU, urgent.id, before=1 << 62, most=2) == [ids[3], ids[2]]
        assert tags.newest(reading, ELU, urgent.id, before=ids[2], most=2) == [ids[0]]
        assert tags.newest(reading, ELU, urgent.id, before=ids[0], most=2) == []
        with pytest.raises(tags.AbsentTag):
            tags.newest(reading, ELU, 999_999, before=1 << 62, most=2)
