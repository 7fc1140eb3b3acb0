"""Corroboration: when evidence becomes a decision. Pure: typed values in, proposals out.

Rule:    a press of a button is a sighting, never proof. An exact hash or a full URL needs one proof: malice that a
         machine checked, or the Département's word. A name, an address or a sender needs two independent
         communes (different persons too) and machine evidence, or the Département, or a strong detector.
         An address also falls to boxes of two communes that it completed connections to. Weaker evidence is proposed
         as weak: it is observed first (``core.decisions.stages``). A range is never proposed, but the /64 of one
         subscriber that guesses passwords from several addresses. What is protected is
         never proposed, whoever says so. An opinion of a model adds nothing.
Input:   sightings of people and machines of which some lie.
Fails:   closed towards blocking: what no row of ``RULES`` covers is not proposed.
Source:  docs/security/attack-model.md, abuses 3 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action

from beffroi.watch.detectors import ENOUGH, is_outside, is_strong, weight

INDEPENDENT_COMMUNES = 2
STRONG, WEAK = "strong", "weak"


@dataclass(frozen=True, order=True)
class Witness:
    """Who reported: opaque identifiers. A machine has no ``person_id`` and is no witness of independence."""

    collectivite_id: str
    person_id: str


@dataclass(frozen=True)
class Seen:
    """One indicator of a case and what speaks for it.

    ``protected``: why it must never be blocked, "" if it may. ``forged``: it names a sender who was not
    authenticated, so it may be the victim. ``confirmed``: the Département named it. ``follows``: this address
    was found by resolving that name, and stands or falls with it. ``boxes``: collectivités whose boxes it completed
    connections to that nobody has business with. ``shared``: the address serves a member or a protected name too.
    ``crowded``: others who have nothing to do with this live there, and it is only led to, or a page may have led them
    to traps. ``known_before``: a file or web address that was in mail long before anybody reported it.
    ``settled``: a person of the Département dismissed it, or took its block back.
    ``known_name``: the name was in mail as long before, and is whoever's the lure imitates, or took over.
    ``names_one``: it carries an address of the one collectivité that it was seen in.
    """

    indicator: Indicator
    witnesses: frozenset[Witness] = frozenset()
    detectors: frozenset[str] = frozenset()
    protected: str = ""
    forged: bool = False
    confirmed: bool = False
    follows: Indicator | None = None
    boxes: frozenset[str] = frozenset()
    shared: bool = False
    crowded: bool = False
    known_before: bool = False
    settled: bool = False
    names_one: bool = False
    known_name: bool = False


@dataclass(frozen=True)
class Ttl:
    """Lives of decisions by kind. Units: seconds."""

    ip_s: int = 4 * 3600
    name_s: int = 7 * 86400
    hash_s: int = 90 * 86400

    def of(self, kind: Kind) -> int:
        if kind in (Kind.IP, Kind.CIDR):
            return self.ip_s
        return self.hash_s if kind in (Kind.SHA256, Kind.SKETCH) else self.name_s


LASTING = frozenset({Kind.URL, Kind.DOMAIN, Kind.SENDER})
"""What is blocked for longer where it comes again. An address has another tenant by then."""
AGAIN, LONGEST_S = 4, 90 * 86400


def life_s(kind: Kind, ttl_s: int, times_before: int) -> int:
    """How long a block lasts of what was blocked before, so often until its time was over: what comes again after a
    week does so after a month. Units: seconds."""
    if kind not in LASTING:
        return ttl_s
    return max(ttl_s, min(LONGEST_S, int(ttl_s * AGAIN ** min(times_before, 9))))


@dataclass(frozen=True)
class Case:
    """One campaign as known now."""

    seen: tuple[Seen, ...]
    ttl: Ttl = field(default_factory=Ttl)


@dataclass(frozen=True)
class Proposal:
    """A decision that the evidence carries. ``reason`` and ``rule`` are stable codes. ``follows``: the name that this
    address stands or falls with."""

    indicator: Indicator
    action: Action
    ttl_s: int
    rule: str
    reason: str
    communes: int
    persons: int
    detectors: tuple[str, ...]
    strength: str = STRONG
    follows: Indicator | None = None


@dataclass(frozen=True)
class Refusal:
    """An indicator that is never proposed, with the code of the reason."""

    indicator: Indicator
    code: str
    why: str = ""


@dataclass(frozen=True)
class Rule:
    """A row of the table: these kinds are proposed when ``holds``."""

    name: str
    kinds: frozenset[Kind]
    holds: Callable[[Seen], bool]
    reason: str
    strength: str = STRONG


_EXACT = frozenset({Kind.URL, Kind.SHA256})
_BROAD = frozenset({Kind.DOMAIN, Kind.IP, Kind.SENDER, Kind.SKETCH})
_GUESSING = frozenset({Kind.CIDR})
_SUBSCRIBER_BITS = 64
_NAMES = frozenset({Kind.DOMAIN})
"""Weak evidence is observed by boxes. Of the kinds they know, the address that handed a mail in is too often a
bystander's."""


def _corroborated(seen: Seen) -> bool:
    return independent(seen.witnesses) >= INDEPENDENT_COMMUNES and weight(seen.detectors) >= ENOUGH


RULES: tuple[Rule, ...] = (
    Rule("departement", _EXACT | _BROAD, lambda s: s.confirmed, "departement_confirmed"),
    Rule(
        "one_proof",
        _EXACT,
        lambda s: any(is_strong(d, s.indicator.kind) for d in s.detectors),
        "machine_proof",
    ),
    Rule(
        "strong_detector",
        _BROAD | _GUESSING,
        lambda s: any(is_strong(d, s.indicator.kind) for d in s.detectors),
        "strong_detector",
    ),
    Rule("two_communes", _EXACT | _BROAD, lambda s: _corroborated(s) and not s.known_name, "two_communes"),
    Rule(
        "two_boxes", frozenset({Kind.IP}), lambda s: len(s.boxes) >= INDEPENDENT_COMMUNES, "completed_attacks"
    ),
    Rule("known_name", _NAMES, lambda s: _corroborated(s) and s.known_name, "two_communes", WEAK),
    Rule(
        "lone_source",
        _NAMES,
        lambda s: any(is_outside(d, s.indicator.kind) for d in s.detectors),
        "lone_source",
        WEAK,
    ),
    Rule(
        "automatic_name",
        _NAMES,
        lambda s: "new_link_burst" in s.detectors and independent(s.witnesses) > 0,
        "automatic_name",
        WEAK,
    ),
    Rule(
        "one_commune",
        _NAMES,
        lambda s: weight(s.detectors) >= ENOUGH and independent(s.witnesses) > 0,
        "one_commune",
        WEAK,
    ),
)
"""The first that holds wins, so strong ones stand first."""

_ADDRESSES = frozenset({Kind.IP, Kind.CIDR})
_OF_THE_ADDRESS = frozenset({"strong_detector", "two_boxes"})

_ACTIONS = {Kind.SENDER: Action.QUARANTINE, Kind.SKETCH: Action.QUARANTINE}
"""A forged or reused sender hits bystanders, and a sketch is only near: both are set aside, not refused."""


def corroborate(case: Case) -> list[Proposal]:
    """Return what to decide, in the case's order; addresses that follow a name come last.

    Shapes: n indicators in, 0..n proposals out.
    """
    free = [s for s in case.seen if not refusal_code(s)]
    made: dict[Indicator, Proposal] = {}
    for seen in free:
        if seen.follows is None and (proposal := _propose(seen, case.ttl)) is not None:
            made[seen.indicator] = proposal
    if _nothing_to_block(case, made):
        own = {s.indicator for s in free if s.follows is None and _holds(s, _OF_THE_ADDRESS)}
        made = {i: p for i, p in made.items() if i in own or i.kind not in _ADDRESSES}
    leaders = {i: p for i, p in made.items() if p.strength == STRONG}
    for seen in free:
        leader = leaders.get(seen.follows) if seen.follows is not None else None
        if leader is not None and seen.indicator.kind is Kind.IP:
            made.setdefault(seen.indicator, _following(seen, leader, case.ttl))
    return list(made.values())


def _nothing_to_block(case: Case, made: Mapping[Indicator, Proposal]) -> bool:
    """Whether all that the case's messages hold is spared, or observed first: then the host that handed them in is
    spared too.

    Otherwise a false report of a State site, once confirmed, would cut off the innocent server that wrote about it.
    """
    holds_content = any(s.indicator.kind not in _ADDRESSES for s in case.seen)
    return holds_content and all(i.kind in _ADDRESSES or p.strength == WEAK for i, p in made.items())


def refusals(case: Case) -> list[Refusal]:
    """Return the indicators that no evidence will ever carry, and why."""
    return [Refusal(s.indicator, code, s.protected) for s in case.seen if (code := refusal_code(s))]


def refusal_code(seen: Seen) -> str:
    """Return "protected", "range_never_automatic", "sender_forged", "settled", "names_one", "known_before",
    "address_shared", "address_crowded", or "" when evidence may decide. What a person settled falls to a person who
    names it by itself. What was in mail long before may be what an attacker copied from
    the one whom they imitate: it falls to proof, or to a person who names it by itself. An address that serves a member
    falls to a person alone; one others live at is never blocked because a name or link leads there, but for what it
    does itself. A link that was made for one person would tell every town hall who that is, and stops nobody else's."""
    if seen.protected:
        return "protected"
    if seen.indicator.kind is Kind.CIDR and not (
        is_subscriber(seen.indicator) and any(is_strong(d, Kind.CIDR) for d in seen.detectors)
    ):
        return "range_never_automatic"
    if seen.forged:
        return "sender_forged"
    if seen.settled:
        return "settled"
    if seen.names_one:
        return "names_one"
    if seen.known_before and not any(is_strong(d, seen.indicator.kind) for d in seen.detectors):
        return "known_before"
    if seen.shared and not seen.confirmed:
        return "address_shared"
    return "address_crowded" if seen.crowded and not _holds(seen, _OF_THE_ADDRESS) else ""


def is_subscriber(indicator: Indicator) -> bool:
    """Whether a range is what one subscriber of IPv6 has at least, as one of IPv4 has an address."""
    address, _, bits = indicator.value.partition("/")
    return ":" in address and bits == str(_SUBSCRIBER_BITS)


def independent(witnesses: Iterable[Witness]) -> int:
    """Return the size of the largest set of witnesses of whom no two share a commune or a person.

    A person of two communes is one witness, and two persons of one commune are one: the largest matching
    between communes and persons (augmenting paths).
    """
    persons: dict[str, set[str]] = {}
    for w in witnesses:
        if w.collectivite_id and w.person_id:
            persons.setdefault(w.collectivite_id, set()).add(w.person_id)
    matched: dict[str, str] = {}
    return sum(_augment(commune, persons, matched, set()) for commune in sorted(persons))


def _augment(commune: str, persons: dict[str, set[str]], matched: dict[str, str], tried: set[str]) -> bool:
    for person in sorted(persons[commune] - tried):
        tried.add(person)
        if person not in matched or _augment(matched[person], persons, matched, tried):
            matched[person] = commune
            return True
    return False


def _propose(seen: Seen, ttl: Ttl) -> Proposal | None:
    kind = seen.indicator.kind
    for rule in RULES:
        if kind in rule.kinds and rule.holds(seen):
            return Proposal(
                indicator=seen.indicator,
                action=_ACTIONS.get(kind, Action.BLOCK),
                ttl_s=ttl.of(kind),
                rule=rule.name,
                reason=rule.reason,
                communes=len({w.collectivite_id for w in seen.witnesses if w.person_id} - {""} | seen.boxes),
                persons=len({w.person_id for w in seen.witnesses if w.person_id}),
                detectors=tuple(sorted(seen.detectors)),
                strength=rule.strength,
            )
    return None


def _holds(seen: Seen, names: frozenset[str]) -> bool:
    return any(r.name in names and seen.indicator.kind in r.kinds and r.holds(seen) for r in RULES)


def _following(seen: Seen, leader: Proposal, ttl: Ttl) -> Proposal:
    return Proposal(
        indicator=seen.indicator,
        action=Action.BLOCK,
        ttl_s=ttl.of(Kind.IP),
        rule="landing_address",
        reason=leader.reason,
        communes=leader.communes,
        persons=leader.persons,
        detectors=leader.detectors,
        follows=leader.indicator,
    )
