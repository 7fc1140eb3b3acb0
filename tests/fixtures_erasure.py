"""A drive of its own for each test of what is erased, and two administrators."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit import signing
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import create_administrator
from beffroi.drive import erasures
from beffroi.drive.store.commune import open_communes
from beffroi.drive.upkeep import Upkeep
from beffroi.drive.web.bodies import SealedStore
from beffroi.lib.config import Config
from beffroi_protocol.signing import b64

from tests.conftest import PASSWORD, Commune
from tests.drive_place import Place

TERM_S = erasures.CALL_BACK_H * 3600 + 60


@pytest.fixture
def state(config: Config, tmp_path: Path, settings: Any) -> Iterator[Config]:
    """The drive of this test alone; the pages' process opens it."""
    from beffroi.portal import drive_access

    from tests.fixtures_drive import new_config

    made = new_config(tmp_path / "state")
    (made.secrets / signing.KEY).write_text(b64(b"a" * 32))
    settings.BEFFROI = made
    drive_access._opened.cache_clear()
    yield made
    drive_access._communes().close()
    drive_access._opened.cache_clear()


@pytest.fixture
def other(system: Actor) -> Actor:
    made = create_administrator(actor=system, email="bea@cotedor.test", name="Béa", password=PASSWORD)
    return Actor("administrator", made.record.id, None, "administrator")


@pytest.fixture
def place(state: Config, beaune: Commune) -> Iterator[Place]:
    with ThreadPoolExecutor(2) as commits, ThreadPoolExecutor(2) as workers:
        communes = open_communes(state, commits)
        bodies = SealedStore(state, communes, workers, lambda sha256, owner: None)
        yield Place(state, communes, bodies, Upkeep(state, communes), beaune.id)
        communes.close()


def agreed(collectivite: Any, one: Actor, two: Actor) -> str:
    approval = erasures.request(
        actor=one, collectivite=collectivite, reason="La commune quitte le Département."
    )
    erasures.grant(actor=two, approval=approval)
    return approval.id
