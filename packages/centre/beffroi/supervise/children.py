"""Start one process, know its whole family, end it surely.

Purpose: each child leads a session of its own, so that its workers are found by session number even when their
         parent died; a record with start time and boot id recognises what a killed supervisor left behind.
Process: the supervisor. Children of another user are started through setpriv: no groups but the one that is given,
         no capabilities, and no way to gain any.
Fails:   closed: a number that now belongs to another process is never signalled.
Source:  proc_pid_stat(5), setsid(2), setpriv(1).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from beffroi.lib import clock
from beffroi.lib.process import Process

_STEP_S = 0.05


@dataclass(frozen=True)
class Record:
    """One child as noted on disk. ``start_ticks``: field 22 of /proc/PID/stat."""

    name: str
    pid: int
    start_ticks: int
    boot_id: str


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    start_ticks: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name between brackets may hold spaces and brackets; everything after the last one is fixed.
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[3]), int(fields[19]))


def start_ticks(pid: int) -> int:
    """When the process began, in clock ticks since boot; 0 if there is none."""
    found = _stat(pid)
    return found.start_ticks if found else 0


def recorded(name: str, pid: int) -> Record:
    return Record(name, pid, start_ticks(pid), clock.boot())


def read_records(path: Path) -> list[Record]:
    """[] where there are none that can be read; what they name may be gone (``lives``)."""
    try:
        return [Record(**one) for one in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def lives(one: Record) -> bool:
    """The process of this record itself, no other one with its number."""
    found = _stat(one.pid)
    alive = found is not None and found.state not in "ZX"
    return bool(found and alive and found.start_ticks == one.start_ticks and one.boot_id == clock.boot())


def family(session: int, *, since_ticks: int = 0) -> list[int]:
    """Living processes of a session that began at or after ``since_ticks``."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            found = _stat(int(entry.name))
            alive = found is not None and found.state not in "ZX"
            if found and alive and found.session == session and found.start_ticks >= since_ticks:
                members.append(int(entry.name))
    return members


def spawn(process: Process, log: Path) -> subprocess.Popen[bytes]:
    """Start it, output to ``log``. Errors: OSError when the program cannot be started."""
    _remove_socket(process.socket)
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        # Logs of engines read beside ours; and a day that somebody searches in mail is a day of hers.
        "TZ": clock.PLACE.key,
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
        **process.environment,
    }
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o640)
    try:
        return subprocess.Popen(
            (*_apart(process), *as_user(process.argv, process.user, process.group)),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=process.directory or Path("/"),
            env=environment,
            start_new_session=True,
            # Sockets of our own processes are for their group; engines set their own modes.
            umask=0o007 if process.user else 0o022,
        )
    finally:
        os.close(descriptor)


_UNSHARE = ("/usr/bin/unshare", "--net", "--ipc", "--")


def _apart(process: Process) -> tuple[str, ...]:
    """The command before a process without network; () where this machine (a container, say) does not allow it."""
    if process.network or os.getuid() != 0 or not _may_unshare():
        return ()
    return _UNSHARE


@functools.cache
def _may_unshare() -> bool:
    return subprocess.run((*_UNSHARE, "/bin/true"), check=False, stderr=subprocess.DEVNULL).returncode == 0


def as_user(argv: tuple[str, ...], user: str | None, group: str | None = None) -> tuple[str, ...]:
    """The command that runs ``argv`` as an unprivileged user (and group), when we are root."""
    if not user or os.getuid() != 0:
        return argv
    return (
        "/usr/bin/setpriv",
        f"--reuid={user}",
        f"--regid={group or user}",
        f"--groups={user}" if group else "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "--",
        *argv,
    )


def _remove_socket(path: Path | None) -> None:
    """After kill -9 or a power cut the name stays, and not every server binds over it."""
    with contextlib.suppress(FileNotFoundError):
        if path and stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


def end(session: int, *, since_ticks: int, stop_signal: signal.Signals, timeout_s: float) -> bool:
    """End a session: its leader (or, without one, all) politely, after ``timeout_s`` everyone by force.

    Returns whether it went politely. Returns only when nobody is left.
    """
    leader = _stat(session)
    if leader is not None and leader.state not in "ZX" and leader.start_ticks >= since_ticks:
        _send([session], stop_signal)
    else:
        _send(family(session, since_ticks=since_ticks), signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while members := family(session, since_ticks=since_ticks):
        if time.monotonic() > deadline:
            while members:
                _send(members, signal.SIGKILL)
                time.sleep(_STEP_S)
                members = family(session, since_ticks=since_ticks)
            return False
        time.sleep(_STEP_S)
    return True


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def write_records(path: Path, records: Iterable[Record]) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps([asdict(one) for one in records]), "utf-8")
    draft.replace(path)


def end_leftovers(path: Path, *, timeout_s: float = 10) -> list[str]:
    """End what the records of a killed supervisor still find alive; return the names."""
    here, ended = clock.boot(), []
    found = [one for one in read_records(path) if one.boot_id == here and _is_left(one)]
    for one in found:  # all at once: each may need seconds
        _send([one.pid] if lives(one) else [], signal.SIGTERM)
    for one in found:
        end(one.pid, since_ticks=one.start_ticks, stop_signal=signal.SIGTERM, timeout_s=timeout_s)
        ended.append(one.name)
    forget(path)
    return ended


def forget(path: Path) -> None:
    """Remove a file of the supervisor; a disk that turned read-only keeps nobody from being stopped."""
    with contextlib.suppress(OSError):
        path.unlink()


def signal_recorded(path: Path, name: str, number: signal.Signals) -> bool:
    """Signal one child of a running supervisor by its record; False when there is none."""
    for one in read_records(path):
        if one.name == name and lives(one):
            _send([one.pid], number)
            return True
    return False


def _is_left(one: Record) -> bool:
    """Its leader lives, or only its workers do: their session number cannot be given away meanwhile."""
    current = start_ticks(one.pid)
    if current not in (0, one.start_ticks):
        return False
    return bool(family(one.pid, since_ticks=one.start_ticks))
