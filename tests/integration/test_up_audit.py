"""`audit verify` on the database of this run."""

from __future__ import annotations

import json

import pytest
from beffroi.cli import audit as command
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.lib.config import Config
from django.db import transaction


@pytest.fixture
def three_entries(database: str, system: Actor) -> None:
    for number in range(3):
        with transaction.atomic():
            audit.record(actor=system, verb="tests:done", object_id=str(number), collectivite_id=None)
    audit.seal()


@pytest.mark.usefixtures("three_entries")
def test_a_whole_chain_is_told_with_its_head(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.report(config, expected_head="", as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["count"], found["first_bad"]) == (True, 3, None)
    assert command.report(config, expected_head=found["head"], as_json=False) == 0
    assert found["head"] in capsys.readouterr().out


@pytest.mark.usefixtures("three_entries")
def test_a_changed_entry_is_named_and_ends_with_status_one(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    second = AuditEntry.objects.order_by("id")[1]
    AuditEntry.objects.filter(pk=second.pk).update(verb="tests:hidden")
    assert command.report(config, expected_head="", as_json=False) == 1
    assert "broken at entry 2 of 3" in capsys.readouterr().out
    assert command.report(config, expected_head="", as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["first_bad"] == 2


@pytest.mark.usefixtures("three_entries")
def test_a_chain_that_lost_what_a_witness_kept_is_broken(config: Config) -> None:
    assert command.report(config, expected_head="f" * 64, as_json=True) == 1
