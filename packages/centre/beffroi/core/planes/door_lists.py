"""The bulk lists of a door in the datacenter: fetched, checked, mapped into memory, asked.

Purpose: a list of a million values costs the door its file and a thread that fetches; urgent lines never wait.
Process: any door (mailgate, web, drive, calendars); DIRECTORY is the door's own, shared by the processes of one door.
Input:   hostile until checked: ``ListCheck`` reads every line before a file gets its name.
Fails:   what is loaded stays loaded, also while its successor cannot be fetched; a fetch that failed is tried
         again, after 1 s to 5 min. An expired list is not matched.
Format:  ``SHA256.KIND``: the uncompressed content, checked as values of that kind.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import mmap
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.lists import Buffer, ListCheck, ListIndex
from beffroi_protocol.messages import BulkList, Entry
from beffroi_protocol.table import STRICTNESS

from beffroi.lib.config import SettingInvalid

log = logging.getLogger("beffroi.follower")

RETRY_FIRST_S, RETRY_MAX_S = 1.0, 300.0
ID_PREFIX = "list:"
_FOREVER = 253_402_300_799
_LEFT_OVER_S = 3600.0

Fetch = Callable[[str, int], Iterator[bytes]]
"""``fetch(sha256, size_bytes)`` yields the uncompressed content; at most ``size_bytes``, or it fails."""
FETCH_ERRORS = (OSError, http.client.HTTPException, ProtocolError, SettingInvalid, ValueError)

_Key = tuple[str, str]  # channel, name


@dataclass(frozen=True)
class _Loaded:
    bulk: BulkList
    index: ListIndex


@dataclass(frozen=True)
class _Retry:
    at_s: float
    pause_s: float


class DoorLists:
    """Answers without a lock: what is loaded is replaced as a whole. ``on_loaded``: hears of each that is new."""

    def __init__(
        self, directory: Path, fetch: Fetch, *, door: str, on_loaded: Callable[[BulkList], None] | None = None
    ) -> None:
        self._directory = directory
        self._fetch = fetch
        self._door = door
        self._on_loaded = on_loaded or (lambda bulk: None)
        self._lock = threading.Lock()  # guards what is wanted, loaded and due again
        self._wanted: dict[_Key, BulkList] = {}
        self._loaded: dict[_Key, _Loaded] = {}
        self._retries: dict[_Key, _Retry] = {}
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # -- answers -----------------------------------------------------------------------------------------

    def match(self, indicator: Indicator, *, now: int, channels: Collection[str]) -> Entry | None:
        """Return an entry that names the list of these channels which holds exactly this indicator."""
        return self._first(now, channels, lambda index: indicator.value if index.match(indicator) else None)

    def match_address(self, address: str, *, now: int, channels: Collection[str]) -> Entry | None:
        """Errors: IndicatorInvalid."""
        return self._first(now, channels, lambda index: index.match_address(address))

    def match_name(self, name: str, *, now: int, channels: Collection[str]) -> Entry | None:
        """Errors: IndicatorInvalid."""
        return self._first(now, channels, lambda index: index.match_name(name))

    def _first(
        self, now: int, channels: Collection[str], ask: Callable[[ListIndex], str | None]
    ) -> Entry | None:
        for (channel, _), one in self._loaded.items():
            if channel not in channels or one.bulk.action not in STRICTNESS or not one.bulk.active(now=now):
                continue
            if (value := ask(one.index)) is not None:
                return entry_of(one.bulk, value)
        return None

    def missing(self) -> list[str]:
        """Names of the lists that are in force and not (or not in their present form) loaded here."""
        with self._lock:
            return sorted({key[1] for key, bulk in self._wanted.items() if not self._is_loaded(key, bulk)})

    # -- the feed ----------------------------------------------------------------------------------------

    def want(self, channel: str, lists: Mapping[str, BulkList]) -> None:
        """Take what a channel says now; returns at once. What was withdrawn is not matched from here on."""
        with self._lock:
            kept = {key: bulk for key, bulk in self._wanted.items() if key[0] != channel}
            self._wanted = kept | {(channel, name): bulk for name, bulk in lists.items()}
            self._loaded = {key: one for key, one in self._loaded.items() if key in self._wanted}
            self._retries = {key: one for key, one in self._retries.items() if key in self._wanted}
            for key, bulk in self._wanted.items():
                if self._loaded.get(key) and self._same_content(key, bulk):
                    self._loaded[key] = replace(self._loaded[key], bulk=bulk)
                if not self._is_loaded(key, bulk):
                    self._retries.pop(key, None)
        self._wake.set()

    def hurry(self) -> None:
        """Try again now: the stream is there."""
        with self._lock:
            self._retries.clear()
        self._wake.set()

    def load_present(self) -> None:
        """Load what lies in the directory: a door that starts while the stream is away matches its lists."""
        for key, bulk in self._due(0.0)[0]:
            if self._path(bulk).exists():
                self._take(key, bulk, fetch=False)

    def start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name=f"lists-{self._door}", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    # -- the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            due, next_s = self._due(time.monotonic())
            for key, bulk in due:
                if self._stopped.is_set():
                    return
                self._take(key, bulk, fetch=True)
            if due:
                self._sweep()
            else:
                self._wake.wait(next_s)

    def _due(self, now_s: float) -> tuple[list[tuple[_Key, BulkList]], float | None]:
        """Return what is to be loaded now, and the seconds until the next retry (None: there is none)."""
        with self._lock:
            open_ = [(key, bulk) for key, bulk in self._wanted.items() if not self._is_loaded(key, bulk)]
            waiting = [self._retries[key].at_s for key, _ in open_ if key in self._retries]
            due = [(k, b) for k, b in open_ if k not in self._retries or self._retries[k].at_s <= now_s]
        return due, max(0.0, min(waiting) - now_s) if waiting else None

    def _take(self, key: _Key, bulk: BulkList, *, fetch: bool) -> None:
        try:
            index = self._index(bulk, fetch=fetch)
        except FETCH_ERRORS as error:
            reason = getattr(error, "code", "") or type(error).__name__
            log.warning("door %s: list %s is not loaded: %s", self._door, bulk.name, reason)
            with self._lock:
                before = self._retries.get(key)
                pause_s = min(before.pause_s * 2, RETRY_MAX_S) if before else RETRY_FIRST_S
                self._retries[key] = _Retry(time.monotonic() + pause_s, pause_s)
            return
        with self._lock:
            if (wanted := self._wanted.get(key)) is not None and _content(wanted) == _content(bulk):
                loaded = self._loaded | {key: _Loaded(wanted, index)}
                self._loaded = {k: loaded[k] for k in self._wanted if k in loaded}  # in their order
                self._retries.pop(key, None)
                log.info("door %s: list %s is loaded: %d values", self._door, bulk.name, bulk.count)
        self._on_loaded(bulk)

    def _index(self, bulk: BulkList, *, fetch: bool) -> ListIndex:
        path = self._path(bulk)
        if not _has_digest(path, bulk):
            if not fetch:
                raise FileNotFoundError(path)
            self._download(bulk, path)
        return ListIndex(_mapped(path), bulk.kind)

    def _download(self, bulk: BulkList, path: Path) -> None:
        """No fsync: the digest is compared at every start."""
        self._directory.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        check = ListCheck(bulk)
        try:
            with temporary.open("xb") as file:
                for piece in self._fetch(bulk.sha256, bulk.size_bytes):
                    check.feed(piece)
                    file.write(piece)
            check.finish()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Forget files that no list of this door names. A process that still maps one keeps it until it ends."""
        with self._lock:
            named: Iterable[BulkList] = (
                *self._wanted.values(),
                *(one.bulk for one in self._loaded.values()),
            )
            names = {self._path(bulk).name for bulk in named}
        try:
            for path in self._directory.iterdir():
                left_over = not path.name.startswith(".") or path.stat().st_mtime < time.time() - _LEFT_OVER_S
                if path.name not in names and left_over:
                    path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("door %s: old lists are not removed: %s", self._door, error.strerror)

    # -- small -------------------------------------------------------------------------------------------

    def _is_loaded(self, key: _Key, bulk: BulkList) -> bool:
        return key in self._loaded and self._same_content(key, bulk)

    def _same_content(self, key: _Key, bulk: BulkList) -> bool:
        return _content(self._loaded[key].bulk) == _content(bulk)

    def _path(self, bulk: BulkList) -> Path:
        return self._directory / f"{bulk.sha256}.{bulk.kind.value}"


def entry_of(bulk: BulkList, value: str) -> Entry:
    """The entry that a door reports when a list matched."""
    return Entry(
        ID_PREFIX + bulk.name,
        Indicator(bulk.kind, value),
        bulk.action,
        bulk.expires_at or _FOREVER,
        bulk.threat or bulk.reason,
    )


def _content(bulk: BulkList) -> tuple[str, Kind]:
    return bulk.sha256, bulk.kind


def _has_digest(path: Path, bulk: BulkList) -> bool:
    """A file has its name only after its lines were checked; the digest says that it is still that file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == bulk.sha256
    except FileNotFoundError:
        return False


def _mapped(path: Path) -> Buffer:
    if not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
