"""The sentry of the drive: judges what devices change, and stops one that changes files as ransomware does.

Purpose: follows the journal ``change`` of each collectivité from where it was, looks at the contents that devices
         wrote, and asks ``guard.scoring``. An alarm is written with what is remembered of all devices, in one change;
         the process drive is told to read it (``stops``), and the outbox: ``drive:alarm``.
Process: sentry (``python -m beffroi.drive.sentry``). No request waits for it or fails by it; the journal is its queue,
         so that a restart loses nothing, and what was judged twice counts once.
Hostile: contents and names. A look is bounded (``guard.reading.Limits``); of a stored file two chunks
         are held.
Fails:   towards quiet: a content that cannot be read adds no points. A collectivité whose metadata do not answer is
         judged at its next change, or after a minute. Without this process nothing is stopped, until it is back and has
         judged what came meanwhile.
Source:  docs/internals/drive.md, "Ransomware"; docs/internals/ransomware.md.
"""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import LiteralString, NamedTuple

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.drive import alarms, journal
from beffroi.drive.alarms import Raised
from beffroi.drive.beside import Beside
from beffroi.drive.following import Follower
from beffroi.drive.guard import scoring
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Change, What
from beffroi.drive.guard.structure import Structure, look
from beffroi.drive.journal import Body, Done, Row
from beffroi.drive.store.commune import Communes, opened
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Manifest, ManifestBroken
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.stock import Stock, stocks
from beffroi.drive.store.stored import Stored
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.telling import tell
from beffroi.drive.web.sync import push
from beffroi.lib import clock, programs
from beffroi.lib.config import Config

log = logging.getLogger("beffroi.drive.sentry")
MOST_AT_ONCE = 64
"""Changes that are judged before another collectivité's turn."""
MOST_WITH_A_FOLDER = 64
"""Files of a folder that is deleted whole that are judged."""
KEEP_S = 0.5
"""Between two commits of what is remembered, but for an alarm: each keeps the people's changes waiting."""
DAY_S = 86400
STEPS_BACK = 4
"""Torn contents behind which a whole one is looked for."""
STRUCTURES_HELD = 1024
"""Of each collectivité; of files that are changed again."""
_WHAT: dict[str, What] = {
    "created": "created",
    "changed": "changed",
    "moved": "renamed",
    "deleted": "deleted",
}


type _Structures = OrderedDict[tuple[int, int], Structure]


@dataclass
class _State:
    """What is remembered of one collectivité. ``number``: of the last change that was judged. ``structures``: what was
    seen, by node and number of the change that wrote it; looked at again where it is not there. ``kept``: when it was
    last written (monotonic); ``is_unkept``: there is something new since. ``now_s``: when it judged last."""

    number: int
    windows: scoring.Commune
    has_alarms: bool = False
    structures: _Structures = field(default_factory=OrderedDict)
    beside: Beside = field(default_factory=Beside)
    kept: float = 0.0
    is_unkept: bool = False
    now_s: float = math.inf


class Sentry:
    """``stock_of``: the objects of a collectivité. ``tell``: says an alarm of a collectivité to the outbox. ``stop``:
    the process drive reads anew which of its devices are stopped."""

    def __init__(
        self,
        communes: Communes,
        stock_of: Callable[[str], Stock],
        tell: Callable[[str, Raised], object],
        stop: Callable[[str], object],
    ) -> None:
        self._communes, self._stock_of, self._tell, self._stop = communes, stock_of, tell, stop
        self._states: dict[str, _State] = {}

    def judge(self, collectivite_id: str) -> float | None:
        """The next changes of a collectivité; after how many seconds to come again. Errors: those of the metadata, the
        keys, the outbox."""
        database = self._communes.metadata(collectivite_id)
        state = self._state_of(collectivite_id, database)
        try:
            has_more = self._judged(collectivite_id, database, state)
        except BaseException:
            # What was added, and is not written, is added again.
            del self._states[collectivite_id]
            raise
        if state.has_alarms:
            self._tell_all(collectivite_id, database)
        if has_more:
            return 0.0
        return max(0.0, state.kept + KEEP_S - time.monotonic()) if state.is_unkept else None

    def _judged(self, collectivite_id: str, database: Database, state: _State) -> bool:
        """Whether there are more."""
        with database.reading() as reading:
            rows = journal.after(reading, state.number, MOST_AT_ONCE)
            state.beside.take(reading, rows)
            changes = [found for row in rows for found in _done(reading, row)]
            if changes and state.has_alarms:
                _settle(state.windows, alarms.every(reading), clock.paced())
        now_s, raised = clock.paced(), list[Alarm]()
        if now_s < state.now_s:
            state.windows.set_right(now_s)
        state.now_s = now_s
        if rows:
            state.number = rows[-1].number
        if changes:
            state.is_unkept = True
            looking = _Looking(database, self._stock_of(collectivite_id), state)
            for one in changes:
                for device, change in looking.changes(one, state.windows):
                    raised += state.windows.add(device, change, clock.paced(), one.row.person_id)
                if raised:  # stopped now: the looks that follow may take seconds
                    state.number = one.row.number
                    break
        if raised or (state.is_unkept and time.monotonic() >= state.kept + KEEP_S):
            database.write(lambda writing: _keep(writing, state, raised))
            state.kept, state.is_unkept = time.monotonic(), False
            state.has_alarms = state.has_alarms or bool(raised)
        for alarm in raised:
            log.error("%s: a device is stopped after %d files", collectivite_id, alarm.files)
            self._stop(collectivite_id)
        return bool(raised) or len(rows) == MOST_AT_ONCE

    def _tell_all(self, collectivite_id: str, database: Database) -> None:
        with database.reading() as reading:
            untold = [one for one in alarms.every(reading) if not one.told_s]
        for one in untold:
            self._tell(collectivite_id, one)
            database.write(partial(alarms.told, device_id=one.device_id, now_s=clock.epoch_s()))

    def _state_of(self, collectivite_id: str, database: Database) -> _State:
        found = self._states.get(collectivite_id)
        if found is None:
            with database.reading() as reading:
                found = self._states[collectivite_id] = _remembered(reading)
        return found


class _Whole(NamedTuple):
    """What a file held, its structure, and since when, by which change and which device it does not."""

    body: Body | None
    seen: Structure | None
    at_s: int
    number: int
    device_id: str


class _Looking:
    """The structures of some changes."""

    def __init__(self, database: Database, stock: Stock, state: _State) -> None:
        self._database, self._stock = database, stock
        self._structures, self._beside = state.structures, state.beside

    def changes(self, one: Done, windows: scoring.Commune) -> list[tuple[str, Change]]:
        """A change and its device; before a deletion those of new files of which one may be what was made of it."""
        change, device, person = self._change(one), one.row.device_id, one.row.person_id
        if change.what == "created" and windows.wants_look(person, change):
            with self._database.reading() as reading:
                body = journal.body_at(reading, one.row.node, one.row.number)
            return [(device, self._change(one._replace(after=body)))]
        if change.what in ("renamed", "changed"):
            return [(device, found) for found in (*self._brought(one, change, windows), change)]
        if change.what != "deleted" or change.before is None or change.before.state != "sound":
            return [(device, change)]
        since_s = one.row.at_s - DAY_S
        with self._database.reading() as reading:
            folders, beside = self._beside.named(reading, one.row, since_s=since_s)
            beside += self._beside.created(reading, one.row, since_s=since_s)
            moves = journal.moves_before(reading, one.row, since_s=since_s)
            for move in moves:
                there = one.row._replace(parent=move.parent, name=move.name)
                beside += self._beside.created(reading, there, since_s=since_s)
        lay_in = tuple((str(folder), name) for folder, name in folders)
        change = msgspec.structs.replace(change, folders=lay_in)
        new = ((other.row.device_id, self._change(other)) for other in beside)
        deleted = (*(_deleted_from(change, move) for move in moves), change)
        return [*new, *((device, found) for found in deleted)]

    def _brought(self, one: Done, change: Change, windows: scoring.Commune) -> list[Change]:
        """A file that a person's device made within a day is new where it is moved, and with what is written into it
        then: some programs create a file empty."""
        there = msgspec.structs.replace(change, what="created", name_before="", before=None)
        if one.after is None or not windows.wants_look(one.row.person_id, there):
            return []
        with self._database.reading() as reading:
            made = journal.made(reading, one.row.node)
        if made is None or made.row.person_id != one.row.person_id:
            return []
        if made.row.at_s < one.row.at_s - DAY_S:
            return []
        return [msgspec.structs.replace(there, after=self._of(one.after, one.name))]

    def _change(self, one: Done) -> Change:
        row, over = one.row, one.over
        before: Structure | None
        after: Structure | None = None
        old, at_s, number, spoiler = over or one.before, row.at_s, row.number, row.device_id
        if row.kind == "moved" and over is None:
            before = self._kept(one.before)  # a name alone is judged
        else:
            name = row.name if row.kind in ("changed", "deleted") else one.name
            old, before, at_s, number, spoiler = self._whole(old, name, row)
        if one.after is not None and row.kind == "created" and over is None:
            after = self._of(one.after, one.name)  # of new files beside many deletions each is looked at once
        elif one.after is not None and (row.kind != "moved" or over is not None):
            after = self._look(one.after, one.name, before.kind if before else None)
        chunks, new = _chunks(old), _chunks(one.after)
        return Change(
            at_s=float(at_s),
            node=str(row.node),
            folder=str(one.parent),
            name=one.name,
            what="changed" if over is not None else _WHAT[row.kind],
            name_before=row.name if row.kind == "moved" and over is None else "",
            before=before,
            after=after,
            size_before_bytes=old.size_bytes if old else 0,
            size_bytes=one.after.size_bytes if one.after else row.size_bytes if row.kind == "created" else 0,
            chunks_before=len(chunks),
            chunks_kept=len(chunks & new),
            number=number,
            spoiler=spoiler,
        )

    def _whole(self, body: Body | None, name: str, row: Row) -> _Whole:
        """What a file held before a change. Where a device of its person emptied or blanked it within a day: what it
        held before that, so that two steps do not hide what one would show."""
        seen = self._of(body, name)
        now = whole = _Whole(body, seen, row.at_s, row.number, row.device_id)
        for _ in range(STEPS_BACK):
            if whole.body is None or whole.seen is None or whole.seen.state != "torn":
                break
            since_s, number = row.at_s - DAY_S, whole.body.written
            with self._database.reading() as reading:
                found = journal.body_before(reading, whole.body, row.person_id, since_s=since_s)
            if found is None:
                break
            whole = _Whole(found.body, self._of(found.body, name), found.at_s, number, found.device_id)
        is_whole = whole.seen is not None and whole.seen.state in ("sound", "sealed")
        return whole if is_whole else now

    def _of(self, body: Body | None, name: str) -> Structure | None:
        if body is None:
            return None
        return self._kept(body) or self._look(body, name, None)

    def _kept(self, body: Body | None) -> Structure | None:
        """What was seen before of this very content."""
        return self._structures.get((body.node, body.written)) if body is not None else None

    def _look(self, body: Body, name: str, kind_before: str | None) -> Structure | None:
        try:
            data = Stored(self._stock, self._database, Manifest.unpack(body.manifest))
            seen = look(data, name, body.size_bytes, kind_before)
        except Exception as error:  # noqa: BLE001 - one content stops the judging of no other
            log.warning("a content cannot be looked at: %s", getattr(error, "code", type(error).__name__))
            return None
        if body.written:
            self._structures[body.node, body.written] = seen
            if len(self._structures) > STRUCTURES_HELD:
                self._structures.popitem(last=False)
        return seen


def _done(reading: Reading, row: Row) -> list[Done]:
    if row.is_folder:
        return journal.went_along(reading, row, most=MOST_WITH_A_FOLDER)
    found = journal.done(reading, row)
    return [found] if found is not None else []


def _deleted_from(change: Change, move: Row) -> Change:
    """What its device had moved before it deleted it is gone since then where it lay: a copy that replaces it lies
    there, and there it is put back."""
    return msgspec.structs.replace(
        change,
        folder=str(move.parent),
        name=move.name,
        at_s=min(change.at_s, float(move.at_s)),
        number=min(change.number, move.number),
    )


def _chunks(body: Body | None) -> set[bytes]:
    """None of a list that cannot be read."""
    try:
        return {chunk.id for chunk in Manifest.unpack(body.manifest).chunks} if body else set()
    except ManifestBroken:
        return set()


def _remembered(reading: Reading) -> _State:
    """Without a row: the changes of the last day are judged."""
    has_alarms = bool(alarms.every(reading))
    row = reading.one("SELECT number, windows FROM judged")
    if row is None:
        before: LiteralString = "SELECT MAX(number + 0) FROM change WHERE at_s < ?"
        number = scalar(reading, before, (clock.epoch_s() - DAY_S,)) or 0
        return _State(number, scoring.Commune(), has_alarms)
    try:
        return _State(row[0], scoring.Commune.restore(bytes(row[1])), has_alarms)
    except UNDECODABLE:
        return _State(row[0], scoring.Commune(), has_alarms)


def _keep(writing: Writing, state: _State, raised: list[Alarm]) -> None:
    state.windows.forget(clock.paced())
    windows = state.windows.save()
    if not writing.run("UPDATE judged SET number = ?, windows = ?", (state.number, windows)):
        writing.run("INSERT INTO judged (one, number, windows) VALUES (1, ?, ?)", (state.number, windows))
    for alarm in raised:
        alarms.raise_(writing, alarm, now_s=clock.epoch_s())


def _settle(windows: scoring.Commune, raised: list[Raised], now_s: float) -> None:
    """What a person judged since: an alarm is written open, in the change that keeps its window."""
    for one in raised:
        window = windows.windows.get(one.device_id)
        if one.state == "settled" and window is not None and window.alarmed_s:
            windows.settle(one.device_id, min(one.settled_s, now_s))


def tell_alarm(config: Config, collectivite_id: str, one: Raised) -> None:
    """``drive:alarm``: no name of a file. Errors: Unavailable."""
    payload = {
        "app_password_id": one.device_id,
        "person_id": one.person_id,
        "files": one.files,
        "reasons": dict(one.counts),
    }
    tell(config, "drive:alarm", collectivite_id, payload)


def run(config: Config) -> int:
    """Judge until SIGTERM. Errors: SettingInvalid, StoreUnavailable."""
    with opened(config) as communes:
        sentry = Sentry(communes, stocks(config), partial(tell_alarm, config), partial(push.tell, config.run))
        follower = Follower(config.run, "sentry", sentry.judge)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: follower.stop())
        follower.run(communes.ids())
    return 0


def main() -> int:
    return programs.run(run)


if __name__ == "__main__":
    sys.exit(main())
