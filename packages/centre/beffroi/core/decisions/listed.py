"""Which bulk lists name an indicator: the centre's own look into the files that every door enforces.

Purpose: exceptions, "why is this blocked" and "never again" know a list's entry as they know a decision.
Process: any with the database; reads STATE/lists.
Input:   an indicator that a person or a boîtier named. Files are ours, checked when they were written.
Cost:    a pass over each list of a kind that fits, a piece in memory at a time: about 0.1 s for a million names.
Fails:   a list whose file is lost says nothing: no door that starts now can fetch it either.
Source:  docs/internals/decisions.md, Entries of lists.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from beffroi_protocol.indicators import Indicator, Kind, registered_names
from beffroi_protocol.lists import ListIndex
from beffroi_protocol.messages import Action
from django.conf import settings
from django.db.models import Q

from beffroi.core.decisions import rules
from beffroi.core.decisions.models import SCOPE_ALL, IndicatorList, ListGrowth
from beffroi.core.decisions.rules import Held
from beffroi.core.planes import files
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable

RULE = "bulk_list"
_NETWORKS = (Kind.IP, Kind.CIDR)
_SHORTEST = {4: 8, 6: 16}
"""No listed prefix is sought that is wider: as on the boîtier."""


@dataclass(frozen=True)
class Listed:
    """``value``: the line of the list that touches what was asked."""

    row: IndicatorList
    indicator: Indicator


def touching(rows: Iterable[IndicatorList], indicator: Indicator) -> list[Listed]:
    """Return what of these lists a refusal of ``indicator`` would touch: itself, wider and narrower values.

    Errors: Unavailable.
    """
    return [one for row in rows for found in _in(row, [indicator]).values() for one in found]


def covering(rows: Iterable[IndicatorList], indicator: Indicator) -> list[Listed]:
    """Return the entries for which ``indicator`` is refused: itself, a name above it, a range.

    Errors: Unavailable.
    """
    return [one for one in touching(rows, indicator) if rules.covers(one.indicator, indicator)]


def opening(one: Listed, asked: Indicator) -> Indicator:
    """What lets ``asked`` pass where an entry refuses it: the entry as it is listed; of a range, the address alone."""
    return asked if one.indicator.kind is Kind.CIDR else one.indicator


def touched(row: IndicatorList, indicators: Collection[Indicator]) -> set[Indicator]:
    """Return those of ``indicators`` that a list touches, in one pass. Errors: Unavailable."""
    return set(_in(row, indicators))


def named(growth: ListGrowth, kind: Kind, values: Iterable[str]) -> dict[str, str]:
    """Return which of ``values`` (addresses for a list of ranges, else values of its kind; names also below) a
    publication began to name: value -> the listed one. One pass over the file; a set of the values in memory.

    Errors: Unavailable.
    """
    if kind is Kind.CIDR:
        index = ListIndex(b"".join(pieces(growth.sha256, growth.size_bytes)), kind)
        return {one: network for one in values if (network := index.match_address(one)) is not None}
    wanted: dict[str, list[str]] = {}
    for one in values:
        for above in registered_names(one) if kind is Kind.DOMAIN else (one,):
            wanted.setdefault(above, []).append(one)
    found: dict[str, str] = {}
    for piece in pieces(growth.sha256, growth.size_bytes):
        for value in wanted.keys() & set(piece.decode().split()):
            found |= dict.fromkeys(wanted[value], value)
    return found


def since(one: Listed) -> datetime | None:
    """Return when a list began to name a value; None when it was before what is remembered. Errors: Unavailable."""
    for growth in ListGrowth.objects.filter(list_id=one.row.id).order_by("-at"):
        if any(
            one.indicator.value in ListIndex(piece, Kind.IP)
            for piece in pieces(growth.sha256, growth.size_bytes)
        ):
            return growth.at
    return None


def blocking_in(collectivite_id: str) -> Iterable[IndicatorList]:
    """The lists in force at the doors of one collectivité; "" for those of all."""
    alive = Q(expires_at=None) | Q(expires_at__gt=clock.paced_now())
    scopes = {SCOPE_ALL, collectivite_id} - {""}
    return IndicatorList.objects.filter(alive, scope__in=scopes, action=Action.BLOCK).order_by("name")


def held_of(one: Listed) -> Held:
    """An entry of a list, as exceptions ask about it."""
    return Held(one.row.threat or one.row.reason, RULE, {})


# -- reading -----------------------------------------------------------------------------------------------


def _in(row: IndicatorList, indicators: Iterable[Indicator]) -> dict[Indicator, list[Listed]]:
    kind = Kind(row.kind)
    wanted = [
        (one, _needles(one, kind), _beginning(one, kind)) for one in indicators if _fits(one.kind, kind)
    ]
    found: dict[Indicator, list[Listed]] = {}
    if not wanted:
        return found
    for piece in pieces(row.sha256, row.size_bytes):
        index = ListIndex(piece, kind if kind is not Kind.CIDR else Kind.IP)  # networks as plain values
        for one, exact, begins in wanted:
            values = [value for value in exact if value in index]
            values += _below(piece, one, kind, begins)
            if values:
                known = found.setdefault(one, [])
                known += [Listed(row, Indicator(kind, value)) for value in values]
    return found


def _fits(asked: Kind, listed: Kind) -> bool:
    return asked is listed or (asked in _NETWORKS and listed in _NETWORKS)


def _needles(indicator: Indicator, kind: Kind) -> Sequence[str]:
    """The values of a list of this kind that are ``indicator`` or above it."""
    if kind is Kind.DOMAIN:
        return registered_names(indicator.value)
    if kind is not Kind.CIDR:
        return (indicator.value,) if kind is indicator.kind else ()
    network = ipaddress.ip_network(indicator.value)
    lengths = range(min(network.prefixlen, network.max_prefixlen - 1), _SHORTEST[network.version] - 1, -1)
    return [str(ipaddress.ip_network((network.network_address, n), strict=False)) for n in lengths]


def _beginning(indicator: Indicator, kind: Kind) -> str:
    """How every line begins that lies in the range ``indicator``; "" where nothing can."""
    if indicator.kind is not Kind.CIDR or kind not in _NETWORKS:
        return ""
    return "".join(indicator.value.partition(":" if ":" in indicator.value else ".")[:2])


def _below(piece: bytes, indicator: Indicator, kind: Kind, begins: str) -> Iterator[str]:
    """The values of a piece that lie strictly below ``indicator``."""
    if kind is Kind.DOMAIN:
        yield from _lines_with(piece, f".{indicator.value}\n".encode())
    elif begins:
        for value in _lines_from(piece, begins.encode()):
            if value != indicator.value and rules.covers(indicator, Indicator(kind, value)):
                yield value


def _lines_with(piece: bytes, ending: bytes) -> Iterator[str]:
    at = piece.find(ending)
    while at >= 0:
        end = at + len(ending)
        yield piece[piece.rfind(b"\n", 0, at) + 1 : end - 1].decode()
        at = piece.find(ending, end - 1)


def _lines_from(piece: bytes, begins: bytes) -> Iterator[str]:
    at = 0 if piece.startswith(begins) else piece.find(b"\n" + begins) + 1
    while piece.startswith(begins, at):  # lines are sorted: they stand together
        end = piece.find(b"\n", at)
        yield piece[at:end].decode()
        at = end + 1


def pieces(sha256: str, size_bytes: int) -> Iterator[bytes]:
    """The content of a file of values, cut at ends of lines. Errors: Unavailable (damaged); an absent one is empty."""
    config: Config = settings.BEFFROI
    try:
        file = files.list_file(config.state, sha256).open("rb")
    except FileNotFoundError:
        return
    with file:
        packed = iter(lambda: file.read(1 << 16), b"")
        rest = b""
        try:
            for piece in files.decompressed(packed, limit_bytes=size_bytes):
                whole, end, rest = (rest + piece).rpartition(b"\n")
                if whole:
                    yield whole + end
        except (OSError, zlib.error):
            raise Unavailable("a list") from None
