"""Bulk lists in the resolver: questions a second with a million names and without, memory, time until a refusal.

Purpose: two dnsdist with the box's own configuration before one Unbound: the one with the list, the other without.
Way:     both are asked in turn by dnsperf for the same names. Beside questions a second, which depend on what else the
         machine does, the processor's time that dnsdist needed for them.
Process: root; loopback ports 23060 to 23062.
"""

from __future__ import annotations

import re
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from beffroi_box import load
from beffroi_box.cdb import wire_name
from beffroi_box.config import BoxConfig
from beffroi_box.resolver import (
    PACE_PER_S,
    Resolver,
    bulk_file,
    dnsdist_configuration,
    observed_file,
    own_files,
    prepare,
    unbound_configuration,
    write_names,
)
from beffroi_box.store import Store
from beffroi_lab.running import wait_until
from beffroi_lab.topology import LabFailed
from beffroi_protocol.lists import content

from bench.rows import Row

PORT, EMPTY_PORT, RECURSOR_PORT = 23060, 23061, 23062
ROUNDS, ROUND_S = 5, 2
ALLOWED = 2000
"""Names below one zone that Unbound answers by itself; dnsdist's cache holds them all."""
LEAST = 0.95
NOERROR, NXDOMAIN = 0, 3


@dataclass
class _Server:
    """One dnsdist."""

    config: BoxConfig
    resolver: Resolver
    pid: int
    rates: dict[str, list[float]] = field(default_factory=dict)
    costs_us: dict[str, list[float]] = field(default_factory=dict)


def run(directory: Path, sizes: Sequence[int], say: Callable[[str], None]) -> Iterator[Row]:
    """Errors: LabFailed."""
    with ExitStack() as stack:
        stack.enter_context(_unbound(directory))
        listing = stack.enter_context(_dnsdist(directory / "box", PORT))
        empty = stack.enter_context(_dnsdist(directory / "empty", EMPTY_PORT))
        yield Row("no names: dnsdist's memory (PSS)", "MiB", memory_mib(empty.pid, "Pss"))
        for size in sizes:
            say(f"loading {size} names")
            yield from _loaded(directory, listing, size)
        yield from _urgent(listing, sizes[-1])
        say(f"asking for allowed and for refused names, {ROUNDS} rounds")
        yield from _asked(directory, listing, empty, sizes[-1])


def _loaded(directory: Path, server: _Server, size: int) -> Iterator[Row]:
    path = directory / "names"
    path.write_bytes(content(map(_listed, range(size))))
    started = time.monotonic()
    load.run(load.Names((("bench", str(path)),), (), str(bulk_file(server.config))))
    written = time.monotonic()
    server.resolver.reload()
    read = time.monotonic()
    for i in range(0, size, max(1, size // 5000)):  # touch the file as questions would
        _expect(server, _listed(i), NXDOMAIN)
    yield Row(f"{size} names: file written", "s", round(written - started, 2))
    yield Row(f"{size} names: file in force", "ms", round((read - written) * 1000, 2))
    yield Row(f"{size} names: dnsdist's own memory", "MiB", memory_mib(server.pid, "Anonymous"), target=60.0)
    yield Row(
        f"{size} names: dnsdist's memory with pages of the file (PSS)",
        "MiB",
        memory_mib(server.pid, "Pss"),
        note="after 5000 different listed names were asked for; pages of files go when memory is short",
    )


def _urgent(server: _Server, size: int) -> Iterator[Row]:
    """From the agent's decision until an answer refuses the name."""
    for count in (1, 1000, 10_000):
        took_ms = []
        for turn in range(5):
            names = [f"urgent-{turn}-{i}.com" for i in range(count)]
            started = time.monotonic()
            server.resolver.refuse(names)
            _expect(server, names[-1], NXDOMAIN)
            took_ms.append((time.monotonic() - started) * 1000)
        yield Row(
            f"an urgent name among {count}, beside {size} listed", "ms",
            round(statistics.median(took_ms), 1), target=500.0, note=f"slowest of 5: {max(took_ms):.1f}",
        )  # fmt: skip
    server.resolver.refuse([])


def _asked(directory: Path, listing: _Server, empty: _Server, size: int) -> Iterator[Row]:
    questions = {
        "allowed": [_allowed(i) for i in range(ALLOWED)],
        "refused": [_listed(i * (size // ALLOWED)) for i in range(ALLOWED)],
    }
    for kind, names in questions.items():
        (directory / kind).write_text("".join(f"{name} A\n" for name in names), "ascii")
    plan = [(listing, "allowed"), (empty, "allowed"), (listing, "refused")]
    for server in (listing, empty):
        for name in questions["allowed"]:
            _expect(server, name, NOERROR)
    try:
        for _ in range(ROUNDS):
            for server, kind in plan:
                _ask(server, kind, directory / kind)
    except OSError as error:
        yield Row("questions", "k/s", None, note=f"not measured: dnsperf: {error.strerror}")
        return
    same = "the same configuration without the list"

    def compared(work: str, unit: str, ours: float, without: float, *, more: bool) -> Row:
        bound = LEAST * without if more else without / LEAST
        return Row(work, unit, round(ours, 2), round(without, 2), same, round(bound, 2), "", more)

    ours, theirs = (statistics.median(s.rates["allowed"]) for s in (listing, empty))
    yield compared(f"{size} names: allowed questions", "k/s", ours, theirs, more=True)
    ours, theirs = (statistics.median(s.costs_us["allowed"]) for s in (listing, empty))
    yield compared(f"{size} names: dnsdist's time for an allowed one", "us", ours, theirs, more=False)
    yield Row(
        f"{size} names: refused questions", "k/s", round(statistics.median(listing.rates["refused"]), 2)
    )
    cost = round(statistics.median(listing.costs_us["refused"]), 2)
    yield Row(f"{size} names: dnsdist's time for a refused one", "us", cost)


def _ask(server: _Server, kind: str, questions: Path) -> None:
    """Errors: OSError (no dnsperf), LabFailed."""
    port = str(server.config.resolver_port)
    argv = ["dnsperf", "-s", "127.0.0.1", "-p", port, "-d", str(questions), "-l", str(ROUND_S), "-c", "4"]
    before_s = _processor_s(server.pid)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=ROUND_S + 30)
    spent_s = _processor_s(server.pid) - before_s
    found = {
        name: re.search(rf"{name}:\s+([\d.]+)", done.stdout)
        for name in ("Queries per second", "Queries completed", "Queries lost")
    }
    rate, answered, lost = (float(match[1]) if match else 0.0 for match in found.values())
    right = "NXDOMAIN" if kind == "refused" else "NOERROR"
    if not answered or lost > answered / 1000 or not re.search(rf"{right} \d+ \(100\.00%\)", done.stdout):
        raise LabFailed(f"dnsperf: {(done.stdout + done.stderr).strip()[-300:]}")
    server.rates.setdefault(kind, []).append(rate / 1000)
    server.costs_us.setdefault(kind, []).append(spent_s / answered * 1e6)


# -- the programs ----------------------------------------------------------------------------------------


@contextmanager
def _dnsdist(state: Path, port: int) -> Iterator[_Server]:
    config = BoxConfig(state=state, lan="lo", resolver_port=port, recursor_port=RECURSOR_PORT)
    Store(config.state).prepare()
    prepare(config)
    for path in (*own_files(config), bulk_file(config), observed_file(config)):
        write_names(path, ())
    configuration = config.state / "names" / "dnsdist.conf"
    # On loopback only: a LAN's side is not there.
    text = "\n".join(
        line for line in dnsdist_configuration(config).splitlines() if not line.startswith("addLocal")
    )
    # dnsperf asks from one address for all.
    text = text.replace(f"MaxQPSIPRule({PACE_PER_S},", "MaxQPSIPRule(10000000,")
    configuration.write_text(text, "utf-8")
    configuration.chmod(0o644)
    with _running(
        "dnsdist", "--supervised", "-C", str(configuration), "-u", "_dnsdist", "-g", "_dnsdist"
    ) as pid:
        resolver = Resolver(config)

        def answers() -> bool:
            resolver.watch()
            return not resolver.trouble

        if not wait_until(answers, 20, 0.05):
            raise LabFailed(f"dnsdist does not answer: {resolver.trouble}")
        yield _Server(config, resolver, pid)


@contextmanager
def _unbound(directory: Path) -> Iterator[None]:
    state = directory / "recursor"
    (state / "resolver").mkdir(parents=True)
    config = BoxConfig(state=state, lan="lo", recursor_port=RECURSOR_PORT, resolver_user="")
    own_zone = 'server:\n    local-zone: "allowed.test." redirect\n'
    own_zone += '    local-data: "allowed.test. 86400 A 192.0.2.1"\n'
    path = state / "unbound.conf"
    path.write_text(unbound_configuration(config) + own_zone, "utf-8")
    with _running("unbound", "-d", "-c", str(path)):
        yield


@contextmanager
def _running(*argv: str) -> Iterator[int]:
    try:
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise LabFailed(f"{argv[0]}: {error.strerror}") from None
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def _listed(number: int) -> str:
    return f"n{number}.colis-{number * 7919 % 1_000_003}.com"


def _allowed(number: int) -> str:
    return f"n{number}.colis-{number * 7919 % 1_000_003}.allowed.test"


def _expect(server: _Server, name: str, code: int) -> None:
    """Errors: LabFailed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect(("127.0.0.1", server.config.resolver_port))
        client.send(struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + wire_name(name.encode()) + b"\0\1\0\1")
        try:
            found = client.recv(512)[3] & 15
        except OSError as error:
            raise LabFailed(f"no answer for a name: {type(error).__name__}") from None
    if found != code:
        raise LabFailed(f"a name was answered with code {found} instead of {code}")


def memory_mib(pid: int, kind: str) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return round(int(re.findall(rf"^{kind}:\s+(\d+)", text, re.MULTILINE)[0]) / 1024, 1)


def _processor_s(pid: int) -> float:
    """By the scheduler's count, in nanoseconds, of all threads."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text("ascii").split()[0]) for one in threads) / 1e9
