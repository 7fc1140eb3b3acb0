"""Links for people without an account: made, shown, ended.

Purpose: the only way from a page to a link on somebody's behalf, and the only writes of them but for the counter.
Process: web.
Access:  who may write in the place makes links there, and sees and ends those that others made; who made one may end
         it for ever. All else is absent.
Rule:    what is done with a link is on record before, and once more where it then fails (``on_record``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.drive import on_record
from beffroi.drive.sharing import accessible, shareable
from beffroi.drive.store import shares
from beffroi.drive.store.model import Act
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import View
from beffroi.lib.errors import Conflict
from beffroi.lib.ids import new_id


def access(view: View, reading: Reading, share_id: str) -> Share:
    """A link that this person may end. Errors: AbsentNode."""
    return accessible(view, reading, shares.find_link(reading, share_id))


def make(
    *,
    actor: Actor,
    view: View,
    act: Act,
    node_id: int,
    wish: Wish,
    also: Callable[[Writing, Share], object] = lambda writing, share: None,
) -> tuple[Share, str]:
    """Return the link and its token, which is nowhere afterwards. ``also``: what is kept of it besides, in the same
    change. Errors: AbsentNode, ReadOnly, Invalid, Frozen, those of ``also``."""
    with view.database.reading() as reading:
        shareable(view, reading, node_id)
        shares.check_new(reading, node_id, wish, now_s=act.now_s)
    share_id = new_id("shr")
    said = {
        "node_id": node_id,
        "expires_s": wish.expires_s,
        "downloads": wish.downloads,
        "password": int(bool(wish.password)),
    }

    def change(writing: Writing) -> tuple[Share, str]:
        shareable(view, writing, node_id)  # it may have moved since
        made, token = shares.make(writing, act, node_id, wish, share_id=share_id)
        also(writing, made)
        return made, token

    with _told(actor, "made", share_id, said):
        return view.database.write(change)


def end(*, actor: Actor, view: View, act: Act, share_id: str) -> None:
    """Nobody opens it from now on. What ended before stays ended. Errors: AbsentNode."""
    with view.database.reading() as reading:
        found = access(view, reading, share_id)
    if found.ended_s != shares.NEVER:
        return

    def change(writing: Writing) -> None:
        access(view, writing, share_id)
        if not shares.end(writing, share_id, now_s=act.now_s):
            raise Conflict("it has ended")

    # Conflict: somebody else was quicker.
    with suppress(Conflict), _told(actor, "ended", share_id, {"node_id": found.node}):
        view.database.write(change)


def _told(
    actor: Actor, what: str, share_id: str, details: Mapping[str, str | int]
) -> AbstractContextManager[None]:
    return on_record.before(
        lambda: _tell(actor, what, share_id, details),
        lambda code: _tell(actor, "failed", share_id, {"what": what, "code": code}),
    )


def _tell(actor: Actor, what: str, share_id: str, details: Mapping[str, str | int]) -> None:
    with transaction.atomic(durable=True):
        audit.record(
            actor, f"drive:link:{what}", share_id, collectivite_id=actor.collectivite_id, details=details
        )
        publish(
            f"drive:link_{what}",
            {"share_id": share_id, "person_id": actor.id},
            collectivite_id=actor.collectivite_id,
        )
