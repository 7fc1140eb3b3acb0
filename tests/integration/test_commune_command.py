"""`beffroi commune export` at the command line: who signs in, which folder, what it prints and what it leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from beffroi.cli import __main__ as program
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.lib.config import Config

from tests.conftest import PASSWORD, Commune, code_of
from tests.terminal import Types, terminal

__all__ = ["terminal"]
pytestmark = pytest.mark.django_db
Run = Callable[..., int]


@pytest.fixture
def run(terminal: Types, config: Config, new_administrator: NewAdministrator) -> Run:
    """``run(*words)``; the administrator types password and code."""

    def called(*words: str, password: str = PASSWORD) -> int:
        code = code_of(new_administrator)
        terminal(password, code)
        by = ["--by", new_administrator.record.email, "--reason", "Courrier du 12 novembre"]
        return program.main(["commune", "export", *words, *by, "--state", str(config.state)])

    return called


def test_each_verb_that_the_one_command_names_is_one_that_it_takes() -> None:
    text = (Path(__file__).parents[2] / "beffroi").read_text("utf-8")
    named = set(re.findall(r"^#   \./beffroi ([a-z]+)", text, re.MULTILINE))
    cases = text.partition("case $verb in")[2]
    taken = {
        word for line in re.findall(r"^  ([a-z| ]+)\)", cases, re.MULTILINE) for word in line.split(" | ")
    }
    assert {"commune", "person", "up"} <= named <= taken
    assert {one for one in named if one in program.VERBS} >= {"commune", "mail"}


def test_it_writes_a_whole_export_and_says_what_to_do_with_it(
    run: Run, beaune: Commune, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "disque"
    assert run(beaune.collectivite.name, str(path)) == 0
    said = capsys.readouterr().out
    assert "about 0.00 GB" in said and "are free there" in said
    assert "The export is whole" in said and "hand it over yourself" in said
    assert path.stat().st_mode & 0o777 == 0o700 and (path / "manifest-sha256.txt").exists()
    assert json.loads((path / "export.json").read_text())["collectivite"]["identifiant"] == beaune.id
    entry = AuditEntry.objects.get(verb="communes:export:begun")
    assert json.loads(entry.personal.content)["why"] == "Courrier du 12 novembre"


def test_nobody_exports_without_the_administrators_password(
    run: Run, beaune: Commune, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(beaune.id, str(tmp_path / "a"), password="false") == 1
    assert "password or code do not fit" in capsys.readouterr().err
    assert run("Nulle-Part", str(tmp_path / "b")) == 1
    assert run(beaune.id, str(tmp_path / "no" / "where")) == 1
    assert str(tmp_path / "no" / "where") in capsys.readouterr().err
    assert not CommuneExport.objects.exists()
    assert not any(one.is_file() for one in tmp_path.rglob("*"))


def test_a_folder_that_the_centres_user_cannot_write_to_is_refused_before_anything(
    run: Run,
    beaune: Commune,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("beffroi.cli.communes.os.access", lambda *_: False)
    assert run(beaune.id, str(tmp_path / "a")) == 1
    assert "cannot write in" in capsys.readouterr().err
    assert not CommuneExport.objects.exists()
