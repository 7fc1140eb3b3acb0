"""What to change in a zone so that it says our plan, and what of it is somebody else's. Pure.

Purpose: (what stands there, what should, what we wrote before) -> what comes, what goes, what must be asked for.
Input:   hostile: rows of a provider's interface, in its own spelling.
Keeps:   every record of a name and type that the plan does not name. Of TXT at the domain itself only SPF is ours; CAA
         is only added to.
Source:  RFC 1034 3.6.2 (a CNAME suffers nothing beside it), RFC 7208 3.2 (one SPF).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from beffroi.mail.domains.records import Purpose, Record

_NAMES_A_HOST = {"MX", "CNAME", "SRV", "NS", "PTR"}
_SPELT_AS_TXT = {"SPF", "DKIM", "DMARC"}
"""OVH shows these TXT records under types of its own."""


@dataclass(frozen=True, order=True)
class Row:
    """One record, in one spelling: ``name`` absolute without the last dot, a TXT unquoted and in one piece."""

    name: str
    type: str
    data: str

    @property
    def key(self) -> str:
        return f"{self.name} {self.type}"


@dataclass(frozen=True)
class Clash:
    """Where something of another stands in the way: ``goes`` has to go before ``comes`` may stand there."""

    key: str
    goes: tuple[Row, ...]
    comes: tuple[Row, ...]


@dataclass(frozen=True)
class Difference:
    """``adds`` and ``removes``: ours, no question; ``clashes``: only when a person says so."""

    adds: tuple[Row, ...] = ()
    removes: tuple[Row, ...] = ()
    clashes: tuple[Clash, ...] = ()
    well: int = field(default=0, compare=False)

    @property
    def empty(self) -> bool:
        return not (self.adds or self.removes or self.clashes)

    @property
    def mark(self) -> str:
        """The same for the same difference: what was shown is what is done."""
        rows = [*self.adds, *self.removes, *(row for one in self.clashes for row in (*one.goes, *one.comes))]
        text = "\n".join(f"{row.key} {row.data}" for row in rows)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def row(name: str, kind: str, data: str) -> Row:
    """One spelling for what providers spell in several."""
    name = name.strip().lower().strip(".").removeprefix("@.")
    kind = kind.upper()
    kind = "TXT" if kind in _SPELT_AS_TXT else kind
    if kind == "TXT":
        return Row(name, kind, _text(data))
    words = data.replace('"', "").split()
    if kind in _NAMES_A_HOST and words:
        words[-1] = words[-1].lower().rstrip(".") + "."
    return Row(name, kind, " ".join(words))


def _text(data: str) -> str:
    data = data.strip().removeprefix('"').removesuffix('"')
    return data.replace('" "', "").replace('\\"', '"').replace("\\;", ";").replace("\\\\", "\\")


def planned(records: Sequence[Record]) -> list[tuple[Row, Purpose]]:
    return [(row(one.name, one.type, one.data), one.purpose) for one in records]


def difference(
    present: Collection[Row], wanted: Sequence[tuple[Row, Purpose]], ours: Collection[Row]
) -> Difference:
    """``ours``: what we wrote there before; a record of the plan that stands there is ours, too."""
    plan = {one for one, _purpose in wanted}
    own = set(ours) | plan
    adds: list[Row] = []
    removes = {one for one in present if one in own and one not in plan}
    clashes: list[Clash] = []
    for key, group in groupby(sorted(wanted), key=lambda pair: pair[0].key):
        rows = list(group)
        missing = tuple(one for one, _purpose in rows if one not in present)
        in_the_way = _in_the_way(present, [one for one, _ in rows], {purpose for _, purpose in rows})
        foreign = tuple(sorted(one for one in in_the_way if one not in own))
        removes |= {one for one in in_the_way if one in own and one not in plan}
        if foreign:
            clashes.append(Clash(key, foreign, missing))
        else:
            adds += missing
    return Difference(
        tuple(adds), tuple(sorted(removes)), tuple(clashes), sum(one in present for one in plan)
    )


def _in_the_way(present: Collection[Row], rows: Sequence[Row], purposes: Collection[Purpose]) -> list[Row]:
    name, kind = rows[0].name, rows[0].type
    beside = [one for one in present if one.name == name and one not in rows]
    if kind == "CNAME":
        return beside
    pointers = [one for one in beside if one.type == "CNAME"]
    if kind == "CAA":
        return pointers
    if Purpose.SPF in purposes:
        return [*pointers, *(one for one in beside if one.type == "TXT" and _is_spf(one.data))]
    return [*pointers, *(one for one in beside if one.type == kind)]


def _is_spf(text: str) -> bool:
    return text.lower().split(" ", 1)[0] == "v=spf1"
