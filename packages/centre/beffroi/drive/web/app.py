"""The drive as an ASGI application: routes, sign-in, errors.

Purpose: WebDAV for explorers and sync clients. What else answers here adds its routes in ``Drive``.
Process: drive; unprivileged, no Django. Listens on STATE/run/drive.sock, behind front.
Hostile: everything that passes the front door.
Fails:   closed. What is not acknowledged was not done; what is acknowledged is on disk.
Source:  docs/internals/drive-http.md.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, MutableMapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

from beffroi.drive.crossing import Tell as Crossed
from beffroi.drive.people import Named
from beffroi.drive.sign_ins import WINDOW_S, SignIns
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.dav import paths
from beffroi.drive.web.dav.owners import Owners
from beffroi.drive.web.dav.service import Dav
from beffroi.drive.web.errors import note, refusal
from beffroi.drive.web.messages import Answer, Header, Receive, Request, Routes, Send
from beffroi.drive.web.signin import CHALLENGE, Doorman, NotSignedIn, TooManySignIns
from beffroi.drive.web.sync.service import Sync
from beffroi.drive.web.sync.sharing import Shares
from beffroi.drive.who import SignIn, Who
from beffroi.lib.errors import BeffroiError, Unavailable

log = logging.getLogger("beffroi.drive")


MOST_AT_ONCE = 64
"""Requests of one person: each download holds some chunks of four megabytes. Sync clients make six at once."""
BUSY_S = 5


class TooManyAtOnce(BeffroiError):
    """This person has too many requests under way at once."""

    code = "drive.too_many_at_once"
    http_status = 429
    retryable = True


class Drive:
    """``executor``: where passwords are checked; None for the loop's own. ``require``: refuses a device that is
    stopped. ``crossed``: is told of what enters another collectivité. ``shares``: what sync clients do with
    them. ``base_url``: where clients reach it."""

    def __init__(
        self,
        communes: Communes,
        bodies: BodiesOf,
        sign_in: SignIn,
        sign_ins: SignIns,
        executor: Executor | None = None,
        *,
        require: Callable[[Who], object],
        crossed: Crossed,
        shares: Shares,
        named: Named,
        base_url: str = "https://localhost",
    ) -> None:
        self.doorman = Doorman(sign_in, sign_ins, require, executor)
        self._at_work: Counter[str] = Counter()
        """Requests of each person that are not answered to their end."""
        self.routes = Routes()
        self.dav = Dav(communes, bodies, Owners(shares.people, named), require=require, crossed=crossed)
        self.dav.add_to(self.routes)
        self.sync = Sync(communes, self.dav, self.doorman, shares, base_url)
        self.sync.add_to(self.routes)
        self.routes.add("/healthz", _health, is_open=True)
        self.routes.add("/.well-known/webdav", _well_known, is_open=True)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.sync.push.serve(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        query = scope["query_string"].decode("latin-1")
        address = headers.get(b"x-forwarded-for", b"").decode("latin-1")
        request = Request(scope["method"], "", query, headers, receive, address)
        try:
            answer = await self._answer(request, scope.get("raw_path") or scope["path"].encode())
            await answer.send(send, receive)
        except TimeoutError:
            log.info("a client takes its answer too slowly")
        finally:
            request.end()

    async def _answer(self, request: Request, raw_path: bytes) -> Answer:
        try:
            request.path = paths.decoded(raw_path)
            return await self.answer(request)
        except BeffroiError as error:
            note(request.method, error)
            await request.drain()
            return refusal(error, headers=_headers(error))
        except Exception:  # the outermost place of a request: one that fails takes no other along
            log.exception("a request failed: %s", request.method)
            return refusal(Unavailable("The drive"))

    async def answer(self, request: Request) -> Answer:
        """Errors: BeffroiError."""
        found = self.routes.find(request.path)
        if found is None:
            raise AbsentNode("file")
        handler, is_open = found
        if not is_open:
            who = await self.doorman.who(request)
            self.enter(request, who)
            request.still = partial(self.doorman.still, who)
        return await handler(request)

    def enter(self, request: Request, who: Who) -> None:
        """Count a request as this person's until it is answered to its end. Errors: TooManyAtOnce."""
        if self._at_work[who.person_id] >= MOST_AT_ONCE:
            raise TooManyAtOnce
        self._at_work[who.person_id] += 1
        request.at_end(partial(self._leave, who.person_id))
        request.who = who

    def _leave(self, person_id: str) -> None:
        self._at_work[person_id] -= 1
        if not self._at_work[person_id]:
            del self._at_work[person_id]


def _headers(error: BeffroiError) -> tuple[Header, ...]:
    if isinstance(error, NotSignedIn):
        return (CHALLENGE,)
    if isinstance(error, TooManySignIns):
        return ((b"retry-after", str(int(WINDOW_S)).encode()),)
    if isinstance(error, TooManyAtOnce):
        return ((b"retry-after", str(BUSY_S).encode()),)
    return ()


async def _health(request: Request) -> Answer:
    return Answer(200, ((b"content-type", b"text/plain"),), b"ok\n")


async def _well_known(request: Request) -> Answer:
    headers: tuple[Header, ...] = ((b"location", f"{paths.EXPLORER}/".encode()),)
    return Answer(301, headers)
