"""What other servers answered each of our addresses, and whose recipients they refused, from the lines of Postfix's
log. Pure.

Input:  hostile in part: names of servers and their answers stand in the lines. Only shapes are matched; what leaves
        are names of our own lanes, numbers, and the sender of a mail that was refused for good.
Traps:  a refusal because a mailbox is not there or full says nothing of our address, and greylisting is no refusal.
        The line that names a sender comes before those of its recipients, perhaps hours before: the caller keeps who
        sends what until it is gone. What it never saw counts for nobody.
Source: postfix's src/smtp and src/qmgr; RFC 3463 (the second number of a status).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field

_LANE = rb"(?:smtp|slow-([a-z0-9]{1,16})/smtp|out-([a-z][a-z0-9]{0,11})(?:-([a-z0-9]{1,16}))?/smtp)"
_ANSWER = re.compile(
    rb"postfix-beffroi/" + _LANE + rb"\[\d{1,10}\]: ([0-9A-Za-z]{6,40}): to=<[^>\s]{0,600}>,.{0,600}?"
    rb" dsn=([245])\.(\d{1,3})\.(\d{1,3}), status=(sent|deferred|bounced) \((.{0,2000})"
)
_FROM = re.compile(
    rb"postfix-beffroi/qmgr\[\d{1,10}\]: ([0-9A-Za-z]{6,40}): from=<([a-z0-9._+-]{1,64}@[a-z0-9.-]{1,253})>,"
)
_GONE = re.compile(rb"postfix-beffroi/qmgr\[\d{1,10}\]: ([0-9A-Za-z]{6,40}): removed")
_SAID = re.compile(rb"(?: said: |refused to talk to me: )[45]\d\d")
_GREY = re.compile(rb"gr[ae]y ?-?list", re.IGNORECASE)
_OF_THE_RECIPIENT = (b"1", b"2")
_OF_THE_SENDER = (b"7", b"8")
"""Among the statuses of addresses: X.1.7 and X.1.8."""
_NO_STATUS = re.compile(rb" said: 55[013][ -](?![245]\.\d).{0,1900}\(in reply to RCPT TO command\)")
"""A refusal at RCPT by a server that gives no status of its own; Postfix then writes 5.0.0."""


@dataclass
class Answers:
    """``lanes``: (exit, provider, "sent" or "refused") -> recipients; ``senders``: whose recipients were refused for
    good, and how many; of these ``unknown``: recipients that their server does not know; ``answered``: whose
    recipients were taken or refused for good."""

    lanes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    senders: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)


def count(lines: Iterable[bytes], senders: MutableMapping[bytes, str]) -> Answers:
    """A line that is none of these is passed over. ``senders``: whose each mail of the queue is, brought up to date."""
    found = Answers()
    for line in lines:
        if (began := _FROM.search(line)) is not None:
            senders[began.group(1)] = began.group(2).decode("ascii")
        elif (gone := _GONE.search(line)) is not None:
            senders.pop(gone.group(1), None)
        elif (answer := _ANSWER.search(line)) is not None:
            slow, exit_, provider, mail, _kind, subject, detail, status, said = answer.groups()
            lane = (exit_ or b"").decode(), (slow or provider or b"").decode()
            if status == b"sent":
                found.lanes[(*lane, "sent")] += 1
                if mail in senders:
                    found.answered[senders[mail]] += 1
            elif _SAID.search(said) and not _GREY.search(said):
                if subject not in _OF_THE_RECIPIENT:
                    found.lanes[(*lane, "refused")] += 1
                if status == b"bounced" and mail in senders:
                    found.senders[senders[mail]] += 1
                    found.answered[senders[mail]] += 1
                    found.unknown[senders[mail]] += _is_unknown(subject, detail, said)
    return found


def _is_unknown(subject: bytes, detail: bytes, said: bytes) -> bool:
    """Whether a refusal says that the recipient does not exist. One for our address or what the mail says would strike
    whoever writes to that provider."""
    if subject == b"1":
        return detail not in _OF_THE_SENDER
    return subject == b"0" and _NO_STATUS.search(said) is not None
