"""What stands for ``core.decisions.actions`` and ``watch.actions``: their writes without Django's ORM.

Real:    the rules, detectors and clustering (pure code of ``watch``), the floor, the outbox, the tables' columns.
Stands in: campaigns and sightings are Python objects; ``activate``, ``_end``, ``_demanded`` and the joining of
         campaigns are written again here in a few lines each. The originals have their own tests on a database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from beffroi.core.decisions import hours, rules
from beffroi.core.decisions.rules import Held
from beffroi.core.planes import outbox
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.watch import clustering, detectors
from beffroi.watch.rules import STRONG, Case, Proposal, Seen, Ttl, Witness, corroborate
from beffroi_protocol.indicators import Indicator, Kind

from tests.simulation.rows import NOWHERE, insert
from tests.simulation.sources import Source

SCOPE_ALL = "all"
EXTEND_FROM = 0.1
CAMPAIGN_DAYS_S = 14 * 86400
WORK = {"begins_h": 8, "ends_h": 18}
NOBODY_DECIDED = "nobody_decided"

type Check = Callable[[Indicator], str]


class Refused(Exception):
    """The decision is about something protected."""


@dataclass
class Decision:
    id: str
    indicator: Indicator
    scope: str
    state: str
    campaign_id: str
    rule: str
    expires_at: int
    reason: str = ""
    evidence: dict[str, object] = field(default_factory=dict)

    @property
    def held(self) -> Held:
        return Held(self.reason, self.rule, self.evidence)


class Decisions:
    """The table ``decision`` and its events, in the one database of the centre."""

    def __init__(self, database: Database, new_id: Callable[[], str]) -> None:
        self.database = database
        self._new_id = new_id
        self.close_exceptions: Callable[[Indicator], None] = lambda _: None

    def active(self) -> list[Decision]:
        return self._select("state = 'active' ORDER BY id")

    def waiting(self) -> list[Decision]:
        """Withdrawn everywhere: a person is asked."""
        return self._select("state = 'review' ORDER BY id")

    def lapsed(self) -> set[tuple[Indicator, str]]:
        """About what a person was asked the last time, and nobody answered: with its scope."""
        if not self.database.execute(
            "SELECT 1 FROM decision WHERE end_reason = ? LIMIT 1", (NOBODY_DECIDED,)
        ):
            return set()
        rows = self.database.execute(
            "SELECT kind, value, scope, end_reason, MAX(proposed_at) FROM decision GROUP BY kind, value, scope"
        )
        return {(Indicator(Kind(r[0]), r[1]), r[2]) for r in rows if r[3] == NOBODY_DECIDED}

    def open(self) -> list[Decision]:
        return [*self.active(), *self.waiting()]

    def of_campaign(self, campaign_id: str) -> list[Decision]:
        return [d for d in self._select("campaign_id <> '' ORDER BY id") if d.campaign_id == campaign_id]

    def turned(self, *, within_s: int) -> bool:
        """True when a decision ended, or ends, around now."""
        now = clock.epoch_s()
        rows = self.database.execute("SELECT ended_at FROM decision WHERE ended_at IS NOT NULL")
        ended = [self.database.time(r[0]).timestamp() for r in rows]
        return any(abs(at - now) < within_s for at in (*ended, *(d.expires_at for d in self.active())))

    def _select(self, where: str, *values: object) -> list[Decision]:
        rows = self.database.execute(
            "SELECT id, kind, value, scope, state, campaign_id, rule, expires_at, reason, evidence"
            " FROM decision WHERE " + where,
            values,
        )
        return [
            Decision(r[0], Indicator(Kind(r[1]), r[2]), r[3], r[4], r[5], r[6],
                     int(self.database.time(r[7]).timestamp()), r[8], json.loads(r[9]))
            for r in rows
        ]  # fmt: skip

    def activate(
        self, indicator: Indicator, *, action: str, ttl_s: int, protected: str, scope: str = SCOPE_ALL,
        rule: str = "", reason: str = "", campaign_id: str = "", evidence: dict[str, object] | None = None,
        by_person: bool = False,
    ) -> Decision:  # fmt: skip
        """One that waits for a person is returned as it is, unless this is a person's word. Errors: Refused."""
        if protected:
            raise Refused(protected)
        now = clock.epoch_s()
        with self.database.transaction():
            present = next((d for d in self.open() if (d.indicator, d.scope) == (indicator, scope)), None)
            if present is None and (indicator, scope) in self.lapsed():
                present = self._ask_again(indicator, scope, now + ttl_s)
            if present is not None and present.state == "review" and not by_person:
                return present
            if present is not None and present.state == "review":
                self._end(present, "revoked")  # decided anew
            elif present is not None and present.expires_at > now:
                self._extend(present, ttl_s, action, reason)
                return present
            elif present is not None:
                self._end(present, "expired")
            made = Decision(
                self._new_id(), indicator, scope, "active", campaign_id, rule, now + ttl_s, reason, evidence or {}
            )  # fmt: skip
            self._insert(made, action)
            if rules.exception_refused([made.held], departement=False):
                self.close_exceptions(indicator)
            self._tell("decision:activated", made, action, reason)
        return made

    def _ask_again(self, indicator: Indicator, scope: str, ends: int) -> Decision:
        """As ``actions._ask_again``."""
        key = (indicator.kind.value, indicator.value, scope)
        found = self._select("kind = ? AND value = ? AND scope = ? ORDER BY proposed_at DESC", *key)[0]
        self.database.execute(
            "UPDATE decision SET state = 'review', state_since = ?, expires_at = ?, ended_at = NULL,"
            " end_reason = '' WHERE id = ?", (clock.now(), datetime.fromtimestamp(ends, UTC), found.id),
        )  # fmt: skip
        found.state, found.expires_at = "review", ends
        self._tell("decision:review", found, "warn", found.reason)
        return found

    def _insert(self, made: Decision, action: str) -> None:
        moment = clock.now()
        insert(
            self.database, "decision", id=made.id, kind=made.indicator.kind.value, value=made.indicator.value,
            action=action, scope=made.scope, state="active", reason=made.reason, evidence=dumps(made.evidence),
            rule=made.rule, campaign_id=made.campaign_id, proposed_at=moment, activated_at=moment,
            expires_at=datetime.fromtimestamp(made.expires_at, UTC), decided_by="simulation",
        )  # fmt: skip

    def _extend(self, present: Decision, ttl_s: int, action: str, reason: str) -> None:
        wanted = clock.epoch_s() + ttl_s
        if wanted - present.expires_at < ttl_s * EXTEND_FROM:
            return
        present.expires_at = wanted
        self.database.execute(
            "UPDATE decision SET expires_at = ? WHERE id = ?",
            (datetime.fromtimestamp(wanted, UTC), present.id),
        )
        self._tell("decision:extended", present, action, reason)

    def withdraw(self, decision: Decision) -> None:
        """As a stage that turns out to hit communes: off the feed, and it waits for a person."""
        with self.database.transaction():
            self.database.execute(
                "UPDATE decision SET state = 'review', state_since = ? WHERE id = ?",
                (clock.now(), decision.id),
            )
            decision.state = "review"
            self._tell("decision:review", decision, "warn", decision.reason)

    def tell_as_before(self, decision: Decision) -> None:
        """A version before told that what waits for a person lasts longer, and called it a block."""
        with self.database.transaction():
            self._tell("decision:extended", decision, "block", decision.reason)

    def end(self, found: Sequence[Decision], state: str) -> None:
        with self.database.transaction():
            for decision in found:
                self._end(decision, state)

    def _end(self, decision: Decision, state: str) -> None:
        self.database.execute(
            "UPDATE decision SET state = ?, ended_at = ? WHERE id = ? AND state IN ('active', 'review')",
            (state, clock.now(), decision.id),
        )
        decision.state = state
        self._tell("decision:ended", decision, "", "")

    def expire_due(self) -> int:
        due = self._select("state = 'active' AND expires_at <= ? ORDER BY id", clock.now())
        if due:
            self.end(due, "expired")
        return len(due)

    def asked_since(self) -> dict[str, float]:
        """Questions that outlived what they are about, and that nobody had to answer: id -> asked since."""
        rows = self.database.execute(
            "SELECT id, state_since FROM decision WHERE state = 'review' AND expires_at <= ?"
            " AND rule <> 'departement'", (clock.now(),),
        )  # fmt: skip
        return {r[0]: self.database.time(r[1]).timestamp() for r in rows}

    def lapse_unanswered(self) -> None:
        """As ``staging.lapse_unanswered``; there are no appeals here."""
        now, day_s = clock.now(), hours.day_s(**WORK)
        for number, since in self.asked_since().items():
            if hours.worked_s(datetime.fromtimestamp(since, UTC), now, **WORK) >= day_s:
                self.end(self._select("id = ?", number), "expired")
                self.database.execute(
                    "UPDATE decision SET end_reason = ? WHERE id = ?", (NOBODY_DECIDED, number)
                )

    def _tell(self, kind: str, decision: Decision, action: str, reason: str) -> None:
        payload = {
            "decision_id": decision.id,
            "kind": decision.indicator.kind.value,
            "value": decision.indicator.value,
            "action": action,
            "scope": decision.scope,
            "reason": reason,
            "state": decision.state,
            "expires_at": decision.expires_at,
        }
        owner = None if decision.scope == SCOPE_ALL else decision.scope
        outbox.publish(self.database, kind, payload, run=NOWHERE, collectivite_id=owner)


@dataclass
class Sighting:
    id: str
    door: str
    commune: str
    person: str
    indicators: tuple[Indicator, ...]
    evidence: dict[str, str]


@dataclass
class Campaign:
    id: str
    first_seen: float
    last_seen: float
    state: str = "open"
    joins: set[Indicator] = field(default_factory=set)
    rows: dict[tuple[Indicator, str], bool] = field(default_factory=dict)
    """(indicator, name it was resolved from) -> confirmed by the Département"""
    seen: list[Sighting] = field(default_factory=list)


@dataclass
class Book:
    """Sightings and campaigns: what a backup of the centre holds beside the database."""

    known: set[str] = field(default_factory=set)
    campaigns: list[Campaign] = field(default_factory=list)
    made: int = 0
    sources: dict[str, Source] = field(default_factory=dict)
    listed: set[Indicator] = field(default_factory=set)
    """Pages that outside lists of weight ``evidence`` name."""


_ORDER = ("revoked", "dismissed", "decided", "open")


class Watch:
    def __init__(self, book: Book, decisions: Decisions, protected: Check) -> None:
        self.book = book
        self.decisions = decisions
        self.protected = protected

    def take_in(self, sighting: Sighting, landing: Mapping[str, Sequence[str]]) -> None:
        if sighting.id in self.book.known:
            return
        self.book.known.add(sighting.id)
        indicators = clustering.read([(i.kind.value, i.value) for i in sighting.indicators])
        sighting.indicators = tuple(indicators)
        campaign = self._join(sighting, indicators)
        for indicator in indicators:
            campaign.rows.setdefault((indicator, ""), False)
        found = {Indicator(Kind.IP, a): n for n, values in landing.items() for a in values}
        for address, name in found.items():
            campaign.rows.setdefault((address, name), False)
        campaign.last_seen = clock.epoch()
        if campaign.state in ("open", "decided"):
            self.decide(campaign, named={*indicators, *found}, by_person=False)

    def _join(self, sighting: Sighting, indicators: Sequence[Indicator]) -> Campaign:
        joins = clustering.joining(indicators, self.protected)
        joins = clustering.beside(joins, self._closed()) or joins
        found = [c for c in self._recent() if c.joins.intersection(joins)]
        found.sort(key=lambda c: (_ORDER.index(c.state), c.first_seen))
        if not found:
            self.book.made += 1
            found = [Campaign(f"cmp_{self.book.made}", clock.epoch(), clock.epoch())]
            self.book.campaigns += found
        campaign, *others = found
        for other in others:
            if other.state == campaign.state == "open":
                campaign.seen += other.seen
                campaign.joins |= other.joins
                campaign.rows = {**other.rows, **campaign.rows}
                self.book.campaigns.remove(other)
        campaign.seen.append(sighting)
        campaign.joins.update(joins)
        return campaign

    def _recent(self) -> list[Campaign]:
        since = clock.epoch() - CAMPAIGN_DAYS_S
        return [c for c in self.book.campaigns if c.last_seen >= since]

    def _closed(self) -> set[Indicator]:
        """What a person dismissed or took back."""
        return {i for c in self._recent() if c.state in ("revoked", "dismissed") for i in c.joins}

    def case_of(self, campaign: Campaign) -> Case:
        """As ``watch.cases.case_of``."""
        closed = self._closed()
        witnesses: dict[Indicator, set[Witness]] = {}
        spoke: dict[Indicator, set[str]] = {}
        genuine: set[Indicator] = set()
        for one in campaign.seen:
            speaking = detectors.from_mail(one.evidence) if one.door == "mail" else frozenset[str]()
            forged = clustering.forged(one.indicators, one.evidence)
            for indicator in one.indicators:
                if indicator not in forged:
                    genuine.add(indicator)
                witnesses.setdefault(indicator, set()).add(Witness(one.commune, one.person))
                spoke.setdefault(indicator, set()).update(speaking)
        return Case(
            tuple(
                Seen(
                    indicator=indicator,
                    witnesses=frozenset(witnesses.get(indicator, ())),
                    detectors=frozenset(spoke.get(indicator, ()))
                    | ({"listed_url"} if indicator in self.book.listed else set()),
                    protected=self.protected(indicator),
                    forged=not resolved_from and indicator not in genuine,
                    confirmed=confirmed,
                    follows=Indicator(Kind.DOMAIN, resolved_from) if resolved_from else None,
                    settled=not resolved_from
                    and indicator not in campaign.joins
                    and clustering.is_settled(indicator, closed),
                )
                for (indicator, resolved_from), confirmed in campaign.rows.items()
            ),
            Ttl(),
        )

    def decide(self, campaign: Campaign, *, named: Collection[Indicator], by_person: bool) -> None:
        # Weak evidence refuses nothing by itself: its stages are tested apart (test_core_stages).
        proposals = [p for p in corroborate(self.case_of(campaign)) if p.strength == STRONG]
        past = {d.indicator: d.state for d in self.decisions.of_campaign(campaign.id)}
        active = {d.indicator for d in self.decisions.active() if d.scope == SCOPE_ALL}
        decided = [
            self._activate(campaign, p, by_person=by_person)
            for p in proposals
            if (p.indicator in named or (p.indicator not in past and p.indicator not in active))
            and (by_person or past.get(p.indicator) != "revoked")
        ]
        if any(d.state == "active" for d in decided) and campaign.state == "open":
            campaign.state = "decided"

    def _activate(self, campaign: Campaign, proposal: Proposal, *, by_person: bool) -> Decision:
        return self.decisions.activate(
            proposal.indicator,
            action=proposal.action.value,
            ttl_s=proposal.ttl_s,
            protected=self.protected(proposal.indicator),
            rule=proposal.rule,
            reason=proposal.reason,
            campaign_id=campaign.id,
            evidence={"communes": proposal.communes, "detectors": list(proposal.detectors)},
            by_person=by_person,
        )

    def confirm(self, campaign: Campaign) -> None:
        if campaign.state in ("open", "decided"):
            shown = {i for i, resolved_from in campaign.rows if not resolved_from}
            campaign.rows.update({(i, ""): True for i in shown})
            self.decide(campaign, named={i for i, _ in campaign.rows}, by_person=True)

    def undo(self, campaign: Campaign) -> list[Decision]:
        """Take every active decision of a decided campaign back; what another decided one demands comes anew."""
        if campaign.state != "decided":
            return []
        campaign.state = "revoked"
        mine = self.decisions.of_campaign(campaign.id)
        held = [d for d in mine if d.state == "active"]
        self.decisions.end([d for d in mine if d.state in ("active", "review")], "revoked")
        lifted = {d.indicator for d in held}
        for other in self.book.campaigns:
            if other.state == "decided" and lifted.intersection(i for i, _ in other.rows):
                self.decide(other, named=lifted, by_person=False)
        return held


def dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
