"""A box with two unnamed ports between an operator's router and a PC, each a namespace with a real systemd-networkd.

Namespaces: ``bxm-<pid>-op``, ``-box``, ``-pc``. The cables are veth pairs; a test plugs them as a person would.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import waiting
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[1]
OP, BOX, PC = (f"bxm-{os.getpid()}-{place}" for place in ("op", "box", "pc"))
FAR, FAR6, FAR_PORT = "185.10.20.1", "2a0c:e300:9::1", 23450
until = waiting.until
_ENV = {
    **os.environ,
    "PYTHONPATH": f"{ROOT}/packages/protocol:{ROOT}/packages/box",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_NETWORKD = "/usr/lib/systemd/systemd-networkd"
_DRIVE = """
import os, signal, subprocess, sys, time
from pathlib import Path
import msgspec
from beffroi_box.config import load
from beffroi_box.firstboot import guard
from beffroi_box import network
from beffroi_box.network import Network
state = Path(sys.argv[1])
pid = state / "networkd.pid"
def restart(before):
    if pid.exists():
        old = int(pid.read_text())
        os.kill(old, signal.SIGTERM)
        while Path(f"/proc/{old}/exe").exists():
            time.sleep(0.05)
    before()
    ready = {**os.environ, "SYSTEMD_NETWORK_PERSISTENT_STORAGE_READY": "1"}  # as its own unit says on a box
    with (state / "networkd.log").open("ab") as log:
        made = subprocess.Popen(
            [sys.argv[2]], env=ready, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    pid.write_text(str(made.pid))
    with (state / "restarts").open("a") as restarts:
        restarts.write(".")
    guard(load(state))
network.LOOK_S, network.PROOF_S = 2.0, 10.0
chosen = Network(state, restart=restart)
chosen.step()
print(msgspec.json.encode(chosen.found).decode())
"""


def ip(arguments: str) -> None:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {arguments}: {done.stderr}"


@dataclass
class Place:
    """A machine: a network namespace, and a mount namespace with a /run and /etc of systemd's own."""

    space: str
    directory: Path
    holder: subprocess.Popen[bytes] | None = None
    networkd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ip(f"netns add {self.space}")
        ip(f"-n {self.space} link set lo up")
        self.directory.mkdir()
        mounts = (
            "mkdir -p /run/systemd && mount -t tmpfs run /run/systemd && mkdir -p /run/systemd/netif/links "
            "/run/systemd/netif/leases /run/systemd/netif/lldp && chown -R systemd-network /run/systemd/netif && "
            f"mkdir -p /etc/systemd/network {self.directory}/network && "
            f"mount --bind {self.directory}/network /etc/systemd/network && "
            "mount -t tmpfs leases /var/lib/systemd && install -d -o systemd-network /var/lib/systemd/network && "
            "mount -t sysfs -o ro sys /sys && echo ready && exec sleep infinity"
        )
        argv = ["nsenter", f"--net=/run/netns/{self.space}", "--"]
        argv += ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts]
        self.holder = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self.holder.stdout is not None and self.holder.stdout.readline() == b"ready\n"

    def inside(self, *argv: str) -> list[str]:
        assert self.holder is not None
        return ["nsenter", "-m", "-n", "-r", "-t", str(self.holder.pid), "--", *argv]

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            self.inside(*argv), env=_ENV, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def configure(self, **files: str) -> None:
        """Write files of systemd-networkd (``_`` for the dot of the suffix) and start it anew."""
        self.stop_networkd()
        for path in (self.directory / "network").iterdir():
            path.unlink()
        for name, text in files.items():
            (self.directory / "network" / name.replace("_", ".")).write_text(text)
        log = (self.directory / "networkd.log").open("ab")
        self.networkd = subprocess.Popen(self.inside(_NETWORKD), stdout=log, stderr=log)

    def stop_networkd(self) -> None:
        if self.networkd is not None:
            self.networkd.terminate()
            self.networkd.wait(PATIENCE_S)
            self.networkd = None

    def addresses(self, link: str) -> list[str]:
        shown = json.loads(self.run("ip", "-4", "-json", "addr", "show", "dev", link) or "[]")
        return [a["local"] for one in shown for a in one.get("addr_info", [])]

    def stop(self) -> None:
        self.stop_networkd()
        if self.holder is not None:
            self.holder.kill()
            self.holder.wait()
        subprocess.run(["ip", "netns", "del", self.space], capture_output=True, check=False)


@dataclass
class Site:
    """``op``'s side of its cable is ``l0``, the PC's is ``e0``, the box's ports are ``p0`` and ``p1``."""

    directory: Path
    op: Place
    box: Place
    pc: Place
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.directory / "state"

    def plug(self, *, router: str, pc: str) -> None:
        """Plug the router's cable into one port of the box, and the PC's into the other."""
        for space, link in ((OP, "l0"), (PC, "e0")):
            subprocess.run(["ip", "-n", space, "link", "del", link], capture_output=True, check=False)
        ip(f"link add l0 netns {OP} type veth peer name {router} netns {BOX}")
        ip(f"link add e0 netns {PC} type veth peer name {pc} netns {BOX}")
        for space, link in ((OP, "l0"), (PC, "e0"), (BOX, router), (BOX, pc)):
            ip(f"-n {space} link set {link} up")

    def give(
        self, address: str, *, pool: int = 50, prefix6: str = "", translated: tuple[str, ...] = ()
    ) -> None:
        """The operator's router: its address on the cable, DHCP for the others there; ``prefix6``, advertised too, and
        ``translated``, prefixes of NAT64."""
        six = f"IPv6SendRA=yes\n[IPv6Prefix]\nPrefix={prefix6}\nAssign=yes\n" if prefix6 else ""
        six += "".join(f"[IPv6PREF64Prefix]\nPrefix={one}\n" for one in translated)
        self.op.configure(
            l0_network=f"[Match]\nName=l0\n[Network]\nAddress={address}\nDHCPServer=yes\nIPv6AcceptRA=no\n{six}"
            f"[DHCPServer]\nPoolOffset=10\nPoolSize={pool}\nEmitDNS=no\nPersistLeases=no\nDefaultLeaseTimeSec=600\n"
        )
        until(lambda: self.op.addresses("l0"), "the operator's router is not up")

    def pc_asks(self, name: str = "") -> None:
        """``name``: what it calls itself there."""
        called = f"[DHCPv4]\nHostname={name}\n" if name else ""
        self.pc.configure(e0_network=f"[Match]\nName=e0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n{called}")
        until(lambda: self.pc.addresses("e0"), f"the PC has no address: {self.log()}")

    def pc_reaches_the_internet(self) -> bool:
        code = f"import socket; socket.create_connection(({FAR!r}, {FAR_PORT}), 2)"
        done = subprocess.run(
            self.pc.inside("/usr/bin/python3", "-c", code), capture_output=True, check=False
        )
        return done.returncode == 0

    def page_opens(self) -> bool:
        """A connection of the PC to the address on the label, to a server in the place of the page's."""
        server = subprocess.Popen(
            self.box.inside("/usr/bin/python3", "-m", "http.server", "80"),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        code = (
            "import time, urllib.request\n"
            "for _ in range(20):\n"
            " try: urllib.request.urlopen('http://192.168.213.1/', timeout=1); break\n"
            " except OSError: time.sleep(0.2)\n"
            "else: raise SystemExit(1)"
        )
        try:
            asked = subprocess.run(self.pc.inside("/usr/bin/python3", "-c", code), check=False)
            return asked.returncode == 0
        finally:
            server.kill()
            server.wait()

    def comes_in(self, address: str) -> bool:
        """A connection from the internet's side to a service of the PC."""
        listen = f"import socket; s = socket.create_server(('', {FAR_PORT})); s.settimeout(4); s.accept()"
        server = subprocess.Popen(self.pc.inside("/usr/bin/python3", "-c", listen), stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            code = f"import socket; socket.create_connection(({address!r}, {FAR_PORT}), 2)"
            done = subprocess.run(
                self.op.inside("/usr/bin/python3", "-c", code), capture_output=True, check=False
            )
            return done.returncode == 0
        finally:
            server.kill()
            server.wait()

    def start_bus(self) -> None:
        """The box's own system bus."""
        self.box.run("sh", "-c", "mkdir -p /run/dbus && mount -t tmpfs bus /run/dbus")
        command = self.box.inside("dbus-daemon", "--system", "--nofork", "--nopidfile", "--nosyslog")
        self.servers.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

    def choose(self) -> dict[str, Any]:
        """What ``beffroi-box network`` does once, with the box's own systemd-networkd."""
        found: dict[str, Any] = json.loads(
            self.box.run("/usr/bin/python3", "-c", _DRIVE, str(self.state), _NETWORKD)
        )
        return found

    def restarts(self) -> int:
        """How often the box took its network apart so far."""
        return len((self.state / "restarts").read_text())

    def log(self) -> str:
        path = self.state / "networkd.log"
        return path.read_text()[-1500:] if path.exists() else ""


@contextmanager
def site() -> Iterator[Site]:
    directory = Path(tempfile.mkdtemp(prefix="bxm-"))
    directory.chmod(0o755)
    op, box, pc = (Place(space, directory / space[-3:].strip("-")) for space in (OP, BOX, PC))
    one = Site(directory, op, box, pc)
    try:
        one.state.mkdir()
        (one.state / "box.toml").write_text(f'ports = ["p0", "p1"]\nlan_probe = "{FAR}:{FAR_PORT}"\n')
        for place in (one.op, one.box, one.pc):
            place.start()
        for address in (f"{FAR}/32", f"{FAR6}/128"):
            ip(f"-n {OP} addr add {address} dev lo")
        one.op.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        one.box.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for name in ("iptables", "ip6tables"):
            one.box.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{name}=1")
        accept = (
            "import socket\n"
            f"s = socket.create_server(('', {FAR_PORT}), family=socket.AF_INET6, dualstack_ipv6=True)\n"
            "while True: s.accept()[0].close()"
        )
        one.servers.append(subprocess.Popen(one.op.inside("/usr/bin/python3", "-c", accept)))
        yield one
    finally:
        pid = one.state / "networkd.pid"
        if pid.exists():
            subprocess.run(["kill", pid.read_text()], check=False, capture_output=True)
        for server in one.servers:
            server.kill()
            server.wait()
        for place in (one.op, one.box, one.pc):
            place.stop()
        shutil.rmtree(directory, ignore_errors=True)
