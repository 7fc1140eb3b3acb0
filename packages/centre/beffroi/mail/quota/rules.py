"""How full a mailbox or a collectivité is, and from when a person is told. Pure.

Units:   people give and read room in GB (10**9 bytes), as everywhere on pages. Limits are kept in whole MiB, as Dovecot
         takes them, rounded up: nobody has less than was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from beffroi.lib import gigabytes

MIB = 1024 * 1024
SOON, NEARLY, FULL = "soon", "nearly", "full"
_FROM = ((100, FULL), (95, NEARLY), (80, SOON))


def mib_of(limit_bytes: int) -> int:
    """A limit as it is kept."""
    return -(-limit_bytes // MIB)


def gb_of(limit_mib: int) -> Decimal:
    """A limit as it was given, in GB; given again, it is kept as the same."""
    return gigabytes.written(limit_mib * MIB, mib_of)


@dataclass(frozen=True)
class Room:
    used_bytes: int
    limit_bytes: int

    @property
    def percent(self) -> int:
        """Rounded down, so that nothing is called full that still takes a mail; above 100 when mail came in at once."""
        return self.used_bytes * 100 // self.limit_bytes if self.limit_bytes else 0

    @property
    def level(self) -> str:
        """SOON, NEARLY, FULL or ""."""
        return next((word for start, word in _FROM if self.percent >= start), "")

    @property
    def full(self) -> bool:
        return self.level == FULL

    @property
    def free_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes)
