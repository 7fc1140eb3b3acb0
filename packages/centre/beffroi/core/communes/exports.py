"""Exports of a whole collectivité: begun by an administrator, seen by its référent, who can stop one.

Rule:    the Département reads content of a collectivité at its written wish alone: the wish stands with the export, on
         record before anything is read, and whoever speaks for the collectivité may take it back at any time.
Process: a person's command begins, goes on and ends; web stops.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite, CommuneExport
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, reasons
from beffroi.lib.errors import Conflict, NotAllowed, existing


class ExportStopped(Conflict):
    """The collectivité stopped this export, so nothing more is read. Delete the folder; a new wish in writing begins a
    new one"""

    code = "communes.export_stopped"


@transaction.atomic
def begin(*, actor: Actor, collectivite: Collectivite, reason: str, account: str) -> CommuneExport:
    """``reason``: the written wish of the collectivité, with its date and who signed; ``account``: of the machine.

    Errors: NotAllowed, Invalid.
    """
    actor.require_administrator("export a collectivité")
    said = reasons.checked(reason)
    export = CommuneExport.objects.create(collectivite_id=collectivite.id, asked_by=actor.id, reason=said)
    audit.record_of(actor, "communes:export:begun", export, personal={"why": said, "account": account})
    _publish(export)
    return export


@transaction.atomic
def go_on(*, actor: Actor, export_id: str, account: str) -> CommuneExport:
    """After a cut; one that was done is given as it is. Errors: NotAllowed, NotFound, ExportStopped."""
    actor.require_administrator("export a collectivité")
    export = existing(CommuneExport.objects.select_for_update().filter(pk=export_id).first(), "export")
    if export.state == CommuneExport.State.STOPPED:
        raise ExportStopped
    if export.state == CommuneExport.State.DONE:
        return export
    export.changed_at = clock.now()
    export.save(update_fields=["changed_at"])
    audit.record_of(actor, "communes:export:resumed", export, personal={"account": account})
    return export


def progress(export_id: str, *, files: int, size_bytes: int) -> None:
    """Written by this run. Errors: ExportStopped."""
    running = CommuneExport.objects.filter(pk=export_id, state=CommuneExport.State.RUNNING)
    if not running.update(files=files, size_bytes=size_bytes, changed_at=clock.now()):
        raise ExportStopped


@transaction.atomic
def done(
    *, actor: Actor, export_id: str, files: int, size_bytes: int, missing: int, manifest_sha256: str
) -> None:
    """It is whole. Errors: ExportStopped."""
    export = CommuneExport.objects.select_for_update().get(pk=export_id)
    if export.state != CommuneExport.State.RUNNING:
        raise ExportStopped
    export.state, export.changed_at = CommuneExport.State.DONE, clock.now()
    export.files, export.size_bytes, export.missing = files, size_bytes, missing
    export.manifest_sha256 = manifest_sha256
    export.save()
    audit.record_of(
        actor,
        "communes:export:done",
        export,
        {"files": files, "bytes": size_bytes, "missing": missing, "manifest_sha256": manifest_sha256},
    )
    _publish(export)


@transaction.atomic
def stop(*, actor: Actor, export: CommuneExport) -> None:
    """Errors: NotAllowed, Conflict (it is over)."""
    if actor.role != "referent" or actor.collectivite_id != export.collectivite_id:
        raise NotAllowed("stop an export")
    rows = CommuneExport.objects.filter(pk=export.pk, state=CommuneExport.State.RUNNING)
    if not rows.update(state=CommuneExport.State.STOPPED, changed_at=clock.now(), stopped_by=actor.id):
        raise Conflict("this export is over")
    audit.record_of(actor, "communes:export:stopped", export)
    _publish(export)


def visible_exports(actor: Actor) -> QuerySet[CommuneExport]:
    """Newest first; all for the Département, those of the own collectivité for a référent."""
    rows = CommuneExport.objects.order_by("-begun_at", "-id")
    if actor.sees_all or actor.role == "referent":
        return actor.visible(rows)
    return rows.none()


def access_export(actor: Actor, export_id: str) -> CommuneExport:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_exports(actor).filter(pk=export_id).first(), "export")


def _publish(export: CommuneExport) -> None:
    outbox.publish(
        "communes:export_changed", {"export_id": export.id}, collectivite_id=export.collectivite_id
    )
