"""On PostgreSQL, wake a process on another machine: LISTEN, and each notification becomes a datagram to its own socket.

Purpose: ``wake`` reaches the processes of one machine; those of another would start at their next poll only.
Process: stream, and each lane of worker, remediation and the like: one thread and one connection. On SQLite there is
         no other machine.
Input:   the notification carries nothing; whoever is woken reads the outbox.
Fails:   open; without a connection (or behind a pooler that lets no LISTEN through) the poll of a second remains.
Source:  postgresql.org/docs/17/sql-notify.html: sent at commit, equal ones of one transaction count once.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from beffroi.core.planes import wake
from beffroi.core.planes.db import OUTBOX_CHANNEL

log = logging.getLogger("beffroi.wake")

RETRY_S = 5.0
LOOK_UP_S = 0.5
"""How often the thread looks whether it shall end."""


class Listener:
    """A context manager around the life of one ``Waker``; does nothing for a database that is not PostgreSQL."""

    def __init__(self, url: str, waker: wake.Waker) -> None:
        self._url = url
        self._path: Path = waker.path
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.listening = threading.Event()

    def __enter__(self) -> Self:
        if self._url.startswith(("postgresql://", "postgres://")):
            self._thread = threading.Thread(target=self._run, name="outbox-listen", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()  # the thread is a daemon and ends within LOOK_UP_S; nobody waits for it

    def _run(self) -> None:
        import psycopg  # noqa: PLC0415 - a third of a plane's start, for PostgreSQL alone

        while not self._stopped.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                log.info("no notifications from the database: %s", type(error).__name__)
            self.listening.clear()
            self._stopped.wait(RETRY_S)

    def _listen(self) -> None:
        import psycopg  # noqa: PLC0415 - as above
        from psycopg import sql  # noqa: PLC0415 - as above

        with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(OUTBOX_CHANNEL)))
            self.listening.set()
            wake.send(self._path)  # for what was committed before anyone listened
            while not self._stopped.is_set():
                for _ in connection.notifies(timeout=LOOK_UP_S, stop_after=1):
                    wake.send(self._path)
