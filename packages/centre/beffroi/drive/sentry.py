"""The sentry of the drive: judges what devices change, and stops one that changes files as ransomware does.

Purpose: follows the journal ``change`` of each collectivité from where it was, looks at the contents that devices
         wrote, and asks ``guard.scoring``. On an alarm the device is refused at once in this process (``require``); the
         alarm, with what is remembered of all devices, is written in one change, and then told to the outbox:
         ``drive:alarm``.
Process: drive, one thread. No request waits for it or fails by it; the journal is its queue, so that a restart loses
         nothing, and what was judged twice counts once.
Hostile: contents and names. A look is bounded (``guard.reading.Limits``); of a stored file at most CHUNKS_HELD chunks
         are held.
Fails:   towards quiet: a content that cannot be read adds no points. A collectivité whose metadata do not answer is
         judged at its next change, or after a minute.
Source:  docs/internals/drive.md, "Ransomware"; docs/internals/ransomware.md.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import msgspec

from beffroi.core.planes import outbox
from beffroi.core.planes.db import connect
from beffroi.drive import alarms, journal
from beffroi.drive.alarms import DeviceStopped, Raised
from beffroi.drive.guard import scoring
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Change, What
from beffroi.drive.guard.structure import Structure, look
from beffroi.drive.journal import Body, Done
from beffroi.drive.store import refs
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database, Reading, Writing
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.stock import Stock
from beffroi.drive.who import Who
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.sentry")
MOST_AT_ONCE = 64
"""Changes that are judged and then remembered in one commit."""
RETRY_S = 60.0
DAY_S = 86400
CHUNKS_HELD = 2
_WHAT: dict[str, What] = {
    "created": "created",
    "changed": "changed",
    "moved": "renamed",
    "deleted": "deleted",
}


@dataclass
class _State:
    """What is remembered of one collectivité. ``number``: of the last change that was judged."""

    number: int
    windows: scoring.Commune


@dataclass
class _Stored:
    """A Readable of a stored content, chunk by chunk."""

    stock: Stock
    database: Database
    manifest: Manifest
    _held: OrderedDict[int, bytes] = field(default_factory=OrderedDict)

    def read(self, offset: int, length: int, /) -> bytes:
        """Errors: those of ``Stock.read``."""
        out, at = [], 0
        for number, chunk in enumerate(self.manifest.chunks):
            if at >= offset + length:
                break
            if at + chunk.length > offset:
                out.append(self._chunk(number)[max(0, offset - at) : offset + length - at])
            at += chunk.length
        return b"".join(out)

    def _chunk(self, number: int) -> bytes:
        if number not in self._held:
            name = self.manifest.chunks[number].id
            with self.database.reading() as reading:
                sealed = refs.sealed(reading, name)
            self._held[number] = self.stock.read(name, sealed)
            if len(self._held) > CHUNKS_HELD:
                self._held.popitem(last=False)
        return self._held[number]


class Sentry:
    """``stock_of``: the objects of a collectivité. ``tell``: says an alarm of a collectivité to the outbox."""

    def __init__(
        self,
        communes: Communes,
        stock_of: Callable[[str], Stock],
        tell: Callable[[str, Raised], object],
    ) -> None:
        self._communes, self._stock_of, self._tell = communes, stock_of, tell
        self._due: SimpleQueue[str | None] = SimpleQueue()
        self._states: dict[str, _State] = {}
        self._stopped: dict[str, set[str]] = {}
        self._waiting: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="drive-sentry", daemon=True)
        communes.listeners.append(self._due.put)

    def start(self) -> None:
        """What happened before, and was not judged, is judged first."""
        for collectivite_id in self._communes.ids():
            self._due.put(collectivite_id)
        self._thread.start()

    def stop(self) -> None:
        self._due.put(None)
        if self._thread.ident is not None:
            self._thread.join(10)

    def require(self, who: Who) -> None:
        """Errors: DeviceStopped; those of the metadata."""
        if who.app_password_id and who.app_password_id in self._stopped_of(who.collectivite_id):
            raise DeviceStopped

    # -- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            due = self._taken()
            if due is None:
                return
            for collectivite_id in due:
                self._waiting.discard(collectivite_id)
                try:
                    if self.judge(collectivite_id):
                        self._due.put(collectivite_id)
                except BeffroiError as error:
                    log.error("%s is not judged: %s", collectivite_id, error.code)
                    self._waiting.add(collectivite_id)
                except Exception:  # the outermost place of the thread: the others are judged all the same
                    log.exception("%s is not judged", collectivite_id)
                    self._waiting.add(collectivite_id)

    def _taken(self) -> set[str] | None:
        """Collectivités in which something happened, each once; None at the end."""
        try:
            taken = [self._due.get(timeout=RETRY_S if self._waiting else None)]
        except Empty:
            return set(self._waiting)
        with suppress(Empty):
            while True:
                taken.append(self._due.get_nowait())
        return None if None in taken else {one for one in taken if one is not None}

    def judge(self, collectivite_id: str) -> bool:
        """The next changes of a collectivité; True while there are more. Errors: those of the metadata, the keys, the
        outbox."""
        database = self._communes.metadata(collectivite_id)
        self._tell_all(collectivite_id, database)
        try:
            raised, has_more = self._judged(collectivite_id, database)
        except BaseException:
            # What was added, and is not written, is added again.
            self._states.pop(collectivite_id, None)
            raise
        for alarm in raised:
            log.error("%s: a device is stopped after %d files", collectivite_id, alarm.files)
            self._tell_all(collectivite_id, database)
        return has_more

    def _judged(self, collectivite_id: str, database: Database) -> tuple[list[Alarm], bool]:
        state = self._state_of(collectivite_id, database)
        with database.reading() as reading:
            rows = journal.after(reading, state.number, MOST_AT_ONCE)
            changes = [found for row in rows if (found := journal.done(reading, row)) is not None]
            _settle(state.windows, alarms.every(reading) if changes else [])
        raised: list[Alarm] = []
        if rows:
            state.number = rows[-1].number
        if changes:
            looking = _Looking(database, self._stock_of(collectivite_id))
            for one in changes:
                raised += state.windows.add(one.row.device_id, looking.change(one), clock.epoch())
            self._stopped_of(collectivite_id).update(one.device for one in raised)
            database.write(lambda writing: _keep(writing, state, looking.fresh, raised))
        return raised, len(rows) == MOST_AT_ONCE

    def _tell_all(self, collectivite_id: str, database: Database) -> None:
        if not self._stopped_of(collectivite_id):
            return
        with database.reading() as reading:
            untold = [one for one in alarms.every(reading) if not one.told_s]
        for one in untold:
            self._tell(collectivite_id, one)
            database.write(lambda writing, it=one: alarms.told(writing, it.device_id, now_s=clock.epoch_s()))  # type: ignore[misc]

    def _state_of(self, collectivite_id: str, database: Database) -> _State:
        found = self._states.get(collectivite_id)
        if found is None:
            with database.reading() as reading:
                found = self._states[collectivite_id] = _remembered(reading)
        return found

    def _stopped_of(self, collectivite_id: str) -> set[str]:
        found = self._stopped.get(collectivite_id)
        if found is None:
            with self._communes.metadata(collectivite_id).reading() as reading:
                found = self._stopped.setdefault(collectivite_id, alarms.stopped(reading))
        return found


class _Looking:
    """The structures of some changes. ``fresh``: by node, those that are not kept yet, with the number of the change
    that wrote the content."""

    def __init__(self, database: Database, stock: Stock) -> None:
        self._database, self._stock = database, stock
        self.fresh: dict[int, tuple[int, Structure]] = {}

    def change(self, one: Done) -> Change:
        row, over = one.row, one.over
        before: Structure | None
        after: Structure | None = None
        old = over or one.before
        if row.kind == "moved" and over is None:
            before = self._kept(one.before)  # a name alone is judged
        else:
            name = row.name if row.kind in ("changed", "deleted") else one.name
            before = self._of(old, name)
        if one.after is not None and (row.kind != "moved" or over is not None):
            after = self._look(one.after, one.name, before.kind if before else None)
        chunks = {chunk.id for chunk in Manifest.unpack(old.manifest).chunks} if old else set()
        new = {chunk.id for chunk in Manifest.unpack(one.after.manifest).chunks} if one.after else set()
        return Change(
            at_s=float(row.at_s),
            node=str(row.node),
            folder=str(one.parent),
            name=one.name,
            what="changed" if over is not None else _WHAT[row.kind],
            name_before=row.name if row.kind == "moved" and over is None else "",
            before=before,
            after=after,
            size_before_bytes=old.size_bytes if old else 0,
            size_bytes=one.after.size_bytes if one.after else 0,
            chunks_before=len(chunks),
            chunks_kept=len(chunks & new),
        )

    def _of(self, body: Body | None, name: str) -> Structure | None:
        if body is None:
            return None
        return self._kept(body) or self._look(body, name, None)

    def _kept(self, body: Body | None) -> Structure | None:
        """What was seen before of this very content."""
        if body is None or not body.written:
            return None
        fresh = self.fresh.get(body.node)
        if fresh is not None:
            return fresh[1] if fresh[0] == body.written else None
        with self._database.reading() as reading:
            row = reading.one(
                "SELECT seen FROM structure WHERE node = ? AND written = ?", (body.node, body.written)
            )
        try:
            return msgspec.msgpack.decode(row[0], type=Structure) if row else None
        except msgspec.MsgspecError:
            return None

    def _look(self, body: Body, name: str, kind_before: str | None) -> Structure | None:
        try:
            data = _Stored(self._stock, self._database, Manifest.unpack(body.manifest))
            seen = look(data, name, body.size_bytes, kind_before)
        except (BeffroiError, OSError) as error:
            log.warning("a content cannot be looked at: %s", getattr(error, "code", type(error).__name__))
            return None
        if body.written:
            self.fresh[body.node] = (body.written, seen)
        return seen


def _remembered(reading: Reading) -> _State:
    """Without a row: the changes of the last day are judged."""
    row = reading.one("SELECT number, windows FROM judged")
    if row is None:
        before = reading.one("SELECT MAX(number + 0) FROM change WHERE at_s < ?", (clock.epoch_s() - DAY_S,))
        return _State((before and before[0]) or 0, scoring.Commune())
    try:
        return _State(row[0], scoring.Commune.restore(bytes(row[1])))
    except msgspec.MsgspecError:
        return _State(row[0], scoring.Commune())


def _keep(
    writing: Writing, state: _State, structures: dict[int, tuple[int, Structure]], raised: list[Alarm]
) -> None:
    state.windows.forget(clock.epoch())
    windows = state.windows.save()
    if not writing.run("UPDATE judged SET number = ?, windows = ?", (state.number, windows)):
        writing.run("INSERT INTO judged (one, number, windows) VALUES (1, ?, ?)", (state.number, windows))
    writing.many("DELETE FROM structure WHERE node = ?", [(node,) for node in structures])
    writing.many(
        "INSERT INTO structure (node, written, seen) VALUES (?, ?, ?)",
        [(node, written, msgspec.msgpack.encode(seen)) for node, (written, seen) in structures.items()],
    )
    for alarm in raised:
        alarms.raise_(writing, alarm, now_s=clock.epoch_s())


def _settle(windows: scoring.Commune, raised: list[Raised]) -> None:
    """What a person judged since."""
    for one in raised:
        window = windows.windows.get(one.device_id)
        if one.state == "settled" and window is not None and 0 < window.alarmed_s <= one.settled_s:
            windows.settle(one.device_id, one.settled_s)


def tell_alarm(config: Config, collectivite_id: str, one: Raised) -> None:
    """``drive:alarm``: no name of a file. Errors: Unavailable."""
    payload = {
        "app_password_id": one.device_id,
        "person_id": one.person_id,
        "files": one.files,
        "reasons": dict(one.counts),
    }
    with closing(connect(config.database)) as database, database.transaction():
        outbox.publish(database, "drive:alarm", payload, run=config.run, collectivite_id=collectivite_id)
