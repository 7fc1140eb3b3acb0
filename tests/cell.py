"""A place of its own for one run of the tests: its processes, its network, its mounts.

Purpose: two runs on one machine use the same ports and the same names and never meet; and however a run ends, by
         ``kill -9`` too, the kernel ends every engine it started and removes its networks with it; where temporary
         files are kept in memory, those too.
Process: three in a row, as root. The caller waits. Its child is process 1 of a new PID namespace: it takes in
         orphans, as any process 1 must, and ends as soon as the caller is gone, and the kernel ends with it all that
         lives in the namespace. The child of that one runs the tests.
Source:  pid_namespaces(7), network_namespaces(7), ip-netns(8).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

_NETNS = Path("/run/netns")  # where ip(8) keeps the names of network namespaces
_MEMORY = Path("/run/bft")  # short: a Unix socket's path has 107 bytes at most


def possible() -> bool:
    """Whether this process is root on a machine that allows it a place of its own."""
    tried = ("unshare", "--pid", "--fork", "--mount-proc", "--net", "ip", "link", "set", "lo", "up")
    return os.getuid() == 0 and subprocess.run(tried, capture_output=True, check=False).returncode == 0


def run(work: Callable[[], int], *, in_memory: bool = False) -> int:
    """Return what ``work`` returns, done in a place of its own; 128 + N when signal N ended it.

    ``in_memory``: temporary files are in memory, at most half of it: no wait for a disk, and nothing to clear away.
    """
    # Ctrl-C reaches every process of the terminal: the tests end, and the other two wait for that.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    alive, held = os.pipe()  # `held` closes when the caller ends
    os.unshare(os.CLONE_NEWPID)
    first = os.fork()
    if first == 0:
        os.close(held)
        os.unshare(os.CLONE_NEWNS | os.CLONE_NEWNET)
        _own_mounts(in_memory=in_memory)
        _link_up()
        tests = os.fork()
        if tests == 0:
            os.close(alive)
            if not os.isatty(0):  # at a terminal Ctrl-C is for this group
                # A signal to "0" reaches this run, and not who called it, outside of the namespace.
                os.setpgid(0, 0)
            signal.signal(signal.SIGINT, interrupt)
            os._exit(_code(work))
        threading.Thread(target=_end_with_the_caller, args=(alive,), daemon=True).start()
        os._exit(_take_in_orphans_until(tests))
    os.close(alive)
    return _exit_code(os.waitpid(first, 0)[1])


def own_network() -> None:
    """Give this process, and those it starts from now on, a network with nothing but a loopback."""
    os.unshare(os.CLONE_NEWNS | os.CLONE_NEWNET)
    _own_names()
    _link_up()


def _link_up() -> None:
    subprocess.run(("ip", "link", "set", "lo", "up"), check=True)


def _own_mounts(*, in_memory: bool) -> None:
    _own_names()
    subprocess.run(("mount", "-t", "proc", "proc", "/proc"), check=True)
    if in_memory:
        _mount_memory(_MEMORY)
        os.environ["TMPDIR"] = str(_MEMORY)


def _own_names() -> None:
    """A network namespace's name is a mount: one run or worker must not take another's for a leftover."""
    subprocess.run(("mount", "--make-rprivate", "/"), check=True)
    _mount_memory(_NETNS)


def _mount_memory(place: Path) -> None:
    place.mkdir(exist_ok=True)
    subprocess.run(("mount", "-t", "tmpfs", "tests", str(place)), check=True)


def _end_with_the_caller(alive: int) -> None:
    os.read(alive, 1)  # nobody writes: this returns when the caller has ended
    os._exit(128 + signal.SIGKILL)


def _code(work: Callable[[], int]) -> int:
    try:
        return work()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _take_in_orphans_until(last: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == last:
            return _exit_code(status)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
