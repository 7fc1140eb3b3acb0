"""The drives of all collectivités of this centre: each has its directory, its metadata, its key.

Purpose: opens what is asked for; closes what nobody asked for since IDLE_S, and beyond ``most_open`` what was asked
         for longest ago. A look-up of an open one costs the same however many are open.
Process: drive and those beside it, web (look-ups and short changes).
Costs:   an open one takes about 0.5 MB and FILES descriptors at most; pages up to ``sqlite.CACHE_KIB`` a connection, of
         all together ``sqlite.HEAP_MIB``. At most half of the files that the process may open are metadata.
Layout:  STATE/drive/<collectivite_id>/metadata.db, or the schema <collectivite_id> of the centre's PostgreSQL (setting
         ``drive_on_server``); keys and objects lie in the directory either way (drive-format.md).
"""

from __future__ import annotations

import resource
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from beffroi.drive.store.database import Database, MetadataMissing, elsewhere
from beffroi.drive.store.keys import KeysErased, is_erased, were_made
from beffroi.drive.store.model import Limits
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound
from beffroi.lib.gigabytes import GB
from beffroi.lib.ids import is_id

if TYPE_CHECKING:
    from beffroi.drive.store.postgres import Connections

MOST_OPEN = 1000
"""In the process drive, which answers for all of them at any time."""
FEW_OPEN = 200
IDLE_S = 900.0
FILES = 8
"""The file and its log for a writer and two readers, the index of the log, and the log once more, to flush it. SQLite
keeps a file of each more that read at one time."""


@dataclass
class _Opened:
    """``asked_s``: when it was asked for last (monotonic)."""

    database: Database
    asked_s: float


class Communes:
    """``directory``: STATE/drive. ``executor`` runs the grouped commits of all, and closes. ``database_url``: that of
    ``Config.drive_database``; "" for a file a collectivité. ``usual``: limits of the settings (``room``)."""

    def __init__(
        self,
        directory: Path,
        executor: Executor,
        database_url: str = "",
        usual: Limits | None = None,
        *,
        most_open: int = FEW_OPEN,
    ) -> None:
        self._directory, self._executor, self._usual = directory, executor, usual
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most_open = max(1, min(most_open, files // 2 // FILES))
        self._directory_name = str(directory)
        on_server = database_url.startswith(("postgresql:", "postgres:"))
        self._connections = _server(database_url) if on_server else None
        self._open: OrderedDict[str, _Opened] = OrderedDict()
        """Asked for longest ago first."""
        self._lock = threading.Lock()
        self.listeners: list[Callable[[str], object]] = []
        """Called after a commit that changed something, with the collectivité; in the commit's thread."""

    def metadata(self, collectivite_id: str, *, begins: bool = False) -> Database:
        """Made at its first use. ``begins``: also where those that were made are gone, for a restore.

        Errors: NotFound (no identifier), KeysErased, MetadataMissing, FormatUnknown, StoreFull, Unavailable."""
        if not is_id(collectivite_id, "col"):
            raise NotFound("collectivité")
        if is_erased(f"{self._directory_name}/{collectivite_id}"):
            self._forget(collectivite_id)
            raise KeysErased(collectivite_id)
        now_s = clock.steady_s()
        with self._lock:
            found = self._open.get(collectivite_id)
            if found is None:
                found = self._open[collectivite_id] = _Opened(
                    self._opened(collectivite_id, begins=begins), now_s
                )
                found.database.on_change = lambda roots: self.told(collectivite_id)
            found.asked_s = now_s
            self._open.move_to_end(collectivite_id)
            closing = self._rest_of_oldest(now_s)
        if closing is not None:
            elsewhere(self._executor, closing)  # who asked for another collectivité does not wait
        return found.database

    def _rest_of_oldest(self, now_s: float) -> Callable[[], None] | None:
        """Take out what was asked for longest ago, where it is time; return what closes it. One a call: calls are at
        least as many as what they open."""
        oldest = next(iter(self._open))
        one = self._open[oldest]
        if len(self._open) <= self._most_open and now_s - one.asked_s <= IDLE_S:
            return None
        closing = one.database.rest()
        if closing is None:  # at work: the next one's turn
            self._open.move_to_end(oldest)
        else:
            del self._open[oldest]
        return closing

    def _forget(self, collectivite_id: str) -> None:
        with self._lock:
            found = self._open.pop(collectivite_id, None)
        if found is not None:
            found.database.close()

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

    def state(self, collectivite_id: str) -> tuple[int, ...] | None:
        """Another one once its metadata were written, without opening them; None where only a look tells."""
        if self._connections is not None:
            return None
        found: list[int] = []
        for name in ("metadata.db", "metadata.db-wal"):
            try:
                stat = (self._directory / collectivite_id / name).stat()
            except OSError:
                continue
            if stat.st_size:  # a log without a change comes and goes as others open the file
                found += (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return tuple(found)

    def _opened(self, collectivite_id: str, *, begins: bool) -> Database:
        path = self._directory / collectivite_id
        # Devices would take a tree in which nothing is for the word that all was deleted, and what no row knows be
        # collected.
        may_begin = begins or not were_made(path)
        if self._connections is not None:
            return self._connections.opened(collectivite_id, self._executor, self._usual, may_begin=may_begin)
        if not may_begin and not (path / "metadata.db").exists():
            raise MetadataMissing(collectivite_id)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteDatabase(path / "metadata.db", self._executor, self._usual)

    def close(self) -> None:
        with self._lock:
            for one in self._open.values():
                one.database.close()
            self._open.clear()
        if self._connections is not None:
            self._connections.close()


def _server(url: str) -> Connections:
    from beffroi.drive.store.postgres import Connections  # noqa: PLC0415 - psycopg takes long to import

    return Connections(url)


def open_communes(config: Config, executor: Executor, *, most_open: int = FEW_OPEN) -> Communes:
    """Those of this centre, with the limits of its settings. Errors: SettingInvalid."""
    usual = Limits(config.drive_person_gb * GB, config.drive_collectivite_gb * GB, config.drive_most_entries)
    return Communes(config.state / "drive", executor, config.drive_database, usual, most_open=most_open)


@contextmanager
def opened(config: Config) -> Iterator[Communes]:
    """As ``open_communes``, with one thread for commits, and closed at the end."""
    with ThreadPoolExecutor(1, "commits") as commits, closing(open_communes(config, commits)) as communes:
        yield communes


def allow_files() -> None:
    """As many open files as the machine lets this process have: systemd and shells begin with 1024, for programs that
    use select(2), which ours do not."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
