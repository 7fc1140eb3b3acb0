"""Links for people without an account: made, shown, ended.

Purpose: the only way from a page to a link on somebody's behalf, and the only writes of them but for the counter.
Process: web.
Access:  who may write in the place makes links there, and sees and ends those that others made; who made one may end
         it for ever. All else is absent.
Rule:    the share lies in the collectivité's metadata, the audit log in the centre's database, and no transaction
         spans both. So what is done with a link is on record before, and once more where it then fails: whenever a
         process dies, nothing was done that the audit log does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.drive.sharing import shareable
from beffroi.drive.store import shares
from beffroi.drive.store.model import AbsentNode, Act, ReadOnly
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import View
from beffroi.lib.errors import BeffroiError, Conflict
from beffroi.lib.ids import new_id


def access(view: View, reading: Reading, share_id: str) -> Share:
    """A link that this person may end. Errors: AbsentNode."""
    found = shares.find_link(reading, share_id)
    if found.created_by != view.who.person_id:
        try:
            shareable(view, reading, found.node)
        except ReadOnly:
            raise AbsentNode("share") from None
    return found


def make(*, actor: Actor, view: View, act: Act, node_id: int, wish: Wish) -> tuple[Share, str]:
    """Return the link and its token, which is nowhere afterwards. Errors: AbsentNode, ReadOnly, Invalid, Frozen."""
    with view.database.reading() as reading:
        shareable(view, reading, node_id)
        shares.check_new(reading, node_id, wish, now_s=act.now_s)
    share_id = new_id("shr")
    _tell(
        actor,
        "made",
        share_id,
        {
            "node_id": node_id,
            "expires_s": wish.expires_s,
            "downloads": wish.downloads,
            "password": int(bool(wish.password)),
        },
    )

    def change(writing: Writing) -> tuple[Share, str]:
        shareable(view, writing, node_id)  # it may have moved since
        return shares.make(writing, act, node_id, wish, share_id=share_id)

    return _written(actor, view, "made", share_id, change)


def end(*, actor: Actor, view: View, act: Act, share_id: str) -> Share:
    """Nobody opens it from now on. What ended before stays ended. Errors: AbsentNode."""
    with view.database.reading() as reading:
        found = access(view, reading, share_id)
    if found.ended_s != shares.NEVER:
        return found

    def change(writing: Writing) -> None:
        access(view, writing, share_id)
        if not shares.end(writing, share_id, now_s=act.now_s):
            raise Conflict("it has ended")

    _tell(actor, "ended", share_id, {"node_id": found.node})
    with suppress(Conflict):  # somebody else was quicker
        _written(actor, view, "ended", share_id, change)
    return found


def _written[T](actor: Actor, view: View, what: str, share_id: str, change: Callable[[Writing], T]) -> T:
    """What was told before; where it fails, that is told, too."""
    try:
        return view.database.write(change)
    except BeffroiError as error:
        _tell(actor, "failed", share_id, {"what": what, "code": error.code})
        raise


def _tell(actor: Actor, what: str, share_id: str, details: dict[str, str | int]) -> None:
    with transaction.atomic(durable=True):
        audit.record(
            actor=actor,
            verb=f"drive:link:{what}",
            object_id=share_id,
            collectivite_id=actor.collectivite_id,
            details=details,
        )
        publish(
            f"drive:link_{what}",
            {"share_id": share_id, "person_id": actor.id},
            collectivite_id=actor.collectivite_id,
        )
