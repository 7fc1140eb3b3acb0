"""Planes and front door of a centre that was prepared for one module of tests."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from beffroi.lib import config as config_module
from beffroi.lib.config import Config
from beffroi.supervise import certificates, front, secret_files

from tests.mail_post import Engines
from tests.waiting import until_it_listens


@cache
def _empty_database() -> Path:
    """The directory of a database that ``prepare`` made, of which each centre takes a copy: two seconds less."""
    state = Path(tempfile.mkdtemp(prefix="bfe-"))
    atexit.register(shutil.rmtree, state, ignore_errors=True)
    for name in ("db", "secrets"):
        (state / name).mkdir()
    (state / "secrets" / "django.key").write_text("of no centre")
    environment = os.environ | {
        "BEFFROI_STATE": str(state),
        "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
    }
    subprocess.run((sys.executable, "-m", "beffroi.cli", "prepare"), env=environment, check=True)
    return state / "db"


@contextmanager
def running(prefix: str, first_port: int, settings: Mapping[str, object], *names: str) -> Iterator[Engines]:
    """Prepare a state directory with three ports from ``first_port`` on, and run these processes, and the relays."""
    state = Path(tempfile.mkdtemp(prefix=prefix))
    ports = {name: port for port, name in enumerate(("portal_port", "console_port", "box_port"), first_port)}
    lines = [f"{name} = {value}" for name, value in {**ports, **settings}.items()]
    (state / "beffroi.toml").write_text("\n".join(lines) + "\n")
    config = config_module.load(state)
    for name in ("run/wake", "log", "db", "feed", "doors"):
        (state / name).mkdir(parents=True)
    secret_files.generate(config)  # where a database lies already, no key is made
    shutil.copytree(_empty_database(), state / "db", dirs_exist_ok=True)
    assert secret_files.renew_delegation(config) == ""
    certificates.ensure(config)
    front.write(config)
    engines = Engines(config)
    try:
        engines.start("stream", *config.relay_names, *names)
        yield engines
    finally:
        engines.stop()
        shutil.rmtree(state, ignore_errors=True)


def until_up(config: Config, process: subprocess.Popen[bytes]) -> None:
    """The front takes connections; what it said instead."""
    try:
        until_it_listens(config.portal_port, process)
    except AssertionError as error:
        raise AssertionError((config.log / "front.out").read_text()) from error
