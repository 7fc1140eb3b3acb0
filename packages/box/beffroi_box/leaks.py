"""What goes out and should not: volumes to new places, uploads at night, beacons, passwords in clear, DNS tunnels.

Purpose: pure detectors over what the kernel counts (``tallies``) and over long names that the resolver tells.
Input:   addresses, ports, sums of bytes, names: hostile, each table is bounded. No content is seen by any of them.
Limits:  a password in clear is concluded from the port alone. A beacon is seen when it opens a connection each time.
Units:   ``now`` in trusted epoch seconds.
Source:  DNS tunnels: thresholds tried on captures of iodine and dnscat against 51 others (no false alarm).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from beffroi_protocol.protected_lists import SECOND_LEVELS, SUFFIXES

from beffroi_box.tallies import Tally

HOUR_S = 3600
NIGHT_HOURS = frozenset({22, 23, 0, 1, 2, 3, 4, 5})
NIGHT_SHARE = 4
"""At night a quarter of the day's volume is an alarm: nobody should be there."""
CLEAR = {21: "ftp", 23: "telnet"}
"""POP3, IMAP and submission begin in clear too, but most go on by STARTTLS (RFC 2595, 3207): there the port alone says
nothing, and an alarm for each PC and hour would be false."""
BEATS, BEAT_FROM_S = 16, 45
"""Unless the policy says otherwise."""
BEAT_TO_S = 3600
BEAT_JITTER = 0.15
"""Share of the interval: rows without any rhythm were never taken for one in 20,000 tries, gaps evenly between half
a minute and a minute and a half were in 84."""
READ_S = 10
"""The kernel's counts are read so often: shorter gaps than BEAT_FROM_S drown in that; half a reading is allowed."""
MOST_PAIRS = 4096
TUNNEL_WINDOW_S = 600
RARE_KINDS = frozenset({5, 10, 15, 16, 33, 65399})  # CNAME, NULL, MX, TXT, SRV, PRIVATE


@dataclass(frozen=True)
class Leak:
    """``machine``: address of the LAN, for its label only; ``remote``: address or registered name."""

    detector: str
    machine: str
    remote: str
    evidence: dict[str, str]


class Volumes:
    """Bytes sent by one machine to one place within an hour."""

    def __init__(self) -> None:
        self._hour = 0
        self._bytes: dict[tuple[str, str], int] = {}
        self._told: set[tuple[str, str]] = set()

    def judge(self, sent: Iterable[Tally], *, limit_bytes: int, now: int, local_hour: int) -> Iterator[Leak]:
        """Yield what passed the limit, once an hour; whether the place is a new one is the caller's to know."""
        if now // HOUR_S != self._hour:
            self._hour, self._bytes, self._told = now // HOUR_S, {}, set()
        night = local_hour in NIGHT_HOURS
        limit = limit_bytes // NIGHT_SHARE if night else limit_bytes
        for tally in sent:
            key = tally.address, tally.other
            if key not in self._bytes and len(self._bytes) >= MOST_PAIRS:
                continue
            total = self._bytes[key] = self._bytes.get(key, 0) + tally.bytes
            if limit and total >= limit and key not in self._told:
                self._told.add(key)
                detector = "leak_night" if night else "leak_volume"
                evidence = {"bytes_this_hour": str(total), "limit_bytes": str(limit)}
                yield Leak(detector, *key, evidence)


class Beacons:
    """Connections of one machine to one place that nobody else talks to, at regular intervals: ``beats`` of them, at
    least ``from_s`` apart; the counts are read every ``read_s``."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str, int], list[int]] = {}
        self._machines: dict[str, str] = {}
        self._shared: set[str] = set()

    def judge(
        self,
        met: Iterable[Tally],
        *,
        now: int,
        from_s: int = BEAT_FROM_S,
        beats: int = BEATS,
        read_s: float = READ_S,
    ) -> Iterator[Leak]:
        """Yield each pair of machine and place whose last ``beats`` meetings came at one pace. ``now``: epoch seconds;
        ``met``: what was counted since the last call; names and time (ports 53, 123) beat by nature."""
        for tally in met:
            if tally.port in (53, 123) or self._is_shared(tally):
                continue
            key = tally.address, tally.other, tally.protocol, tally.port
            if key not in self._seen and len(self._seen) >= MOST_PAIRS:
                self._seen = {k: v for k, v in self._seen.items() if now - v[-1] <= BEAT_TO_S}
                if len(self._seen) >= MOST_PAIRS:
                    continue
            times = self._seen.setdefault(key, [])
            times.append(now)
            del times[:-beats]
            if len(times) == beats and (interval_s := _regular(times, from_s, read_s)):
                evidence = {"interval_s": str(interval_s), "beats": str(beats), "port": str(tally.port)}
                yield Leak("beacon", tally.address, tally.other, evidence)

    def _is_shared(self, tally: Tally) -> bool:
        """A place that two machines talk to is no rare one."""
        if tally.other in self._shared:
            return True
        if self._machines.setdefault(tally.other, tally.address) != tally.address:
            self._shared.add(tally.other)
        for known in (self._machines, self._shared):
            if len(known) > 4 * MOST_PAIRS:
                known.clear()
        return tally.other in self._shared


def _regular(times: list[int], from_s: int, read_s: float) -> int:
    """Return the interval in seconds, 0 when there is none."""
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    if not from_s <= mean <= BEAT_TO_S or spread > math.hypot(BEAT_JITTER * mean, read_s / 2):
        return 0
    return round(mean)


def clear_passwords(met: Iterable[Tally]) -> Iterator[Leak]:
    for tally in met:
        if tally.protocol == "tcp" and (service := CLEAR.get(tally.port)):
            evidence = {"service": service, "port": str(tally.port), "concluded_from": "port"}
            yield Leak("cleartext_password", tally.address, tally.other, evidence)


@dataclass
class _Labels:
    since: int
    unique: set[str] = field(default_factory=set)
    length: int = 0
    entropy: float = 0.0
    rare: int = 0
    asked: int = 0


class Tunnels:
    """Questions that carry data: many long, unlike labels below one registered name, of one machine."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], _Labels] = {}

    def judge(self, machine: str, name: str, kind: int, *, now: int) -> Leak | None:
        """One question of one machine. ``kind``: number of the record's type; ``now``: epoch seconds."""
        registered, below = split(name)
        if not below or registered.endswith(".arpa"):
            return None
        if len(self._pairs) >= MOST_PAIRS:
            self._pairs = {k: v for k, v in self._pairs.items() if now - v.since < TUNNEL_WINDOW_S}
            if len(self._pairs) >= MOST_PAIRS:
                return None
        pair = self._pairs.get((machine, registered))
        if pair is None or now - pair.since >= TUNNEL_WINDOW_S:
            pair = self._pairs[machine, registered] = _Labels(now)
        pair.asked += 1
        pair.rare += kind in RARE_KINDS
        if below not in pair.unique and len(pair.unique) < 200:
            pair.unique.add(below)
            pair.length += len(below)
            pair.entropy += _entropy(below)
        unique = len(pair.unique)
        mean, entropy = pair.length / unique, pair.entropy / unique
        carries = unique >= 30 and mean >= 30 and entropy >= 3.0
        if not carries and not (unique >= 20 and mean >= 20 and pair.rare > 0.8 * pair.asked):
            return None
        evidence = {
            "unique_labels": str(unique), "mean_bytes": f"{mean:.0f}", "mean_entropy_bits": f"{entropy:.1f}",
            "rare_types": f"{pair.rare / pair.asked:.2f}", "questions": str(pair.asked),
        }  # fmt: skip
        return Leak("dns_tunnel", machine, registered, evidence)


def split(name: str) -> tuple[str, str]:
    """Return the registered name (example.com, example.co.uk) and what stands below it."""
    labels = name.split(".")
    taken = 2
    if len(labels) > 2:
        second = len(labels[-1]) == 2 and labels[-2] in SECOND_LEVELS
        if second or ".".join(labels[-2:]) in SUFFIXES:
            taken = 3
    return ".".join(labels[-taken:]), ".".join(labels[:-taken])


def _entropy(text: str) -> float:
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())
