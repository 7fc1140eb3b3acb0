"""A new, empty document in a folder: the page's form, then the editor.

Process: drive, under the portal's grant (``granted``): web has no key of contents.
Rule:    PATH for the person's own tree and the common folder, PATH/chez/SHARE for what another collectivité shares.
Hostile: address and form.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from beffroi.drive.office import blank
from beffroi.drive.store import look, names, tree
from beffroi.drive.store.model import AbsentNode, Act, NameTaken, Node
from beffroi.drive.store.writing import Writing
from beffroi.drive.web import granted
from beffroi.drive.web.given import back, number
from beffroi.drive.web.messages import Answer, Enter, Request, Routes, led_to
from beffroi.drive.web.visiting import ABROAD, Visits
from beffroi.drive.who import Who
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid

PATH = f"{granted.IN_PATH}/nouveau"
ABROAD_FORM = re.compile(ABROAD + r"/shr_[0-9a-z]{26}", re.ASCII)
FORM_BYTES = 8 * 1024


@dataclass(frozen=True)
class NewDocument:
    visits: Visits
    key: bytes
    enter: Enter

    def add_to(self, routes: Routes) -> None:
        routes.add(PATH, self.told, is_open=True)

    async def told(self, request: Request) -> Answer:
        """A person pressed a button: they are led to the editor, or back to the folder, which says why not."""
        folder, address = "", request.path.removeprefix(PATH).strip("/")
        pages = f"/coffre/{address}/" if ABROAD_FORM.fullmatch(address) else "/coffre/"
        try:
            who = granted.who(self.key, request, granted.IN_PATH)
            granted.require_own_origin(request)
            self.enter(request, who)
            fields = await request.form(FORM_BYTES, 10)
            folder, kind = fields.get("dossier", [""])[0], fields.get("genre", [""])[0]
            if request.method != "POST" or kind not in blank.KINDS:
                raise Invalid("genre")
            if address and pages == "/coffre/":
                raise AbsentNode("folder")
            node = await self.make(who, address, number(folder), kind, fields.get("nom", [""])[0])
        except BeffroiError as error:
            await request.drain()
            return back(folder, error, pages)
        return led_to(f"{pages}{node.id}/editer/")

    async def make(self, who: Who, address: str, folder_id: int, kind: blank.Kind, name: str) -> Node:
        """``name``: without its ending. Errors: AbsentNode, ReadOnly, NameRefused, NameTaken, those of the store."""
        view, bodies, _ = await asyncio.to_thread(self.visits.enter, who, f"{address}/{folder_id}", "change")
        wished = names.normal(f"{name.strip()}.{blank.SUFFIXES[kind]}") if name.strip() else ""
        if not wished:
            raise names.NameRefused
        data = blank.document(kind)
        content = await bodies.receive(_once(data), len(data))

        def change(writing: Writing) -> Node:
            folder = view.at(writing, folder_id)
            if not folder.node.is_folder:
                raise AbsentNode("folder")
            free = look.free_name(writing, folder.require_writable().node.id, wished)
            if view.is_reserved((*folder.path, free)):
                raise NameTaken("reserved")
            act = Act(who.person_id, "", clock.epoch_s())
            return tree.put(writing, act, folder.node.id, free, content, if_absent=True)[0]

        return await view.database.write_async(change)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
