"""Whom the town hall as a whole talked to in the last 30 days: counted on the box's own disk, and nowhere else.

Purpose: when an address becomes known as hostile, answer "did we meet it, how often, when": for that address only.
Privacy: no address of the LAN. A remote address is kept as HMAC-SHA-256 (8 bytes) under a key of this box, so the
         files alone tell nobody where anyone went; whoever holds box and key can test addresses they think of.
Process: the agent's thread ``watch``; files in STATE/diary, one a day, 0600.
Bounds:  RECORDS_A_DAY records of 16 bytes a day, DAYS days; what comes later on a full day is not counted.
Fails:   files are replaced whole, with their checksum: a crash loses the last minute, a damaged day is left out.
         A full disk keeps today in memory.
Units:   trusted epoch seconds; days and minutes in UTC.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import struct
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton

from beffroi_protocol.indicators import Indicator, Kind

from beffroi_box.store import read_checked, write_atomic, write_checked

log = logging.getLogger("beffroi_box.diary")

DAYS = 30
RECORDS_A_DAY = 30_000
DAY_S = 86400
WIDTHS = {4: (32, 24), 6: (128, 64, 48)}
"""An address is also counted as these prefixes, so that a listed range can be looked up without knowing addresses."""
MOST_MARKS = 1 << 16
MOST_ASKED, MOST_FOUND = 1 << 23, 2000
"""Of one list: some seconds of a child of low priority, and a fact of bounded size."""
_RECORD = struct.Struct(">8sIHH")  # mark, flows, first and last minute of the day


@dataclass
class Met:
    """``count`` flows on ``days`` days."""

    count: int = 0
    days: int = 0
    first_at: int = 0
    last_at: int = 0


class Diary:
    """Safe for several threads."""

    def __init__(self, directory: Path) -> None:
        """Errors: OSError."""
        directory.mkdir(mode=0o700, exist_ok=True)
        self.directory = directory
        self._key = _key(directory / "key")
        self._lock = threading.Lock()
        self._day = 0
        self._today: dict[bytes, tuple[int, int, int]] = {}
        self._changed = False
        self.left_out = 0

    def label_key(self) -> bytes:
        """Another key from the same secret, for the labels of machines."""
        return hmac.digest(self._key, b"labels", "sha256")

    def count(self, flows: Iterable[tuple[str, int]], *, now: int) -> None:
        """Add new flows: (remote address, how many)."""
        minute = now % DAY_S // 60
        with self._lock:
            self._turn(now)
            for address, number in flows:
                self._changed = True
                for mark in self._marks_of_address(address):
                    known = self._today.get(mark)
                    if known is not None:
                        count = min(known[0] + number, 2**32 - 1)
                        self._today[mark] = (count, min(known[1], minute), max(known[2], minute))
                    elif len(self._today) < RECORDS_A_DAY:
                        self._today[mark] = (number, minute, minute)
                    else:
                        self.left_out += 1

    def keep(self) -> None:
        """Write today to the disk. Errors: OSError, and it stays in memory."""
        with self._lock:
            if self._changed:
                records = (_RECORD.pack(mark, *counts) for mark, counts in self._today.items())
                write_checked(self._path(self._day), b"".join(records))
                self._changed = False

    def look_back(self, indicators: Iterable[Indicator], *, now: int) -> dict[Indicator, Met]:
        """Return how often each of these addresses and prefixes was met; those never met are not in it."""
        wanted: dict[bytes, tuple[Indicator, ...]] = {}
        for indicator in indicators:
            for mark in self._marks_of(indicator):
                wanted[mark] = (*wanted.get(mark, ()), indicator)
        found: dict[Indicator, Met] = {}
        if not wanted:
            return found
        for day, records in self._days(now):
            on_this_day: set[Indicator] = set()
            for mark, count, first, last in records:
                for indicator in wanted.get(mark, ()):
                    met = found.setdefault(indicator, Met())
                    met.count += count
                    first_at, last_at = day * DAY_S + first * 60, day * DAY_S + last * 60
                    met.first_at = min(met.first_at or first_at, first_at)
                    met.last_at = max(met.last_at, last_at)
                    if indicator not in on_this_day:
                        on_this_day.add(indicator)
                        met.days += 1
        return found

    def meet(self, values: Iterable[bytes], *, now: int) -> dict[Indicator, Met]:
        """As ``look_back``, for the lines of a long list of addresses or prefixes: each is looked up in the few marks
        that there are. At most MOST_FOUND are answered, and MOST_ASKED marks made."""
        known = array("Q")
        for _, records in self._days(now):
            known.extend(int.from_bytes(mark) for mark, *_ in records)
        ordered = array("Q", sorted(known))
        found: list[Indicator] = []
        asked = 0
        for line in values if ordered else ():
            value = line.rstrip(b"\n").decode("ascii")
            marks = self._marks_of_line(value)
            asked += len(marks)
            if asked > MOST_ASKED or len(found) >= MOST_FOUND:
                break
            if any(_has(ordered, int.from_bytes(mark)) for mark in marks):
                found.append(Indicator(Kind.CIDR if "/" in value else Kind.IP, value))
        return self.look_back(found, now=now)

    # -- days --------------------------------------------------------------------------------------------

    def _turn(self, now: int) -> None:
        """Begin a new day, or go on with today's after a start."""
        day = now // DAY_S
        if day == self._day:
            return
        if self._day and self._changed:
            try:
                records = (_RECORD.pack(mark, *counts) for mark, counts in self._today.items())
                write_checked(self._path(self._day), b"".join(records))
            except OSError as error:
                log.warning("a day of the diary is lost: %s", error.strerror)
        self._day, self._changed, self.left_out = day, False, 0
        self._today = {record[0]: record[1:] for record in self._read(day)}
        for path in self.directory.iterdir():
            number = _number(path)
            # Only today's file is written again: of the others one copy is enough.
            if number is not None and (number <= day - DAYS or (number < day and path.suffix == ".previous")):
                path.unlink(missing_ok=True)

    def _days(self, now: int) -> Iterator[tuple[int, Iterable[tuple[bytes, int, int, int]]]]:
        today = now // DAY_S
        with self._lock:
            self._turn(now)
            yield today, [(mark, *counts) for mark, counts in self._today.items()]
        for day in range(today - 1, today - DAYS, -1):
            yield day, self._read(day)

    def _read(self, day: int) -> Iterator[tuple[bytes, int, int, int]]:
        body = read_checked(self._path(day)) or b""
        return _RECORD.iter_unpack(body[: len(body) // _RECORD.size * _RECORD.size])

    def _path(self, day: int) -> Path:
        return self.directory / f"{datetime.fromtimestamp(day * DAY_S, UTC).date()}.day"

    # -- marks -------------------------------------------------------------------------------------------

    def _mark(self, version: int, length: int, packed: bytes) -> bytes:
        return hmac.digest(self._key, bytes((version, length)) + packed, "sha256")[:8]

    def _marks_of_address(self, address: str) -> Iterator[bytes]:
        parsed = ipaddress.ip_address(address)
        number, bits = int(parsed), parsed.max_prefixlen
        for length in WIDTHS[parsed.version]:
            packed = (number >> (bits - length) << (bits - length)).to_bytes(bits // 8)
            yield self._mark(parsed.version, length, packed)

    def _marks_of_line(self, value: str) -> Sequence[bytes]:
        """As ``_marks_of``; an address without the cost of an object for each."""
        if "/" in value:
            return tuple(self._marks_of(Indicator(Kind.CIDR, value)))
        six = ":" in value
        packed = inet_pton(AF_INET6 if six else AF_INET, value)
        return (self._mark(*((6, 128) if six else (4, 32)), packed),)

    def _marks_of(self, indicator: Indicator) -> Iterator[bytes]:
        """The marks that together are exactly this address or range; none for a range that they do not fit."""
        if indicator.kind not in (Kind.IP, Kind.CIDR):
            return
        network = ipaddress.ip_network(indicator.value)
        bits, start = network.max_prefixlen, int(network.network_address)
        length = min(w for w in WIDTHS[network.version] if w >= network.prefixlen)
        if length - network.prefixlen > MOST_MARKS.bit_length() - 1:
            return
        step = 1 << (bits - length)
        for number in range(start, start + network.num_addresses, step):
            yield self._mark(network.version, length, number.to_bytes(bits // 8))


def _has(ordered: array[int], mark: int) -> bool:
    at = bisect_left(ordered, mark)
    return at < len(ordered) and ordered[at] == mark


def _number(path: Path) -> int | None:
    try:
        return (
            int(datetime.combine(date.fromisoformat(path.name[:10]), datetime.min.time(), UTC).timestamp())
            // DAY_S
        )
    except ValueError:
        return None


def _key(path: Path) -> bytes:
    """The box's own key of the diary: made once; a lost or damaged one makes the old days unreadable, no more."""
    try:
        key = path.read_bytes()
        if len(key) == 32:
            return key
    except FileNotFoundError:
        pass
    key = os.urandom(32)
    try:
        write_atomic(path, key)
    except OSError as error:
        log.warning("the diary begins anew at the next start: %s", error.strerror)
    return key
