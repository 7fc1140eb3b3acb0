"""Write to the audit log, seal and sign its hash chain, erase the personal side of an entry, take old entries away.

Process: ``record`` anywhere, inside the transaction of the change; ``seal`` and ``checkpoint`` in worker only;
         ``prune`` by a person at the command line, or by a term (``pruning``).
Fails:   closed; if the entry cannot be written, the change is rolled back with it. A chain that does not hold is
         neither signed nor pruned.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction

from beffroi.core.audit import chain, exported, queries, signing
from beffroi.core.audit.models import AuditCheckpoint, AuditEntry, AuditPersonal, AuditSeal
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict

log = logging.getLogger("beffroi.audit")
_SEAL_BATCH = 1000
CHECKPOINT_ENTRIES = 1000
CHECKPOINT_EVERY = timedelta(hours=1)


class ChainBroken(Conflict):
    """The audit log does not hold at entry {}, so nothing was signed or taken away."""

    code = "audit.chain_broken"


class Owned(Protocol):
    """A row that names its collectivité."""

    pk: Any

    @property
    def collectivite_id(self) -> str | None: ...


@dataclass(frozen=True)
class Prunable:
    """Entries up to ``position``, the last checkpoint that was signed before the date; ``count``: how many."""

    position: int
    hash: str
    count: int
    signed_at: datetime


def record(
    actor: Actor,
    verb: str,
    object_id: str,
    *,
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


def record_of(
    actor: Actor,
    verb: str,
    row: Owned,
    details: Mapping[str, str | int] | None = None,
    *,
    personal: Mapping[str, str] | None = None,
) -> int:
    """As ``record``, about a row, in the log of the collectivité whose it is."""
    return record(
        actor, verb, row.pk, collectivite_id=row.collectivite_id, details=details, personal=personal
    )


def seal() -> int:
    """Chain every entry that is not sealed yet, in order of id, and say each in the log; return how many. One process
    only: worker.

    A second sealer cannot fork the chain: positions are a primary key, so its transaction fails as a whole.
    """
    total = 0
    while some := _seal_batch():
        total += some
    return total


def _seal_batch() -> int:
    """Read and hashed before the transaction, which on SQLite locks all writers out."""
    last = AuditSeal.objects.order_by("-position").first()
    position, head, entry_id = (last.position, last.hash, last.entry_id) if last else (0, chain.GENESIS, 0)
    rows = []
    for entry in AuditEntry.objects.filter(id__gt=entry_id).order_by("id")[:_SEAL_BATCH]:
        position += 1
        head = chain.link(head, position, entry)
        rows.append(AuditSeal(position=position, entry=entry, hash=head, sealed_at=clock.now()))
        # Before the commit: a crash says it twice, in the same words, rather than never.
        log.info("%s", exported.entry_line(position, head, entry).rstrip())
    if rows:  # the usual answer is no
        with transaction.atomic():
            AuditSeal.objects.bulk_create(rows)
    return len(rows)


def checkpoint_due() -> bool:
    """After ``CHECKPOINT_ENTRIES`` new entries, or an hour with at least one."""
    last = queries.last_checkpoint()
    seal = AuditSeal.objects.order_by("-position").first()
    if seal is None or (last is not None and seal.position == last.position):
        return False
    if last is None or seal.position - last.position >= CHECKPOINT_ENTRIES:
        return True
    return not timedelta(0) <= clock.now() - last.at < CHECKPOINT_EVERY


def checkpoint(key: Ed25519PrivateKey) -> AuditCheckpoint | None:
    """Verify what was sealed since the last checkpoint and sign it; None if that is nothing. One process: worker.

    Errors: ChainBroken.
    """
    found = queries.verify()
    if not found.ok:
        raise ChainBroken(found.first_bad)
    if not found.checked:
        return None
    position, at = found.start + found.checked, clock.now()
    said = signing.Statement("checkpoint", position, found.head, found.checked, chain.microseconds(at))
    return AuditCheckpoint.objects.create(
        position=position, hash=found.head, count=found.checked, at=at, signature=signing.sign(key, said)
    )


def prunable(before: datetime, *, at_most: int | None = None) -> Prunable | None:
    """What ``prune`` would take away; None if nothing. Reads the whole chain. ``at_most``: entries, but one stretch at
    least. Errors: ChainBroken."""
    found = queries.verify(full=True)
    if not found.ok:
        raise ChainBroken(found.first_bad)
    # One link at least stays, for the next to hold on to.
    older = queries.checkpoints_of_before(before).filter(position__lt=found.start + found.checked)
    mark = older.order_by("-position").first()
    if mark is not None and at_most is not None and mark.position - found.pruned > at_most:
        few = older.filter(position__lte=found.pruned + at_most).order_by("-position").first()
        mark = few or older.order_by("position").first()
    return Prunable(mark.position, mark.hash, mark.position - found.pruned, mark.at) if mark else None


@transaction.atomic
def prune(*, actor: Actor, account: str, what: Prunable, key: Ed25519PrivateKey) -> None:
    """Take away what ``prunable`` found, with its personal side, and record that, signed, with who did it.

    The checkpoints stay: the chain is verifiable from the one at ``what.position``. ``account``: of the machine.
    """
    outbox.serialise()
    at_us = chain.microseconds(clock.now())
    said = signing.Statement("prune", what.position, what.hash, what.count, at_us)
    record(
        actor,
        queries.PRUNED,
        str(what.position),
        collectivite_id=None,
        details={
            "hash": what.hash,
            "count": what.count,
            "at_us": at_us,
            "signature": signing.sign(key, said),
        },
        personal={"account": account},
    )
    last_id = AuditSeal.objects.values_list("entry_id", flat=True).get(position=what.position)
    AuditSeal.objects.filter(position__lte=what.position).delete()
    AuditPersonal.objects.filter(entry_id__lte=last_id).delete()
    AuditEntry.objects.filter(id__lte=last_id).delete()


@transaction.atomic
def erase_personal(*, actor: Actor, entry_id: int) -> bool:
    """Erase what names people in one entry, and record that; False if nothing was left. The chain stays valid."""
    deleted, _ = AuditPersonal.objects.filter(entry_id=entry_id).delete()
    if deleted:
        collectivite_id = AuditEntry.objects.values_list("collectivite_id", flat=True).get(pk=entry_id)
        record(actor, "audit:personal:erased", str(entry_id), collectivite_id=collectivite_id)
    return bool(deleted)


def erase_personal_of(*, actor: Actor, verb: str, actor_id: str) -> int:
    """The same for all that one actor did of a kind, where that names themselves; return of how many entries."""
    named = AuditEntry.objects.filter(verb=verb, actor_id=actor_id, personal__isnull=False)
    return sum(erase_personal(actor=actor, entry_id=one) for one in named.values_list("id", flat=True))


def personal_of(entry: AuditEntry) -> dict[str, str]:
    """What names people in this entry; empty when there was nothing or it was erased."""
    row = AuditPersonal.objects.filter(entry=entry).first()
    return dict(json.loads(row.content)) if row else {}
