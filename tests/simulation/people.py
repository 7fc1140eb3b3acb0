"""People who act in the world: those who report, liars among them, and the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beffroi.watch.detectors import from_mail
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import Policy

from tests.simulation import checks, covering, standin
from tests.simulation.standin import Decision, Refused

if TYPE_CHECKING:
    from tests.simulation.world import World

MEDIUM = ({"dmarc": "fail"}, {"link_mismatch": "true"}, {"attachment_types": "exe"},
          {"spf": "fail", "dkim": "fail"})  # fmt: skip
TOO_WEAK = ({}, {"spf": "fail"}, {"attachment_types": "zip", "dmarc": "pass"})
WEIGHTS = {"dmarc_fail": 2, "link_mismatch": 2, "executable_attachment": 2, "spf_fail": 1, "dkim_fail": 1,
           "archive_attachment": 1}  # fmt: skip


def address(world: World) -> str:
    return f"45.{world.rng.randint(130, 139)}.{world.rng.randint(1, 9)}.{world.rng.randint(1, 250)}"


def malice(number: int) -> tuple[Indicator, Indicator, str]:
    """(link, its name, its address) of the attacker's campaign."""
    name = f"portail-{number}.facture-suivi.top"
    return normalise("url", f"https://{name}/c?{number}"), Indicator(Kind.DOMAIN, name), f"45.140.7.{number}"


def innocent(number: int) -> tuple[Indicator, Indicator, str]:
    """A competitor, as ``malice``."""
    name = f"www.concurrent-{number}.fr"
    return normalise("url", f"https://{name}/tarifs"), Indicator(Kind.DOMAIN, name), f"51.15.40.{number}"


# -- reports ------------------------------------------------------------------------------------------------


def _report(
    world: World, commune: str, person: str, indicators: list[Indicator], evidence: dict[str, str],
    landing: dict[str, list[str]], door: str = "mail",
) -> None:  # fmt: skip
    sighting = standin.Sighting(
        f"sig_{world.rng.randbytes(6).hex()}", door, commune, person, tuple(indicators), dict(evidence)
    )
    world.tell("%s reports %s %s", person, [i.value for i in indicators], evidence)
    for _ in range(1 + (world.rng.random() < 0.2)):  # at least once
        world.centre.watch.take_in(sighting, landing)
    _judge(world)
    world.publish()


def honest_report(world: World) -> None:
    link, name, ip = malice(world.rng.randint(1, 3))
    commune = world.rng.choice([c for c in world.communes if c not in world.liars])
    if world.rng.random() < 0.2:
        world.centre.book.listed.add(link)
    evidence = world.rng.choice((*MEDIUM, *TOO_WEAK))
    _report(world, commune, f"{commune}/agent", [link], evidence, {name.value: [ip]})


def lying_report(world: World) -> None:
    if not world.liars:
        return
    commune = world.rng.choice(sorted(world.liars))
    link, name, ip = innocent(world.rng.randint(1, 3))
    told = world.rng.choice(
        (
            [link],
            [normalise("url", "https://www.impots.gouv.fr/"), Indicator(Kind.DOMAIN, "impots.gouv.fr")],
            [Indicator(Kind.IP, "8.8.8.8"), link],
            [Indicator(Kind.IP, ip), Indicator(Kind.SENDER, "contact@" + name.value)],
            [Indicator(Kind.CIDR, "51.15.40.0/24"), Indicator(Kind.DOMAIN, checks.MEMBERS[0])],
        )
    )
    person = world.rng.choice((f"{commune}/liar", "one-person-of-two-communes"))
    door = world.rng.choice(("mail", "mail", "box"))
    _report(world, commune, person, told, world.rng.choice(MEDIUM), {name.value: [ip]}, door)


def conspiracy(world: World) -> None:
    """All liars at once, with all that an attacker can make of mail to himself: the documented power, exactly."""
    number = world.rng.randint(4, 250)
    while any(innocent(number)[0] in one.indicators for c in world.centre.book.campaigns for one in c.seen):
        number = number % 250 + 4  # nobody spoke of it yet: what was said before counts too
    link, name, ip = innocent(number)
    persons = [f"{c}/liar" for c in sorted(world.liars)]
    if world.rng.random() < 0.3:
        persons = ["one-person-of-two-communes"] * len(persons)
    evidence = world.rng.choice((*MEDIUM, *TOO_WEAK))
    before = {d.id for d in world.centre.decisions.active()}
    for commune, person in zip(sorted(world.liars), persons, strict=True):
        _report(world, commune, person, [link], evidence, {name.value: [ip]})
    made = [d for d in world.centre.decisions.active() if d.id not in before and d.indicator == name]
    enough = sum(WEIGHTS[d] for d in from_mail(evidence)) >= 2
    waits = any(d.indicator == name for d in world.centre.decisions.waiting())
    allowed = len(set(persons)) >= 2 and enough and not waits
    checks.require(bool(made) == allowed, "liars %s with %s made %s", persons, evidence, made)


def _judge(world: World) -> None:
    """Every active decision that no person of the Département made has the evidence that the rules ask for."""
    checks.waits_for_a_person(world)
    covering.never_held(world)
    covering.none_opens_a_command_server(world)
    book = world.centre.book
    confirmed = {i for c in book.campaigns for (i, _), yes in c.rows.items() if yes}
    for decision in world.centre.decisions.active():
        if not decision.campaign_id or decision.indicator in confirmed or decision.id in world.approved:
            continue
        key = (decision.indicator.kind.value, decision.indicator.value)
        checks.require(
            key not in checks.PROTECTED | checks.CENTRE_ONLY, "a decision about something protected: %s", key
        )
        leaders = [decision.indicator]
        if decision.rule == "landing_address":
            rows = [r for c in book.campaigns for r in c.rows if r[0] == decision.indicator and r[1]]
            leaders = [Indicator(Kind.DOMAIN, name) for _, name in rows]
        checks.require(
            any(_carried(world, i) or i in confirmed for i in leaders), "%s decided %s without evidence",
            decision.rule, key,
        )  # fmt: skip


def _carried(world: World, indicator: Indicator) -> bool:
    communes, persons, spoke = set(), set(), set()
    for campaign in world.centre.book.campaigns:
        for one in campaign.seen:
            if indicator in one.indicators:
                communes.add(one.commune)
                persons.add(one.person)
                spoke |= set(from_mail(one.evidence)) if one.door == "mail" else set()
    if indicator in world.centre.book.listed:
        return True
    return len(communes) >= 2 and len(persons) >= 2 and sum(WEIGHTS[d] for d in spoke) >= 2


# -- the operator -------------------------------------------------------------------------------------------


def confirm(world: World) -> None:
    """Sometimes of a lie: the operator is human."""
    if world.centre.book.campaigns:
        campaign = world.rng.choice(world.centre.book.campaigns)
        world.tell("the operator confirms %s", campaign.id)
        world.centre.watch.confirm(campaign)
        answered(world)
        _judge(world)
        world.publish()


def undo(world: World) -> None:
    decided = [c for c in world.centre.book.campaigns if c.state == "decided"]
    if decided:
        campaign = world.rng.choice(decided)
        ended = world.centre.watch.undo(campaign)
        answered(world)
        world.tell("the operator undoes %s: %s", campaign.id, [d.indicator.value for d in ended])
        world.publish()


def answered(world: World) -> None:
    """A person did something: what still waits, or waited until its question ended, they left."""
    if not world.asked:
        return
    decisions = world.centre.decisions
    world.asked &= {(d.indicator, d.scope) for d in decisions.waiting()} | decisions.lapsed()


def withdraw(world: World) -> None:
    """A decision turned out to hit communes; then time passes, and the same is reported again."""
    active = world.centre.decisions.active()
    if active:
        found = world.rng.choice(active)
        world.tell("%s %s hits communes and is withdrawn", found.id, found.indicator.value)
        world.centre.decisions.withdraw(found)
        world.asked.add((found.indicator, found.scope))
        if world.rng.random() < 0.3:
            world.centre.decisions.tell_as_before(found)
        world.publish()


def approve(world: World) -> None:
    waiting = world.centre.decisions.waiting()
    if waiting:
        found = world.rng.choice(waiting)
        world.tell("the operator confirms %s %s", found.id, found.indicator.value)
        _approve(world, found)
        answered(world)
        world.publish()


def _approve(world: World, found: Decision) -> None:
    unchecked = found.id in world.unchecked
    try:
        made = world.centre.decisions.activate(
            found.indicator, action="block", ttl_s=7 * 86400, scope=found.scope, by_person=True,
            protected="" if unchecked else world.centre.protected(found.indicator),
            rule="departement", reason=found.reason, campaign_id=found.campaign_id, evidence=found.evidence,
        )  # fmt: skip
    except Refused:
        return
    world.approved.add(made.id)
    world.unchecked |= {made.id} if unchecked else set()


def revoke(world: World) -> None:
    active = world.centre.decisions.open()
    if active:
        found = world.rng.choice(active)
        world.tell("the operator revokes %s %s", found.id, found.indicator.value)
        world.centre.decisions.end([found], "revoked")
        answered(world)
        world.publish()


def block(world: World) -> None:
    """The operator blocks by hand, for all or for one commune; several at once are one batch."""
    for _ in range(world.rng.choice((1, 1, 3))):
        kind = world.rng.choice((Kind.IP, Kind.IP, Kind.DOMAIN, Kind.CIDR))
        value = {
            Kind.IP: address(world),
            Kind.DOMAIN: f"c{world.rng.randint(1, 9)}.commande-serveur.xyz",
            Kind.CIDR: f"45.{world.rng.randint(150, 159)}.7.0/24",
        }[kind]
        _block(world, Indicator(kind, value))
    world.publish()


def _block(world: World, indicator: Indicator, *, checked: bool = True) -> Decision | None:
    scope = world.rng.choice(("all", "all", world.rng.choice(world.communes)))
    ttl_s = world.rng.choice((90, 1800, 4 * 3600, 7 * 86400))
    why = world.centre.protected(indicator) if checked else ""
    try:
        made = world.centre.decisions.activate(
            indicator,
            action="block",
            ttl_s=ttl_s,
            protected=why,
            scope=scope,
            reason="command_server" if world.rng.random() < 0.2 else "administrator",
            by_person=True,
        )
    except Refused:
        return None
    answered(world)
    world.tell("block %s %s for %s, %d s", made.id, indicator.value, scope, ttl_s)
    world.due(ttl_s)
    return made


def block_for(world: World, scope: str) -> None:
    world.centre.decisions.activate(
        Indicator(Kind.IP, address(world)), action="block", ttl_s=86400, protected="", scope=scope
    )
    world.publish()


def protected_by_mistake(world: World) -> None:
    key = world.rng.choice(sorted(checks.PROTECTED - checks.LANS | checks.CENTRE_ONLY))
    made = _block(world, Indicator(Kind(key[0]), key[1]))
    checks.require(made is None, "the centre decided about %s", key)


def stolen_console(world: World) -> None:
    """A decision that the centre should have refused reaches the feed: the boxes are the second line."""
    kind, value = world.rng.choice(sorted(checks.PROTECTED - checks.LANS) + sorted(checks.LANS)[:3])
    made = _block(world, Indicator(Kind(kind), value), checked=False)
    world.unchecked |= {made.id} if made is not None else set()
    world.publish()


def policy(world: World, commune: str = "") -> None:
    commune = commune or world.rng.choice(world.communes)
    bad = world.rng.random() < 0.25
    content = Policy(
        enforce=world.rng.random() < 0.8,
        protected_names=world.rng.choice(((), ("c1.commande-serveur.xyz",))),
        allow_addresses=("203.0.113.66",) if bad else (),  # the mark of a policy that cuts the box off
    )
    version = world.centre.set_policy(commune, content)
    world.tell("policy %d of %s, %s", version, commune, "bad" if bad else "good")
    world.publish()
