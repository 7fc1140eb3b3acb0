"""A decision table as the mail door's verdict asks it, at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import Entry
from beffroi_protocol.table import DecisionTable


@dataclass(frozen=True)
class Asked:
    table: DecisionTable
    now: int

    def match(self, indicator: Indicator) -> Entry | None:
        return self.table.match(indicator, now=self.now)

    def match_address(self, address: str) -> Entry | None:
        return self.table.match_address(address, now=self.now)

    def match_name(self, name: str) -> Entry | None:
        return self.table.match_name(name, now=self.now)
