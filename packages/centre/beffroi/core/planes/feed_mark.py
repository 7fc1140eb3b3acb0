"""STATE/feed/epoch: the newest state of the feed that was ever sent out, beside the database, which may be restored.

Process: stream writes it; a restore of the database raises it, so that stream begins an epoch that no door has seen.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from beffroi.lib import json_file

NAME = "epoch"
LEAP = 1000
"""More epochs than can have begun since a backup: one an hour, for as long as backups are kept."""


class Mark(msgspec.Struct):
    epoch: int = 0
    versions: dict[str, int] = {}


def leap(folder: Path, epoch: int) -> None:
    """Raise the mark far above itself and ``epoch``. ``folder``: STATE/feed. Errors: OSError."""
    mark = json_file.read(folder / NAME, Mark) or Mark()
    mark.epoch = max(mark.epoch, epoch) + LEAP
    folder.mkdir(mode=0o700, exist_ok=True)
    json_file.write(folder / NAME, mark)
