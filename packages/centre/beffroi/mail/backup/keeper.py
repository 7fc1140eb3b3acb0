"""The only hand on the backups of the mailboxes: makes them, checks them, puts mails back.

Purpose: a backup each ``backup_every_h``, a check each week; on demand the same, a preview, a restore and its undoing;
         takes away the files of a mailbox whose key was destroyed.
Process: ``python -m beffroi.mail.backup.keeper``, root with few capabilities and no network: STATE/run/backup.sock, for
         root and the centre's Python user. restic and doveadm are run; what touches mailboxes' directories is done as
         their own number.
Hostile: whoever asks (mail/backup/work.py).
Fails:   closed, one sentence; mail flows without this process, and backups wait. A failed backup is tried again after a
         quarter of an hour.
Source:  docs/decisions/0047-backup-of-mail.md; lib/asked.py.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from beffroi.lib import asked, clock
from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.mail.backup import told
from beffroi.mail.backup.store import StoreFailed
from beffroi.mail.backup.work import Busy, Work
from beffroi.mail.engines import layout

log = logging.getLogger("beffroi.mail.backup")
TICK_S = 60.0
AGAIN_S = 900
CHECK_EVERY_S = 7 * 86400
Answer = dict[str, Any]


def socket_path(config: Config) -> Path:
    return config.run / "backup.sock"


class Keeper:
    def __init__(self, work: Work) -> None:
        self.work = work

    def answer(self, request: bytes, connection: socket.socket) -> Answer:
        """One answer, {"ok": true, ...} or {"ok": false, "code", "why"}, and before it lines of progress."""

        def tell(line: Answer) -> None:
            with contextlib.suppress(OSError):  # whoever asked is gone; what was begun is ended
                connection.sendall(asked.line(line))

        try:
            return {"ok": True, **self._do(json.loads(request), tell)}
        except (ValueError, TypeError, KeyError, AttributeError):
            return _refused(Invalid("request"))
        except BeffroiError as error:
            return _refused(error)
        except (OSError, sqlite3.Error) as error:
            log.error("%s", error)
            return _refused(StoreFailed(self.work.store.path, "see log/backup.log"))

    def _do(self, wanted: Answer, tell: Any) -> Answer:
        verb = wanted["verb"]
        if verb == "now":
            return self.work.back_up()
        if verb == "check":
            return self.work.check(full=bool(wanted.get("full")))
        if verb == "list":
            return self.work.list()
        if verb == "restore":
            return self.work.restore(wanted, tell)
        if verb == "undo":
            return self.work.undo(wanted)
        if verb == "erase":
            return self.work.erase(wanted)
        raise Invalid("verb")


def _refused(error: BeffroiError) -> Answer:
    return {"ok": False, "code": error.code, "why": str(error)}


def due(work: Work, *, now: int, tried_at: int) -> str:
    """What is to be done by itself: "backup", "check" or ""."""
    state = told.read(work.config)
    if now - state.backup_at >= work.config.backup_every_h * 3600 and now - tried_at >= AGAIN_S:
        return "backup"
    # The first check comes with the first backup's week, not before there is something to check.
    if (
        state.backup_at
        and now - (state.checked_at or state.since) >= CHECK_EVERY_S
        and now - tried_at >= AGAIN_S
    ):
        return "check"
    return ""


def keep_time(work: Work, ended: threading.Event) -> None:
    """Back up and check when it is time, until the process ends."""
    tried_at = 0
    while not ended.wait(TICK_S if tried_at else 5.0):
        what, now = due(work, now=clock.epoch_s(), tried_at=tried_at), clock.epoch_s()
        try:
            if what == "backup":
                tried_at = now
                work.back_up()
                work.forget_old()
            elif what == "check":
                tried_at = now
                work.check(full=False)
        except Busy:
            tried_at = 0
        except BeffroiError as error:
            log.error("%s: %s", what, error)
        except Exception:  # a thread that ended would say nothing until the alarm
            log.exception("%s", what)
        tried_at = tried_at or 1


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    os.umask(0o077)
    work = Work(load())
    work.prepare()
    listener = asked.listen(socket_path(work.config))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=keep_time, args=(work, threading.Event()), daemon=True).start()
    asked.serve(listener, Keeper(work).answer, callers={0, layout.python_owner(work.config).uid})
    return 0


if __name__ == "__main__":
    sys.exit(main())
