"""Proof that a machine of the LAN gets through the bridge: one more machine, plugged into it for some seconds.

Purpose: takes an address from the operator's router like any PC, then opens a connection through the box's own rules,
         which treat the near end as LAN. Over IPv6 the address comes by the router's advertisement; where it sends
         none, an IPv4 address is proof enough, as without a target.
Process: a child in a network namespace of its own; root.
Fails:   no address or no connection counts as not reached.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

from beffroi_box.lanprobe import CONNECT_TIMEOUT_S, FAR, NEAR, split_target
from beffroi_box.look import lease, look

LOOK_S = 3.0


def bridged_machine_reaches(bridge: str, target: str, seconds: float) -> bool:
    """``target``: ADDRESS:PORT; empty: an address from the router is proof enough."""
    argv = [sys.executable, "-m", "beffroi_box.bridgeprobe", target, str(seconds)]
    _ip("link", "del", NEAR)
    try:
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None and child.stdout is not None
            try:
                if child.stdout.read(1) != b"1":
                    return False
                _ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", str(child.pid))
                _ip("link", "set", NEAR, "master", bridge, "up")
                child.stdin.write(b"1")
                child.stdin.close()
                return child.wait(seconds + 10) == 0
            finally:
                child.kill()
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        _ip("link", "del", NEAR)


def lan_gets_out(bridge: str, wan: str, target: str, seconds: float) -> bool:
    """Whether the rules let the LAN out, as far as it can be seen: where nobody gives an address at the internet's port
    either (fixed ones; a machine that took all that there are), one more machine has none, and proves nothing."""
    if bridged_machine_reaches(bridge, target, seconds):
        return True
    return not target.startswith("[") and look((wan,), LOOK_S)[wan].offer is None


def main(target: str, seconds: float) -> int:
    os.unshare(os.CLONE_NEWNET)
    os.write(1, b"1")
    if os.read(0, 1) != b"1":
        return 1
    end = time.monotonic() + seconds
    _ip("link", "set", FAR, "up")
    given = lease(FAR, seconds / 2 if target.startswith("[") else seconds)
    if given is None and not target.startswith("["):
        return 1
    if not target:
        return 0
    if given is not None:
        _ip("addr", "add", given.network, "dev", FAR)
        _ip("route", "add", "default", "via", given.router)
    peer = split_target(target)
    while time.monotonic() < end:
        try:
            socket.create_connection(peer, timeout=CONNECT_TIMEOUT_S).close()
        except OSError:
            time.sleep(0.2)
        else:
            return 0
    return int(given is None or _advertised() or not target.startswith("["))


def _advertised() -> bool:
    """Whether a router offered a way over IPv6."""
    shown = subprocess.run(
        ["ip", "-6", "route", "show", "default"], capture_output=True, check=False, timeout=10
    )
    return bool(shown.stdout.strip())


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=False, timeout=10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
