"""Facts on their way to the centre: counted, merged, kept on disk until the centre has them.

Purpose: what was blocked reaches the centre at least once; identifiers make one of two there. A fact gets its
         identifier when it is first counted and keeps it on disk, and a fact that was read back from disk is
         never counted further: whatever a crash leaves behind cannot count twice, nor vanish in a known one.
Bounds:  the open batch merges equal flows. What comes in, what goes out and names have each their own room: when
         one is full, the oldest address there keeps one count for all its ports; a new one is dropped (counted) only
         when there is nothing left to merge. What was read back is merged in the same way beyond ``MAX_OPEN``: neither
         an outage, nor a flood, nor restarts fill the disk. Evidence (refused entries, policies rolled back) is never
         dropped: each entry is told once, and one failing policy is one fact.
After:   what the centre took is kept for some days more (``told``): a restored centre lacks it.
Privacy: never an address of the LAN, never a name that is not on the list.
Fails:   a full disk keeps facts in memory; enforcement does not depend on them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.facts import (
    EntryRefused,
    Fact,
    FactBatch,
    FlowsBlocked,
    FlowsLearned,
    LookBack,
    NamesRefused,
    PolicyRolledBack,
    RefusedTotals,
)
from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import VERSION, Entry, encode

from beffroi_box.folding import Count, counted, fold_oldest, folded, urgency
from beffroi_box.store import write_atomic
from beffroi_box.told import Kept, Told, kept_facts

log = logging.getLogger("beffroi_box.facts")

MAX_OPEN = 2000
ROOM = {"in": 1000, "out": 500, "name": 500}
"""A flood from the internet leaves room for the call of a machine to its master."""
BATCH = 200
NAME_AGAIN_S = 300
"""A name asked for again within this time (for A, AAAA and HTTPS, by a program that tries anew) is counted once."""


Flow = tuple[Indicator, str, int]
"""Remote, protocol, port; ("", 0): all of them."""


def new_id() -> str:
    return f"fct_{secrets.token_hex(12)}"


class FactSpool:
    """Safe for several threads. ``changed`` is set when there is something to send.

    ``_closed``: facts that are not merged any more; the first ``_window`` of ``_sealed`` make the next post.
    """

    def __init__(
        self,
        directory: Path,
        box_id: str,
        *,
        keep_s: int = 0,
        now: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        """``keep_s``: how long what the centre took is kept; ``now``: trusted epoch seconds."""
        self._told = Told(directory / "told", keep_s=keep_s, now=now)
        self._has = 0
        self._open_path = directory / "open.json"
        self._sealed_path = directory / "sealed.json"
        self.box_id = box_id
        self._lock = threading.Lock()
        self._flows: dict[str, dict[Flow, Count]] = {"in": {}, "out": {}}
        self._names: dict[Indicator, Count] = {}
        self._asked: dict[Indicator, int] = {}
        self._asked_by: set[tuple[Indicator, str]] = set()
        self._sums: dict[str, RefusedTotals] = {}
        self._merged: dict[tuple[object, ...], LookBack | FlowsLearned] = {}
        self._closed: dict[str, Fact] = {}
        self._sealed: list[Fact] = []
        self._window = BATCH
        self._folded = False
        self._written = b""
        self.dropped = 0
        self.rejected = 0
        self.changed = threading.Event()
        self._load()

    def flow(  # noqa: PLR0917 - the parts of one packet's record
        self,
        indicator: Indicator,
        direction: str,
        protocol: str,
        port: int,
        entry_id: str,
        at: int,
        machine: str = "",
    ) -> None:
        """``machine``: label of who began it, where somebody must find it."""
        with self._lock:
            flows, key = self._flows[direction], (indicator, protocol, port)
            if key not in flows and len(flows) >= ROOM[direction]:
                self._folded |= fold_oldest(flows, indicator)
                if (all_ports := (indicator, "", 0)) in flows:
                    key = all_ports
            self._count(flows, key, ROOM[direction], entry_id, at, machine)

    def called(self, entry: Entry, protocol: str, port: int, at: int, machine: str) -> None:
        """One more machine calls what is counted already: no attempt more, but somebody must find it too."""
        with self._lock:
            flows, key = self._flows["out"], (entry.indicator, protocol, port)
            if (known := flows.get(key) or flows.get((entry.indicator, "", 0))) is not None:
                known.called(machine)
            elif len(flows) < ROOM["out"]:
                self._count(flows, key, ROOM["out"], entry.id, at, machine, by=0)

    def name(self, indicator: Indicator, entry_id: str, at: int, machine: str = "") -> None:
        with self._lock:
            again = self._asked_again(indicator, at)
            known = self._names.get(indicator)
            if not again:
                self._count(self._names, indicator, ROOM["name"], entry_id, at, machine)
            elif machine and (indicator, machine) not in self._asked_by:
                # One more machine asked for what is counted already: no attempt more, but somebody must find it too.
                if known is None:
                    self._count(self._names, indicator, ROOM["name"], entry_id, at, machine, by=0)
                else:
                    known.called(machine)
            if machine and len(self._asked_by) < MAX_OPEN:
                self._asked_by.add((indicator, machine))

    def _asked_again(self, indicator: Indicator, at: int) -> bool:
        since = self._asked.get(indicator)
        if since is not None and at - since < NAME_AGAIN_S:
            return True
        self._asked_by = {pair for pair in self._asked_by if pair[0] != indicator}
        if len(self._asked) >= MAX_OPEN:
            self._asked = {one: then for one, then in self._asked.items() if at - then < NAME_AGAIN_S}
            self._asked_by = {pair for pair in self._asked_by if pair[0] in self._asked}
        if len(self._asked) >= MAX_OPEN:
            self.dropped += 1
            return True
        self._asked[indicator] = at
        return False

    def totals(self, direction: str, packets: int, attempts: int, first_at: int, last_at: int) -> None:
        """What the kernel counted between these two moments."""
        with self._lock:
            known = self._sums.get(direction)
            self._sums[direction] = RefusedTotals(
                known.id if known else new_id(),
                direction,
                packets + (known.packets if known else 0),
                attempts + (known.attempts if known else 0),
                min(first_at, known.first_at) if known else first_at,
                last_at,
            )
        self.changed.set()

    def refused(self, entry: Entry, reason: str, at: int) -> None:
        """The identifier follows from the entry: told again after a restart, it is the same fact."""
        digest = hashlib.sha256(f"{self.box_id}\n{entry.id}".encode()).hexdigest()[:32]
        self.tell(EntryRefused(f"ref_{digest}", entry.id, entry.indicator, reason[:200], at))

    def left_out(self, name: str, indicator: Indicator, reason: str, at: int) -> None:
        """A value of the list ``name`` was left out. Told again, it is the same fact."""
        digest = hashlib.sha256(f"{self.box_id}\n{name}\n{indicator.value}".encode()).hexdigest()[:32]
        self.tell(EntryRefused(f"ref_{digest}", name, indicator, reason[:200], at))

    def rolled_back(self, version: int, kept: int, reason: str, at: int) -> None:
        self.tell(PolicyRolledBack(f"rol_{secrets.token_hex(12)}", version, kept, reason[:200], at))

    def learned(self, fact: FlowsLearned) -> None:
        """Add to the open fact about the same flows; a new one keeps the identifier that it brings."""

        def add(known: FlowsLearned) -> FlowsLearned:
            return msgspec.structs.replace(
                known,
                count=known.count + fact.count,
                first_at=min(known.first_at, fact.first_at),
                last_at=max(known.last_at, fact.last_at),
            )

        self._merge(fact, add)

    def looked_back(self, fact: LookBack) -> None:
        """Replace the open fact about the same entry and indicator: each says all of the days before."""
        self._merge(fact, lambda known: msgspec.structs.replace(fact, id=known.id))

    def _merge[F: (LookBack, FlowsLearned)](self, fact: F, merged: Callable[[F], F]) -> None:
        key = _same(fact)
        with self._lock:
            known = self._merged.get(key)
            if isinstance(known, type(fact)):
                self._merged[key] = merged(known)
            elif len(self._merged) < MAX_OPEN:
                self._merged[key] = fact
            else:
                self.dropped += 1
        self.changed.set()

    def tell(self, fact: Fact) -> None:
        """Evidence: it is never dropped, so whoever tells it sees to it that there is not too much."""
        with self._lock:
            self._closed.setdefault(fact.id, fact)
        self.changed.set()

    def _count[K](  # noqa: PLR0917 - the parts of one count
        self, counts: dict[K, Count], key: K, room: int, entry_id: str, at: int, machine: str, *, by: int = 1
    ) -> None:
        known = counts.get(key)
        if known is not None:
            known.count += by
            known.last_at = max(known.last_at, at)
        elif len(counts) >= room:
            self.dropped += by
            return
        else:
            known = counts[key] = Count(by, at, at, entry_id, new_id())
        known.called(machine)
        self.changed.set()

    def take(self) -> bytes | None:
        """Return the batch to send: the sealed facts again, or new ones. A full disk is logged, not raised."""
        with self._lock:
            if not self._sealed:
                if self._folded:
                    # What was merged must not come back beside its sum, should a crash find the old file.
                    self._keep()
                self._sealed = self._drain(BATCH)
                if not self._sealed:
                    return None
                self._window = BATCH
                self._write(self._sealed_path, self._sealed)
                self._keep()
            last = self._told.last
            return encode(FactBatch(VERSION, tuple(self._sealed[: self._window]), last, last + 1))

    def sent(self, has: int | None = None) -> None:
        """The centre has what ``take`` returned last. ``has``: the number up to which it says that it has all."""
        with self._lock:
            number = self._told.last + 1
            # It did not count this post: kept under its next number, it is owed.
            if has is not None and has > number:
                number = has + 1
            whole = self._window >= len(self._sealed)
            self._told.keep(number, self._sealed[: self._window], self._sealed_path if whole else None)
            self._forget()

    def centre_has(self, has: int) -> bool:
        """Return whether a centre that has the posts up to ``has`` lacks any. A higher number than ours is ours from
        now on: this box lost its own."""
        with self._lock:
            self._has = has
            self._told.last = max(self._told.last, has)
            return self._told.lacks(has)

    def owes(self) -> bool:
        with self._lock:
            return self._told.lacks(self._has)

    def lacking(self) -> Iterator[tuple[Kept, FactBatch]]:
        return self._told.lacking(self._has)

    def next_of(self, posts: Iterator[tuple[Kept, FactBatch]]) -> tuple[Kept, FactBatch] | None:
        with self._lock:
            return next(posts, None)

    def drop_told(self, one: Kept) -> None:
        with self._lock:
            self._told.drop(one)

    def refuse(self) -> None:
        """The centre will never take what ``take`` returned last: halve it, until the one bad fact is alone."""
        with self._lock:
            sent = min(self._window, len(self._sealed))
            if sent > 1:
                self._window = sent // 2
                return
            if self._sealed:
                self.rejected += 1
                log.error("fact %s was refused by the centre and is dropped", self._sealed[0].id)
            self._forget()
            self._window = BATCH

    def _forget(self) -> None:
        self._sealed = self._sealed[self._window :]
        if self._sealed:
            self._write(self._sealed_path, self._sealed)
            return
        with contextlib.suppress(OSError):  # the same facts again at the next start
            self._sealed_path.unlink(missing_ok=True)
            if not self._open():
                self._open_path.unlink(missing_ok=True)
                self._written = b""

    def keep(self) -> None:
        """Write the open batch to disk, and delete of what was told what is too old."""
        with self._lock:
            if self._open():
                self._keep()
            self._told.tidy()

    def _keep(self) -> None:
        """What did not change is not written again: most disks of boxes are flash."""
        facts = self._open()
        now = hashlib.sha256(encode(FactBatch(VERSION, tuple(facts)))).digest()
        if now != self._written and self._write(self._open_path, facts):
            self._written, self._folded = now, False

    def waiting(self) -> int:
        with self._lock:
            flows = sum(map(len, self._flows.values()))
            open_ = flows + len(self._names) + len(self._sums) + len(self._merged)
            return open_ + len(self._closed) + len(self._sealed)

    def _open(self) -> list[Fact]:
        """Evidence first: it is rare, and the centre waits for it. What comes in last."""
        facts: list[Fact] = [*self._closed.values(), *self._sums.values()]
        for direction, flows in self._flows.items():
            for (indicator, protocol, port), c in flows.items():
                span = c.count, c.first_at, c.last_at
                facts.append(
                    FlowsBlocked(
                        c.id, indicator, direction, *span, protocol, port, c.entry_id, tuple(c.machines)
                    )
                )
        for indicator, c in self._names.items():
            span = c.count, c.first_at, c.last_at
            facts.append(NamesRefused(c.id, indicator, *span, c.entry_id, tuple(c.machines)))
        facts += self._merged.values()
        return sorted(facts, key=urgency)

    def _drain(self, limit: int) -> list[Fact]:
        facts = self._open()[:limit]
        for fact in facts:
            if self._closed.pop(fact.id, None) is not None:
                continue
            if isinstance(fact, FlowsBlocked):
                del self._flows[fact.direction][fact.indicator, fact.protocol, fact.port]
            elif isinstance(fact, NamesRefused):
                del self._names[fact.indicator]
            elif isinstance(fact, LookBack | FlowsLearned):
                del self._merged[_same(fact)]
            elif isinstance(fact, RefusedTotals):
                del self._sums[fact.direction]
        return facts

    def _write(self, path: Path, facts: Sequence[Fact]) -> bool:
        try:
            write_atomic(path, encode(FactBatch(VERSION, tuple(facts))))
        except OSError as error:
            log.warning("facts stay in memory: %s", error.strerror)
            return False
        return True

    def _load(self) -> None:
        self._sealed = list(_read(self._sealed_path))
        sealed = {fact.id for fact in self._sealed}
        # Between the two writes of ``take`` a crash leaves a fact in both files.
        read = [fact for fact in _read(self._open_path) if fact.id not in sealed]
        if sum(map(counted, read)) > MAX_OPEN:
            read, lost = folded(read, MAX_OPEN)
            self.dropped += lost
            self._folded = True
        self._closed = {fact.id: fact for fact in read}
        if self._sealed or self._closed:
            self.changed.set()


def _same(fact: LookBack | FlowsLearned) -> tuple[object, ...]:
    if isinstance(fact, LookBack):
        return (LookBack, fact.entry_id, fact.indicator)  # of a list on trial each value is told
    return (FlowsLearned, fact.direction, fact.protocol, fact.port, fact.remote, fact.service)


def _read(path: Path) -> tuple[Fact, ...]:
    """Files are replaced whole; one that is damaged all the same is left out."""
    try:
        return kept_facts(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, *UNDECODABLE) as error:
        log.warning("%s is unusable (%s)", path.name, type(error).__name__)
        return ()
