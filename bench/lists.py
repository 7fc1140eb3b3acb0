"""Bulk lists in one box: loading, exchange, memory; what packets and names pay for them; what goes on meanwhile.

Purpose: 10^4, 10^5 and 10^6 addresses and names through the agent's own loader into a real kernel and dnsdist.
         Meanwhile an urgent block every few milliseconds, as the agent does it, and a datagram through the box.
Process: root; namespaces, removed at the end. Peers: plain ``nft -f`` of the same, and what is installed.
"""

from __future__ import annotations

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

from beffroi_box import load
from beffroi_box.errors import BoxError
from beffroi_box.kernel import Kernel
from beffroi_box.priority import before_all_others
from beffroi_box.ruleset import ruleset
from beffroi_lab.running import wait_until
from beffroi_lab.topology import LabFailed, LabImpossible
from beffroi_protocol.lists import content
from beffroi_protocol.messages import Policy

from bench import names, packets, peers
from bench.place import SERVER, SITE, Place
from bench.rows import Row

SIZES = (10_000, 100_000, 1_000_000)
PREFIXES = 100_000
SEED = 20260822
ECHO_PORT = 23061
EXCHANGES = 5
LIMIT_S = 300.0
"""No part is begun after it: on a machine that has nothing else to do, all of it takes a few minutes."""
_LENGTHS = (24,) * 6 + (23, 22, 25, 28, 29)


def run(say: Callable[[str], None]) -> list[Row]:
    """A part that fails is a row that says why. Errors: LabImpossible."""
    if os.geteuid() != 0:
        raise LabImpossible("namespaces need root")
    with tempfile.TemporaryDirectory(prefix="bfl-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        hosts, prefixes = _hosts(SIZES[-1]), _prefixes(PREFIXES)
        started, rows = time.monotonic(), list[Row]()
        parts: dict[str, Callable[[], Iterable[Row]]] = {
            "loads": lambda: _loads(directory, hosts, prefixes, say),
            "names": lambda: names.run(directory, SIZES, say),
            "packets": lambda: packets.run(directory, hosts, prefixes, say),
            "CrowdSec's load": lambda: _by_crowdsec(directory, hosts, rows, say),
        }
        for part, measure in parts.items():
            if time.monotonic() - started > LIMIT_S:
                rows.append(Row(part, "", None, target=0.0, note=f"not begun after {LIMIT_S:g} s"))
                continue
            try:
                for row in measure():
                    rows.append(row)  # what was measured before a failure stays
            except (LabFailed, BoxError, OSError, subprocess.SubprocessError) as error:
                say(f"{part}: {error}")
                rows.append(Row(part, "", None, target=0.0, note=f"broken off: {str(error)[:160]}"))
    return rows


def _loads(
    directory: Path, hosts: list[str], prefixes: list[str], say: Callable[[str], None]
) -> Iterator[Row]:
    place = Place("lists")
    with place.built():
        place.nft(ruleset(Policy(), SITE))
        for size in SIZES:
            others = hosts[size // 100 : size] + _hosts(SIZES[-1], SEED + 1)[: size // 100]
            yield from _load(place, directory, f"{size} addresses", (hosts[:size], others), say)
        exchanged = (prefixes, _prefixes(PREFIXES, SEED + 1))
        yield from _load(place, directory, f"{PREFIXES} prefixes", exchanged, say)


def _load(
    place: Place,
    directory: Path,
    what: str,
    versions: tuple[list[str], list[str]],
    say: Callable[[str], None],
) -> Iterator[Row]:
    """``versions``: of one list, exchanged for each other."""
    say(f"loading {what}")
    jobs = []
    for number, values in enumerate(versions):
        path = directory / f"list{number}"
        path.write_bytes(content(values))
        jobs.append(load.Addresses((("bench", str(path)),), ()))
    before_kib = _kernel_kib()
    with _pings(place) as lost, _urgent_blocks(place) as latencies_ms:
        count, first_s = _timed(place, jobs[0])
        grown_kib = _kernel_kib() - before_kib
        times_s = [_timed(place, jobs[(turn + 1) % 2])[1] for turn in range(EXCHANGES)]
    peer_s = _by_nft(place, versions[0]) if len(versions[0]) <= 100_000 else None
    yield Row(f"{what}: loaded", "s", round(first_s, 2), peer_s, "nft -f, interval set" if peer_s else "")
    whole = what.endswith("prefixes")
    yield Row(
        f"{what}: {'all' if whole else '1 %'} exchanged", "s", round(statistics.median(times_s), 2),
        target=1.0 if whole else None, note=f"slowest of {EXCHANGES}: {max(times_s):.2f}",
    )  # fmt: skip
    yield Row(
        f"{what}: kernel memory an element", "B", round(grown_kib * 1024 / count), note=f"{count} elements"
    )
    yield Row(
        f"{what}: the agent's code with the list's index (PSS)", "MiB", _agent_mib(directory / "list0"), target=60.0,
        note="decisions and diary come on top",
    )  # fmt: skip
    yield Row(f"{what}: urgent block meanwhile, p99", "ms", _percentile(latencies_ms, 0.99), target=5.0)
    yield Row(
        f"{what}: urgent block meanwhile, max", "ms", _percentile(latencies_ms, 1), note=f"of {len(latencies_ms)}"
    )  # fmt: skip
    yield Row(f"{what}: datagrams lost meanwhile", "", float(lost[0]), target=0.0, note=f"of {lost[1]}")
    _timed(place, load.Addresses((), ()))


def _timed(place: Place, job: load.Addresses) -> tuple[int, float]:
    """Return elements and seconds, the start of the child and the kernel's freeing included."""
    started = time.monotonic()
    result = place.inside("box", lambda: load.run(job))
    return result.count, time.monotonic() - started


def _by_crowdsec(
    directory: Path, hosts: list[str], rows: list[Row], say: Callable[[str], None]
) -> Iterator[Row]:
    ours = {row.work: row.ours for row in rows}
    for size in SIZES[:2]:
        work = f"{size} addresses: loaded"
        yield loaded_by(work, ours[work], peers.crowdsec_list(directory, hosts[:size], say))


def loaded_by(work: str, ours: float | None, found: peers.Measured) -> Row:
    """``found``: with one time, in ms."""
    seconds = round(found.times_ms[0] / 1000, 2) if found.times_ms else None
    return Row(work, "s", ours, seconds, found.name, note=found.why)


# -- what goes on meanwhile ------------------------------------------------------------------------------


@contextmanager
def _urgent_blocks(place: Place) -> Iterator[list[float]]:
    """Another process blocks an address every 5 ms, as the agent does; yield its latencies."""
    found: list[float] = []
    argv = place.command("box", sys.executable, "-m", "bench.lists")
    probe = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert probe.stdout is not None
    probe.stdout.readline()
    yield found
    out, _ = probe.communicate(b"stop")
    found += json.loads(out)


def _probe() -> None:
    before_all_others()
    kernel, latencies = Kernel(), []
    first = random.randrange(1 << 24)  # addresses that no earlier probe blocked
    stop = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    print("ready", flush=True)
    number = 0
    while not stop.wait(0.005):
        number += 1
        address = str(ip_address(99 << 24 | (first + number) % (1 << 24)))
        started = time.monotonic()
        kernel.change({address: 60_000}, (), None)
        latencies.append((time.monotonic() - started) * 1000)
    print(json.dumps(latencies))


@contextmanager
def _pings(place: Place) -> Iterator[list[int]]:
    """A datagram through the box and back every 5 ms; yield [lost, sent]."""
    found: list[int] = []
    stop = threading.Event()
    back: set[bytes] = set()
    sent: list[bytes] = []
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    with place.socket("server", *kind) as server, place.socket("client", *kind) as client:
        server.bind((SERVER, ECHO_PORT))
        client.connect((SERVER, ECHO_PORT))

        def echo() -> None:
            while True:
                data, peer = server.recvfrom(64)
                server.sendto(data, peer)
                if not data:
                    return

        def hear() -> None:
            while data := client.recv(64):
                back.add(data)

        threads = [threading.Thread(target=one, daemon=True) for one in (echo, hear)]
        for one in threads:
            one.start()

        def send() -> None:
            while not stop.wait(0.005):
                sent.append(b"%d" % len(sent))
                client.send(sent[-1])

        sender = threading.Thread(target=send)
        sender.start()
        yield found
        stop.set()
        sender.join()
        wait_until(lambda: len(back) == len(sent), 0.2, 0.01)  # the last ones are under way
        found += [len(sent) - len(back), len(sent)]
        client.send(b"")  # ends both readers
        for one in threads:
            one.join(1)


def _by_nft(place: Place, values: list[str]) -> float:
    place.nft("add table inet peer\nadd set inet peer s { type ipv4_addr; flags interval; auto-merge; }\n")
    started = time.monotonic()
    place.nft(f"add element inet peer s {{ {', '.join(values)} }}\n")
    seconds = time.monotonic() - started
    place.nft("delete table inet peer\n")
    return round(seconds, 2)


def _hosts(count: int, seed: int = SEED) -> list[str]:
    source = random.Random(seed)
    return [str(ip_address(n)) for n in source.sample(range(24 << 24, 98 << 24), count)]


def _prefixes(count: int, seed: int = SEED) -> list[str]:
    source = random.Random(seed)
    found: set[str] = set()
    while len(found) < count:
        length = source.choice(_LENGTHS)
        found.add(str(ip_network((source.randrange(24 << 24, 98 << 24), length), strict=False)))
    return sorted(found)


def _kernel_kib() -> int:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    return sum(int(fields[name].split()[0]) for name in ("Slab", "VmallocUsed"))


_AGENT = """
import mmap, random, re, sys
from beffroi_box import agent
from beffroi_protocol.indicators import Kind
from beffroi_protocol.lists import ListIndex
with open(sys.argv[1], "rb") as file:
    lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
index = ListIndex(lines, Kind.IP)
for _ in range(10_000):
    ".".join(str(random.randrange(24, 98)) for _ in range(4)) in index
print(re.search(r"^Pss:\\s+(\\d+)", open("/proc/self/smaps_rollup").read(), re.M)[1])
"""


def _agent_mib(path: Path) -> float:
    """A whole process: the agent's code, and the list's index of which it asked ten thousand addresses, with the
    pages of the file that this touches. The decisions of the feed and the diary are not in it."""
    done = subprocess.run(
        [sys.executable, "-c", _AGENT, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    return round(int(done.stdout) / 1024, 1)


def _percentile(values: list[float], part: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 2) if ordered else None


if __name__ == "__main__":
    _probe()
