"""A copy of the audit log that verifies by itself, kept away from the machine. Pure: no database, no settings.

Format: UTF-8, one JSON list a line. Personal sides are not in it: they stay erasable.

| first item | then | meaning |
|---|---|---|
| ``beffroi-audit-1`` | keys, position, hash, checkpoint | where the file begins; null, or the checkpoint of a prune |
| ``e`` | hash, position, then ``chain.fields_of`` the entry | one link of the chain |
| ``c`` | position, hash, count, at, signature | a signed checkpoint on the way |
| ``end`` | position, hash, count, at, signature | signed: a file that was cut has none |

Input:  hostile; anyone may have kept the file. Fails closed: the first line that does not fit ends the check.
Trust:  the keys in the file only show that it is of one piece. Compare them with ones that you kept, or name those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.signing import b64, fingerprint, unb64

from beffroi.core.audit import chain, signing

FORMAT = "beffroi-audit-1"
MAX_LINE_BYTES = 1024 * 1024
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FileReport:
    """``problem``: one sentence, or "". ``line``: the one that does not fit. ``key``: fingerprint of the signer."""

    ok: bool
    count: int
    head: str
    position: int
    key: str
    pinned: bool
    exported_at: str
    line: int
    problem: str


def first_line(keys: Sequence[bytes], position: int, head: str, mark: list[Any] | None) -> str:
    return _line([FORMAT, [b64(key) for key in keys], position, head, mark])


def entry_line(position: int, head: str, entry: chain.Entry) -> str:
    return _line(["e", head, position, *chain.fields_of(entry)])


def signed_line(kind: Literal["c", "end"], said: signing.Statement, signature: str) -> str:
    return _line([kind, *signed_fields(said, signature)])


def signed_fields(said: signing.Statement, signature: str) -> list[Any]:
    return [said.position, said.hash, said.count, said.at_us, signature]


def _line(fields: list[Any]) -> str:
    return chain.canonical(fields) + "\n"


class _Misfit(Exception):
    """One sentence: why a line does not fit."""


class _Check:
    def __init__(self, keys: Sequence[bytes], expected_head: str) -> None:
        self.keys, self.pinned = list(keys), bool(keys)
        self.expected_head, self.seen = expected_head, expected_head in ("", chain.GENESIS)
        self.position, self.head, self.count = 0, chain.GENESIS, 0
        self.signer, self.at_us, self.ended = "", 0, False

    def take(self, raw: bytes, *, first: bool) -> None:
        """Errors: _Misfit."""
        if len(raw) > MAX_LINE_BYTES:
            raise _Misfit("the line is too long")
        try:
            fields = json.loads(raw)
            kind = fields[0]
            if self.ended:
                raise _Misfit("something follows the signed end")
            if (kind == FORMAT) is not first:
                raise _Misfit("this is not an export of the audit log")
            steps: dict[str, Callable[..., object]] = {FORMAT: self._begin, "e": self._entry}
            steps |= {"c": self._checkpoint, "end": self._end}
            steps[kind](*fields[1:])
        except (ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError, AttributeError):
            raise _Misfit("the line is not understood") from None

    def _begin(self, keys: list[str], position: int, head: str, mark: list[Any] | None) -> None:
        if not self.pinned:
            self.keys = [_key(key) for key in keys[:100]]
        self.position, self.head = int(position), str(head)
        if self.position == 0 and (self.head != chain.GENESIS or mark is not None):
            raise _Misfit("the first line is not that of a whole log")
        if self.position:
            self._checkpoint(*(mark or ()))
        self.seen = self.seen or self.head == self.expected_head

    def _entry(self, head: str, position: int, *fields: Any) -> None:
        if position != self.position + 1 or chain.link_fields(self.head, position, fields) != head:
            raise _Misfit(f"entry {self.position + 1} was changed, taken out or added")
        self.position, self.head, self.count = position, head, self.count + 1
        self.seen = self.seen or head == self.expected_head

    def _checkpoint(self, *fields: Any) -> None:
        self._signed("checkpoint", *fields)

    def _end(self, *fields: Any) -> None:
        said = self._signed("export", *fields)
        if said.count != self.count:
            raise _Misfit("the signed number of entries is another one")
        self.at_us, self.ended = said.at_us, True

    def _signed(self, kind: Literal["checkpoint", "export"], *fields: Any) -> signing.Statement:
        position, head, count, at_us, signature = fields
        said = signing.Statement(kind, position, head, count, at_us)
        if (position, head) != (self.position, self.head):
            raise _Misfit(f"the chain does not pass through what was signed at entry {position}")
        signer = signing.signed_by(self.keys, said, str(signature))
        if signer is None:
            raise _Misfit(f"the signature at entry {position} is of none of the keys")
        self.signer = fingerprint(signer)
        return said


def verify(lines: Iterable[bytes], *, keys: Sequence[bytes] = (), expected_head: str = "") -> FileReport:
    """Check a file line by line; what does not fit is ``problem``, at ``line`` (from 1). ``keys``: raw public keys that
    you kept; without them the file's own are used. ``expected_head``: a hash that the chain must hold, "" for none."""
    check, number, problem = _Check(keys, expected_head), 0, ""
    try:
        for number, raw in enumerate(lines, 1):
            check.take(raw, first=number == 1)
        if not check.ended:
            raise _Misfit("the file was cut: its signed end is missing")
        if not check.seen:
            raise _Misfit("the chain does not pass through the expected head")
    except _Misfit as misfit:
        problem = str(misfit)
    at = (_1970 + timedelta(microseconds=check.at_us)).isoformat() if check.ended else ""
    return FileReport(
        ok=not problem,
        count=check.count,
        head=check.head,
        position=check.position,
        key=check.signer,
        pinned=check.pinned,
        exported_at=at,
        line=number if problem else 0,
        problem=problem,
    )


def _key(text: str) -> bytes:
    try:
        return unb64(text)
    except ProtocolError:
        raise _Misfit("a key in it is not readable") from None
