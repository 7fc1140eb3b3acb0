"""`./beffroi lists`: a public list into force and out of it, from files as their publishers write them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from beffroi.cli import lists as command
from beffroi.cli.decision import CommuneUnclear
from beffroi.cli.entering import FileUnusable
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import lists
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.planes import files
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, NotFound

from tests.conftest import Commune


def import_(path: Path, *arguments: str, name: str = "urlhaus", kind: str = "domain") -> int:
    parsed = command._parser().parse_args(
        ["import", name, str(path), "--kind", kind, "--source", "abuse.ch", "--licence", "CC0", *arguments]
    )
    with command._open(path) as file:
        return command.import_(parsed, file, account="ada")


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("a.txt", "# comment\n\na.lure.fr\n  b.lure.fr  \r\n; note\n", ["a.lure.fr", "b.lure.fr"]),
        ("drop.txt", "45.155.204.0/24 ; SBL1234\n", ["45.155.204.0/24"]),
        ("links.txt", "https://x.example.org/a,b?c=1,2\n", ["https://x.example.org/a,b?c=1,2"]),
        ("t.csv", '# id\n"a.lure.fr","2026-11-24",x\nb.lure.fr,\n', ["a.lure.fr", "b.lure.fr"]),
        ("T.CSV", '"https://x.example.org/a,b",1\n', ["https://x.example.org/a,b"]),
    ],
)
def test_files_are_read_as_their_publishers_write_them(
    tmp_path: Path, name: str, text: str, values: list[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    with command._open(path) as file:
        assert list(command.read(file, as_csv=path.suffix.lower() == ".csv")) == values


@pytest.mark.usefixtures("database")
def test_import_show_replace_and_withdraw(
    tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "names.txt"
    path.write_text("# names\nlure.example.net\nnot a name\nimpots.gouv.fr\nLURE.example.net\n")
    assert import_(path, "--days", "7") == 0
    assert capsys.readouterr().out == (
        "The list urlhaus is in force: 1 values kept, 1 invalid, 1 protected and left out.\n"
    )
    assert command.show(as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["count"], one["file"], one["licence"]) for one in told] == [
        ("urlhaus", 1, True, "CC0")
    ]
    path.write_bytes(b"b.lure.fr\nc.lure.fr\n")
    assert import_(path) == 0
    row = IndicatorList.objects.get()
    assert (row.count, row.expires_at) == (2, None)
    files.list_file(config.state, row.sha256).unlink()
    command.show(as_json=False)
    shown = capsys.readouterr().out
    assert "ITS FILE IS LOST" in shown
    assert "abuse.ch (CC0)" in shown
    assert command.withdraw("urlhaus", account="ada") == 0
    assert not IndicatorList.objects.exists()
    with pytest.raises(NotFound):
        command.withdraw("urlhaus", account="ada")
    verbs = AuditEntry.objects.order_by("id").values_list("verb", flat=True)
    assert [verb for verb in verbs if verb.startswith("list:")] == [
        "list:published",
        "list:published",
        "list:withdrawn",
    ]


def test_a_list_for_one_commune_says_whose_it_is_and_a_name_of_nobody_is_refused(
    tmp_path: Path, beaune: Commune, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "names.txt"
    path.write_text("lure.example.net\n")
    with pytest.raises(CommuneUnclear):
        import_(path, "--commune", "Atlantis")
    assert not IndicatorList.objects.exists()
    assert import_(path, "--commune", beaune.collectivite.name) == 0
    assert "in force for Beaune: 1 values kept" in capsys.readouterr().out
    assert IndicatorList.objects.get().scope == beaune.id
    command.show(as_json=False)
    assert "Beaune alone" in capsys.readouterr().out
    assert import_(path) == 0
    command.show(as_json=False)
    assert "alone" not in capsys.readouterr().out, "replaced by one for all"


@pytest.mark.usefixtures("database")
def test_hostile_files_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "values.csv"
    for data in (b"", b"\x00\xff\xfe" * 1000, b"# only comments\n", b"x" * 300_000, b'"' * 200_001):
        path.write_bytes(data)
        with pytest.raises((lists.ListEmpty, FileUnusable)):
            import_(path)
    path.write_text("a.lure.fr\n")
    with pytest.raises(Invalid):
        import_(path, name="../../etc/passwd")
    with pytest.raises(Invalid, match=r"life: 0 to [0-9]+ days"):
        import_(path, "--days", "-1")
    assert not IndicatorList.objects.exists()


def test_a_file_that_is_not_there_and_a_centre_that_is_not_there_end_with_one_sentence(
    tmp_path: Path,
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = (sys.executable, "-P", "-m", "beffroi.cli", "lists", *arguments, "--state", str(tmp_path))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("BEFFROI", "DJANGO"))}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)

    (tmp_path / "beffroi.toml").touch()
    done = run("import", "a", str(tmp_path / "no.txt"), "--kind", "ip", "--source", "s", "--licence", "l")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "no.txt" in done.stderr
    (tmp_path / "beffroi.toml").unlink()
    done = run("show")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "holds no centre yet. Next: name another directory" in done.stderr
    assert not (tmp_path / "db").exists()
