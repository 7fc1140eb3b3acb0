"""Read the audit log, and check its chain."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from beffroi.core.audit import chain
from beffroi.core.audit.models import AuditEntry, AuditPersonal, AuditSeal
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotFound


@dataclass(frozen=True)
class Report:
    """``first_bad``: position of the first link that does not fit, or None. ``unsealed``: entries not chained yet."""

    ok: bool
    count: int
    head: str
    first_bad: int | None
    unsealed: int = 0


def head() -> str:
    """Hash of the last sealed entry; doors keep it as witnesses."""
    last = AuditSeal.objects.order_by("-position").values_list("hash", flat=True).first()
    return last or chain.GENESIS


def pending() -> bool:
    """Whether entries wait for their seal."""
    last = AuditSeal.objects.order_by("-position").values_list("entry_id", flat=True).first() or 0
    return AuditEntry.objects.filter(id__gt=last).exists()


def verify(*, expected_head: str = "") -> Report:
    """Recompute the whole chain and the commitments of what was not erased.

    ``expected_head``: a head that a witness kept; the chain must pass through it, else it was cut or rewritten.
    """
    previous, count, bad = chain.GENESIS, 0, None
    seen = expected_head in ("", chain.GENESIS)
    for seal in AuditSeal.objects.select_related("entry").order_by("position").iterator(chunk_size=2000):
        count += 1
        good = seal.position == count and seal.hash == chain.link(previous, count, seal.entry)
        if not good and bad is None:
            bad = count
        previous = seal.hash
        seen = seen or previous == expected_head
    if bad is None:
        bad = _first_false_commitment() or _first_slipped_in()
    if bad is None and not seen:
        bad = count
    unsealed = AuditEntry.objects.filter(seal=None).count()
    return Report(bad is None, count, previous, bad, unsealed)


def _first_false_commitment() -> int | None:
    rows = AuditPersonal.objects.select_related("entry__seal").filter(entry__seal__isnull=False)
    for row in rows.order_by("entry__seal__position").iterator(chunk_size=2000):
        if chain.commitment(row.salt, row.content) != row.entry.personal_digest:
            return row.entry.seal.position
    return None


def _first_slipped_in() -> int | None:
    """Position of the link before which stands an entry that was never sealed: nobody writes there."""
    last = AuditSeal.objects.order_by("-position").values_list("entry_id", flat=True).first() or 0
    stranger = AuditEntry.objects.filter(seal=None, id__lt=last).order_by("id").first()
    if stranger is None:
        return None
    seals = AuditSeal.objects.filter(entry_id__gt=stranger.id).order_by("position")
    return seals.values_list("position", flat=True).first()


def visible_entries(actor: Actor) -> QuerySet[AuditEntry]:
    """Entries that the actor may read, newest first: all for the Département, its own for a référent or DPO."""
    rows = AuditEntry.objects.select_related("seal", "personal").order_by("-id")
    if actor.sees_all:
        return rows
    if actor.kind == "person" and actor.role in ("referent", "dpo") and actor.collectivite_id:
        return rows.filter(collectivite_id=actor.collectivite_id)
    return rows.none()


def access_entry(actor: Actor, entry_id: int) -> AuditEntry:
    """Errors: NotFound, for absent and forbidden alike."""
    entry = visible_entries(actor).filter(pk=entry_id).first()
    if entry is None:
        raise NotFound("audit entry")
    return entry
