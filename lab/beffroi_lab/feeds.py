"""Addresses of real attackers, for the laboratory's: from a public list, or a small sample that is shipped.

Purpose: what is imported at the centre is a list as it is published, and the attacker of the laboratory gets some of
         its addresses. No packet leaves: the addresses exist in the laboratory's internet only.
Input:   BEFFROI_DATA/feeds/ipsum-*.txt.gz (one address and a count a line); without it, samples/addresses.txt, which
         holds addresses of the laboratory's own attacker.
Source:  https://github.com/stamparm/ipsum (Unlicense); docs/internals/lab.md.
"""

from __future__ import annotations

import gzip
import ipaddress
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.protected import reason_protected

from beffroi_lab.plan import Plan

_SAMPLE = Path(__file__).with_name("samples") / "addresses.txt"


@dataclass(frozen=True)
class Feed:
    """``file``: as `lists import` takes it. ``addresses``: those of it that the attacker gets."""

    file: Path
    count: int
    addresses: tuple[str, ...]
    source: str
    licence: str


def prepare(plan: Plan, directory: Path, wanted: int) -> Feed:
    """Write the list to ``directory`` and choose ``wanted`` of its addresses. Errors: OSError, ValueError."""
    found = sorted((Path(os.environ.get("BEFFROI_DATA") or "/nonexistent") / "feeds").glob("ipsum-*.txt.gz"))
    if found:
        text = gzip.decompress(found[-1].read_bytes()).decode("ascii")
        source, licence = f"IPsum, {found[-1].name}", "Unlicense"
    else:
        text, source, licence = _SAMPLE.read_text("ascii"), "the laboratory's own attacker", "EUPL-1.2"
    file = directory / "outside-addresses.txt"
    file.write_text(text, "ascii")
    values = list(_values(text.splitlines()))
    places = () if not found else plan.known_v4
    chosen = tuple(_usable(values, [ipaddress.ip_network(p) for p in places], wanted))
    if len(chosen) < wanted:
        raise ValueError(f"{source} holds {len(chosen)} usable addresses; {wanted} are needed")
    return Feed(file, len(values), chosen, source, licence)


def _values(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() and not line.startswith("#"):
            yield line.split()[0]


def _usable(
    values: Iterable[str], places: list[ipaddress.IPv4Network | ipaddress.IPv6Network], wanted: int
) -> Iterator[str]:
    """Addresses that nobody else has here and that may be blocked."""
    for value in values:
        try:
            indicator = normalise(Kind.IP, value)
        except IndicatorInvalid:
            continue
        address = ipaddress.ip_address(indicator.value)
        if address.version != 4 or reason_protected(indicator) or any(address in one for one in places):
            continue
        yield indicator.value
        wanted -= 1
        if not wanted:
            return
