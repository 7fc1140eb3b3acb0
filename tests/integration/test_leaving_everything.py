"""A collectivité with a row in every table that is erased, beside one that has the same; with real commits."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.leaving import erasing, rows
from beffroi.lib import clock
from beffroi.mail.importing.models import ImportFolder, ImportJob
from beffroi.mail.models import MailMessage, MailRecipient
from django.db import models

from tests.conftest import Commune
from tests.drive_place import Place
from tests.fixtures_erasure import other, place, state
from tests.fixtures_leaving import box, carry_out, granted, leave, leaving_state, planned, two
from tests.fixtures_portal import no_door

__all__ = ["leaving_state", "no_door", "other", "place", "state", "two"]
pytestmark = pytest.mark.usefixtures("committed", "leaving_state")
_number = count(1)


def row(model: type[models.Model], known: dict[str, str]) -> models.Model:
    """One that says nothing, of what ``known`` names by the names of columns."""
    values: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if field.attname in known:
            values[field.attname] = known[field.attname]
        elif isinstance(field, models.AutoField) or field.has_default() or field.null:
            continue
        elif isinstance(field, models.ForeignKey):
            values[field.name] = row(field.related_model, known)
        elif isinstance(field, models.DateTimeField):
            values[field.attname] = clock.now()
        elif isinstance(field, models.DateField):
            values[field.attname] = clock.now().date()
        elif isinstance(field, models.IntegerField | models.FloatField):
            values[field.attname] = next(_number)
        elif isinstance(field, models.BinaryField):
            values[field.attname] = b""
        elif isinstance(field, models.TextField | models.JSONField):
            values[field.attname] = "{}"
        elif isinstance(field, models.BooleanField):
            values[field.attname] = False
        elif isinstance(field, models.CharField):
            values[field.attname] = f"x{next(_number)}"[: field.max_length]
        elif isinstance(field, models.GenericIPAddressField):
            values[field.attname] = "192.0.2.1"
    return model._default_manager.create(**values)


def plant(commune: Commune) -> None:
    """A row in each table that has none yet."""
    mailbox = box(commune, "agent", commune.agent.id)
    known = {
        "collectivite_id": commune.id,
        "mailbox_id": mailbox.id,
        "person_id": commune.agent.id,
        "membership_id": commune.agent_membership.id,
        "domain_id": Domain.objects.get(collectivite_id=commune.id).id,
    }
    for _table, found in rows.left(commune.id):
        if not found.exists() and found.model not in (MailRecipient, MailMessage):
            row(found.model, known)
    # What hangs on another row goes with it, and is no row of its own in the certificate.
    row(ImportFolder, known | {"job_id": row(ImportJob, known | {"mailbox_id": "mbx_gone"}).pk})


def counts(owner: str) -> dict[str, int]:
    return {table: found.count() for table, found in rows.left(owner)}


def test_of_every_table_nothing_is_left_the_counts_are_true_and_the_neighbour_has_all(
    place: Place,
    beaune: Commune,
    nuits: Commune,
    two: tuple[Actor, Actor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place.put("Budget.txt", b"secret")
    plant(beaune), plant(nuits)
    before = counts(nuits.id)
    assert all(number for table, number in before.items() if table not in ("mail_recipient", "mail_message"))
    leave(planned(beaune))
    erasure = granted(beaune, *two)
    met = dict[str, int]()
    stage = erasing._STAGES[erasing._Stage.ROWS]

    def counted(one: Any) -> Any:
        if not met:
            met.update(counts(beaune.id))
        return stage(one)

    monkeypatch.setitem(erasing._STAGES, erasing._Stage.ROWS, counted)
    assert carry_out(erasure).state == "done"
    removed = {table: number for table, number in erasing.removed(erasure)["rows"].items() if number}
    assert removed == {table: number for table, number in met.items() if number}
    assert len(removed) > len(rows.ERASED) - 15, "most tables had something by then"
    assert not any(counts(beaune.id).values())
    assert counts(nuits.id) == before
