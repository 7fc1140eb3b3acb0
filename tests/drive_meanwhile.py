"""Two people act on one thing of the Coffre at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.drive import audited


def meanwhile(monkeypatch: pytest.MonkeyPatch, other: Callable[[], object]) -> None:
    """The other one is done after a decision was judged and put on record, before it is carried out."""
    record = audited.record

    def recorded(*given: Any, **more: Any) -> None:
        monkeypatch.setattr(audited, "record", record)
        record(*given, **more)
        other()

    monkeypatch.setattr(audited, "record", recorded)


def told() -> list[str]:
    """Verbs of the audit log about the drive in order; of what was told and not done "not VERB: CODE"."""
    rows = AuditEntry.objects.filter(verb__startswith="drive:").order_by("id")
    return [_told(one) for one in rows]


def _told(one: AuditEntry) -> str:
    if one.verb != audited.FAILED:
        return one.verb
    details = msgspec.json.decode(one.details)
    return f"not {details['verb']}: {details['code']}"
