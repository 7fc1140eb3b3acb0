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
    """Temporary file, fsync, rename, fsync of the directory; never through a symbolic link.

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
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
