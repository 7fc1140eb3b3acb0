"""What the portal's page sends: a small file in one piece, a large one in parts that outlive a cut, an empty folder, a
form's file.

Process: drive, under the portal's grant (``granted``).
Hostile: everything: names, paths, numbers, bodies. A name travels in the header ``X-Beffroi-File`` (JSON,
         percent-encoded), never in an address, for front and planes keep addresses in their logs.
Rule:    addresses below /coffre/envoi/:

           POST   fichier        body = the file, at most PART_BYTES       201 {"node"}
           POST   UPLOAD         begin, or go on: no body                  200 {"part_bytes", "parts": [[number, size]]}
           PUT    UPLOAD/NUMBER  body = a part, at most PART_BYTES         204
           GET    UPLOAD         what arrived                              200 {"parts"}
           POST   UPLOAD/fin     join the parts                            201 {"node"}
           DELETE UPLOAD         give it up                                204
           POST   dossier        make a folder that is empty: no body      201 {"node"}
           POST   formulaire     multipart/form-data, without JavaScript   303 to the folder's page

         UPLOAD is a name that the page chooses from the file's own (32 to 64 hex digits): chosen again after a crash,
         the same file goes on where it was. An error is {"code"} with its status; the page has the words.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.drive.store import names, part_names, room, seals, tree, uploads
from beffroi.drive.store.look import above, free_name, last_in_row, taken
from beffroi.drive.store.model import AbsentNode, Act, Content, KindDiffers, NameTaken, Node, ReadOnly
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place, View, Visit
from beffroi.drive.web import form, granted
from beffroi.drive.web.bodies import Bodies
from beffroi.drive.web.dav.content import LATEST_MTIME_S
from beffroi.drive.web.given import back
from beffroi.drive.web.messages import Answer, Request, json_answer, led_to
from beffroi.drive.web.streams import at_most, read_back
from beffroi.drive.web.visiting import pages
from beffroi.lib import clock, digits
from beffroi.lib.errors import BeffroiError, Invalid, TooLarge

PART_BYTES = 5 * 1024 * 1024
MAX_FILE_BYTES = PART_BYTES * part_names.MAX_PARTS
_UPLOAD = re.compile(r"[0-9a-f]{32,64}", re.ASCII)


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file as the page says it. ``path``: folders below ``folder``, made where they are absent. ``mtime_s``: of the
    file on the person's computer. ``taken``: what to do where the name is taken. ``again``: this was asked before, and
    no answer came. ``collectivite``: whose page it is: who works for two may have changed in another tab, and numbers
    of folders are of one collectivité."""

    folder: int
    name: str
    size_bytes: int
    collectivite: str = ""
    path: tuple[str, ...] = ()
    mtime_s: int | None = None
    taken: Literal["ask", "replace", "both"] = "ask"
    again: bool = False


_SENT = msgspec.json.Decoder(Sent)


@dataclass(frozen=True)
class Desk:
    """One request of one person."""

    view: View
    bodies: Bodies
    act: Act

    def sent(self, request: Request) -> Sent:
        """Errors: Invalid, OtherCollectivite."""
        sent = sent_of(request)
        granted.require_collectivite(self.view.who, sent.collectivite)
        return sent

    async def whole(self, request: Request, sent: Sent) -> Answer:
        self._look(sent)
        if sent.size_bytes > PART_BYTES:
            raise TooLarge(PART_BYTES)
        content = await self.bodies.receive(at_most(request.chunks(), sent.size_bytes), sent.size_bytes)
        if content.size_bytes != sent.size_bytes:
            raise Invalid("size")
        return _made(await self.view.database.write_async(lambda writing: self._put(writing, sent, content)))

    async def empty_folder(self, sent: Sent) -> Answer:
        """What is there by this name already is that folder."""
        path = (*sent.path, sent.name)
        return _made(await self.view.database.write_async(lambda writing: self._folder(writing, sent, path)))

    async def begin(self, upload: str, sent: Sent) -> Answer:
        self._look(sent, upload)
        with self.view.database.reading() as reading:
            try:
                return self._told_parts(reading, upload)
            except uploads.AbsentUpload:
                pass
        try:
            await self.view.database.write_async(lambda writing: uploads.begin(writing, self.act, upload))
        except uploads.UploadExists:
            pass  # another tab began it just now
        return json_answer(200, {"part_bytes": PART_BYTES, "parts": []})

    def status(self, upload: str) -> Answer:
        with self.view.database.reading() as reading:
            return self._told_parts(reading, upload)

    async def part(self, request: Request, upload: str, number: int) -> Answer:
        self._look_up(upload)  # before the body: a part of what is over need not be sent in vain
        announced = request.count(b"content-length")
        if announced is not None and announced > PART_BYTES:
            raise TooLarge(PART_BYTES)
        content = await self.bodies.receive(at_most(request.chunks(), PART_BYTES), None)

        def change(writing: Writing) -> None:
            self._require_given(writing)
            uploads.put_part(writing, self.act, upload, number, content)

        await self.view.database.write_async(change)
        return Answer(204)

    async def finish(self, request: Request, upload: str, sent: Sent) -> Answer:
        self._look(sent, upload)
        begun_s = clock.steady_s()
        try:
            joined = await asyncio.to_thread(
                uploads.joined, self.view.database, self.view.who.person_id, upload
            )
        except uploads.AbsentUpload:
            if came := self._look(sent):
                return _made(came)
            raise
        if joined.size_bytes != sent.size_bytes:
            raise Invalid("size")
        content = await read_back(self.bodies, joined)
        await request.ask_again(begun_s)

        def change(writing: Writing) -> Node:
            folder, name = self._place(writing, sent)
            return uploads.finish(
                writing, self.act, upload, joined, content, parent=folder.id, name=name, mtime_s=sent.mtime_s
            )[0]

        return _made(await self.view.database.write_async(change))

    async def give_up(self, upload: str) -> Answer:
        await self.view.database.write_async(lambda writing: uploads.abort(writing, self.act, upload))
        return Answer(204)

    async def form(self, request: Request) -> Answer:
        """One file of a form: an answer for a person, who is led back to the folder's page."""
        folder_id = 0
        try:
            found = await form.read(request)
            granted.require_collectivite(self.view.who, found.fields.get("collectivite", ""))
            folder_id = digits.needed(found.fields.get("dossier", ""))
            taken: Literal["replace", "both"] = "replace" if found.fields.get("deja") == "replace" else "both"
            sent = Sent(folder_id, found.name, form.least_bytes(request), taken=taken)
            self._look(sent)
            content = await self.bodies.receive(at_most(found.pieces, MAX_FILE_BYTES), None)
            node = await self.view.database.write_async(lambda writing: self._put(writing, sent, content))
        except BeffroiError as error:
            await request.drain()
            return back(str(folder_id or ""), error, pages(self.view))
        return led_to(f"{pages(self.view)}{node.parent}/?recu=1")

    # -- inside ----------------------------------------------------------------------------------------------

    def _look(self, sent: Sent, upload: str = "") -> Node | None:
        """What can be refused is refused before the body comes. Returns what came before, as ``_came``.

        Errors: as ``_place``, ``room.require``; TooLarge."""
        if not 0 <= sent.size_bytes <= MAX_FILE_BYTES:
            raise TooLarge(MAX_FILE_BYTES)
        with self.view.database.reading() as reading:
            folder = self._writable(reading, sent)
            inside: Node | None = folder.node
            for name in _checked_path(sent.path):
                inside = _inside(reading, inside.id, name) if inside is not None else None
            if inside is not None:
                if came := self._came(reading, inside.id, sent):
                    return came
                self._name(reading, inside.id, sent)
            # A root that was made now is in no picture that began before.
            root = (above(reading, folder.node.id) or [folder.node])[-1].id
            waiting = uploads.waiting_bytes(reading, self.view.who.person_id, upload) if upload else 0
            room.require(reading, root, sent.size_bytes, waiting_bytes=waiting)
        return None

    def _writable(self, reading: Reading, sent: Sent) -> Place:
        folder = self.view.at(reading, sent.folder)
        if not folder.node.is_folder:
            raise AbsentNode("folder")
        seals.require_free(reading, folder.require_writable().node)
        if self.view.is_reserved((*folder.path, names.normal((*sent.path, sent.name)[0]))):
            raise NameTaken("reserved")
        return folder

    def _place(self, writing: Writing, sent: Sent) -> tuple[Node, str]:
        """The folder, made where it is absent, and the name. Errors: AbsentNode, ReadOnly, NameTaken, NameRefused."""
        folder = self._folder(writing, sent, sent.path)
        return folder, self._name(writing, folder.id, sent)

    def _folder(self, writing: Writing, sent: Sent, path: Sequence[str]) -> Node:
        folder = self._writable(writing, sent).node
        for name in _checked_path(path):
            folder = _inside(writing, folder.id, name) or tree.make_folder(writing, self.act, folder.id, name)
        return folder

    def _came(self, reading: Reading, folder: int, sent: Sent) -> Node | None:
        """What the same request put there before, where its answer was lost: nobody is asked about their own file."""
        if not sent.again:
            return None

        def fits(there: Node) -> bool:
            return (there.is_folder, there.size_bytes, there.mtime_s) == (0, sent.size_bytes, sent.mtime_s)

        return last_in_row(reading, folder, names.normal(sent.name), fits, numbered=sent.taken == "both")

    def _name(self, reading: Reading, folder: int, sent: Sent) -> str:
        name = names.normal(sent.name)
        there = taken(reading, folder, name)
        if there is None:
            return name
        if sent.taken == "replace" and not there.is_folder:
            return there.name
        if sent.taken != "both":
            raise NameTaken("name")
        return free_name(reading, folder, name)

    def _put(self, writing: Writing, sent: Sent, content: Content) -> Node:
        folder = self._folder(writing, sent, sent.path)
        came = self._came(writing, folder.id, sent)
        if came and came.sha256 == content.sha256:
            return came
        name = self._name(writing, folder.id, sent)
        return tree.put(writing, self.act, folder.id, name, content, mtime_s=sent.mtime_s)[0]

    def _look_up(self, upload: str) -> None:
        """Errors: AbsentUpload, those of ``_require_given``."""
        with self.view.database.reading() as reading:
            self._require_given(reading)
            uploads.parts(reading, self.view.who.person_id, upload)

    def _require_given(self, reading: Reading) -> None:
        """That another collectivité still takes something: parts of a file have no place yet that would say it.

        Errors: AbsentNode, ReadOnly."""
        if not isinstance(self.view, Visit):
            return
        mount = self.view.mount(reading)
        if mount is None:
            raise AbsentNode("share")
        if not mount.may_write:
            raise ReadOnly

    def _told_parts(self, reading: Reading, upload: str) -> Answer:
        parts = uploads.parts(reading, self.view.who.person_id, upload)
        return json_answer(
            200, {"part_bytes": PART_BYTES, "parts": [[one.number, one.size_bytes] for one in parts]}
        )


def sent_of(request: Request) -> Sent:
    """Errors: Invalid."""
    try:
        sent = _SENT.decode(unquote_to_bytes(request.header(granted.FILE_HEADER)))
    except UNDECODABLE:
        raise Invalid("file") from None
    if sent.mtime_s is not None and not 0 < sent.mtime_s < LATEST_MTIME_S:
        return msgspec.structs.replace(sent, mtime_s=None)  # no calendar has it: now
    return sent


def _checked_path(path: Sequence[str]) -> Sequence[str]:
    if len(path) > names.MAX_DEPTH:
        raise names.TooDeep
    return [names.normal(one) for one in path]


def _inside(reading: Reading, folder: int, name: str) -> Node | None:
    """A folder of this name, in whatever capitals: computers mostly take them for one. Errors: KindDiffers (a file)."""
    there = taken(reading, folder, name)
    if there is not None and not there.is_folder:
        raise KindDiffers("a file has this name")
    return there


def _made(node: Node) -> Answer:
    return json_answer(201, {"node": node.id, "folder": node.parent})


def upload_of(text: str) -> str:
    if not _UPLOAD.fullmatch(text):
        raise uploads.AbsentUpload("upload")
    return text
