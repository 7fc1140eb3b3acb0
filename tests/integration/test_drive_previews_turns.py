"""Who asks for many previews that take long keeps no other town hall from its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from beffroi.drive.web.given import Body
from beffroi.drive.web.making import MOST_OF_ONE, Maker, TooManyWait
from beffroi.lib import ids
from beffroi.previews import wire
from beffroi.previews.wire import Preview

from tests.fixtures_drive import new_config
from tests.integration.test_drive_upkeep import Place, placed


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(new_config(tmp_path / "state")) as one:
        yield one


class Slow:
    """Speaks as the process previews does; each document takes until it is let go. ``asked``: in their order."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.go = asyncio.Semaphore(0)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            _, size = wire.asked(await reader.readline())
            self.asked.append(await reader.readexactly(size))
            await self.go.acquire()
            writer.write(wire.answer(Preview(b"", (b"picture",))))
            await writer.drain()


def test_turns_go_round_the_town_halls_and_nobody_holds_all_places(place: Place, tmp_path: Path) -> None:
    other = Place(place.config, place.communes, place.bodies, place.work, ids.new_id("col"))

    async def use() -> tuple[list[bytes], int]:
        slow, path = Slow(), tmp_path / "previews.sock"
        async with await asyncio.start_unix_server(slow, path):
            maker = Maker(path)

            def ask(whose: Place, data: bytes) -> asyncio.Task[Preview]:
                body = Body.of(files[data])
                return asyncio.create_task(maker.preview(whose.owner, whose.bodies(whose.owner), body))

            theirs = [ask(place, data) for data in many]
            await asyncio.sleep(0)
            mine = ask(other, b"mine")
            waiting = [one for one in (*theirs, mine) if not one.done()]
            for _ in waiting:
                slow.go.release()
            done = await asyncio.gather(*theirs, mine, return_exceptions=True)
            return slow.asked, sum(isinstance(one, TooManyWait) for one in done)

    many = [b"theirs %d" % number for number in range(MOST_OF_ONE + 3)]
    files = {data: place.put(f"{data.decode()}.pdf", data) for data in many}
    files[b"mine"] = other.put("mine.pdf", b"mine")
    asked, refused = asyncio.run(use())
    assert refused == 3
    assert asked == [many[0], b"mine", *many[1:MOST_OF_ONE]]
