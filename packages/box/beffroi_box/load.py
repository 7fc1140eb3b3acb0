"""The loader: what the agent gives to a short child, because it needs much memory or much time for a while.

Purpose: check a downloaded list, and bring lists into the engines; the agent itself stays small, and its urgent
         work never waits for this one's.
Process: ``python3 -m beffroi_box.load``, a child of the agent: root without any capability but CAP_NET_ADMIN.
Input:   one job (JSON) on standard input, from the agent; files that the centre's digest names.
Fails:   one result (JSON) on standard output, with a sentence when it did not work; what was in force stays.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import heapq
import ipaddress
import os
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE, FileMismatch, ProtocolError
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.lists import ListCheck
from beffroi_protocol.messages import BulkList
from beffroi_protocol.protected import Floor

from beffroi_box import ask
from beffroi_box.bulk import BulkSets
from beffroi_box.diary import MOST_FOUND, Diary, Met
from beffroi_box.errors import BoxError, LoadFailed
from beffroi_box.inspectconf import write_set
from beffroi_box.ranges import BITS, keys, packed_ranges, without
from beffroi_box.resolver import write_names

PIECE_BYTES = 1 << 18
LIMIT_S = 600
MOST_MET = 50
NAMES_S = 240.0
"""So long a list's new names are asked of the recursor's memory; some twenty thousand a second on a fast machine."""
_CONFINED = ("/usr/bin/setpriv", "--bounding-set", "-all,+net_admin", "--no-new-privs", "--")


class Unpack(msgspec.Struct, frozen=True, tag="unpack"):
    """Decompress and check ``packed``; the sound list is ``plain``. Paths are absolute."""

    wanted: BulkList
    packed: str
    plain: str


class Addresses(msgspec.Struct, frozen=True, tag="addresses"):
    """Block exactly the addresses of these lists: (name, file). ``networks``: protected beside the floor list."""

    lists: tuple[tuple[str, str], ...]
    networks: tuple[str, ...]


class Names(msgspec.Struct, frozen=True, tag="names"):
    """Write the names of these lists for dnsdist, and for the inspection engine where ``inspected`` names a file.
    ``protected``: names beside the floor list."""

    lists: tuple[tuple[str, str], ...]
    protected: tuple[str, ...]
    written: str
    inspected: str = ""


class Meet(msgspec.Struct, frozen=True, tag="meet"):
    """Look for the values of ``path`` that ``before`` ("": none) does not hold in the diary; ``now``: trusted time.
    Names (``recursor_port`` not 0) by the addresses that the recursor remembers for them, but for those of
    ``networks``, protected beside the floor list: what many share says nothing about one name."""

    path: str
    before: str
    diary: str
    now: int
    recursor_port: int = 0
    networks: tuple[str, ...] = ()


Job = Unpack | Addresses | Names | Meet


class MetValue(msgspec.Struct, frozen=True):
    """As ``diary.Met``, of one listed value."""

    indicator: Indicator
    count: int
    days: int
    first_at: int
    last_at: int


class Kept(msgspec.Struct, frozen=True):
    """A listed value that was left out because it touches something protected: the first one of its list."""

    name: str
    indicator: Indicator
    reason: str


class Result(msgspec.Struct, frozen=True):
    """``code``: of the error, "" when it worked; "disk" when nothing could be written."""

    count: int = 0
    kept: tuple[Kept, ...] = ()
    met: tuple[MetValue, ...] = ()
    code: str = ""
    trouble: str = ""


def run(job: Job) -> Result:
    """Do one job in a child. Errors: LoadFailed, OSError (disk)."""
    argv = [*_CONFINED, sys.executable, "-m", "beffroi_box.load"]
    try:
        done = subprocess.run(
            argv, input=msgspec.json.encode(job), capture_output=True, check=False, timeout=LIMIT_S
        )
        result = msgspec.json.decode(done.stdout, type=Result)
    except (subprocess.TimeoutExpired, *UNDECODABLE) as error:
        raise LoadFailed("loader", type(error).__name__) from None
    return sound(result)


def sound(result: Result) -> Result:
    """Errors: what the child met: LoadFailed, OSError (disk)."""
    if result.code == "disk":
        raise OSError(int(result.trouble), os.strerror(int(result.trouble)))
    if result.code:
        raise LoadFailed(result.code, result.trouble)
    return result


def _unpack(job: Unpack) -> Result:
    """Memory is bounded by a piece and a line; the file is there whole and checked, or not at all."""
    check, opener = ListCheck(job.wanted), zlib.decompressobj()
    temporary = Path(job.plain + ".new")
    try:
        with Path(job.packed).open("rb") as packed, temporary.open("wb") as plain:
            while (rest := packed.read(PIECE_BYTES)) and not opener.eof:
                while rest:
                    piece = opener.decompress(rest, PIECE_BYTES)
                    rest = opener.unconsumed_tail
                    check.feed(piece)
                    plain.write(piece)
            if not opener.eof:
                raise FileMismatch("it is cut off")
            check.finish()
            plain.flush()
            os.fsync(plain.fileno())
        temporary.replace(job.plain)
    except zlib.error:
        raise FileMismatch("it cannot be decompressed") from None
    finally:
        temporary.unlink(missing_ok=True)
    return Result(job.wanted.count)


def _addresses(job: Addresses) -> Result:
    floor = Floor((), job.networks)
    protected = {version: floor.ranges(version) for version in BITS}
    found: dict[int, list[int]] = {version: [] for version in BITS}
    kept: list[Kept] = []
    for name, path in job.lists:
        with Path(path).open("rb") as lines:
            listed = packed_ranges(lines)
        for version, bits in BITS.items():
            left, touched = without(listed.pop(version), protected[version], bits)
            found[version] += left
            if touched is not None:
                kept.append(_kept(name, version, touched, floor))
    blocked: dict[tuple[int, int], Sequence[int]] = {}
    for version, bits in BITS.items():
        packed = found.pop(version)
        packed.sort()
        blocked |= {(version, length): some for length, some in keys(packed, bits).items()}
    with closing(BulkSets()) as sets:
        sets.replace(blocked)
    return Result(sum(len(some) for some in blocked.values()), tuple(kept))


def _kept(name: str, version: int, touched: tuple[int, int], floor: Floor) -> Kept:
    low, high = touched
    bits = BITS[version]
    inside = max(low, next(start for start, end in floor.ranges(version) if end >= low))
    address = Indicator(
        Kind.IP, str(ipaddress.ip_network((inside.to_bytes(bits // 8), bits)).network_address)
    )
    length = bits - (high - low).bit_length()
    network = ipaddress.ip_network((low.to_bytes(bits // 8), length))
    shown = Indicator(Kind.IP, str(network[0])) if low == high else Indicator(Kind.CIDR, str(network))
    return Kept(name, shown, floor.reason(address))


def _names(job: Names) -> Result:
    floor = Floor(job.protected)
    kept: dict[str, Kept] = {}

    def allowed() -> Iterator[bytes]:
        last = b""
        with ExitStack() as opened:
            files = [_named(name, opened.enter_context(Path(path).open("rb"))) for name, path in job.lists]
            for line, name in heapq.merge(*files):
                if line == last:
                    continue
                last = line
                indicator = Indicator(Kind.DOMAIN, line.decode())
                if reason := floor.reason(indicator):
                    kept.setdefault(name, Kept(name, indicator, reason))
                else:
                    yield line

    count = write_names(Path(job.written), allowed())
    if job.inspected:
        write_set(Path(job.inspected), allowed())
    return Result(count, tuple(kept.values()))


def _meet(job: Meet) -> Result:
    with ExitStack() as opened:
        lines: Iterable[bytes] = opened.enter_context(Path(job.path).open("rb"))
        if job.before:
            lines = _not_in(lines, opened.enter_context(Path(job.before).open("rb")))
        diary = Diary(Path(job.diary))
        found = _meet_names(job, lines, diary) if job.recursor_port else diary.meet(lines, now=job.now)
    most = sorted(found.items(), key=lambda one: -one[1].count)[:MOST_MET]
    met = tuple(MetValue(i, m.count, m.days, m.first_at, m.last_at) for i, m in most)
    return Result(len(found), met=met)


def _meet_names(job: Meet, lines: Iterable[bytes], diary: Diary) -> dict[Indicator, Met]:
    """Of a name with several addresses, the one that was met most: a sum would count days twice."""
    floor = Floor((), job.networks)
    places: dict[Indicator, list[str]] = {}
    names = (line.rstrip(b"\n").decode("ascii") for line in lines)
    for name, addresses in islice(ask.remembered(names, job.recursor_port, limit_s=NAMES_S), MOST_FOUND):
        for place in (Indicator(Kind.IP, one) for one in addresses):
            if not floor.reason(place):
                places.setdefault(place, []).append(name)
    found: dict[Indicator, Met] = {}
    for place, met in diary.look_back(places, now=job.now).items():
        for listed in (Indicator(Kind.DOMAIN, name) for name in places[place]):
            if listed not in found or met.count > found[listed].count:
                found[listed] = met
    return found


def _not_in(lines: Iterable[bytes], before: Iterable[bytes]) -> Iterator[bytes]:
    """Both sorted by bytes, without their line feeds."""
    known = iter(before)
    there = next(known, None)
    for line in lines:
        while there is not None and there.rstrip(b"\n") < line.rstrip(b"\n"):
            there = next(known, None)
        if there != line:
            yield line


def _named(name: str, lines: Iterable[bytes]) -> Iterator[tuple[bytes, str]]:
    return ((line.rstrip(b"\n"), name) for line in lines)


def _do(job: Job) -> Result:
    try:
        match job:
            case Unpack():
                return _unpack(job)
            case Addresses():
                return _addresses(job)
            case Names():
                return _names(job)
            case Meet():
                return _meet(job)
    except (ProtocolError, BoxError) as error:
        return Result(code=error.code, trouble=str(error)[:300])
    except ValueError as error:
        return Result(code="list.unusable", trouble=str(error)[:300])
    except OSError as error:
        return Result(code="disk", trouble=str(error.errno or 0))


def main() -> int:
    os.umask(0o077)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    if isinstance(job, Meet):
        os.nice(19)  # nobody waits for what was
    result = _do(job)
    sys.stdout.buffer.write(msgspec.json.encode(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
