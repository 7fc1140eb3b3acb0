"""The only hand on the backups of the mailboxes: makes them, checks them, puts mails back.

Purpose: a backup each ``backup_every_h``, a check each week; on demand the same, a preview, a restore and its undoing;
         takes away the files of a mailbox whose key was destroyed.
Process: ``python -m beffroi.mail.backup.keeper``, root with few capabilities and no network: STATE/run/backup.sock, for
         root and the centre's Python user. restic and doveadm are run; what touches mailboxes' directories is done as
         their own number.
Hostile: whoever asks (mail/backup/work.py).
Fails:   closed, one sentence; mail flows without this process, and backups wait. A failed backup is tried again after a
         quarter of an hour.
Source:  docs/decisions/0047-backup-of-mail.md; unix(7) SO_PEERCRED.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sqlite3
import struct
import sys
import threading
from pathlib import Path
from typing import Any

from beffroi.lib import clock
from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.mail.backup import told
from beffroi.mail.backup.store import StoreFailed
from beffroi.mail.backup.work import Busy, Work
from beffroi.mail.engines import layout

log = logging.getLogger("beffroi.mail.backup")
MAX_REQUEST_BYTES = 64 * 1024
CALLER_TIMEOUT_S = 10.0
TICK_S = 60.0
AGAIN_S = 900
CHECK_EVERY_S = 7 * 86400
_AT_ONCE = 4
Answer = dict[str, Any]


def socket_path(config: Config) -> Path:
    return config.run / "backup.sock"


class Keeper:
    def __init__(self, work: Work) -> None:
        self.work = work
        self._callers = {0, layout.python_owner(work.config).uid}

    def may_ask(self, connection: socket.socket) -> bool:
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return struct.unpack("3i", peer)[1] in self._callers

    def answer(self, request: bytes, connection: socket.socket) -> Answer:
        """One answer, {"ok": true, ...} or {"ok": false, "code", "why"}, and before it lines of progress."""

        def tell(line: Answer) -> None:
            with contextlib.suppress(OSError):  # whoever asked is gone; what was begun is ended
                connection.sendall(_line(line))

        try:
            asked = json.loads(request)
            return {"ok": True, **self._do(asked, tell)}
        except (ValueError, TypeError, KeyError, AttributeError):
            return _refused(Invalid("request"))
        except BeffroiError as error:
            return _refused(error)
        except (OSError, sqlite3.Error) as error:
            log.error("%s", error)
            return _refused(StoreFailed(self.work.store.path, "see log/backup.log"))

    def _do(self, asked: Answer, tell: Any) -> Answer:
        verb = asked["verb"]
        if verb == "now":
            return self.work.back_up()
        if verb == "check":
            return self.work.check(full=bool(asked.get("full")))
        if verb == "list":
            return self.work.list()
        if verb == "restore":
            return self.work.restore(asked, tell)
        if verb == "undo":
            return self.work.undo(asked)
        if verb == "erase":
            return self.work.erase(asked)
        raise Invalid("verb")


def _refused(error: BeffroiError) -> Answer:
    return {"ok": False, "code": error.code, "why": str(error)}


def _line(answer: Answer) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


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


def listen(config: Config) -> socket.socket:
    """As the queue's keeper binds its own: group of the folder, mode from the umask alone."""
    path = socket_path(config)
    path.unlink(missing_ok=True)
    before = os.umask(0o117)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(16)
    return listener


def serve(work: Work, listener: socket.socket) -> None:
    """Answer until the listener is closed."""
    keeper, room = Keeper(work), threading.BoundedSemaphore(_AT_ONCE)

    def one(connection: socket.socket) -> None:
        with room, connection, contextlib.suppress(OSError):
            connection.settimeout(CALLER_TIMEOUT_S)
            if keeper.may_ask(connection) and (request := _request(connection)):
                connection.sendall(_line(keeper.answer(request, connection)))

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(connection,), daemon=True).start()


def _request(connection: socket.socket) -> bytes:
    request = bytearray()
    while not request.endswith(b"\n") and len(request) <= MAX_REQUEST_BYTES:
        if not (piece := connection.recv(65536)):
            break
        request += piece
    return bytes(request) if len(request) <= MAX_REQUEST_BYTES else b""


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    os.umask(0o077)
    work = Work(load())
    work.prepare()
    listener = listen(work.config)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=keep_time, args=(work, threading.Event()), daemon=True).start()
    serve(work, listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
