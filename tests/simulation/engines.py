"""Kernel sets and dnsdist of one machine, as they remember what they were told.

Stands in: ``Kernel``, dnsdist with its files of names; the bulk lists' sets are in ``bulksets``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path

from tests.simulation.bulksets import BulkTable
from tests.simulation.virtual import VirtualTime


def address(value: str) -> tuple[str, str]:
    return ("cidr" if "/" in value else "ip"), value


def covers(wide: tuple[str, str], narrow: tuple[str, str]) -> bool:
    """Whether all of ``narrow`` is let through, or refused, with ``wide``: not asked of the product."""
    if wide == narrow:
        return True
    if wide[0] == "domain":
        return narrow[0] == "domain" and narrow[1].endswith("." + wide[1])
    if wide[0] != "cidr" or narrow[0] not in ("ip", "cidr"):
        return False
    (low, high), (start, end) = _range(wide[1]), _range(narrow[1])
    return low <= start and end <= high


@lru_cache(maxsize=65536)
def _range(value: str) -> tuple[int, int]:
    """First and last address; of IPv4 and IPv6 apart."""
    network = ip_network(value)
    offset = network.version << 128
    return offset + int(network[0]), offset + int(network[-1])


class Engines:
    """Kernel sets and the resolver of one machine. They outlive the agent, not a power cut."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self.names: dict[str, set[str]] = {"bulk": set()}
        self.bulk_table = BulkTable()
        self.power_on()

    def power_on(self) -> None:
        self.changes = 0  # so far
        self.names = {"bulk": self.names["bulk"]}  # the others were on a memory disk
        self.flush()
        self.restart_resolver()

    def flush(self) -> None:
        """Another program took the rules and all sets away."""
        self.rules = ""
        self.ends: dict[str, float] = {}
        self.networks: tuple[str, ...] = ()
        self.spares: tuple[str, ...] = ()
        self.bulk_table.clear()
        self.changes += 1

    def restart_resolver(self) -> None:
        """It reads its files at its start; also when the agent asks."""
        self.refused_names = set(self.names.get("urgent", ()))
        self.spared_names = set(self.names.get("spared", ()))
        self.bulk_names = set(self.names["bulk"])
        self.changes += 1

    @property
    def bulk(self) -> frozenset[str]:
        """What the rules of the bulk lists refuse."""
        return self.bulk_table.blocked

    def addresses(self) -> set[str]:
        return {a for a, end in self.ends.items() if end > self._time.true}

    def enforced(self) -> set[tuple[str, str]]:
        """What the decisions refuse here: exceptions come before them, as in the rules."""
        found = (
            {("ip", a) for a in self.addresses()}
            | {("cidr", n) for n in self.networks}
            | {("domain", n) for n in self.refused_names}
        )
        return self.unspared(found) if self.spares or self.spared_names else found

    def bulk_enforced(self) -> set[tuple[str, str]]:
        """What the bulk lists refuse here."""
        found = {address(a) for a in self.bulk} | {("domain", n) for n in self.bulk_names}
        return self.unspared(found) if self.spares or self.spared_names else found

    def unspared(self, keys: set[tuple[str, str]]) -> set[tuple[str, str]]:
        spares = [*map(address, self.spares), *(("domain", n) for n in self.spared_names)]
        return {key for key in keys if not any(covers(spare, key) for spare in spares)}

    def write_names(self, path: Path, names: Iterable[bytes]) -> int:
        self.names[path.stem] = {name.decode() for name in names}
        return len(self.names[path.stem])

    # the interface of Kernel

    def apply_rules(self, text: str) -> None:
        self.rules = text

    def has_rules(self) -> bool:
        return bool(self.rules)

    def change(
        self,
        add_ms: Mapping[str, int],
        remove: Sequence[str],
        networks: Sequence[str] | None,
        spares: Sequence[str] | None = None,
    ) -> None:
        self.changes += 1
        for address in remove:
            self.ends.pop(address, None)
        self.ends.update({a: self._time.true + ms / 1000 for a, ms in add_ms.items()})
        if networks is not None:
            self.networks = tuple(networks)
        if spares is not None:
            self.spares = tuple(spares)

    def replace_all(
        self, hot_ms: Mapping[str, int], networks: Sequence[str], spares: Sequence[str] = ()
    ) -> None:
        self.ends = {}
        self.change(hot_ms, (), networks, spares)
