"""How what is done over some time, with one mailbox or with all of a collectivité, is written down."""

from __future__ import annotations

from typing import Any

from beffroi.core.audit import actions as audit
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock


def change(row: Any, **values: Any) -> None:
    """Write some columns and when."""
    for name, value in (values | {"changed_at": clock.now()}).items():
        setattr(row, name, value)
    row.save(update_fields=[*values, "changed_at"])


def record(actor: Actor, verb: str, row: Any, **details: Any) -> None:
    """One audit row about what is done with a mailbox: an export, an erasure, a restore."""
    audit.record_of(actor, verb, row, {"mailbox_id": row.mailbox_id, **details})
