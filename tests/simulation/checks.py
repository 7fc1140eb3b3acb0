"""The invariants. They look at what engines, tables and the database hold, never at how it came about."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beffroi_box.doh import CANARY
from beffroi_box.store import Store
from beffroi_protocol.facts import FactBatch
from beffroi_protocol.messages import AckBatch, Action, BulkList, Entry, decode
from beffroi_protocol.table import DecisionTable, overlay

from tests.simulation import covering
from tests.simulation.engines import covers

if TYPE_CHECKING:
    from tests.simulation.box import Box
    from tests.simulation.world import World

MEMBERS = ("mairie-des-deux-rives.fr", "mairie-haute-combe.fr")
LANS = frozenset(("ip", f"10.{n}.0.9") for n in range(1, 41))
PROTECTED = LANS | frozenset(
    {
        ("domain", "impots.gouv.fr"),
        ("domain", "gouv.fr"),
        ("domain", "ameli.fr"),
        ("domain", "www.ameli.fr"),
        ("domain", "google.com"),
        ("domain", "boitiers.departement21.net"),
        ("ip", "8.8.8.8"),
        ("ip", "9.9.9.9"),
        ("ip", "185.61.20.5"),
        ("cidr", "8.8.8.0/24"),
        ("cidr", "185.61.20.0/24"),
    }
)
"""What no box may ever enforce, written out here by hand. Each box adds what its policy protects."""
CENTRE_ONLY = frozenset({("domain", name) for name in MEMBERS})
"""What the centre refuses besides: a member's own site."""
KINDS = {"box": ("ip", "cidr", "domain"), "login": ("ip", "cidr"),
         "mail": ("ip", "cidr", "domain", "url", "sha256", "sender", "sketch")}  # fmt: skip
SLACK_S = 3
KEPT_S = 7 * 86400 - 1800
"""So long a box tells again what a restored centre lacks, but for the time that its telling takes."""
FOREVER = 253_402_300_799
"""The last second of the year 9999: the end of what has none."""


class Broken(AssertionError):
    """An invariant does not hold."""


def require(truth: object, text: str, *arguments: object) -> None:
    if not truth:
        raise Broken(text % arguments)


@dataclass
class Watched:
    """What is remembered of a box to judge its next step."""

    now: int = 0
    position: dict[str, tuple[int, int]] = field(default_factory=dict)
    highest: dict[str, tuple[int, int]] = field(default_factory=dict)
    held: dict[str, set[str]] = field(default_factory=dict)
    # Positions that are on disk, said the agent.
    saved: dict[str, tuple[int, int]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    lossless: bool = True  # nothing that it had counted was ever lost
    intact: bool = True  # its files were never damaged, replaced or unwritable
    flushed: bool = False  # someone emptied the engines; the keeper has not been there yet
    names_due: bool = False  # the resolver began without the agent
    refused: set[str] = field(default_factory=set)
    lists: dict[tuple[str, str], BulkList] = field(default_factory=dict)  # as last seen in force
    bulk: object = None  # the lists as last judged
    seen: object = None
    until: int = 0  # nothing ends before
    taken: dict[str, float] = field(default_factory=dict)  # facts, and when their box was told so first


def booted(world: World, box: Box) -> None:
    """A restart: tables may be older (they are saved a second later), time may not be older than the files say."""
    watched, agent = world.watched[box.id], box.agent
    assert agent is not None
    floor = box.run(
        lambda: max([Store(box.place).time_floor(), *(t.issued_at for t in agent.session.tables.values())])
    )
    now = box.now()
    require(now >= floor, "%s: trusted time %d after a restart, %d in its files", box.id, now, floor)
    watched.now = now
    watched.position = {c: (t.epoch, t.version) for c, t in agent.session.tables.items()}
    for channel, saved in watched.saved.items():
        have = watched.position[channel]
        require(have >= saved, "%s: %s begins at %s, %s was saved", box.id, channel, have, saved)
    watched.held = {c: {e.id for e in t} for c, t in agent.session.tables.items()}
    watched.gone = set()
    watched.lists.clear()
    watched.names_due = True
    step(world, box)


def step(world: World, box: Box, *, kept: bool = False, settled: bool = False) -> None:
    """After anything a box did. ``kept``, ``settled``: its keeper just made its short, its long round."""
    agent, watched = box.agent, world.watched[box.id]
    if agent is None:
        return
    now = box.now()
    require(now >= watched.now, "%s: trusted time went back from %d to %d", box.id, watched.now, now)
    watched.now = now
    for channel, table in agent.session.tables.items():
        position = (table.epoch, table.version)
        before = watched.position[channel]
        require(position >= before, "%s: %s went back from %s to %s", box.id, channel, before, position)
        if position != before or channel not in watched.held:
            _followed(world, box, watched, table)
        watched.position[channel] = position
        watched.highest[channel] = max(watched.highest.get(channel, (0, 0)), position)
    if kept:
        watched.names_due = False
        watched.saved.update({c: p for c, p in watched.position.items() if c not in agent._unsaved and p[1]})
    _engines(world, box, watched, now, settled=settled)


def _followed(world: World, box: Box, watched: Watched, table: DecisionTable) -> None:
    ids = {e.id for e in table}
    back = (ids & watched.gone) - world.revived
    require(not back, "%s: undone decisions came back: %s", box.id, sorted(back))
    watched.gone |= watched.held.get(table.channel, set()) - ids
    watched.held[table.channel] = ids
    watched.refused |= {
        e.id for e in table if e.action is Action.BLOCK and _key(e) in PROTECTED and e.expires_at > watched.now
    }  # fmt: skip


def own_protected(box: Box) -> frozenset[tuple[str, str]]:
    assert box.agent is not None
    names = box.agent.enforcer.policy.protected_names
    return PROTECTED.union(("domain", n) for n in names) if names else PROTECTED


def expected(box: Box, now: int) -> dict[tuple[str, str], int]:
    """What the tables say should be refused, with its end: asked of the entries themselves."""
    assert box.agent is not None
    tables, policy = box.agent.session.tables.values(), box.agent.enforcer.policy
    standing = (policy, [(t.epoch, t.version, t.head) for t in tables])
    if box.expected[0] != standing:
        box.expected = standing, _expected(box, tables)
    return {k: end for k, end in box.expected[1].items() if end > now}


def _expected(box: Box, tables: Iterable[DecisionTable]) -> dict[tuple[str, str], int]:
    assert box.agent is not None
    protected = own_protected(box)
    found: dict[tuple[str, str], int] = {}
    for table in tables:
        for entry in table:
            key = (entry.indicator.kind.value, entry.indicator.value)
            if entry.action is Action.BLOCK and key not in protected:
                found[key] = max(found.get(key, 0), entry.expires_at)
    if not box.agent.enforcer.policy.enforce:
        found = {k: end for k, end in found.items() if k[0] != "domain"}
    return found


def _engines(world: World, box: Box, watched: Watched, now: int, *, settled: bool) -> None:
    assert box.agent is not None
    # Nothing moved since the last look, and nothing has ended.
    tables = [(t.epoch, t.version, t.head) for t in box.agent.session.tables.values()]
    engines = box.engines.changes, box.engines.bulk
    seen = (*engines, watched.flushed, watched.names_due, box.agent.enforcer.policy, tables)
    if not settled and seen == watched.seen and now < watched.until:
        return
    watched.seen = seen
    enforced = box.engines.enforced()
    covering.lists(world, box, watched, now)
    bad = enforced & own_protected(box)
    require(not bad, "%s enforces something protected: %s", box.id, sorted(bad))
    if settled:
        watched.flushed = False
    if watched.flushed:
        watched.until = sys.maxsize
        return
    covering.exceptions(world, box, watched, now, settled=settled)
    free = covering.opened(box)
    wanted = {
        k: end for k, end in expected(box, now).items()
        if not free or not any(until > now and covers(one, k) for one, until in free.items())
    }  # fmt: skip
    late = [one for one, until in free.items() if until <= now] if not settled else []
    true = box.time.true
    ends = [
        *wanted.values(),
        *(until for until in free.values() if until > now),
        *(now + int(end - true) for end in box.engines.ends.values() if end > true),
    ]
    watched.until = min(ends, default=sys.maxsize)
    lacking = {k for k, end in wanted.items() if end > now + SLACK_S} - enforced
    if late:  # ended, and the keeper has not been there yet
        lacking = {k for k in lacking if not any(covers(one, k) for one in late)}
    if watched.names_due:
        lacking = {k for k in lacking if k[0] != "domain"}
    require(not lacking, "%s does not enforce what its tables say: %s", box.id, sorted(lacking))
    if settled:
        # Browsers are asked to ask the box: policy, no table.
        more = enforced - wanted.keys() - {("domain", CANARY)}
        require(not more, "%s enforces what no table says any more: %s", box.id, sorted(more))


def next_end_s(box: Box) -> float | None:
    assert box.agent is not None
    now = box.now()
    through = covering.opened(box).values()
    ends = [*expected(box, now).values(), *(until for until in through if now < until < FOREVER)]
    return min(ends) - now if ends else None


def acks(world: World, box: Box, batch: AckBatch) -> None:
    assert box.agent is not None
    tables, highest = box.agent.session.tables, world.watched[box.id].highest
    for ack in batch.acks:
        claimed, table = (ack.epoch, ack.version), tables[ack.channel]
        # It speaks while it reads, before ``step`` looks at it.
        have = max(highest.get(ack.channel, (0, 0)), (table.epoch, table.version))
        require(claimed <= have, "%s acknowledges %s %s but holds %s", box.id, ack.channel, claimed, have)


def waits_for_a_person(world: World) -> None:
    """What was withdrawn is in force nowhere, however long that lasts and whatever is reported, until a person acts."""
    if not world.asked:
        return
    decisions = world.centre.decisions
    active = {(d.indicator, d.scope) for d in decisions.active()}
    back = world.asked & active
    require(not back, "what waited for a person is in force again: %s", sorted(map(str, back)))
    waiting = {(d.indicator, d.scope) for d in decisions.waiting()} | decisions.lapsed()
    require(world.asked <= waiting, "nobody is asked any more: %s", sorted(map(str, world.asked - waiting)))


# -- at the end ---------------------------------------------------------------------------------------------


def _truth(world: World, channel: str) -> dict[str, tuple[tuple[str, str], int]]:
    """What the centre's own rows say that a channel holds: id -> (indicator, end)."""
    base, _, commune = channel.partition("@")
    never = {
        one.id: (covering.key_of(one.indicator), one.until or FOREVER)
        for one in world.centre.never.rows
        if not commune and one.indicator.kind.value in KINDS[base]
    }
    return (
        never
        | {
            d.id: ((d.indicator.kind.value, d.indicator.value), d.expires_at)
            for d in world.centre.decisions.active()
            if d.scope == (commune or "all") and d.indicator.kind.value in KINDS[base]
        }
        | {
            o.id: (covering.key_of(o.indicator), o.expires_at)
            for o in world.centre.exceptions.active()
            if o.commune == commune and o.indicator.kind.value in KINDS[base]
        }
    )


def _holds(entries: DecisionTable) -> dict[str, tuple[tuple[str, str], int]]:
    return {e.id: (_key(e), e.expires_at) for e in entries}


def _key(entry: Entry) -> tuple[str, str]:
    return entry.indicator.kind.value, entry.indicator.value


def converged(world: World) -> None:
    waits_for_a_person(world)
    covering.never_held(world)
    covering.never_passes(world)
    covering.none_opens_a_command_server(world)
    covering.no_list_of_command_servers_is_open(world)
    for door in world.doors:
        with door.follower.tables() as tables:
            for channel, table in tables.items():
                _same(world, door.name, channel, table)
    covering.doors_answer(world)
    for box in world.boxes:
        agent = box.agent
        assert agent is not None
        for channel in ("box", overlay("box", box.commune)):
            _same(world, box.id, channel, agent.session.tables[channel])
        now = box.now()
        late = abs(world.time.true - now)
        require(late < 120, "%s: trusted time is wrong by %d s", box.id, late)
        step(world, box, kept=True, settled=True)
        covering.lists_converged(world, box)
        _acked(world, box)
        _facts(world, box)


def taken(world: World, box: Box, body: bytes) -> None:
    """The box was told that the centre has these: within the time for which it keeps them none may be missing again."""
    watched = world.watched[box.id]
    for fact in decode(body, FactBatch).facts:
        watched.taken.setdefault(fact.id, world.time.true)


def _same(world: World, who: str, channel: str, table: DecisionTable) -> None:
    truth, held = _truth(world, channel), _holds(table)
    require(
        truth == held, "%s, %s: has %s, lacks %s", who, channel,
        sorted(held.keys() - truth.keys()) or sorted(held.items() - truth.items()), sorted(truth.keys() - held.keys()),
    )  # fmt: skip


def _acked(world: World, box: Box) -> None:
    if box.liar or world.restored:
        return
    rows = world.centre.database.execute(
        "SELECT channel, epoch, version FROM box_ack WHERE box_id = ?", (box.id,)
    )
    assert box.agent is not None
    told = {r[0]: (int(r[1]), int(r[2])) for r in rows}
    have = {c: (t.epoch, t.version) for c, t in box.agent.session.tables.items()}
    require(told == have, "%s holds %s, the centre has been told %s", box.id, have, told)


def _facts(world: World, box: Box) -> None:
    """Counts are never larger than the truth, and equal it where nothing was lost; evidence is there, once."""
    rows = world.centre.database.execute(
        "SELECT id, kind, payload FROM inbox_fact WHERE source = ?", (box.id,)
    )
    counted: dict[tuple[str, str], int] = {}
    refused: list[tuple[str, str]] = []  # a list is refused once for each value
    for fact_id, kind, payload in rows:
        if ":lie_" in fact_id:
            continue
        fact = json.loads(payload)
        if kind in ("flows_blocked", "names_refused"):
            key = (fact["indicator"]["kind"], fact["indicator"]["value"])
            counted[key] = counted.get(key, 0) + fact["count"]
        elif kind == "entry_refused":
            refused.append((fact["entry_id"], fact["indicator"]["value"]))
    for key, count in counted.items():
        require(
            count <= box.truth.get(key, 0),
            "%s counted %s %d times, truth is %d",
            box.id,
            key,
            count,
            box.truth.get(key, 0),
        )
    require(len(set(refused)) == len(refused), "%s told one refusal twice: %s", box.id, refused)
    watched = world.watched[box.id]
    if not watched.intact:
        return
    ids = {str(row[0]).partition(":")[2] for row in rows}
    kept_from = world.time.true - KEPT_S
    gone = sorted(one for one, at in watched.taken.items() if at > kept_from and one not in ids)
    require(not gone, "%s: facts that the centre had taken are missing: %s", box.id, gone)
    if world.restored and world.horizon_s > KEPT_S:
        return
    lost = watched.refused - {entry_id for entry_id, _ in refused}
    require(not lost, "%s: refusals are lost: %s", box.id, lost)
    if watched.lossless:
        require(counted == box.truth, "%s counted %s, truth is %s", box.id, counted, box.truth)
