"""An entry of the audit log before the change that it tells of, and a second one where that change fails.

Rule:    as ``on_record`` says it; the second entry is FAILED, with the verb and the error's code.
Process: web.
Source:  docs/decisions/0110-what-was-told-and-not-done.md
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.identity.actor import Actor
from beffroi.drive import on_record

FAILED = "drive:change:failed"


def before(
    actor: Actor,
    verb: str,
    object_id: str,
    *,
    collectivite_id: str | None,
    details: Mapping[str, str | int] | None = None,
) -> AbstractContextManager[None]:
    """Around the change. ``details``: identifiers, codes and counts. Errors: those of the block."""

    def tell(verb: str, details: Mapping[str, str | int] | None) -> None:
        record(actor, verb, object_id, collectivite_id=collectivite_id, details=details)

    return on_record.before(
        lambda: tell(verb, details), lambda code: tell(FAILED, {"verb": verb, "code": code})
    )


def record(
    actor: Actor,
    verb: str,
    object_id: str,
    *,
    collectivite_id: str | None,
    details: Mapping[str, str | int] | None = None,
) -> None:
    """On disk when it returns."""
    with transaction.atomic(durable=True):
        audit.record(actor, verb, object_id, collectivite_id=collectivite_id, details=details)
