"""A drive for a module of tests, a folder for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drive_asking import HOME
from tests.drive_server import Served, served


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("drive") / "state") as one:
        yield one


@pytest.fixture
def folder(drive: Served, request: pytest.FixtureRequest) -> str:
    """A folder of its own for each test."""
    path = f"{HOME}/{abs(hash(request.node.name))}"
    assert drive.ask("MKCOL", path)[0] == 201
    return path
