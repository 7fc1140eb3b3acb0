"""Who works on a collectivité's objects and backups alone, and where a picture lies open meanwhile.

Rule:    a draft lies beside the metadata, never in the place of backups: it has names of files in clear. One at a time;
         what a kill left goes with the next.
Fails:   StoreFull, StoreUnavailable, OthersTurn.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beffroi.drive.store.objects import failures
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable

_DRAFT = ".picture-"


class OthersTurn(Unavailable):
    """A backup of {} is under way, or its files are being collected; try again later."""

    code = "drive.others_turn"


@contextmanager
def collecting(config: Config, collectivite_id: str, *, waits: bool = True) -> Iterator[None]:
    """Alone with a collectivité's objects: nobody collects and nobody restores meanwhile. Errors: OthersTurn, for who
    does not wait."""
    with _alone(config.state / "drive" / collectivite_id, "collect.lock", waits):
        yield


@contextmanager
def backing_up(config: Config, collectivite_id: str, *, waits: bool = True) -> Iterator[None]:
    """Alone with a collectivité's backups. Errors: OthersTurn, for who does not wait."""
    with _alone(config.state / "drive" / collectivite_id, "backup.lock", waits):
        yield


@contextmanager
def draft(config: Config, collectivite_id: str) -> Iterator[Path]:
    """An empty directory, and alone with the backups."""
    folder = config.state / "drive" / collectivite_id
    with backing_up(config, collectivite_id):
        with failures():
            for left in folder.glob(f"{_DRAFT}*"):
                shutil.rmtree(left)
            made = tempfile.TemporaryDirectory(prefix=_DRAFT, dir=folder)
        with made as path:
            yield Path(path)


@contextmanager
def _alone(folder: Path, name: str, waits: bool) -> Iterator[None]:
    with failures():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / name).open("a")
    with file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OthersTurn(folder.name) from None
        yield
