"""What a box tells of a list that it looked back on survives whatever ends the agent."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from beffroi_box import load
from beffroi_box.config import BoxConfig
from beffroi_box.facts import FactSpool
from beffroi_box.lists import ListKeeper
from beffroi_protocol.facts import FactBatch, LookBack
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, BulkList, decode

SUPPLIER = Indicator(Kind.IP, "45.190.3.9")
TRIED = BulkList("source-essai-ip.trial", Kind.IP, "0" * 64, 11, 1, Action.WARN)


def keeper(state: Path, spool: FactSpool) -> ListKeeper:
    nothing: Any = SimpleNamespace(
        resolver=None, is_spared=lambda _: False, keep=lambda: None, directory=state
    )
    return ListKeeper(BoxConfig(state=state), nothing, spool, nothing, nothing, lambda: 1_800_000_000)


def test_what_was_met_is_on_disk_before_the_list_counts_as_looked_back_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lists", "spool"):
        (tmp_path / name).mkdir()
    met = load.MetValue(SUPPLIER, 30, 9, 1_799_000_000, 1_800_000_000)
    monkeypatch.setattr(load, "run", lambda _: load.Result(met=(met,)))
    asked = keeper(tmp_path, FactSpool(tmp_path / "spool", "box_1"))
    asked._chosen = {("box", TRIED.name): TRIED}
    asked._look_back()
    # The agent is killed here, and begins again.
    assert keeper(tmp_path, FactSpool(tmp_path / "spool", "box_1"))._looked == asked._looked
    left = FactSpool(tmp_path / "spool", "box_1").take()
    assert left is not None, "nobody would ask again"
    (fact,) = decode(left, FactBatch).facts
    assert isinstance(fact, LookBack) and (fact.indicator, fact.days) == (SUPPLIER, 9)
