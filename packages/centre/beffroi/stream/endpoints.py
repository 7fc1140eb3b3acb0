"""From a request to a function of the stream process, and from its answer to the wire.

Purpose: Starlette's router and requests without its layers of middleware: each would stand on the stack of every
         response that is held, and in the way of every acknowledgement (a quarter of its time; decision 0022).
Fails:   what no one expected is an answer 500 and one line in the log, without the request.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from beffroi_protocol.errors import ProtocolError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from beffroi.lib.errors import BeffroiError, NotFound
from beffroi.stream.answers import problem

log = logging.getLogger("beffroi.stream")

Answering = Callable[[Request], Awaitable[Response]]


class Endpoint:
    """One path as an ASGI application. ``nonce``: what a refusal brings along; "" for none."""

    def __init__(self, answering: Answering, nonce: Callable[[], str], methods: tuple[str, ...]) -> None:
        self._answering = answering
        self._nonce = nonce
        self._methods = (*methods, "HEAD") if "GET" in methods else methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in self._methods:
            response = problem(NotFound("page"))
            response.status_code = 405
            return response
        try:
            return await self._answering(request)
        except (BeffroiError, ProtocolError) as error:
            return problem(error, self._nonce())
        except Exception:
            log.exception("a request failed")
            return Response(status_code=500)


def route(path: str, answering: Answering, nonce: Callable[[], str], *methods: str) -> Route:
    return Route(path, Endpoint(answering, nonce, methods or ("GET",)))


def router(routes: list[Route]) -> Router:
    return Router(routes, redirect_slashes=False, default=_not_routed)


async def _not_routed(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await problem(NotFound("page"))(scope, receive, send)
