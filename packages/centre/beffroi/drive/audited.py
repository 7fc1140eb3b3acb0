"""An entry of the audit log before the change that it tells of, and a second one where that change fails.

Rule:    the drive's metadata are another database, and no transaction spans both. So the entry comes first: nothing is
         done that it does not know. What the change then refuses, for somebody else was quicker, or fails at, is told
         by FAILED: but after a crash, no entry stands alone that tells of what was not done, or not to its end.
Process: web.
Source:  docs/decisions/0110-what-was-told-and-not-done.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError

FAILED = "drive:change:failed"


@contextmanager
def before(
    actor: Actor,
    verb: str,
    *,
    object_id: str,
    collectivite_id: str | None,
    details: Mapping[str, str | int] | None = None,
) -> Iterator[None]:
    """Around the change. ``details``: identifiers, codes and counts. Errors: those of the block."""
    record(actor, verb, object_id=object_id, collectivite_id=collectivite_id, details=details)
    try:
        yield
    except BeffroiError as error:
        record(
            actor,
            FAILED,
            object_id=object_id,
            collectivite_id=collectivite_id,
            details={"verb": verb, "code": error.code},
        )
        raise


def record(
    actor: Actor,
    verb: str,
    *,
    object_id: str,
    collectivite_id: str | None,
    details: Mapping[str, str | int] | None = None,
) -> None:
    """On disk when it returns."""
    with transaction.atomic(durable=True):
        audit.record(
            actor=actor, verb=verb, object_id=object_id, collectivite_id=collectivite_id, details=details
        )
