"""The publisher after a restored backup, a lost file or a fork: whom it believes, and what an epoch costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.stream.feedlog import parse_since
from beffroi.stream.store import NewBatch, Store

from tests.fixtures_publisher import TABLES, Bench, Door, bench, steps

__all__ = ["bench"]


def test_database_restored_from_a_backup_begins_a_new_epoch(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        saved = {t: bench.database.execute(f"SELECT * FROM {t}") for t in TABLES}
        door = Door("box")
        door.connect(publisher, bench.hub)
        bench.publish("decision:activated", 2)
        await steps(publisher)
        await door.read()
        assert {e.id for e in door.session.tables["box"]} == {"dec_ipall1", "dec_ipall2"}
        for name, rows in saved.items():
            bench.database.execute(f"DELETE FROM {name}")
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                values = [[json.dumps(v) if isinstance(v, dict) else v for v in row] for row in rows]
                bench.database.executemany(f"INSERT INTO {name} VALUES ({marks})", values)
        publisher = await bench.restart()
        assert publisher.feed.epoch == 2
        door.connect(publisher, bench.hub)
        await door.read()
        assert door.refused == []
        table = door.session.tables["box"]
        assert (table.epoch, {e.id for e in table}) == (2, {"dec_ipall1"})
        bench.publish("decision:activated", 3)
        await steps(publisher)
        await door.read()
        assert {e.id for e in door.session.tables["box"]} == {"dec_ipall1", "dec_ipall3"}

    asyncio.run(play())


def test_lost_snapshot_file_costs_an_epoch_and_no_decision(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        bench.database.execute("DELETE FROM feed_batch")
        publisher = await bench.restart()
        assert publisher.feed.epoch == 2
        assert set(publisher.feed.logs["box"].channel.entries) == {"dec_ipall1"}
        # the new epoch stands on its saved snapshot: the next start finds it whole
        publisher = await bench.restart()
        assert publisher.feed.epoch == 2
        assert set(publisher.feed.logs["box"].channel.entries) == {"dec_ipall1"}

    asyncio.run(play())


def test_damaged_snapshot_file_is_noticed(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        await publisher.raise_epoch()
        for path in (bench.config.state / "feed").glob("*.zlib"):
            path.write_bytes(path.read_bytes()[:-3] + b"xxx")
        publisher = await bench.restart()
        assert publisher.feed.epoch == 3
        assert set(publisher.feed.logs["box"].channel.entries) == {"dec_ipall1"}

    asyncio.run(play())


def test_door_of_the_centre_that_knows_more_is_believed_once_an_hour(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        assert not publisher.feed.is_ahead(parse_since("box:1:1:abc"))
        assert publisher.feed.is_ahead(parse_since("box:1:2:abc"))
        assert publisher.feed.is_ahead(parse_since("box:2:0:"))
        assert await publisher.claim("door:mailgate", parse_since("mail:1:7:abc"), trusted=True)
        assert publisher.feed.epoch == 2
        assert not await publisher.claim("door:mailgate", parse_since("mail:7:7:abc"), trusted=True)

    asyncio.run(play())


def add_box(bench: Bench, number: int, collectivite_id: str) -> None:
    from beffroi.boxes.models import Box

    box_id = f"box_{number:026d}"
    Box.objects.create(
        id=box_id,
        collectivite_id=collectivite_id,
        serial=str(number),
        public_key=f"key{number}",
        fingerprint=f"print{number}",
        state="active",
    )


def test_one_lying_box_moves_nothing_two_communes_do_and_no_epoch_is_used_up(bench: Bench) -> None:
    for number, owner in enumerate(("col_a", "col_a", "col_b", "col_c")):
        add_box(bench, number, owner)
    lie, truth = parse_since("box:900000000:9:abc"), parse_since("box:3:9:abc")

    async def play() -> None:
        publisher = await bench.restart()
        for _ in range(5):
            assert not await publisher.claim("col_a", lie, trusted=False)
        assert publisher.feed.epoch == 1
        assert await publisher.claim("col_b", truth, trusted=False)
        assert publisher.feed.epoch == 4  # above what both have seen, not above the lie

    asyncio.run(play())


def test_the_only_commune_with_a_box_is_believed(bench: Bench) -> None:
    add_box(bench, 1, "col_a")

    async def play() -> None:
        publisher = await bench.restart()
        assert await publisher.claim("col_a", parse_since("box:1:9:abc"), trusted=False)

    asyncio.run(play())


def test_fork_at_the_same_version_is_healed_by_a_snapshot_without_a_new_epoch(bench: Bench) -> None:
    """A restore that took STATE/feed along, then as many decisions as were lost."""

    async def play() -> None:
        publisher = await bench.restart()
        door = Door("box")
        door.connect(publisher, bench.hub)
        bench.publish("decision:activated", 1)
        await steps(publisher)
        await door.read()
        bench.clear()
        bench.publish("decision:activated", 2)
        publisher = await bench.restart()
        await steps(publisher)
        table = door.session.tables["box"]
        assert (table.epoch, table.version) == (1, publisher.feed.log("box").channel.version)
        publisher.answer(parse_since("box:0:0:"))  # one snapshot is kept, no later than the door's last line
        since = parse_since(door.session.since())
        assert not publisher.feed.is_ahead(since)
        with clock.shifted(2):  # times in lines have whole seconds
            door.connect(publisher, bench.hub)
            await door.read()
        assert door.refused == []
        assert (table.epoch, {e.id for e in table}) == (1, {"dec_ipall2"})

    asyncio.run(play())


def test_a_commit_that_stood_though_its_answer_was_lost_is_found_and_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is cut off between its commit and the word of it."""

    async def play() -> None:
        publisher, door = await bench.restart(), Door("box")
        bench.publish("decision:activated", 1)
        await steps(publisher)
        door.connect(publisher, bench.hub)
        bench.publish("decision:activated", 2)
        commit = Store.commit

        def cut(store: Store, batches: Sequence[NewBatch], position: int) -> None:
            commit(store, batches, position)
            raise Unavailable("The database")

        with monkeypatch.context() as broken:
            broken.setattr(Store, "commit", cut)
            with pytest.raises(Unavailable):
                await publisher.step()
        bench.publish("decision:activated", 3)
        await steps(publisher)
        await door.read()
        door.connect(publisher, bench.hub)
        await door.read()
        assert [e.id for e in door.session.tables["box"]] == ["dec_ipall1", "dec_ipall2", "dec_ipall3"]
        assert (publisher.feed.epoch, door.refused) == (1, [])

        def refuse(*_: object) -> None:
            raise Unavailable("The database")

        with monkeypatch.context() as broken:
            broken.setattr(Store, "commit", refuse)
            bench.publish("decision:activated", 4)
            with pytest.raises(Unavailable):
                await publisher.step()
        await steps(publisher)
        await door.read()
        assert len(list(door.session.tables["box"])) == 4, "where nothing stood nobody is cut"

    asyncio.run(play())
