"""Looks at what comes into the drive: each content once, after it was acknowledged; at all of it again by newer rules.

Purpose: follows the journal ``change`` of each collectivité from where it was (``store.findings``: scanning), shows
         the contents of changed files to the engines, writes what they say, and tells malice to the outbox:
         ``drive:found``. While nothing new waits, a walk goes through all contents that older rules looked at.
Process: filescan. No request waits for it; what a crash interrupts is done again.
         What is longer than MOST_BYTES waits in ``scan_due`` for a thread of its own, so that nothing waits for it.
Hostile: contents. At most MOST_BYTES of one are held, and handed on; nothing is opened here.
Fails:   closed for what came by a link, open for what members bring: "not yet scanned" until the engines answer.
Bounded: a walk begins WALKS_APART_S after the one before, and rests REST times as long as each look took.
Source:  docs/internals/drive.md, "The scan"; docs/decisions/0078-files-are-looked-at-after-they-came.md.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from beffroi.drive.scanning.engines import MOST_BYTES, EngineAway, Engines, Said
from beffroi.drive.store import drops, findings, scan_due
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.findings import Content, Finding, Progress, Result
from beffroi.drive.store.frozen import Held, count
from beffroi.drive.store.manifest import Manifest, ManifestBroken
from beffroi.drive.store.objects import ObjectMissing
from beffroi.drive.store.sealing import ObjectDamaged
from beffroi.drive.store.stock import Stock
from beffroi.drive.store.stored import Stored
from beffroi.drive.store.writing import Writing
from beffroi.lib import clock
from beffroi.scan import kinds

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
_UNREADABLE = Said({kinds.UNREADABLE: []}, is_whole=False)
"""Holds what came by a link; members open theirs."""
type Tell = Callable[[str, Finding, Held], object]
"""Publishes a finding of a collectivité; blocking. Errors: Unavailable."""


class Ending(Exception):
    """The process ends."""


@dataclass
class Scanner:
    communes: Communes
    stock_of: Callable[[str], Stock]
    engines: Engines
    tell: Tell
    wake: Callable[[str], object] = lambda collectivite_id: None
    """Called with a collectivité of which a long content waits."""
    carries: Callable[[str], object] = lambda collectivite_id: None
    """Called with a collectivité where something else than before is in a content: it waits for the door."""
    is_ending: bool = field(default=False, init=False)
    """The process ends: a long look stops at its next piece (Ending)."""
    _failures: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    """Of (collectivité, content)."""
    _walked: dict[str, Progress] = field(default_factory=dict, init=False)
    """Where no walk was due: whether one is by now is told without opening the metadata."""

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
        long = self._look_at_all(collectivite_id, database, waiting)
        self._go_on(collectivite_id, database, progress._replace(number=number), long)
        return True

    def walk(self, collectivite_id: str, mark: str) -> float | None:
        """One step through all contents; how long it took (seconds), None when nothing is left. ``mark``: of the rules
        in force. Errors: as ``follow``."""
        database, began_s = self.communes.metadata(collectivite_id), clock.steady_s()
        with database.reading() as reading:
            progress = findings.progress(reading, now_s=clock.epoch_s())
            if not _is_due(progress, mark):
                self._walked[collectivite_id] = progress
                return None
            names = findings.after(reading, progress.walked, WALK_AT_ONCE)
            older = [one for one in names if not _is_current(findings.of(reading, one), mark)]
            found = [one for one in (findings.content(reading, name) for name in older) if one is not None]
            is_over = not names and findings.all_by(reading, mark)
        long = self._look_at_all(collectivite_id, database, found)
        if names:
            begins = progress.walk_s if progress.walked else clock.epoch_s()
            after = progress._replace(walked=names[-1], walk_s=begins)
        else:
            # Other rules came while it went: the next one is for them.
            ends = mark if is_over else progress.mark
            after = progress._replace(mark=ends, walked="", walk_s=progress.walk_s or clock.epoch_s())
        self._go_on(collectivite_id, database, after, long)
        return clock.steady_s() - began_s if names else None

    def may_walk(self, collectivite_id: str, mark: str) -> bool:
        """False where ``walk`` would find nothing to do, unless others write meanwhile (``forget_walks``)."""
        walked = self._walked.get(collectivite_id)
        return walked is None or _is_due(walked, mark)

    def forget_walks(self, collectivite_ids: Collection[str]) -> None:
        for one in collectivite_ids:
            self._walked.pop(one, None)

    def look_at_long(self, collectivite_id: str) -> bool:
        """One content that waits; False where none does. Errors: as ``follow``, Ending."""
        database = self.communes.metadata(collectivite_id)
        with database.reading() as reading:
            sha256 = scan_due.first(reading)
            content = findings.content(reading, sha256) if sha256 else None
        if sha256 is None:
            return False
        results: list[Result] = []
        if content is not None:
            mark = self.engines.mark()
            said = self._look(collectivite_id, database, self.stock_of(collectivite_id), content)
            results = [_result(sha256, mark, said)]
            if any(code in findings.MALICE for code in said.found):
                log.warning("%s: found %s", collectivite_id, " ".join(said.found))

        def keep(writing: Writing) -> bool:
            scan_due.done(writing, sha256)
            return findings.keep(writing, results, now_s=clock.epoch_s())

        if database.write(keep):
            self.carries(collectivite_id)
        self.tell_all(collectivite_id, database)
        return True

    def forget(self, collectivite_id: str) -> bool:
        """What was said of contents that went; True. Errors: those of the metadata."""
        database, after = self.communes.metadata(collectivite_id), ""
        while True:
            with database.reading() as reading:
                names = findings.gone(reading, after)
            if not names:
                break
            database.write(partial(findings.forget, names=names))
            after = names[-1]
        database.write(drops.forget)
        return True

    def tell_all(self, collectivite_id: str, database: Database) -> None:
        """What the outbox does not have yet, at least once. Errors: those of the metadata, the outbox."""
        with database.reading() as reading:
            untold = [(one, count(reading, one.sha256)) for one in findings.untold(reading)]
        for one, held in untold:
            self.tell(collectivite_id, one, held)
            database.write(partial(findings.told, sha256=one.sha256, now_s=clock.epoch_s()))

    # -- inside ----------------------------------------------------------------------------------------------

    def _go_on(
        self, collectivite_id: str, database: Database, progress: Progress, long: Sequence[str]
    ) -> None:
        def keep(writing: Writing) -> None:
            scan_due.add(writing, long)
            findings.keep_progress(writing, progress)

        database.write(keep)
        if long:
            self.wake(collectivite_id)

    def _look_at_all(
        self, collectivite_id: str, database: Database, contents: Collection[Content]
    ) -> list[str]:
        """Returns those that are too long for it."""
        long = [one.sha256 for one in contents if one.size_bytes > MOST_BYTES]
        contents = [one for one in contents if one.size_bytes <= MOST_BYTES]
        if not contents:
            return long
        stock, mark = self.stock_of(collectivite_id), self.engines.mark()
        results: list[Result] = []
        since_s = clock.steady_s()
        try:
            for one in contents:
                said = self._look(collectivite_id, database, stock, one)
                results.append(_result(one.sha256, mark, said))
                if any(code in findings.MALICE for code in said.found):
                    log.warning("%s: found %s", collectivite_id, " ".join(said.found))
                    self._keep(collectivite_id, database, results)
                elif clock.steady_s() - since_s > KEEP_EACH_S:
                    self._keep(collectivite_id, database, results)
                    since_s = clock.steady_s()
        finally:
            self._keep(collectivite_id, database, results)
        return long

    def _keep(self, collectivite_id: str, database: Database, results: list[Result]) -> None:
        if not results:
            return
        kept, results[:] = tuple(results), ()
        if database.write(lambda writing: findings.keep(writing, kept, now_s=clock.epoch_s())):
            self.carries(collectivite_id)
        if any(code in findings.MALICE for one in kept for code in one.found):
            self.tell_all(collectivite_id, database)

    def _look(self, collectivite_id: str, database: Database, stock: Stock, content: Content) -> Said:
        if not content.size_bytes:
            return Said({}, is_whole=True)
        key = (collectivite_id, content.sha256)
        try:
            stored = Stored(stock, database, Manifest.unpack(content.manifest))
            if content.size_bytes <= MOST_BYTES:
                said = self.engines.look(stored.read(0, content.size_bytes))
            else:
                said = self.engines.look_long(stored.size_bytes, self._until_the_end(stored))
        except (ObjectMissing, ObjectDamaged, ManifestBroken) as error:  # upkeep tells it
            log.error("%s: a content cannot be read: %s", collectivite_id, error.code)
            return _UNREADABLE
        except EngineAway:
            self.engines.prove()  # away altogether: nothing is known of the content
            self._failures[key] += 1
            if self._failures[key] < TRIES:
                raise
            log.error("%s: a content is too much for an engine", collectivite_id)
            said = _UNREADABLE
        self._failures.pop(key, None)
        return said

    def _until_the_end(self, stored: Stored) -> Callable[[int, int], bytes]:
        def read(offset: int, length: int) -> bytes:
            if self.is_ending:
                raise Ending
            return stored.read(offset, length)

        return read


def _result(sha256: str, mark: str, said: Said) -> Result:
    return Result(sha256, mark, said.found, said.is_whole, said.files, said.malware)


def _is_due(progress: Progress, mark: str) -> bool:
    if progress.walked:
        return True
    # One that began in the future: the clock was set back since.
    return progress.mark != mark and not 0 <= clock.epoch_s() - progress.walk_s < WALKS_APART_S


def _is_current(scanned: findings.Scanned | None, mark: str) -> bool:
    return scanned is not None and scanned.mark == mark
