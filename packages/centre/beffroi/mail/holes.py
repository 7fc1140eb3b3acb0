"""Give the read beginning of a file back to the file system while another process appends to it.

Purpose: a file that a program holds open for as long as it lives, and that must not grow: nothing is renamed, no writer
         is told, so no line can fall between two files. Sizes and offsets stay; the read part becomes a hole of zeros.
Process: remediation, on Dovecot's journal.
Fails:   open: a file system without holes (FALLOC_FL_PUNCH_HOLE) keeps the file as it is.
Source:  fallocate(2), lseek(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import BinaryIO

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def allocated_bytes(handle: BinaryIO) -> int:
    """What the file takes on disk."""
    return os.fstat(handle.fileno()).st_blocks * 512


def release(path: Path, upto_bytes: int) -> None:
    """Make a hole of all whole blocks before ``upto_bytes``. Errors: OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        block = os.fstat(descriptor).st_blksize
        length = upto_bytes // block * block
        if length and _libc.fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, 0, length) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def data_from(handle: BinaryIO, offset: int) -> int:
    """The first byte at or after ``offset`` that is in no hole; the file's end when nothing follows."""
    # Asked first: what is written between the two questions is not behind us.
    end = os.fstat(handle.fileno()).st_size
    try:
        return os.lseek(handle.fileno(), offset, os.SEEK_DATA)
    except OSError as error:
        return max(offset, end) if error.errno == errno.ENXIO else offset
