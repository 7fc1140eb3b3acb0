"""A drive for a module of tests of what sync clients ask, and a name for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.drive_server import Served, served


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("sync") / "drive") as one:
        yield one


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of this test's own in the shared drive."""
    return re.sub(r"\W", "-", request.node.name)[:80]
