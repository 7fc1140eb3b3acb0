"""`audit verify`, `export` and `prune` on the database of this run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beffroi.cli import audit as command
from beffroi.cli.entering import FileUnusable
from beffroi.core.audit import actions as audit
from beffroi.core.audit import consumers, queries, signing
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.registry import Event
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config, load
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction

from tests.fixtures_stream import make_state


@pytest.fixture
def three_entries(database: str, system: Actor) -> None:
    for number in range(3):
        with transaction.atomic():
            audit.record(system, "tests:done", str(number), collectivite_id=None)
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


def test_a_head_that_is_none_is_refused_and_is_no_broken_log(capsys: pytest.CaptureFixture[str]) -> None:
    for cut in ("f" * 63, "f" * 63 + "g", "12:" + "f" * 64):
        with pytest.raises(SystemExit):
            command.main(["verify", "--expected-head", cut])
        said = capsys.readouterr()
        assert "64 hexadecimal digits" in said.err and "broken" not in said.out + said.err
    with pytest.raises(FileUnusable):  # who names none is asked for none
        command.main(["verify", "--file", "/nowhere/audit.jsonl"])


@pytest.fixture
def audit_key(config: Config) -> Iterator[Ed25519PrivateKey]:
    made = Ed25519PrivateKey.generate()
    (config.secrets / signing.KEY).write_text(b64(made.private_bytes_raw()))
    (config.secrets / signing.PUBLIC).write_text(b64(public_bytes(made)))
    yield made
    (config.secrets / signing.KEY).unlink()
    (config.secrets / signing.PUBLIC).unlink()


def export(config: Config, path: Path) -> int:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("beffroi.cli.entering._become_python_user", lambda _config: None)
        return command.export(config, path)


def in_a_directory_without_a_centre(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "BEFFROI_STATE": str(folder / "no-centre")}
    argv = (sys.executable, "-P", "-m", "beffroi.cli", "audit", "verify", *arguments)
    return subprocess.run(argv, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("three_entries")
def test_an_export_is_checked_elsewhere_without_database_or_settings(
    config: Config, audit_key: Ed25519PrivateKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.jsonl"
    assert export(config, path) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert "3 entries up to 3" in capsys.readouterr().out
    done = in_a_directory_without_a_centre(tmp_path, "--file", "log.jsonl")
    assert (done.returncode, "compare it" in done.stdout) == (0, True), done.stderr
    kept = tmp_path / "kept.pub"
    kept.write_text(b64(public_bytes(audit_key)))
    done = in_a_directory_without_a_centre(
        tmp_path, "--file", "log.jsonl", "--public-key", "kept.pub", "--json"
    )
    assert (done.returncode, json.loads(done.stdout)["pinned"]) == (0, True)
    kept.write_text(b64(public_bytes(Ed25519PrivateKey.generate())))
    done = in_a_directory_without_a_centre(tmp_path, "--file", "log.jsonl", "--public-key", "kept.pub")
    assert (done.returncode, "does not hold" in done.stdout) == (1, True)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    done = in_a_directory_without_a_centre(tmp_path, "--file", "log.jsonl")
    assert (done.returncode, "was cut" in done.stdout) == (1, True)
    for missing in (("--file", "nothing"), ("--file", "log.jsonl", "--public-key", "log.jsonl")):
        done = in_a_directory_without_a_centre(tmp_path, *missing)
        assert (done.returncode, "cannot be used" in done.stderr) == (1, True)


@pytest.mark.usefixtures("three_entries", "audit_key")
def test_an_export_replaces_no_file_and_of_a_failed_one_nothing_is_left(
    config: Config, tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("mine")
    with pytest.raises(FileUnusable):
        export(config, path)
    assert path.read_text() == "mine"
    AuditEntry.objects.filter(seal__position=2).update(verb="tests:hidden")
    with pytest.raises(audit.ChainBroken):
        export(config, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("database")
def test_entries_are_taken_away_only_when_it_is_confirmed(
    config: Config, audit_key: Ed25519PrivateKey, system: Actor, capsys: pytest.CaptureFixture[str]
) -> None:
    with clock.shifted(-3 * 86400):
        for number in range(3):
            with transaction.atomic():
                audit.record(system, "tests:done", str(number), collectivite_id=None)
        audit.seal()
        assert audit.checkpoint(audit_key)
    with transaction.atomic():
        audit.record(system, "tests:done", "4", collectivite_id=None)
    audit.seal()
    today = clock.now().strftime("%Y-%m-%d")
    assert command.prune(config, today, account="ada", confirmed=False) == 0
    assert "Next: ./beffroi audit export" in capsys.readouterr().out
    assert AuditEntry.objects.count() == 4
    assert command.prune(config, today, account="ada", confirmed=True) == 0
    audit.seal()
    assert AuditEntry.objects.count() == 2
    assert command.report(config, expected_head="", as_json=False, full=True) == 0
    assert "up to 3 were taken away on purpose" in capsys.readouterr().out
    assert command.prune(config, today, account="ada", confirmed=True) == 0
    assert "Nothing to take away" in capsys.readouterr().out


@pytest.mark.parametrize("day", ["", "tomorrow", "2026-02-30", "9999-01-01", "2026-1-1T00:00"])
@pytest.mark.usefixtures("three_entries")
def test_a_day_that_is_none_of_the_past_is_refused(config: Config, day: str) -> None:
    with pytest.raises(command.DateUnusable):
        command.prune(config, day, account="ada", confirmed=True)


def test_the_daily_job_prunes_by_the_term_in_a_child(
    committed: str, config: Config, system: Actor, settings: Any
) -> None:
    state = make_state(committed, config.run / "wake", audit_keep_days=365)
    try:
        for path in config.secrets.iterdir():
            shutil.copy(path, state / "secrets" / path.name)
        key = Ed25519PrivateKey.generate()
        (state / "secrets" / signing.KEY).write_text(b64(key.private_bytes_raw()))
        (state / "secrets" / signing.PUBLIC).write_text(b64(public_bytes(key)))
        settings.BEFFROI = load(state)
        for days, count in ((400, 3), (1, 2)):
            with clock.shifted(-days * 86400):
                for n in range(count):
                    with transaction.atomic():
                        audit.record(system, "tests:old", str(n), collectivite_id=None)
                audit.seal()
                assert audit.checkpoint(key)
        consumers.prune(Event(1, "retention:done", None, {}, clock.now()))
        child = consumers._child
        assert child is not None and child.wait(300) == 0
        consumers.prune(Event(2, "retention:done", None, {}, clock.now()))
        assert consumers._child is child, "nothing is due any more"
        audit.seal()
        assert queries.pruned_to() == 3 and queries.verify(full=True).ok
        assert AuditEntry.objects.filter(verb="audit:log:pruned").count() == 1
        assert [path.name for path in (state / "audit").iterdir()] == ["audit-1-3.jsonl"]
    finally:
        shutil.rmtree(state, ignore_errors=True)
