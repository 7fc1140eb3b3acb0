"""WOPI: what an office editor (Collabora Online, OnlyOffice) asks on behalf of the people who have a file open in it.

Process: drive, below /wopi/; on routes only where an editor is set.
Hostile: everything; the editor is a program that opens strangers' documents. It can do what its token says and no more:
         one file, one person, for some hours, as long as that person belongs here. Where the editor signs its requests,
         one without its signature is refused.
Rule:    status and headers are the specification's, to the letter: an editor decides by them whether work is lost.
Fails:   closed. 401 token, 404 file or right, 409 lock, 413 size or room, 500 signature; all else as the drive says.
Source:  WOPI (learn.microsoft.com, "WOPI REST API reference"); Collabora's additions (X-COOL-WOPI-Timestamp).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from beffroi.core.planes.tokens import Grant, GrantRefused
from beffroi.drive import crossing
from beffroi.drive.alarms import DeviceStopped
from beffroi.drive.crossing import Told, What
from beffroi.drive.office import proof, tokens
from beffroi.drive.office.discovery import Editor
from beffroi.drive.office.tokens import File, Holder
from beffroi.drive.store import editor_locks
from beffroi.drive.store.editor_locks import LockDiffers
from beffroi.drive.store.model import AbsentNode, Locked, QuotaFull, ReadOnly
from beffroi.drive.views import View, Visit
from beffroi.drive.web.messages import Answer, Enter, Request, Routes, fields
from beffroi.drive.web.visiting import accepted, enter
from beffroi.drive.web.wopi_calls import OPERATIONS, Call, Host
from beffroi.drive.web.wopi_wire import EditorConflict, NotSupported, answered, lock_id
from beffroi.drive.who import Who
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid, TooLarge

_STATUS = {GrantRefused: 401, AbsentNode: 404, ReadOnly: 404, QuotaFull: 413, TooLarge: 413}
_CHANGED_ELSEWHERE = 1010
"""COOLStatusCode: the file is not the one that the editor opened; it asks its people what to do."""
_WHAT: dict[tuple[str, str], What] = {
    ("GET", ""): "list",
    ("GET", "contents"): "read",
    ("POST", "GET_LOCK"): "list",
}
"""What is told of a request that enters another collectivité."""
log = logging.getLogger("beffroi.drive.office")

type Members = Callable[[Holder], Who | None]
"""Who that is, if they still have this role there and the session goes on; else None. Blocks; threads ask it."""


@dataclass(frozen=True)
class Wopi:
    """``require``: refuses a device that is stopped. ``crossed``: is told of what enters another collectivité."""

    host: Host
    members: Members
    enter: Enter
    require: Callable[[Who], object]
    editor: Editor
    crossed: crossing.Tell
    _told: Told = field(default_factory=Told)

    def add_to(self, routes: Routes) -> None:
        routes.add("/wopi", self.told, is_open=True)

    async def told(self, request: Request) -> Answer:
        try:
            return await self.answer(request)
        except BeffroiError as error:
            await request.drain()
            return _refused(error)

    async def answer(self, request: Request) -> Answer:
        """Errors: GrantRefused, ProofRefused, those of the operations."""
        name, slash, rest = request.path.removeprefix(tokens.FILES + "/").partition("/")
        if not request.path.startswith(tokens.FILES + "/") or (slash and rest != "contents"):
            raise AbsentNode("file")
        file, token = tokens.file_of(name), _token(request)
        grant = tokens.read(self.host.key, token, file)
        await self._prove(request, token)
        override = request.header(b"x-wopi-override").upper()
        try:
            return await self._called(request, grant, file, rest, override)
        except (GrantRefused, AbsentNode, ReadOnly, DeviceStopped):
            if override == "UNLOCK":
                await self._let_go(request, grant, file)
            raise

    async def _called(self, request: Request, grant: Grant, file: File, rest: str, override: str) -> Answer:
        who = await asyncio.to_thread(self._who, grant)
        self.enter(request, who)
        self.require(who)
        view = View.of(who, self.host.communes.metadata)
        if grant.share_id:
            what: What = _WHAT.get((request.method, rest or override), "change")
            view = await asyncio.to_thread(self._visit, view, grant.share_id, file, what)
        request.still = partial(asyncio.to_thread, self._again, grant, file)
        call = Call(self.host, request, file, grant, who, view)
        match request.method, rest, override:
            case "GET", "", _:
                return call.check()
            case "GET", "contents", _:
                return call.get()
            case "POST", "contents", "PUT":
                return await call.put()
            case "POST", "", _ if override in OPERATIONS:
                return await OPERATIONS[override](call)
        raise NotSupported

    async def _let_go(self, request: Request, grant: Grant, file: File) -> None:
        """Who had it open may do nothing any more, and hears nothing; but that an editor closed it is true, and
        colleagues need not wait for the lock's end."""
        if not tokens.may_write(grant, file):
            return
        with suppress(BeffroiError):
            named = lock_id(request.headers.get(b"x-wopi-lock", b""))
            await self.host.communes.metadata(file.collectivite_id).write_async(
                lambda writing: editor_locks.end(writing, file.node_id, named, now_s=clock.epoch_s())
            )

    def _who(self, grant: Grant) -> Who:
        """Blocking. Errors: GrantRefused (they left, have another role, or their session ended), Unavailable."""
        found = self.members(tokens.holder(self.host.key, grant))
        if found is None:
            raise GrantRefused
        return replace(found, app_password_id=tokens.device_of(grant))

    def _again(self, grant: Grant, file: File) -> None:
        """Asked after a long body; what the owner gives is asked in the change. Blocking.

        Errors: GrantRefused, AbsentNode (a share that is taken no more), DeviceStopped, Unavailable.
        """
        who = self._who(grant)
        self.require(who)
        if grant.share_id:
            self.require(replace(who, collectivite_id=file.collectivite_id))
            accepted(View.of(who, self.host.communes.metadata), grant.share_id)

    def _visit(self, home: View, share_id: str, file: File, what: What) -> Visit:
        """Errors: AbsentNode, DeviceStopped, Unavailable."""
        self.require(replace(home.who, collectivite_id=file.collectivite_id))
        visit = enter(home, share_id, what, file.node_id, partial(self._told, tell=self.crossed))
        if visit.collectivite_id != file.collectivite_id:
            raise AbsentNode("file")
        return visit

    async def _prove(self, request: Request, token: str) -> None:
        """Errors: ProofRefused, Unavailable."""
        known = await asyncio.to_thread(self.editor.discovery)
        signed = {
            "token": token,
            "address": f"{self.host.base_url}{request.path}" + (f"?{request.query}" if request.query else ""),
            "time": request.header(b"x-wopi-timestamp"),
            "proof": request.header(b"x-wopi-proof"),
            "former": request.header(b"x-wopi-proofold"),
        }
        try:
            if known.keys:
                proof.require(known.keys, now_s=clock.epoch(), **signed)
        except proof.ProofRefused:
            newer = await asyncio.to_thread(self.editor.discovery, older=known)
            if newer is known or not newer.keys:
                raise
            proof.require(newer.keys, now_s=clock.epoch(), **signed)


def _refused(error: BeffroiError) -> Answer:
    if isinstance(error, LockDiffers | Locked):
        # Locked: a client of WebDAV was quicker.
        current = error.current if isinstance(error, LockDiffers) else ""
        return answered(409, (b"x-wopi-lock", current.encode()))
    if isinstance(error, EditorConflict):
        return answered(409, value={"COOLStatusCode": _CHANGED_ELSEWHERE})
    status = _STATUS.get(type(error), error.http_status)
    if status >= 500:
        log.warning("an editor's request: %s", error.code)
    return answered(status, (b"x-wopi-servererror", error.code.encode()))


def _token(request: Request) -> str:
    """Errors: GrantRefused."""
    try:
        found = fields(request.query, 20).get("access_token", [])
    except Invalid:
        raise GrantRefused from None
    return found[0] if found else request.header(b"authorization").removeprefix("Bearer ")
