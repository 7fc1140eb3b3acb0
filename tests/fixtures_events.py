"""Consumers and timers of one test alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from beffroi.core.events import registry


@pytest.fixture
def own_registry() -> Iterator[None]:
    """What a test registers or takes away is as before for the next one, in the same order: it is that in which
    ``run_pending`` runs them."""
    consumers, timers = dict(registry.consumers()), dict(registry.timers())
    yield
    for present, before in ((registry.consumers(), consumers), (registry.timers(), timers)):
        present.clear()
        present.update(before)  # type: ignore[arg-type]
