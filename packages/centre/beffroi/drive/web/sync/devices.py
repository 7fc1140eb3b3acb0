"""What a device does with its own app password: gives it up when somebody signs out there, and has an address made by
which a player, which knows no password, fetches one file.

Rule:    an address is a grant for one file, of one app password: whoever has the address has the file, while the
         password stands, its person sees the file, and MOST_S have not passed. Nothing else opens by it. What lies with
         another collectivité is told at each fetch, as when the device fetches it itself.
         A password that was given up is told first, for the worker ends it for all doors and writes the audit log;
         here it opens nothing from the answer on.
Hostile: numbers, forms, addresses; every defect of an address is "no such file".
Fails:   closed: what cannot be told does not happen.
Source:  Nextcloud's developer manual, "Direct Download"; docs/decisions/0093-labels-and-direct-links.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from beffroi.core.planes.tokens import GrantRefused, make_grant, read_grant
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.views import Place
from beffroi.drive.web.dav import content, properties
from beffroi.drive.web.dav.call import Call, MethodRefused
from beffroi.drive.web.dav.paths import FILES, Target
from beffroi.drive.web.dav.service import Dav
from beffroi.drive.web.errors import words
from beffroi.drive.web.given import number
from beffroi.drive.web.messages import Answer, Enter, Request, Routes
from beffroi.drive.web.signin import Doorman
from beffroi.drive.web.sync import ocs, push, share_fields
from beffroi.drive.web.sync.call import NOWHERE
from beffroi.drive.who import Who
from beffroi.lib import digits
from beffroi.lib.errors import BeffroiError, Invalid

DIRECT = "/remote.php/direct"
LEAVE, MAKE = "/core/apppassword", "/apps/dav/api/v1/direct"
MOST_S, MOST_ASKED_S = 8 * 3600, 24 * 3600


@dataclass(frozen=True)
class Devices:
    """``tell``: that a device gave its app password up; blocking. Errors: Unavailable. ``base_url``: without a slash at
    its end."""

    dav: Dav
    doorman: Doorman
    push: push.Push
    key: bytes
    enter: Enter
    tell: Callable[[Who], object]
    base_url: str

    def add_to(self, routes: Routes) -> None:
        for version in (ocs.V1, ocs.V2):
            routes.add(version + LEAVE, self.leave)
            routes.add(version + MAKE, self.make)
        routes.add(DIRECT, self.give, is_open=True)

    async def leave(self, request: Request) -> Answer:
        version, who = request.path[: len(ocs.V1)], request.signed_in
        if request.method != "DELETE" or request.path.rstrip("/") != version + LEAVE:
            return ocs.unknown(request, version)
        await asyncio.to_thread(self.tell, who)
        self.doorman.refuse(who.app_password_id)
        self.push.end(who)
        return ocs.good(request, version, [])

    async def make(self, request: Request) -> Answer:
        version, who = request.path[: len(ocs.V1)], request.signed_in
        if request.method != "POST" or request.path.rstrip("/") != version + MAKE:
            return ocs.unknown(request, version)
        try:
            said = await share_fields.fields_of(request)
            file_id, ttl_s = number(said.get("fileId", "")), _seconds(said.get("expirationTime", ""))
            call = await self.dav.call_at(request, NOWHERE)
            _, place = await asyncio.to_thread(_found, call, file_id)
            if place.node.is_folder:
                raise Invalid("a file")
        except BeffroiError as error:
            if error.http_status >= 500:
                raise
            return ocs.answer(request, version, error.http_status, [], words(error))
        path = f"{DIRECT}/{file_id}"
        grant = make_grant(
            self.key,
            subject_id=who.app_password_id,
            collectivite_id=who.collectivite_id,
            paths=(path,),
            ttl_s=ttl_s,
        )
        return ocs.good(request, version, {"url": f"{self.base_url}{path}/{grant}"})

    async def give(self, request: Request) -> Answer:
        """Errors: AbsentNode, AddressRefused, DeviceStopped, those of a download."""
        if request.method not in ("GET", "HEAD"):
            raise MethodRefused("GET", "HEAD")
        step, _, text = request.path.removeprefix(DIRECT).strip("/").partition("/")
        file_id = number(step)
        try:
            grant = read_grant(self.key, text, path=f"{DIRECT}/{file_id}")
        except GrantRefused:
            raise AbsentNode("file") from None
        who = await self.doorman.holder(grant.subject_id, request.address)
        if who is None or who.collectivite_id != grant.collectivite_id:
            raise AbsentNode("file")
        self.enter(request, who)
        call = await self.dav.call_at(request, Target(f"{FILES}/{who.login}", ()))
        call, place = await asyncio.to_thread(_found, call, file_id, crosses=True)
        if place.node.is_folder:
            raise AbsentNode("file")
        return content.file(call, place)


def _found(call: Call, file_id: int, *, crosses: bool = False) -> tuple[Call, Place]:
    """What ``oc:fileid`` names, wherever this person sees it. ``crosses``: it is told where it is another
    collectivité's, and the call is one there. Blocking. Errors: AbsentNode, DeviceStopped, Unavailable."""
    with call.view.database.reading() as reading:
        try:
            return call, call.view.at(reading, file_id)
        except AbsentNode:
            visits = call.view.visits(reading)
    for visit in visits:
        shift = properties.shift(visit.collectivite_id, call.who.collectivite_id)
        try:
            with visit.database.reading() as there:
                place = visit.at(there, file_id - shift)
        except AbsentNode:
            continue
        return (call.towards(call, Target(call.target.base, place.path)) if crosses else call), place
    raise AbsentNode("file")


def _seconds(text: str) -> int:
    """How long an address is asked for, within what is given. Errors: Invalid."""
    if not text:
        return MOST_S
    asked_s = digits.needed(text, "expirationTime")
    if not 0 < asked_s <= MOST_ASKED_S:
        raise Invalid("expirationTime")
    return min(asked_s, MOST_S)
