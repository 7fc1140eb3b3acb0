"""What the LAN met of the entries and of the lists on trial: looked back on when they come, told when they are met.

Process: the agent's thread ``watch``; names come from the thread that reads the resolver's questions.
Input:   addresses and names of the internet: hostile; every table is bounded.
Fails:   a silent recursor leaves names out, addresses are answered all the same.
Source:  docs/internals/box.md, "Diary and look-back".
"""

from __future__ import annotations

import hashlib
import logging
import queue
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from beffroi_protocol.facts import LookBack
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, Entry

from beffroi_box import ask
from beffroi_box.config import BoxConfig
from beffroi_box.diary import DAY_S, Diary, Met
from beffroi_box.enforce import Enforcer
from beffroi_box.facts import FactSpool, new_id
from beffroi_box.tallies import Tally

log = logging.getLogger("beffroi_box.meetings")

AGAIN_S, MOST_MET = 60, 2000
MOST_NAMES = 10_000
"""So many names are looked back on at a time: two questions each to the recursor's memory."""
_Seen = tuple[str, Indicator]
"""(identifier of the entry or name of the list, what was met)."""


class Observed(Protocol):
    """The lists on trial."""

    def observed_address(self, address: str) -> Entry | None: ...
    def observed_name(self, name: str) -> Entry | None: ...


class Meetings:
    """``now`` returns trusted epoch seconds."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        config: BoxConfig,
        box_id: str,
        enforcer: Enforcer,
        spool: FactSpool,
        diary: Diary,
        now: Callable[[], int],
    ) -> None:
        self._config = config
        self._box_id = box_id
        self._enforcer = enforcer
        self._spool = spool
        self._diary = diary
        self._now = now
        self._observed: Observed | None = None
        self._met: dict[_Seen, Entry] = {}
        self._met_told_at: dict[_Seen, int] = {}
        self._names_met: dict[_Seen, Met] = {}
        self._asked_as: dict[_Seen, str] = {}
        self._asked: queue.SimpleQueue[tuple[Entry, ...]] = queue.SimpleQueue()

    def observe(self, lists: Observed) -> None:
        """Count what these lists would refuse."""
        self._observed = lists

    def look_back(self, entries: Iterable[Entry]) -> None:
        """Answer later, in the thread ``watch``, how often the LAN met these."""
        if wanted := tuple(e for e in entries if e.action in (Action.BLOCK, Action.WARN)):
            self._asked.put(wanted)

    def answer(self) -> None:
        entries: list[Entry] = []
        while not self._asked.empty():
            entries += self._asked.get()
        if not entries:
            return
        places: dict[Indicator, list[Entry]] = {}
        for entry in entries:
            if entry.indicator.kind is not Kind.DOMAIN:
                places.setdefault(entry.indicator, []).append(entry)
        names = [entry for entry in entries if entry.indicator.kind is Kind.DOMAIN]
        try:
            for entry in names[-MOST_NAMES:]:
                for place in self._places_of(entry.indicator.value):
                    places.setdefault(place, []).append(entry)
        except OSError:
            log.warning("the recursor is silent: names are not looked back on")
        met: dict[str, tuple[Entry, Met]] = {}
        for place, found in self._diary.look_back(places, now=self._now()).items():
            for entry in places[place]:
                # Of a name with several addresses, the one that was met most: a sum would count days twice.
                if entry.id not in met or found.count > met[entry.id][1].count:
                    met[entry.id] = entry, found
        for entry, found in met.values():
            digest = hashlib.sha256(f"{self._box_id}\n{entry.id}".encode()).hexdigest()[:32]
            self._spool.tell(LookBack(
                f"lkb_{digest}", entry.id, entry.indicator, found.count, found.days, found.first_at, found.last_at
            ))  # fmt: skip

    def _places_of(self, name: str) -> tuple[Indicator, ...]:
        """The addresses that the recursor remembers for a name. Nobody outside is asked, and an address that many
        share says nothing about one name. Errors: OSError (it is silent)."""
        if self._enforcer.resolver is None:
            return ()
        found = ask.addresses(name, self._config.recursor_port, from_memory=True)
        return tuple(Indicator(Kind.IP, a) for a in found if not self._enforcer.is_protected(a))

    def count(self, met: Iterable[Tally]) -> None:
        """Remember which of these remotes an entry or a list on trial names."""
        for tally in met:
            entry = self._enforcer.watched_address(tally.other)
            if entry is None and self._observed is not None:
                entry = self._observed.observed_address(tally.other)
            if entry is not None and len(self._met) < MOST_MET:
                self._met[_seen(entry)] = entry

    def asked(self, name: str) -> bool:
        """Count a question of the LAN; return whether an observed entry or a list on trial names it."""
        if (entry := self._watched_name(name)) is None:
            return False
        self._name_met(entry, name)
        return True

    def tell(self) -> None:
        """Tell of observed entries that were met, each once a minute: all of the days before, as for a new one."""
        now = self._now()
        due = {
            seen: entry
            for seen, entry in list(self._met.items())
            if now - self._met_told_at.get(seen, 0) >= AGAIN_S
        }
        before = self._before(due)
        for seen, entry in due.items():
            met = before.get(seen)
            if met is not None:
                self._spool.looked_back(
                    LookBack(
                        new_id(), entry.id, entry.indicator, met.count, met.days, met.first_at, met.last_at
                    )
                )
            self._met_told_at[seen] = now
            self._met.pop(seen, None)
        if len(self._names_met) > MOST_MET:
            self._names_met.clear()
            self._asked_as.clear()
        if len(self._met_told_at) > MOST_MET:
            self._met_told_at.clear()

    def _before(self, due: Mapping[_Seen, Entry]) -> dict[_Seen, Met]:
        """How each was met: in the diary; a name by its look-ups since the start, or by what the diary knows of the
        addresses to which it leads, where that is more days: what a town hall lives on it met before it was watched."""
        places: dict[Indicator, list[_Seen]] = {}
        for seen, entry in due.items():
            if entry.indicator.kind is not Kind.DOMAIN:
                places.setdefault(entry.indicator, []).append(seen)
        try:
            for seen in due.keys() & self._asked_as.keys():
                for place in self._places_of(self._asked_as[seen]):
                    places.setdefault(place, []).append(seen)
        except OSError:
            log.info("the recursor is silent: observed names are counted by look-ups only")
        best = {seen: self._names_met[seen] for seen in due.keys() & self._names_met.keys()}
        for place, met in self._diary.look_back(places, now=self._now()).items():
            for seen in places[place]:
                if seen not in best or met.days > best[seen].days:
                    best[seen] = met
        return best

    def _name_met(self, entry: Entry, name: str) -> None:
        """Look-ups have no diary: they are counted since the start."""
        now = self._now()
        self._asked_as[_seen(entry)] = name
        met = self._names_met.setdefault(_seen(entry), Met(0, 1, now, now))
        met.count, met.days, met.last_at = met.count + 1, 1 + now // DAY_S - met.first_at // DAY_S, now
        if len(self._met) < MOST_MET:
            self._met[_seen(entry)] = entry

    def _watched_name(self, name: str) -> Entry | None:
        entry = self._enforcer.watched_name(name)
        return entry if entry is not None or self._observed is None else self._observed.observed_name(name)


def _seen(entry: Entry) -> _Seen:
    return entry.id, entry.indicator
