"""Mail engines in a state directory of their own, and the post office of one test on them. Needs root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib import config as config_module
from beffroi.lib.config import Config
from beffroi.mail.engines import setup
from beffroi.supervise import secret_files

from tests.conftest import database_url
from tests.mail_post import ENGINES, Engines, Post


@contextmanager
def engines_of(
    prefix: str,
    lines: Iterable[str],
    alter: Callable[[Config], None] | None = None,
    names: Iterable[str] = ENGINES,
) -> Iterator[Engines]:
    """Mail engines in a state directory of their own. ``alter``: what a test alone wants of their configurations."""
    if os.geteuid() != 0:
        pytest.skip("mail engines start as root")
    state = Path(tempfile.mkdtemp(prefix=prefix))
    state.chmod(0o755)
    (state / "beffroi.toml").write_text("\n".join([*lines, "heartbeat_s = 2"]) + "\n")
    config = config_module.load(state)
    for name in ("run", "log", "db", "feed", "doors"):
        (state / name).mkdir(mode=0o755)
    secret_files.generate(config)
    assert secret_files.renew_delegation(config) == ""
    setup.write(config)
    if alter is not None:
        alter(config)
    engines = Engines(config)
    try:
        with setup.held(config):
            engines.start(*names)
            yield engines
    finally:
        engines.stop()
        if not os.environ.get("BEFFROI_KEEP"):
            shutil.rmtree(state, ignore_errors=True)


@contextmanager
def post_of(engines: Engines, settings: Any) -> Iterator[Post]:
    """The post office with the database of the test that runs, stream and mailgate running."""
    path = engines.config.state / "beffroi.toml"
    plain = "\n".join(x for x in path.read_text().splitlines() if not x.startswith("database_url"))
    path.write_text(f'{plain}\ndatabase_url = "{database_url()}"\n')
    config = config_module.load(engines.config.state)
    engines.config = config
    settings.BEFFROI = config
    _forget(config)
    engines.start("stream", "mailgate")
    try:
        yield Post(engines, config)
    finally:
        engines.kill("mailgate", "stream")


def _forget(config: Config) -> None:
    """What belongs to the database of the test before."""
    for name in ("feed", "doors", "mailgate"):
        shutil.rmtree(config.state / name, ignore_errors=True)
        (config.state / name).mkdir()
    journal_path = config.state / "journal" / "deliveries.log"
    if journal_path.exists():
        os.truncate(journal_path, 0)
