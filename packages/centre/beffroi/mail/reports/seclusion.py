"""Take from this process what a parser of hostile files never needs: sockets, programs, memory, time.

Purpose: what a flaw of zlib or expat gives an attacker is a process that can reach nothing and lives some seconds.
Process: the child of ``intake`` that reads one mail; needs no privilege.
Fails:   closed: where the kernel refuses the filter, OSError, and the mail is not read.
Source:  seccomp(2), prctl(2), linux/seccomp.h; syscall numbers of x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct

_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
# (audit architecture, socket, connect, socketpair, execve, execveat, ptrace); io_uring_setup has one number everywhere.
_NUMBERS = {
    "x86_64": (0xC000003E, 41, 42, 53, 59, 322, 101),
    "aarch64": (0xC00000B7, 198, 203, 199, 221, 281, 117),
}
_IO_URING_SETUP = 425
_OTHER_ABI = 0x40000000
"""x32: the same system calls under other numbers."""


def limit(*, memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def no_sockets_no_programs() -> None:
    """From here on: no socket, no other program, no other process's memory; for ever. Errors: OSError."""
    found = _NUMBERS.get(platform.machine())
    if found is None:
        raise OSError(errno.ENOSYS, "no filter for this machine")
    architecture, *denied = found
    denied.append(_IO_URING_SETUP)
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
        if libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
