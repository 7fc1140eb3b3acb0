"""`./beffroi sources`: what is set up, and a file for one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from beffroi.cli import sources as command
from beffroi.cli.person import FileUnusable, open_file
from beffroi.core.audit.models import AuditEntry, AuditPersonal
from beffroi.lib.errors import Conflict, NotFound
from beffroi.watch.sources import updates

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
