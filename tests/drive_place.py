"""The files of one collectivité on a disk of their own, without pages and without a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from beffroi.drive.store import (
    schema,
    tree,
)
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act, Content, Node
from beffroi.drive.upkeep import DAY_S, Progress, Upkeep
from beffroi.drive.web.bodies import SealedStore
from beffroi.lib import clock, ids
from beffroi.lib.config import Config

from tests.fixtures_drive import new_config

LARGE = 300_000
"""Lies among the objects."""


@dataclass
class Place:
    config: Config
    communes: Communes
    bodies: SealedStore
    work: Upkeep
    owner: str

    @property
    def database(self) -> Database:
        return self.communes.metadata(self.owner)

    def root(self) -> Node:
        return self.database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=clock.epoch_s()))

    def act(self) -> Act:
        return Act("per_a", "app_a", clock.epoch_s())

    def taken(self, data: bytes) -> Content:
        async def pieces() -> AsyncIterator[bytes]:
            yield data

        return asyncio.run(self.bodies(self.owner).receive(pieces(), len(data)))

    def put(self, name: str, data: bytes) -> Node:
        content, root = self.taken(data), self.root()
        return self.database.write(lambda w: tree.put(w, self.act(), root.id, name, content))[0]

    def objects(self) -> list[Path]:
        folder = self.config.state / "drive" / "objects" / self.owner
        return sorted(one for one in folder.rglob("*") if one.is_file())

    def next_round(self) -> None:
        """As one of a keeper that has tidied each day: terms are counted to the last time."""
        text = msgspec.json.encode(Progress(tidied_s=clock.epoch_s() - DAY_S)).decode()
        for one in map(self.communes.metadata, self.communes.ids()):
            one.write(lambda w: w.run("UPDATE meta SET value = ? WHERE name = 'upkeep'", (text,)))
        self.work.round()

    def age(self) -> None:
        """Of files on the disk, which our clock does not move."""
        for one in self.objects():
            os.utime(one, (clock.epoch(), one.stat().st_mtime - 60 * DAY_S))


@contextmanager
def placed(config: Config) -> Iterator[Place]:
    with ThreadPoolExecutor(2) as commits, ThreadPoolExecutor(2) as workers:
        communes = Communes(config.state / "drive", commits)
        bodies = SealedStore(config, communes, workers, lambda sha256, owner: None)
        yield Place(config, communes, bodies, Upkeep(config, communes), ids.new_id("col"))
        communes.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(new_config(tmp_path / "state")) as one:
        yield one
