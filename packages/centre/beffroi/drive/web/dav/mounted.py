"""What a person does with a mount itself, which changes nothing of what is shared: another name, or leaving it."""

from __future__ import annotations

from beffroi.drive.store import mounts, names
from beffroi.drive.store.model import AbsentNode, NameTaken, RootFixed
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import SHARED_NAME, Mount
from beffroi.drive.web.dav.call import Call, SamePlace
from beffroi.drive.web.messages import Answer


def names_mount(path: tuple[str, ...]) -> bool:
    """Whether a path is that of a mount, if there is one."""
    return len(path) == 2 and path[0] == SHARED_NAME


async def leave(call: Call) -> Answer:
    """DELETE. Errors: AbsentNode."""

    def change(writing: Writing) -> None:
        left = _mount(call, writing, call.target.path)
        call.check(writing, left.place)
        here = [
            one.id
            for one in call.home.shared_here(writing)
            if left.owner == call.home.collectivite_id and one.node == left.node.id
        ]
        for share_id in here or [left.share.id]:
            mounts.leave(writing, share_id, call.who.person_id, now_s=call.act.now_s)

    await call.home.database.write_async(change)
    return Answer(204)


async def rename(call: Call, path: tuple[str, ...]) -> Answer:
    """MOVE to another name in the same folder. Errors: AbsentNode, RootFixed (elsewhere), SamePlace, NameTaken."""
    if not names_mount(path):
        raise RootFixed

    def change(writing: Writing) -> Mount:
        found = _mount(call, writing, call.target.path)
        call.check(writing, found.place)
        if path == call.target.path:
            raise SamePlace
        wanted = names.folded(path[1])
        if any(names.folded(one.name) == wanted and one != found for one in call.home.mounts(writing)):
            raise NameTaken
        mounts.rename(writing, found.share.id, call.who.person_id, path[1])
        return found

    found = await call.home.database.write_async(change)
    return Answer(201, call.written(found.node))


def _mount(call: Call, reading: Reading, path: tuple[str, ...]) -> Mount:
    for one in call.home.mounts(reading):
        if one.path == path:
            return one
    raise AbsentNode("file")
