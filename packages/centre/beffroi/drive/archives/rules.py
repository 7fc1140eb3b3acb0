"""How long a seal stands, and when what it covers may be freed or destroyed. Pure.

Rule:    the end of a term ends no seal: from then on a person may lift it, or have the folder destroyed with a visa.
         So no clock, right or wrong, opens a sealed folder (``store.seals`` asks none).
Fails:   closed: every answer but None is an error. ``now_s`` is ``clock.paced``: a clock that was set forward by
         mistake ends no term.
Source:  code du patrimoine, articles L. 212-2, L. 212-3, R. 212-14 (no elimination without a visa).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime

from beffroi.lib.errors import BeffroiError, Conflict, Invalid

REFERENCE_LETTERS = 200


class Sealed(BeffroiError):
    """This is sealed: it can be read and exported, not changed."""

    code = "drive.sealed"
    http_status = 403


class TermRunning(Conflict):
    """The seal ends on {}: nothing of it is freed or destroyed before."""

    code = "drive.term_running"


class KeptForEver(Conflict):
    """What is sealed without an end, or kept for good by its rule, is neither freed nor destroyed."""

    code = "drive.kept_for_ever"


class RuleBinds(Conflict):
    """A rule of the retention table covers it: it is freed by its destruction alone, with the archives' visa."""

    code = "drive.rule_binds"


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
class Seal:
    """``until_s``: UTC epoch seconds at which the term has ended, None for no end; ``rule``: of ``retention.TABLE``, ""
    for none."""

    until_s: int | None
    rule: str

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


def may_seal(*, now_s: int, until_s: int | None) -> None:
    """Errors: TermTooShort."""
    if until_s is not None and until_s <= now_s:
        raise TermTooShort


def may_lift(seal: Seal, *, now_s: float) -> None:
    """Make an ordinary folder of it again. Errors: KeptForEver, TermRunning, RuleBinds."""
    _require_over(seal, now_s)
    if seal.rule:
        raise RuleBinds


def may_extend(seal: Seal, *, until_s: int | None) -> None:
    """To a later end, also after the old one has passed. Errors: TermNotForward."""
    if seal.until_s is None or (until_s is not None and until_s <= seal.until_s):
        raise TermNotForward(seal.end)


def may_destroy(seal: Seal, visa: Visa | None, *, final: str, now_s: float) -> None:
    """``final``: what ``retention.TABLE`` says of the seal's rule, "" where it names none.

    Errors: KeptForEver, TermRunning, NoRule, VisaMissing."""
    if final == "keep":
        raise KeptForEver
    _require_over(seal, now_s)
    if not final:
        raise NoRule
    if visa is None:
        raise VisaMissing("none was given")
    if not visa.reference.strip() or len(visa.reference) > REFERENCE_LETTERS:
        raise VisaMissing(f"a reference has 1 to {REFERENCE_LETTERS} letters")
    if any(unicodedata.category(letter).startswith("C") for letter in visa.reference + visa.by):
        raise VisaMissing("it has a letter that cannot be shown")
    if not visa.by.strip():
        raise VisaMissing("it does not say who gave it")
    if visa.given_on.isoformat() > date_of(now_s):
        raise VisaMissing("it is dated in the future")


def _require_over(seal: Seal, now_s: float) -> None:
    if seal.until_s is None:
        raise KeptForEver
    if seal.runs(now_s):
        raise TermRunning(seal.end)


def date_of(epoch_s: float) -> str:
    """``2036-11-27``, in UTC."""
    return datetime.fromtimestamp(epoch_s, UTC).date().isoformat()
