"""Take from this process what a parser of hostile files never needs: sockets, programs, files, memory, time.

Purpose: what a flaw of zlib or expat gives an attacker is a process that can reach nothing and lives some seconds.
Process: the child of ``mail.reports.intake`` that reads one mail; the process ``scan`` and its children. No privilege
         is needed.
Fails:   closed: where the kernel refuses the filter, OSError, and nothing is read. ``only_these_files`` says whether
         the kernel knows Landlock.
Source:  seccomp(2), prctl(2), linux/seccomp.h, landlock(7); syscall numbers of x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

_DUMPABLE, _NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 4, 38, 22, 2
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
# (audit architecture, socket, connect, socketpair, execve, execveat, ptrace); what has one number everywhere is below.
_NUMBERS = {
    "x86_64": (0xC000003E, 41, 42, 53, 59, 322, 101),
    "aarch64": (0xC00000B7, 198, 203, 199, 221, 281, 117),
}
_IO_URING_SETUP = 425
# clone, fork, vfork (x86_64 only), kill, tkill, tgkill, process_vm_readv, process_vm_writev.
_OTHERS = {
    "x86_64": (56, 57, 58, 62, 200, 234, 310, 311),
    "aarch64": (220, 129, 130, 131, 270, 271),
}
_CLONE3, _PIDFD_SEND_SIGNAL, _PIDFD_OPEN, _PIDFD_GETFD = 435, 424, 434, 438
_OTHER_ABI = 0x40000000
"""x32: the same system calls under other numbers."""
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FIRST_RIGHTS = (1 << 13) - 1
"""Everything that Landlock's first version can forbid: running, reading, writing, making and removing files."""


def limit(*, memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def no_sockets_no_programs() -> None:
    """From here on: no new socket, no other program, no tracing of a process; for ever. Errors: OSError."""
    _deny(_NUMBERS, (_IO_URING_SETUP,))


def no_other_process() -> None:
    """From here on no process is started, signalled or read; for ever. Errors: OSError."""
    others = {name: (_NUMBERS[name][0], *numbers) for name, numbers in _OTHERS.items()}
    _deny(others, (_CLONE3, _PIDFD_SEND_SIGNAL, _PIDFD_OPEN, _PIDFD_GETFD))


def closed_memory() -> None:
    """Other processes of the same user cannot read this one's memory, nor its children's. Errors: OSError."""
    _call(ctypes.CDLL(None, use_errno=True).prctl(_DUMPABLE, 0, 0, 0, 0))


def only_these_files(readable: Iterable[Path]) -> bool:
    """From here on only what lies beneath ``readable`` can be opened, for reading; descriptors that are open stay.

    Returns False where the kernel has no Landlock: then the file modes alone hold. Errors: OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = struct.pack("=Q", _FIRST_RIGHTS)
    rules = libc.syscall(_LANDLOCK_CREATE, wanted, ctypes.c_size_t(len(wanted)), 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                rights = _READ_FILE | _READ_FOLDER if path.is_dir() else _READ_FILE
                _call(libc.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", rights, place), 0))
            finally:
                os.close(place)
        _call(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
        _call(libc.syscall(_LANDLOCK_RESTRICT, rules, 0))
    finally:
        os.close(rules)
    return True


def _deny(by_machine: Mapping[str, tuple[int, ...]], everywhere: tuple[int, ...]) -> None:
    found = by_machine.get(platform.machine())
    if found is None:
        raise OSError(errno.ENOSYS, "no filter for this machine")
    architecture, *denied = found
    denied += everywhere
    n = len(denied)
    program = [
        _step(_LOAD, 4),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, 0),
        _step(_AT_LEAST, _OTHER_ABI, n + 1, 0),
        # Each match jumps over the others and over "allow".
        *(_step(_EQUAL, number, n - i, 0) for i, number in enumerate(denied)),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _DENY),
    ]
    _install(program)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _install(program: list[bytes]) -> None:
    code = ctypes.create_string_buffer(b"".join(program))
    packed = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, packed, 0, 0)):
        _call(libc.prctl(*arguments))


def _call(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
