"""What the engines read about mailboxes, without the engines: files that this process makes and owns."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from beffroi.lib.config import Config
from beffroi.mail import projections


@dataclass(frozen=True)
class _Owner:
    uid: int = os.getuid()
    gid: int = os.getgid()


def project(config: Config) -> None:
    projections.create(config, python=_Owner(), dovecot_gid=os.getgid(), mail_gid=os.getgid())


@pytest.fixture
def engines(config: Config) -> Iterator[Config]:
    """The projections, as a start makes them."""
    project(config)
    yield config
    shutil.rmtree(config.state / "projections" / "sieve")
    for path in (config.state / "projections").glob("*.sqlite*"):
        path.unlink()
