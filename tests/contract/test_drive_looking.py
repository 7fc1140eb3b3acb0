"""A search by the index finds what a walk through all folders finds, on every database, and costs about its answer."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from beffroi.drive.reach import Reach
from beffroi.drive.store import favourites, look, schema, shares, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import NEVER, Wish
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, View
from beffroi.drive.web.sync import basicsearch, looking, unified
from beffroi.drive.web.sync.basicsearch import MODIFIED, Search
from beffroi.drive.who import Who
from beffroi.drive.words import index, indexer, kinds, whole
from beffroi.lib.errors import BeffroiError
from lxml import etree

from tests.drive_trees import ME, NOW_S, OTHER, Counted, at, content, folder, put

pytest_plugins = ["tests.fixtures_drive_store"]
WHO = Who("per_me", "mem_1", "col_test", "agent", "moi", "Moi", "app_1")
NAMES = (
    *(
        "Délibération 2024-06.pdf",
        "IMG_20240612_101112.jpg",
        "plan2B.PNG",
        "Conseil",
        "pvConseil3.odt",
        "film.mp4",
    ),
    *(
        "œuvre.jpg",
        "ŒUVRES 12.png",
        "budget primitif de la voirie et des réseaux divers du bourg.ods",
        "a",
        "été.txt",
    ),
    *("B" * 60 + "conseil.jpg", "voirie", "Photos", "archive.tar.gz", "sans-type", "x" * 41),
)
PIECES = (
    "%cons%",
    "%2024%",
    "%0612%",
    "img%",
    "%.pdf",
    "%œuv%",
    "%oeuv%",
    "%reseaux%divers%",
    "a",
    "%bbbc%",
    "%",
)


def prop(kind: str, name: str, literal: object) -> str:
    return f"<d:{kind}><d:prop>{name}</d:prop><d:literal>{literal}</d:literal></d:{kind}>"


def named(pattern: str) -> str:
    return prop("like", "<d:displayname/>", pattern)


def typed(pattern: str) -> str:
    return prop("like", "<d:getcontenttype/>", pattern)


def modified(kind: str, at_s: int) -> str:
    return prop(kind, "<d:getlastmodified/>", at_s)


def search(where: str, stars: frozenset[tuple[str, int]], *, most: int = 5000, order: str = "") -> Search:
    """``order``: of the time of change, "" for none."""
    element = etree.fromstring(
        f'<d:where xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns">{where}</d:where>', etree.XMLParser()
    )
    call: Any = type("Asking", (), {"who": WHO})
    found = basicsearch._all([basicsearch._condition(one, call, stars) for one in element])
    return Search(
        test=found.test,
        needs=found.needs,
        order=(MODIFIED, order == "descending") if order else None,
        most=most,
        starred=stars,
    )


def follow(metadata: Database, most: int | None = None) -> None:
    """As the follower does, but for contents; ``most``: so many nodes, and then it is late."""
    with metadata.reading() as reading:
        number = index.reached(reading)
    if number is None:
        metadata.write(indexer._begin)
        number = 0
    with metadata.reading() as reading:
        rows = reading.all("SELECT node, number FROM change WHERE number > ? ORDER BY number", (number,))
    if rows:
        metadata.write(lambda writing: index.take(writing, {row[0] for row in rows}, rows[-1][1]))
    while most is None or most > 0:
        with metadata.reading() as reading:
            looked = indexer._due(reading, min(most or 32, 32))
        if not looked:
            return
        fresh = [one.without_content() for one in looked]
        metadata.write(lambda w, looked=looked, fresh=fresh: indexer._keep(w, looked, fresh))
        most = None if most is None else most - len(looked)


class World:
    """A commune of two people, in which things happen at random."""

    def __init__(self, metadata: Database, dice: random.Random) -> None:
        self.metadata, self.dice, self.clock_s = metadata, dice, NOW_S
        self.view = View(metadata, WHO)
        self.home, self.common = metadata.write(self.view.make_roots)
        self.other = metadata.write(lambda w: tree.make_root(w, schema.HOME + "per_other", now_s=NOW_S))

    def nodes(self, *, folders: bool = False) -> list[Node]:
        with self.metadata.reading() as reading:
            roots = [self.home, self.common, self.other]
            below = [one for root in roots for one in look.below(reading, root.id)]
        return [*roots, *(one for one in below if one.is_folder)] if folders else below

    def step(self) -> None:
        self.clock_s += self.dice.randrange(3)
        act, folders, nodes = at(self.clock_s, ME), self.nodes(folders=True), self.nodes()
        into, name = self.dice.choice(folders), self.dice.choice(NAMES)
        one = self.dice.choice(nodes or folders)

        def change(writing: Any) -> object:
            roll = self.dice.randrange(20)
            if roll < 8:
                return tree.put(
                    writing, act, into.id, name, content(name.encode()), mtime_s=self.clock_s - roll
                )
            if roll < 12:
                return tree.make_folder(writing, act, into.id, name)
            if roll < 15:
                return tree.move(writing, act, one.id, into.id, name)
            if roll == 15:
                return tree.delete(writing, act, one.id)
            if roll == 16:
                return tree.set_properties(writing, act, one.id, "", mtime_s=self.clock_s - 5)
            if roll == 17:
                binned = writing.one("SELECT root, node FROM trash ORDER BY node LIMIT 1")
                return binned and trash.restore(writing, act, *binned)
            if roll == 18:
                star = "col_test", one.id
                return favourites.set_star(writing, WHO, star, starred=self.dice.random() < 0.8)
            wish = Wish(
                "person", target="per_me", rights=self.dice.choice(("read", "write")), expires_s=NEVER
            )
            return shares.make(writing, OTHER, one.id, wish)

        try:
            self.metadata.write(change)
        except BeffroiError:
            pass  # a name is taken, a folder would lie in itself

    def where(self) -> str:
        dice, now_s = self.dice, self.clock_s
        simple = [
            named(dice.choice(PIECES)),
            typed(dice.choice(("image/%", "video/%", "%/pdf", "httpd/%", "image/jpeg"))),
            modified(dice.choice(("gt", "gte", "lt", "lte", "eq")), dice.randrange(NOW_S - 10, now_s + 2)),
            prop("eq", "<oc:favorite/>", "yes"),
            "<d:is-collection/>",
            prop("gt", "<oc:size/>", 12),
        ]
        one, two, three = dice.sample(simple, 3)
        return dice.choice(
            (
                *(
                    one,
                    one,
                    f"<d:and>{one}{two}</d:and>",
                    f"<d:or>{one}{two}</d:or>",
                    f"<d:not>{one}</d:not>",
                ),
                f"<d:and>{one}<d:or>{two}{three}</d:or></d:and>",
                f"<d:and><d:or>{typed('image/%')}{typed('video/%')}</d:or>{one}</d:and>",
            )
        )

    def tops(self, reading: Reading) -> list[Place]:
        everything = list(looking.walk(self.view, reading, [self.view.place(reading, ())]))
        inner = [one for one in everything if one.node.is_folder]
        some = self.dice.choice(
            ((), self.dice.sample(inner, min(3, len(inner))), self.dice.choices(inner, k=1))
        )
        return list(some) or [self.view.place(reading, ())]


def plain(one: Place) -> tuple[tuple[str, ...], Node, str, int, str]:
    return one.path, one.node, repr(one.rights), one.etag, one.owner


@pytest.mark.parametrize("seed", (0, 1, 2, 135, 722))  # of the last two a folder came back before its turn
def test_the_index_finds_what_a_walk_finds_however_late_it_is(
    metadata: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(looking, "MOST_WALKED", -1)
    if seed:  # of few entries the walk ends sooner, often
        monkeypatch.setattr(looking._Below, "entries", lambda self: 1_000_000)
    dice = random.Random(seed)
    world, by_index = World(metadata, dice), 0
    for _ in range(30):
        for _ in range(8):
            world.step()
        follow(metadata, dice.choice((None, 0, 3)))
        with metadata.reading() as reading:
            stars = favourites.everywhere(reading, WHO)
            for _ in range(6):
                tops, where = world.tops(reading), world.where()
                wanted = search(where, stars)
                walked = {plain(one) for one in looking.walk(world.view, reading, tops) if wanted.test(one)}
                found = [plain(one) for one in looking.found(world.view, reading, tops, wanted)]
                assert len(found) == len(set(found)) and set(found) == walked, where
                by_index += (
                    looking._indexed(looking._Below(world.view, reading, tops), wanted, False) is not None
                )
                order = dice.choice(("ascending", "descending"))
                few = looking.found(world.view, reading, tops, search(where, stars, most=3, order=order))
                times = sorted((one[1].mtime_s for one in walked), reverse=order == "descending")
                got = sorted((one.node.mtime_s for one in few), reverse=order == "descending")
                assert {plain(one) for one in few} <= walked and got[:3] == times[:3], where
    assert by_index > (60 if seed else 30), "or the walk was compared with itself"


def test_a_search_reads_about_as_many_rows_as_it_tells(metadata: Database, home: Node) -> None:
    def fill(first: int, last: int) -> None:
        inside = folder(metadata, home.id, f"année {first}")

        def change(writing: Any) -> None:
            for number in range(first, last):
                act = at(NOW_S + number)
                ending = "jpg" if number % 5 == 0 else "odt"
                tree.put(writing, act, inside.id, f"Compte rendu {number:05}.{ending}", content(b"1"))

        metadata.write(change)
        follow(metadata)

    put(metadata, home.id, "Arrêté unique.pdf", b"1")
    view, cost = View(metadata, WHO), []
    metadata.write(view.make_roots)
    for first, last in ((0, 700), (700, 4000)):
        fill(first, last)
        with metadata.reading() as reading:
            star = look.below(reading, home.id)
            stars = frozenset({("col_test", next(star).id)})
            counts = []
            for where, order in (
                (named("%unique%"), ""),
                (typed("image/%"), "descending"),
                (f"<d:and>{typed('image/%')}{modified('lt', NOW_S + 400)}</d:and>", "descending"),
                (modified("gt", NOW_S + 20), "descending"),
                (prop("eq", "<oc:favorite/>", 1), ""),
            ):
                counted = Counted(reading)
                wanted = search(where, stars, most=10, order=order)
                found = looking.found(view, counted, [view.place(reading, ())], wanted)
                assert len(found) == (1 if "unique" in where or "favorite" in where else 10)
                counts.append(counted.rows)
            cost.append(counts)
    assert max(cost[0]) < 150 and all(after <= before + 5 for before, after in zip(*cost, strict=True)), cost


def test_names_in_which_a_piece_stands_several_times_hide_no_other(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each there are several rows; of what is destroyed they stay until the follower's next turn."""
    monkeypatch.setattr(looking, "MOST_WALKED", -1)
    monkeypatch.setattr(looking, "MOST_NAMED", 4)
    view = View(metadata, WHO)
    metadata.write(view.make_roots)
    many, one = put(metadata, home.id, "000000000.jpg", b"1"), put(metadata, home.id, "plan 0009.jpg", b"1")
    follow(metadata)

    def found() -> set[int]:
        with metadata.reading() as reading:
            top = view.place(reading, ())
            return {
                each.node.id
                for each in looking.found(view, reading, [top], search(named("%000%"), frozenset()))
            }

    assert found() == {many.id, one.id}
    metadata.write(lambda writing: writing.run("DELETE FROM node WHERE id = ?", (many.id,)))
    assert found() == {one.id}


def test_pages_of_the_search_field_show_each_file_once(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of many that were changed in the same second."""
    monkeypatch.setattr(looking, "MOST_WALKED", -1)
    view = View(metadata, WHO)
    metadata.write(view.make_roots)
    names = [f"pv {number}.pdf" for number in (3, 0, 4, 1, 5, 2)]
    for name in names:
        put(metadata, home.id, name, name.encode())
    follow(metadata)
    seen: list[str] = []
    cursor: int | None = 0
    while cursor is not None:
        request = SimpleNamespace(query=f"term=pv&limit=2&cursor={cursor}")
        call: Any = SimpleNamespace(request=request, view=view, home=None, who=WHO)
        finder: Any = SimpleNamespace(turns=asyncio.Semaphore(1))
        page = asyncio.run(unified.answer(finder, call, f"{unified.API}/files/search", "https://x"))
        seen += [one["title"] for one in page["entries"]]
        cursor = page["cursor"]
    assert sorted(seen) == sorted(names)


def test_what_was_written_last_stays_so_when_its_change_is_forgotten(metadata: Database, home: Node) -> None:
    for name, data in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        put(metadata, home.id, name, data)
    follow(metadata)
    metadata.write(lambda writing: writing.run("DELETE FROM change"))
    metadata.write(whole.ask)
    metadata.write(lambda writing: whole.go_on(writing, 10))
    follow(metadata)
    with metadata.reading() as reading:
        ids = frozenset((home.id,))
        assert [one.name for one in index.recent(reading, Reach(ids, ids), most=5)] == ["a", "b"]


def test_an_index_from_before_is_filled_up_and_the_walk_answers_meanwhile(
    metadata: Database, home: Node
) -> None:
    view = View(metadata, WHO)
    metadata.write(view.make_roots)
    inside = folder(metadata, home.id, "Photos")
    for number in range(5):
        put(metadata, inside.id, f"IMG_2024{number}.jpg", b"1")
    follow(metadata)

    def age(writing: Any) -> None:
        writing.run("UPDATE meta SET value = '1' WHERE name = 'words_whole'")
        writing.run("DELETE FROM node_kind")
        writing.run("DELETE FROM word_name WHERE word < ?", (b"a",))

    metadata.write(age)
    with metadata.reading() as reading:
        assert kinds.behind(reading, 10) is None
        assert (
            len(looking.found(view, reading, [view.place(reading, ())], search(named("%024%"), frozenset())))
            == 5
        )
    for _ in range(5):
        metadata.write(lambda writing: whole.go_on(writing, 4))
        follow(metadata)
    with metadata.reading() as reading:
        assert whole.way(reading) is None and kinds.behind(reading, 10) == []
        assert kinds.all_of(reading, home.id) == ["httpd", "image"]
        assert len(kinds.named(reading, home.id, "024", 10) or ()) == 5
