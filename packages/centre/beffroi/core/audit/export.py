"""Write the audit log to a file that verifies by itself (``exported``).

Process: a person's, at the command line.
Fails:   closed: a chain that does not hold is not exported as if it did; what was written has no signed end.
"""

from __future__ import annotations

from typing import TextIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from beffroi.core.audit import chain, exported, queries, signing
from beffroi.core.audit.actions import ChainBroken
from beffroi.core.audit.models import AuditCheckpoint, AuditSeal
from beffroi.lib import clock


def write(out: TextIO, key: Ed25519PrivateKey, *, until: int | None = None) -> signing.Statement:
    """All entries that are kept and sealed, or up to position ``until``; return the signed end. Errors: ChainBroken."""
    found = queries.verify(full=True)
    if not found.ok:
        raise ChainBroken(found.first_bad)
    last = found.start + found.checked if until is None else until
    marks = {one.position: _signed(one) for one in AuditCheckpoint.objects.filter(position__lte=last)}
    position, head, count = found.pruned, chain.GENESIS, 0
    base = marks.get(position)
    if base is not None:
        head = base[0].hash
    mark = exported.signed_fields(*base) if base else None
    out.write(exported.first_line(signing.trusted_keys(settings.BEFFROI), position, head, mark))
    kept = AuditSeal.objects.filter(position__gt=position, position__lte=last)
    for seal in kept.select_related("entry").order_by("position").iterator(chunk_size=2000):
        position, head, count = position + 1, chain.link(head, position + 1, seal.entry), count + 1
        if (seal.position, seal.hash) != (position, head):
            raise ChainBroken(position)
        out.write(exported.entry_line(position, head, seal.entry))
        if position in marks:
            out.write(exported.signed_line("c", *marks[position]))
    said = signing.Statement("export", position, head, count, chain.microseconds(clock.now()))
    out.write(exported.signed_line("end", said, signing.sign(key, said)))
    return said


def _signed(one: AuditCheckpoint) -> tuple[signing.Statement, str]:
    return queries.statement_of(one), one.signature
