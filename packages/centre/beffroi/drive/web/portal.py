"""What the portal's pages send and fetch: who asks, what is asked, and how an error is said.

Process: drive, under the portal's grant (``granted``).
Hostile: everything: grants, addresses, bodies. What is sent: ``desk``; what is fetched: ``given``; links: ``linked``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

from beffroi.core.planes.tokens import GrantRefused
from beffroi.drive import browsers, crossing
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import AbsentNode, Act
from beffroi.drive.views import View
from beffroi.drive.web import granted, numbered
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.desk import Desk, upload_of
from beffroi.drive.web.errors import told
from beffroi.drive.web.given import Given, back
from beffroi.drive.web.linked import Linked, Tell
from beffroi.drive.web.making import Maker
from beffroi.drive.web.messages import Answer, Enter, Request, Routes, json_answer, led_to
from beffroi.drive.web.visiting import Visits
from beffroi.drive.who import Standing, Who
from beffroi.lib import clock, digits
from beffroi.lib.errors import BeffroiError

AGAIN = "encore=1"
"""What follows the address of a file that is fetched with a grant made anew: it is asked for once."""
FETCHED = re.compile(
    granted.OUT_PATH
    + r"(?:(?:/chez/shr_[0-9a-z]{26})?/N(?:/N)?|/avant(?:/N){3})".replace("N", "[0-9]{1,18}" + numbered.MARK),
    re.ASCII,
)
"""Addresses of files that a person fetches by a link of a page: whose grant is over is led to a new one."""


@dataclass(frozen=True)
class Portal:
    communes: Communes
    bodies: BodiesOf
    key: bytes
    enter: Enter
    tell: Tell
    crossed: crossing.Tell
    maker: Maker
    standing: Standing
    stopped: Callable[[Who], object]

    @cached_property
    def visits(self) -> Visits:
        return Visits(self.communes, self.bodies, self.crossed)

    def add_to(self, routes: Routes) -> None:
        linked = Linked(self.communes, self.bodies, self.key, self.tell, self.maker, self.standing)
        routes.add(granted.LINK_PATH, linked, is_open=True)
        given = Given(self.visits, self.key, self.enter)
        routes.add(granted.OUT_PATH, partial(told, given, _said), is_open=True)
        routes.add(granted.IN_PATH, partial(told, self.receive, _said), is_open=True)

    async def receive(self, request: Request) -> Answer:
        """Errors: GrantRefused, ForeignOrigin, DeviceStopped, Invalid, TooLarge, those of the store."""
        who = granted.who(self.key, request, granted.IN_PATH)
        self.enter(request, who)
        if request.method != "GET":
            granted.require_own_origin(request)
        now_s = clock.epoch_s()
        device = browsers.device_of("page", who.person_id, now_s)
        address = request.path.removeprefix(granted.IN_PATH)
        what: crossing.What = "list" if request.method == "GET" else "change"
        is_part = request.method == "PUT"
        view, bodies, steps = await asyncio.to_thread(self.visits.enter, who, address, what, goes_on=is_part)
        self._require_free(who, view, device)
        request.still = partial(asyncio.to_thread, self._require, who, view, device)
        desk = Desk(view, bodies, Act(who.person_id, device, now_s))
        if request.method == "GET" and len(steps) == 1:
            return desk.status(upload_of(steps[0]))
        match request.method, steps:
            case "POST", ["formulaire"]:
                return await desk.form(request)
            case "POST", ["fichier"]:
                return await desk.whole(request, desk.sent(request))
            case "POST", ["dossier"]:
                return await desk.empty_folder(desk.sent(request))
            case "POST", [upload]:
                return await desk.begin(upload_of(upload), desk.sent(request))
            case "POST", [upload, "fin"]:
                return await desk.finish(request, upload_of(upload), desk.sent(request))
            case "PUT", [upload, text] if (number := digits.number(text, most=5)) is not None:
                return await desk.part(request, upload_of(upload), number)
            case "DELETE", [upload]:
                return await desk.give_up(upload_of(upload))
        raise AbsentNode("file")

    def _require(self, who: Who, view: View, device: str) -> None:
        """Asked again after a long body, which a grant of minutes may have outlived. Blocking.

        Errors: GrantRefused (they left, or have another role), DeviceStopped, AbsentNode, Unavailable.
        """
        if who.role not in {one.role for one in self.standing(who.person_id, who.collectivite_id)}:
            raise GrantRefused
        self.visits.require(who, view)
        self._require_free(who, view, device)

    def _require_free(self, who: Who, view: View, device: str) -> None:
        """Errors: DeviceStopped (in the person's collectivité, or in the one whose tree it is), Unavailable."""
        for owner in {who.collectivite_id, view.collectivite_id}:
            self.stopped(replace(who, app_password_id=device, collectivite_id=owner))


def _said(request: Request, error: BeffroiError) -> Answer:
    """For a script the code, which the page has words for; a person is led to a page, or to a new grant."""
    if isinstance(error, GrantRefused) and FETCHED.fullmatch(request.path) and request.query != AGAIN:
        return led_to(f"/coffre/droit/?vers={request.path}")
    if FETCHED.fullmatch(request.path) and "text/html" in request.header(b"accept"):
        return back("", error, page_of(request.path))
    is_form = request.method == "POST" and granted.FILE_HEADER not in request.headers
    if is_form and not isinstance(error, granted.ForeignOrigin):
        return back("", error)
    return json_answer(error.http_status, {"code": error.code})


def page_of(fetched: str) -> str:
    """The page of the file at an address that ``FETCHED`` knows; of one of the past its folder's."""
    steps = fetched.removeprefix(granted.OUT_PATH).strip("/").split("/")
    if steps[0] == "chez":
        return f"/coffre/chez/{steps[1]}/{steps[2]}/"
    return f"/coffre/{steps[1] if steps[0] == 'avant' else steps[0]}/"
