"""Facts: what doors tell the centre about what they saw and did.

Purpose: the one definition of what a door reports; ``messages`` has what it is told.
Input:   hostile: ``messages.decode(payload, FactBatch)`` caps the size and checks types, bounds and version.
Rule:    a field added later has a default; a fact keeps its ``id`` when it is sent again. No LAN address, no content.
Units:   ``at``, ``*_at`` in UTC epoch seconds.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import Name, Number, Seconds, Text
from beffroi_protocol.relaying import Reason

Direction = Annotated[str, msgspec.Meta(pattern="^(in|out)$")]
"""As the town hall sees it: ``in`` from the internet, ``out`` towards it."""
PortOrNone = Annotated[int, msgspec.Meta(ge=0, le=65535)]
"""0: the protocol has no ports."""
Labels = Annotated[
    tuple[Annotated[str, msgspec.Meta(pattern=r"\Aposte-[0-9A-Z]{5}\Z")], ...], msgspec.Meta(max_length=8)
]
"""What a box calls machines of its LAN: keyed hashes; only the box itself knows whose they are."""


class FlowsBlocked(msgspec.Struct, frozen=True, tag="flows_blocked", tag_field="t"):
    """Attempts of one remote address that a box refused, counted over an interval. No LAN address.

    ``count``: attempts. Within five minutes, all packets of one remote, direction, protocol and port are one;
    0 tells only of one more machine. ``machines``: who began them, told of command servers only; the first eight
    that were seen.
    """

    id: Name
    indicator: Indicator
    direction: Direction
    count: Number
    first_at: Seconds
    last_at: Seconds
    protocol: Text = ""
    port: PortOrNone = 0
    entry_id: Text = ""
    machines: Labels = ()


class NamesRefused(msgspec.Struct, frozen=True, tag="names_refused", tag_field="t"):
    """Look-ups of one listed name that a box refused, counted over an interval.

    ``count``: within five minutes, all questions of the LAN for the name and names below it are one; 0 tells only of
    one more machine. ``machines``: as in FlowsBlocked.
    """

    id: Name
    indicator: Indicator
    count: Number
    first_at: Seconds
    last_at: Seconds
    entry_id: Text = ""
    machines: Labels = ()


class RefusedTotals(msgspec.Struct, frozen=True, tag="refused_totals", tag_field="t"):
    """What the kernel of a box refused in one direction over an interval, exact even where a flood hid its senders.

    ``packets``: all of them, repetitions too. ``attempts``: as in FlowsBlocked, also those told of nobody.
    """

    id: Name
    direction: Direction
    packets: Number
    attempts: Number
    first_at: Seconds
    last_at: Seconds


class EntryRefused(msgspec.Struct, frozen=True, tag="entry_refused", tag_field="t"):
    """A deny entry that the door would not enforce, because it names something protected."""

    id: Name
    entry_id: Name
    indicator: Indicator
    reason: Text
    at: Seconds


class PolicyRolledBack(msgspec.Struct, frozen=True, tag="policy_rolled_back", tag_field="t"):
    id: Name
    policy_version: Number
    kept_version: Number
    reason: Text
    at: Seconds


class Sighting(msgspec.Struct, frozen=True, tag="sighting", tag_field="t"):
    """Evidence that a machine can check again; never a verdict."""

    id: Name
    detector: Name
    indicators: tuple[Indicator, ...]
    seen_at: Seconds
    evidence: dict[str, str] = {}


class LookBack(msgspec.Struct, frozen=True, tag="look_back", tag_field="t"):
    """How often the whole LAN met a new entry's indicator in the days before: flows, on how many days.

    ``values``: of a list, how many of its values that is a sum of, ``indicator`` being the one met most; 0: not told.
    """

    id: Name
    entry_id: Name
    indicator: Indicator
    count: Number
    days: Number
    first_at: Seconds
    last_at: Seconds
    values: Number = 0


class FlowsLearned(msgspec.Struct, frozen=True, tag="flows_learned", tag_field="t"):
    """New flows that a town hall lives on, counted while its box observes.

    Inbound: ``remote`` is the source's /24 or /48. Outbound: ``service`` is one of the box's catalogue of what town
    halls use, ``remote`` is empty: no browsing history.
    """

    id: Name
    direction: Direction
    protocol: Text
    port: PortOrNone
    count: Number
    first_at: Seconds
    last_at: Seconds
    remote: Text = ""
    service: Text = ""


class Bypass(msgspec.Struct, frozen=True, tag="bypass", tag_field="t"):
    """Machines of the LAN that go round the box, or its resolver. ``count``: machines, or attempts where none shows."""

    id: Name
    kind: Name
    count: Number
    at: Seconds


class Diagnosis(msgspec.Struct, frozen=True, tag="diagnosis", tag_field="t"):
    """The answer to a ``Question``: the box's own state as short texts by name; nothing of the people behind it."""

    id: Name
    question_id: Name
    at: Seconds
    report: Annotated[dict[Name, Text], msgspec.Meta(max_length=50)]


class SoftwareUpdated(msgspec.Struct, frozen=True, tag="software_updated", tag_field="t"):
    """What became of a release on a box. ``outcome``: installed (and proved), rolled_back (the former one is back), or
    refused (nothing was changed)."""

    id: Name
    number: Number
    version: Text
    outcome: Annotated[str, msgspec.Meta(pattern="^(installed|rolled_back|refused)$")]
    reason: Text
    at: Seconds


class MailRelayed(msgspec.Struct, frozen=True, tag="mail_relayed", tag_field="t"):
    """What one device handed to the relay over an interval. ``device``: its label in the policy, "" for machines that
    it does not name. ``sent``: accepted by the centre; ``refused``: here or there; ``reason``: why, the last time.
    """

    id: Name
    device: Annotated[str, msgspec.Meta(max_length=60)]
    sent: Number
    refused: Number
    last_at: Seconds
    reason: Reason = ""


Fact = (
    FlowsBlocked
    | NamesRefused
    | EntryRefused
    | PolicyRolledBack
    | Sighting
    | LookBack
    | FlowsLearned
    | Bypass
    | RefusedTotals
    | Diagnosis
    | SoftwareUpdated
    | MailRelayed
)


class FactBatch(msgspec.Struct, frozen=True):
    """``number``: of this post, one higher than that of the last one that the centre took; 0: none. ``after``: whoever
    has the posts up to this number has all up to ``number`` with this one: the box keeps nothing else between them."""

    v: int
    facts: tuple[Fact, ...]
    after: Number = 0
    number: Number = 0


class FactsTaken(msgspec.Struct, frozen=True):
    """The answer: how many facts are stored, and up to which number the centre has all posts of this box. None: it does
    not count them."""

    stored: Number = 0
    told: Number | None = None
