"""MISP JSON: one event, several, and the manifest of a feed. Pure.

Input:  hostile JSON, bounded; only the fields named here are read.
Rule:   an attribute counts when its author marked it for detection (``to_ids``) and did not delete it.
Source: https://www.misp-project.org/datamodels/ ; MISP core format (draft-dulaunoy-misp-core-format).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.indicators import Kind

from beffroi.watch.sources.errors import TooDeep, Unreadable
from beffroi.watch.sources.formats.values import Found, Value, of_text, refanged

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TYPES: dict[str, tuple[int, Kind | None]] = {
    # type: (which part of "a|b" counts, kind); kind None: the shape says ip or cidr
    "ip-src": (0, None),
    "ip-dst": (0, None),
    "ip-src|port": (0, None),
    "ip-dst|port": (0, None),
    "domain": (0, Kind.DOMAIN),
    "hostname": (0, Kind.DOMAIN),
    "hostname|port": (0, Kind.DOMAIN),
    "url": (0, Kind.URL),
    "sha256": (0, Kind.SHA256),
    "filename|sha256": (1, Kind.SHA256),
    "email-src": (0, Kind.SENDER),
    "email": (0, Kind.SENDER),
}


class _Attribute(msgspec.Struct):
    type: str
    value: str
    to_ids: bool = False
    deleted: bool = False


class _Object(msgspec.Struct):
    attributes: list[_Attribute] = msgspec.field(name="Attribute", default_factory=list)
    deleted: bool = False


class _Event(msgspec.Struct):
    attributes: list[_Attribute] = msgspec.field(name="Attribute", default_factory=list)
    objects: list[_Object] = msgspec.field(name="Object", default_factory=list)


class _Document(msgspec.Struct):
    event: _Event = msgspec.field(name="Event")


class _Answer(msgspec.Struct):
    response: list[_Document]


class _Listed(msgspec.Struct):
    timestamp: int | str = 0


def read(data: bytes) -> Found:
    """Read one event, a list of events, or the answer of a search. Errors: Unreadable, TooDeep."""
    found = Found()
    for event in _events(data):
        hidden = (a for one in event.objects if not one.deleted for a in one.attributes)
        for attributes in (event.attributes, hidden):
            _take(found, attributes)
    return found


def manifest(data: bytes) -> list[tuple[str, int]]:
    """Return (uuid, last change in UTC epoch seconds) of a feed's events, newest first. Errors: Unreadable, TooDeep."""
    listed = decode(data, dict[str, _Listed])
    events = []
    for uuid, one in listed.items():
        try:
            changed = int(one.timestamp)
        except ValueError:
            changed = 0
        if _UUID.fullmatch(uuid):  # it becomes part of an address
            events.append((uuid, changed))
    return sorted(events, key=lambda event: -event[1])


def add_attribute(found: Found, kind: str, value: str) -> None:
    """Add what a MISP type and value say; ``domain|ip`` says two things."""
    if kind == "domain|ip":
        name, _, address = value.partition("|")
        found.add(Value(Kind.DOMAIN.value, refanged(name)))
        found.add(of_text(address))
        return
    part, known = _TYPES.get(kind, (-1, None))
    if part < 0:
        found.unsupported += 1
        return
    text = refanged([*value.split("|"), ""][part])
    guess = of_text(text)
    if known is None:
        found.add(guess if guess is not None and guess.kind in (Kind.IP, Kind.CIDR) else None)
    else:
        found.add(Value(known.value, text))


def decode[T](data: bytes, type_: type[T]) -> T:
    """Errors: Unreadable, TooDeep."""
    try:
        return msgspec.json.decode(data, type=type_, strict=False)
    except RecursionError:
        raise TooDeep from None
    except UNDECODABLE as error:
        raise Unreadable(str(error)[:100]) from None


def _events(data: bytes) -> list[_Event]:
    first = data.lstrip()[:1]
    if first == b"[":
        return [one.event for one in decode(data, list[_Document])]
    try:
        return [decode(data, _Document).event]
    except Unreadable:
        return [one.event for one in decode(data, _Answer).response]


def _take(found: Found, attributes: Iterable[_Attribute]) -> None:
    for one in attributes:
        if one.to_ids and not one.deleted:
            add_attribute(found, one.type, one.value)
