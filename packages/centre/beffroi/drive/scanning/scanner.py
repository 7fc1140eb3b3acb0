"""Looks at what comes into the drive: each content once, after it was acknowledged; at all of it again by newer rules.

Purpose: follows the journal ``change`` of each collectivité from where it was (``store.findings``: scanning), shows
         the contents of changed files to the engines, writes what they say, and tells malice to the outbox:
         ``drive:found``. While nothing new waits, a walk goes through all contents that older rules looked at.
Process: filescan. No request waits for it; what a crash interrupts is done again.
Hostile: contents. At most MOST_BYTES of one are held, and handed on; nothing is opened here.
Fails:   closed for what came by a link, open for what members bring: "not yet scanned" until the engines answer.
Bounded: a walk begins WALKS_APART_S after the one before, and rests REST times as long as each look took.
Source:  docs/internals/drive.md, "The scan"; docs/decisions/0078-files-are-looked-at-after-they-came.md.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from beffroi.drive.scanning.engines import MOST_BYTES, EngineAway, Engines, Said
from beffroi.drive.store import drops, findings, refs
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.findings import Content, Finding, Progress, Result
from beffroi.drive.store.frozen import Held, count
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.objects import ObjectMissing
from beffroi.drive.store.sealing import ObjectDamaged
from beffroi.drive.store.stock import Stock
from beffroi.lib import clock

log = logging.getLogger("beffroi.drive.scanning")
MOST_AT_ONCE = 64
"""Contents that are looked at and then remembered in one commit."""
KEEP_EACH_S = 1.0
"""What was looked at is written after so long at the latest: somebody may wait to open it."""
WALK_AT_ONCE = 16
WALKS_APART_S = 86400
REST = 4.0
FORGET_EACH_S = 86400
TRIES = 3
"""Of one content on which an engine that answers otherwise fails."""
type Tell = Callable[[str, Finding, Held], object]
"""Publishes a finding of a collectivité; blocking. Errors: Unavailable."""


@dataclass
class Scanner:
    communes: Communes
    stock_of: Callable[[str], Stock]
    engines: Engines
    tell: Tell
    _failures: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    """Of (collectivité, content)."""

    def follow(self, collectivite_id: str) -> bool:
        """The contents of the next changes; True while there are more. Errors: EngineAway, those of the metadata, the
        keys, the objects, the outbox."""
        database = self.communes.metadata(collectivite_id)
        self.tell_all(collectivite_id, database)
        with database.reading() as reading:
            progress = findings.progress(reading, now_s=clock.epoch_s())
            nodes, number = findings.changes(reading, progress.number, MOST_AT_ONCE)
            waiting = findings.waiting_in(reading, nodes)
        if number == progress.number:
            return False
        self._look_at_all(collectivite_id, database, waiting)
        done = progress._replace(number=number)
        database.write(lambda writing: findings.keep_progress(writing, done))
        return True

    def walk(self, collectivite_id: str, mark: str) -> float | None:
        """One step through all contents; how long it took (seconds), None when nothing is left. ``mark``: of the rules
        in force. Errors: as ``follow``."""
        database, began_s = self.communes.metadata(collectivite_id), clock.steady_s()
        with database.reading() as reading:
            progress = findings.progress(reading, now_s=clock.epoch_s())
            if not _is_due(progress, mark):
                return None
            names = findings.after(reading, progress.walked, WALK_AT_ONCE)
            older = [one for one in names if not _is_current(findings.of(reading, one), mark)]
            found = [one for one in (findings.content(reading, name) for name in older) if one is not None]
            is_over = not names and findings.all_by(reading, mark)
        self._look_at_all(collectivite_id, database, found)
        if names:
            begins = progress.walk_s if progress.walked else clock.epoch_s()
            after = progress._replace(walked=names[-1], walk_s=begins)
        else:
            # Other rules came while it went: the next one is for them.
            ends = mark if is_over else progress.mark
            after = progress._replace(mark=ends, walked="", walk_s=progress.walk_s or clock.epoch_s())
        database.write(lambda writing: findings.keep_progress(writing, after))
        return clock.steady_s() - began_s if names else None

    def forget(self, collectivite_id: str) -> None:
        """What was said of contents that went. Errors: those of the metadata."""
        database = self.communes.metadata(collectivite_id)
        while True:
            with database.reading() as reading:
                names = findings.gone(reading)
            if not names:
                break
            database.write(lambda writing, it=names: findings.forget(writing, it))  # type: ignore[misc]
        database.write(drops.forget)

    def tell_all(self, collectivite_id: str, database: Database) -> None:
        """What the outbox does not have yet, at least once. Errors: those of the metadata, the outbox."""
        with database.reading() as reading:
            untold = [(one, count(reading, one.sha256)) for one in findings.untold(reading)]
        for one, held in untold:
            self.tell(collectivite_id, one, held)
            database.write(lambda writing, it=one: findings.told(writing, it.sha256, now_s=clock.epoch_s()))  # type: ignore[misc]

    # -- inside ----------------------------------------------------------------------------------------------

    def _look_at_all(self, collectivite_id: str, database: Database, contents: Collection[Content]) -> None:
        if not contents:
            return
        stock, mark = self.stock_of(collectivite_id), self.engines.mark()
        results: list[Result] = []
        since_s = clock.steady_s()
        try:
            for one in contents:
                said = self._look(collectivite_id, database, stock, one)
                results.append(Result(one.sha256, mark, said.found, said.is_whole))
                if any(code in findings.MALICE for code in said.found):
                    log.warning("%s: found %s", collectivite_id, " ".join(said.found))
                    self._keep(collectivite_id, database, results)
                elif clock.steady_s() - since_s > KEEP_EACH_S:
                    self._keep(collectivite_id, database, results)
                    since_s = clock.steady_s()
        finally:
            self._keep(collectivite_id, database, results)

    def _keep(self, collectivite_id: str, database: Database, results: list[Result]) -> None:
        if not results:
            return
        kept, results[:] = tuple(results), ()
        database.write(lambda writing: findings.keep(writing, kept, now_s=clock.epoch_s()))
        if any(code in findings.MALICE for one in kept for code in one.found):
            self.tell_all(collectivite_id, database)

    def _look(self, collectivite_id: str, database: Database, stock: Stock, content: Content) -> Said:
        if not content.size_bytes:
            return Said({}, is_whole=True)
        try:
            data = _beginning(database, stock, content)
        except (ObjectMissing, ObjectDamaged) as error:  # upkeep tells it
            log.error("%s: a content cannot be read: %s", collectivite_id, error.code)
            return Said({}, is_whole=False)
        key = (collectivite_id, content.sha256)
        try:
            said = self.engines.look(data, is_whole=len(data) == content.size_bytes)
        except EngineAway:
            self.engines.mark()  # away altogether: nothing is known of the content
            self._failures[key] += 1
            if self._failures[key] < TRIES:
                raise
            log.error("%s: a content is too much for an engine", collectivite_id)
            said = Said({}, is_whole=False)
        self._failures.pop(key, None)
        return said


def _beginning(database: Database, stock: Stock, content: Content) -> bytes:
    """The content, or as much of it as engines look at. Errors: those of ``Stock.read``."""
    out = bytearray()
    for chunk in Manifest.unpack(content.manifest).chunks:
        with database.reading() as reading:
            sealed = refs.sealed(reading, chunk.id)
        out += stock.read(chunk.id, sealed)
        if len(out) >= MOST_BYTES:
            break
    del out[MOST_BYTES:]
    return bytes(out)


def _is_due(progress: Progress, mark: str) -> bool:
    if progress.walked:
        return True
    return progress.mark != mark and clock.epoch_s() - progress.walk_s >= WALKS_APART_S


def _is_current(scanned: findings.Scanned | None, mark: str) -> bool:
    return scanned is not None and scanned.mark == mark
