"""Bulk lists as tests publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from beffroi.core.decisions import lists
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.identity.actor import Actor
from beffroi.core.planes import files
from beffroi.lib.config import Config

SYSTEM = Actor.system("tests")


def publish(name: str, *values: str, kind: str = "ip", **options: Any) -> IndicatorList:
    return lists.publish_list(
        actor=SYSTEM, name=name, kind=kind, values=values, source="test", licence="CC0", **options
    ).row


def stored(config: Config, row: IndicatorList) -> Path:
    return files.list_file(config.state, row.sha256)
