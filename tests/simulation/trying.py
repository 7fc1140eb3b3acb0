"""Lists on trial and questions that nobody answers: what sources and people do, and what must hold of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beffroi.watch.sources.rules import TrialState
from beffroi_protocol.indicators import Indicator, Kind

from tests.simulation import checks
from tests.simulation.sources import PERCENT, SIZE, TRIAL_S

if TYPE_CHECKING:
    from tests.simulation.world import World

SOURCES = {"source-a": Kind.IP, "source-b": Kind.DOMAIN}
TICK_S = 170.0
UNSEEN_S = 180.0
DAY_S = 86400.0
PARIS_S = 3600.0
"""All stories are told in January."""


def worked_s(since: float, until: float) -> float:
    """Seconds of work between two moments, Monday to Friday, 8 to 18. Not asked of the product."""
    found, day = 0.0, (since + PARIS_S) // DAY_S
    while day <= (until + PARIS_S) // DAY_S:
        if (day + 3) % 7 < 5:  # the first day of all was a Thursday
            begins = day * DAY_S - PARIS_S + 8 * 3600
            found += max(0.0, min(until, begins + 36000) - max(since, begins))
        day += 1
    return found


# -- deeds --------------------------------------------------------------------------------------------------


def source_brings(world: World) -> None:
    """A source names a few more, or much at once; two town halls may live on one of them."""
    rng = world.rng
    name = rng.choice(sorted(SOURCES))
    known = world.centre.sources.known.get(name)
    values = {_value(world, SOURCES[name]) for _ in range(rng.choice((1, 3, 9)))}
    if known is not None and rng.random() < 0.8:
        values |= known.values
    if rng.random() < 0.3:
        values |= {value for of, value in checks.PROTECTED if of == SOURCES[name].value}
    values = {v for v in values if not world.centre.floor.reason(Indicator(SOURCES[name], v))}
    threat = rng.choice(("", "phishing", "command_server")) if known is None else known.threat
    first = sorted(values - world.named)
    world.named |= values
    if first and rng.random() < 0.3:  # before any box looked back on it: it does so once
        used = rng.choice(first)
        for box in rng.sample(world.boxes, 2):
            box.lives_on.add(used)
            world.tell("%s lives on %s", box.commune, used)
    world.tell("%s (%s) names %s", name, threat, sorted(values))
    _watched(world, lambda: world.centre.sources.bring(name, SOURCES[name], values, threat=threat))


def _value(world: World, kind: Kind) -> str:
    number = world.rng.randint(10, 60)
    return f"45.190.3.{number}" if kind is Kind.IP else f"s{number}.livraison.top"


def answer(world: World) -> None:
    """A person ends a trial, or refuses it."""
    tried = [s for s in world.centre.sources.known.values() if s.trial is not None]
    if tried:
        source, enforce = world.rng.choice(tried), world.rng.random() < 0.5
        world.tell("a person %s what %s named", "blocks" if enforce else "refuses", source.name)
        more = {_value(world, source.kind) for _ in range(world.rng.choice((0, 0, 9)))}
        world.named |= more
        _watched(
            world,
            lambda: world.centre.sources.answer(source, enforce=enforce, meanwhile=more),
            by_person=source.name,
        )


def tick(world: World) -> None:
    heard, now = _heard(world), world.time.true
    for source in world.centre.sources.observing():
        trial = source.trial
        assert trial is not None
        if heard and now - trial.looked_at <= UNSEEN_S:
            trial.seen_s += worked_s(trial.looked_at, now)
    _watched(world, lambda: world.centre.sources.tick(communes=heard))


def _heard(world: World) -> int:
    connected = (b for b in world.boxes if b.link and b.connection is not None and not b.connection.silent)
    return len({box.commune for box in connected})


def lapse(world: World) -> None:
    """The worker ends questions that nobody answered, none before its time."""
    decisions = world.centre.decisions
    before = decisions.asked_since()
    if not before:
        return
    decisions.lapse_unanswered()
    for number in before.keys() - decisions.asked_since().keys():
        world.tell("nobody answered what becomes of %s", number)
        worked = worked_s(before[number], world.time.true)
        checks.require(worked >= 35999, "a person had %d s of work to answer about %s", worked, number)


# -- what must hold -----------------------------------------------------------------------------------------


def _watched(world: World, deed: object, *, by_person: str = "") -> None:
    """Do it; nothing begins to be blocked but after a trial that ended well, or by a person's word."""
    sources, lists = world.centre.sources, world.centre.lists
    before = {
        name: (lists.named(name), lists.named(s.trial_name), s.trial) for name, s in sources.known.items()
    }
    used = {name: _used(world, tried) for name, (_, tried, _) in before.items()}
    deed()
    for name, source in sources.known.items():
        blocked, tried, trial = before.get(name, (frozenset(), frozenset(), None))
        new = lists.named(name) - blocked
        if new and source.is_tried:
            world.tell(
                "%s blocks %s after a trial, %s without", name, sorted(new & tried), sorted(new - tried)
            )
            few, known = new - tried, (blocked | tried) & source.values
            most = max(SIZE, len(known) * PERCENT // 100) if known else 0
            checks.require(len(few) <= most, "%s blocks %s without a trial", name, sorted(few))
            if new & tried and name != by_person:
                assert trial is not None
                checks.require(trial.seen_s >= TRIAL_S, "%s was tried for %d s", name, trial.seen_s)
                checks.require(not used[name], "%s blocks what town halls live on: %s", name, used[name])
    world.tried()
    world.publish()


def _used(world: World, tried: frozenset[str]) -> set[str]:
    """What at least two communes have told."""
    told = set(world.centre.sources.told()) if tried else set()
    return {v for v in tried if len({commune for commune, value in told if value == v}) > 1}


def none_on_trial_is_blocked(world: World) -> None:
    """Nothing is blocked and on trial; what is protected is neither."""
    lists = world.centre.lists
    for source in world.centre.sources.known.values():
        both = lists.named(source.name) & lists.named(source.trial_name)
        checks.require(not both, "%s is blocked and on trial: %s", source.name, sorted(both))
        state = source.trial.state if source.trial is not None else None
        checks.require(state is not TrialState.PASSED, "%s passed and is not in force", source.name)


def told(world: World) -> None:
    """What its town hall lives on, of a list that it observes, the centre has heard of each box."""
    if world.restored:
        return
    heard = set(world.centre.sources.told())
    for box in world.boxes:
        assert box.agent is not None
        if not world.watched[box.id].intact:
            continue
        for one in world.centre.lists.on_trial():
            if ("box", one.name) not in box.agent.lists._chosen or box.agent.lists._chosen[
                "box", one.name
            ] != one:
                continue
            free = box.lives_on & world.centre.lists.values(one)
            free = {v for v in free if not box.agent.enforcer.is_spared(Indicator(one.kind, v))}
            silent = {v for v in free if (box.commune, v) not in heard}
            checks.require(not silent, "%s never told that it lives on %s", box.id, sorted(silent))
