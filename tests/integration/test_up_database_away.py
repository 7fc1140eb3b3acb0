"""`./beffroi status` on a database server that is away, or lets nothing be written: said, with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from beffroi.cli import answering, report
from beffroi.lib.config import Config
from beffroi.supervise import status

from tests.run import postgresql


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


def place_of(folder: Path, url: str) -> Config:
    (folder / "beffroi.toml").write_text(f'database_url = "{url}"\n')
    return Config(state=folder, database_url=url)


def test_of_a_server_that_answers_nothing_is_said(tmp_path: Path, server: str) -> None:
    assert answering.problem(place_of(tmp_path, server)) == ""


def test_a_server_that_is_away_is_said_by_status_with_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = place_of(tmp_path, f"postgresql:///postgres?host={tmp_path}&user=beffroi")
    held = status.Lock(place)
    try:
        assert report.main(["--state", str(tmp_path)]) == 1
    finally:
        held.release()
    said = capsys.readouterr().out
    assert "The database does not answer" in said
    assert f"{tmp_path}/.s.PGSQL" in said, "where it was looked for"
    assert "Next: look at its server" in said


def test_a_database_that_lets_nothing_be_written_is_said(tmp_path: Path, server: str) -> None:
    with psycopg.connect(server.replace("user=beffroi", "user=postgres"), autocommit=True) as admin:
        admin.execute("ALTER ROLE beffroi SET default_transaction_read_only = on")
        try:
            assert "can be read and not written" in answering.problem(place_of(tmp_path, server))
        finally:
            admin.execute("ALTER ROLE beffroi RESET default_transaction_read_only")


def test_a_password_is_never_part_of_what_is_said(tmp_path: Path) -> None:
    place = place_of(tmp_path, f"postgresql:///postgres?host={tmp_path}&user=beffroi")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "database.password").write_text("mot-de-passe")
    said = answering.problem(place)
    assert "does not answer" in said
    assert "mot-de-passe" not in said
