"""The inspection engine: what it costs, how fast an urgent name is refused, how soon the web is back when it hangs.

Purpose: the box's own rules, keeper and Suricata between a client and a server, with 10,000 urgent names.
Process: root; three namespaces (client, box, server), removed at the end. Peer: the same rules without inspection, in
         the same run.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from beffroi_box.config import BoxConfig
from beffroi_box.inspection import Inspection
from beffroi_box.inspector import ENOUGH_MIB
from beffroi_box.kernel import Kernel
from beffroi_box.resolver import prepare
from beffroi_box.ruleset import Site, ruleset
from beffroi_box.store import Store
from beffroi_lab.running import wait_until
from beffroi_lab.topology import LabFailed, LabImpossible
from beffroi_protocol.messages import Policy

from bench.lists import SEED
from bench.names import memory_mib
from bench.place import SERVER, Place
from bench.rows import Row

NAMES, BYTES, CONNECTIONS, URGENT, HANGS = 10_000, 1 << 30, 300, 30, 3
SINK, ANSWER = 23070, 23071
HANG_TARGET_MS = 1000.0
_HALL = Place("inspect")
PEER = "the same rules without inspection"
ROOT = Path(__file__).parents[1]


def run(say: Callable[[str], None]) -> list[Row]:
    """Errors: LabImpossible, LabFailed."""
    if os.geteuid() != 0:
        raise LabImpossible("namespaces need root")
    if not shutil.which("suricata"):
        raise LabImpossible("suricata is not installed")
    with tempfile.TemporaryDirectory(prefix="bfl-") as place, _HALL.built(), _server():
        Path(place).chmod(0o755)
        return _HALL.inside("box", lambda: list(_measured(Path(place), say)))


def _measured(place: Path, say: Callable[[str], None]) -> Iterator[Row]:
    subprocess.run(["sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1"], check=True)
    queue = Kernel().queue_way()
    policy = Policy(inspect=True)
    site = Site("wan", "lan", (SERVER,), 443, queue=queue)
    _HALL.nft(ruleset(Policy(), site))
    bare_s, bare_ms = _move(), _connect_ms()
    say(f"without inspection: {bare_s:.2f} s, {bare_ms:.2f} ms; queue: {queue}, {ENOUGH_MIB} MiB are needed")
    _HALL.nft(ruleset(policy, site))
    with _engine(place) as (inspection, keeper):
        source = random.Random(SEED)
        names = {f"n{source.randrange(1 << 40)}.colis-{i}.com" for i in range(NAMES)}
        inspection.refuse(names, (), ())
        inspected_s, inspected_ms = _move(), _connect_ms()
        yield Row("inspection: 1 GiB in one connection", "s", inspected_s, bare_s, PEER)
        yield Row("inspection: connection with a TLS greeting, median", "ms", inspected_ms, bare_ms, PEER)
        yield Row("inspection: urgent name until refused, median", "ms", _urgent_ms(inspection, names))
        engine = _child(keeper.pid)
        yield Row(f"inspection: memory of Suricata, {NAMES} names", "MiB", memory_mib(engine, "Pss"))
        yield Row("inspection: memory of its keeper", "MiB", memory_mib(keeper.pid, "Pss"))
        worst = max(_hang_ms(inspection, keeper) for _ in range(HANGS))
        yield Row("inspection: hung engine until the web is back, worst", "ms", worst, target=HANG_TARGET_MS)


@contextmanager
def _engine(place: Path) -> Iterator[tuple[Inspection, subprocess.Popen[bytes]]]:
    config = BoxConfig(state=place, inspection_user="nobody")
    Store(place).prepare()
    prepare(config)
    inspection, stopping = Inspection(config), threading.Event()
    inspection.ask(wanted=True, queue="known")
    threading.Thread(target=inspection.run, args=(stopping, lambda question: None), daemon=True).start()
    own = place / "inspection"
    own.mkdir()
    shutil.chown(own, "nobody")
    rights = [f"--{kind}=-all,+net_admin,+net_raw" for kind in ("bounding-set", "inh-caps", "ambient-caps")]
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=root", *rights, "--"]
    argv += ["/usr/bin/python3", "-m", "beffroi_box", "inspect"]
    argv += ["--socket", str(config.run_directory / "inspection.sock"), "--directory", str(own)]
    path = {"PYTHONPATH": f"{ROOT}/packages/protocol:{ROOT}/packages/box", "PYTHONDONTWRITEBYTECODE": "1"}
    keeper = subprocess.Popen(argv, env={**os.environ, **path}, stderr=subprocess.DEVNULL)
    try:
        _until_on(inspection)
        yield inspection, keeper
    finally:
        keeper.terminate()
        keeper.wait(10)
        stopping.set()


def _until_on(inspection: Inspection) -> None:
    if not wait_until(lambda: inspection.state == "on", 30.0, 0.05):
        raise LabFailed(f"the engine is {inspection.state}")


def _child(pid: int) -> int:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return int(found)  # none is an error: a signal to 0 would reach each process of this run


def _urgent_ms(inspection: Inspection, names: set[str]) -> float:
    """From the word to the agent's side of the engine until a new connection to the name is refused."""
    taken = []
    for number in range(URGENT):
        name = f"urgent-{number}.com"
        hello = _greeting(name)
        if not _connects(hello):
            raise LabFailed("an unlisted name was refused")
        names.add(name)
        started = time.monotonic()
        inspection.refuse(names, (), ())
        while _connects(hello):
            if time.monotonic() - started > 5:
                raise LabFailed("an urgent name passes")
        taken.append((time.monotonic() - started) * 1000)
    return round(statistics.median(taken), 1)


def _hang_ms(inspection: Inspection, keeper: subprocess.Popen[bytes]) -> float:
    """From the stop of the engine until a connection that was begun then is served."""
    _until_on(inspection)
    hello = _greeting("mairie-exemple.com")
    os.kill(_child(keeper.pid), signal.SIGSTOP)
    started = time.monotonic()
    while not _connects(hello):
        if time.monotonic() - started > 30:
            raise LabFailed("the web does not come back")
    taken = (time.monotonic() - started) * 1000
    if not wait_until(lambda: inspection.state != "on", 5.0, 0.01):
        raise LabFailed("nobody noticed")
    return round(taken)


# -- traffic ---------------------------------------------------------------------------------------------

_SEND = """
import socket, sys, time
client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
left, piece, started = int(sys.argv[3]), bytes(1 << 20), time.monotonic()
while left > 0:
    client.sendall(piece)
    left -= len(piece)
client.shutdown(socket.SHUT_WR)
client.recv(1)
print(time.monotonic() - started)
"""
_SERVE = """
import socket, sys, threading
def sink(server):
    while True:
        client, _ = server.accept()
        room = bytearray(1 << 20)
        while client.recv_into(room):
            pass
        client.close()
def answer(server):
    while True:
        client, _ = server.accept()
        threading.Thread(target=one, args=(client,), daemon=True).start()
def one(client):
    try:
        if client.recv(4096):
            client.sendall(b"x")
    except OSError:
        pass
    client.close()
servers = [socket.create_server(("", int(port)), backlog=100) for port in sys.argv[1:]]
threading.Thread(target=sink, args=servers[:1], daemon=True).start()
print("ready", flush=True)
answer(servers[1])
"""


@contextmanager
def _server() -> Iterator[None]:
    argv = _HALL.command("server", sys.executable, "-c", _SERVE, str(SINK), str(ANSWER))
    server = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield
    finally:
        server.kill()
        server.wait()


def _move() -> float:
    argv = _HALL.command("client", sys.executable, "-c", _SEND, SERVER, str(SINK), str(BYTES))
    return round(
        float(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300).stdout), 2
    )


def _connect_ms() -> float:
    hello, taken = _greeting("mairie-exemple.com"), []
    for _ in range(CONNECTIONS):
        started = time.monotonic()
        if not _connects(hello):
            raise LabFailed("an unlisted name was refused")
        taken.append((time.monotonic() - started) * 1000)
    return round(statistics.median(taken), 2)


def _greeting(name: str) -> bytes:
    context = ssl.create_default_context()
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def _connects(hello: bytes) -> bool:
    with _client() as client:
        try:
            client.connect((SERVER, ANSWER))
            client.sendall(hello)
            return client.recv(1) == b"x"
        except OSError:
            return False


def _client() -> socket.socket:
    """A socket of the client's namespace, made by this thread, which returns to the box's."""
    with (
        Path(f"/run/netns/{_HALL.spaces['client']}").open("rb") as there,
        Path("/proc/thread-self/ns/net").open("rb") as here,
    ):
        os.setns(there.fileno(), os.CLONE_NEWNET)
        try:
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            os.setns(here.fileno(), os.CLONE_NEWNET)
    client.settimeout(5.0)
    return client
