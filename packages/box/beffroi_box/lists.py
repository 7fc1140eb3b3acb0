"""Bulk lists of the box: what is wanted, what is on disk, what is in force.

Purpose: long lists reach the kernel without touching the urgent way: fetched by digest, checked, loaded by a child.
         Those of the action ``warn`` are on trial: kept and asked, never loaded.
Process: the agent's threads ``keep_lists`` and, for what the days before say, ``look_back_on_lists``; files in
         STATE/lists, named by their digest.
Input:   the names of lists and their digests are signed; the files are checked line by line before use.
Fails:   whatever cannot be fetched, checked or stored leaves the list of that name in force that was there; at a
         start, the lists on disk come into force before the network is asked.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE, FileMismatch, ListInvalid, ProtocolError
from beffroi_protocol.facts import LookBack
from beffroi_protocol.indicators import Kind
from beffroi_protocol.messages import Action, BulkList
from beffroi_protocol.table import DecisionTable

from beffroi_box import load
from beffroi_box.config import BoxConfig
from beffroi_box.diary import Diary
from beffroi_box.download import Files, fetch_list
from beffroi_box.enforce import Enforcer
from beffroi_box.errors import BoxError, CentreUnreachable, LoadFailed
from beffroi_box.facts import FactSpool, new_id
from beffroi_box.inspection import inspected_file
from beffroi_box.listed import Listed
from beffroi_box.resolver import bulk_file, observed_file
from beffroi_box.store import read_checked, write_checked

log = logging.getLogger("beffroi_box.lists")

WAKE_S = 1.0
BACKOFF_FIRST_S, BACKOFF_LAST_S = 2.0, 600.0
_ADDRESSES = (Kind.IP, Kind.CIDR)
_DAMAGED = (FileMismatch.code, ListInvalid.code)

_Load = load.Addresses | load.Names

Key = tuple[str, str]
"""(channel, name of the list)."""


class _InForce(msgspec.Struct):
    v: int
    lists: list[tuple[str, BulkList]]


class ListKeeper:
    """``now`` returns trusted epoch seconds."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        config: BoxConfig,
        files: Files,
        spool: FactSpool,
        enforcer: Enforcer,
        diary: Diary,
        now: Callable[[], int],
    ) -> None:
        self._directory = config.state / "lists"
        self._diary = diary
        self._bulk_names, self._observed_names = bulk_file(config), observed_file(config)
        self._inspected = inspected_file(config)
        self._files = files
        self._spool = spool
        self._enforcer = enforcer
        self._resolver, self._recursor_port = enforcer.resolver, config.recursor_port
        self._now = now
        self._kinds = (*_ADDRESSES, Kind.DOMAIN) if config.resolver else _ADDRESSES
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._wanted: dict[Key, BulkList] = {}
        self._chosen: dict[Key, BulkList] = self._read()
        self._looked: dict[Key, BulkList] = self._read("looked-back")
        self._looking: tuple[BulkList, ...] = ()
        self._whole: set[str] = set()
        self._loaded: dict[str, object] = {}
        self.listed = Listed(enforcer)
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self.in_force = 0
        self.waiting = 0
        self.trouble = ""

    # -- what is wanted ----------------------------------------------------------------------------------

    def want(self, tables: Iterable[DecisionTable]) -> None:
        """Called by whoever changed the tables."""
        wanted = {
            (table.channel, name): one
            for table in tables
            for name, one in table.lists.items()
            if one.kind in self._kinds and one.action in (Action.BLOCK, Action.WARN)
        }
        with self._lock:
            self._wanted = wanted
        self._wake.set()

    def _active(self) -> dict[Key, BulkList]:
        with self._lock:
            return {key: one for key, one in self._wanted.items() if one.active(now=self._now())}

    # -- the thread --------------------------------------------------------------------------------------

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                self.bring_into_force()
                self._clean()
                if self._fetch_missing(stopping.is_set):
                    continue
                self.trouble = ""
            except (BoxError, ProtocolError, OSError) as error:
                text = error.strerror or "disk" if isinstance(error, OSError) else str(error)
                if text != self.trouble:
                    log.warning("lists: %s", text)
                self.trouble = text
            self._wake.wait(WAKE_S)
            self._wake.clear()

    def bring_into_force(self) -> None:
        """Load what is on disk, if that or its ground changed. Errors: LoadFailed, OSError (disk)."""
        active, ground = self._active(), self._enforcer.ground()
        chosen: dict[Key, BulkList] = {}
        for key, one in active.items():
            if self._is_here(one):
                chosen[key] = one
            elif (
                (before := self._chosen.get(key)) is not None
                and before.action is one.action
                and self._is_here(before)
            ):
                chosen[key] = before
        self.waiting = sum(1 for key, one in active.items() if chosen.get(key) != one)
        blocking = {key: one for key, one in chosen.items() if one.action is Action.BLOCK}
        addresses = {key: one for key, one in blocking.items() if one.kind in _ADDRESSES}
        names = {key: one for key, one in blocking.items() if one.kind is Kind.DOMAIN and ground.enforce}
        jobs: list[tuple[str, object, _Load]] = [
            (
                "addresses",
                (addresses, ground.loads, ground.networks),
                load.Addresses(self._files_of(addresses), ground.networks),
            )
        ]
        if self._resolver is not None:
            inspected = str(self._inspected) if ground.inspected else ""
            job = load.Names(self._files_of(names), ground.names, str(self._bulk_names), inspected)
            jobs.append(("names", (names, ground.names, ground.inspected), job))
            observed = {key: one for key, one in chosen.items() if _is_observed(one, Kind.DOMAIN)}
            job = load.Names(self._files_of(observed), ground.names, str(self._observed_names))
            jobs.append(("observed names", (observed, ground.names), job))
        if self._all_loaded(jobs):
            self.in_force = len(blocking)
            self.listed.hold(chosen.values(), self._path)
            if chosen != self._chosen:
                self._write(chosen)
                self._chosen = chosen

    def _all_loaded(self, jobs: Iterable[tuple[str, object, _Load]]) -> bool:
        """Do each job whose ground changed; one that fails is put off and keeps back no other. Errors: the last."""
        ready, trouble = True, None
        for part, wish, job in jobs:
            if wish == self._loaded.get(part):
                continue
            if time.monotonic() < self._not_before.get(part, 0):
                ready = False
                continue
            # Until it has told, nobody knows what it brought into force: one that dies may have done all of it.
            self._loaded.pop(part, None)
            try:
                result = load.run(job)
            except (BoxError, OSError) as error:
                self._put_off(part)
                trouble = error
                continue
            self._done(part)
            self._loaded[part] = wish
            if self._resolver is not None and isinstance(job, load.Names):
                self._resolver.reload()
                if part == "names":
                    self._enforcer.inspection.bulk_written()
            log.info("%s of %d lists in force: %d", part, len(job.lists), result.count)
            for kept in result.kept:
                self._spool.left_out(kept.name, kept.indicator, kept.reason, self._now())
        if trouble is not None:
            raise trouble
        return ready

    def _fetch_missing(self, stopping: Callable[[], bool]) -> bool:
        """Fetch what is wanted and due; return True when something new is on disk. Errors: the last one."""
        fetched, trouble = False, None
        for one in {one.sha256: one for one in self._active().values()}.values():
            if self._path(one).exists() or time.monotonic() < self._not_before.get(one.sha256, 0):
                continue
            try:
                self._fetch(one, stopping)
                fetched = True
                self._done(one.sha256)
            except (BoxError, ProtocolError, OSError) as error:
                self._put_off(one.sha256)
                trouble = error
        if trouble is not None and not fetched:
            raise trouble
        return fetched

    def _fetch(self, one: BulkList, stopping: Callable[[], bool]) -> None:
        part = self._directory / f"{one.sha256}.part"
        came_bytes = _size(part)
        try:
            fetch_list(self._files, one, part, stopping)
            load.run(load.Unpack(one, str(part), str(self._path(one))))
        except CentreUnreachable:
            if _size(part) > came_bytes:
                self._done(one.sha256)  # a line that is cut again and again brings it piece by piece
            raise
        except (FileMismatch, LoadFailed) as error:
            if not isinstance(error, LoadFailed) or error.cause in _DAMAGED:
                part.unlink(missing_ok=True)
            raise
        part.unlink(missing_ok=True)

    def _done(self, what: str) -> None:
        self._failures.pop(what, None)
        self._not_before.pop(what, None)

    def _put_off(self, what: str) -> None:
        """Jitter: hundreds of boxes must not come back in step."""
        times = self._failures[what] = self._failures.get(what, 0) + 1
        pause_s = min(BACKOFF_LAST_S, BACKOFF_FIRST_S * 2 ** min(times - 1, 10))
        self._not_before[what] = time.monotonic() + pause_s * (0.5 + random.random())  # noqa: S311

    def _files_of(self, chosen: Mapping[Key, BulkList]) -> tuple[tuple[str, str], ...]:
        return tuple((one.name, str(self._path(one))) for one in chosen.values())

    # -- looking back ------------------------------------------------------------------------------------

    def run_look_back(self, stopping: threading.Event) -> None:
        """In a thread of its own: a look takes minutes where the list is long or the machine busy, and no list waits
        for it to come into force or to be withdrawn."""
        while not stopping.wait(WAKE_S):
            self._look_back()

    def _look_back(self) -> None:
        """Ask the diary once for what is new in each list in force; a list that is gone begins anew. What fails is
        put off, and keeps nothing else back."""
        for part, kinds in (("look back", _ADDRESSES), ("look back on names", (Kind.DOMAIN,))):
            if time.monotonic() < self._not_before.get(part, 0):
                continue
            try:
                self._ask_diary(kinds)
                self._done(part)
            except (BoxError, OSError) as error:
                self._put_off(part)
                log.warning("lists are not looked back on: %s", error)

    def _ask_diary(self, kinds: Sequence[Kind]) -> None:
        """Errors: LoadFailed, OSError (also: the recursor is silent)."""
        in_force = self._chosen
        chosen = {key: one for key, one in in_force.items() if one.kind in kinds}
        kept = {key: one for key, one in self._looked.items() if key in in_force}
        due = [(key, one) for key, one in chosen.items() if _content(kept.get(key)) != _content(one)]
        self._looking = tuple(one for _, one in due)
        if due:
            self._diary.keep()
        for key, one in due:
            if self._chosen.get(key) != one:  # withdrawn or replaced meanwhile: its file may be gone
                continue
            before = kept.get(key)
            same = before is not None and before.kind is one.kind and self._path(before).exists()
            former = str(self._path(before)) if same and before is not None else ""
            job = load.Meet(str(self._path(one)), former, str(self._diary.directory), self._now())
            if one.kind is Kind.DOMAIN:
                networks = self._enforcer.ground().networks
                job = msgspec.structs.replace(job, recursor_port=self._recursor_port, networks=networks)
            self._tell_met(one, load.run(job).met)
            kept[key] = one
        if kept != self._looked:
            self._looked = kept
            self._spool.keep()  # before: what was asked is not asked again after a restart
            write_checked(self._directory / "looked-back", _packed(kept))

    def _tell_met(self, one: BulkList, met: Iterable[load.MetValue]) -> None:
        """One fact for each list: the sum, and the value that was met most; not of what an exception spares. Of a list
        on trial one for each value: what the town hall lives on would pass."""
        found = [m for m in met if not self._enforcer.is_spared(m.indicator)]
        if not found:
            return
        if one.action is Action.WARN:
            for m in found:
                told = LookBack(new_id(), one.name, m.indicator, m.count, m.days, m.first_at, m.last_at)
                self._spool.looked_back(told)
            return
        digest = hashlib.sha256(f"{self._spool.box_id}\n{one.name}\n{one.sha256}".encode()).hexdigest()[:32]
        self._spool.tell(LookBack(
            f"lkb_{digest}", one.name, found[0].indicator, sum(m.count for m in found), max(m.days for m in found),
            min(m.first_at for m in found), max(m.last_at for m in found), len({m.indicator for m in found}),
        ))  # fmt: skip

    # -- disk --------------------------------------------------------------------------------------------

    def _path(self, one: BulkList) -> Path:
        return self._directory / f"{one.sha256}.list"

    def _is_here(self, one: BulkList) -> bool:
        """Whether its file is on disk. The first time it is read: what the disk damaged since it was checked would keep
        every other list from being loaded too; it is fetched again."""
        path = self._path(one)
        if not path.exists():
            return False
        if one.sha256 not in self._whole:
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:  # a sector that cannot be read
                found = error.strerror or type(error).__name__
            if found != one.sha256:
                log.warning("the file of the list %s is damaged: it is fetched again", one.name)
                path.unlink(missing_ok=True)
                return False
            self._whole.add(one.sha256)
        return True

    def _read(self, name: str = "in-force") -> dict[Key, BulkList]:
        body = read_checked(self._directory / name)
        try:
            lists = msgspec.json.decode(body, type=_InForce).lists if body else []
        except UNDECODABLE:
            return {}
        return {(channel, one.name): one for channel, one in lists}

    def _write(self, chosen: Mapping[Key, BulkList]) -> None:
        write_checked(self._directory / "in-force", _packed(chosen))

    def _clean(self) -> None:
        # What a former version had is not looked back on again, so its file stays until that is done.
        former = (one for key, one in self._looked.items() if key in self._chosen)
        needed = (*self._chosen.values(), *self._active().values(), *self._looking, *former)
        digests = {one.sha256 for one in needed}
        self._whole &= digests
        for path in self._directory.iterdir():
            left = path.suffix in (".list", ".part") and path.stem not in digests
            if left or path.suffix == ".new":  # of a loader that was killed
                path.unlink(missing_ok=True)


def _packed(lists: Mapping[Key, BulkList]) -> bytes:
    rows = [(channel, one) for (channel, _), one in sorted(lists.items())]
    return msgspec.json.encode(_InForce(1, rows))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_observed(one: BulkList, kind: Kind) -> bool:
    return one.action is Action.WARN and one.kind is kind


def _content(one: BulkList | None) -> tuple[str, Kind] | None:
    return (one.sha256, one.kind) if one is not None else None
