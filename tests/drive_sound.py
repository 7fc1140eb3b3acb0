"""Files of every kind in a place, under which keys they are sealed, and whether all of them are sound."""

from __future__ import annotations

import asyncio

from beffroi.drive.store import tree, uploads
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.model import Node
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.scrub import Scrub
from beffroi.drive.store.stock import Stock

from tests.drive_place import LARGE, Place
from tests.drive_trees import require_whole
from tests.fixtures_drive import noise


def keys(place: Place) -> Keys:
    return Keys(place.config, place.owner)


def numbers(place: Place) -> list[int]:
    return [one.number for one in keys(place).generations()]


def stock(place: Place) -> Stock:
    return Stock(place.owner, keys(place), open_objects(place.config))


def sealed_by(place: Place) -> set[int]:
    with place.database.reading() as reading:
        rows = reading.all("SELECT id, sealed FROM chunk")
    found = stock(place)
    return {found.generation(bytes(row[0]), row[1]) for row in rows}


def body(place: Place, one: Node) -> bytes:
    async def read() -> bytes:
        pieces = place.bodies(place.owner).read(one, 0, one.size_bytes)
        return b"".join([piece async for piece in pieces])

    return asyncio.run(read())


def filled(place: Place) -> dict[str, tuple[Node, bytes]]:
    """Small and large files, with versions; some in the trash, a part of an upload."""
    out = {}
    for name, size in (("petit", 100), ("moyen", 60_000), ("grand", LARGE), ("très grand", 4_000_000)):
        place.put(name, noise(size, b"before " + name.encode()))
        data = noise(size, name.encode())
        out[name] = (place.put(name, data), data)
    place.database.write(lambda w: tree.delete(w, place.act(), out["moyen"][0].id))
    part = place.taken(noise(LARGE, b"part"))
    place.database.write(lambda w: uploads.begin(w, place.act(), "u1"))
    place.database.write(lambda w: uploads.put_part(w, place.act(), "u1", 1, part))
    return out


def require_sound(place: Place, files: dict[str, tuple[Node, bytes]]) -> None:
    for one, data in files.values():
        assert body(place, one) == data
    scrub = Scrub(place.owner, place.database, stock(place))
    assert scrub.light().damages == scrub.deep(most=10_000).damages == ()
    with place.database.reading() as reading:
        require_whole(reading)
