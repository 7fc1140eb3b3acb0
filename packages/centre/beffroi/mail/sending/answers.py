"""What other servers answered each of our addresses, and whose recipients they refused, from the lines of Postfix's
log. Pure.

Input:  hostile in part: names of servers and their answers stand in the lines. Only shapes are matched; what leaves
        are names of our own lanes, numbers, and the sender of a mail that was refused for good.
Traps:  a refusal because a mailbox is not there or full says nothing of our address, and greylisting is no refusal.
        The line that names a sender comes before those of its recipients, perhaps in an earlier part of the log: then
        the refusal counts for nobody.
Source: postfix's src/smtp and src/qmgr; RFC 3463 (the second number of a status).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_LANE = rb"(?:smtp|slow-([a-z0-9]{1,16})/smtp|out-([a-z][a-z0-9]{0,11})(?:-([a-z0-9]{1,16}))?/smtp)"
_ANSWER = re.compile(
    rb"postfix-beffroi/" + _LANE + rb"\[\d{1,10}\]: ([0-9A-Za-z]{6,40}): to=<[^>\s]{0,600}>,.{0,600}?"
    rb" dsn=([245])\.(\d{1,3})\.\d{1,3}, status=(sent|deferred|bounced) \((.{0,2000})"
)
_FROM = re.compile(
    rb"postfix-beffroi/qmgr\[\d{1,10}\]: ([0-9A-Za-z]{6,40}): from=<([a-z0-9._+-]{1,64}@[a-z0-9.-]{1,253})>,"
)
_SAID = re.compile(rb"(?: said: |refused to talk to me: )[45]\d\d")
_GREY = re.compile(rb"gr[ae]y ?-?list", re.IGNORECASE)
_OF_THE_RECIPIENT = (b"1", b"2")


@dataclass
class Answers:
    """``lanes``: (exit, provider, "sent" or "refused") -> recipients; ``senders``: whose recipients were refused for
    good, and how many."""

    lanes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    senders: Counter[str] = field(default_factory=Counter)


def count(lines: Iterable[bytes]) -> Answers:
    """A line that is none of these is passed over."""
    found, senders = Answers(), dict[bytes, str]()
    for line in lines:
        if (began := _FROM.search(line)) is not None:
            senders[began.group(1)] = began.group(2).decode("ascii")
        elif (answer := _ANSWER.search(line)) is not None:
            slow, exit_, provider, mail, _kind, subject, status, said = answer.groups()
            lane = (exit_ or b"").decode(), (slow or provider or b"").decode()
            if status == b"sent":
                found.lanes[(*lane, "sent")] += 1
            elif _SAID.search(said) and not _GREY.search(said):
                if subject not in _OF_THE_RECIPIENT:
                    found.lanes[(*lane, "refused")] += 1
                if status == b"bounced" and mail in senders:
                    found.senders[senders[mail]] += 1
    return found
