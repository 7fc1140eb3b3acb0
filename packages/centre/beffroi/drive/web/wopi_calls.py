"""The operations of WOPI on one file, for one person.

Process: drive (``wopi``, which knows who asks by then).
Hostile: everything that the request says.
Rule:    a save is a change like any other: the content before becomes a version, quota and locks are judged inside it.
Source:  WOPI (learn.microsoft.com, "WOPI REST API reference"); Collabora's additions (X-COOL-WOPI-Timestamp).
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from beffroi.core.planes.tokens import Grant
from beffroi.drive.office import tokens
from beffroi.drive.office.tokens import File
from beffroi.drive.store import editor_locks, names, seals, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.editor_locks import LockDiffers
from beffroi.drive.store.look import child, free_name
from beffroi.drive.store.model import AbsentNode, Act, Content, NameTaken, Node, ReadOnly
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place, View
from beffroi.drive.web import wopi_wire as wire
from beffroi.drive.web.bodies import Bodies, BodiesOf
from beffroi.drive.web.messages import Answer, Request
from beffroi.drive.web.streams import at_most
from beffroi.drive.web.visiting import pages
from beffroi.drive.who import Who
from beffroi.lib import clock, digits
from beffroi.lib.errors import Invalid, TooLarge


@dataclass(frozen=True)
class Host:
    """``base_url``: where the editor reaches us, as it signs it. ``max_bytes``: of what it may save."""

    communes: Communes
    bodies: BodiesOf
    key: bytes
    base_url: str
    max_bytes: int


@dataclass(frozen=True)
class Call:
    """One request of one person for one file. ``view``: theirs, or a visit to the collectivité that shares it."""

    host: Host
    request: Request
    file: File
    grant: Grant
    who: Who
    view: View

    @property
    def bodies(self) -> Bodies:
        return self.host.bodies(self.view.collectivite_id, self.who.collectivite_id)

    # -- reading -------------------------------------------------------------------------------------------------

    def check(self) -> Answer:
        """CheckFileInfo."""
        with self.view.database.reading() as reading:
            place = self._place(reading)
            may_write = self._may_write(reading, place)
            may_add = may_write and self._may_add(reading, place)
        node = place.node
        page = self._page(node)
        return wire.answered(
            200,
            value={
                "BaseFileName": node.name,
                "OwnerId": self.file.collectivite_id,
                "Size": node.size_bytes,
                "UserId": self.who.person_id,
                "UserFriendlyName": self.who.display_name,
                "Version": str(node.etag),
                "LastModifiedTime": wire.moment(node),
                "SHA256": base64.b64encode(bytes.fromhex(node.sha256)).decode(),
                "UserCanWrite": may_write,
                "ReadOnly": not may_write,
                "UserCanRename": may_write and not place.rights.is_mount,
                "UserCanNotWriteRelative": not may_add,
                "SupportsLocks": True,
                "SupportsGetLock": True,
                "SupportsExtendedLockLength": True,
                "SupportsUpdate": True,
                "SupportsRename": True,
                "SupportsDeleteFile": False,
                "IsAnonymousUser": False,
                "PostMessageOrigin": self.host.base_url,
                "ClosePostMessage": True,
                "CloseUrl": page,
                "HostViewUrl": page,
                "HostEditUrl": f"{page}editer/",
            },
        )

    def get(self) -> Answer:
        """GetFile."""
        with self.view.database.reading() as reading:
            node = self._place(reading).node
        most = digits.number(self.request.header(b"x-wopi-maxexpectedsize"))
        # A number of more digits limits nothing: some programs say their largest one.
        if most is not None and node.size_bytes > most:
            raise wire.TooLargeForEditor
        length = (b"content-length", str(node.size_bytes).encode())
        kind = (b"content-type", b"application/octet-stream")
        pieces = self.bodies.read(node, 0, node.size_bytes)
        return Answer(200, (*wire.NO_STORE, wire.version(node), kind, length), pieces)

    # -- locks ---------------------------------------------------------------------------------------------------

    async def get_lock(self) -> Answer:
        with self.view.database.reading() as reading:
            node = self._place(reading).node
            found = editor_locks.of(reading, node.id, now_s=clock.epoch_s())
        if found.is_foreign:
            raise LockDiffers("")
        return wire.answered(200, (b"x-wopi-lock", found.lock_id.encode()))

    async def lock(self) -> Answer:
        """Lock; with X-WOPI-OldLock: UnlockAndRelock."""
        lock_id, former = self._lock_id(), self.request.headers.get(b"x-wopi-oldlock")
        if former is None:
            return await self._locking(
                lambda writing, node, now_s: editor_locks.take(writing, node, lock_id, now_s=now_s)
            )
        before = wire.lock_id(former)
        return await self._locking(
            lambda writing, node, now_s: editor_locks.exchange(writing, node, lock_id, before, now_s=now_s)
        )

    async def refresh_lock(self) -> Answer:
        lock_id = self._lock_id()
        return await self._locking(
            lambda writing, node, now_s: editor_locks.refresh(writing, node, lock_id, now_s=now_s)
        )

    async def unlock(self) -> Answer:
        lock_id = self._lock_id()
        return await self._locking(
            lambda writing, node, now_s: editor_locks.end(writing, node, lock_id, now_s=now_s)
        )

    async def _locking(self, step: Callable[[Writing, int, int], None]) -> Answer:
        def change(writing: Writing) -> Node:
            place = self._writable(writing)
            step(writing, place.node.id, clock.epoch_s())
            return place.node

        return wire.answered(200, wire.version(await self.view.database.write_async(change)))

    # -- changes -------------------------------------------------------------------------------------------------

    async def put(self) -> Answer:
        """PutFile. An empty file that nobody locked may be written: an editor fills a new one before it locks."""
        lock_id = wire.lock_id(self.request.headers.get(b"x-wopi-lock", b""))

        def look(reading: Reading) -> Node:
            node, now_s = self._writable(reading).node, clock.epoch_s()
            if lock_id or node.size_bytes or editor_locks.of(reading, node.id, now_s=now_s) != ("", False):
                editor_locks.require(reading, node.id, lock_id, now_s=now_s)
            seen = self.request.header(b"x-cool-wopi-timestamp") or self.request.header(
                b"x-lool-wopi-timestamp"
            )
            if seen and seen != wire.moment(node):
                raise wire.EditorConflict
            return node

        with self.view.database.reading() as reading:
            look(reading)  # before the body: what is refused need not be sent in vain
        content = await self._received()
        act = self._act(lock_id)

        def change(writing: Writing) -> Node:
            node = look(writing)
            if node.sha256 == content.sha256:
                return node  # saved by the clock, without a change: no version
            return tree.put(writing, act, node.parent, node.name, content)[0]

        node = await self.view.database.write_async(change)
        return wire.answered(200, wire.version(node), value={"LastModifiedTime": wire.moment(node)})

    async def put_relative(self) -> Answer:
        """PutRelativeFile: another file beside it, of a name that is given, or suggested."""
        suggested = self.request.headers.get(b"x-wopi-suggestedtarget")
        exact = self.request.headers.get(b"x-wopi-relativetarget")
        if (suggested is None) == (exact is None):
            raise wire.NotSupported if exact is not None else Invalid("name")
        overwrite = self.request.header(b"x-wopi-overwriterelativetarget").lower() == "true"
        with self.view.database.reading() as reading:
            place = self._place(reading)
            if not (self._may_write(reading, place) and self._may_add(reading, place)):
                raise wire.NotSupported  # as CheckFileInfo says it
        node = place.node
        name = wire.name(suggested if exact is None else exact)
        if exact is None:
            name = f"{node.name.rpartition('.')[0] or node.name}{name}" if name.startswith(".") else name
            name = wire.mended(name)
        name = names.normal(name)
        content = await self._received()

        def change(writing: Writing) -> Node | str:
            folder = self._writable_folder(writing)[0]
            if self.view.is_reserved((*folder.path, name)):
                raise NameTaken("reserved")
            if exact is None:
                chosen = free_name(writing, folder.node.id, name)
                return tree.put(writing, self._act(), folder.node.id, chosen, content)[0]
            there = child(writing, folder.node.id, name)
            if there is not None and overwrite:
                held = editor_locks.of(writing, there.id, now_s=clock.epoch_s())
                if held != ("", False):
                    raise LockDiffers(held.lock_id)
            elif (free := free_name(writing, folder.node.id, name)) != name:
                return free
            return tree.put(writing, self._act(), folder.node.id, name, content)[0]

        made = await self.view.database.write_async(change)
        if isinstance(made, str):
            return wire.answered(
                409, (b"x-wopi-validrelativetarget", made.encode("utf-7")), (b"x-wopi-lock", b"")
            )
        file = File(self.file.collectivite_id, made.id)
        token = tokens.make(
            self.host.key,
            self.who,
            file,
            may_write=True,
            session=self.grant.session,
            share_id=self.grant.share_id,
            ttl_s=max(1, self.grant.expires_at - clock.epoch_s()),
        )
        page = self._page(made)
        return wire.answered(
            200,
            value={
                "Name": made.name,
                "Url": f"{self.host.base_url}{file.path}?access_token={token}",
                "HostViewUrl": page,
                "HostEditUrl": f"{page}editer/",
            },
        )

    async def rename(self) -> Answer:
        """RenameFile. Its lock stays: whoever renames goes on writing."""
        lock_id = wire.lock_id(self.request.headers.get(b"x-wopi-lock", b""))

        def change(writing: Writing) -> str:
            wanted = wire.name(self.request.headers.get(b"x-wopi-requestedname"))
            if not wanted.strip():
                raise names.NameRefused  # its ending alone would be left
            node, now_s = self._writable(writing).node, clock.epoch_s()
            held = editor_locks.of(writing, node.id, now_s=now_s)
            if held != ("", False):
                editor_locks.require(writing, node.id, lock_id, now_s=now_s)
            stem, dot, ending = node.name.rpartition(".")
            name = names.normal(f"{wanted}{dot}{ending}" if stem else wanted)
            if names.folded(name) != names.folded(node.name):
                name = free_name(writing, node.parent, name)
            if self.view.is_reserved((*self._writable_folder(writing)[0].path, name)):
                raise NameTaken("reserved")
            tree.move(writing, self._act(lock_id), node.id, node.parent, name)
            if held.lock_id:
                editor_locks.put(writing, node.id, lock_id, now_s=now_s)
            return name.rpartition(".")[0] or name

        try:
            return wire.answered(200, value={"Name": await self.view.database.write_async(change)})
        except (names.NameRefused, NameTaken):
            return wire.answered(400, (b"x-wopi-invalidfilenameerror", b"Ce nom ne convient pas."))

    # -- inside --------------------------------------------------------------------------------------------------

    def _place(self, reading: Reading) -> Place:
        """Errors: AbsentNode (also for a folder)."""
        place = self.view.at(reading, self.file.node_id)
        if place.node.is_folder:
            raise AbsentNode("file")
        return place

    def _page(self, node: Node) -> str:
        return f"{self.host.base_url}{pages(self.view)}{node.id}/"

    def _may_add(self, reading: Reading, place: Place) -> bool:
        """Whether files may be made beside it: the folder of a file that is shared alone is its owner's."""
        try:
            return self.view.at(reading, place.node.parent).rights.may_write
        except AbsentNode:
            return False

    def _may_write(self, reading: Reading, place: Place) -> bool:
        is_sealed = seals.Looking(reading).reach(place.node) == "inside"
        return place.rights.may_write and tokens.may_write(self.grant, self.file) and not is_sealed

    def _writable(self, reading: Reading) -> Place:
        """Errors: AbsentNode, ReadOnly."""
        place = self._place(reading)
        if not self._may_write(reading, place):
            raise ReadOnly
        return place

    def _writable_folder(self, reading: Reading) -> tuple[Place, Node]:
        """The folder of the file, and the file. Errors: AbsentNode, ReadOnly."""
        node = self._place(reading).node
        folder = self.view.at(reading, node.parent)
        if not (folder.rights.may_write and tokens.may_write(self.grant, self.file)):
            raise ReadOnly
        return folder, node

    def _lock_id(self) -> str:
        """Errors: Invalid."""
        found = wire.lock_id(self.request.headers.get(b"x-wopi-lock", b""))
        if not found:
            raise Invalid("X-WOPI-Lock")
        return found

    def _act(self, lock_id: str = "") -> Act:
        shown = frozenset((editor_locks.token(self.file.node_id, lock_id),)) if lock_id else frozenset()
        device = tokens.device_of(self.grant)
        return Act(self.who.person_id, device, clock.epoch_s(), shown, editor_locks.HOLDER)

    async def _received(self) -> Content:
        """Errors: TooLarge, those of the bodies."""
        expected, most = self.request.count(b"content-length"), self.host.max_bytes
        if expected is not None and expected > most:
            raise TooLarge(most)
        return await self.bodies.receive(at_most(self.request.chunks(), most), expected)


OPERATIONS: Mapping[str, Callable[[Call], Awaitable[Answer]]] = {
    "LOCK": Call.lock,
    "GET_LOCK": Call.get_lock,
    "REFRESH_LOCK": Call.refresh_lock,
    "UNLOCK": Call.unlock,
    "PUT_RELATIVE": Call.put_relative,
    "RENAME_FILE": Call.rename,
}
