"""A trash is emptied for good: what a person asks for on its page.

Rule:    who may empty it is ``View.may_destroy``'s to say, asked again inside each change. The audit has its entry
         before anything is done, with a count and no name, and a second one where it is not done to its end
         (``audited``). What an alarm may need yet is not destroyed before it is answered (``upkeep``).
Process: web.
"""

from __future__ import annotations

from beffroi.core.identity.actor import Actor
from beffroi.drive import audited
from beffroi.drive.store import trash
from beffroi.drive.store.model import Act, ReadOnly
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import View
from beffroi.lib import clock


def empty(*, actor: Actor, view: View, root_id: int) -> None:
    """``root_id``: the root whose trash it is. Errors: AbsentNode, ReadOnly, Sealed."""
    act = Act(actor.id, "", clock.epoch_s())
    with view.database.reading() as reading:
        _require(view, reading, root_id)
        count = trash.count(reading, root_id)
    if not count:
        return

    def change(writing: Writing) -> bool:
        _require(view, writing, root_id)
        return trash.empty(writing, act, root_id)

    with audited.before(
        actor,
        "drive:trash:emptied",
        str(root_id),
        collectivite_id=view.collectivite_id,
        details={"items": count},
    ):
        view.database.write_portions(change)


def _require(view: View, reading: Reading, root_id: int) -> None:
    if not view.may_destroy(view.at(reading, root_id)):
        raise ReadOnly
