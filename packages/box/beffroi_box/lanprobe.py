"""Proof that the LAN still reaches the internet: one connection from behind the box's own rules.

Purpose: a policy can leave the box its own way out and still cut the town hall; only a packet that is forwarded
         tells.
Process: a short-lived child of the agent in a network namespace of its own, tied to the box by a veth pair whose
         near end the rules treat as LAN; root. IPv4, router mode, hidden behind the box's WAN address.
Fails:   a probe that cannot be built counts as not reached, so the previous policy stays.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterable

NEAR, FAR = "bfprobe0", "bfprobe1"
NEAR_ADDRESS, FAR_ADDRESS = "169.254.213.1", "169.254.213.2"
MARK = 0x8
CONNECT_TIMEOUT_S = 2.0
_RULE = f"rule {{verb}} blackhole from {FAR_ADDRESS} fwmark 0x0/{MARK:#x}"
"""Packets of the probe that the box's rules did not mark go nowhere: without rules nothing would hide its address."""


def probe_target(centre: Iterable[str], port: int) -> str:
    """What to reach where the settings name nothing: the centre, over IPv4; "" where it has no such address."""
    return next((f"{address}:{port}" for address in centre if ":" not in address), "")


def lan_reaches(target: str, grace_s: float) -> bool:
    """``target``: ADDRESS:PORT. True as soon as one connection from behind the rules was accepted."""
    address, _, port = target.rpartition(":")
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _child(address.strip("[]"), int(port), ready[1], go[0], grace_s)
    try:
        if os.read(ready[0], 1) != b"1":
            return False
        _link(child)
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
        subprocess.run(["ip", "link", "del", NEAR], capture_output=True, check=False)
        subprocess.run(["ip", *_RULE.format(verb="del").split()], capture_output=True, check=False)


def _link(child: int) -> None:
    subprocess.run(["ip", "link", "del", NEAR], capture_output=True, check=False)
    subprocess.run(["ip", *_RULE.format(verb="del").split()], capture_output=True, check=False)
    for command in (
        _RULE.format(verb="add"),
        f"link add {NEAR} type veth peer name {FAR} netns {child}",
        f"addr add {NEAR_ADDRESS}/30 dev {NEAR}",
        f"link set {NEAR} up",
    ):
        subprocess.run(["ip", *command.split()], capture_output=True, check=True, timeout=10)


def _child(address: str, port: int, ready: int, go: int, grace_s: float) -> None:
    """Never returns: after a fork of a threaded process only simple calls are safe."""
    code = 1
    try:
        os.unshare(os.CLONE_NEWNET)
        os.write(ready, b"1")
        os.read(go, 1)
        for command in (
            f"addr add {FAR_ADDRESS}/30 dev {FAR}",
            f"link set {FAR} up",
            f"route add default via {NEAR_ADDRESS}",
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
