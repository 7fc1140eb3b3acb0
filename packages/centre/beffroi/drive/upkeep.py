"""What a drive needs each day: old trash and versions go, room is given back, and everything is looked at.

Purpose: collectivité after collectivité: uploads that nobody finished, trash and versions past their term, collection,
         the light walk each day, the deep one each week. What is damaged is kept in a report, by file.
Process: drive-keeper, one thread; what it does is small changes, so that people write between them.
Rule:    a clock that jumps forward ends nothing for an hour (``clock.paced``), and what people left here for a day:
         terms are counted to when all was tidied before. What was done at a time that is still to come, by a clock that
         was wrong, is due again. What went while a clock was behind is no older than what was
         done before it (``moments.first_since``).
Fails:   a collectivité whose store or metadata do not answer is passed over until the next round; a walk goes on where
         it was. Nothing is destroyed that ``collect`` cannot prove to be unneeded.
Source:  docs/internals/drive.md, "Upkeep".
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.drive import alarms, people, telling, used
from beffroi.drive.backup.copies import Copies
from beffroi.drive.backup.turns import collecting
from beffroi.drive.calendars import homes
from beffroi.drive.calendars.wire_bringing import KEPT_DAYS
from beffroi.drive.store import (
    collect,
    departed,
    favourites,
    going_back,
    handovers,
    keys,
    leftovers,
    locks,
    moments,
    received,
    room,
    shares,
    trash,
    uploads,
    versions,
    weights,
)
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.model import Act
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import Objects
from beffroi.drive.store.scalars import keep_meta, meta
from beffroi.drive.store.scrub import Cursor, Damage, Scrub
from beffroi.drive.store.stock import Stock
from beffroi.drive.working import Worker
from beffroi.lib import clock, json_file
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.upkeep")
ROUND_S = 3600.0
DAY_S, WEEK_S = 86400, 7 * 86400
DRAFTS_KEPT_S = 86400.0
ENDED_SHARES_DAYS = 30
"""A link that ended shows nothing more; who did what stands in the audit log."""
DEPARTED_DAYS = 31
"""A day more than a departure may be undone."""
WAYS_DAYS = 31
"""How long a folder's page says that it was put back."""
PAUSE_S = 0.05
"""Between two steps of a walk: others have the disk."""
MOST_TOLD = 1000
_PERSON = "upkeep"
_COUNTED, _OPENED = ("references", "manifest"), ("missing", "damaged")
"""What the light walk sees all of, and the deep one."""


class Progress(msgspec.Struct):
    """Of one collectivité, in its ``meta``: when each was done last (epoch seconds); where the deep walk is (hex).
    ``till_s``: to when terms were counted as it was tidied last."""

    tidied_s: int = 0
    till_s: int = 0
    light_s: int = 0
    deep_s: int = 0
    deep_at: str = ""


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One damage in the report. ``chunk``: ``Damage.chunk_id``, hex. ``path``: from its root, "" where no file holds
    it; ``version``: 0 for the present."""

    collectivite_id: str
    chunk: str
    why: str
    path: str
    version: int
    is_repaired: bool
    at_s: int


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """STATE/drive/damages.json, 0600: names of files are content. The newest last."""

    damages: tuple[Told, ...] = ()


def report_path(config: Config) -> Path:
    return config.state / "drive" / "damages.json"


def read_report(config: Config) -> Report:
    """Empty where there is none, or none that can be read."""
    return json_file.read(report_path(config), Report) or Report()


def problem(config: Config) -> str:
    """For ``status``: one sentence with the next step; "" when nothing is damaged, or who asks may not read it."""
    open_ = [one for one in read_report(config).damages if not one.is_repaired and one.why != "references"]
    if not open_:
        return ""
    files = len({(one.collectivite_id, one.path, one.version) for one in open_})
    return (
        f"{files} stored files of the drive are damaged: {report_path(config)} names them. "
        "The backup has no good copy of them: docs/runbooks/restore-drive.md."
        " What is whole again leaves the list by itself."
    )


class Upkeep(Worker):
    def __init__(self, config: Config, communes: Communes) -> None:
        """Errors: SettingInvalid, StoreUnavailable."""
        super().__init__("drive-upkeep")
        self._config, self._communes = config, communes
        self._objects: Objects = open_objects(config)

    def _run(self) -> None:
        # Not at once: a start has enough to do, and so has a machine that comes back.
        if used.read(self._config) is None:
            self.guarded(self._tell_use)
        while not self._stopped.wait(ROUND_S):
            self.guarded(self._tell_use)
            self.guarded(self.round)

    def _tell_use(self) -> None:
        used.tell(self._config, self._communes)

    def round(self) -> None:
        """All collectivités once; each does what is due."""
        try:
            self._objects.sweep(DRAFTS_KEPT_S)
        except BeffroiError as error:
            log.error("drafts are not swept: %s", error.code)
        for collectivite_id in self._communes.ids():
            if self._stopped.is_set():
                return
            try:
                self.look_after(collectivite_id)
            except BeffroiError as error:
                log.error("%s waits for the next round: %s", collectivite_id, error.code)
            except Exception:  # the thread's outermost place: one collectivité stops it for no other
                log.exception("%s waits for the next round", collectivite_id)

    def look_after(self, collectivite_id: str) -> None:
        """Errors: those of the metadata, of the keys, of the objects."""
        database = self._communes.metadata(collectivite_id)
        stock = Stock(collectivite_id, keys.make(self._config, collectivite_id), self._objects)
        progress, now_s = _progress(database), clock.paced_s()
        locks.expire(database, now_s=now_s)
        self._say_handovers(database, collectivite_id)
        with collecting(self._config, collectivite_id):
            collect.finish(database, now_s=now_s)
        if _is_due(progress.tidied_s, DAY_S, now_s):
            try:
                till_s = min(now_s, progress.tidied_s or now_s)
                since_s, before_s = progress.till_s - uploads.KEPT_S, till_s - uploads.KEPT_S
                database.write_portions(
                    lambda w: uploads.expire(w, since_s=since_s, before_s=before_s, now_s=now_s)
                )
                self._tidy(collectivite_id, database, stock, now_s, till_s)
                self._count(database, collectivite_id)
                progress.tidied_s, progress.till_s = now_s, till_s
                _keep(database, progress)
            except BeffroiError as error:  # what cannot be removed keeps nothing from being looked at
                log.error("%s is not tidied: %s", collectivite_id, error.code)
        self._count_calendars(database, collectivite_id)
        scrub = Scrub(collectivite_id, database, stock, Copies(self._config, collectivite_id))
        if _is_due(progress.light_s, DAY_S, now_s) and self._walk_lightly(scrub, collectivite_id):
            progress.light_s = now_s
            _keep(database, progress)
        if _is_due(progress.deep_s, WEEK_S, now_s):
            self._walk_deeply(scrub, collectivite_id, database, progress, now_s)

    def _say_handovers(self, database: Database, collectivite_id: str) -> None:
        """Once more, of each under way: a crash between the two databases may have lost the event that carries it on.
        One event too many changes nothing."""
        with database.reading() as reading:
            found = handovers.at_work(reading)
        for one in found:
            told = {"person_id": one.person_id, "by": one.begun_by}
            telling.tell(self._config, handovers.DUE, collectivite_id, told)

    def _tidy(self, collectivite_id: str, database: Database, stock: Stock, now_s: int, till_s: int) -> None:
        """``till_s``: to when terms are counted."""
        act = Act(_PERSON, "", now_s)
        homes.forget_waiting(self._config, collectivite_id, before_s=till_s - KEPT_DAYS * DAY_S)
        self._forget_shares(database, till_s - ENDED_SHARES_DAYS * DAY_S)
        departed_s = till_s - DEPARTED_DAYS * DAY_S
        database.write(lambda w: departed.forget(w, before_s=departed_s))
        members = {one.person_id for one in people.of(self._config, collectivite_id)}
        database.write(lambda w: favourites.tidy(w, members))
        self._forget_offers(database, till_s)
        leftovers.tidy(database, members)
        with database.reading() as reading:
            first = moments.first_since(reading, departed_s, now_s)
        database.write_portions(lambda w: handovers.forget_ways(w, before_s=departed_s, before=first))
        database.write(lambda w: going_back.forget(w, before_s=till_s - WAYS_DAYS * DAY_S))
        with database.reading() as reading:
            is_needed = alarms.waits_for_somebody(reading)
        if not is_needed:
            before_s = till_s - self._config.drive_trash_days * DAY_S
            with database.reading() as reading:
                before = moments.first_since(reading, before_s, now_s)
            database.write_portions(lambda w: trash.expire(w, act, before_s=before_s, before=before))
            trash.destroy_all(database, act)
            keep_s = self._config.drive_version_days * DAY_S
            versions.thin_all(database, now_s=now_s, keep_s=keep_s, till_s=till_s)
            past_s = till_s - keep_s
            database.write_portions(lambda w: moments.forget(w, before_s=past_s))
            database.write(lambda w: versions.forget_erased(w, before_s=past_s))
        with collecting(self._config, collectivite_id):
            collected = collect.run(database, stock, now_s=now_s)
        if any((collected.inline, collected.objects)):
            log.info("collected %d chunks and %d objects", collected.inline, collected.objects)
        if collected.kept:
            log.warning(
                "%s: %d objects are not deleted yet: %s", collectivite_id, collected.kept, collected.code
            )

    def _forget_shares(self, database: Database, before_s: int) -> None:
        """What another collectivité keeps of one goes first: an offer whose share is unknown says that it was lost."""
        database.write_portions(lambda w: shares.forget(w, before_s=before_s))
        with database.reading() as reading:
            over = shares.over(reading, before_s=before_s)
        there = set(self._communes.ids()) if over else ()
        gone = [one.id for one in over if one.target not in there or self._is_forgotten(one)]
        if gone:
            database.write(lambda w: shares.delete(w, gone))

    def _is_forgotten(self, share: shares.Share) -> bool:
        try:
            self._communes.metadata(share.target).write(lambda w: received.forget(w, [share.id]))
        except KeysErased:
            return True
        except BeffroiError:
            return False
        return True

    def _forget_offers(self, database: Database, till_s: int) -> None:
        """Whose share their owner never came to make. What was accepted stands until its owner forgets it. An owner
        that does not answer, or lost its metadata, is asked again."""
        with database.reading() as reading:
            every = received.every(reading)
        offers = [one for one in every if one.state != "accepted" and one.offered_s < till_s - DAY_S]
        owners = set(self._communes.ids()) if offers else ()
        gone = [one.share_id for one in offers if one.owner in owners and self._is_absent(one)]
        if gone:
            database.write(lambda w: received.forget(w, gone))

    def _is_absent(self, offer: received.Received) -> bool:
        try:
            with self._communes.metadata(offer.owner).reading() as reading:
                return not shares.is_known(reading, offer.share_id)
        except BeffroiError:
            return False

    def _count_calendars(self, database: Database, collectivite_id: str) -> None:
        """Each change counts itself; what went by other ways (a person who left, a restore) is seen here."""
        sizes = homes.sizes(self._config, collectivite_id)
        with database.reading() as reading:
            differs = room.calendars(reading) != {owner: size for owner, size in sizes.items() if size}
        if not differs:
            return
        place = homes.folder(self._config, collectivite_id)
        # No entry comes meanwhile.
        with homes.locked(place) if (place / homes.ROOT).is_dir() else nullcontext():
            sizes = homes.sizes(self._config, collectivite_id)
            database.write(lambda w: room.keep_calendars(w, sizes))

    def _count(self, database: Database, collectivite_id: str) -> None:
        """Room is kept by each change; what differs from what is there is a fault of ours, told and mended."""
        with database.reading() as reading:
            differs = bool(weights.drift(reading))
        for one in database.write(weights.mend) if differs else ():
            log.error("%s: room of %d was %s, is %s", collectivite_id, one.node, one.kept, one.counted)

    def _walk_lightly(self, scrub: Scrub, collectivite_id: str) -> bool:
        """False when it was stopped on its way."""
        cursor: Cursor | None = None
        damages: list[Damage] = []
        while True:
            step = scrub.light(cursor)
            _log(collectivite_id, step.damages)
            damages += step.damages
            cursor = step.cursor
            if cursor is None:
                self._tell(collectivite_id, damages, seen=_COUNTED)
                return True
            if self._stopped.wait(PAUSE_S):
                return False

    def _walk_deeply(
        self, scrub: Scrub, collectivite_id: str, database: Database, progress: Progress, now_s: int
    ) -> None:
        """What a step found is told before the place behind it is kept: the walk goes on from there."""
        damages: list[Damage] = []
        began = not progress.deep_at
        while True:
            step = scrub.deep(bytes.fromhex(progress.deep_at))
            _log(collectivite_id, step.damages)
            damages = [*damages, *step.damages][-MOST_TOLD:]
            if step.cursor is None:
                self._tell(collectivite_id, damages, seen=_OPENED if began else ())
                progress.deep_at, progress.deep_s = "", now_s
                _keep(database, progress)
                return
            if step.damages:
                self._tell(collectivite_id, step.damages)
            progress.deep_at = step.cursor.hex()
            _keep(database, progress)
            if self._stopped.wait(PAUSE_S):
                return

    def _tell(self, collectivite_id: str, damages: Sequence[Damage], *, seen: Collection[str] = ()) -> None:
        """Add to the report; ``seen``: kinds of damage of which this collectivité has no others any more."""
        before = read_report(self._config).damages
        fresh = [told for one in damages for told in _told(one)]
        again = {one.chunk for one in fresh}
        kept = [
            one
            for one in before
            if one.chunk not in again and not (one.why in seen and one.collectivite_id == collectivite_id)
        ]
        after = (*kept, *fresh)[-MOST_TOLD:]
        if after != before:
            json_file.write(report_path(self._config), Report(after))


def _log(collectivite_id: str, damages: Sequence[Damage]) -> None:
    for one in damages:
        log.error("%s: %s: %s, repaired: %s", collectivite_id, one.chunk_id.hex(), one.why, one.is_repaired)


def _told(one: Damage) -> list[Told]:
    at_s = clock.epoch_s()
    held = [(held.path, held.version) for held in one.held] or [("", 0)]
    return [
        Told(one.collectivite_id, one.chunk_id.hex(), one.why, path, version, one.is_repaired, at_s)
        for path, version in held
    ]


def _is_due(done_s: int, each_s: int, now_s: int) -> bool:
    return not 0 <= now_s - done_s < each_s


def _progress(database: Database) -> Progress:
    with database.reading() as reading:
        kept = meta(reading, "upkeep")
    try:
        found = msgspec.json.decode(kept, type=Progress) if kept is not None else Progress()
        bytes.fromhex(found.deep_at)
    except UNDECODABLE:
        return Progress()
    return found


def _keep(database: Database, progress: Progress) -> None:
    text = msgspec.json.encode(progress).decode()
    database.write(lambda w: keep_meta(w, "upkeep", text))
