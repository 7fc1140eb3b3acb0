"""What the database and the processes are set to, asked of the running thing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.planes import write_lock
from beffroi.lib.config import Config, SettingInvalid, load
from beffroi.settings.database import database_settings
from django.db.utils import ConnectionHandler, OperationalError

QUESTION = (
    "from django.conf import settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE,"
    " s.SECURE_PROXY_SSL_HEADER[1], s.SECRET_KEY)"
)


def ask(settings: str) -> list[str]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": settings, "BEFFROI_STATE": _state()}
    command = [sys.executable, "-c", QUESTION]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def _state() -> str:
    from django.conf import settings

    config: Config = settings.BEFFROI
    return str(config.state)


@pytest.mark.usefixtures("database")
def test_sqlite_keeps_every_acknowledged_row(tmp_path: Path) -> None:
    connection = ConnectionHandler({"default": database_settings(f"sqlite:///{tmp_path}/beffroi.sqlite")})[
        "default"
    ]
    with closing(connection), connection.cursor() as cursor:
        values = [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        timeout_ms = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
    assert values == ["wal", 2]
    assert timeout_ms >= 5000


def test_a_transaction_of_django_holds_the_write_lock_from_its_start(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/beffroi.sqlite"
    handlers: Iterator[Any] = (
        ConnectionHandler({"default": database_settings(url)})["default"] for _ in range(2)
    )
    first, second = handlers
    monkeypatch.setattr(write_lock, "WAIT_S", 0.05)
    with closing(first), closing(second):
        first._start_transaction_under_autocommit()
        with pytest.raises(OperationalError, match="locked"):
            second._start_transaction_under_autocommit()
        first.connection.rollback()
        second._start_transaction_under_autocommit()
        assert second.connection.in_transaction
        second.connection.rollback()


def test_address_of_the_database_becomes_djangos_settings() -> None:
    sqlite = database_settings("sqlite:////var/lib/beffroi/db/beffroi.sqlite")
    assert sqlite["NAME"] == Path("/var/lib/beffroi/db/beffroi.sqlite")
    server = database_settings("postgresql://eve:se%20cret@db.example:5433/centre?sslmode=verify-full")
    assert {key: server[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")} == {
        "NAME": "centre",
        "USER": "eve",
        "PASSWORD": "se cret",
        "HOST": "db.example",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "verify-full"},
    }
    with pytest.raises(SettingInvalid):
        database_settings("mysql://x")


def test_portal_and_console_share_neither_cookie_nor_key() -> None:
    web, console = ask("beffroi.settings.web"), ask("beffroi.settings.console")
    assert web[:4] == ["__Host-beffroi_session", "__Host-beffroi_csrf", "True", "portal"]
    assert console[:4] == ["__Host-beffroi_console_session", "__Host-beffroi_console_csrf", "True", "console"]
    assert web[4] != console[4]
    assert web[4] == ask("beffroi.settings.web")[4]


@pytest.mark.parametrize(
    "url", ["postgresql://centre:geheim@db/beffroi", "postgresql:///beffroi?host=/run/pg&password=geheim"]
)
def test_a_password_in_the_file_that_all_may_read_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    (tmp_path / "beffroi.toml").write_text(f'database_url = "{url}"\n')
    with pytest.raises(SettingInvalid, match=r"secrets/database\.password") as refused:
        load(tmp_path)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql://centre@db/beffroi", "postgresql:///beffroi?host=/run/pg"])
def test_the_password_of_the_database_is_read_from_a_secret(tmp_path: Path, url: str) -> None:
    (tmp_path / "beffroi.toml").write_text(f'database_url = "{url}"\n')
    assert "PASSWORD" not in database_settings(load(tmp_path).database)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "database.password").write_text("a&b=c/d é\n")
    config = load(tmp_path)
    assert database_settings(config.database)["PASSWORD"] == "a&b=c/d é"
    assert "a&b" not in repr(config)
