"""A sweep of filescan opens what was written in since nothing was left there, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive.scanning import told
from beffroi.drive.scanning.__main__ import Process
from beffroi.drive.scanning.engines import Engines
from beffroi.drive.scanning.scanner import Scanner
from beffroi.drive.store import schema, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.stock import stocks
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.ids import new_id

from tests.drive_trees import at, content
from tests.file_scanning import ScanProcess, scan_process

pytest_plugins = ["tests.fixtures_drive_store"]
pytestmark = pytest.mark.slow
IDS = sorted(new_id("col") for _ in range(3))


@pytest.fixture(scope="module")
def process() -> Iterator[ScanProcess]:
    with scan_process() as one:
        yield one


def _put(communes: Communes, collectivite_id: str, name: str) -> None:
    database, act = communes.metadata(collectivite_id), at(clock.epoch_s())
    root = database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=act.now_s))
    unnamed = replace(content(name.encode()), sha256="")  # whose content no engine is shown
    database.write(lambda w: tree.put(w, act, root.id, name, unnamed))


def test_a_sweep_opens_no_collectivite_in_which_nobody_wrote(
    tmp_path: Path, process: ScanProcess, monkeypatch: pytest.MonkeyPatch, backend_url: str
) -> None:
    """In PostgreSQL only a look tells, and all are looked at."""
    config, opened, truly = Config(state=tmp_path), set[str](), Communes.metadata
    is_told = not backend_url.startswith("postgresql:")

    def noted(self: Communes, collectivite_id: str) -> Database:
        opened.add(collectivite_id)
        return truly(self, collectivite_id)

    with ThreadPoolExecutor(1) as pool:
        communes = Communes(tmp_path / "drive", pool, backend_url)
        for one in IDS:
            (tmp_path / "drive" / one).mkdir(parents=True)
            _put(communes, one, "before")
        engines = Engines(Config(state=process.state))
        work = Scanner(communes, stocks(config), engines, lambda owner, one, held: None)
        filescan = Process(config, communes, work, lambda: False)
        monkeypatch.setattr(Communes, "metadata", noted)

        def swept() -> set[str]:
            opened.clear()
            filescan._sweep()
            while filescan._due or filescan._walks:
                filescan._turn()
            filescan._forget()
            return set(opened)

        assert swept() == set(IDS)
        assert swept() == set(IDS), "what it wrote itself is looked at once more"
        assert swept() == (set() if is_told else set(IDS))
        _put(communes, IDS[1], "after")
        assert swept() == ({IDS[1]} if is_told else set(IDS))
        process.rule('rule Wolf { strings: $a = "verymalicioussign" condition: $a }')
        filescan._turn()  # hears of other rules
        monkeypatch.setattr("beffroi.drive.scanning.scanner.WALKS_APART_S", 0)
        assert swept() == set(IDS), "other rules, another walk"
        with clock.jumped(40 * 86400):
            filescan._say()
        filescan._say()
        assert told.read(config).at_s <= clock.epoch_s(), "told again once the clock is right"
        communes.close()
