"""A client, a box and a server in three namespaces, for the benchmarks of packets; the box routes or bridges.

Process: root; ``built`` removes all again.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from beffroi_box.ruleset import Site
from beffroi_lab.topology import LabFailed

SERVER = "185.10.20.1"
SITE = Site("wan", "lan", (SERVER,), 443)
_BOX, _GATEWAY = "185.10.20.2", "185.11.30.1"


class Place:
    """Sides: ``client`` (link l0), ``box`` (links lan, wan; br0 in a bridge), ``server`` (link n0)."""

    def __init__(self, name: str, *, bridge: bool = False) -> None:
        self.spaces = {s: f"bfl-{os.getpid()}-{name}-{s}" for s in ("client", "box", "server")}
        self.bridge = bridge
        self.client = "185.10.20.3" if bridge else "185.11.30.2"

    @contextmanager
    def built(self) -> Iterator[None]:
        try:
            self._build()
            yield
        finally:
            for space in self.spaces.values():
                subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)

    def _build(self) -> None:
        for space in self.spaces.values():
            do("ip", "netns", "add", space)
            do("ip", "-n", space, "link", "set", "lo", "up")
        for side, inside, outer in (("client", "l0", "lan"), ("server", "n0", "wan")):
            ends = (
                f"{inside} netns {self.spaces[side]} type veth peer name {outer} netns {self.spaces['box']}"
            )
            do("ip", "link", "add", *ends.split())
        self._address("client", "l0", self.client)
        self._address("server", "n0", SERVER)
        if self.bridge:
            self.ip("box", "link add br0 type bridge")
            for port in ("lan", "wan"):
                self.ip("box", f"link set {port} master br0 up")
            self._address("box", "br0", _BOX)
            self.run("box", "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1")
        else:
            self._address("box", "lan", _GATEWAY)
            self._address("box", "wan", _BOX)
            self.run("box", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.ip("client", f"route add default via {_BOX if self.bridge else _GATEWAY}")
        self.ip("server", f"route add default via {_BOX}")

    def _address(self, side: str, link: str, address: str) -> None:
        self.ip(side, f"addr add {address}/24 dev {link}")
        self.ip(side, f"link set {link} up")

    def ip(self, side: str, arguments: str) -> str:
        return do("ip", "-n", self.spaces[side], *arguments.split())

    def run(self, side: str, *argv: str, text: str = "") -> str:
        return do(*self.command(side, *argv), text=text)

    def command(self, side: str, *argv: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.spaces[side]}", "--", *argv]

    def nft(self, text: str, side: str = "box") -> None:
        self.run(side, "nft", "-f", "-", text=text)

    def inside[T](self, side: str, call: Callable[[], T]) -> T:
        """Call in a thread of that side: sockets and children that it makes belong there."""
        found: list[T] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with Path(f"/run/netns/{self.spaces[side]}").open("rb") as file:
                    os.setns(file.fileno(), os.CLONE_NEWNET)
                found.append(call())
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def socket(self, side: str, family: int, kind: int) -> socket.socket:
        return self.inside(side, lambda: socket.socket(family, kind))

    def mac(self, side: str, link: str) -> bytes:
        shown = json.loads(do("ip", "-n", self.spaces[side], "-j", "link", "show", link))
        return bytes.fromhex(shown[0]["address"].replace(":", ""))


def do(*argv: str, text: str = "") -> str:
    """Errors: LabFailed."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise LabFailed(f"{' '.join(argv[:6])}: {done.stderr.strip()[:200]}")
    return done.stdout
