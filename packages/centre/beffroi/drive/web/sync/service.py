"""All that sync clients ask for besides files: one place that says which path is answered by what.

Process: drive. Hostile: everything in a request; who asks comes from the credential alone.
Source:  docs/internals/drive-sync.md.
"""

from __future__ import annotations

from beffroi.drive.store.commune import Communes
from beffroi.drive.views import View
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.dav.call import Call, MethodRefused
from beffroi.drive.web.dav.paths import FILES, Target
from beffroi.drive.web.dav.service import Dav
from beffroi.drive.web.messages import Answer, Request, Routes
from beffroi.drive.web.signin import NotSignedIn
from beffroi.drive.web.sync import search, trash, uploads, versions
from beffroi.drive.web.sync.ocs import Ocs


class Sync:
    """``base_url``: where clients reach this server, without a slash at its end."""

    def __init__(self, communes: Communes, bodies: BodiesOf, base_url: str) -> None:
        self._communes, self._bodies = communes, bodies
        self._ocs = Ocs(communes, base_url)
        self._finder = search.Finder(self.call)

    def add_to(self, routes: Routes, dav: Dav) -> None:
        """``dav``: answers for files; a REPORT and the hash that a client computed are taken before it."""
        self._dav = dav
        self._ocs.add_to(routes)
        routes.add(search.PREFIX, self._root)
        routes.add(FILES, self._files)
        routes.add(uploads.PREFIX, uploads.Uploads(self.call).handle)
        routes.add(trash.PREFIX, trash.Trash(self.call).handle)
        routes.add(versions.PREFIX, versions.Versions(self.call).handle)

    def call(self, request: Request, target: Target) -> Call:
        who = request.who
        if who is None:
            raise NotSignedIn
        view = View(self._communes.metadata(who.collectivite_id), who)
        return Call(request, who, target, view, self._bodies(who.collectivite_id))

    async def _root(self, request: Request) -> Answer:
        if request.method == "SEARCH":
            return await self._finder.search(request)
        raise MethodRefused

    async def _files(self, request: Request) -> Answer:
        if request.method == "REPORT":
            return await self._finder.report(request)
        if request.method == "PATCH":
            return await self._recalculate(request)
        return await self._dav.handle(request)

    async def _recalculate(self, request: Request) -> Answer:
        """A client whose copy has another hash than was said asks for the right one. Ours comes from the bytes that were
        stored, and every chunk is proved when it is read: it is the right one."""
        call = self._dav.call(request)
        with call.view.database.reading() as reading:
            place = call.view.place(reading, call.target.path)
        algorithm = request.header(b"x-recalculate-hash").strip().lower()
        if place.node.is_folder or algorithm not in ("sha1", "sha256"):
            raise MethodRefused
        digest = place.node.sha1 if algorithm == "sha1" else place.node.sha256
        return Answer(204, ((b"oc-checksum", f"{algorithm.upper()}:{digest}".encode()),))
