"""What tests of stages share: boîtiers that are heard, and a centre that counts every hour, or working time only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from beffroi.boxes.models import Box
from beffroi.lib import clock
from beffroi.lib.config import Config
from pytest_django.fixtures import Settings


@pytest.fixture
def every_hour(config: Config, settings: Settings) -> None:
    settings.BEFFROI = replace(config, work_begins_h=0, work_ends_h=0)


def with_boxes(communes: Iterable[str]) -> None:
    """A boîtier in each, heard until tomorrow's tests."""
    for owner in communes:
        Box.objects.create(
            collectivite_id=owner, state=Box.State.ACTIVE, last_seen_at=clock.now() + timedelta(days=30)
        )
