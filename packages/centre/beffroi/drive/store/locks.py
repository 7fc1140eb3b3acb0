"""WebDAV's write locks, kept with the metadata so that all ways in know them.

Source: RFC 4918, sections 6 and 7: a lock of a folder may reach everything below it (deep); who shows its
        token changes.
Rule:   who may write there no more binds nobody: in somebody's own files, whose share ended, or only reads now; from
        another collectivité, by whose share they came. In the collectivité's, where a role may be enough, a lock lasts
        to its end, or until its person leaves. One of a device ends with the device's app password (``end_by``).
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import LiteralString, NamedTuple

from beffroi.drive.store import groups, schema, seals, shares
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import AbsentNode, Act, Locked, Node
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError

LONGEST_S = 24 * 3600
"""What would last for longer is of a clock that ran ahead: it is over."""
USUAL_S = 1800
EDITOR = "office"
"""Whose locks those of an office editor are."""
_OVER: LiteralString = "FROM dav_lock WHERE expires_s <= ? OR expires_s > ?"
MOST_OF_A_PERSON, MOST_SHARED = 1000, 8
"""``MOST_SHARED``: shared locks that reach one node. Each listing tells of all that reach each of its entries."""


class TooManyLocks(BeffroiError):
    """This person, or this file, has too many locks; end some."""

    code = "drive.too_many_locks"
    http_status = 507


class Lock(NamedTuple):
    """A row of ``dav_lock``, in this order, and by which share of another collectivité it came. ``owner``: XML that the
    client sent, given back as it came."""

    token: str
    node: int
    is_deep: int
    is_shared: int
    owner: str
    person_id: str
    expires_s: int
    share_id: str = ""


_HELD: LiteralString = (
    "SELECT l.*, COALESCE(b.share_id, '') FROM dav_lock l LEFT JOIN lock_by b ON b.token = l.token"
    " WHERE node = ? AND expires_s > ? AND expires_s <= ?"
)


def held(database: Reading, node_id: int, *, now_s: int) -> list[Lock]:
    """The locks that reach a node: its own, and deep ones of the folders above it."""
    out, way, above, name = list[Lock](), list[int](), node_id, ""
    while above:
        for row in database.all(_HELD, (above, now_s, now_s + LONGEST_S)):
            found = Lock(*row)
            if (not way or found.is_deep) and _is_invited(database, found, now_s=now_s):
                out.append(found)
        way.append(above)
        row_above = database.one("SELECT parent, name FROM node WHERE id = ?", (above,))
        above, name = row_above or (0, "")
    if not out or not name.startswith(schema.HOME):
        return out
    owner = name.removeprefix(schema.HOME)
    return [
        one
        for one in out
        if one.person_id in (owner, EDITOR)
        or _may_write(database, one, way[way.index(one.node) :], now_s=now_s)
    ]


def _is_invited(database: Reading, one: Lock, *, now_s: int) -> bool:
    """What came by a share of another collectivité: while that stands, and lets it write."""
    if not one.share_id:
        return True
    with suppress(AbsentNode):
        share = shares.find(database, one.share_id)
        return share.rights == "write" and shares.stands(database, share, now_s=now_s)
    return False


def _may_write(database: Reading, one: Lock, way: list[int], *, now_s: int) -> bool:
    """``way``: the node of the lock and the folders above it. Who has a role or is of elsewhere is not asked."""
    for node_id in way:
        for share in shares.of_node(database, node_id, now_s=now_s):
            if share.kind == "link" or share.rights != "write":
                continue
            is_named = share.kind in ("person", "group")
            if (
                not is_named
                or share.target == one.person_id
                or share.target in groups.of_person(database, one.person_id)
            ):
                return True
    return False


def require(writing: Writing, act: Act, one: Node, *, deep: bool = False) -> None:
    """``one`` may be changed: it is not sealed, and not locked, or one of its tokens was shown. ``deep``: nor anything
    below it. Asked before anything is written, for who catches the error must find nothing half done.

    Errors: Sealed, Locked.
    """
    seals.refuse(writing, one.id, one.parent, names=deep)
    if not (writing.has_locks and writing.heeds_locks):
        return
    _refuse_others(held(writing, one.id, now_s=act.now_s), act)
    if deep:
        for (locked,) in writing.all("SELECT DISTINCT node FROM dav_lock WHERE expires_s > ?", (act.now_s,)):
            if _lies_below(writing, locked, one.id):
                _refuse_others(held(writing, locked, now_s=act.now_s), act)


def _refuse_others(locks: list[Lock], act: Act) -> None:
    if locks and not any(_is_shown(one, act) for one in locks):
        raise Locked(locks[0].node)


def _is_shown(one: Lock, act: Act) -> bool:
    if one.token in act.lock_tokens:
        return one.person_id in (act.person_id, act.lock_holder)
    return bool(act.lock_program) and act.lock_program in one.owner and one.person_id == act.person_id


def _lies_below(database: Reading, node_id: int, folder: int) -> bool:
    above = node_id
    while above and above != folder:
        above = scalar(database, "SELECT parent FROM node WHERE id = ?", (above,)) or 0
    return above == folder


def lock(
    writing: Writing, act: Act, node_id: int, *, deep: bool, shared: bool, owner: str, timeout_s: int
) -> Lock:
    """Errors: AbsentNode, Locked (another lock forbids this one), TooManyLocks."""
    if writing.one("SELECT 1 FROM node WHERE id = ?", (node_id,)) is None:
        raise AbsentNode("file")
    writing.run(f"DELETE {_OVER}", (act.now_s, act.now_s + LONGEST_S))
    others = held(writing, node_id, now_s=act.now_s)
    if deep:
        for (locked,) in writing.all("SELECT DISTINCT node FROM dav_lock"):
            if _lies_below(writing, locked, node_id):
                others += [one for one in held(writing, locked, now_s=act.now_s) if one not in others]
    for one in others:
        if not (shared and one.is_shared):
            raise Locked(one.node)
    mine = scalar(writing, "SELECT COUNT(*) FROM dav_lock WHERE person_id = ?", (act.person_id,))
    if len(others) >= MOST_SHARED or mine >= MOST_OF_A_PERSON:
        raise TooManyLocks
    made = Lock(
        f"urn:uuid:{uuid.uuid4()}",
        node_id,
        int(deep),
        int(shared),
        owner,
        act.person_id,
        act.now_s + _kept(timeout_s),
        act.share_id,
    )
    writing.run("INSERT INTO dav_lock VALUES (?, ?, ?, ?, ?, ?, ?)", made[:-1])
    writing.run("INSERT INTO lock_by VALUES (?, ?, ?)", (made.token, act.device_id, act.share_id))
    writing.has_locks = True
    return made


def refresh(writing: Writing, act: Act, node_id: int, token: str, *, timeout_s: int) -> Lock:
    """Errors: Locked (no such lock of this person reaches the node)."""
    for one in held(writing, node_id, now_s=act.now_s):
        if one.token == token and one.person_id == act.person_id:
            longer = one._replace(expires_s=act.now_s + _kept(timeout_s))
            writing.run("UPDATE dav_lock SET expires_s = ? WHERE token = ?", (longer.expires_s, token))
            return longer
    raise Locked


def unlock(writing: Writing, act: Act, node_id: int, token: str) -> bool:
    """False when this person holds no such lock that reaches the node."""
    if not any(
        one.token == token and one.person_id == act.person_id
        for one in held(writing, node_id, now_s=act.now_s)
    ):
        return False
    return bool(writing.run("DELETE FROM dav_lock WHERE token = ?", (token,)))


def expire(database: Database, *, now_s: int) -> None:
    """Take away locks that are over: they bind nobody, and each change would look at them."""

    def end(writing: Writing) -> None:
        writing.run(f"DELETE {_OVER}", (now_s, now_s + LONGEST_S))
        writing.run("DELETE FROM lock_by WHERE token NOT IN (SELECT token FROM dav_lock)")

    with database.reading() as reading:
        is_over = reading.one(f"SELECT 1 {_OVER} LIMIT 1", (now_s, now_s + LONGEST_S)) or reading.one(
            "SELECT 1 FROM lock_by b LEFT JOIN dav_lock l ON l.token = b.token WHERE l.token IS NULL LIMIT 1"
        )
    if is_over is not None:
        database.write(end)


def end_of(writing: Writing, person_id: str) -> None:
    """All that a person holds here: they are gone, or whoever has their device is kept out."""
    writing.run("DELETE FROM dav_lock WHERE person_id = ?", (person_id,))


def end_by(database: Database, device_id: str) -> None:
    """All that a device holds here: it opens nothing any more."""
    with database.reading() as reading:
        tokens = reading.all("SELECT token FROM lock_by WHERE device_id = ?", (device_id,))
    if tokens:
        database.write(lambda w: w.many("DELETE FROM dav_lock WHERE token = ?", tokens))


def release(writing: Writing, node_id: int) -> None:
    """End all locks of a node and of what lies below it; it was ``require``d before."""
    if writing.has_locks:
        for row in writing.all("SELECT token, node FROM dav_lock"):
            if _lies_below(writing, row[1], node_id):
                writing.run("DELETE FROM dav_lock WHERE token = ?", (row[0],))


def _kept(timeout_s: int) -> int:
    return max(1, min(timeout_s, LONGEST_S))
