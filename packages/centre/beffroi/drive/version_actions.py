"""An earlier content of a file is deleted for good: what a person asks for on its page.

Rule:    who may empty the trash of its root may: of one's own files their owner, of the collectivité's its référent,
         for they may be archives. Not while an alarm waits for an answer, for the way back may need it. No program may:
         who steals a device would take away what brings files back.
         The audit has its entry before anything is done, with numbers and no name; what is refused has none, or,
         where somebody else was quicker, a second one (``audited``).
Process: web.
Source:  docs/decisions/0107-one-version-is-deleted.md.
"""

from __future__ import annotations

from beffroi.core.identity.actor import Actor
from beffroi.drive import alarms, audited
from beffroi.drive.store import versions
from beffroi.drive.store.model import AbsentNode, Act
from beffroi.drive.store.versions import Version
from beffroi.drive.store.writing import Writing
from beffroi.drive.views import View
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict

DELETED = "drive:version:deleted"


class NotYoursToDelete(BeffroiError):
    """Whose file it is deletes a version of it; in the collectivité's folder, a référent."""

    code = "drive.not_yours_to_delete"
    http_status = 403


class AlarmWaits(Conflict):
    """An alarm waits for an answer; until then nothing goes that would bring files back."""

    code = "drive.alarm_waits"


def delete(*, actor: Actor, view: View, node_id: int, etag: int) -> None:
    """Errors: AbsentNode, VersionAbsent, NotYoursToDelete, AlarmWaits, Sealed, Locked, Frozen."""
    act = Act(actor.id, "", clock.epoch_s())

    def look(writing: Writing) -> Version:
        _require(writing, view, node_id)
        return versions.deletable(writing, act, node_id, etag)

    def change(writing: Writing) -> None:
        _require(writing, view, node_id)
        versions.delete(writing, act, node_id, etag)

    version = view.database.write(look)
    with audited.before(
        actor,
        DELETED,
        str(node_id),
        collectivite_id=view.collectivite_id,
        details={"version": etag, "size_bytes": version.size_bytes, "replaced_s": version.replaced_s},
    ):
        view.database.write(change)


def _require(writing: Writing, view: View, node_id: int) -> None:
    """Errors: AbsentNode, NotYoursToDelete, AlarmWaits."""
    place = view.at(writing, node_id)
    if place.node.is_folder:
        raise AbsentNode("file")
    if not view.may_destroy(place):
        raise NotYoursToDelete
    if alarms.waits_for_somebody(writing):
        raise AlarmWaits("alarm")
