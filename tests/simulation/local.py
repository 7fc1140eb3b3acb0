"""What people let through, what is never decided again, and bulk lists: deeds of communes and the Département."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beffroi.core.planes import outbox
from beffroi.lib import clock
from beffroi_protocol.indicators import Indicator, Kind

from tests.simulation import checks, covering, people
from tests.simulation.rows import NOWHERE
from tests.simulation.standin import Refused

if TYPE_CHECKING:
    from tests.simulation.world import World

LISTS = {"abuse": Kind.IP, "nets": Kind.CIDR, "phishing": Kind.DOMAIN}


def _something(world: World) -> Indicator | None:
    """What someone may want to be let through: decided or listed, or what lies around it."""
    found = [d.indicator for d in world.centre.decisions.active()]
    found += [
        Indicator(one.kind, value)
        for _, one in world.centre.lists.in_force()
        for value in sorted(world.centre.lists.versions[one.sha256][0].values)[:2]
    ]
    found = [i for i in found if i.kind in (Kind.IP, Kind.CIDR, Kind.DOMAIN)]
    if not found:
        return None
    chosen, how = world.rng.choice(found), world.rng.random()
    parent = chosen.value.partition(".")[2]
    if chosen.kind is Kind.DOMAIN and how < 0.3:
        return Indicator(Kind.DOMAIN, parent if how < 0.15 and "." in parent else "www." + chosen.value)
    if chosen.kind is Kind.CIDR and how < 0.3:
        return Indicator(Kind.IP, chosen.value.partition("/")[0].rpartition(".")[0] + ".77")
    if chosen.kind is Kind.IP and how < 0.2:
        return Indicator(Kind.CIDR, chosen.value.rpartition(".")[0] + ".0/24")
    return chosen


def allow(world: World) -> None:
    """A person of a commune for an hour at most, or the Département for longer."""
    indicator, departement = _something(world), world.rng.random() < 0.4
    if indicator is None:
        return
    commune = world.rng.choice(world.communes)
    ttl_s = world.rng.choice((600, 86400, 7 * 86400) if departement else (120, 3600))
    masters = covering.command_servers(world, commune, indicator)
    try:
        made = world.centre.exceptions.allow(commune, indicator, ttl_s=ttl_s, departement=departement)
    except Refused as why:
        world.tell("%s may not let %s through: %s", commune, indicator.value, why)
        return
    checks.require(not masters, "%s was let through to a command server: %s", commune, masters)
    world.tell("%s lets %s through as %s, %d s", commune, indicator.value, made.id, ttl_s)
    world.exceptions[made.id] = commune
    world.due(ttl_s)
    world.publish()
    if world.rng.random() < 0.3:  # and nobody can tell its box that it has ended
        box = next(b for b in world.boxes if b.commune == commune)
        world.after(5.0, lambda: world.cut_off(box, ttl_s + 600.0))


def close(world: World) -> None:
    active = world.centre.exceptions.active()
    if active:
        one = world.rng.choice(active)
        world.tell("%s ends before its time", one.id)
        world.centre.exceptions.end(one)
        world.publish()


def _wider(world: World, indicator: Indicator) -> Indicator:
    """What no one thing is: a public suffix, a range wider than a firm's."""
    if indicator.kind is Kind.DOMAIN:
        return Indicator(
            Kind.DOMAIN, world.rng.choice((indicator.value.rpartition(".")[2], "co.uk", "gouv.fr"))
        )
    a, b, _ = indicator.value.split(".", 2)
    return Indicator(Kind.CIDR, world.rng.choice((f"{a}.{b}.0.0/16", f"{a}.0.0.0/8", "0.0.0.0/0")))


def allow_for_all(world: World) -> None:
    """A stolen console lets everything through for everyone: no signature makes that true."""
    indicator = _something(world)
    if indicator is None:
        return
    wide = _wider(world, indicator)
    world.tell("a stolen console lets %s through for all", wide.value)
    made = f"exc_{world.rng.randbytes(6).hex()}"
    payload = {"kind": wide.kind.value, "value": wide.value}
    if world.rng.random() < 0.5:
        kind = "exception:allowed"
        payload |= {"exception_id": made, "scope": "all", "expires_at": clock.epoch_s() + 86400}
    else:
        kind = "never_again:set"
        payload |= {"never_again_id": made, "until": 0}
    database = world.centre.database
    with database.transaction():
        outbox.publish(database, kind, payload, run=NOWHERE)
    world.publish()


def never_again(world: World) -> None:
    indicator = _something(world)
    if indicator is None:
        return
    if world.rng.random() < 0.15:
        indicator = _wider(world, indicator)
    wide = covering.too_wide(covering.key_of(indicator))
    listed, ttl_s = world.centre.lists.in_force(), world.rng.choice((0, 0, 1800, 86400))
    try:
        made, ended = world.centre.never.put(indicator, ttl_s=ttl_s)
    except Refused:
        checks.require(wide, "the Département may not say never again of %s", indicator.value)
        return
    checks.require(not wide, "the Département said never again of %s", indicator.value)
    world.tell("never again %s, %d s: %s, %s end", indicator.value, ttl_s, made.id, [d.id for d in ended])
    checks.require(listed == world.centre.lists.in_force(), "never again %s changed a list", indicator.value)
    world.exceptions[made.id] = "all"
    people.answered(world)
    covering.never_held(world)
    if ttl_s:
        world.due(ttl_s)
    world.publish()


def take_back(world: World) -> None:
    if world.centre.never.rows:
        one = world.rng.choice(world.centre.never.rows)
        world.tell("%s may be decided again", one.indicator.value)
        world.centre.never.end(one)
        world.publish()


# -- bulk lists ---------------------------------------------------------------------------------------------


def publish_list(world: World) -> None:
    """A new one, or the next version; what is protected is left out, unless the console is stolen."""
    rng = world.rng
    name, stolen = rng.choice(sorted(LISTS)), rng.random() < 0.15
    kind = LISTS[name]
    values = {_value(world, kind) for _ in range(rng.randint(2, 5))}
    if stolen:
        values |= {
            value for of, value in checks.PROTECTED if of == kind.value and not value.startswith("10.")
        }
    else:
        values = {v for v in values if not world.centre.floor.reason(Indicator(kind, v))}
    if not values:
        return
    scope = rng.choice(("all", "all", "all", rng.choice(world.communes)))
    ttl_s = rng.choice((0, 0, 1800, 86400))
    threat = rng.choice(("", "phishing", "command_server"))
    world.centre.lists.publish(
        name, kind, sorted(values), scope=scope, ends=clock.epoch_s() + ttl_s if ttl_s else 0, threat=threat
    )
    world.tell("list %s (%s) for %s, %d s: %s", name, threat, scope, ttl_s, sorted(values))
    world.after(rng.uniform(0.5, 5), lambda: end_listed(world))
    if ttl_s:
        world.due(ttl_s)
    world.publish()


def end_listed(world: World) -> None:
    """The worker's consumer of ``list:published``; the event waits while the centre is down."""
    world.centre.exceptions.end_listed()
    world.publish()


def _value(world: World, kind: Kind) -> str:
    rng = world.rng
    if kind is Kind.IP:
        return f"45.17{rng.randint(0, 9)}.3.{rng.randint(10, 99)}"
    return (
        f"45.18{rng.randint(0, 9)}.3.0/24" if kind is Kind.CIDR else f"l{rng.randint(10, 40)}.hameconnage.top"
    )


def withdraw_list(world: World) -> None:
    in_force = world.centre.lists.in_force()
    if in_force:
        _, one = world.rng.choice(in_force)
        world.tell("list %s is withdrawn", one.name)
        world.centre.lists.withdraw(one.name)
        world.publish()
