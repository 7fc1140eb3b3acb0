"""A new, empty document in a folder: the page's form, then the editor.

Process: drive, under the portal's grant (``granted``): web has no key of contents.
Hostile: the form.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from beffroi.drive.office import blank
from beffroi.drive.store import look, names, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Writing
from beffroi.drive.store.model import AbsentNode, Act, NameTaken, Node, ReadOnly
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.given import back, number
from beffroi.drive.web.messages import Answer, Enter, Request, Routes
from beffroi.drive.who import Who
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid

PATH = f"{granted.IN_PATH}/nouveau"
FORM_BYTES = 8 * 1024


@dataclass(frozen=True)
class NewDocument:
    communes: Communes
    bodies: BodiesOf
    key: bytes
    enter: Enter

    def add_to(self, routes: Routes) -> None:
        routes.add(PATH, self.told, is_open=True)

    async def told(self, request: Request) -> Answer:
        """A person pressed a button: they are led to the editor, or back to the folder, which says why not."""
        folder = ""
        try:
            who = granted.who(self.key, request, granted.IN_PATH)
            granted.require_own_origin(request)
            self.enter(request, who)
            fields = await request.form(FORM_BYTES, 10)
            folder, kind = fields.get("dossier", [""])[0], fields.get("genre", [""])[0]
            if request.method != "POST" or kind not in blank.KINDS:
                raise Invalid("genre")
            node = await self.make(who, number(folder), kind, fields.get("nom", [""])[0])
        except BeffroiError as error:
            await request.drain()
            return back(folder, error)
        address = f"/coffre/{node.id}/editer/".encode()
        return Answer(303, ((b"location", address), (b"cache-control", b"no-store")))

    async def make(self, who: Who, folder_id: int, kind: blank.Kind, name: str) -> Node:
        """``name``: without its ending. Errors: AbsentNode, ReadOnly, NameRefused, NameTaken, those of the store."""
        view, bodies = (
            View(self.communes.metadata(who.collectivite_id), who),
            self.bodies(who.collectivite_id),
        )
        wished = names.normal(f"{name.strip()}.{blank.SUFFIXES[kind]}") if name.strip() else ""
        if not wished:
            raise names.NameRefused
        data = blank.document(kind)
        content = await bodies.receive(_once(data), len(data))

        def change(writing: Writing) -> Node:
            folder = view.at(writing, folder_id)
            if not folder.node.is_folder:
                raise AbsentNode("folder")
            if not folder.rights.may_write:
                raise ReadOnly
            free = look.free_name(writing, folder.node.id, wished)
            if view.is_reserved((*folder.path, free)):
                raise NameTaken("reserved")
            act = Act(who.person_id, "", clock.epoch_s())
            return tree.put(writing, act, folder.node.id, free, content, if_absent=True)[0]

        return await view.database.write_async(change)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
