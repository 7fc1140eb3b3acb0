"""The drives of all collectivités of this centre: each has its directory, its metadata, its key.

Purpose: opens what is asked for, keeps the most used open, closes the rest.
Process: drive and those beside it, web (look-ups and short changes).
Layout:  STATE/drive/<collectivite_id>/metadata.db, or the schema <collectivite_id> of the centre's PostgreSQL (setting
         ``drive_on_server``); keys and objects lie in the directory either way (drive-format.md).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import KeysErased, is_erased
from beffroi.drive.store.model import Limits
from beffroi.drive.store.postgres import Connections, PostgresDatabase
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound
from beffroi.lib.ids import is_id

MOST_OPEN = 200
GB = 10**9
"""As explorers, browsers and the pages count."""


class Communes:
    """``directory``: STATE/drive. ``executor`` runs the grouped commits of all. ``database_url``: that of
    ``Config.drive_database``; "" for a file a collectivité. ``usual``: limits of the settings (``room``)."""

    def __init__(
        self, directory: Path, executor: Executor, database_url: str = "", usual: Limits | None = None
    ) -> None:
        self._directory, self._executor, self._usual = directory, executor, usual
        self._directory_name = str(directory)
        on_server = database_url.startswith(("postgresql:", "postgres:"))
        self._connections = Connections(database_url) if on_server else None
        self._open: OrderedDict[str, Database] = OrderedDict()
        self._lock = threading.Lock()
        self.listeners: list[Callable[[str], object]] = []
        """Called after a commit that changed something, with the collectivité; in the commit's thread."""

    def metadata(self, collectivite_id: str) -> Database:
        """Made at its first use. Errors: NotFound (no identifier), KeysErased, FormatUnknown, StoreFull,
        Unavailable."""
        if not is_id(collectivite_id, "col"):
            raise NotFound("collectivité")
        if is_erased(f"{self._directory_name}/{collectivite_id}"):
            self._forget(collectivite_id)
            raise KeysErased(collectivite_id)
        with self._lock:
            found = self._open.get(collectivite_id)
            if found is None:
                found = self._open[collectivite_id] = self._opened(collectivite_id)
                found.on_change = lambda roots: self.told(collectivite_id)
            self._open.move_to_end(collectivite_id)
            idle = [key for key in self._open if key != collectivite_id and self._open[key].is_idle()]
            for key in idle[: max(0, len(self._open) - MOST_OPEN)]:
                self._open.pop(key).close()
            return found

    def _forget(self, collectivite_id: str) -> None:
        with self._lock:
            found = self._open.pop(collectivite_id, None)
        if found is not None:
            found.close()

    def told(self, collectivite_id: str) -> None:
        """Something changed there that listeners may want to look at."""
        for listener in self.listeners:
            listener(collectivite_id)

    def ids(self) -> list[str]:
        """The collectivités that have a drive, but for those that were erased."""
        try:
            names = sorted(one.name for one in self._directory.iterdir())
        except FileNotFoundError:
            return []
        return [one for one in names if is_id(one, "col") and not is_erased(self._directory / one)]

    def _opened(self, collectivite_id: str) -> Database:
        if self._connections is not None:
            return PostgresDatabase(self._connections, collectivite_id, self._executor, self._usual)
        path = self._directory / collectivite_id
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteDatabase(path / "metadata.db", self._executor, self._usual)

    def close(self) -> None:
        with self._lock:
            for database in self._open.values():
                database.close()
            self._open.clear()
        if self._connections is not None:
            self._connections.close()


def open_communes(config: Config, executor: Executor) -> Communes:
    """Those of this centre, with the limits of its settings. Errors: SettingInvalid."""
    usual = Limits(config.drive_person_gb * GB, config.drive_collectivite_gb * GB, config.drive_most_entries)
    return Communes(config.state / "drive", executor, config.drive_database, usual)
