"""The weather composed from all services: what each commune's depends on, and what each day counted.

Process: worker (jobs), web and console (pages).
Access:  every number is read on the actor's behalf: a commune's actor gets its own alone.
Fails:   a service without news counts as nothing new; the page names what it looked at.
Source:  docs/internals/weather.md, docs/internals/counting.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Mapping
from datetime import date, timedelta
from itertools import batched

from beffroi.boxes import queries as boxes
from beffroi.core.communes import queries as communes
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity.actor import Actor
from beffroi.incidents import queries as incidents
from beffroi.incidents.rules import Severity
from beffroi.lib import clock
from beffroi.mail import queries as mail
from beffroi.watch import queries as watch
from beffroi.watch.sources import queries as sources
from beffroi.watch.weather import actions, queries, rules
from beffroi.watch.weather.models import WeatherDay
from beffroi.watch.weather.rules import Inputs, Territory, Weather

SYSTEM = Actor.system("weather")
type _Figures = dict[tuple[str, date], dict[str, int]]
_PIECE = 20
"""Collectivités whose days are counted and written at once."""


def inputs(actor: Actor) -> dict[str, Inputs]:
    """What the weather of each enrolled collectivité that the actor sees depends on; a dozen queries in all."""
    now, today = clock.now(), clock.now().date()
    owners = communes.visible_collectivites(actor).exclude(enrolled_at=None).values_list("id", flat=True)
    opened: Counter[str] = Counter()
    severe: Counter[str] = Counter()
    for owner, severity in incidents.open_incidents(actor).values_list("collectivite_id", "severity"):
        opened[owner] += 1
        severe[owner] += severity == Severity.HIGH
    limit = now - timedelta(seconds=rules.SILENT_AFTER_S)
    states = boxes.box_states(actor)
    silent = Counter(
        one.box.collectivite_id
        for one in states
        if one.silent and (one.box.last_seen_at or one.box.enrolled_at or one.box.created_at) < limit
    )
    reached = mail.withdrawn_campaigns(since=now - timedelta(days=rules.UNREPORTED_DAYS))
    unreported = watch.unreported(
        reached if actor.sees_all else {one: reached[one] for one in owners if one in reached}
    )
    refused = boxes.refused_by_day(actor, since=today)
    # Before its first box nothing was counted at a collectivité, nor all day on the day when it came.
    came: dict[str, date] = {}
    for one in states:
        if one.box.enrolled_at is not None:
            at, owner = one.box.enrolled_at.date(), one.box.collectivite_id
            came[owner] = min(came.get(owner, at), at)
    before = defaultdict(list)
    for day in queries.visible_days(
        actor, since=today - timedelta(days=rules.BASELINE_DAYS), until=today - timedelta(days=1)
    ):
        if came.get(day.collectivite_id, today) < day.day:
            before[day.collectivite_id].append(attempts(day.figures))
    found = {}
    for owner in owners:
        counted = refused.get((owner, today), boxes.Refused())
        found[owner] = Inputs(
            incidents=opened[owner],
            severe=severe[owner],
            silent_boxes=silent[owner],
            unreported=unreported.get(owner, 0),
            attempts=counted.flows_in + counted.flows_out,
            baseline=rules.baseline_of(before[owner]),
        )
    return found


def attempts(figures: Mapping[str, int]) -> int:
    """Connections of one day, both directions."""
    return figures.get("flows_in", 0) + figures.get("flows_out", 0)


def by_collectivite(actor: Actor) -> dict[str, Weather]:
    """The weather of each enrolled collectivité that the actor sees."""
    return {owner: rules.of_commune(one) for owner, one in inputs(actor).items()}


def territory(actor: Actor, found: Mapping[str, Weather]) -> Weather:
    """The département's weather from its communes' and from what waits for a word."""
    levels = Counter(one.level for one in found.values())
    return rules.of_territory(
        Territory(levels, sources.held_count(actor), decisions.review_queue(actor).count())
    )


def record_levels() -> None:
    """Keep today's weather of every collectivité. For the worker."""
    actions.record_weather(by_collectivite(SYSTEM), day=clock.now().date())


def days(actor: Actor, since: date, until: date) -> list[WeatherDay]:
    """Kept days, oldest first; today as it is at this moment, as the pages say it beside their lists."""
    today = clock.now().date()
    if until < today:
        return list(queries.visible_days(actor, since=since, until=until))
    counted = {owner: found for (owner, day), found in figures(actor, since=today).items() if day == today}
    return queries.days_by_now(
        actor, since=since, today=today, levels=by_collectivite(actor), figures=counted
    )


def record_figures(*, days: int) -> Generator[None, None, int]:
    """Keep what the last ``days`` days counted; news that came late is added to its own day. In pieces: mails of one
    day, then boîtiers of some collectivités. Return how many days of one collectivité changed."""
    since = clock.now().date() - timedelta(days=days)
    stopped: dict[str, dict[date, mail.Stopped]] = defaultdict(dict)
    for number in range(days + 1):
        day = since + timedelta(days=number)
        for (owner, _), one in mail.stopped_by_day(SYSTEM, since=day, until=day).items():
            stopped[owner][day] = one
        yield
    changed = 0
    owners = list(communes.visible_collectivites(SYSTEM).values_list("id", flat=True))
    for some in batched(owners, _PIECE, strict=False):
        found: _Figures = defaultdict(lambda: dict.fromkeys(rules.FIGURES, 0))
        for owner in some:
            for key, refused in boxes.refused_by_day(SYSTEM, since=since, owner=owner).items():
                found[key] |= _of_boxes(refused)
            for day, mails in stopped[owner].items():
                found[owner, day] |= _of_mails(mails)
        changed += actions.record_figures(found, owners=some, since=since)
        yield
    return changed


def figures(actor: Actor, *, since: date) -> _Figures:
    """What each day counted since then, by collectivité and day (UTC), as ``rules.FIGURES``."""
    found: _Figures = defaultdict(lambda: dict.fromkeys(rules.FIGURES, 0))
    for key, refused in boxes.refused_by_day(actor, since=since).items():
        found[key] |= _of_boxes(refused)
    for key, stopped in mail.stopped_by_day(actor, since=since).items():
        found[key] |= _of_mails(stopped)
    return found


def _of_boxes(refused: boxes.Refused) -> dict[str, int]:
    return {
        "flows_in": refused.flows_in,
        "flows_out": refused.flows_out,
        "names": refused.names,
        "packets": refused.packets,
        "unnamed": refused.unnamed,
    }


def _of_mails(stopped: mail.Stopped) -> dict[str, int]:
    return {
        "mails_refused": stopped.refused,
        "mails_set_aside": stopped.set_aside,
        "mails_withdrawn": stopped.withdrawn,
    }
