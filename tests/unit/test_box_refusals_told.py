"""What the box refuses to enforce is evidence: it is on disk before anything can take it away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from beffroi_box.client import Centre
from beffroi_box.config import BoxConfig
from beffroi_box.enforce import Enforcer
from beffroi_box.facts import FactSpool
from beffroi_box.kernel import Kernel
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, Entry
from beffroi_protocol.table import Change

NOW = 1_800_000_000


class Sets:
    """The kernel's sets, as far as this asks."""

    def change(self, add_ms: Mapping[str, int], *_: Sequence[str] | None) -> None:
        assert add_ms == {}


class Nowhere:
    def addresses(self) -> tuple[str, ...]:
        return self.proved()

    def proved(self) -> tuple[str, ...]:
        return ("185.61.20.5",)


def test_a_refused_entry_is_told_though_the_agent_dies_at_once_and_the_entry_is_gone(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    config = BoxConfig(state=tmp_path, centre="https://centre.example:8445", resolver=False)
    spool = FactSpool(tmp_path / "spool", "box_1")
    enforcer = Enforcer(
        config, cast(Centre, Nowhere()), cast(Kernel, Sets()), spool, lambda: NOW, committed=None
    )
    entry = Entry("dec_1", Indicator(Kind.IP, "9.9.9.9"), Action.BLOCK, NOW + 60, "")
    enforcer.apply(Change("box", 1, 1, (entry,), ()))
    assert FactSpool(tmp_path / "spool", "box_1").waiting() == 1
