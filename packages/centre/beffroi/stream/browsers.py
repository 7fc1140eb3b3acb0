"""The browsers that listen: who may, what they hear, and their end.

Process: stream, the publisher alone.
Input:   the grant is hostile until its HMAC fits.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request
from starlette.responses import Response

from beffroi.core.planes.tokens import GrantRefused, read_grant
from beffroi.stream import live, standing
from beffroi.stream.answers import Held
from beffroi.stream.auth import LISTENER_HEADER
from beffroi.stream.hub import Hub, Subscriber
from beffroi.stream.store import Event
from beffroi.stream.uplink import Enforced


class Browsers:
    """``ask`` returns those of some who may go on."""

    def __init__(
        self, key: bytes, ask: Callable[[Sequence[standing.Watcher]], Awaitable[set[standing.Watcher]]]
    ) -> None:
        self.hub = Hub()
        self._key = key
        self._ask = ask
        self._watching = standing.Watching(self.hub, ask)
        self._gathered = live.Gathered(self.hub.send)

    async def run(self) -> None:
        await self._watching.run()

    def tell(self, event: Event) -> None:
        data = live.message(event)
        for topic in live.audience(event):
            self.hub.send(topic, data)

    def show(self, one: Enforced) -> None:
        if len(self.hub):
            self._gathered.add(one)

    async def watch(self, request: Request) -> Response:
        """Errors: GrantRefused, NotAllowed."""
        grant = read_grant(self._key, _grant_text(request), path=live.PATH)
        topics = live.topics(grant.collectivite_id, request.headers.get(LISTENER_HEADER, ""))
        watcher = standing.watcher(self._key, grant)
        if not await self._ask([watcher]):
            raise GrantRefused
        subscriber = Subscriber(f"live:{grant.subject_id}", topics, [live.GREETING])
        self.hub.add(subscriber, at_most=live.CONNECTIONS_A_PERSON)
        self._watching.add(subscriber, watcher)
        return Held(
            self.hub,
            subscriber,
            media_type="text/event-stream",
            idle=live.COMMENT,
            idle_s=live.IDLE_S,
            life_s=live.LIFE_S,
        )


def _grant_text(request: Request) -> str:
    """The grant of the cookie (the usual way), or of the address."""
    try:
        cookies = SimpleCookie(request.headers.get("cookie", "")[:8192])
    except CookieError:
        return ""
    if (morsel := cookies.get(live.COOKIE)) is not None:
        return morsel.value
    return request.query_params.get("grant", "")
