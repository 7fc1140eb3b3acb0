"""The invariants about what is let through, what is never decided again, and bulk lists."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from beffroi.core.planes.follower import Follower
from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import Action, BulkList

from tests.simulation import checks
from tests.simulation.engines import covers

if TYPE_CHECKING:
    from tests.simulation.box import Box
    from tests.simulation.bulk import Version
    from tests.simulation.checks import Watched
    from tests.simulation.world import World

Key = tuple[str, str]
PUBLIC_SUFFIXES = ("co.uk", "com.fr", "gouv.fr")


def key_of(indicator: Indicator) -> Key:
    return indicator.kind.value, indicator.value


def touches(one: Key, other: Key) -> bool:
    return covers(one, other) or covers(other, one)


# -- exceptions ---------------------------------------------------------------------------------------------


def too_wide(key: Key) -> bool:
    """Far more than one thing, for all communes at once. Written out here: not asked of the product."""
    if key[0] == "domain":
        return "." not in key[1] or key[1] in PUBLIC_SUFFIXES
    return key[0] == "cidr" and int(key[1].partition("/")[2]) < (48 if ":" in key[1] else 24)


def opened(box: Box) -> dict[Key, int]:
    """What the channels let through, with its end."""
    assert box.agent is not None
    found: dict[Key, int] = {}
    for channel, table in box.agent.session.tables.items():
        for entry in table:
            if entry.action is Action.ALLOW:
                key = key_of(entry.indicator)
                checks.require("@" in channel or not too_wide(key), "%s: %s passes for all", box.id, key)
                found[key] = max(found.get(key, 0), entry.expires_at)
    return found


def exceptions(world: World, box: Box, watched: Watched, now: int, *, settled: bool) -> None:
    """Each exception in force is in the engines, and after a round of the keeper nothing else is let through."""
    assert box.agent is not None
    for channel, table in box.agent.session.tables.items():
        for entry in (e for e in table if e.action is Action.ALLOW):
            whose = world.exceptions.get(entry.id, "nobody")
            expected = box.commune if "@" in channel else "all"
            checks.require(
                whose == expected, "%s: %s has the exception %s of %s", box.id, channel, entry.id, whose
            )
    through = {("cidr" if "/" in s else "ip", s) for s in box.engines.spares}
    through |= {("domain", n) for n in box.engines.spared_names}
    wanted = opened(box)
    for key, end in wanted.items():
        if end > now + checks.SLACK_S and not (watched.names_due and key[0] == "domain"):
            there = any(covers(one, key) for one in through)
            checks.require(there, "%s does not let %s through, as its commune said", box.id, key)
    if settled:
        more = [t for t in through if not any(end > now and touches(k, t) for k, end in wanted.items())]
        checks.require(not more, "%s lets through what nobody opened: %s", box.id, more)


def command_servers(world: World, commune: str, indicator: Indicator) -> list[str]:
    """The active decisions about command servers, and lists of them, that this touches there."""
    return decided_masters(world, commune, indicator) + listed_masters(world, commune, indicator)


def decided_masters(world: World, commune: str, indicator: Indicator) -> list[str]:
    return [
        d.id for d in world.centre.decisions.active()
        if d.scope in ("all", commune) and d.reason == "command_server"
        and touches(key_of(d.indicator), key_of(indicator))
    ]  # fmt: skip


def listed_masters(world: World, commune: str, indicator: Indicator) -> list[str]:
    return [
        bulk.name for scope, bulk in world.centre.lists.in_force()
        if scope in ("all", commune) and bulk.threat == "command_server"
        and any(touches((bulk.kind.value, v), key_of(indicator)) for v in world.centre.lists.values(bulk))
    ]  # fmt: skip


def none_opens_a_command_server(world: World) -> None:
    for one in world.centre.exceptions.active():
        if not one.by_departement:
            masters = decided_masters(world, one.commune, one.indicator)
            checks.require(not masters, "%s opens command servers: %s", one.id, masters)


def no_list_of_command_servers_is_open(world: World) -> None:
    """After the worker's turn."""
    for one in world.centre.exceptions.active():
        if not one.by_departement:
            masters = listed_masters(world, one.commune, one.indicator)
            checks.require(not masters, "%s opens what lists of command servers name: %s", one.id, masters)


# -- never again --------------------------------------------------------------------------------------------


def never_held(world: World) -> None:
    """No decision touches what is never decided again, whoever made it."""
    for one in world.centre.never.alive:
        bad = [d.id for d in world.centre.decisions.active() if touches(key_of(d.indicator), key_of(one))]
        bad = [i for i in bad if i not in world.unchecked]
        checks.require(not bad, "%s was to be decided never again: %s", one.value, bad)


def never_passes(world: World) -> None:
    """At every door, whatever lists name it; what would open far more than one thing is not among it."""
    for one in world.centre.never.alive:
        key = key_of(one)
        checks.require(not too_wide(key), "%s is never decided again for all, and is too wide", one.value)
        for box in world.boxes:
            through = {("cidr" if "/" in s else "ip", s) for s in box.engines.spares}
            through |= {("domain", n) for n in box.engines.spared_names}
            checks.require(
                any(covers(t, key) for t in through), "%s does not let %s through", box.id, one.value
            )
            refused = box.engines.enforced() | box.engines.bulk_enforced()
            bad = [k for k in refused if covers(key, k)]
            checks.require(not bad, "%s refuses %s, never again %s", box.id, bad, one.value)
        inside = ("ip", key[1].rpartition(".")[0] + ".9") if key[0] == "cidr" else key
        for door in world.doors:
            if key[0] == "domain" and door.name != "mail":
                continue
            for commune in world.communes if door.name == "mail" else world.communes[-1:]:
                refused_there = _ask(door.follower, inside, commune)
                checks.require(not refused_there, "%s door refuses %s to %s", door.name, inside, commune)


# -- bulk lists ---------------------------------------------------------------------------------------------


def _content(world: World, box: Box, one: BulkList) -> frozenset[Key]:
    """What the box should make of this version; of a range that touches something protected it may keep the rest."""
    return _unprotected(world.centre.lists.versions[one.sha256][0], checks.own_protected(box))


@lru_cache(maxsize=256)
def _unprotected(version: Version, protected: frozenset[Key]) -> frozenset[Key]:
    held = {(version.kind.value, v) for v in version.values}
    return frozenset(key for key in held if not any(touches(key, p) for p in protected))


def lists(world: World, box: Box, watched: Watched, now: int) -> None:
    """What is loaded was published for this box, and a list stays in force until its next version is."""
    assert box.agent is not None
    engines = box.engines
    if not (engines.bulk or engines.bulk_names or watched.lists):
        return
    held = {("cidr" if "/" in a else "ip", a) for a in engines.bulk} | {
        ("domain", n) for n in engines.bulk_names
    }
    if (engines.bulk, engines.bulk_names, box.agent.enforcer.policy) != watched.bulk:
        watched.bulk = engines.bulk, set(engines.bulk_names), box.agent.enforcer.policy
        _sound(world, box, held)
    if watched.flushed:
        watched.lists.clear()
        return
    for channel, table in box.agent.session.tables.items():
        for name, one in table.lists.items():
            if (
                one.kind.value == "domain"
                or one.action is not Action.BLOCK
                or (one.expires_at and one.expires_at <= now + checks.SLACK_S)
            ):
                watched.lists.pop((channel, name), None)
            elif _content(world, box, one) <= held:
                if box.agent.lists._chosen.get((channel, name)) == one:  # not by chance, as another list's
                    watched.lists[channel, name] = one
            elif (before := watched.lists.get((channel, name))) is not None:
                checks.require(
                    _content(world, box, before) <= held or (before.expires_at and before.expires_at <= now),
                    "%s: list %s is not in force, neither as it is nor as it was", box.id, name,
                )  # fmt: skip
    for key in [k for k in watched.lists if k[1] not in box.agent.session.tables[k[0]].lists]:
        del watched.lists[key]


def _sound(world: World, box: Box, held: set[Key]) -> None:
    bad = [key for key in held if any(covers(key, p) for p in checks.own_protected(box))]
    checks.require(not bad, "%s: a list blocks something protected: %s", box.id, sorted(bad))
    sound = {
        (v.kind.value, value) for some in world.centre.lists.versions.values() for v in some
        if v.blocks and v.scope in ("all", box.commune) for value in v.values
    }  # fmt: skip
    more = [key for key in held - sound if not any(covers(one, key) for one in sound)]
    checks.require(not more, "%s: loaded what no list of it ever held: %s", box.id, sorted(more))


def lists_converged(world: World, box: Box) -> None:
    assert box.agent is not None
    mine = [one for scope, one in world.centre.lists.in_force() if scope in ("all", box.commune)]
    if not box.agent.enforcer.policy.enforce:
        mine = [one for one in mine if one.kind.value != "domain"]
    wanted = set().union(*(_content(world, box, one) for one in mine))
    held = {("cidr" if "/" in a else "ip", a) for a in box.engines.bulk}
    held |= {("domain", n) for n in box.engines.bulk_names}
    protected = checks.own_protected(box)
    cut = [("cidr", v) for one in mine for v in world.centre.lists.versions[one.sha256][0].values
           if one.kind.value == "cidr" and any(touches(("cidr", v), p) for p in protected)]  # fmt: skip
    held = {key for key in held if not any(covers(one, key) for one in cut)} | (held & wanted)
    checks.require(held == wanted, "%s: lists hold %s, should hold %s", box.id, sorted(held), sorted(wanted))
    left = box.engines.bulk_table.idle()
    checks.require(not left, "%s: a load left behind %s", box.id, left)


# -- the doors of the datacenter ----------------------------------------------------------------------------


def doors_answer(world: World) -> None:
    """Each commune is refused exactly what holds for it, at the mail door, and nothing that it lets through."""
    centre, now = world.centre, world.time.true
    refused = [(d.scope, key_of(d.indicator)) for d in centre.decisions.active()]
    for scope, bulk in centre.lists.in_force():
        refused += [(scope, (bulk.kind.value, v)) for v in sorted(centre.lists.values(bulk))]
    through = [(o.commune, key_of(o.indicator)) for o in centre.exceptions.active() if o.expires_at > now]
    through += [("all", key_of(one)) for one in centre.never.alive]
    asked = [key for _, key in (*refused, *through) if key[0] in ("ip", "domain")]
    asked += [
        (one.kind.value, v) for one in centre.lists.on_trial() for v in sorted(centre.lists.values(one))
    ]
    for commune in world.communes:
        mine = [key for scope, key in refused if scope in ("all", commune)]
        free = [key for owner, key in through if owner in ("all", commune)]
        for key in dict.fromkeys(asked):
            held = any(covers(one, key) for one in mine) and not any(covers(one, key) for one in free)
            found = _ask(world.doors[0].follower, key, commune)
            checks.require(
                found == held, "mail door, %s: %s is refused: %s, should be: %s", commune, key, found, held
            )


def _ask(follower: Follower, key: Key, commune: str) -> bool:
    ask = follower.match_address if key[0] == "ip" else follower.match_name
    return ask(key[1], [commune]) is not None
