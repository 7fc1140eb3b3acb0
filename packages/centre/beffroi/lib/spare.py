"""The last room of a disk: for mailboxes, whose reading needs a block of an index now and then, and for the database.

Purpose: what takes much, files and their backups, leaves it; `./beffroi status` says that it is reached.
"""

from __future__ import annotations

import os

SPARE_BYTES = 100 * 1024 * 1024
_SHARE = 50
"""Of a small disk no more than a fiftieth."""


def is_reached(room: os.statvfs_result, more_bytes: int = 0) -> bool:
    """Whether so many bytes more would take of it what a disk keeps."""
    spare_bytes = min(SPARE_BYTES, room.f_blocks * room.f_frsize // _SHARE)
    return room.f_bavail * room.f_frsize - more_bytes < spare_bytes
