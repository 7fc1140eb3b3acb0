"""What a relay tells the publisher: how many boxes it holds, what they enforce, who says the centre's history is older.

Process: both ends; over STATE/run/stream.sock with the token of the doors. The front door never passes it on.
Input:   the publisher believes its relays as itself: they have the same account and the same key.
Fails:   open: the live view of the console is late: what could not be told goes with the next message. A claim is made
         again at the next connection of that box.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import islice

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from starlette.requests import Request

from beffroi.core.planes.follower import DOOR_HEADER, TOKEN_HEADER
from beffroi.core.planes.tokens import door_token_fits
from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound
from beffroi.lib.unix_http import UnixConnection
from beffroi.stream.auth import is_local

log = logging.getLogger("beffroi.stream")

PATH = "/v1/relay"
DOOR = "relay"
BEAT_S = 5.0
"""A relay speaks at least so often; one that was silent three times as long counts for nothing."""
PAUSE_S = 0.2
TIMEOUT_S = 5.0
MAX_ENFORCED = 500
"""Of one message; what is more goes with the next ones."""


class Enforced(msgspec.Struct, frozen=True, array_like=True):
    box_id: str
    collectivite_id: str
    channel: str
    version: int


class Claimed(msgspec.Struct, frozen=True, array_like=True):
    """A collectivité whose box was given more than the centre has; ``since`` as the box sent it."""

    collectivite_id: str
    since: str


class News(msgspec.Struct, frozen=True):
    relay: str
    followers: int
    enforced: list[Enforced] = []
    claimed: list[Claimed] = []


def read(config: Config, request: Request, body: bytes) -> News:
    """Return what a relay says. Errors: NotFound for anyone else, whatever they sent."""
    known = is_local(request) and request.headers.get(DOOR_HEADER) == DOOR
    if not known or not door_token_fits(config, request.headers.get(TOKEN_HEADER, "")):
        raise NotFound("page")
    try:
        return msgspec.json.decode(body, type=News)
    except UNDECODABLE:
        raise NotFound("page") from None


class Followers:
    """How many boxes the relays hold. Units: seconds of any steady clock."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, float]] = {}

    def note(self, relay: str, followers: int, *, now_s: float) -> None:
        self._said[relay] = (followers, now_s)

    def count(self, *, now_s: float) -> int:
        return sum(count for count, at_s in self._said.values() if now_s - at_s < 3 * BEAT_S)


class Uplink:
    """The relay's end: collects in the event loop, sends in a thread over one kept connection."""

    def __init__(self, config: Config, name: str, followers: Callable[[], int]) -> None:
        self._followers = followers
        self._config = config
        self._name = name
        self._thread = ThreadPoolExecutor(1, "uplink")
        self._connection = UnixConnection(config.run / "stream.sock", timeout_s=TIMEOUT_S)
        self._wake = asyncio.Event()
        self._enforced: dict[tuple[str, str], Enforced] = {}
        """By box and channel what it said last: no more than the boxes held here, however fast they speak."""
        self._claimed: list[Claimed] = []

    def enforced(self, one: Enforced) -> None:
        self._enforced[one.box_id, one.channel] = one
        self._wake.set()

    def claim(self, collectivite_id: str, since: str) -> None:
        if len(self._claimed) < MAX_ENFORCED:
            self._claimed.append(Claimed(collectivite_id, since))
            self._wake.set()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._wake.wait()
            self._wake.clear()
            told = dict(islice(self._enforced.items(), MAX_ENFORCED))
            for key in told:
                del self._enforced[key]
            news = News(self._name, self._followers(), list(told.values()), self._claimed)
            self._claimed = []
            if not await asyncio.get_running_loop().run_in_executor(self._thread, self._send, news):
                self._enforced |= {key: one for key, one in told.items() if key not in self._enforced}
            elif self._enforced:
                self._wake.set()
            await asyncio.sleep(PAUSE_S)

    def _send(self, news: News) -> bool:
        headers = {DOOR_HEADER: DOOR, TOKEN_HEADER: self._config.secret("door.token").decode()}
        problem: Exception | None = None
        for _ in range(2):  # a kept connection may have been closed meanwhile: once more at once
            try:
                self._connection.request("POST", PATH, msgspec.json.encode(news), headers)
                answer = self._connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem = error
            else:
                return answer.status == HTTPStatus.OK
        log.info("publisher not told: %s", type(problem).__name__)
        return False

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._connection.close()
