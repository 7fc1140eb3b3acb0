"""The only hand on the backups of mailboxes and database: makes them, checks them, puts mails back.

Purpose: a backup of each every ``backup_every_h``, a check each week, a drill of the database each month; on demand the
         same, of mails a preview, a restore and its undoing; takes away the files of a mailbox whose key was destroyed.
Process: ``python -m beffroi.mail.backup.keeper``, root with few capabilities: STATE/run/backup.sock, for root and the
         centre's Python user. restic and doveadm are run; what touches mailboxes' directories is done as their own
         number, what asks the database as the Python user.
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
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from beffroi.lib import asked, clock, programs
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.mail.backup import told
from beffroi.mail.backup.store import StoreFailed
from beffroi.mail.backup.work import Busy, Work
from beffroi.mail.engines import layout

log = logging.getLogger("beffroi.mail.backup")
TICK_S = 60.0
FIRST_TICK_S = 5.0
AGAIN_S = 900
CHECK_EVERY_S = 7 * 86400
DRILL_EVERY_S = 30 * 86400
DRILL_AGAIN_S = 86400
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
        work = self.work
        verbs: dict[str, Callable[[], Answer]] = {
            "now": work.back_up,
            "check": lambda: work.check(full=bool(wanted.get("full"))),
            "list": work.list,
            "restore": lambda: work.restore(wanted, tell),
            "undo": lambda: work.undo(wanted),
            "erase": lambda: work.erase(wanted),
            "forget_keys": work.forget_keys,
            "database_now": work.back_up_database,
            "database_check": work.check_database,
            "database_list": work.databases.list,
        }
        if wanted["verb"] not in verbs:
            raise Invalid("verb")
        return verbs[wanted["verb"]]()


def _refused(error: BeffroiError) -> Answer:
    return {"ok": False, "code": error.code, "why": str(error)}


def due(work: Work, *, now: int, tried_at: Mapping[str, int]) -> str:
    """What is to be done by itself: "database", "backup", "check", "drill" or "". ``tried_at``: when each was last."""
    state, every_s = told.read(work.config), work.config.backup_every_h * 3600
    is_over = partial(told.is_over, now=now)
    # The first check comes with the first backup's week, not before there is something to check.
    waits = {
        "database": is_over(state.database.backup_at, every_s),  # seconds, where mailboxes may take hours
        "backup": is_over(state.backup_at, every_s),
        "check": bool(state.backup_at) and is_over(state.checked_at or state.since, CHECK_EVERY_S),
        "drill": bool(state.database.backup_at) and is_over(state.database.drilled_at, _drill_every_s(state)),
    }
    return next(
        (what for what, is_due in waits.items() if is_due and is_over(tried_at.get(what, 0), AGAIN_S)), ""
    )


def _drill_every_s(state: told.Told) -> int:
    return DRILL_AGAIN_S if state.database.drill_failure else DRILL_EVERY_S


def _back_up(work: Work) -> None:
    work.back_up()
    work.forget_old()


def keep_time(work: Work, ended: threading.Event) -> None:
    """Back up and check when it is time, until the process ends."""
    acts: dict[str, Callable[[], object]] = {
        "database": work.back_up_database,
        "backup": lambda: _back_up(work),
        "check": lambda: work.check(full=False),
        "drill": work.check_database,
    }
    tried_at, pause_s = dict[str, int](), FIRST_TICK_S
    while not ended.wait(pause_s):
        now = clock.epoch_s()
        what = due(work, now=now, tried_at=tried_at)
        pause_s = FIRST_TICK_S if what else TICK_S  # what else is due follows at once
        if not what:
            continue
        tried_at[what] = now
        try:
            acts[what]()
        except Busy:
            tried_at.pop(what)
            pause_s = TICK_S
        except BeffroiError as error:
            log.error("%s: %s", what, error)
        except Exception:  # a thread that ended would say nothing until the alarm
            log.exception("%s", what)


def run(config: Config) -> None:
    os.umask(0o077)
    work = Work(config)
    work.prepare()
    listener = asked.listen(socket_path(config))
    programs.Ending()
    threading.Thread(target=keep_time, args=(work, threading.Event()), daemon=True).start()
    asked.serve(listener, Keeper(work).answer, callers={0, layout.python_owner(config).uid})


if __name__ == "__main__":
    sys.exit(programs.run(run))
