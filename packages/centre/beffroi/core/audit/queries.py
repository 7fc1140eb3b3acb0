"""Read the audit log, and check its chain."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from django.conf import settings
from django.db.models import Count, Max, QuerySet
from django.db.models.functions import TruncDate

from beffroi.core.audit import chain, heads, signing
from beffroi.core.audit.heads import Head
from beffroi.core.audit.models import AuditCheckpoint, AuditEntry, AuditPersonal, AuditSeal
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock

PRUNED = "audit:log:pruned"


@dataclass(frozen=True)
class Report:
    """``count``: sealed entries that are kept; ``checked``: how many of them were recomputed, after position ``start``
    (a signed checkpoint, or 0). ``pruned``: up to where entries were taken away on purpose. ``first_bad``: position of
    the first link that does not fit, or None. ``unsealed``: entries not chained yet. ``witnesses``: how many heads that
    backups noted it passes through."""

    ok: bool
    count: int
    head: str
    first_bad: int | None
    unsealed: int = 0
    checked: int = 0
    start: int = 0
    pruned: int = 0
    witnesses: int = 0


@dataclass(frozen=True)
class _Start:
    position: int = 0
    hash: str = chain.GENESIS
    entry_id: int = 0


def head() -> str:
    """Hash of the last sealed entry; doors keep it as witnesses."""
    return sealed_head()[1]


def sealed_head() -> tuple[int, str]:
    """(position, hash) of the last sealed entry; (0, GENESIS) before the first."""
    last = AuditSeal.objects.order_by("-position").values_list("position", "hash").first()
    return last or (0, chain.GENESIS)


def pruned_to() -> int:
    """The position before the first entry that is kept; 0 when all are."""
    first = AuditSeal.objects.order_by("position").values_list("position", flat=True).first()
    return first - 1 if first else 0


def last_checkpoint() -> AuditCheckpoint | None:
    return AuditCheckpoint.objects.order_by("-position").first()


def checkpoints_of_before(moment: datetime) -> QuerySet[AuditCheckpoint]:
    """Those over entries that are kept and of before ``moment``, all of them.

    A checkpoint that a clock signed which was behind stands over entries of later days: its own time says nothing. An
    entry of the future is one of a clock that was ahead, and keeps nothing back.
    """
    marks = AuditCheckpoint.objects.filter(at__lt=moment, position__gt=pruned_to())
    younger = AuditSeal.objects.filter(entry__at__gte=moment, entry__at__lte=clock.now()).order_by("position")
    first = younger.values_list("position", flat=True).first()
    return marks.filter(position__lt=first) if first is not None else marks


def last_of(*, verb: str, object_ids: Collection[str], collectivite_id: str | None) -> dict[str, datetime]:
    """Object -> when this was last on record of it; those of which nothing is are left out."""
    found = AuditEntry.objects.filter(
        object_id__in=list(object_ids), verb=verb, collectivite_id=collectivite_id
    )
    return dict(found.values_list("object_id").annotate(last=Max("at")))


def verify(*, full: bool = False, expected_head: str = "") -> Report:
    """Recompute the chain and the commitments of what was not erased, from the last checkpoint.

    ``full``: from the first entry that is kept, with every checkpoint on the way.
    ``expected_head``: a head that a witness kept; the chain must pass through it, else it was cut or rewritten. So must
    it through those that backups noted.
    """
    keys = signing.trusted_keys(settings.BEFFROI)
    last = last_checkpoint()
    if expected_head and not full:
        late = AuditSeal.objects.filter(hash=expected_head, position__gt=last.position if last else 0)
        full = not late.exists()
    pruned = pruned_to()
    checkpoints = list(AuditCheckpoint.objects.order_by("position")) if full or pruned else []
    bad = _first_false_checkpoint(checkpoints, keys)
    if bad is None and pruned:
        bad = _unexplained_start(pruned, keys)
    start, false_start = _start(last, pruned, full=full, keys=keys)
    previous, checked, first = start.hash, 0, bad if bad is not None else false_start
    marks = {one.position: one.hash for one in checkpoints}
    seen = expected_head in ("", chain.GENESIS, *marks.values())
    rows = AuditSeal.objects.select_related("entry").filter(position__gt=start.position).order_by("position")
    for seal in rows.iterator(chunk_size=2000):
        checked += 1
        position = start.position + checked
        good = seal.position == position and seal.hash == chain.link(previous, position, seal.entry)
        good = good and marks.get(position, seal.hash) == seal.hash
        if not good and first is None:
            first = position
        previous = seal.hash
        seen = seen or previous == expected_head
    if first is None:
        first = _first_false_commitment(start) or _first_slipped_in(start)
    if first is None and (not seen or (marks and max(marks) > start.position + checked)):
        first = start.position + checked
    noted = [one for one in heads.read(settings.BEFFROI) if one.position > pruned]
    if first is None:
        first = _first_contradicted(noted)
    unsealed = AuditEntry.objects.filter(id__gt=_last_entry_id()).count()
    count = start.position + checked - pruned
    return Report(
        first is None, count, previous, first, unsealed, checked, start.position, pruned, len(noted)
    )


def statement_of(one: AuditCheckpoint) -> signing.Statement:
    return signing.Statement("checkpoint", one.position, one.hash, one.count, chain.microseconds(one.at))


def _start(
    last: AuditCheckpoint | None, pruned: int, *, full: bool, keys: Sequence[bytes]
) -> tuple[_Start, int | None]:
    """Where to begin, and the position that is wrong there."""
    if full or last is None:
        base = AuditCheckpoint.objects.filter(position=pruned).first() if pruned else None
        return (_Start(base.position, base.hash) if base else _Start(pruned)), None
    seal = AuditSeal.objects.filter(position=last.position).first()
    held = last.position == pruned or (seal is not None and seal.hash == last.hash)
    signed = signing.signed_by(keys, statement_of(last), last.signature) is not None
    start = _Start(last.position, last.hash, seal.entry_id if seal else 0)
    return start, None if held and signed else last.position


def _first_false_checkpoint(checkpoints: Sequence[AuditCheckpoint], keys: Sequence[bytes]) -> int | None:
    """Position of the first one that is not signed, or that does not follow the one before."""
    before = 0
    for one in checkpoints:
        if one.position - one.count != before:
            return one.position
        if signing.signed_by(keys, statement_of(one), one.signature) is None:
            return one.position
        before = one.position
    return None


def _unexplained_start(pruned: int, keys: Sequence[bytes]) -> int | None:
    """1, unless a checkpoint stands before the first kept entry and a signed entry says that this was a prune."""
    base = AuditCheckpoint.objects.filter(position=pruned).first()
    for entry in AuditEntry.objects.filter(verb=PRUNED, object_id=str(pruned)) if base else ():
        told = json.loads(entry.details)
        if base is not None and told.get("hash") == base.hash:
            said = signing.Statement("prune", pruned, base.hash, int(told["count"]), int(told["at_us"]))
            if signing.signed_by(keys, said, str(told.get("signature"))) is not None:
                return None
    return 1


def _first_contradicted(noted: Sequence[Head]) -> int | None:
    """Position of the first head that a backup noted and that is another one now, or none."""
    hashes = dict(
        AuditSeal.objects.filter(position__in=[one.position for one in noted]).values_list("position", "hash")
    )
    return min((one.position for one in noted if hashes.get(one.position) != one.hash), default=None)


def _last_entry_id() -> int:
    return AuditSeal.objects.order_by("-position").values_list("entry_id", flat=True).first() or 0


def _first_false_commitment(start: _Start) -> int | None:
    rows = AuditPersonal.objects.select_related("entry__seal").filter(
        entry__seal__position__gt=start.position
    )
    for row in rows.order_by("entry__seal__position").iterator(chunk_size=2000):
        if chain.commitment(row.salt, row.content) != row.entry.personal_digest:
            return row.entry.seal.position
    return None


def _first_slipped_in(start: _Start) -> int | None:
    """Position of the link before which stands an entry that was never sealed: nobody writes there."""
    among = AuditEntry.objects.filter(seal=None, id__gt=start.entry_id, id__lt=_last_entry_id())
    stranger = among.order_by("id").first()
    if stranger is None:
        return None
    seals = AuditSeal.objects.filter(entry_id__gt=stranger.id).order_by("position")
    return seals.values_list("position", flat=True).first()


def may_read(actor: Actor) -> bool:
    """The Département reads all of it; a référent or DPO what concerns their collectivité."""
    if actor.sees_all:
        return True
    return actor.kind == "person" and actor.role in ("referent", "dpo") and bool(actor.collectivite_id)


def visible_entries(actor: Actor) -> QuerySet[AuditEntry]:
    """Entries that the actor may read, newest first: all for the Département, its own for a référent or DPO."""
    rows = AuditEntry.objects.select_related("seal", "personal").order_by("-id")
    return actor.visible(rows) if may_read(actor) else rows.none()


def counts_by_day(verb: str, *, since: date) -> dict[date, int]:
    """How often something was done in the whole département, by day (UTC)."""
    start = datetime.combine(since, time(), UTC)
    rows = AuditEntry.objects.filter(verb=verb, at__gte=start).annotate(day=TruncDate("at", tzinfo=UTC))
    return dict(rows.values_list("day").annotate(n=Count("id")).order_by())
