"""STIX 2.1: the indicators of a bundle. Pure.

Input:  hostile JSON and patterns, bounded.
Rule:   a pattern counts when each of its alternatives is one equality about an address, a name, a web address, a
        sender or a SHA-256. A pattern that asks for several things at once (AND, FOLLOWEDBY) means less than each of
        its parts, so blocking a part would hit bystanders: it is counted as unsupported.
        Of several versions the latest counts; a revoked one, or one whose time is over, withdraws its values.
Source: STIX 2.1, OASIS Standard, sections 3.2, 4.7 and 9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from beffroi_protocol.indicators import Kind

from beffroi.watch.sources.formats.misp import decode
from beffroi.watch.sources.formats.values import Found, Value, of_text, refanged

MAX_PATTERN_CHARS = 64 * 1024
_STRING = r"'((?:[^'\\]|\\.){0,4096})'"
_EQUALITY = re.compile(
    rf"\s*([a-z0-9-]+):([a-zA-Z0-9_.-]+(?:\.'[A-Za-z0-9-]+')?)\s*(?:=|IN)\s*(?:{_STRING}|\(\s*({_STRING}(?:\s*,\s*{_STRING})*)\s*\))\s*"
)
_LITERAL = re.compile(_STRING)
_KINDS: dict[tuple[str, str], Kind | None] = {
    ("ipv4-addr", "value"): None,
    ("ipv6-addr", "value"): None,
    ("domain-name", "value"): Kind.DOMAIN,
    ("url", "value"): Kind.URL,
    ("email-addr", "value"): Kind.SENDER,
    ("email-message", "from_ref.value"): Kind.SENDER,
    ("email-message", "sender_ref.value"): Kind.SENDER,
    ("file", "hashes.'SHA-256'"): Kind.SHA256,
    ("file", "hashes.SHA-256"): Kind.SHA256,
    ("file", "hashes.'SHA256'"): Kind.SHA256,
    ("file", "hashes.SHA256"): Kind.SHA256,
    ("network-traffic", "dst_ref.value"): None,
    ("network-traffic", "src_ref.value"): None,
}


class Object(msgspec.Struct):
    """What is read of any object of STIX; only indicators count."""

    type: str = ""
    id: str = ""
    modified: str = ""
    pattern: Any = None
    pattern_type: str = "stix"
    revoked: bool = False
    valid_until: str = ""


class _Bundle(msgspec.Struct):
    type: str
    objects: list[Object] = []


def read(data: bytes, *, now_s: int) -> Found:
    """Read a bundle. Errors: Unreadable, TooDeep."""
    bundle = decode(data, _Bundle)
    if bundle.type != "bundle":
        return of_objects([decode(data, Object)], now_s=now_s)
    return of_objects(bundle.objects, now_s=now_s)


def of_objects(objects: Iterable[Object], *, now_s: int) -> Found:
    """The values of each indicator in its newest form; what is over at ``now_s`` (epoch seconds) is withdrawn."""
    found = Found()
    latest: dict[str, Object] = {}
    for one in objects:
        before = latest.get(one.id)
        if one.type == "indicator" and (before is None or one.modified >= before.modified):
            latest[one.id] = one
    for one in latest.values():
        if one.pattern_type != "stix" or not isinstance(one.pattern, str):
            found.unsupported += 1
            continue
        pairs = alternatives(one.pattern)
        if pairs is None:
            found.unsupported += 1
            continue
        until = _epoch_s(one.valid_until)
        if until < 0:
            found.invalid += 1
            continue
        withdrawn = one.revoked or 0 < until <= now_s
        for kind, text in pairs:
            value = _value(kind, text, until, withdrawn=withdrawn)
            found.add(value)
    return found


def alternatives(pattern: str) -> list[tuple[Kind | None, str]] | None:
    """Return (kind, value) of each alternative of a pattern; None when it says anything else."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return None
    pairs: list[tuple[Kind | None, str]] = []
    rest = pattern.strip()
    while True:
        if not rest.startswith("["):
            return None
        rest = rest[1:]
        while True:
            match = _EQUALITY.match(rest)
            if match is None or (match[1], match[2]) not in _KINDS:
                return None
            kind = _KINDS[match[1], match[2]]
            several = _LITERAL.findall(match[4]) if match[4] is not None else [match[3]]
            pairs += [(kind, re.sub(r"\\(.)", r"\1", text)) for text in several]
            rest = rest[match.end() :]
            if rest.startswith("]"):
                rest = rest[1:].strip()
                break
            if not re.match(r"OR\s", rest):
                return None
            rest = rest[2:]
        if not rest:
            return pairs
        if not re.match(r"OR\s*\[", rest):
            return None
        rest = rest[2:].lstrip()


def _value(kind: Kind | None, text: str, until: int, *, withdrawn: bool) -> Value | None:
    bare = refanged(text)
    if kind is not None:
        return Value(kind.value, bare, until, withdrawn)
    guess = of_text(bare)
    if guess is None or guess.kind not in (Kind.IP, Kind.CIDR):
        return None
    return Value(guess.kind, guess.value, until, withdrawn)


def _epoch_s(text: str) -> int:
    """0 when there is none, -1 when it cannot be read."""
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(1, int(moment.timestamp()))
    except (ValueError, OverflowError):
        return -1
