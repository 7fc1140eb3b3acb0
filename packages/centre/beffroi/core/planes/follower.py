"""Follower: a door in the datacenter follows the feed from the stream process, in a thread of its own.

Purpose: one implementation for the doors of mail, sign-ins, files and calendars; the box has its own over HTTPS.
         Bulk lists are ``door_lists``, in another thread.
Process: any; standard library and protocol only, no Django. Connects to STATE/run/stream.sock.
Input:   the lines are verified against the pinned root, as in a town hall: a door trusts the signature, not
         the socket. A refused line changes nothing.
Fails:   keeps what it has. The state is saved after every change (a large one: soon) and loaded at start, so a
         door that starts while the stream process is away enforces its last list.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from beffroi_protocol import layers
from beffroi_protocol.errors import FileMismatch
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import MAX_MESSAGE_BYTES, BulkList, Entry
from beffroi_protocol.session import FeedSession, FileWanted, Refused, TrustedClock
from beffroi_protocol.signing import TrustStore, public_bytes, unb64
from beffroi_protocol.table import (
    EVERY,
    OVERLAY,
    Change,
    DecisionTable,
    overlay,
    strictest,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from beffroi.core.planes import files
from beffroi.core.planes.door_lists import FETCH_ERRORS, DoorLists
from beffroi.core.planes.door_state import DoorState
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid

log = logging.getLogger("beffroi.follower")

DOOR_HEADER = "X-Beffroi-Door"
TOKEN_HEADER = "X-Beffroi-Token"  # noqa: S105 - the name of a header
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 5.0
FILE_TIMEOUT_S = 30.0
_PIECE_BYTES = 64 * 1024


def pinned_root(config: Config) -> bytes:
    """Return the pinned root: STATE/secrets/feed-root.pub, or derived while the root key lies here."""
    try:
        return unb64(config.secret("feed-root.pub").decode())
    except SettingInvalid:
        private = Ed25519PrivateKey.from_private_bytes(unb64(config.secret("feed-root.key").decode()))
        return public_bytes(private)


class Follower:
    """Keeps the tables of some channels up to date and answers from them.

    ``on_change`` is called in the follower's thread after each applied change, outside the lock; ``on_loaded`` where a
    bulk list answers, in the thread of the lists, and for those that lie here before the follower is there.
    Locking: tables change only under the lock; every answer takes it (uncontended: well under 1 us).
    """

    def __init__(
        self,
        *,
        socket_path: Path,
        directory: Path,
        root_public_key: bytes,
        door: str,
        token: Callable[[], str],
        channels: Sequence[str],
        silence_s: float = 65.0,
        on_change: Callable[[Change], None] | None = None,
        on_loaded: Callable[[BulkList], None] | None = None,
    ) -> None:
        self._socket_path = socket_path
        self._door = door
        self._token = token
        self._silence_s = silence_s
        self._on_change = on_change
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._connected = False
        self._session = FeedSession(TrustStore(root_public_key), channels, TrustedClock())
        self._named = tuple(self._session.tables)
        self._lists = DoorLists(directory / "lists", self._fetch, door=door, on_loaded=on_loaded)
        self._disk = DoorState(directory, self._session, door=door)
        self._disk.load(channels)
        for table in self._all():
            self._lists.want(table.channel, table.lists)
        self._lists.load_present()

    # -- answers -----------------------------------------------------------------------------------------

    @contextmanager
    def tables(self) -> Iterator[Mapping[str, DecisionTable]]:
        """The tables by channel, held still while the block runs. Keep it short: the feed waits."""
        with self._lock:
            yield self._session.tables

    def now(self) -> int:
        """Trusted time in epoch seconds."""
        return self._session.clock.now(local=clock.epoch(), monotonic=time.monotonic())

    def match(self, indicator: Indicator, communes: Iterable[str] = ()) -> Entry | None:
        """Return the strictest active entry for this exact indicator, of decisions or (as an entry of id
        ``list:NAME``) of bulk lists.

        ``communes``: whom it concerns. What one of them lets through passes only if all of them do; what is
        refused for one of them is refused.
        """
        now = self.now()
        return self._strictest(
            indicator,
            communes,
            now,
            lambda tables: layers.match(indicator, tables, now=now),
            lambda channels: self._lists.match(indicator, now=now, channels=channels),
        )

    def match_address(self, address: str, communes: Iterable[str] = ()) -> Entry | None:
        """As ``match``, with ranges. Errors: IndicatorInvalid."""
        now = self.now()
        return self._strictest(
            normalise(Kind.IP, address),
            communes,
            now,
            lambda tables: layers.match_address(address, tables, now=now),
            lambda channels: self._lists.match_address(address, now=now, channels=channels),
        )

    def match_name(self, name: str, communes: Iterable[str] = ()) -> Entry | None:
        """As ``match``, with parents of the name. Errors: IndicatorInvalid."""
        now = self.now()
        return self._strictest(
            normalise(Kind.DOMAIN, name),
            communes,
            now,
            lambda tables: layers.match_name(name, tables, now=now),
            lambda channels: self._lists.match_name(name, now=now, channels=channels),
        )

    def near(self, sketch: str) -> list[str]:
        """Return the sketches near to this one of which any channel speaks: each is asked for by ``match`` then."""
        with self._lock:
            return list(dict.fromkeys(one for table in self._all() for one in table.near(sketch)))

    def some_allow(self, address: str) -> bool:
        """Whether any collectivité lets this address through: then the answer depends on who it is.
        Errors: IndicatorInvalid."""
        indicator, now = normalise(Kind.IP, address), self.now()
        with self._lock:
            return any(t.exception(indicator, now=now) is not None for t in self._all())

    def _strictest(
        self,
        indicator: Indicator,
        communes: Iterable[str],
        now: int,
        ask: Callable[[Sequence[DecisionTable]], Entry | None],
        ask_lists: Callable[[Collection[str]], Entry | None],
    ) -> Entry | None:
        answers = []
        for commune in tuple(communes) or ("",):
            with self._lock:
                tables = self._layers(commune)
                found = ask(tables)
            if found is None and (listed := ask_lists([t.channel for t in tables])) is not None:
                with self._lock:
                    opened = layers.exception(indicator, tables, now=now) is not None
                found = None if opened else listed
            answers.append(found)
        return strictest(answers)

    def _layers(self, commune: str) -> list[DecisionTable]:
        """The channels that were asked for by name, and the overlays of one collectivité among the others."""
        own = (overlay(every.removesuffix(OVERLAY + EVERY), commune) for every in self._session.every)
        tables = self._session.tables
        return [tables[channel] for channel in (*self._named, *own) if channel in tables]

    def missing_lists(self) -> list[str]:
        """Names of bulk lists that are in force and could not be loaded yet."""
        return self._lists.missing()

    def stale(self) -> bool:
        """True when a channel was never received, or not within its validity: an alarm, nothing else."""
        now = self.now()
        with self._lock:
            return any(t.stale(now=now) for t in self._all())

    @property
    def connected(self) -> bool:
        return self._connected

    def versions(self) -> dict[str, tuple[int, int]]:
        """(epoch, version) by channel."""
        with self._lock:
            return {t.channel: (t.epoch, t.version) for t in self._all()}

    def _all(self) -> Iterator[DecisionTable]:
        return iter(self._session.tables.values())

    # -- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread (a daemon: a door must never keep its process alive)."""
        if self._thread is None or not self._thread.is_alive():
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name=f"feed-{self._door}", daemon=True)
            self._thread.start()
            self._lists.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopped.set()
        if (open_socket := self._socket) is not None:
            try:
                open_socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._lists.stop(timeout_s)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        pause_s = RETRY_FIRST_S
        while not self._stopped.is_set():
            try:
                if self._follow():
                    pause_s = RETRY_FIRST_S
            except FETCH_ERRORS as error:
                log.info("feed of door %s: %s", self._door, type(error).__name__)
            finally:
                self._connected = False
                self._socket = None
            self._stopped.wait(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)

    def _follow(self) -> bool:
        """Read one held response to its end. True when at least one line was applied."""
        connection = http.client.HTTPConnection("stream")
        connection.sock = self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        applied = False
        try:
            with self._lock:
                since = self._session.since()
            response = self._get(connection, f"/v1/feed?since={since}", timeout_s=self._silence_s)
            self._connected = True
            self._lists.hurry()
            while not self._stopped.is_set():
                line = response.readline(MAX_MESSAGE_BYTES + 2)
                if not line.endswith(b"\n"):
                    return applied  # the end, or half a line: never used
                if not self._receive(line.rstrip(b"\n")):
                    return applied
                applied = True
        finally:
            connection.close()
            self._disk.save_due(at_once=True)
        return applied

    def _get(
        self, connection: http.client.HTTPConnection, path: str, *, timeout_s: float
    ) -> http.client.HTTPResponse:
        """Errors: OSError, HTTPException (also every status but 200)."""
        connection.sock.settimeout(timeout_s)
        connection.sock.connect(str(self._socket_path))
        connection.request("GET", path, headers={DOOR_HEADER: self._door, TOKEN_HEADER: self._token()})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"status {response.status}")
        return response

    def _fetch(self, sha256: str, size_bytes: int) -> Iterator[bytes]:
        """Yield a file's uncompressed content, on a connection of its own. Any thread. Errors: FETCH_ERRORS."""
        connection = http.client.HTTPConnection("stream")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            response = self._get(connection, f"/v1/files/{sha256}", timeout_s=FILE_TIMEOUT_S)
            packed = iter(lambda: response.read(_PIECE_BYTES), b"")
            yield from files.decompressed(packed, limit_bytes=size_bytes)
        except zlib.error:
            raise FileMismatch("size or compression") from None
        finally:
            connection.close()

    def _receive(self, line: bytes) -> bool:
        """Apply one line; False asks for a new connection. Errors: FETCH_ERRORS (of a snapshot's file)."""
        with self._lock:
            result = self._session.receive(line, monotonic=time.monotonic())
            forgotten = self._session.forgotten()
        for change in forgotten:
            self._forget(change)
        if isinstance(result, FileWanted):
            payload = b"".join(self._fetch(result.sha256, result.size_bytes))
            with self._lock:
                result = self._session.supply(payload, monotonic=time.monotonic())
            if isinstance(result, Refused):
                log.warning("feed of door %s: refused a snapshot: %s", self._door, result.error.code)
                return False
        if isinstance(result, Refused):
            log.warning("feed of door %s: refused a line: %s", self._door, result.error.code)
            return not result.resync
        if isinstance(result, Change) and _changes(result):
            for one in result.lists_refused:
                log.warning("feed of door %s: list %s does not fit the channel", self._door, one.name)
            self._lists.want(result.channel, self._session.tables[result.channel].lists)
            self._disk.changed(result.channel)
            self._disk.save_due()
            if self._on_change is not None:
                self._on_change(result)
        else:
            self._disk.save_due()
        return True

    def _forget(self, change: Change) -> None:
        """The centre does not know this overlay any more."""
        log.warning("feed of door %s: %s is gone", self._door, change.channel)
        self._lists.want(change.channel, {})
        self._disk.forget(change.channel)
        if self._on_change is not None:
            self._on_change(change)


def _changes(change: Change) -> bool:
    return bool(change.reset or change.added or change.removed or change.lists_added or change.lists_removed)


def door_follower(
    config: Config,
    *,
    door: str,
    channels: Sequence[str],
    directory: Path | None = None,
    on_change: Callable[[Change], None] | None = None,
    on_loaded: Callable[[BulkList], None] | None = None,
) -> Follower:
    """Return the follower of a local door, from the configuration; the caller starts it.

    Errors: SettingInvalid when the root key is not there.
    """
    return Follower(
        socket_path=config.run / "stream.sock",
        directory=directory or config.state / "doors" / door,
        root_public_key=pinned_root(config),
        door=door,
        token=lambda: config.secret("door.token").decode(),
        channels=channels,
        silence_s=config.heartbeat_s * 3 + 5.0,
        on_change=on_change,
        on_loaded=on_loaded,
    )
