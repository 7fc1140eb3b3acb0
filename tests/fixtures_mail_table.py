"""A decision table as the mail door's verdict asks it, at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi_protocol import layers
from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.messages import Action, Entry, Snapshot
from beffroi_protocol.table import DecisionTable

NOW = 1000


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


class Layered:
    """Base and overlay of one commune, as ``Follower`` asks them."""

    def __init__(self, blocked: list[tuple[str, str]], allowed: list[tuple[str, str]]) -> None:
        self.tables = [_table("mail", blocked, Action.BLOCK), _table("mail@col_a", allowed, Action.ALLOW)]

    def match(self, indicator: Indicator) -> Entry | None:
        return layers.match(indicator, self.tables, now=NOW)

    def match_address(self, address: str) -> Entry | None:
        return layers.match_address(address, self.tables, now=NOW)

    def match_name(self, name: str) -> Entry | None:
        return layers.match_name(name, self.tables, now=NOW)


def _table(channel: str, values: list[tuple[str, str]], action: Action) -> DecisionTable:
    made = DecisionTable(channel)
    entries = tuple(Entry(f"dec_{n}", normalise(*v), action, NOW + 9) for n, v in enumerate(values))
    made.apply(Snapshot(1, channel, 1, 1, NOW, NOW + 9, "", entries), b"")
    return made
