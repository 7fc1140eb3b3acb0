"""The door of files: what a decision holds is refused at once, and found where it lies already.

Purpose: ``refuses`` answers for each upload and download from memory. When the feed brings or takes a hash, a thread of
         its own looks for it in the index of every collectivité (no file is opened), freezes it and what carries it, or
         sets them free, and tells the outbox how many files of which collectivité the decision holds now:
         ``drive:frozen``, ``drive:thawed``. With a new bulk list of hashes, whatever lies there is compared, a portion
         at a time while nothing else is sought. What the scan finds in a file that came is compared as it is told.
Process: drive, one thread for the feed, one for the search, one that hears the scan (``following``).
Hostile: nothing; the feed is verified (``core.planes.follower``).
Fails:   the last list stays in force while stream is away. A collectivité whose metadata cannot be read or written is
         searched anew a minute later, for all that the feed names; its downloads are refused all the same. What the
         outbox could not be told is told then, too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import BulkList, Entry
from beffroi_protocol.table import OVERLAY, Change, every_overlay

from beffroi.core.planes.follower import Follower, door_follower
from beffroi.drive import following
from beffroi.drive.due import Due
from beffroi.drive.store import carried, findings, frozen
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.telling import Tell
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id

log = logging.getLogger("beffroi.drive.door")
CHANNELS = ("drive", every_overlay("drive"))
_ALL_FROZEN = "all frozen"
"""Sought when lists change: what a list named is not told one by one."""
_ALL_DUE = "all due"
"""Sought when the scan told another thing of what is in a content."""
_ALL_LISTED = "all listed"
AGAIN_S = 60.0
PORTION, PAUSE_S = 1000, 0.05
"""Contents that are compared with bulk lists at once, and the pause after them: the process serves files, too."""


class FileDoor:
    """``tell``: by the thread of the search alone."""

    def __init__(self, config: Config, communes: Communes, tell: Tell) -> None:
        self._communes, self._tell = communes, tell
        self._sought: SimpleQueue[str | None] = SimpleQueue()
        """A hash; _ALL_FROZEN; a collectivité, in which the scan looked at something; a channel that is read anew: in
        its collectivités all that the feed names is sought then, and all that is frozen."""
        self._untold: dict[str, list[tuple[str, Mapping[str, object]]]] = {}
        """What the outbox could not be told of a collectivité, oldest first."""
        self._run = config.run
        self._scan: following.Follower | None = None
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
        self._scan = following.Follower(following.of_door(self._run), "door", self._sought.put)
        threading.Thread(target=self._scan.run, args=((),), name="drive-scanned", daemon=True).start()
        self._sought.put(CHANNELS[0])
        self._thread.start()
        self.follower.start()

    def stop(self) -> None:
        if self.follower is not None:
            self.follower.stop()
        if self._scan is not None:
            self._scan.stop()
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
        return [_ALL_DUE, *found, _ALL_FROZEN] if was_heard else found

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
                    missed = self._walk(walks, behind)
                else:
                    missed = self._missed([one], self._known())
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
                is_told = is_id(sought, "col")
                owners, what = ([sought], _ALL_DUE) if is_told else (self._ids(), sought)
                missed = self._missed(owners, [what])
            for one in missed:
                left.after(one, AGAIN_S)

    def _missed(self, owners: Iterable[str], sought: Sequence[str]) -> list[str]:
        """Collectivités that have to be searched, or told of, again."""
        return [one for one in owners if not (self._search_in(one, sought) and self._is_told(one))]

    def _walk(self, walks: Due, behind: dict[str, str]) -> list[str]:
        """The next portion of one collectivité; return it where it has to be told of again."""
        one = walks.first()
        if one is None:
            return []
        after, reached = behind.pop(one, ""), list[str]()

        def listed() -> Iterator[str]:
            with self._communes.metadata(one).reading() as reading:
                reached.extend(findings.after(reading, after, PORTION))
                packed = carried.between(reading, reached[0], reached[-1]) if reached else {}
            for sha256 in reached:
                if self._holding(sha256, packed.get(sha256, ()), one) is not None:
                    yield sha256

        if not self._search_in(one, listed()):
            behind[one] = after
            walks.after(one, AGAIN_S)
        elif len(reached) == PORTION:
            behind[one] = reached[-1]
            walks.after(one, PAUSE_S)
        return [] if self._is_told(one) else [one]

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
            for one in sought:
                self.settle(self._contents(one, collectivite_id), collectivite_id)
        except KeysErased:
            return True  # nothing of it lies here any more
        except BeffroiError as error:
            log.error("%s is not searched: %s", collectivite_id, error.code)
            return False
        except Exception:  # the thread's outermost place: the next hash is still sought
            log.exception("%s is not searched", collectivite_id)
            return False
        return True

    def _contents(self, sought: str, collectivite_id: str) -> Iterable[str]:
        if sought not in (_ALL_FROZEN, _ALL_DUE):
            return (sought,)
        database = self._communes.metadata(collectivite_id)
        with database.reading() as reading:
            if sought == _ALL_FROZEN:
                return frozen.all_frozen(reading)
            due = carried.due(reading)
        if due:  # first: what the scan tells meanwhile waits anew
            database.write(lambda w: carried.settled(w, due))
        return due

    def _holding(self, sha256: str, packed: Iterable[str], collectivite_id: str) -> Entry | None:
        """The entry that holds this content, or a file in it."""
        found = (self.refuses(one, collectivite_id) for one in (sha256, *packed))
        return next((entry for entry in found if entry is not None), None)

    def settle(self, contents: Iterable[str], collectivite_id: str) -> None:
        """Make what this collectivité holds back of these contents, and of all that carry them, agree with what the
        feed says now."""
        database = self._communes.metadata(collectivite_id)
        with database.reading() as reading:
            found = {one for sha256 in contents for one in frozen.concerned(reading, sha256)}
            before = {one: frozen.decision_of(reading, one) for one in found}
            after = {one: self._held_by(reading, one, collectivite_id) for one in found}
            changed = sorted(one for one in found if before[one] != after[one])
            ended = {before[one]: frozen.held_by(reading, before[one]) for one in changed if before[one]}
        if not changed:
            return
        now_s = clock.epoch_s()

        def change(writing: Writing) -> None:
            for one in changed:
                if after[one]:
                    frozen.freeze(writing, sha256=one, decision_id=after[one], now_s=now_s)
                else:
                    frozen.thaw(writing, sha256=one)

        database.write(change)
        self._communes.told(collectivite_id)
        begun = dict.fromkeys(after[one] for one in changed if after[one])
        with database.reading() as reading:
            now = {one: frozen.held_by(reading, one) for one in (*ended, *begun)}
            brought_by = {after[one]: frozen.brought_by(reading, one) for one in changed if after[one]}
        # After the change: a crash between the two costs a line of the report, never the block.
        for decision_id, there in now.items():
            is_held = any(there)
            told = there if is_held else ended.get(decision_id, there)
            payload = {"decision_id": decision_id, "files": told.files, "versions": told.versions}
            payload["brought_by"] = brought_by.get(decision_id, "")
            kind = "drive:frozen" if is_held else "drive:thawed"
            self._untold.setdefault(collectivite_id, []).append((kind, payload))

    def _is_told(self, collectivite_id: str) -> bool:
        """Tell what was found; False while the outbox is away."""
        untold = self._untold.get(collectivite_id, [])
        try:
            while untold:
                self._tell(untold[0][0], collectivite_id, untold[0][1])
                untold.pop(0)
        except Exception as error:  # noqa: BLE001 - whatever it is, the search goes on, and it is told later
            log.error("%s: what is held is not told: %s", collectivite_id, type(error).__name__)
            return False
        return True

    def _held_by(self, reading: Reading, sha256: str, collectivite_id: str) -> str:
        """The decision that holds it by what the feed says; "" for none. What lies here no more stays as it is."""
        entry = self._holding(sha256, carried.of(reading, sha256), collectivite_id)
        if entry is None:
            return ""
        return entry.id if any(frozen.count(reading, sha256)) else frozen.decision_of(reading, sha256)


def _hashes(entries: list[Entry]) -> list[str]:
    values = (one.indicator.value for one in entries if one.indicator.kind == Kind.SHA256)
    return list(dict.fromkeys(values))
