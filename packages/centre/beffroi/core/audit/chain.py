"""The hash chain of the audit log. Pure.

hash(n) = SHA-256( canonical JSON of [version, hash(n-1), n, id, at, actor kind, actor id, verb, object,
collectivité, details, personal commitment] ). Times are integer microseconds, so that no database rounds them.

| field | why it is in |
|---|---|
| version | a later form of the chain is told from this one |
| hash(n-1), n | order, and no entry left out |
| personal commitment | SHA-256(salt, content): binds the erasable side; its salt is erased with it |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

VERSION = 1
GENESIS = "0" * 64


class Entry(Protocol):
    """What of an entry is hashed."""

    id: int
    at: datetime
    actor_kind: str
    actor_id: str
    verb: str
    object_id: str
    collectivite_id: str | None
    details: str
    personal_digest: str


def canonical(value: Mapping[str, object] | list[object]) -> str:
    """JSON with sorted keys and no spaces: one spelling for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return round(at.timestamp() * 1_000_000)


def commitment(salt: str, content: str) -> str:
    return hashlib.sha256(f"{salt}\n{content}".encode()).hexdigest()


def fields_of(entry: Entry) -> list[object]:
    """What of an entry is hashed, in its order."""
    return [
        entry.id,
        microseconds(entry.at),
        entry.actor_kind,
        entry.actor_id,
        entry.verb,
        entry.object_id,
        entry.collectivite_id,
        entry.details,
        entry.personal_digest,
    ]


def link(previous: str, position: int, entry: Entry) -> str:
    """Return the hash of ``entry`` at ``position`` after ``previous`` (64 hex digits)."""
    return link_fields(previous, position, fields_of(entry))


def link_fields(previous: str, position: int, fields: Sequence[object]) -> str:
    """As ``link``, of an entry's ``fields_of``."""
    return hashlib.sha256(canonical([VERSION, previous, position, *fields]).encode()).hexdigest()
