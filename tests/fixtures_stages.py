"""What tests of stages share: boîtiers that are heard, and a centre that counts every hour, or working time only."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from beffroi.boxes.models import Box
from beffroi.core.communes.models import Collectivite
from beffroi.lib import clock
from beffroi.lib.config import Config
from pytest_django.fixtures import Settings


@pytest.fixture
def every_hour(config: Config, settings: Settings) -> None:
    settings.BEFFROI = replace(config, work_begins_h=0, work_ends_h=0)


def later(**passed: float) -> AbstractContextManager[None]:
    return clock.shifted(timedelta(**passed).total_seconds())


def with_boxes(communes: Iterable[str]) -> None:
    """A boîtier in each, heard until tomorrow's tests."""
    for owner in communes:
        Box.objects.create(
            collectivite_id=owner, state=Box.State.ACTIVE, last_seen_at=clock.now() + timedelta(days=30)
        )


@pytest.fixture
def town_halls(database: str, every_hour: None) -> list[str]:
    made = [
        Collectivite.objects.create(kind="commune", name=f"Commune {n}", enrolled_at=clock.now())
        for n in range(40)
    ]
    with_boxes(one.id for one in made)
    return sorted(one.id for one in made)
