"""Take from this process what a parser of hostile files never needs: sockets, programs, files, memory, time.

Purpose: what a flaw of zlib or expat gives an attacker is a process that can reach nothing and lives some seconds.
Process: the child of ``mail.reports.intake`` that reads one mail; the processes ``scan`` and ``previews``, and their
         children. No privilege is needed.
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
_NO_SUCH_CALL = 0x00050000 | errno.ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Places in what a filter sees (struct seccomp_data); of the argument the lower half, on machines of low byte first."""
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
_FOR_ONE_PROGRAM = {
    # connect, sendto, sendmsg, sendmmsg, ptrace, kill, tkill, tgkill, process_vm_readv and _writev, fork and vfork.
    "x86_64": (42, 44, 46, 307, 101, 62, 200, 234, 310, 311, 57, 58),
    "aarch64": (203, 206, 211, 269, 117, 129, 130, 131, 270, 271),
}
# shmget, semget, msgget, mq_open, add_key, request_key, keyctl: what they make stays when the process has ended, beyond
# all limits of its own.
_OUTLIVING = {
    "x86_64": (29, 64, 68, 240, 248, 249, 250),
    "aarch64": (194, 190, 186, 180, 217, 218, 219),
}
_SOCKET_AND_CLONE = {"x86_64": (0xC000003E, 41, 56), "aarch64": (0xC00000B7, 198, 220)}
_AF_UNIX, _CLONE_THREAD = 1, 0x10000
_OTHER_ABI = 0x40000000
"""x32: the same system calls under other numbers."""
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_RUN, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_SOCKET = 1 << 5, 1 << 9
_FIRST_RIGHTS = (1 << 13) - 1
"""Everything that Landlock's first version can forbid: running, reading, writing, making and removing files."""
_OF_A_FILE = _RUN | 1 << 1 | _READ_FILE


def limit(*, memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def no_sockets_no_programs() -> None:
    """From here on: no new socket, no other program, no tracing of a process, no memory that outlives it; for ever.
    Errors: OSError."""
    _deny(_NUMBERS, (_IO_URING_SETUP,))


def no_other_process() -> None:
    """From here on no process is started, signalled or read; for ever. Errors: OSError."""
    others = {name: (_NUMBERS[name][0], *numbers) for name, numbers in _OTHERS.items()}
    _deny(others, (_CLONE3, _PIDFD_SEND_SIGNAL, _PIDFD_OPEN, _PIDFD_GETFD))


def closed_memory() -> None:
    """Other processes of the same user cannot read this one's memory, nor its children's. Errors: OSError."""
    _call(ctypes.CDLL(None, use_errno=True).prctl(_DUMPABLE, 0, 0, 0, 0))


def one_program() -> None:
    """For a process that will be one foreign program (execve): threads, but no further process; no signal, no look into
    another; sockets of the kind AF_UNIX alone, and none that reaches anybody; no memory that outlives it; for ever.
    Errors: OSError.

    Which program it may be, ``only_these_files`` says.
    """
    machine = platform.machine()
    if machine not in _SOCKET_AND_CLONE:
        raise OSError(errno.ENOSYS, "no filter for this machine")
    architecture, socket, clone = _SOCKET_AND_CLONE[machine]
    everywhere = (_IO_URING_SETUP, _PIDFD_SEND_SIGNAL, _PIDFD_OPEN, _PIDFD_GETFD)
    denied = (*_FOR_ONE_PROGRAM[machine], *_OUTLIVING[machine], *everywhere)
    n = len(denied)
    _install(
        [
            _step(_LOAD, _ARCHITECTURE),
            _step(_EQUAL, architecture, 1, 0),
            _step(_RETURN, _KILL),
            _step(_LOAD, _NUMBER),
            _step(_AT_LEAST, _OTHER_ABI, n + 9, 0),
            *(_step(_EQUAL, number, n - i + 8, 0) for i, number in enumerate(denied)),
            # Its arguments lie where no filter can look: the C library takes clone instead.
            _step(_EQUAL, _CLONE3, 0, 1),
            _step(_RETURN, _NO_SUCH_CALL),
            _step(_EQUAL, socket, 3, 0),
            _step(_EQUAL, clone, 0, 4),
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_ANY_BIT, _CLONE_THREAD, 2, 3),
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_EQUAL, _AF_UNIX, 0, 1),
            _step(_RETURN, _ALLOW),
            _step(_RETURN, _DENY),
        ]
    )


def only_these_files(
    readable: Iterable[Path],
    *,
    writable: Iterable[Path] = (),
    runnable: Iterable[Path] = (),
    sockets: Iterable[Path] = (),
) -> bool:
    """From here on only what lies beneath these can be opened, run or made; descriptors that are open stay.

    ``readable``: for reading alone. ``writable``: folders in which everything is allowed but running. ``runnable``:
    programs, and what starts them. ``sockets``: folders in which a socket may be made and removed.
    Returns False where the kernel has no Landlock: then the file modes alone hold. Errors: OSError.
    """
    wanted_places = [
        *((path, _READ_FILE | _READ_FOLDER) for path in readable),
        *((path, _FIRST_RIGHTS & ~_RUN) for path in writable),
        *((path, _RUN | _READ_FILE) for path in runnable),
        *((path, _MAKE_SOCKET | _REMOVE_FILE) for path in sockets),
    ]
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = struct.pack("=Q", _FIRST_RIGHTS)
    rules = libc.syscall(_LANDLOCK_CREATE, wanted, ctypes.c_size_t(len(wanted)), 0)
    if rules < 0:
        return False
    try:
        for path, wished in wanted_places:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                rights = wished & (_FIRST_RIGHTS if path.is_dir() else _OF_A_FILE)
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
    denied += (*_OUTLIVING[platform.machine()], *everywhere)
    n = len(denied)
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
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
