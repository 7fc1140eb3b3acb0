"""Locks of an office editor (WOPI), kept beside WebDAV's, so that each way in knows the other's.

Rule:    a file has one lock of an editor, named by the editor; whoever writes in it there shows that name, for several
         people have one file open in one editor. It lasts half an hour unless it is refreshed.
Source:  WOPI: Lock, GetLock, RefreshLock, Unlock, UnlockAndRelock; docs/decisions/0079-office-documents.md.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from beffroi.drive.store.locks import EDITOR, Lock, held
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError

HOLDER = EDITOR
LASTS_S = 1800
MAX_ID_CHARS = 1024
_PREFIX = "urn:x-wopi:"
_OWNER = "<d:owner>WOPI</d:owner>"


class LockDiffers(BeffroiError):
    """The file has another lock than the one that was named."""

    code = "drive.editor_lock_differs"
    http_status = 409

    def __init__(self, current: str) -> None:
        super().__init__()
        self.current = current
        """The name of the editor's lock; "" where there is none, or where a client of WebDAV holds one."""


class Held(NamedTuple):
    """``lock_id``: of the editor's lock, "" for none. ``is_foreign``: a client of WebDAV holds one."""

    lock_id: str
    is_foreign: bool


def of(database: Reading, node_id: int, *, now_s: int) -> Held:
    lock_id, is_foreign = "", False
    for one in held(database, node_id, now_s=now_s):
        if one.person_id == HOLDER and one.node == node_id:
            lock_id = unquote(one.token.removeprefix(_PREFIX).partition(":")[2])
        else:
            is_foreign = True
    return Held(lock_id, is_foreign)


def token(node_id: int, lock_id: str) -> str:
    """As WebDAV shows it."""
    return f"{_PREFIX}{node_id}:{quote(lock_id, safe='')}"


def require(database: Reading, node_id: int, lock_id: str, *, now_s: int) -> None:
    """The file is locked by this name. Errors: LockDiffers."""
    found = of(database, node_id, now_s=now_s)
    if found.is_foreign or not found.lock_id or found.lock_id != lock_id:
        raise LockDiffers(found.lock_id)


def take(writing: Writing, node_id: int, lock_id: str, *, now_s: int) -> None:
    """Lock it, or lengthen the lock of this name. Errors: LockDiffers."""
    found = of(writing, node_id, now_s=now_s)
    if found.is_foreign or found.lock_id not in ("", lock_id):
        raise LockDiffers(found.lock_id)
    put(writing, node_id, lock_id, now_s=now_s)


def refresh(writing: Writing, node_id: int, lock_id: str, *, now_s: int) -> None:
    """Errors: LockDiffers (also where it is not locked)."""
    require(writing, node_id, lock_id, now_s=now_s)
    put(writing, node_id, lock_id, now_s=now_s)


def exchange(writing: Writing, node_id: int, lock_id: str, former_id: str, *, now_s: int) -> None:
    """Another name for the lock, without a moment between. Errors: LockDiffers."""
    require(writing, node_id, former_id, now_s=now_s)
    put(writing, node_id, lock_id, now_s=now_s)


def end(writing: Writing, node_id: int, lock_id: str, *, now_s: int) -> None:
    """Errors: LockDiffers (also where it is not locked)."""
    require(writing, node_id, lock_id, now_s=now_s)
    writing.run("DELETE FROM dav_lock WHERE node = ? AND person_id = ?", (node_id, HOLDER))


def put(writing: Writing, node_id: int, lock_id: str, *, now_s: int) -> None:
    """Whatever was there: after a change that ended it, and by what looked before."""
    writing.run("DELETE FROM dav_lock WHERE node = ? AND person_id = ?", (node_id, HOLDER))
    made = Lock(token(node_id, lock_id), node_id, 0, 0, _OWNER, HOLDER, now_s + LASTS_S)
    writing.run("INSERT INTO dav_lock VALUES (?, ?, ?, ?, ?, ?, ?)", made[:-1])
    writing.has_locks = True
