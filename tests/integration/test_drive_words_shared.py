"""The search by content in what is shared: by colleagues, by another commune; by its key, told to it, no further."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from beffroi.drive.store import keys, received, shares, tree
from beffroi.drive.store.model import AbsentNode, Act, Node
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.views import SHARED_NAME, View
from beffroi.drive.words import wire
from beffroi.lib.errors import Unavailable

from tests.drive_server import PEOPLE, A, B
from tests.integration.test_drive_words import ALICE, AMIR, BRUNO, FILES, NOW_S, World, scanner, world

__all__ = ["scanner", "world"]
ACT = Act(ALICE.person_id, "", NOW_S)


@pytest.fixture
def plans(world: World) -> Iterator[Node]:
    """A folder of alice's with a letter; another letter lies beside it. All is indexed."""
    letter, _ = (
        world.put(ALICE, "lettre.docx", FILES["lettre.docx"]),
        world.put(ALICE, "a.txt", b"cantine a moi"),
    )
    database = world.communes.metadata(A)
    with database.reading() as reading:
        own = View(database, ALICE).roots(reading)[0]
    folder = database.write(lambda w: tree.make_folder(w, ACT, own.id, "Plans"))
    database.write(lambda w: tree.move(w, ACT, letter.id, folder.id, "lettre.docx"))
    world.put(BRUNO, "b.txt", b"cantine de bruno")
    world.settle()
    world.settle(B)
    yield folder


def share(world: World, node: Node, wish: Wish) -> Share:
    made = world.communes.metadata(A).write(lambda w: shares.make(w, ACT, node.id, wish))[0]
    if wish.kind == "collectivite":
        theirs = world.communes.metadata(wish.target)
        theirs.write(lambda w: received.offer(w, made.id, made.label, owner=A, now_s=NOW_S))
    return made


def answer(world: World, made: Share, *, accepted: bool = True) -> None:
    act = Act(BRUNO.person_id, "", NOW_S)
    world.communes.metadata(B).write(lambda w: received.answer(w, act, made.id, accepted=accepted))


def end(world: World, made: Share) -> None:
    world.communes.metadata(A).write(lambda w: shares.end(w, made.id, now_s=NOW_S))


def found(world: World, who: str, words: str = "cantine") -> list[tuple[str, bool]]:
    """(passage, whether it is another commune's)."""
    hits = world.found.find(PEOPLE[who], words).hits
    return sorted((f"{one.before}{one.words}{one.after}".strip(), bool(one.share)) for one in hits)


def test_a_colleague_finds_what_is_shared_and_nothing_beside_it(world: World, plans: Node) -> None:
    assert found(world, "amir") == []
    made = share(world, plans, Wish("person", AMIR.person_id))
    assert found(world, "amir") == [("Les cantines scolaires", False)] and found(world, "elise") == []
    end(world, made)
    assert found(world, "amir") == [] and world.crossed == []


def test_a_file_that_is_shared_alone_is_found(world: World) -> None:
    node = world.put(ALICE, "a.txt", b"cantine a partager")
    world.put(ALICE, "b.txt", b"cantine a moi")
    world.settle()
    share(world, node, Wish("person", AMIR.person_id))
    assert found(world, "amir") == [("cantine a partager", False)]


def test_another_commune_finds_it_after_a_yes_and_its_owner_is_told_once_a_search(
    world: World, plans: Node
) -> None:
    own = ("cantine de bruno", False)
    made = share(world, plans, Wish("collectivite", B))
    assert found(world, "bruno") == [own]
    answer(world, made)
    assert found(world, "bruno") == [("Les cantines scolaires", True), own]
    assert found(world, "bruno", "introuvable") == []
    (told,) = world.crossed
    assert (told.what, told.owner, told.receiver, told.person_id) == ("search", A, B, BRUNO.person_id)
    answer(world, made, accepted=False)
    assert found(world, "bruno") == [own]
    answer(world, made)
    end(world, made)
    assert found(world, "bruno") == [own] and len(world.crossed) == 1


def test_what_cannot_be_told_is_not_shown(world: World, plans: Node) -> None:
    answer(world, share(world, plans, Wish("collectivite", B)))

    def away(_: object) -> None:
        raise AbsentNode("outbox")

    world.found.__dict__["crossed"] = away
    hits = world.found.find(BRUNO, "cantine")
    assert [one.share for one in hits.hits] == [""] and hits.lacks == (A,)


def test_an_owner_whose_metadata_do_not_open_lacks_in_a_search_and_fails_a_sync_client(
    world: World, plans: Node
) -> None:
    answer(world, share(world, plans, Wish("collectivite", B)))
    world.communes._forget(A)
    folder = world.state / "drive" / A
    for one in folder.glob("metadata.db*"):
        one.unlink()
    (folder / "metadata.db").write_bytes(b"no database" * 1000)
    hits = world.found.find(BRUNO, "cantine")
    assert [one.share for one in hits.hits] == [""] and hits.lacks == (A,)
    home = View.of(BRUNO, world.communes.metadata)
    with home.database.reading() as reading:
        for look_up in (
            home.mounts,
            home.visits,
            lambda r: home.find(r, ()),
            lambda r: home.find(r, (SHARED_NAME,)),
        ):
            with pytest.raises(Unavailable):
                look_up(reading)
    page = View.of_page(BRUNO, world.communes.metadata)
    with page.database.reading() as reading:
        assert page.mounts(reading) == page.visits(reading) == [] and page.silent == {A}
        with pytest.raises(Unavailable):
            page.towards(reading, (SHARED_NAME, "Plans"))
        assert page.find(reading, (SHARED_NAME,)) is not None


def test_with_the_owner_s_key_their_words_are_gone_and_the_receiver_s_stay(world: World, plans: Node) -> None:
    answer(world, share(world, plans, Wish("collectivite", B)))
    keys.Keys(world.config, A).erase("usr_x")
    hits = world.found.find(BRUNO, "cantine")
    assert [one.share for one in hits.hits] == [""]
    home = View(world.communes.metadata(B), BRUNO, world.communes.metadata)
    with home.database.reading() as reading:
        assert home.mounts(reading) == [] and home.find(reading, ()) is not None


def test_the_text_of_a_document_is_told_by_its_share_alone(world: World, plans: Node) -> None:
    made = share(world, plans, Wish("collectivite", B))
    answer(world, made)
    database = world.communes.metadata(A)
    with database.reading() as reading:
        row = reading.one("SELECT id FROM node WHERE parent = ?", (plans.id,))
        beside = reading.one("SELECT id FROM node WHERE name = 'a.txt'")
    assert row is not None and beside is not None

    def text(node: int, share_id: str) -> str:
        return asyncio.run(world.found.text(BRUNO, wire.Which(node, 0, share_id))).text.strip()

    assert text(row[0], made.id) == "Les cantines scolaires"
    assert [(one.what, one.node_id) for one in world.crossed] == [("read", row[0])]
    for node, share_id in ((beside[0], made.id), (row[0], "shr_" + "0" * 26)):
        with pytest.raises(AbsentNode):
            text(node, share_id)
    end(world, made)
    with pytest.raises(AbsentNode):
        text(row[0], made.id)
