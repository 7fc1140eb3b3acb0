"""Does the inspection engine still give verdicts? And if not: what waits in its queue passes.

Purpose: a dead engine lets everything pass (the kernel's queue-bypass), one that hangs does not. It is told apart from
         one that is only behind (verdicts go on) and from one that gets no processor on a loaded machine (a thread is
         ready to run, and none has run): that one is left alive, and what waits passes in its place.
Process: the keeper's; the queue belongs to the engine's netlink socket, of which the keeper, its parent and same user,
         takes a copy (pidfd_getfd). Where this is refused, what waits goes with the queue, and TCP sends it again.
Fails:   nothing here can let pass what the deny lists refuse: they stand before the queue.
Source:  kernel net/netfilter/nfnetlink_queue.c (seq_show, nfqnl_recv_verdict_batch, nfqnl_recv_config);
         pidfd_getfd(2); proc(5).
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.1
HUNG_S = 0.5
WORKED_S = 0.05
"""An engine that had so much of a processor and gave no verdict does not wait for one."""
TABLE = Path("/proc/self/net/netfilter/nfnetlink_queue")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SYS_PIDFD_GETFD = 438
"""The same number on all of Linux's architectures."""
_ROUNDS = 20
_VERDICT_BATCH, _VERDICT_HEADER, _ACCEPT = 0x303, 2, 1
_CONFIG, _COMMAND, _MOST_WAITING, _UNBIND = 0x302, 1, 3, 2
_REQUEST = 1


@dataclass(frozen=True)
class Queue:
    """One line of the kernel's table. ``owner``: netlink port of the engine; ``verdicts``, ``last``: numbers of packets
    since the queue was made."""

    owner: int
    waiting: int
    last: int

    @property
    def verdicts(self) -> int:
        return self.last - self.waiting


def queue_state(table: str, queue: int) -> Queue | None:
    """Return None without such a queue.

    Columns of the kernel: number, owner, waiting, mode, range, dropped, dropped for the user, last packet's number.
    """
    for line in table.splitlines():
        columns = line.split()
        if len(columns) >= 8 and columns[0] == str(queue):
            return Queue(int(columns[1]), int(columns[2]), int(columns[7]))
    return None


@dataclass(frozen=True)
class Labour:
    """``cpu_s``: processor time of all threads so far; ``ready``: one of them runs, or would if it could."""

    cpu_s: float
    ready: bool


def labour_of(pid: int) -> Labour:
    """Errors: OSError (it is gone), ValueError."""
    fields = [_after_name(path) for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    cpu = _after_name(Path(f"/proc/{pid}/stat"))
    return Labour((int(cpu[11]) + int(cpu[12])) * _TICK_S, any(one[0] in "RD" for one in fields))


def _after_name(stat: Path) -> list[str]:
    """The fields from the state on: the name in front of it may hold blanks and brackets."""
    return stat.read_text("ascii", "replace").rpartition(")")[2].split()


class Finding(enum.Enum):
    FINE = enum.auto()
    STARVED = enum.auto()
    HUNG = enum.auto()


class Watchdog:
    """Judges at each look. Only time in which the keeper itself ran counts: a machine that stood still as a whole, or a
    loaded one that lets nobody run, does not make an engine late. Who starves is not waited for again before a look
    finds nothing that waits: a page is several packets."""

    def __init__(self) -> None:
        self._verdicts = -1
        self._stood_s = self._looked = self._cpu_s = 0.0
        self._starves = False

    def judge(self, queue: Queue | None, labour: Callable[[], Labour], *, monotonic: float) -> Finding:
        """Errors: those of ``labour``."""
        passed_s, self._looked = min(monotonic - self._looked, 2 * LOOK_S), monotonic
        if queue is None or not queue.waiting:
            self._verdicts, self._starves = -1, False
            return Finding.FINE
        if queue.verdicts == self._verdicts:
            self._stood_s += passed_s
            if self._stood_s < HUNG_S and not self._starves:
                return Finding.FINE
        now = labour()
        idle = now.ready and now.cpu_s - self._cpu_s < WORKED_S
        if queue.verdicts != self._verdicts and not (self._starves and idle):
            self._verdicts, self._stood_s, self._cpu_s, self._starves = queue.verdicts, 0.0, now.cpu_s, False
            return Finding.FINE
        self._verdicts, self._starves = queue.verdicts, idle
        return Finding.STARVED if idle else Finding.HUNG


def let_pass(pid: int, number: int, *, for_good: bool = False) -> None:
    """Let pass what waits in the engine's queue; ``for_good``: and all that comes, for the queue is taken from it.
    Nothing is promised: where its socket cannot be copied, nothing happens."""
    if (copy := _socket_of(pid, number)) is None:
        return
    with copy, contextlib.suppress(OSError):
        if for_good:
            copy.send(_no_room(number))
        # What passes is answered at once, and the answer waits in its turn.
        for _ in range(_ROUNDS):
            if (queue := _read(number)) is None or not queue.waiting:
                break
            copy.send(_accept_up_to(number, queue.last))
        if for_good:
            copy.send(_unbind(number))


def _read(number: int) -> Queue | None:
    try:
        return queue_state(TABLE.read_text("ascii"), number)
    except (OSError, ValueError):
        return None


def _socket_of(pid: int, number: int) -> socket.socket | None:
    """A copy of the netlink socket that owns this queue, if a process of ours holds it."""
    if (queue := _read(number)) is None:
        return None
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if not str(entry.readlink()).startswith("socket:"):
                    continue
                if (copy := _copy(process, int(entry.name))) is None:
                    return None
                if copy.family == socket.AF_NETLINK and copy.getsockname()[0] == queue.owner:
                    return copy
                copy.close()
    except OSError:
        pass
    finally:
        os.close(process)
    return None


def _copy(process: int, descriptor: int) -> socket.socket | None:
    number = ctypes.CDLL(None, use_errno=True).syscall(_SYS_PIDFD_GETFD, process, descriptor, 0)
    return socket.socket(fileno=number) if number >= 0 else None


def _accept_up_to(number: int, last: int) -> bytes:
    """A verdict of NF_ACCEPT for all packets up to ``last``."""
    return _message(_VERDICT_BATCH, number, struct.pack(">II", _ACCEPT, last), attribute=_VERDICT_HEADER)


def _no_room(number: int) -> bytes:
    """From now on nothing waits: the engine's queue is "fail-open", so what finds no room in it passes."""
    return _message(_CONFIG, number, struct.pack(">I", 0), attribute=_MOST_WAITING)


def _unbind(number: int) -> bytes:
    """An engine that dies slowly would else hold its queue until it is dead."""
    return _message(_CONFIG, number, struct.pack(">BBH", _UNBIND, 0, 0), attribute=_COMMAND)


def _message(kind: int, number: int, content: bytes, *, attribute: int) -> bytes:
    body = struct.pack(">BBH", 0, 0, number) + struct.pack("=HH", 4 + len(content), attribute) + content
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST, 0, 0) + body
