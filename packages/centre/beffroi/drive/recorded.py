"""Lines of shares, of groups, and of what crosses from one collectivité to another, in the audit log.

Rule:    a share lies in the collectivité's metadata, the audit log in the centre's database, and no transaction spans
         both: ``sharing`` says when a line is written. Where a share leads to another collectivité, both have a line.
Process: web, worker.
"""

from __future__ import annotations

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes import row_security
from beffroi.core.identity.actor import Actor
from beffroi.drive.crossing import Crossing
from beffroi.drive.groups import GroupLine
from beffroi.drive.sharing import Line


def record(line: Line, *, actor: Actor) -> None:
    with transaction.atomic(durable=True):
        write(line, actor=actor)


def write(line: Line, *, actor: Actor) -> None:
    """Inside a transaction."""
    details = {**line.details, **({"receiver": line.receiver} if line.receiver else {})}
    details["owner"] = line.collectivite_id
    with row_security.unlimited():
        for collectivite_id in dict.fromkeys((line.collectivite_id, line.receiver or line.collectivite_id)):
            audit.record(
                actor,
                f"drive:share:{line.what}",
                line.share_id,
                collectivite_id=collectivite_id,
                details=details,
            )


def group(line: GroupLine, *, actor: Actor) -> None:
    """Its name stands where it can be erased: it may be a person's."""
    with transaction.atomic(durable=True):
        audit.record(
            actor,
            f"drive:group:{line.what}",
            line.group_id,
            collectivite_id=line.collectivite_id,
            details=line.details,
            personal={"name": line.name} if line.name else None,
        )


def crossed(crossing: Crossing, *, actor: Actor) -> None:
    """From a page. Durable: nothing of another collectivité is shown without its line."""
    with transaction.atomic(durable=True), row_security.unlimited():
        write_crossing(crossing, actor=actor)


def write_crossing(crossing: Crossing, *, actor: Actor) -> None:
    """Inside a transaction: a line for the owner, whose files they are."""
    audit.record(
        actor,
        "drive:share:crossed",
        crossing.share_id,
        collectivite_id=crossing.owner,
        details={
            "what": crossing.what,
            "node_id": crossing.node_id,
            "receiver": crossing.receiver,
            "device_id": crossing.device_id,
        },
    )
