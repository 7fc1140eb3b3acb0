"""What other collectivités offered to this one, and what it answered.

Rule:    the share itself is a row of its owner (``shares``). Here stands only that it was offered, and the answer;
         nobody here sees it before somebody said yes. The offer comes first: one whose share was not made then, or has
         ended, leads nowhere.
Source:  docs/internals/drive.md, "Shares".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from beffroi.drive.store.model import AbsentNode, Act
from beffroi.drive.store.shares import NEVER
from beffroi.drive.store.writing import Reading, Writing


class Received(NamedTuple):
    """A row of ``received``: what another collectivité offered. ``state``: offered, accepted, refused."""

    share_id: str
    owner: str
    label: str
    state: str
    offered_s: int
    answered_s: int
    answered_by: str


def offer(writing: Writing, share_id: str, label: str, *, owner: str, now_s: int) -> bool:
    """In the receiver's metadata; False when it was offered before, whatever was answered."""
    if writing.one("SELECT 1 FROM received WHERE share_id = ?", (share_id,)):
        return False
    row = Received(share_id, owner, label, "offered", now_s, NEVER, "")
    writing.run("INSERT INTO received VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return True


def answer(writing: Writing, act: Act, share_id: str, *, accepted: bool) -> Received:
    """The receiver's word; it can be changed. Errors: AbsentNode."""
    said = find(writing, share_id)._replace(
        state="accepted" if accepted else "refused", answered_s=act.now_s, answered_by=act.person_id
    )
    writing.run(
        "UPDATE received SET state = ?, answered_s = ?, answered_by = ? WHERE share_id = ?",
        (said.state, said.answered_s, said.answered_by, share_id),
    )
    return said


def find(database: Reading, share_id: str) -> Received:
    """Errors: AbsentNode."""
    row = database.one("SELECT * FROM received WHERE share_id = ?", (share_id,))
    if row is None:
        raise AbsentNode("share")
    return Received(*row)


def every(database: Reading) -> list[Received]:
    return [Received(*row) for row in database.all("SELECT * FROM received ORDER BY offered_s, share_id")]


def forget(writing: Writing, share_ids: Sequence[str]) -> None:
    """Names that somebody here gave to them go with other leftovers."""
    writing.many("DELETE FROM received WHERE share_id = ?", [(one,) for one in share_ids])


def keep_forgotten(writing: Writing, before: Sequence[Received]) -> None:
    """After everything became as it was at an earlier moment: what was forgotten since is, for its owner has forgotten
    it, too, and would seem to have lost it. ``before``: what stood; none of it where all was lost here."""
    known = {one.share_id for one in before}
    if known:
        forget(writing, [one.share_id for one in every(writing) if one.share_id not in known])
