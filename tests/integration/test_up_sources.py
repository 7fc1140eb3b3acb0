"""`./beffroi sources`: what is set up, and a file for one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.cli import sources as command
from beffroi.cli.entering import FileUnusable, open_file
from beffroi.core.audit.models import AuditEntry, AuditPersonal
from beffroi.core.decisions.models import IndicatorList
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.watch.sources import store, updates

from tests.publishing import fetched, new_source

pytest_plugins = ["tests.fixtures_sources"]
pytestmark = pytest.mark.usefixtures("database")


def test_show_says_when_nothing_is_fetched_and_what_each_source_brought(
    sources_state: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]],
) -> None:
    command.show(as_json=False)
    assert "nothing is fetched" in capsys.readouterr().out
    source = new_source(name="Noms", start=False)
    path = tmp_path / "names.txt"
    path.write_text("lure.example.net\nb.example.net\n")

    def give(name: str) -> None:
        with open_file(path) as file, django_capture_on_commit_callbacks(execute=True):
            command.import_(name, file, account="ada")

    with pytest.raises(Conflict):
        give("Noms")
    with pytest.raises(NotFound):
        give("Autres")
    with pytest.raises(FileUnusable):
        open_file(tmp_path / "absent")
    type(source).objects.filter(pk=source.pk).update(active=True)
    give("Noms")
    assert "handed over" in capsys.readouterr().out
    fetched(sources_state)
    updates.take_all()
    command.show(as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["state"], one["in_force"], one["held"]) for one in told] == [
        ("Noms", "given", 2, [])
    ]
    command.show(as_json=False)
    assert "Noms" in capsys.readouterr().out
    entry = AuditEntry.objects.get(verb="source:file_given")
    assert "ada" in str(AuditPersonal.objects.get(entry_id=entry.id).content)


def test_a_trial_is_told_and_ended_by_command(
    sources_state: Path, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BEFFROI = replace(settings.BEFFROI, list_trial_s=2700)
    source = new_source(name="Noms")
    store.write(
        store.entries_file(sources_state, source.id), {"domain\tlure.example.net": (clock.epoch_s(), 0)}
    )
    updates.refresh(source)
    command.show(as_json=True)
    (told,) = json.loads(capsys.readouterr().out)
    assert told["state"] == "tried"
    assert [(one["kind"], one["state"], one["count"]) for one in told["trials"]] == [
        ("domain", "observing", 1)
    ]
    command.show(as_json=False)
    assert "on trial: 1 of kind domain, observing" in capsys.readouterr().out
    with pytest.raises(NotFound):
        command.trial("Autres", "domain", enforce=True, why="vérifiée", account="ada")
    with pytest.raises(Invalid):
        command.trial("Noms", "domain", enforce=True, why="", account="ada")
    command.trial("Noms", "domain", enforce=True, why="vérifiée", account="ada")
    assert updates.move_trials() == 1
    assert list(IndicatorList.objects.values_list("name", "action")) == [("source-noms-domain", "block")]
    entry = AuditEntry.objects.get(verb="source:trial_enforced")
    assert "ada" in str(AuditPersonal.objects.get(entry_id=entry.id).content)
