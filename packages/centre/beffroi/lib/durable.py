"""Files that are there whole or not at all, also after a power cut.

Process: any.
Fails:   OSError; what was at the path stays as it was.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write(
    path: Path, pieces: Iterable[bytes], *, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Temporary file, fsync, rename, fsync of the directory; what is at ``path``, a symbolic link too, is replaced.

    The directory itself may be reached through links: an operator may keep STATE/lists on another disk. That gives
    nobody anything, since every caller writes as the owner of the directory's parent, or is root in directories whose
    parents are root's (``secret_files``, ``certificates``, ``front``, ``layout``). Keep it so.

    ``mode``: None for what the umask leaves. ``owner``: (uid, gid), None for the process's own.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(draft, flags, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            if owner is not None:
                os.fchown(descriptor, *owner)
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def settle(path: Path, *, mode: int, owner: tuple[int, int] | None = None, follow: bool = False) -> None:
    """Give a file or a directory that is there its mode and (uid, gid).

    ``follow``: also where ``path`` is a symbolic link; never where another user may put one. Errors: OSError.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """What was made, renamed or removed in it is on the disk when this returns. Errors: OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
