"""Bulk lists in one box: loading, memory, and what else goes on meanwhile.

Purpose: 10^4, 10^5 and 10^6 addresses and names through the agent's own loader into a real kernel and a real
         dnsdist, an urgent block and a ping every few milliseconds beside it.
Process: root; three namespaces (client, box, server), removed at the end. Peer: plain ``nft -f`` of the same.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

from beffroi_box import load
from beffroi_box.cdb import wire_name
from beffroi_box.config import BoxConfig
from beffroi_box.netlink import DESTROYSETELEM, NEWSETELEM, Operation, SetWriter, address_element
from beffroi_box.resolver import Resolver, bulk_file, dnsdist_configuration, own_files, prepare, write_names
from beffroi_box.ruleset import TABLE, Site, ruleset
from beffroi_box.store import Store
from beffroi_lab.running import wait_until
from beffroi_lab.topology import LabFailed, LabImpossible
from beffroi_protocol.lists import content
from beffroi_protocol.messages import Policy

from bench.rows import Row

SIZES = (10_000, 100_000, 1_000_000)
SEED = 20260822
PORT, ECHO_PORT = 23060, 23061
CLIENT, SERVER = "185.11.30.2", "185.10.20.1"
_LENGTHS = (24,) * 6 + (23, 22, 25, 28, 29)


def run(say: Callable[[str], None]) -> list[Row]:
    """Errors: LabImpossible, LabFailed."""
    if os.geteuid() != 0:
        raise LabImpossible("namespaces need root")
    rows: list[Row] = []
    failed: list[BaseException] = []

    def measure() -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="bfl-") as place, town_hall():
                Path(place).chmod(0o755)
                rows.extend(_addresses(Path(place), say))
                rows.extend(_names(Path(place), say))
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            failed.append(error)

    thread = threading.Thread(target=measure)  # its network namespace changes, the process's own does not
    thread.start()
    thread.join()
    if failed:
        raise LabFailed(f"{type(failed[0]).__name__}: {failed[0]}") from failed[0]
    return rows


def _addresses(place: Path, say: Callable[[str], None]) -> Iterator[Row]:
    for size in SIZES:
        yield from _load(place, f"{size} addresses", _hosts(size), say)
    yield from _load(place, "100000 prefixes", _prefixes(100_000), say, target_s=1.0)


def _load(
    place: Path, what: str, values: list[str], say: Callable[[str], None], target_s: float | None = None
) -> Iterator[Row]:
    say(f"loading {what}")
    path = place / "list"
    path.write_bytes(content(values))
    before_kib = _kernel_kib()
    with _pings() as lost, _urgent_blocks() as latencies_ms:
        started = time.monotonic()
        result = load.run(load.Addresses((("bench", str(path)),), (), str(place)))
        seconds = time.monotonic() - started
    grown_kib = _kernel_kib() - before_kib
    peer_s = _by_nft(values) if len(values) <= 100_000 else None
    yield Row(f"{what}: loaded", "s", round(seconds, 2), peer_s, "nft -f", target_s)
    yield Row(
        f"{what}: kernel memory an element",
        "B",
        round(grown_kib * 1024 / result.count),
        note=f"{result.count} elements",
    )
    yield Row(f"{what}: urgent block meanwhile, p99", "ms", _percentile(latencies_ms, 0.99), target=5.0)
    yield Row(
        f"{what}: urgent block meanwhile, max",
        "ms",
        _percentile(latencies_ms, 1),
        note=f"of {len(latencies_ms)}",
    )
    yield Row(f"{what}: datagrams lost meanwhile", "", float(lost[0]), target=0.0, note=f"of {lost[1]}")
    load.run(load.Addresses((), (), str(place)))


def _names(place: Path, say: Callable[[str], None]) -> Iterator[Row]:
    config = BoxConfig(state=place / "box", lan="lan", resolver_port=PORT)
    Store(config.state).prepare()
    prepare(config)
    for path in (*own_files(config), bulk_file(config)):
        write_names(path, ())
    configuration = config.state / "names" / "dnsdist.conf"
    configuration.write_text(dnsdist_configuration(config), "utf-8")
    configuration.chmod(0o644)
    dnsdist = subprocess.Popen(
        ["dnsdist", "--supervised", "-C", str(configuration), "-u", "_dnsdist", "-g", "_dnsdist"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    resolver = Resolver(config)
    try:

        def answers() -> bool:
            resolver.watch()
            return not resolver.trouble

        if not wait_until(answers, 20, 0.05):
            raise LabFailed(f"dnsdist does not answer: {resolver.trouble}")
        for size in SIZES:
            say(f"loading {size} names")
            path = place / "names"
            path.write_bytes(content(f"n{i}.colis-{i * 7919 % 1_000_003}.com" for i in range(size)))
            started = time.monotonic()
            load.run(load.Names((("bench", str(path)),), (), str(bulk_file(config))))
            written = time.monotonic()
            resolver.reload()
            read = time.monotonic()
            _ask_all(config, size)
            yield Row(f"{size} names: file written", "s", round(written - started, 2))
            yield Row(f"{size} names: file in force", "ms", round((read - written) * 1000, 2))
            yield Row(
                f"{size} names: dnsdist's own memory",
                "MiB",
                memory_mib(dnsdist.pid, "Anonymous"),
                target=60.0,
            )
            yield Row(
                f"{size} names: dnsdist's memory with pages of the file (PSS)",
                "MiB",
                memory_mib(dnsdist.pid, "Pss"),
                note="after 5000 different listed names were asked for; pages of files go when memory is short",
            )
        for count in (1, 1000, 10_000):
            names = [f"urgent-{i}.com" for i in range(count)]
            started = time.monotonic()
            resolver.refuse(names)
            took_ms = round((time.monotonic() - started) * 1000, 1)
            yield Row(f"an urgent name among {count}, beside 1000000 listed", "ms", took_ms, target=500.0)
    finally:
        dnsdist.terminate()
        dnsdist.wait(10)


def _ask_all(config: BoxConfig, size: int) -> None:
    """Touch the file as questions would: some thousand names spread over it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect(("127.0.0.1", config.resolver_port))
        for i in range(0, size, max(1, size // 5000)):
            name = wire_name(f"n{i}.colis-{i * 7919 % 1_000_003}.com".encode())
            client.send(struct.pack(">6H", i & 0xFFFF, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1")
            if client.recv(512)[3] & 15 != 3:
                raise LabFailed("a listed name was not refused")


# -- what goes on meanwhile ------------------------------------------------------------------------------


@contextmanager
def _urgent_blocks() -> Iterator[list[float]]:
    """Another process blocks an address every 5 ms, as the agent would; yield its latencies."""
    found: list[float] = []
    probe = subprocess.Popen(
        [sys.executable, "-m", "bench.lists"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert probe.stdout is not None
    probe.stdout.readline()
    yield found
    out, _ = probe.communicate(b"stop")
    found += json.loads(out)


def _probe() -> None:
    writer, latencies = SetWriter(TABLE), []
    stop = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    print("ready", flush=True)
    number = 0
    while not stop.wait(0.005):
        number += 1
        element = address_element(f"99.9.{number >> 8 & 255}.{number & 255}", timeout_ms=60_000)
        started = time.monotonic()
        writer.commit(
            [Operation(DESTROYSETELEM, "hot4", [element]), Operation(NEWSETELEM, "hot4", [element])]
        )
        latencies.append((time.monotonic() - started) * 1000)
    print(json.dumps(latencies))


@contextmanager
def _pings() -> Iterator[list[int]]:
    """A datagram through the box and back every 5 ms; yield [lost, sent]."""
    found: list[int] = []
    stop = threading.Event()
    back: set[bytes] = set()
    sent: list[bytes] = []
    with _socket_in("b") as server, _socket_in("a") as client:
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


def _socket_in(name: str) -> socket.socket:
    made: list[socket.socket] = []

    def make() -> None:
        with Path(f"/run/netns/{space_of(name)}").open("rb") as file:
            os.setns(file.fileno(), os.CLONE_NEWNET)
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def _by_nft(values: list[str]) -> float:
    nft("add table inet peer\nadd set inet peer s { type ipv4_addr; flags interval; auto-merge; }\n")
    started = time.monotonic()
    nft(f"add element inet peer s {{ {', '.join(values)} }}\n")
    seconds = time.monotonic() - started
    nft("delete table inet peer\n")
    return round(seconds, 2)


# -- the place -------------------------------------------------------------------------------------------


def space_of(name: str) -> str:
    return f"bfl-{os.getpid()}-{name}"


@contextmanager
def town_hall() -> Iterator[None]:
    """client - box - server; the calling thread is in the box's namespace then."""
    spaces = [space_of(name) for name in ("a", "box", "b")]
    try:
        for space in spaces:
            _do("ip", "netns", "add", space)
            _do("ip", "-n", space, "link", "set", "lo", "up")
        for space, inside, outer, address, gateway in (
            (spaces[0], "l0", "lan", CLIENT, "185.11.30.1"),
            (spaces[2], "n0", "wan", SERVER, "185.10.20.2"),
        ):
            _do(
                "ip",
                "link",
                "add",
                inside,
                "netns",
                space,
                "type",
                "veth",
                "peer",
                "name",
                outer,
                "netns",
                spaces[1],
            )
            for where, link, one in ((space, inside, address), (spaces[1], outer, gateway)):
                _do("ip", "-n", where, "addr", "add", f"{one}/24", "dev", link)
                _do("ip", "-n", where, "link", "set", link, "up")
            _do("ip", "-n", space, "route", "add", "default", "via", gateway)
        with Path(f"/run/netns/{spaces[1]}").open("rb") as file:
            os.setns(file.fileno(), os.CLONE_NEWNET)
        _do("sysctl", "-qw", "net.ipv4.ip_forward=1")
        nft(ruleset(Policy(), Site("wan", "lan", (SERVER,), 443)))
        yield
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def nft(text: str) -> None:
    _do("nft", "-f", "-", text=text)


def _do(*argv: str, text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise LabFailed(f"{argv[0]}: {done.stderr.strip()[:200]}")


def _hosts(count: int) -> list[str]:
    source = random.Random(SEED)
    return [str(ip_address(n)) for n in source.sample(range(24 << 24, 98 << 24), count)]


def _prefixes(count: int) -> list[str]:
    source = random.Random(SEED)
    found: set[str] = set()
    while len(found) < count:
        length = source.choice(_LENGTHS)
        found.add(str(ip_network((source.randrange(24 << 24, 98 << 24), length), strict=False)))
    return sorted(found)


def _kernel_kib() -> int:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    return sum(int(fields[name].split()[0]) for name in ("Slab", "VmallocUsed"))


def memory_mib(pid: int, field: str) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return round(int(re.findall(rf"^{field}:\s+(\d+)", text, re.MULTILINE)[0]) / 1024, 1)


def _percentile(values: list[float], part: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 2) if ordered else None


if __name__ == "__main__":
    _probe()
