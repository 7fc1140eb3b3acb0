"""What is shared with whom: people, groups, roles, other collectivités, and links for all without account.

Rule:    a share is a row of the collectivité that owns the file; ending it is enough, everywhere. What another
         collectivité keeps of it is in ``received``.
Hostile: tokens and passwords of links. A wrong token, an ended, expired or used-up link are one answer.
Secrets: of a token its SHA-256 is kept, of a password what ``link_passwords`` makes; neither can be read back.
Source:  docs/internals/drive.md, "Shares".
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, LiteralString, NamedTuple

from beffroi.drive.store import findings, groups, link_passwords, schema
from beffroi.drive.store.look import above, node
from beffroi.drive.store.model import AbsentNode, Act, Node
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.who import ROLES
from beffroi.lib import hashed
from beffroi.lib.errors import BeffroiError, Invalid, Unavailable
from beffroi.lib.ids import new_id

Kind = Literal["person", "group", "role", "collectivite", "link"]
Rights = Literal["read", "write", "drop"]
NO_LIMIT = -1
NEVER = 0
TOKEN_BYTES = 20
MAX_LABEL_CHARS = 120
LONGEST_LINK_S = 366 * 86400
_SHARES: LiteralString = (
    "SELECT id, node, kind, target, rights, token_hash, password_hash, expires_s, downloads_left, most_bytes, types,"
    " label, created_s, created_by, ended_s FROM share"
)
_FOR_PERSON: LiteralString = (
    " WHERE (kind = 'person' AND target = ?) OR (kind = 'role' AND target = ?) OR (kind = 'group' AND target IN"
    " (SELECT group_id FROM group_member WHERE person_id = ?)) ORDER BY created_s, id"
)
_OVER: LiteralString = " WHERE ((ended_s > 0 AND ended_s < ?) OR (expires_s > 0 AND expires_s < ?))"
_FORGET: LiteralString = (
    "DELETE FROM share WHERE id IN (SELECT id FROM share{} AND kind <> 'collectivite' LIMIT 100)"
)


class LinkClosed(BeffroiError):
    """This link does not exist, or it has ended; ask whoever gave it to you for another."""

    code = "drive.link_closed"
    http_status = 404


class ShareLost(Unavailable):
    """What {} shared is unknown to its metadata: they began anew. Next: docs/runbooks/restore-drive.md"""

    code = "drive.share_lost"
    retryable = False


class Share(NamedTuple):
    """A row of ``share``, in this order.

    ``target``: a person, a group, a role, a collectivité; "" of a link. ``rights`` drop: hand in, see nothing.
    ``expires_s``, ``ended_s``: epoch seconds, NEVER for none. ``downloads_left``: NO_LIMIT for no limit.
    ``most_bytes``: of one file that is handed in, NO_LIMIT for none; ``types``: endings of names that may be, without
    dots and with a space between, "" for all. ``label``: what the receiver reads.
    """

    id: str
    node: int
    kind: str
    target: str
    rights: str
    token_hash: str
    password_hash: str
    expires_s: int
    downloads_left: int
    most_bytes: int
    types: str
    label: str
    created_s: int
    created_by: str
    ended_s: int

    def is_open(self, now_s: int) -> bool:
        return self.ended_s == NEVER and (self.expires_s == NEVER or self.expires_s > now_s)

    @property
    def has_password(self) -> bool:
        return bool(self.password_hash)


@dataclass(frozen=True)
class Wish:
    """What its maker asks of a share; fields as of ``Share``. ``password``: "" for none."""

    kind: Kind
    target: str = ""
    rights: Rights = "read"
    label: str = ""
    password: str = ""
    expires_s: int = NEVER
    downloads: int = NO_LIMIT
    most_bytes: int = NO_LIMIT
    types: str = ""


# -- look-ups ------------------------------------------------------------------------------------------------


def of_node(database: Reading, node_id: int, *, now_s: int) -> list[Share]:
    """Open shares of a file or folder itself, the newest first."""
    found = _all(database, " WHERE node = ? ORDER BY created_s DESC, id DESC", (node_id,))
    return [one for one in found if one.is_open(now_s)]


def every(database: Reading) -> list[Share]:
    """Open or not, the oldest first."""
    return _all(database, " ORDER BY created_s, id")


def all_open(database: Reading, *, now_s: int) -> list[Share]:
    return [one for one in _all(database, " WHERE ended_s = 0") if one.is_open(now_s)]


def inside(database: Reading, node_id: int, *, now_s: int) -> list[Share]:
    """Open shares of a node and of what lies below it."""
    found = all_open(database, now_s=now_s)
    return [one for one in found if any(step.id == node_id for step in above(database, one.node))]


def kinds_by_node(database: Reading, *, now_s: int) -> dict[int, frozenset[str]]:
    """How each node is shared itself, of all that are."""
    found: dict[int, frozenset[str]] = {}
    for one in all_open(database, now_s=now_s):
        found[one.node] = found.get(one.node, frozenset()) | {one.kind}
    return found


def made_by(database: Reading, person_id: str, *, now_s: int) -> list[Share]:
    return [one for one in every_by(database, person_id) if one.is_open(now_s)]


def every_by(database: Reading, person_id: str) -> list[Share]:
    """Those that somebody made, open or not, the newest first."""
    return _all(database, " WHERE created_by = ? ORDER BY created_s DESC, id DESC", (person_id,))


def for_person(database: Reading, *, person_id: str, role: str) -> list[Share]:
    """What was shared with this person, their role or a group of theirs in the collectivité, open or not, their own
    left out; the oldest first."""
    found = _all(database, _FOR_PERSON, (person_id, role, person_id))
    return [one for one in found if one.created_by != person_id]


def to_group(database: Reading, group_id: str, *, now_s: int) -> list[Share]:
    """What is open to a group, the oldest first."""
    found = _all(database, " WHERE kind = 'group' AND target = ? ORDER BY created_s, id", (group_id,))
    return [one for one in found if one.is_open(now_s)]


def to_collectivite(database: Reading, share_id: str, receiver: str, *, now_s: int) -> Share | None:
    """In the owner's metadata: a share that the receiver named, if it is for it and stands."""
    found = _one(database, " WHERE id = ? AND kind = 'collectivite' AND target = ?", (share_id, receiver))
    return found if found is not None and stands(database, found, now_s=now_s) else None


def of_owner(database: Reading, owner: str, share_id: str, receiver: str, *, now_s: int) -> Share | None:
    """As ``to_collectivite``, for the receiver. Errors: ShareLost (the owner's metadata do not know it)."""
    found = to_collectivite(database, share_id, receiver, now_s=now_s)
    if found is None and not is_known(database, share_id):
        raise ShareLost(owner)
    return found


def is_known(database: Reading, share_id: str) -> bool:
    """Whether it was ever made here: another collectivité has an offer no longer than this has its share (``over``)."""
    return database.one("SELECT 1 FROM share WHERE id = ?", (share_id,)) is not None


def over(database: Reading, *, before_s: int) -> list[Share]:
    """For other collectivités, ended before: what these keep of them goes first, then ``delete``."""
    return _all(database, _OVER + " AND kind = 'collectivite'", (before_s, before_s))


def find(database: Reading, share_id: str) -> Share:
    """By its identifier, open or not. Errors: AbsentNode."""
    found = _one(database, " WHERE id = ?", (share_id,))
    if found is None:
        raise AbsentNode("share")
    return found


def find_link(database: Reading, share_id: str) -> Share:
    """A link by its identifier, open or not. Errors: AbsentNode."""
    found = find(database, share_id)
    if found.kind != "link":
        raise AbsentNode("share")
    return found


def behind(database: Reading, token: str, *, now_s: int) -> Share:
    """The share behind a link, its password not asked yet. Errors: LinkClosed."""
    found = _one(database, " WHERE token_hash = ?", (hashed.sha256(token),)) if token else None
    if found is None or found.downloads_left == 0 or not stands(database, found, now_s=now_s):
        raise LinkClosed
    return found


def stands(database: Reading, share: Share, *, now_s: int) -> bool:
    """Not ended, and what it shares is there. Whether downloads are left is another question."""
    return share.is_open(now_s) and lies(above(database, share.node))


def covers(database: Reading, share: Share, node_id: int) -> bool:
    """Whether a node is what was shared, or lies below it."""
    return any(one.id == share.node for one in above(database, node_id))


def owner(database: Reading, share: Share) -> str:
    """Whose own file it is; "" of the collectivité's. Nobody else sees or ends the links to it."""
    steps = above(database, share.node)
    root = steps[-1].name if steps else ""
    return root.removeprefix(schema.HOME) if root.startswith(schema.HOME) else ""


def lies(way: Sequence[Node]) -> bool:
    """What this is the way up from (``look.above``) is there, and neither it nor a folder above it was deleted."""
    return bool(way) and way[-1].name not in (schema.TRASH, schema.GONE)


# -- changes -------------------------------------------------------------------------------------------------


def check(database: Reading, node_id: int, wish: Wish, *, now_s: int) -> Node:
    """What would be shared. Errors: AbsentNode, Invalid."""
    shared = node(database, node_id)
    if shared is None:
        raise AbsentNode("file")
    _refuse_odd(wish, is_folder=bool(shared.is_folder), now_s=now_s)
    if wish.kind == "group" and not groups.is_there(database, wish.target):
        raise Invalid("with whom")
    return shared


def check_new(database: Reading, node_id: int, wish: Wish, *, now_s: int) -> Node:
    """As ``check``, of one that is not made yet. Errors: its, Frozen, Found (``findings``)."""
    shared = check(database, node_id, wish, now_s=now_s)
    findings.require_free(database, (shared.sha256,))
    return shared


def make(writing: Writing, act: Act, node_id: int, wish: Wish, *, share_id: str = "") -> tuple[Share, str]:
    """Return the share and, of a link, its token, which is nowhere afterwards. ``share_id``: one that was told before.

    Errors: those of ``check_new``.
    """
    shared = check_new(writing, node_id, wish, now_s=act.now_s)
    token = secrets.token_urlsafe(TOKEN_BYTES) if wish.kind == "link" else ""
    made = Share(
        id=share_id or new_id("shr"),
        node=node_id,
        kind=wish.kind,
        target=wish.target,
        rights=wish.rights,
        token_hash=hashed.sha256(token) if token else "",
        password_hash=link_passwords.hashed(wish.password) if wish.password else "",
        expires_s=wish.expires_s,
        downloads_left=wish.downloads,
        most_bytes=wish.most_bytes,
        types=" ".join(dict.fromkeys(wish.types.casefold().replace(".", "").split())),
        label=wish.label or shared.name,
        created_s=act.now_s,
        created_by=act.person_id,
        ended_s=NEVER,
    )
    _keep(writing, made)
    return made, token


def change(writing: Writing, share_id: str, *, rights: Rights, expires_s: int) -> Share:
    """Errors: AbsentNode."""
    writing.run("UPDATE share SET rights = ?, expires_s = ? WHERE id = ?", (rights, expires_s, share_id))
    return find(writing, share_id)


def end(writing: Writing, share_id: str, *, now_s: int) -> bool:
    """False when it had ended, or never was."""
    return bool(writing.run("UPDATE share SET ended_s = ? WHERE id = ? AND ended_s = 0", (now_s, share_id)))


def reopen(writing: Writing, share_id: str) -> None:
    """One that had ended, as it was."""
    writing.run("UPDATE share SET ended_s = 0 WHERE id = ?", (share_id,))


def keep_shut(writing: Writing, before: Iterable[Share], *, now_s: int) -> None:
    """After everything became as it was at an earlier moment: what a link opens no more, it does not open again.
    ``before``: what stood; a link that is not among them had ended so long ago that it was forgotten. Where none of
    them is known, the files were lost, and all links come back. What another collectivité has since ends, and is not
    lost."""
    known, there = {one.id: one for one in before}, every(writing)
    since = known.keys() - {one.id for one in there}
    for one in known.values():
        if one.id in since and one.kind == "collectivite":
            _keep(writing, one._replace(ended_s=one.ended_s or now_s))
    if not any(one.id in known for one in there):
        return
    for one in there:
        if one.kind == "link":
            last = known.get(one.id, one._replace(ended_s=one.ended_s or now_s))
            writing.run(
                "UPDATE share SET ended_s = ?, downloads_left = ? WHERE id = ?",
                (last.ended_s, last.downloads_left, one.id),
            )


def forget(writing: Writing, *, before_s: int) -> bool:
    """Delete some of those that ended before, but those of ``over``; True while there may be more."""
    return bool(writing.run(_FORGET.format(_OVER), (before_s, before_s)))


def delete(writing: Writing, share_ids: Sequence[str]) -> None:
    writing.many("DELETE FROM share WHERE id = ?", [(one,) for one in share_ids])


def count_download(writing: Writing, share_id: str) -> None:
    """Before its first byte leaves, so that two at once cannot both be the last. Errors: LinkClosed."""
    if writing.run(
        "UPDATE share SET downloads_left = downloads_left - 1 WHERE id = ? AND downloads_left > 0",
        (share_id,),
    ):
        return
    row = writing.one("SELECT downloads_left FROM share WHERE id = ?", (share_id,))
    if row is None or row[0] == 0:
        raise LinkClosed


def give_back_download(writing: Writing, share_id: str) -> None:
    """One that was counted and is not given; nothing of a link without a limit."""
    writing.run(
        "UPDATE share SET downloads_left = downloads_left + 1 WHERE id = ? AND downloads_left >= 0",
        (share_id,),
    )


# -- inside --------------------------------------------------------------------------------------------------


def _all(database: Reading, where: LiteralString, values: Sequence[object] = ()) -> list[Share]:
    return [Share(*row) for row in database.all(_SHARES + where, values)]


def _one(database: Reading, where: LiteralString, values: Sequence[object]) -> Share | None:
    row = database.one(_SHARES + where, values)
    return Share(*row) if row else None


def _keep(writing: Writing, share: Share) -> None:
    writing.run("INSERT INTO share VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", share)


def _refuse_odd(wish: Wish, *, is_folder: bool, now_s: int) -> None:
    if bool(wish.target) == (wish.kind == "link") or (wish.kind == "role" and wish.target not in ROLES):
        raise Invalid("with whom")
    if wish.rights == "drop" and not (is_folder and wish.kind == "link"):
        raise Invalid("files are handed in to a folder, by a link")
    if len(wish.label) > MAX_LABEL_CHARS:
        raise Invalid("label")
    if wish.password and not link_passwords.may_be(wish.password):
        raise Invalid(f"a password of {link_passwords.MIN_PASSWORD_CHARS} characters at least")
    if wish.expires_s != NEVER and not now_s < wish.expires_s <= now_s + LONGEST_LINK_S:
        raise Invalid("an end within a year")
    if wish.kind == "link" and wish.expires_s == NEVER:
        raise Invalid("a link has an end")
    if wish.kind != "link" and (wish.password or wish.downloads != NO_LIMIT):
        raise Invalid("a password and a number of downloads are for links")
    for limit in (wish.downloads, wish.most_bytes):
        if limit != NO_LIMIT and limit < 1:
            raise Invalid("limit")
