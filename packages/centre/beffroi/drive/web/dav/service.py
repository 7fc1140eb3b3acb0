"""WebDAV (RFC 4918, classes 1, 2 and 3): which method answers, and where a person's tree is reached.

Process: drive. Hostile: everything in a request; whose tree it is comes from the credential alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from beffroi.drive.store.commune import Communes
from beffroi.drive.views import View
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.dav import changes, content, listing, locking, paths
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.messages import Answer, Request, Routes
from beffroi.drive.web.signin import NotSignedIn
from beffroi.lib.errors import BeffroiError

type Method = Callable[[Call], Awaitable[Answer]]

METHODS: Mapping[str, Method] = {
    "GET": content.get,
    "HEAD": content.get,
    "PUT": content.put,
    "PROPFIND": listing.propfind,
    "PROPPATCH": listing.proppatch,
    "MKCOL": changes.mkcol,
    "DELETE": changes.delete,
    "COPY": changes.copy,
    "MOVE": changes.move,
    "LOCK": locking.lock,
    "UNLOCK": locking.unlock,
}
ALLOW = (b"allow", ", ".join(("OPTIONS", *METHODS)).encode())
CLASSES = ((b"dav", b"1, 2, 3"), (b"ms-author-via", b"DAV"), ALLOW)


class MethodUnknown(BeffroiError):
    """This method is not known here."""

    code = "drive.method_unknown"
    http_status = 501


class Dav:
    def __init__(self, communes: Communes, bodies: BodiesOf) -> None:
        self._communes, self._bodies = communes, bodies
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
        return await method(call)

    async def call(self, request: Request) -> Call:
        """Errors: AbsentNode (another's tree), NameRefused, TooDeep, Unavailable."""
        if request.who is None:
            raise NotSignedIn
        return await self.call_at(request, paths.target(request.path, request.who))

    async def call_at(self, request: Request, target: paths.Target) -> Call:
        """For a target that the path of the request does not say by itself. Errors: Unavailable."""
        who = request.who
        if who is None:
            raise NotSignedIn
        view = View(self._communes.metadata(who.collectivite_id), who)
        if (who.collectivite_id, who.person_id) not in self._seen:
            await view.database.write_async(view.make_roots)
            self._seen.add((who.collectivite_id, who.person_id))
        return Call(request, who, target, view, self._bodies(who.collectivite_id))
