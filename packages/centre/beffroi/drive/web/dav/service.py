"""WebDAV (RFC 4918, classes 1, 2 and 3): which method answers, and where a person's tree is reached.

Process: drive. Hostile: everything in a request; whose tree it is comes from the credential alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from beffroi.drive import crossing
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import Locked
from beffroi.drive.views import View, Visit, leads_out
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.dav import changes, content, listing, locking, patching, paths
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.dav.owners import Owners
from beffroi.drive.web.messages import Answer, Request, Routes
from beffroi.drive.web.visiting import accepted
from beffroi.drive.who import Who
from beffroi.lib.errors import BeffroiError

type Method = Callable[[Call], Awaitable[Answer]]

METHODS: Mapping[str, Method] = {
    "GET": content.get,
    "HEAD": content.get,
    "PUT": content.put,
    "PROPFIND": listing.propfind,
    "PROPPATCH": patching.proppatch,
    "MKCOL": changes.mkcol,
    "DELETE": changes.delete,
    "COPY": changes.copy,
    "MOVE": changes.move,
    "LOCK": locking.lock,
    "UNLOCK": locking.unlock,
}
_WHAT: Mapping[str, crossing.What] = {
    "OPTIONS": "list",
    "PROPFIND": "list",
    "REPORT": "list",
    "SEARCH": "list",
    "GET": "read",
    "HEAD": "read",
}
ALLOW = (b"allow", ", ".join(("OPTIONS", *METHODS)).encode())
CLASSES = (listing.CLASSES, (b"ms-author-via", b"DAV"), ALLOW)


class MethodUnknown(BeffroiError):
    """This method is not known here."""

    code = "drive.method_unknown"
    http_status = 501


class Dav:
    """``require``: refuses a device that is stopped in the collectivité of ``Who``. ``crossed``: is told of what enters
    another collectivité."""

    def __init__(
        self,
        communes: Communes,
        bodies: BodiesOf,
        owners: Owners,
        *,
        require: Callable[[Who], object],
        crossed: crossing.Tell,
    ) -> None:
        self._communes, self._bodies, self._require = communes, bodies, require
        self._owners = owners
        self._crossed, self._told = crossed, crossing.Told()
        self._seen: set[tuple[str, str]] = set()
        """Whose roots are made: (collectivité, person)."""

    def add_to(self, routes: Routes) -> None:
        for prefix in (paths.FILES, paths.WEBDAV, paths.EXPLORER):
            routes.add(prefix, self.handle)

    async def handle(self, request: Request) -> Answer:
        """Errors: those of the methods, as BeffroiError."""
        call = await self.call(request)
        if request.method == "OPTIONS":
            return Answer(200, CLASSES)
        method = METHODS.get(request.method)
        if method is None:
            raise MethodUnknown
        try:
            return await method(call)
        except Locked as error:
            error.precondition = locking.named(call, error)
            raise

    async def call(self, request: Request) -> Call:
        """Errors: AbsentNode (another's tree), NameRefused, TooDeep, Unavailable."""
        return await self.call_at(request, paths.target(request.path, request.signed_in))

    async def call_at(self, request: Request, target: paths.Target) -> Call:
        """For a target that the path of the request does not say by itself. Errors: Unavailable."""
        who = request.signed_in
        view = View.of(who, self._communes.metadata)
        if (who.collectivite_id, who.person_id) not in self._seen:
            await view.database.write_async(view.make_roots)
            self._seen.add((who.collectivite_id, who.person_id))
        bodies = self._bodies(who.collectivite_id)
        call = Call(request, who, target, view, view, bodies, self._owners, self._towards)
        return await asyncio.to_thread(self._towards, call, target) if leads_out(target.path) else call

    def _towards(self, call: Call, target: paths.Target) -> Call:
        """Blocking. Errors: AbsentNode, DeviceStopped, Unavailable."""
        if not leads_out(target.path):
            return replace(call, target=target, view=call.home, bodies=self._bodies(call.who.collectivite_id))
        with call.home.database.reading() as reading:
            view = call.home.towards(reading, target.path)
        if isinstance(view, Visit) and view.share_id != call.view.share_id:
            self._enter(call, view, target)
        bodies = self._bodies(view.collectivite_id, call.who.collectivite_id)
        return replace(call, target=target, view=view, bodies=bodies)

    def _enter(self, call: Call, visit: Visit, target: paths.Target) -> None:
        who, before = call.who, call.request.still
        there = replace(who, collectivite_id=visit.collectivite_id)
        self._require(there)

        async def still() -> None:
            if before is not None:
                await before()
            self._require(there)
            await asyncio.to_thread(accepted, call.home, visit.share_id)

        call.request.still = still
        what = _WHAT.get(call.request.method, "change")
        if call.request.method == "COPY" and target == call.target:
            what = "read"
        with visit.database.reading() as reading:
            found = visit.find(reading, target.path)
        self._told(visit.crossing(what, found.node.id if found is not None else 0), self._crossed)
