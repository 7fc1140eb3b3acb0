"""MKCOL, DELETE, COPY and MOVE."""

from __future__ import annotations

import asyncio

from beffroi.drive import carrying
from beffroi.drive.store import tree
from beffroi.drive.store.model import Node
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import SHARED_NAME
from beffroi.drive.web.dav import across, mounted, walk
from beffroi.drive.web.dav.call import ON_FOLDERS, Call, Exists, MethodRefused, SamePlace, existing
from beffroi.drive.web.dav.content import announced_mtime_s
from beffroi.drive.web.messages import Answer
from beffroi.lib.errors import BeffroiError, Invalid


class BodyUnknown(BeffroiError):
    """A body of this kind means nothing here."""

    code = "drive.body_unknown"
    http_status = 415


async def mkcol(call: Call) -> Answer:
    async for _ in call.request.chunks():
        raise BodyUnknown
    mtime_s, path = announced_mtime_s(call.request), call.target.path

    def refuse_taken(reading: Reading) -> None:
        there = call.view.find(reading, path)
        if there is not None:
            raise MethodRefused(*ON_FOLDERS, *(() if there.node.is_folder else ("PUT",)))

    with call.view.database.reading() as reading:
        refuse_taken(reading)  # some clients make the folder of each file they send: that waits for no disk

    def change(writing: Writing) -> Node:
        refuse_taken(writing)
        parent = call.parent(writing, path)
        call.free(path)
        call.check(writing, None)
        return tree.make_folder(writing, call.act, parent.node.id, path[-1], mtime_s=mtime_s)

    return Answer(201, call.written(await call.view.database.write_async(change, is_quick=True)))


async def delete(call: Call) -> Answer:
    is_deep = call.depth("infinity") == "infinity"
    if mounted.names_mount(call.target.path):
        return await mounted.leave(call)

    def change(writing: Writing) -> None:
        place = call.movable(writing, call.target.path)
        if place.node.is_folder and not is_deep:  # of a file it says nothing (RFC 4918, section 9.6.1)
            raise Invalid("Depth")
        call.check(writing, place)
        tree.delete(writing, call.act, place.node.id)

    await call.view.database.write_async(change)
    return Answer(204)


async def move(call: Call) -> Answer:
    if call.depth("infinity") != "infinity":
        raise Invalid("Depth")
    return await _carry(call, is_copy=False)


async def copy(call: Call) -> Answer:
    if call.depth("infinity") == "1":
        raise Invalid("Depth")
    return await _carry(call, is_copy=True)


async def _carry(call: Call, *, is_copy: bool) -> Answer:
    source, path = call.target.path, call.destination().path
    overwrite, is_deep = call.overwrites(), call.depth("infinity") == "infinity"
    if is_copy and is_deep and source == (SHARED_NAME,):
        raise walk.TooMuchBelow  # what it shows lies elsewhere: the copy would be empty
    if mounted.names_mount(source) and not is_copy:
        return await mounted.rename(call, path)
    there = await asyncio.to_thread(call.towards, call, call.destination())
    if there.view.share_id != call.view.share_id:
        return await across.carry(call, there, is_copy=is_copy, is_deep=is_deep)

    def change(writing: Writing) -> tuple[Node, bool]:
        place = existing(call.view.find(writing, source)) if is_copy else call.movable(writing, source)
        call.check(writing, place)
        if source == path:
            raise SamePlace
        parent = call.parent(writing, path)
        if call.view.find(writing, path) is not None and not overwrite:
            raise Exists
        call.free(path)
        if is_copy:
            return tree.copy(
                writing, call.act, place.node.id, parent.node.id, path[-1], overwrite=overwrite, deep=is_deep
            )
        return carrying.move(writing, call.act, place, parent, path[-1], overwrite=overwrite)

    node, is_new = await call.view.database.write_async(change)
    return Answer(201 if is_new else 204, call.copied(node))
