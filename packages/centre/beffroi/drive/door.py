"""The door of files: what a decision holds is refused at once, and found where it lies already.

Purpose: ``refuses`` answers for each upload and download from memory. When the feed brings or takes a hash, a thread of
         its own looks for it in the index of every collectivité (no file is opened), freezes it or sets it free, and
         tells the outbox how many files of which collectivité: ``drive:frozen``, ``drive:thawed``. With a new bulk
         list of hashes, whatever lies there is compared, a portion at a time while nothing else is sought.
Process: drive, one thread for the feed, one for the search.
Hostile: nothing; the feed is verified (``core.planes.follower``).
Fails:   the last list stays in force while stream is away. A collectivité whose metadata cannot be read or written is
         searched anew a minute later, for all that the feed names; its downloads are refused all the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import Empty, SimpleQueue

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import BulkList, Entry
from beffroi_protocol.table import OVERLAY, Change, every_overlay

from beffroi.core.planes.follower import Follower, door_follower
from beffroi.drive.due import Due
from beffroi.drive.store import findings, frozen
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.keys import KeysErased
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.door")
CHANNELS = ("drive", every_overlay("drive"))
_ALL_FROZEN = "all frozen"
"""Sought when lists change: what a list named is not told one by one."""
_ALL_LISTED = "all listed"
AGAIN_S = 60.0
PORTION, PAUSE_S = 1000, 0.05
"""Contents that are compared with bulk lists at once, and the pause after them: the process serves files, too."""


type Tell = Callable[[str, str, Mapping[str, object]], object]
"""``tell(kind, collectivite_id, payload)``: to the outbox. Errors: Unavailable."""


class FileDoor:
    """``tell``: as ``telling.tell``, by the thread of the search alone."""

    def __init__(self, config: Config, communes: Communes, tell: Tell) -> None:
        self._communes, self._tell = communes, tell
        self._sought: SimpleQueue[str | None] = SimpleQueue()
        """A hash; _ALL_FROZEN; a channel that is read anew: in its collectivités all that the feed names is sought
        then, and all that is frozen."""
        self._thread = threading.Thread(target=self._search, name="drive-search", daemon=True)
        self.follower: Follower | None = None
        try:
            self.follower = door_follower(
                config, door="drive", channels=CHANNELS, on_change=self._changed, on_loaded=self._loaded
            )
        except SettingInvalid:
            log.warning("no feed was ever set up: no file is refused")

    def start(self) -> None:
        if self.follower is None:
            return
        self._sought.put(CHANNELS[0])
        self._thread.start()
        self.follower.start()

    def stop(self) -> None:
        if self.follower is not None:
            self.follower.stop()
        self._sought.put(None)
        if self._thread.ident is not None:
            self._thread.join(10)

    def refuses(self, sha256: str, collectivite_id: str) -> Entry | None:
        """The entry that holds this content in this collectivité; None where none does. ``sha256``: hex, or ""."""
        try:
            if self.follower is None or not sha256:
                return None
            return self.follower.match(normalise(Kind.SHA256, sha256), (collectivite_id,))
        except IndicatorInvalid:
            return None

    def require(self, sha256: str, collectivite_id: str) -> None:
        """Errors: Frozen."""
        entry = self.refuses(sha256, collectivite_id)
        if entry is not None:
            raise Frozen(entry.id)

    # -- the search ----------------------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        if change.reset:
            self._sought.put(change.channel)
            return
        for sha256 in _hashes([*change.added, *change.removed]):
            self._sought.put(sha256)
        if change.lists_added or change.lists_removed:
            self._sought.put(_ALL_FROZEN)

    def _loaded(self, bulk: BulkList) -> None:
        if bulk.kind == Kind.SHA256:
            self._sought.put(_ALL_LISTED)

    def _known(self) -> list[str]:
        """All that is to be sought in a collectivité of which nothing is known."""
        assert self.follower is not None
        with self.follower.tables() as tables:
            found = _hashes([entry for table in tables.values() for entry in table])
            was_heard = tables[CHANNELS[0]].epoch > 0
        # before the first word of the feed nothing would hold what is held
        return [*found, _ALL_FROZEN] if was_heard else found

    def _search(self) -> None:
        left, walks = Due(), Due()  # collectivités: those searched for all, those compared with bulk lists
        behind: dict[str, str] = {}  # of the latter: the hash up to which
        while True:
            waits_s = [one for one in (left.wait_s(), walks.wait_s()) if one is not None]
            try:
                sought = self._sought.get(timeout=min(waits_s, default=None))
            except Empty:  # one after the other: what the feed brings meanwhile never waits for all of them
                one = left.first()
                if one is None:
                    self._walk(walks, behind)
                    continue
                missed = [] if self._search_in(one, self._known()) else [one]
            else:
                if sought is None:
                    return
                if sought == _ALL_LISTED:
                    behind.clear()
                    for one in self._ids():
                        walks.now(one)
                    continue
                if sought.startswith(CHANNELS[0]):  # what ended meanwhile is not told one by one then
                    owner = sought.partition(OVERLAY)[2]
                    for one in self._ids():
                        if owner in ("", one):
                            left.now(one)
                    continue
                missed = [one for one in self._ids() if not self._search_in(one, [sought])]
            for one in missed:
                left.after(one, AGAIN_S)

    def _walk(self, walks: Due, behind: dict[str, str]) -> None:
        """The next portion of one collectivité."""
        one = walks.first()
        if one is None:
            return
        after, reached = behind.pop(one, ""), list[str]()

        def listed() -> Iterator[str]:
            with self._communes.metadata(one).reading() as reading:
                reached.extend(findings.after(reading, after, PORTION))
            yield from (sha256 for sha256 in reached if self.refuses(sha256, one) is not None)

        if not self._search_in(one, listed()):
            behind[one] = after
            walks.after(one, AGAIN_S)
        elif len(reached) == PORTION:
            behind[one] = reached[-1]
            walks.after(one, PAUSE_S)

    def _ids(self) -> list[str]:
        while True:
            try:
                return self._communes.ids()
            except OSError as error:
                log.error("no collectivité is searched: %s", error.strerror)
                time.sleep(1.0)

    def _search_in(self, collectivite_id: str, sought: Iterable[str]) -> bool:
        """False where it could not be searched to the end."""
        try:
            for sha256 in sought:
                for one in self._frozen(collectivite_id) if sha256 == _ALL_FROZEN else (sha256,):
                    self.settle(one, collectivite_id)
        except KeysErased:
            return True  # nothing of it lies here any more
        except BeffroiError as error:
            log.error("%s is not searched: %s", collectivite_id, error.code)
            return False
        except Exception:  # the thread's outermost place: the next hash is still sought
            log.exception("%s is not searched", collectivite_id)
            return False
        return True

    def _frozen(self, collectivite_id: str) -> list[str]:
        with self._communes.metadata(collectivite_id).reading() as reading:
            return frozen.all_frozen(reading)

    def settle(self, sha256: str, collectivite_id: str) -> None:
        """Make what this collectivité holds back agree with what the feed says now."""
        database, entry = self._communes.metadata(collectivite_id), self.refuses(sha256, collectivite_id)
        with database.reading() as reading:
            there, before = frozen.count(reading, sha256), frozen.decision_of(reading, sha256)
        if entry is not None and any(there) and before != entry.id:
            now_s, decision_id = clock.epoch_s(), entry.id
            database.write(lambda w: frozen.freeze(w, sha256=sha256, decision_id=decision_id, now_s=now_s))
            self._communes.told(collectivite_id)
            if before:  # another decision goes on where that one ended
                self._say("drive:thawed", before, sha256, collectivite_id, there)
            self._say("drive:frozen", decision_id, sha256, collectivite_id, there)
        elif entry is None and before and database.write(lambda w: frozen.thaw(w, sha256=sha256)):
            self._communes.told(collectivite_id)
            self._say("drive:thawed", before, sha256, collectivite_id, there)

    def _say(
        self, kind: str, decision_id: str, sha256: str, collectivite_id: str, there: frozen.Held
    ) -> None:
        """After the change: a crash between the two costs a line of the report, never the block."""
        told = {
            "decision_id": decision_id,
            "sha256": sha256,
            "files": there.files,
            "versions": there.versions,
        }
        self._tell(kind, collectivite_id, told)


def _hashes(entries: list[Entry]) -> list[str]:
    values = (one.indicator.value for one in entries if one.indicator.kind == Kind.SHA256)
    return list(dict.fromkeys(values))
