"""Sync clients hear at once that something changed, instead of asking each minute (Nextcloud's notify_push).

Rule:    a connection says who it is, and from then on hears "notify_file" when the etag of a root that its person sees
         is another one: nothing of what changed. Whoever changes something says which collectivité (``told`` in this
         process, a datagram from others); what was changed is looked up here, so a wrong or lost word harms nobody.
Process: drive.
Hostile: everything that comes by a connection. It says two lines in AUTHENTICATE_S, or it ends; later ones are ignored.
Fails:   open: a client that hears nothing asks by itself; each SWEEP_S all roots are looked at.
Source:  docs/internals/drive-sync.md, "Push"; github.com/nextcloud/notify_push, "WebSocket messages".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beffroi.drive.store.commune import Communes
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.web.messages import Receive, Send
from beffroi.drive.who import Who
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id

log = logging.getLogger("beffroi.drive")
PATH = "/push/ws"
AUTHENTICATE_S, LIFE_S, SWEEP_S, GATHER_S = 15.0, 3600.0, 60.0, 0.2
MOST_CONNECTIONS, MOST_OF_A_PERSON = 20_000, 32
MAX_LINE_CHARS = 512
_REFUSED, _TOO_MANY, _OVER = 4401, 4429, 1001

type CheckedBy = Callable[[str, str, str, Receive], Awaitable[Who]]
"""login, password, address: who that is. Errors: BeffroiError (nobody)."""


def directory(run: Path) -> Path:
    """Where the sockets of all drive processes are, given ``Config.run``."""
    return run / "drive-push"


def tell(run: Path, collectivite_id: str) -> None:
    """From another process: something changed in a collectivité's drive. Never blocks, never fails."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for path in directory(run).glob("*.sock"):
            with contextlib.suppress(OSError):  # full: it looks anyway; refused: it died
                sender.sendto(collectivite_id.encode(), str(path))


@dataclass(eq=False)
class Connection:
    """``seen``: the etag of the person's root when they last heard of it; 0 while they are not signed in yet.
    ``life``: until when it may hear."""

    who: Who
    send: Send
    seen: int = 0
    life: asyncio.Timeout | None = None


class Push:
    """All connections of this process. ``start`` and ``stop`` belong to its loop."""

    def __init__(self, communes: Communes, checked_by: CheckedBy) -> None:
        self._communes, self._checked_by = communes, checked_by
        self._by_collectivite: dict[str, set[Connection]] = {}
        self._receivers: dict[str, set[str]] = {}
        """Collectivités whose people see something of one, as it was when they were last looked at."""
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: socket.socket | None = None
        self._path: Path | None = None
        self.listeners: list[Callable[[str], object]] = []
        """Called with the collectivité in which another process changed something; in the loop."""

    def start(self, run: Path | None = None, name: str = "drive") -> None:
        """``run``: where other processes say what they changed; None: nobody does."""
        self._loop = asyncio.get_running_loop()
        self._tasks = [asyncio.create_task(self._tell_changes()), asyncio.create_task(self._sweep())]
        if run is not None:
            self._path = directory(run) / f"{name}.sock"
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.bind(str(self._path))
            self._socket.setblocking(False)
            self._loop.add_reader(self._socket, self._readable)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None and self._path is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def told(self, collectivite_id: str) -> None:
        """Something changed there; from any thread."""
        if self._loop is not None and self._is_heard(collectivite_id):
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._note, collectivite_id)

    async def serve(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One websocket, from its first message to its end."""
        await receive()  # websocket.connect
        headers = dict(scope["headers"])
        # Browsers let any page open a websocket: it would try passwords from the address of whoever reads it.
        if scope["path"].rstrip("/") != PATH or granted.is_foreign(headers):
            await send({"type": "websocket.close", "code": _OVER})  # before it is accepted: 403
            return
        address = headers.get(b"x-forwarded-for", b"").decode("latin-1")
        await send({"type": "websocket.accept"})
        try:
            async with asyncio.timeout(AUTHENTICATE_S):
                login, password = await _line(receive), await _line(receive)
                who: Who | None = await self._checked_by(login, password, address, receive)
        except (TimeoutError, _Gone, BeffroiError):
            who = None
        if who is None:
            await _end(send, "err: Invalid credentials", _REFUSED)
            return
        connection = Connection(who, send)
        mine = self._by_collectivite.setdefault(who.collectivite_id, set())
        everybody = sum(len(one) for one in self._by_collectivite.values())
        same = sum(one.who.person_id == who.person_id for one in mine)
        if everybody >= MOST_CONNECTIONS or same >= MOST_OF_A_PERSON:
            await _end(send, "err: Too many connections", _TOO_MANY)
            return
        mine.add(connection)
        try:
            async with asyncio.timeout(LIFE_S) as connection.life:
                # Then it signs in again: what was revoked hears nothing more.
                seen = await asyncio.to_thread(self._looked, who)
                # Nothing else may come before it.
                await send({"type": "websocket.send", "text": "authenticated"})
                connection.seen = seen
                self._note(who.collectivite_id)  # what came in between
                await _until_gone(receive)
        except (TimeoutError, BeffroiError):  # or its root cannot be looked up now: it comes again
            with contextlib.suppress(Exception):
                await send({"type": "websocket.close", "code": _OVER})
        finally:
            mine.discard(connection)
            if not mine:
                self._by_collectivite.pop(who.collectivite_id, None)

    def end(self, who: Who) -> None:
        """For an app password that opens nothing any more: its connections end. In the loop."""
        for one in self._by_collectivite.get(who.collectivite_id, ()):
            if one.life is not None and one.who.app_password_id == who.app_password_id:
                one.life.reschedule(asyncio.get_running_loop().time())

    def _is_heard(self, collectivite_id: str) -> bool:
        return collectivite_id in self._by_collectivite or collectivite_id in self._receivers

    def _note(self, collectivite_id: str) -> None:
        self._changed |= {collectivite_id, *self._receivers.get(collectivite_id, ())}
        self._wake.set()

    def _etag(self, who: Who) -> int:
        """As ``_looked``; 0 where it cannot be looked up: the next sweep looks again."""
        try:
            return self._looked(who)
        except BeffroiError:
            # The metadata do not answer, or another collectivité's that shares with this person.
            return 0
        except Exception:  # the outermost place of a look: one that fails takes no other along
            log.exception("a person's root cannot be looked up")
            return 0

    def _looked(self, who: Who) -> int:
        """The etag of a person's root; whose changes they hear of is noted. Blocking. Errors: those of the metadata."""
        view = View.of(who, self._communes.metadata)
        with view.database.reading() as reading:
            for owner in view.owners(reading):
                self._receivers.setdefault(owner, set()).add(who.collectivite_id)
            return view.place(reading, ()).etag

    def _readable(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                text = self._socket.recv(64).decode("ascii", "replace")
                if not is_id(text, "col"):
                    continue
                for listener in self.listeners:
                    listener(text)
                if self._is_heard(text):
                    self._note(text)

    async def _tell_changes(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)  # many files of one device are one word
            self._wake.clear()
            changed, self._changed = self._changed, set()
            for collectivite_id in changed:
                await self._tell(collectivite_id)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for collectivite_id in list(self._by_collectivite):
                await self._tell(collectivite_id)

    async def _tell(self, collectivite_id: str) -> None:
        connections = list(self._by_collectivite.get(collectivite_id, ()))
        etags = await asyncio.to_thread(lambda: [self._etag(one.who) for one in connections])
        for one, etag in zip(connections, etags, strict=True):
            if one.seen and etag and etag != one.seen:
                one.seen = etag
                with contextlib.suppress(Exception):  # it is gone; its own task ends it
                    await one.send({"type": "websocket.send", "text": "notify_file"})


class _Gone(Exception):
    """The connection ended, or does not speak the protocol."""


async def _line(receive: Receive) -> str:
    message = await receive()
    text = message.get("text")
    if message["type"] != "websocket.receive" or not isinstance(text, str) or len(text) > MAX_LINE_CHARS:
        raise _Gone
    return text


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass  # "listen notify_file_id" and what else clients may say: they hear "notify_file" all the same


async def _end(send: Send, text: str, code: int) -> None:
    with contextlib.suppress(Exception):
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close", "code": code})
