"""Write to the audit log, seal it into the hash chain, and erase the personal side of an entry.

Process: ``record`` anywhere, inside the transaction of the change; ``seal`` in worker only.
Fails:   closed; if the entry cannot be written, the change is rolled back with it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from django.db import transaction

from beffroi.core.audit import chain, queries
from beffroi.core.audit.models import AuditEntry, AuditPersonal, AuditSeal
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock

_SEAL_BATCH = 1000


def record(
    *,
    actor: Actor,
    verb: str,
    object_id: str,
    collectivite_id: str | None,
    details: Mapping[str, str | int] | None = None,
    personal: Mapping[str, str] | None = None,
) -> int:
    """Add one entry; return its id. ``details``: identifiers, codes and counts; ``personal``: what names people.

    Errors: Conflict outside of ``atomic()``.
    """
    outbox.serialise()  # ids are in order of commit, so that sealing never has to look back
    salt = secrets.token_hex(16) if personal else ""
    content = chain.canonical(dict(personal)) if personal else ""
    entry = AuditEntry.objects.create(
        at=clock.now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
        verb=verb,
        object_id=object_id,
        collectivite_id=collectivite_id,
        details=chain.canonical(dict(details or {})),
        personal_digest=chain.commitment(salt, content) if personal else "",
    )
    if personal:
        AuditPersonal.objects.create(entry=entry, salt=salt, content=content)
    return entry.id


def seal() -> int:
    """Chain every entry that is not sealed yet, in order of id; return how many. One process only: worker.

    A second sealer cannot fork the chain: positions are a primary key, so its transaction fails as a whole.
    """
    total = 0
    while queries.pending():  # the usual answer is no: no write lock is taken then
        with transaction.atomic():
            total += _seal_batch()
    return total


def _seal_batch() -> int:
    last = AuditSeal.objects.order_by("-position").first()
    position, head, entry_id = (last.position, last.hash, last.entry_id) if last else (0, chain.GENESIS, 0)
    rows = []
    for entry in AuditEntry.objects.filter(id__gt=entry_id).order_by("id")[:_SEAL_BATCH]:
        position += 1
        head = chain.link(head, position, entry)
        rows.append(AuditSeal(position=position, entry=entry, hash=head, sealed_at=clock.now()))
    AuditSeal.objects.bulk_create(rows)
    return len(rows)


@transaction.atomic
def erase_personal(*, actor: Actor, entry_id: int) -> bool:
    """Erase what names people in one entry, and record that; False if nothing was left. The chain stays valid."""
    deleted, _ = AuditPersonal.objects.filter(entry_id=entry_id).delete()
    if deleted:
        collectivite_id = AuditEntry.objects.values_list("collectivite_id", flat=True).get(pk=entry_id)
        record(
            actor=actor,
            verb="audit:personal:erased",
            object_id=str(entry_id),
            collectivite_id=collectivite_id,
        )
    return bool(deleted)


def personal_of(entry: AuditEntry) -> dict[str, str]:
    """What names people in this entry; empty when there was nothing or it was erased."""
    row = AuditPersonal.objects.filter(entry=entry).first()
    return dict(json.loads(row.content)) if row else {}
