"""Proof that the LAN still reaches the internet: one connection from behind the box's own rules.

Purpose: a policy can leave the box its own way out and still cut the town hall; only a packet that is forwarded
         tells.
Process: a short-lived child of the agent in a network namespace of its own, tied to the box by a veth pair whose
         near end the rules treat as LAN; root. Router mode, hidden behind the box's WAN address of the target's family.
Fails:   a probe that cannot be built counts as not reached, so the previous policy stays.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterable

INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", re.ASCII)
"""A name that rules may contain."""
NEAR, FAR = "bfprobe0", "bfprobe1"
NEAR_ADDRESS, FAR_ADDRESS = "169.254.213.1", "169.254.213.2"
NEAR_ADDRESS6, FAR_ADDRESS6 = "fd62:6566:6672:d5::1", "fd62:6566:6672:d5::2"
FAR_ADDRESSES = {4: FAR_ADDRESS, 6: FAR_ADDRESS6}
MARK = 0x8
LEAVING = "leaving_"
"""Only of a router: a chain without rules would still cost each packet."""
CONNECT_TIMEOUT_S = 2.0


def probe_target(centre: Iterable[str], port: int) -> str:
    """What to reach where the settings name nothing: the centre, over IPv4 where it can be; "" without an address."""
    for address in sorted(centre, key=lambda one: ":" in one):
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return ""


def split_target(target: str) -> tuple[str, int]:
    """Address and port of ADDRESS:PORT or [ADDRESS]:PORT."""
    address, _, port = target.rpartition(":")
    return address.strip("[]"), int(port)


def probe_version(target: str) -> int:
    """Over which IP version a target is reached; 4 without one."""
    return 6 if target.startswith("[") else 4


def probe_hidden(wan: str) -> str:
    """The rules that give the probe the box's own address of the WAN."""
    return "\n    ".join(
        f'{family} saddr {address} oifname "{wan}" masquerade'
        for family, address in (("ip", FAR_ADDRESS), ("ip6", FAR_ADDRESS6))
    )


def probe_kept(version: int) -> str:
    """The chain that lets no packet with the probe's own address leave: of a flow that began under other rules, or that
    the kernel could not translate. In a bridge the probe has an address of the LAN, or its packets are not marked and
    go into the blackhole."""
    stays = "\n    ".join(
        f"{_at(side, version)} oifname != {near} counter name probe_kept drop"
        for side, near in (("saddr", f'{{ "lo", "{NEAR}" }}'), ("daddr", f'"{NEAR}"'))
    )
    return f"""chain {LEAVING} {{
    type filter hook postrouting priority 300; policy accept;
    {stays}
  }}"""


def _at(side: str, version: int) -> str:
    """What matches the probe's address. Four bytes of it first: most packets end there, unasked for their family."""
    offset = {4: {"saddr": 96, "daddr": 128}, 6: {"saddr": 64, "daddr": 192}}[version][side]
    address = ipaddress.ip_address(FAR_ADDRESSES[version])
    first = int.from_bytes(address.packed[:4])
    return f"@nh,{offset},32 {first:#x} {'ip' if version == 4 else 'ip6'} {side} {address}"


def lan_reaches(target: str, grace_s: float) -> bool:
    """``target``: ADDRESS:PORT. True as soon as one connection from behind the rules was accepted."""
    address, port = split_target(target)
    six = ":" in address
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _child(address, port, ready[1], go[0], grace_s)
    try:
        if os.read(ready[0], 1) != b"1":
            return False
        _link(child, six=six)
        os.write(go[1], b"1")
        _, status = os.waitpid(child, 0)
        child = 0
        return os.waitstatus_to_exitcode(status) == 0
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        if child:
            os.kill(child, 9)
            os.waitpid(child, 0)
        for end in (*ready, *go):
            os.close(end)
        _unlink()


def _link(child: int, *, six: bool) -> None:
    _unlink()
    for command in (
        _rule("add", six=six),
        f"link add {NEAR} type veth peer name {FAR} netns {child}",
        f"addr add {NEAR_ADDRESS6}/64 dev {NEAR} nodad" if six else f"addr add {NEAR_ADDRESS}/30 dev {NEAR}",
        f"link set {NEAR} up",
    ):
        subprocess.run(["ip", *command.split()], capture_output=True, check=True, timeout=10)


def _unlink() -> None:
    for command in (f"link del {NEAR}", _rule("del", six=False), _rule("del", six=True)):
        subprocess.run(["ip", *command.split()], capture_output=True, check=False)


def _rule(verb: str, *, six: bool) -> str:
    """Packets of the probe that the box's rules did not mark go nowhere: without rules nothing would hide its
    address."""
    family, address = ("-6", FAR_ADDRESS6) if six else ("-4", FAR_ADDRESS)
    return f"{family} rule {verb} blackhole from {address} fwmark 0x0/{MARK:#x}"


def _child(address: str, port: int, ready: int, go: int, grace_s: float) -> None:
    """Never returns: after a fork of a threaded process only simple calls are safe."""
    code = 1
    try:
        os.unshare(os.CLONE_NEWNET)
        os.write(ready, b"1")
        os.read(go, 1)
        six = ":" in address
        for command in (
            f"addr add {FAR_ADDRESS6}/64 dev {FAR} nodad" if six else f"addr add {FAR_ADDRESS}/30 dev {FAR}",
            f"link set {FAR} up",
            f"route add default via {NEAR_ADDRESS6 if six else NEAR_ADDRESS}",
        ):
            os.spawnlp(os.P_WAIT, "ip", "ip", *command.split())  # noqa: S606 - fixed arguments
        end = time.monotonic() + grace_s
        while time.monotonic() < end:
            try:
                socket.create_connection((address, port), timeout=CONNECT_TIMEOUT_S).close()
                code = 0
                break
            except OSError:
                time.sleep(0.2)
    finally:
        os._exit(code)
