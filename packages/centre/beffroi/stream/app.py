"""The stream process as an ASGI application.

Purpose: hold the doors' and the browsers' connections, publish the feed, take acknowledgements and facts.
Process: stream (the publisher) and its relays, if any; unprivileged, no Django. Listens on STATE/run/NAME.sock.
Input:   hostile: everything that passes the front door. Bodies, headers, channels and rates are limited.
Fails:   every door keeps its last list. Nothing is acknowledged before its commit.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from beffroi_protocol.messages import Ack
from beffroi_protocol.signing import Signer, unb64
from beffroi_protocol.table import OVERLAY
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beffroi.core.planes import files
from beffroi.core.planes.db import Database, connect
from beffroi.core.planes.listen import Listener
from beffroi.core.planes.wake import Waker
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, NotFound
from beffroi.stream import live, software, standing, uplink
from beffroi.stream.acks import Acks
from beffroi.stream.answers import Held, answer, inflated, read_body
from beffroi.stream.auth import BoxRevoked, Caller, Gatekeeper, is_local
from beffroi.stream.batches import pause_between_s
from beffroi.stream.browsers import Browsers
from beffroi.stream.connections import Connections, Followed
from beffroi.stream.downloads import AT_ONCE_A_BOX, AT_ONCE_A_DOOR, Downloads
from beffroi.stream.endpoints import route, router
from beffroi.stream.feedlog import parse_since
from beffroi.stream.hub import STALL_S, Hub, Subscriber
from beffroi.stream.lookups import Lookups
from beffroi.stream.nonces import Nonces
from beffroi.stream.posts import Facts
from beffroi.stream.publisher import POLICY_TOPIC, Publisher
from beffroi.stream.relay import Relay
from beffroi.stream.runs import Runs
from beffroi.stream.store import BoxRow, Event, Store
from beffroi.stream.uplink import Enforced, Followers, Uplink

log = logging.getLogger("beffroi.stream")

SEEN_EVERY_S = 60.0
MAX_POSTS_AT_ONCE = 64
RETRY_FIRST_S, RETRY_MAX_S = 0.02, 2.0


class Stream:
    """Everything of one stream process. ``start`` and ``stop`` run in its event loop."""

    def __init__(self, config: Config, relay: str = "") -> None:
        """``relay``: its name, where this process is one; else it is the publisher."""
        self.config = config
        self.name = relay or "stream"
        self.hub = Hub()
        self.nonces = Nonces()
        self._databases: list[Database] = [connect(config.database), connect(config.database)]
        feed_store = Store(self._databases[0], config.run)
        self._store = store = Store(self._databases[1], config.run)
        self._thread = ThreadPoolExecutor(1, "requests")
        key = Ed25519PrivateKey.from_private_bytes(unb64(config.secret("feed.key").decode()))
        self._delegation = config.secret("feed-delegation.line") + b"\n"
        self.browsers = Browsers(
            config.secret("live.key"), lambda who: self._run(lambda: standing.standing(store.database, who))
        )
        self._uplink = Uplink(config, relay, lambda: len(self.hub)) if relay else None
        self._relayed = Followers()
        self.publisher = (
            Publisher(config, feed_store, Signer(key), self.hub, self._on_event)
            if self._uplink is None
            else Relay(
                config, feed_store, Signer(key), self.hub, self._on_event, name=relay, tell=self._uplink.claim
            )
        )
        self.gate = Gatekeeper(config, self.nonces, Lookups(self._run, store).box)
        self.acks = Acks(self._run, store, self._on_enforced)
        self.facts = Facts(self._run, store)
        self.runs = Runs(self._run, store)
        self._downloads = Downloads()
        self._posts = asyncio.Semaphore(MAX_POSTS_AT_ONCE)
        self._revoked: set[str] = set()  # since the start; a revoked box never becomes active again
        self._tasks: list[asyncio.Task[None]] = []
        self._connections = Connections(
            config.run / f"{self.name}-held.sock", self.hub, self.follow_box, self._nonce
        )
        self.app = router([*self._routes(), *([] if relay else self._routes_of_the_publisher())])

    def _routes(self) -> list[Route]:
        return [
            route("/v1/nonce", self.nonce, self._nonce),
            route("/v1/feed", self.follow, self._nonce),
            route("/v1/files/{digest}", self.file, self._nonce),
            route("/v1/facts", self.post_facts, self._nonce, "POST"),
            route("/healthz", self.health, str),
        ]

    def _routes_of_the_publisher(self) -> list[Route]:
        return [
            route(live.PATH, self.browsers.watch, str),
            route(uplink.PATH, self.relayed, str, "POST"),
        ]

    # -- life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Errors: Unavailable (no database)."""
        await self.publisher.start()
        jobs = [self._publish, self._beat, self._note_seen, self._cut_stalled, self.browsers.run]
        if self._uplink is not None:
            jobs.append(self._uplink.run)
        self._tasks += [asyncio.create_task(job()) for job in jobs]
        await self._connections.start()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._connections.close()
        self.hub.close_all()
        self.browsers.hub.close_all()
        await self.acks.close()
        if self._uplink is not None:
            self._uplink.close()
        self._downloads.close()
        self._thread.shutdown(wait=True)
        self.publisher.close()
        for database in self._databases:
            database.close()

    async def _publish(self) -> None:
        with Waker(self.config.run, self.name) as waker, Listener(self.config.database, waker):
            pause_s = RETRY_FIRST_S
            while True:
                published = self.publisher.published
                try:
                    while await self.publisher.step():
                        pass
                    pause_s = RETRY_FIRST_S
                except Exception as error:  # noqa: BLE001 - outermost loop of the process
                    log.error("feed not published: %s", getattr(error, "code", type(error).__name__))
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, RETRY_MAX_S)
                    continue
                if self._uplink is None and self.publisher.published != published:
                    # The first decision went out at once; those of the pause travel in one batch.
                    await asyncio.sleep(pause_between_s(self._followers(), self.config.batch_pause_ms))
                await waker.wait_async()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.config.heartbeat_s)
            try:
                self._read_delegation()
                await self.publisher.beat()
            except Exception as error:  # noqa: BLE001 - outermost loop of the process
                log.error("no heartbeat: %s", getattr(error, "code", type(error).__name__))

    def _followers(self) -> int:
        """Of this process, and of the relays behind it."""
        return len(self.hub) + self._relayed.count(now_s=asyncio.get_running_loop().time())

    def _read_delegation(self) -> None:
        """A delegation that the root renewed meanwhile reaches everyone who is connected."""
        line = self.config.secret("feed-delegation.line") + b"\n"
        if line != self._delegation:
            self._delegation = line
            for topic in self.hub.topics():
                self.hub.send(topic, line)

    async def _note_seen(self) -> None:
        while True:
            await asyncio.sleep(SEEN_EVERY_S)
            boxes = [owner for owner in self.hub.owners() if owner.startswith("box_")]
            try:
                await self._run(partial(self._store.seen, boxes))
            except Exception as error:  # noqa: BLE001 - outermost loop of the process
                log.error("boxes seen are not noted: %s", getattr(error, "code", type(error).__name__))

    async def _cut_stalled(self) -> None:
        while True:
            await asyncio.sleep(STALL_S / 4)
            for hub in (self.hub, self.browsers.hub):
                hub.cut_stalled(now_s=asyncio.get_running_loop().time())

    async def _run[R](self, function: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    # -- events ------------------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if event.kind == "box:revoked":
            box_id = str(event.payload.get("box_id", ""))
            self._revoked.add(box_id)
            self.hub.close_owner(box_id)
        elif event.kind in ("box:policy_changed", "communes:collectivite_renamed"):
            owner = event.collectivite_id or str(event.payload.get("collectivite_id", ""))
            self.publisher.forget_policy(owner)
            self._later(self._send_policy, owner)
        elif event.kind == "box:question_asked":
            self._ask(event)
        elif event.kind == "box:release_offered":
            self._later(self._offer, str(event.payload.get("box_id", "")))
        self.browsers.tell(event)

    def _later(self, send: Callable[[str], Awaitable[None]], whom: str) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(self._patiently(send, whom)))

    async def _patiently(self, send: Callable[[str], Awaitable[None]], whom: str) -> None:
        """Who is connected is told once the database answers: no event says it again."""
        while True:
            try:
                return await send(whom)
            except Exception as error:  # noqa: BLE001 - as in the loops above
                log.error("%s: not sent yet: %s", whom, getattr(error, "code", type(error).__name__))
                await asyncio.sleep(RETRY_MAX_S)

    async def _offer(self, box_id: str) -> None:
        if lines := await self._run(lambda: software.release_lines(self._store.database, box_id)):
            self.hub.send(POLICY_TOPIC + box_id, lines)

    def _ask(self, event: Event) -> None:
        """A box that is not connected now is not asked later: the question would be out of date."""
        box_id, question_id = (str(event.payload.get(name, "")) for name in ("box_id", "question_id"))
        if box_id and question_id:
            self.hub.send(POLICY_TOPIC + box_id, self.publisher.question_line(box_id, question_id))

    async def _send_policy(self, collectivite_id: str) -> None:
        if (line := await self.publisher.policy_line(collectivite_id)) is not None:
            self.hub.send(POLICY_TOPIC + collectivite_id, line)

    def _on_enforced(self, box: BoxRow, ack: Ack) -> None:
        one = Enforced(box.id, box.collectivite_id, ack.channel, ack.version)
        if self._uplink is None:
            self.browsers.show(one)
        else:
            self._uplink.enforced(one)

    # -- endpoints ---------------------------------------------------------------------------------------

    def _nonce(self) -> str:
        return self.nonces.issue()

    async def nonce(self, request: Request) -> Response:
        nonce = self._nonce()
        return answer({"nonce": nonce}, nonce=nonce)

    async def follow(self, request: Request) -> Response:
        """A door of the datacenter asks."""
        caller = await self.gate.caller(request)
        if caller.box is not None or self._uplink is not None:
            raise NotFound("page")  # a relay carries the boxes' channels only
        subscriber = await self._subscribe(caller, request)
        return Held(self.hub, subscriber, media_type="application/x-ndjson")

    async def follow_box(self, request: Request) -> Followed:
        """A box asks; its signature covers the request without the body, which is what it enforces, line by line."""
        caller = await self.gate.caller(request)
        if caller.box is None:
            raise NotFound("page")
        await self.runs.joined(caller.box, request.query_params.get("run", ""))
        subscriber = await self._subscribe(caller, request)
        up = self.acks.uplink(caller.box, lambda: not subscriber.closed)
        return Followed(subscriber, up, self._nonce(), caller.box.told)

    async def _subscribe(self, caller: Caller, request: Request) -> Subscriber:
        """Return who follows, entered in the hub. Errors: NotFound, Invalid, BoxRevoked."""
        since = parse_since(request.query_params.get("since", ""))
        names = [part.channel for part in since]
        caller.check_channels(names)
        if len(set(names)) != len(names):
            raise Invalid("since")
        if self.publisher.feed.is_ahead(since):
            log.warning("%s says it knows more than the centre", caller.owner)
            witness = caller.owner if caller.box is None else caller.box.collectivite_id
            await self.publisher.claim(witness, since, trusted=caller.box is None)
        await self.publisher.prepare(since)
        topics, first = names, [self._delegation]
        if caller.box is not None:
            topics = [*names, POLICY_TOPIC + caller.box.collectivite_id, POLICY_TOPIC + caller.box.id]
            box_id = caller.box.id
            release = await self._run(lambda: software.release_lines(self._store.database, box_id))
            policy = await self.publisher.policy_line(caller.box.collectivite_id)
            first += [line for line in (policy, release) if line]
        # No await from here to the hub: a batch, a policy or a revocation, made in between would be missed.
        if caller.owner in self._revoked:
            raise BoxRevoked
        subscriber = Subscriber(caller.owner, topics, [*first, *self.publisher.answer(since)])
        self.hub.add(subscriber, at_most=caller.at_most)
        return subscriber

    async def file(self, request: Request) -> Response:
        """The same answer for a digest that is unknown, of before, or of another commune."""
        caller = await self.gate.caller(request)
        if caller.owner in self._revoked:
            raise BoxRevoked
        path = self.publisher.file(request.path_params["digest"], caller.may_follow)
        if path is None:
            path = await self._software(caller, request.path_params["digest"])
        return self._downloads.answer(
            request,
            path,
            owner=caller.owner,
            at_most=AT_ONCE_A_DOOR if caller.box is None else AT_ONCE_A_BOX,
            alone=caller.box is not None,
            gone=lambda: caller.owner in self._revoked,
            nonce=self._nonce(),
        )

    async def _software(self, caller: Caller, digest: str) -> Path:
        """The package that this box was asked to install. Errors: NotFound."""
        box = caller.box
        if box is None or not await self._run(
            lambda: software.may_have(self._store.database, box.id, digest)
        ):
            raise NotFound("file")
        path = files.software_file(self.config.state, digest)
        if not path.exists():
            raise NotFound("file")
        return path

    async def post_facts(self, request: Request) -> Response:
        box, body = await self._post(request)
        return answer(await self.facts.take(box, body), nonce=self._nonce())

    async def _post(self, request: Request) -> tuple[BoxRow, bytes]:
        async with self._posts:
            body = await read_body(request)
            caller = await self.gate.caller(request, body)
        if caller.box is None:
            raise NotFound("box")
        return caller.box, inflated(request, body)

    async def relayed(self, request: Request) -> Response:
        """What a relay tells; the front door passes nothing on that could be taken for it."""
        async with self._posts:
            news = uplink.read(self.config, request, await read_body(request))
        self._relayed.note(news.relay, news.followers, now_s=asyncio.get_running_loop().time())
        for enforced in news.enforced:
            self.browsers.show(enforced)
        for claimed in news.claimed:
            since = parse_since(claimed.since)
            if self.publisher.feed.is_ahead(since):
                await self.publisher.claim(claimed.collectivite_id, since, trusted=False)
        return answer({"ok": True})

    async def health(self, request: Request) -> Response:
        """For the machine itself. ``?full``: the version of each overlay too, thousands in a large département."""
        if not is_local(request):
            raise NotFound("page")
        feed = self.publisher.feed
        behind = await self._run(self._store.last_event) - self.publisher.position
        full = "full" in request.query_params
        return answer(
            {
                "ok": True,
                "epoch": feed.epoch,
                "versions": {
                    name: made.channel.version
                    for name, made in feed.logs.items()
                    if full or OVERLAY not in name
                },
                "overlays": feed.overlay_summary(),
                "events_behind": behind,
                "followers": len(self.hub),
                "relayed": self._relayed.count(now_s=asyncio.get_running_loop().time()),
                "browsers": len(self.browsers.hub),
            }
        )
