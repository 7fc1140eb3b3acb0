"""Facts on their way to the centre: counted, merged, kept on disk until the centre has them.

Purpose: what was blocked reaches the centre at least once; identifiers make one of two there.
Bounds:  at most one sealed batch and one open batch; the open one merges equal flows and drops new ones beyond
         ``MAX_OPEN`` (counted), so a long outage or a flood cannot fill the disk.
Privacy: never an address of the LAN, never a name that is not on the list.
Fails:   a full disk keeps facts in memory; enforcement does not depend on them.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import (
    VERSION,
    Entry,
    EntryRefused,
    Fact,
    FactBatch,
    FlowsBlocked,
    NamesRefused,
    PolicyRolledBack,
    decode,
    encode,
)

from beffroi_box.store import write_atomic

log = logging.getLogger("beffroi_box.facts")

MAX_OPEN = 2000
BATCH = 200


@dataclass
class _Count:
    count: int
    first_at: int
    last_at: int
    entry_id: str


class FactSpool:
    """Safe for several threads. ``changed`` is set when there is something to send."""

    def __init__(self, directory: Path, box_id: str) -> None:
        self._open_path = directory / "open.json"
        self._sealed_path = directory / "sealed.json"
        self._box_id = box_id
        self._lock = threading.Lock()
        self._flows: dict[tuple[Indicator, str, str, int], _Count] = {}
        self._names: dict[Indicator, _Count] = {}
        self._others: dict[str, Fact] = {}
        self._sealed: bytes | None = None
        self.dropped = 0
        self.changed = threading.Event()
        self._load()

    def flow(  # noqa: PLR0917 - the parts of one packet's record
        self, indicator: Indicator, direction: str, protocol: str, port: int, entry_id: str, at: int
    ) -> None:
        with self._lock:
            self._count(self._flows, (indicator, direction, protocol, port), entry_id, at)

    def name(self, indicator: Indicator, entry_id: str, at: int) -> None:
        with self._lock:
            self._count(self._names, indicator, entry_id, at)

    def refused(self, entry: Entry, reason: str, at: int) -> None:
        """The identifier follows from the entry: told again after a restart, it is the same fact."""
        digest = hashlib.sha256(f"{self._box_id}\n{entry.id}".encode()).hexdigest()[:32]
        fact = EntryRefused(f"ref_{digest}", entry.id, entry.indicator, reason[:200], at)
        with self._lock:
            self._others[fact.id] = fact
        self.changed.set()

    def rolled_back(self, version: int, kept: int, reason: str, at: int) -> None:
        fact = PolicyRolledBack(f"rol_{secrets.token_hex(12)}", version, kept, reason[:200], at)
        with self._lock:
            self._others[fact.id] = fact
        self.changed.set()

    def _count[K](self, counts: dict[K, _Count], key: K, entry_id: str, at: int) -> None:
        known = counts.get(key)
        if known is not None:
            known.count += 1
            known.last_at = max(known.last_at, at)
        elif len(self._flows) + len(self._names) >= MAX_OPEN:
            self.dropped += 1
        else:
            counts[key] = _Count(1, at, at, entry_id)
        self.changed.set()

    def take(self) -> bytes | None:
        """Return the batch to send: the sealed one again, or a new one. Errors: OSError is logged, not raised."""
        with self._lock:
            if self._sealed is None:
                facts = self._drain(BATCH)
                if not facts:
                    return None
                self._sealed = encode(FactBatch(VERSION, tuple(facts)))
                self._write(self._sealed_path, self._sealed)
                self._write(self._open_path, encode(FactBatch(VERSION, tuple(self._peek()))))
            return self._sealed

    def sent(self) -> None:
        """The centre has the sealed batch."""
        with self._lock:
            self._sealed = None
            self._sealed_path.unlink(missing_ok=True)
            if not (self._flows or self._names or self._others):
                self._open_path.unlink(missing_ok=True)

    def keep(self) -> None:
        """Write the open batch to disk."""
        with self._lock:
            facts = self._peek()
            if facts:
                self._write(self._open_path, encode(FactBatch(VERSION, tuple(facts))))

    def waiting(self) -> int:
        with self._lock:
            return len(self._flows) + len(self._names) + len(self._others) + (self._sealed is not None)

    def _peek(self) -> list[Fact]:
        facts: list[Fact] = list(self._others.values())
        for (indicator, direction, protocol, port), c in self._flows.items():
            facts.append(
                FlowsBlocked(
                    _new_id(),
                    indicator,
                    direction,
                    c.count,
                    c.first_at,
                    c.last_at,
                    protocol,
                    port,
                    c.entry_id,
                )
            )
        for indicator, c in self._names.items():
            facts.append(NamesRefused(_new_id(), indicator, c.count, c.first_at, c.last_at, c.entry_id))
        return facts

    def _drain(self, limit: int) -> list[Fact]:
        facts = self._peek()[:limit]
        for fact in facts:
            if isinstance(fact, FlowsBlocked):
                del self._flows[(fact.indicator, fact.direction, fact.protocol, fact.port)]
            elif isinstance(fact, NamesRefused):
                del self._names[fact.indicator]
            else:
                del self._others[fact.id]
        return facts

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_atomic(path, data)
        except OSError as error:
            log.warning("facts stay in memory: %s", error.strerror)

    def _load(self) -> None:
        if (sealed := _read(self._sealed_path)) is not None:
            self._sealed = encode(sealed)
            self.changed.set()
        for fact in found.facts if (found := _read(self._open_path)) else ():
            if isinstance(fact, FlowsBlocked):
                key = (fact.indicator, fact.direction, fact.protocol, fact.port)
                self._flows[key] = _Count(fact.count, fact.first_at, fact.last_at, fact.entry_id)
            elif isinstance(fact, NamesRefused):
                self._names[fact.indicator] = _Count(fact.count, fact.first_at, fact.last_at, fact.entry_id)
            else:
                self._others[fact.id] = fact
            self.changed.set()


def _new_id() -> str:
    return f"fct_{secrets.token_hex(12)}"


def _read(path: Path) -> FactBatch | None:
    """A half-written batch was never the whole of it: it is left out."""
    try:
        return decode(path.read_bytes(), FactBatch)
    except FileNotFoundError:
        return None
    except (OSError, ProtocolError) as error:
        log.warning("%s is unusable (%s)", path.name, type(error).__name__)
        return None
