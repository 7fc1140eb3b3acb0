"""Conditions of a request: ``If`` of WebDAV with its state tokens and etags, and those of HTTP. Pure.

Hostile: the header's text, up to MAX_HEADER_CHARS.
Source:  RFC 4918, section 10.4; RFC 9110, section 13. An empty Not-list or an unknown token is false, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

from beffroi.lib.errors import BeffroiError

MAX_HEADER_CHARS = 8192
_CONDITION = r"(?P<no>not\s*+)?(?:<(?P<token>[^<>\s]++)>|\[(?P<etag>[^\[\]]*+)\])\s*+"
_PLAIN = re.sub(r"\?P<\w+>", "?:", _CONDITION)
_LIST = rf"\(\s*+(?:{_PLAIN})++\)\s*+"
_FLAGS = re.IGNORECASE | re.ASCII
_CONDITIONS, _LISTS = re.compile(_CONDITION, _FLAGS), re.compile(_LIST, _FLAGS)
_GROUP = re.compile(rf"(?:<(?P<resource>[^<>\s]++)>\s*+)?(?P<lists>(?:{_LIST})++)", _FLAGS)


class ConditionMalformed(BeffroiError):
    """The header If is not written as RFC 4918 says."""

    code = "drive.condition_malformed"
    http_status = 400


class ConditionFailed(BeffroiError):
    """A condition of this request does not hold any more; nothing was changed."""

    code = "drive.condition_failed"
    http_status = 412


@dataclass(frozen=True)
class Condition:
    """``value``: a token's URI, or an entity tag with its quotes."""

    kind: Literal["token", "etag"]
    value: str
    is_negated: bool = False


@dataclass(frozen=True)
class Clause:
    """One list: true when all of it is. ``resource``: the URL that it speaks of; None: the request's."""

    resource: str | None
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class State:
    """Of one resource: its entity tag with quotes ("": none), and the tokens of the locks that reach it."""

    etag: str = ""
    tokens: frozenset[str] = frozenset()


def parse_if(text: str) -> tuple[Clause, ...]:
    """The lists of an ``If``, none for an absent one. Errors: ConditionMalformed."""
    if not text.strip():
        return ()
    if len(text) > MAX_HEADER_CHARS:
        raise ConditionMalformed
    clauses: list[Clause] = []
    text, at = text.strip(), 0
    while at < len(text):
        group = _GROUP.match(text, at)
        # Either one group without a resource, or each has one.
        if group is None or (clauses and (group["resource"] is None or clauses[-1].resource is None)):
            raise ConditionMalformed
        at = group.end()
        clauses += [Clause(group["resource"], _conditions(one)) for one in _LISTS.findall(group["lists"])]
    return tuple(clauses)


def _conditions(text: str) -> tuple[Condition, ...]:
    return tuple(
        Condition("token", one["token"], bool(one["no"]))
        if one["token"]
        else Condition("etag", strong(one["etag"]), bool(one["no"]))
        for one in _CONDITIONS.finditer(text)
    )


def submitted(clauses: tuple[Clause, ...]) -> frozenset[str]:
    """All tokens that the client shows (section 10.4.1), whether or not their list is true."""
    return frozenset(
        one.value
        for clause in clauses
        for one in clause.conditions
        if one.kind == "token" and not one.is_negated
    )


def holds(clauses: tuple[Clause, ...], state_of: Callable[[str | None], State]) -> bool:
    """Whether any list is true; an absent header is."""
    return not clauses or any(_list_holds(clause, state_of(clause.resource)) for clause in clauses)


def _list_holds(clause: Clause, state: State) -> bool:
    return all(
        (one.value in state.tokens if one.kind == "token" else one.value == state.etag) != one.is_negated
        for one in clause.conditions
    )


def strong(etag: str) -> str:
    """The tag without the mark of a weak one; proxies that compress add it."""
    return etag.strip().removeprefix("W/")


def names_etag(header: str, etag: str) -> bool:
    """Whether If-Match or If-None-Match names this tag, or any ("*"); quotes may be missing, as some clients send.

    Tags of ours hold no comma.
    """
    bare = etag.strip('"')
    return not {"*", bare, f'"{bare}"'}.isdisjoint(strong(one) for one in header.split(","))


def is_outdated(header: Callable[[bytes], str], etag: str, mtime_s: int) -> bool:
    """Whether If-Match, or where that is absent If-Unmodified-Since, does not hold of what is there."""
    if match := header(b"if-match"):
        return not names_etag(match, etag)
    since = header(b"if-unmodified-since")
    since_s = date_s(since) if since else None
    return since_s is not None and mtime_s > since_s


def date_s(header: str) -> int | None:
    """An HTTP date in epoch seconds; None for anything else, which RFC 9110 says to ignore.

    One without a zone, as its asctime form is, is of UTC.
    """
    try:
        found = parsedate_to_datetime(header)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


@dataclass(frozen=True)
class Range:
    """Bytes ``start`` to ``end`` (exclusive) of a file."""

    start: int
    end: int


class RangeOutside(BeffroiError):
    """This range lies outside of the file."""

    code = "drive.range_outside"
    http_status = 416


_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII)


def parse_range(header: str, size_bytes: int) -> Range | None:
    """The one range that is asked for. None: give the whole file (no range, several, or none that can be read).

    Errors: RangeOutside.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    if start >= end:
        raise RangeOutside
    return Range(start, end)
