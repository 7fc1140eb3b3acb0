"""What a source of mail in our name is, and whether the domain may become stricter. Pure: no I/O, no Django."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

CLEAN_DAYS = 14
"""A business program that sends once a week was seen twice by then."""
CLEAN_REPORTED_DAYS = 7
CLEAN_MESSAGES = 20
"""Fewer mails than this in all say nothing."""
SUDDEN_MESSAGES = 50
"""Unaligned mails of a source within ``SUDDEN_DAYS`` that alarm. Judged, not measured: a town hall sends some dozens a
day, and a single spammer thousands."""
SUDDEN_DAYS = 7
COMPLAINTS, COMPLAINT_DAYS = 5, 7
"""Complaints about the mails of one mailbox within so many days that a person looks at. Judged, not measured."""
FORWARDED = frozenset({"forwarded", "mailing_list", "trusted_forwarder", "local_policy"})
NEXT = {"none": "quarantine", "quarantine": "reject"}


class Kind(StrEnum):
    OURS = "ours"  # our servers, and they pass
    BROKEN = "broken"  # our servers, and they do not pass: our records are wrong
    PASSES = "passes"  # another server whose mails pass: authorised, or forwarded with our signature intact
    FORWARDED = "forwarded"  # does not pass, and the reporter says why: a list, a forwarding
    SERVICE = "service"  # passes for a name of its own: a service that may work for the commune
    STRANGER = "stranger"  # passes for nothing


@dataclass(frozen=True)
class Source:
    """One operator, counted over a time. ``ours``: an address of ours; ``proved``: passed for another domain;
    ``excused``: did not pass and the reporter gave a reason of ``FORWARDED``; ``word``: what a person said."""

    operator: str
    ours: bool
    messages: int
    aligned: int
    proved: int = 0
    excused: int = 0
    refused: int = 0
    word: str = ""

    @property
    def unaligned(self) -> int:
        return self.messages - self.aligned

    @property
    def kind(self) -> Kind:
        """By the larger part of what did not pass; what passes wholly is well."""
        bad = self.unaligned
        if self.ours:
            return Kind.BROKEN if bad else Kind.OURS
        if not bad:
            return Kind.PASSES
        if 2 * self.excused >= bad:
            return Kind.FORWARDED
        return Kind.SERVICE if 2 * self.proved >= bad else Kind.STRANGER

    @property
    def open(self) -> bool:
        """Whether a stricter policy may hurt mail of the commune's, for all that is known."""
        kind = self.kind
        if kind is Kind.BROKEN:
            return True
        if kind in (Kind.SERVICE, Kind.STRANGER):
            return self.word != "not_ours"
        return False


@dataclass(frozen=True)
class Advice:
    """``code``: last (nothing stricter exists), quiet (too few reports), open (sources to settle), ready. ``to``: the
    stricter policy; ``days``: days with reports; ``blocking``: operators that stand in the way."""

    code: str
    to: str = ""
    days: int = 0
    blocking: tuple[str, ...] = ()


def advice(policy: str, sources: Iterable[Source], days: Iterable[date]) -> Advice:
    """May the domain go from ``policy`` to the next one? ``sources``, ``days``: of authentic reports of the last
    ``CLEAN_DAYS`` alone."""
    found, reported = list(sources), len(set(days))
    to = NEXT.get(policy, "")
    if not to:
        return Advice("last", days=reported)
    if reported < CLEAN_REPORTED_DAYS or sum(one.aligned for one in found) < CLEAN_MESSAGES:
        return Advice("quiet", to, reported)
    blocking = tuple(one.operator for one in found if one.open)
    return Advice("open" if blocking else "ready", to, reported, blocking)


def sudden(source: Source, *, known_before: bool) -> bool:
    """Whether somebody new sends much that does not pass. ``known_before``: it was there before ``SUDDEN_DAYS``."""
    bad = source.kind in (Kind.SERVICE, Kind.STRANGER) and source.unaligned >= SUDDEN_MESSAGES
    return bad and not known_before and not source.word
