"""What a seal forbids, and when a sealed folder may be destroyed. Pure.

Fails:   closed: every answer but None is an error. ``now_s`` is ``clock.paced``: a clock that was set forward by
         mistake ends no term.
Source:  code du patrimoine, articles L. 212-2, L. 212-3, R. 212-14 (no elimination without a visa).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from beffroi.lib.errors import Conflict, Invalid

REFERENCE_LETTERS = 200


class Sealed(Conflict):
    """This is sealed until {}: it can be read and exported, not changed."""

    code = "drive.sealed"


class TermRunning(Conflict):
    """The seal ends on {}: nothing of it is destroyed before."""

    code = "drive.term_running"


class KeptForEver(Conflict):
    """What is sealed without an end is never destroyed."""

    code = "drive.kept_for_ever"


class NoRule(Conflict):
    """The seal names no rule of the retention table, so nothing of it is destroyed."""

    code = "drive.no_retention_rule"


class VisaMissing(Invalid):
    """Nothing is destroyed without the reference and the date of the archives' visa: {}."""

    code = "drive.visa_missing"


class TermNotForward(Conflict):
    """A seal's term only grows: it ends on {}."""

    code = "drive.term_not_forward"


class TermTooShort(Invalid):
    """A seal ends after it begins."""

    code = "drive.term_too_short"


FOR_EVER = "for ever"


@dataclass(frozen=True)
class Node:
    """A file or folder by its identifiers; ``ancestors``: of all folders above it, in any order. What is about to be
    created or moved has those that it would have."""

    id: str
    ancestors: frozenset[str]


@dataclass(frozen=True)
class Seal:
    """``until_s``: UTC epoch seconds at which the term has ended, None for no end; ``by``: who sealed;
    ``rule``: of ``retention.TABLE``, "" for none."""

    folder: Node
    begun_s: int
    until_s: int | None
    by: str
    rule: str = ""

    def runs(self, now_s: float) -> bool:
        return self.until_s is None or now_s < self.until_s

    @property
    def end(self) -> str:
        return FOR_EVER if self.until_s is None else date_of(self.until_s)


@dataclass(frozen=True)
class Visa:
    """What the archives said to a list of what is to be eliminated. ``reference``: their text; ``by``: who gave it."""

    reference: str
    given_on: date
    by: str


def seal(folder: Node, *, now_s: int, until_s: int | None, by: str, rule: str = "") -> Seal:
    """Errors: TermTooShort."""
    if until_s is not None and until_s <= now_s:
        raise TermTooShort
    return Seal(folder, now_s, until_s, by, rule)


def may_change(node: Node, seal: Seal, *, now_s: float) -> None:
    """Write, rename, move or remove ``node``, or create it. What lies in the folder is sealed, the folder itself, and
    the names of those above it, with which it would move. Errors: Sealed."""
    inside = node.id == seal.folder.id or seal.folder.id in node.ancestors
    above = node.id in seal.folder.ancestors
    if (inside or above) and seal.runs(now_s):
        raise Sealed(seal.end)


def extended(seal: Seal, *, until_s: int | None, by: str) -> Seal:
    """The seal with a later end, by who asks for it; also after the old one has passed. Errors: TermNotForward."""
    if seal.until_s is None or (until_s is not None and until_s <= seal.until_s):
        raise TermNotForward(seal.end)
    return replace(seal, until_s=until_s, by=by)


def may_destroy(seal: Seal, visa: Visa | None, *, final: str, now_s: float) -> None:
    """``final``: what ``retention.TABLE`` says of the seal's rule, "" where it names none.

    Errors: KeptForEver, TermRunning, NoRule, VisaMissing."""
    if seal.until_s is None or final == "keep":
        raise KeptForEver
    if seal.runs(now_s):
        raise TermRunning(seal.end)
    if not final:
        raise NoRule
    if visa is None:
        raise VisaMissing("none was given")
    if not visa.reference.strip() or len(visa.reference) > REFERENCE_LETTERS:
        raise VisaMissing(f"a reference has 1 to {REFERENCE_LETTERS} letters")
    if any(unicodedata.category(letter).startswith("C") for letter in visa.reference):
        raise VisaMissing("the reference has a letter that cannot be shown")
    if not visa.by.strip():
        raise VisaMissing("it does not say who gave it")
    if visa.given_on.isoformat() > date_of(now_s):
        raise VisaMissing("it is dated in the future")


def date_of(epoch_s: float) -> str:
    """``2036-11-27``, in UTC."""
    return datetime.fromtimestamp(epoch_s, UTC).date().isoformat()
