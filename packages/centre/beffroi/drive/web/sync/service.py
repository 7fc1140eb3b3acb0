"""All that sync clients ask for besides files: one place that says which path is answered by what.

Process: drive. Hostile: everything in a request; who asks comes from the credential alone.
Source:  docs/internals/drive-sync.md.
"""

from __future__ import annotations

from base64 import b64encode

from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web.dav.call import ON_FOLDERS, MethodRefused
from beffroi.drive.web.dav.paths import FILES
from beffroi.drive.web.dav.service import Dav, Method
from beffroi.drive.web.messages import Answer, Handler, Receive, Request, Routes
from beffroi.drive.web.signin import Doorman
from beffroi.drive.web.sync import basicsearch, provisioning, push, search, tags, trash, uploads, versions
from beffroi.drive.web.sync.call import NOWHERE
from beffroi.drive.web.sync.ocs import Ocs
from beffroi.drive.web.sync.sharing import Shares
from beffroi.drive.who import Who

_CALENDARS = (
    "/remote.php/dav/principals",
    "/remote.php/dav/calendars",
    "/remote.php/dav/addressbooks",
    "/remote.php/caldav",
    "/remote.php/carddav",
)
"""Where programs that know Nextcloud look for calendars and contacts."""
_SEARCHES = (
    (b"dav", b"1, 2, 3"),
    (b"allow", b"OPTIONS, SEARCH"),
    (b"dasl", b"<DAV:basicsearch>"),
)
"""Android looks for SEARCH in ``Allow`` before it sends one."""


class Sync:
    """``base_url``: where clients reach this server, without a slash at its end."""

    def __init__(self, communes: Communes, dav: Dav, doorman: Doorman, shares: Shares, base_url: str) -> None:
        self._dav, self._doorman = dav, doorman
        self._finder = search.Finder(dav.call_at)
        self._profile = provisioning.handler(base_url)
        self._ocs = Ocs(dav.call_at, shares, self._finder, base_url)
        self.push = push.Push(communes, self._checked)
        communes.listeners.append(self.push.told)

    def add_to(self, routes: Routes) -> None:
        """After those for files, some of whose methods are answered here."""
        self._ocs.add_to(routes)
        routes.add(basicsearch.PREFIX, self._root)
        routes.add(provisioning.PATH, self._profile)
        for prefix in _CALENDARS:
            routes.add(prefix, _to_calendars)
        routes.add(FILES, self._files)
        routes.add(uploads.PREFIX, self._called(uploads.handle))
        routes.add(trash.PREFIX, self._called(trash.handle))
        routes.add(tags.LIST, self._called(tags.listed))
        routes.add(tags.RELATIONS, self._called(tags.related))
        routes.add(versions.PREFIX, self._called(versions.handle))

    def _called(self, method: Method) -> Handler:
        async def handle(request: Request) -> Answer:
            return await method(await self._dav.call_at(request, NOWHERE))

        return handle

    async def _checked(self, login: str, password: str, address: str, receive: Receive) -> Who:
        """As Basic would; so its limits count for websockets, too. Errors: NotSignedIn, TooManySignIns."""
        given = b"Basic " + b64encode(f"{login}:{password}".encode())
        request = Request("GET", push.PATH, "", {b"authorization": given}, receive, address)
        who = request.who = await self._doorman.who(request)
        await self._dav.call_at(request, NOWHERE)  # its roots are made
        return who

    async def _root(self, request: Request) -> Answer:
        if request.path.rstrip("/") != basicsearch.PREFIX:
            raise AbsentNode("file")  # photos, comments, and what else is not here
        if request.method == "SEARCH":
            return await self._finder.search(request)
        if request.method == "OPTIONS":
            return Answer(200, _SEARCHES)
        if request.method == "PROPFIND":
            # KDE, of a server that is called Nextcloud's; files are asked for below.
            return await _to_calendars(request)
        raise MethodRefused("OPTIONS", "PROPFIND", "SEARCH")

    async def _files(self, request: Request) -> Answer:
        if request.method == "REPORT":
            return await self._finder.report(request)
        if request.method == "PATCH" and b"x-recalculate-hash" in request.headers:
            return await self._recalculated(request)
        return await self._dav.handle(request)

    async def _recalculated(self, request: Request) -> Answer:
        """A client whose copy has another hash than was said asks for the right one. Ours comes from the bytes that
        were stored, and every chunk is proved when it is read: it is the right one."""
        call = await self._dav.call(request)
        with call.view.database.reading() as reading:
            node = call.view.place(reading, call.target.path).node
        algorithm = request.header(b"x-recalculate-hash").strip().upper()
        digest = {"SHA1": node.sha1, "SHA256": node.sha256}.get(algorithm, "")
        if node.is_folder or not digest:
            raise MethodRefused(*ON_FOLDERS)
        return Answer(204, ((b"oc-checksum", f"{algorithm}:{digest}".encode()),))


async def _to_calendars(request: Request) -> Answer:
    """To the home of the person, which is their principal, too (process calendars)."""
    await request.drain()
    return Answer(301, ((b"location", f"/caldav/{request.signed_in.person_id}/".encode()),))
