"""What an export of a collectivité reads of the Coffre, on each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from beffroi.drive import whole
from beffroi.drive.store import findings, schema, tags, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import EMPTY, Act, Content, Node
from beffroi.drive.whole import Left, Place

from tests.fixtures_drive_store import home, metadata, opens, scratch_url

__all__ = ["home", "metadata", "opens", "scratch_url"]
ACT = Act("per_a", "", 1_780_000_000)


def made(database: Database, above: Node, name: str, *, is_folder: bool = False, sha256: str = "") -> Node:
    if is_folder:
        return database.write(lambda writing: tree.make_folder(writing, ACT, above.id, name))
    content = Content(0, EMPTY.sha1, sha256 or EMPTY.sha256, EMPTY.manifest)
    return database.write(lambda writing: tree.put(writing, ACT, above.id, name, content))[0]


def seen(database: Database, root: Place) -> Iterator[str]:
    for place, one in whole.walk(database, root):
        above = "/".join((*place.way, ""))
        yield f"{above}-{one.files}" if isinstance(one, Left) else f"{above}{one.name}"


def test_each_list_is_read(metadata: Database) -> None:
    for name in whole.LISTS:
        assert list(whole.listed(metadata, name)) == []


def test_what_is_personal_is_counted_in_ones_own_folder_and_nothing_is_in_the_collectivites(
    metadata: Database, home: Node
) -> None:
    common = metadata.write(lambda writing: tree.make_root(writing, schema.COMMON, now_s=ACT.now_s))
    for root in (home, common):
        folder = made(metadata, root, "Privé", is_folder=True)
        made(metadata, made(metadata, folder, "Plus bas", is_folder=True), "a.txt")
        made(metadata, made(metadata, root, "Projets", is_folder=True), "b.txt")
        made(metadata, root, "Mon CV perso.pdf")
    marked = made(metadata, home, "c.txt")
    tag = metadata.write(lambda writing: tags.make(writing, ACT, "Personnel", visible=True, assignable=True))
    metadata.write(lambda w: w.run("INSERT INTO tagged (node, tag) VALUES (?, ?)", (marked.id, tag.id)))
    ours, theirs = whole.roots(metadata)
    assert (ours.person_id, theirs.person_id) == ("", home.name.removeprefix(schema.HOME))
    assert sorted(seen(metadata, theirs)) == ["-1", "-1", "-1", "Projets", "Projets/b.txt"]
    assert sorted(seen(metadata, ours)) == [
        *("Mon CV perso.pdf", "Privé", "Privé/Plus bas", "Privé/Plus bas/a.txt", "Projets", "Projets/b.txt")
    ]
    assert whole.labels(metadata) == {marked.id: ["Personnel"]}


def test_a_folder_longer_than_a_page_is_seen_whole_and_once(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "PAGE", 3)
    names = [f"{number:02d}.txt" for number in range(10)]
    for name in names:
        made(metadata, home, name)
    (root,) = whole.roots(metadata)
    assert list(seen(metadata, root)) == names


def test_what_is_held_is_told_and_free_again(metadata: Database, home: Node) -> None:
    bad = made(metadata, home, "virus.exe", sha256="ab" * 32)
    assert whole.held(metadata, bad.sha256) == ""
    found = findings.Result(bad.sha256, "1", {findings.VIRUS: ["Eicar"]}, is_whole=True)
    metadata.write(lambda writing: findings.keep(writing, [found], now_s=ACT.now_s))
    assert whole.held(metadata, bad.sha256) == "found"
