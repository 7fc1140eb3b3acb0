"""Who asks for many previews that take long keeps no other town hall from its own, nor its guests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from beffroi.drive.store.model import Node
from beffroi.drive.web import making
from beffroi.drive.web.given import Body
from beffroi.drive.web.making import (
    MOST_GUESTS,
    MOST_GUESTS_OF_ONE,
    MOST_OF_ONE,
    MOST_PHOTOS_OF_ONE,
    Maker,
    TooManyWait,
)
from beffroi.lib import clock, ids
from beffroi.previews import wire
from beffroi.previews.wire import NotShown, Preview

from tests.drive_place import Place, place

__all__ = ["place"]


PICTURE = b"picture"


class Slow:
    """Speaks as the process previews does; each document takes until it is let go. ``asked``: in their order."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.go = asyncio.Semaphore(0)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            asked = wire.asked(await reader.readline())
            self.asked.append(await reader.readexactly(asked.size_bytes))
            await self.go.acquire()
            writer.write(wire.answer(Preview(b"", (PICTURE,))))
            await writer.drain()


class Queue:
    """What was asked of a maker in front of ``Slow``, in order."""

    def __init__(self, socket: Path, slow: Slow) -> None:
        self.slow = slow
        self._maker, self._tasks = Maker(socket), list[asyncio.Task[Preview]]()

    async def ask(self, whose: Place, file: Node, *, is_guest: bool = False, edge_px: int = 0) -> None:
        made = self._maker.preview(
            whose.owner, whose.bodies(whose.owner), Body.of(file), is_guest=is_guest, edge_px=edge_px
        )
        self._tasks.append(asyncio.create_task(made))
        await asyncio.sleep(0)

    async def answered(self) -> None:
        """All that is under way is let go."""
        for _ in self._tasks:
            self.slow.go.release()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def end(self) -> int:
        """How many were refused."""
        for _ in self._tasks:
            self.slow.go.release()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(one, Preview | TooManyWait) for one in done)
        return sum(isinstance(one, TooManyWait) for one in done)


def run(socket: Path, use: Callable[[Queue], Awaitable[None]]) -> tuple[list[bytes], int]:
    """(what was made, in order; how many were refused)."""

    async def served() -> tuple[list[bytes], int]:
        slow = Slow()
        async with await asyncio.start_unix_server(slow, socket):
            queue = Queue(socket, slow)
            await use(queue)
            return slow.asked, await queue.end()

    return asyncio.run(served())


def town_halls(place: Place, number: int) -> list[Place]:
    return [
        Place(place.config, place.communes, place.bodies, place.work, ids.new_id("col"))
        for _ in range(number)
    ]


def test_turns_go_round_the_town_halls_and_nobody_holds_all_places(place: Place, tmp_path: Path) -> None:
    (other,) = town_halls(place, 1)
    many = [b"theirs %d" % number for number in range(MOST_OF_ONE + 3)]
    theirs = [place.put(f"{data.decode()}.pdf", data) for data in many]
    mine = other.put("mine.pdf", b"mine")

    async def use(queue: Queue) -> None:
        for one in theirs:
            await queue.ask(place, one)
        await queue.ask(other, mine)

    assert run(tmp_path / "previews.sock", use) == ([many[0], b"mine", *many[1:MOST_OF_ONE]], 3)


def test_guests_of_one_town_hall_keep_those_of_no_other_waiting_and_no_colleague_for_long(
    place: Place, tmp_path: Path
) -> None:
    """Guests together have one turn in each round, and among them the town halls take turns."""
    second, third, fourth = town_halls(place, 3)
    many = [b"guest %d" % number for number in range(MOST_GUESTS_OF_ONE + 3)]
    asked = [place.put(f"{data.decode()}.pdf", data) for data in many]
    others = [(one, one.put("a.pdf", data)) for one, data in ((second, b"second"), (third, b"third"))]
    own = [fourth.put(f"{number}.pdf", b"own %d" % number) for number in range(3)]

    async def use(queue: Queue) -> None:
        for one in asked:
            await queue.ask(place, one, is_guest=True)
        for whose, one in others:
            await queue.ask(whose, one, is_guest=True)
        for one in own:
            await queue.ask(fourth, one)

    made, refused = run(tmp_path / "previews.sock", use)
    assert refused == 3
    assert made == [many[0], b"own 0", b"second", b"own 1", b"third", b"own 2", many[1]]


def test_guests_of_all_town_halls_have_a_bound_and_take_no_place_of_a_colleague(
    place: Place, tmp_path: Path
) -> None:
    halls = town_halls(place, MOST_GUESTS + 2)
    files = [one.put("a.pdf", b"x") for one in halls]
    own = place.put("own.pdf", b"own")

    async def use(queue: Queue) -> None:
        for whose, one in zip(halls, files, strict=True):
            await queue.ask(whose, one, is_guest=True)
        await queue.ask(place, own)

    made, refused = run(tmp_path / "previews.sock", use)
    assert (made[1], len(made), refused) == (b"own", MOST_GUESTS + 1, 2)


def test_a_colleague_does_not_wait_where_guests_do_and_nothing_is_made_twice(
    place: Place, tmp_path: Path
) -> None:
    (other,) = town_halls(place, 1)
    first, same = other.put("a.pdf", b"first"), place.put("b.pdf", b"same")
    last = town_halls(place, 1)[0]
    late = last.put("c.pdf", b"last")

    async def use(queue: Queue) -> None:
        await queue.ask(other, first, is_guest=True)
        await queue.ask(last, late, is_guest=True)
        await queue.ask(place, same, is_guest=True)
        await queue.ask(place, same)
        await queue.ask(place, same, is_guest=True)

    assert run(tmp_path / "previews.sock", use) == ([b"first", b"same", b"last"], 0)


def test_pictures_wait_for_no_document_and_take_no_place_of_one(place: Place, tmp_path: Path) -> None:
    documents = [place.put(f"{number}.pdf", b"document %d" % number) for number in range(MOST_OF_ONE)]
    photos = [place.put(f"{number}.jpg", b"photo %d" % number) for number in range(MOST_PHOTOS_OF_ONE + 1)]

    async def use(queue: Queue) -> None:
        for one in photos:
            await queue.ask(place, one, edge_px=wire.EDGES_PX[0])
        for one in documents:
            await queue.ask(place, one)
        first = [b"document 0", *(b"photo %d" % number for number in range(wire.PHOTOS_AT_ONCE))]
        while len(queue.slow.asked) < len(first):
            await asyncio.sleep(0.01)
        assert sorted(queue.slow.asked) == sorted(first), "all at once"

    made, refused = run(tmp_path / "previews.sock", use)
    assert (len(made), refused) == (MOST_OF_ONE + MOST_PHOTOS_OF_ONE, 1)


def test_a_picture_that_a_guest_and_a_colleague_had_made_at_once_takes_its_room_once(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else room would be taken that nothing lies in, until nothing would be kept any more."""
    monkeypatch.setattr(making, "MOST_KEPT_BYTES", 3 * len(PICTURE))
    files = [place.put(f"{number}.jpg", b"photo %d" % number) for number in range(8)]

    async def use(queue: Queue) -> None:
        for one in files:
            asked = len(queue.slow.asked)
            for is_guest in (True, False):
                await queue.ask(place, one, is_guest=is_guest, edge_px=wire.EDGES_PX[0])
            while len(queue.slow.asked) < asked + 2:
                await asyncio.sleep(0.01)
            await queue.answered()
        await queue.ask(place, files[-1], edge_px=wire.EDGES_PX[0])
        await queue.answered()

    monkeypatch.setattr(wire, "PHOTOS_AT_ONCE", 2)
    made, refused = run(tmp_path / "previews.sock", use)
    assert (len(made), refused) == (16, 0)


@pytest.mark.parametrize("why", ["slow", "unreadable"])
def test_what_was_not_shown_on_a_busy_or_full_machine_is_tried_again_after_a_while(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: wire.Why
) -> None:
    file = place.put("budget.odt", b"budget")
    answers = [b"no %b\n" % why.encode(), wire.answer(Preview(b"", (PICTURE,)))]
    made: list[bytes] = []

    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            made.append(await reader.readline())
            writer.write(answers[len(made) - 1])
            await writer.drain()

    async def looked_at() -> list[str]:
        async with await asyncio.start_unix_server(busy, tmp_path / "previews.sock"):
            maker, seen = Maker(tmp_path / "previews.sock"), list[str]()
            for now_s in (0.0, making.REFUSED_KEPT_S - 1, making.REFUSED_KEPT_S + 1):
                monkeypatch.setattr(clock, "steady_s", lambda now_s=now_s: now_s)
                try:
                    await maker.preview(place.owner, place.bodies(place.owner), Body.of(file))
                    seen.append("shown")
                except NotShown as refused:
                    seen.append(refused.why)
            return seen

    assert asyncio.run(looked_at()) == [why, why, "shown"]
    assert len(made) == 2
