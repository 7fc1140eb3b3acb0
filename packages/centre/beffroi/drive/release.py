"""What people answer about a content that the scan holds: somebody asks for a review, somebody releases it.

Process: web.
Access:  who sees the file asks. What engines know as malware, the référent releases; what would only be held in a mail
         (macros, a password), whoever may write where it lies.
Rule:    the audit has its entry before anything is done (``audited``). A release is the collectivité's own: what a
         decision holds besides, stays held.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from django.db import transaction

from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.drive import audited
from beffroi.drive.store import findings
from beffroi.drive.store.findings import Finding
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place, View
from beffroi.lib import clock
from beffroi.lib.errors import NotAllowed

MOST_SHOWN, MOST_LOOKED_AT = 5, 200


def may_release(actor: Actor, place: Place, finding: Finding) -> bool:
    if finding.is_malice:
        return actor.role == "referent"
    return place.rights.may_write


def seen_files(view: View, sha256: str) -> list[Place]:
    """Where a content lies, of what this person sees: some of it. Errors: Unavailable."""
    found: list[Place] = []
    with view.database.reading() as reading:
        rows = reading.all(
            "SELECT id FROM node WHERE sha256 = ? AND sha256 <> '' ORDER BY id LIMIT ?",
            (sha256, MOST_LOOKED_AT),
        )
        for (node_id,) in rows:
            with suppress(AbsentNode):
                found.append(view.at(reading, node_id))
            if len(found) == MOST_SHOWN:
                break
    return found


def held_in(reading: Reading, folder_id: int) -> set[int]:
    """Files of a folder that nobody opens, because of what was found in them or of a decision: from the few contents
    that are held to where they lie, by index."""
    rows = reading.all(
        "SELECT node.id FROM finding JOIN node ON node.sha256 = finding.sha256 AND node.sha256 <> ''"
        " WHERE finding.released_s = 0 AND node.parent = ?"
        " UNION SELECT node.id FROM frozen JOIN node ON node.sha256 = frozen.sha256 AND node.sha256 <> ''"
        " WHERE node.parent = ?",
        (folder_id, folder_id),
    )
    return {row[0] for row in rows}


def ask(*, actor: Actor, view: View, node_id: int) -> bool:
    """False where somebody asked before. Errors: AbsentNode."""
    with view.database.reading() as reading:
        _, finding = _held(view, reading, node_id)
    now_s = clock.epoch_s()
    with _before(actor, "drive:finding:asked", node_id, finding):
        asked = view.database.write(
            lambda writing: findings.ask(writing, finding.sha256, person_id=actor.id, now_s=now_s)
        )
    if asked:
        _publish(actor, "drive:review_asked", finding)
    return asked


def release(*, actor: Actor, view: View, node_id: int) -> None:
    """Everybody who sees it opens it from now on. Errors: AbsentNode, NotAllowed."""
    with view.database.reading() as reading:
        finding = _releasable(actor, view, reading, node_id)
    now_s = clock.epoch_s()

    def change(writing: Writing) -> bool:
        if _releasable(actor, view, writing, node_id).sha256 != finding.sha256:
            raise AbsentNode("finding")
        return findings.release(writing, finding.sha256, person_id=actor.id, now_s=now_s)

    with _before(actor, "drive:finding:released", node_id, finding):
        released = view.database.write(change)
    if released:
        _publish(actor, "drive:released", finding)


def _releasable(actor: Actor, view: View, reading: Reading, node_id: int) -> Finding:
    """Asked once more in the change: what was held for its macros may be known as malware by then.

    Errors: AbsentNode, NotAllowed."""
    place, finding = _held(view, reading, node_id)
    if not may_release(actor, place, finding):
        raise NotAllowed("release a file")
    return finding


def _held(view: View, reading: Reading, node_id: int) -> tuple[Place, Finding]:
    place = view.at(reading, node_id)
    finding = findings.finding(reading, place.node.sha256)
    if finding is None or finding.released_s:
        raise AbsentNode("finding")
    return place, finding


def _before(actor: Actor, verb: str, node_id: int, finding: Finding) -> AbstractContextManager[None]:
    return audited.before(
        actor,
        verb,
        str(node_id),
        collectivite_id=actor.collectivite_id,
        details={"sha256": finding.sha256, "code": finding.code},
    )


def _publish(actor: Actor, kind: str, finding: Finding) -> None:
    with transaction.atomic():
        publish(
            kind,
            {"sha256": finding.sha256, "code": finding.code, "person_id": actor.id},
            collectivite_id=actor.collectivite_id,
        )
