"""Who acts in the world: attackers, people who report, liars, the operator, and misfortune.

Each public function of ``ACTIONS`` is one deed at one moment; the seed draws when and which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from beffroi.lib.errors import BeffroiError
from beffroi.watch.detectors import from_mail
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.facts import FactBatch, FlowsBlocked, Sighting
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import Ack, AckBatch, Policy, encode
from beffroi_protocol.signing import Signer, split_line
from beffroi_protocol.table import overlay

from tests.simulation import checks, standin
from tests.simulation.box import Box
from tests.simulation.standin import Decision, Refused
from tests.simulation.world import BACKOFF_LAST_S, PARTITIONS_S

if TYPE_CHECKING:
    from tests.simulation.world import World

MEDIUM = ({"dmarc": "fail"}, {"link_mismatch": "true"}, {"attachment_types": "exe"},
          {"spf": "fail", "dkim": "fail"})  # fmt: skip
TOO_WEAK = ({}, {"spf": "fail"}, {"attachment_types": "zip", "dmarc": "pass"})
PROVED = {"symbols": "PHISHED_OPENPHISH", "dmarc": "fail"}
WEIGHTS = {"dmarc_fail": 2, "link_mismatch": 2, "executable_attachment": 2, "spf_fail": 1, "dkim_fail": 1,
           "archive_attachment": 1, "listed_url": 4}  # fmt: skip


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
    proof = PROVED if world.rng.random() < 0.2 else world.rng.choice((*MEDIUM, *TOO_WEAK))
    _report(world, commune, f"{commune}/agent", [link], proof, {name.value: [ip]})


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
    allowed = len(set(persons)) >= 2 and enough
    checks.require(bool(made) == allowed, "liars %s with %s made %s", persons, evidence, made)


def _judge(world: World) -> None:
    """Every active decision that no person of the Département made has the evidence that the rules ask for."""
    book = world.centre.book
    confirmed = {i for c in book.campaigns for (i, _), yes in c.rows.items() if yes}
    for decision in world.centre.decisions.active():
        if not decision.campaign_id or decision.indicator in confirmed:
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
    if indicator.kind is Kind.URL and "listed_url" in spoke:
        return True
    return len(communes) >= 2 and len(persons) >= 2 and sum(WEIGHTS[d] for d in spoke) >= 2


# -- the operator -------------------------------------------------------------------------------------------


def confirm(world: World) -> None:
    """Sometimes of a lie: the operator is human."""
    if world.centre.book.campaigns:
        campaign = world.rng.choice(world.centre.book.campaigns)
        world.tell("the operator confirms %s", campaign.id)
        world.centre.watch.confirm(campaign)
        _judge(world)
        world.publish()


def undo(world: World) -> None:
    decided = [c for c in world.centre.book.campaigns if c.state == "decided"]
    if decided:
        campaign = world.rng.choice(decided)
        ended = world.centre.watch.undo(campaign)
        world.tell("the operator undoes %s: %s", campaign.id, [d.indicator.value for d in ended])
        world.publish()


def revoke(world: World) -> None:
    active = world.centre.decisions.active()
    if active:
        found = world.rng.choice(active)
        world.tell("the operator revokes %s %s", found.id, found.indicator.value)
        world.centre.decisions.end([found], "revoked")
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
            indicator, action="block", ttl_s=ttl_s, protected=why, scope=scope
        )
    except Refused:
        return None
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
    _block(world, Indicator(Kind(kind), value), checked=False)
    world.publish()


def policy(world: World) -> None:
    commune = world.rng.choice(world.communes)
    bad = world.rng.random() < 0.25
    content = Policy(
        enforce=world.rng.random() < 0.8,
        protected_names=world.rng.choice(((), ("c1.commande-serveur.xyz",))),
        allow_addresses=("203.0.113.66",) if bad else (),  # the mark of a policy that cuts the box off
    )
    version = world.centre.set_policy(commune, content)
    world.tell("policy %d of %s, %s", version, commune, "bad" if bad else "good")
    world.publish()


# -- lies of boxes ------------------------------------------------------------------------------------------


def lying_box(world: World) -> None:
    liars = [b for b in world.boxes if b.liar]
    if not liars or not world.centre.up:
        return
    box, rng = world.rng.choice(liars), world.rng
    deed = rng.choice(("since", "acks", "facts", "sighting"))
    world.tell("%s lies: %s", box.id, deed)
    if deed == "since":
        epoch, version = rng.choice(
            ((1, 10**6), (10**12, 5), (2, 0), (world.centre.publisher.feed.epoch, 10**9))
        )
        subscriber = world.centre.follow(box.caller, f"box:{epoch}:{version}:ff")
        world.centre.hub.remove(subscriber)
        world.flush()
        return
    body = encode(
        AckBatch(1, (Ack("box", 10**6, 10**9, 0), Ack(overlay("box", world.communes[-1]), 9, 9, 0)))
    )
    path = "/v1/acks"
    if deed == "facts":
        other = rng.choice(world.boxes)
        victim = Indicator(Kind.IP, address(world))
        flows = FlowsBlocked(f"lie_{other.id}", victim, "in", 2**40, 1, 2)
        path, body = "/v1/facts", encode(FactBatch(1, (flows, flows)))
    elif deed == "sighting":
        seen = Sighting("lie_sighting", "honeyport", (Indicator(Kind.DOMAIN, "impots.gouv.fr"),), 1)
        path, body = "/v1/facts", encode(FactBatch(1, (seen,)))
    try:
        world.centre.post(box.row, path, body)
    except (BeffroiError, ProtocolError):
        pass


def hostile_middle(world: World) -> None:
    """Old, changed and foreign lines reach a node."""
    node = world.rng.choice(world.nodes)
    if not world.recorded:
        return
    line, how = (
        world.rng.choice(world.recorded),
        world.rng.choice(("old", "old", "old", "changed", "foreign", "junk")),
    )
    if how == "changed":
        at = world.rng.randrange(len(line) // 2, len(line))
        line = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
    elif how == "foreign":
        stranger = Signer(world.make_key(b"\x66" * 32))
        kid, _, payload = split_line(line)
        line = stranger.line(_decoded(payload))
        line = line.replace(stranger.kid.encode(), kid.encode(), 1)
    elif how == "junk":
        line = world.rng.randbytes(60).replace(b"\n", b"")
    world.tell("%s gets a line that is %s", getattr(node, "id", getattr(node, "name", "")), how)
    before = _state(node) if how != "old" else b""
    world.inject(node, line)
    if how != "old":
        checks.require(_state(node) == before, "a %s line changed a table", how)


def _decoded(payload: bytes):  # type: ignore[no-untyped-def]
    from beffroi_protocol.messages import decode_feed

    return decode_feed(payload)


def _state(node: object) -> bytes:
    if isinstance(node, Box):
        tables = node.agent.session.tables if node.agent else {}
    else:
        tables = node.follower._session.tables  # type: ignore[attr-defined]
    return b"".join(t.dump() for t in tables.values())


# -- misfortune ---------------------------------------------------------------------------------------------


def attack(world: World) -> None:
    """Flows from a listed address and look-ups of a listed name, at each box."""
    for box in world.boxes:
        for one in sorted(box.engines.addresses())[:2]:
            for _ in range(world.rng.randint(1, 3)):
                box.attacked_from(one)
        for name in sorted(box.engines.refused_names)[:1]:
            box.asked_name(name)
        if box.agent is not None:
            world.turn(box)


def partition(world: World) -> None:
    box, seconds = world.rng.choice(world.boxes), world.rng.choice(PARTITIONS_S)
    if box.link:
        box.link = False
        world.tell("%s: partition of %d s", box.id, seconds)
        world.after(min(seconds, world.horizon_s), lambda: world.heal(box))


def crash_box(world: World) -> None:
    box = world.rng.choice(world.boxes)
    if box.agent is None:
        return
    rng, watched = world.rng, world.watched[box.id]
    how = rng.choice(("killed", "killed", "power cut", "damaged file", "older state", "empty state"))
    world.tell("%s: %s", box.id, how)
    watched.lossless = False
    if how == "killed":
        box.kill()
    else:
        box.power_cut()
    if how == "damaged file":
        watched.intact = False
        _damage(world, box)
    elif how == "older state" and hasattr(box, "saved_files"):
        watched.intact = False
        box.put_files(box.saved_files)
    elif how == "empty state":
        watched.intact = False
        for path in (*(box.place / "tables").iterdir(), *(box.place / "spool").iterdir()):
            path.unlink()
    world.after(rng.uniform(1, 90), lambda: world.boot(box))


def _damage(world: World, box: Box) -> None:
    files = sorted(p for d in ("tables", "spool") for p in (box.place / d).iterdir())
    files += [
        p for p in (box.place / "time-floor", box.place / "delegations", box.place / "policy") if p.exists()
    ]
    if files:
        path = world.rng.choice(files)
        data = path.read_bytes()
        path.write_bytes(data[: world.rng.randrange(len(data) + 1)])


def keep_state(world: World) -> None:
    box = world.rng.choice(world.boxes)
    box.saved_files = box.files()  # type: ignore[attr-defined]


def disk(world: World) -> None:
    box = world.rng.choice(world.boxes)
    box.disk_full = not box.disk_full
    world.watched[box.id].intact = False
    world.tell("%s: disk %s", box.id, "full" if box.disk_full else "free")


def clock_jump(world: World) -> None:
    box = world.rng.choice(world.boxes)
    box.skew_s = world.rng.choice((-10 * 365 * 86400.0, 10 * 365 * 86400.0, 3600.0, 0.0))
    world.tell("%s: wall clock off by %d s", box.id, box.skew_s)


def engines(world: World) -> None:
    """Unbound restarts, or another program flushes the rules."""
    box = world.rng.choice(world.boxes)
    world.watched[box.id].flushed = world.watched[box.id].names_due = True
    if world.rng.random() < 0.5:
        box.engines.restart_resolver()
    else:
        box.engines.rules, box.engines.ends, box.engines.networks = "", {}, ()
    if box.agent is not None:
        world.turn(box)


def door_restarts(world: World) -> None:
    door = world.rng.choice(world.doors)
    door.start()
    world.once(door, "connect", world.rng.random(), lambda: world.connect(door))


def stream_dies(world: World) -> None:
    """At once, or over its next batch: after the commit, before or after the mark on disk."""
    if not world.centre.up:
        return
    how = world.rng.choice(("now", "committed", "marked"))
    if how == "now":
        world.tell("stream dies")
        world.stop_stream(world.rng.uniform(0.5, 300))
    else:
        world.centre.publisher.crash_at = how


def rotate(world: World) -> None:
    steps = world.rng.choice((1, 1, 2))
    world.tell("the feed key is rotated, %d steps", steps)
    world.centre.rotate(steps)
    world.stop_stream(1.0)


def backup(world: World) -> None:
    world.backup = world.centre.backup()  # type: ignore[attr-defined]


def restore(world: World) -> None:
    made = getattr(world, "backup", None)
    if made is None:
        return
    with_feed = world.rng.random() < 0.5
    world.tell("the centre is restored from a backup, %s STATE/feed", "with" if with_feed else "without")
    world.restored = True
    world.centre.restore(made, with_feed=with_feed)
    world.lost_feed = with_feed or getattr(world, "lost_feed", False)  # type: ignore[attr-defined]
    world.revived |= made.members
    world.flush()
    for decision in world.centre.decisions.active():
        world.due(max(1.0, decision.expires_at - world.time.true))
    pause_s = world.rng.uniform(1, BACKOFF_LAST_S)
    world.after(pause_s, world.start_stream)
    for _ in range(
        world.rng.randint(0, 6)
    ):  # it goes on from the older state: another history of the same versions
        world.after(pause_s + world.rng.random() * 3, lambda: block(world))


ACTIONS: dict[Callable[[World], None], int] = {
    honest_report: 10, lying_report: 5, conspiracy: 2, confirm: 3, undo: 4, revoke: 3, block: 9,
    protected_by_mistake: 1, stolen_console: 2, policy: 2, lying_box: 4, hostile_middle: 8, attack: 6,
    partition: 4, crash_box: 5, keep_state: 2, disk: 2, clock_jump: 2, engines: 2, door_restarts: 2,
    stream_dies: 4, rotate: 1, backup: 3, restore: 2,
}  # fmt: skip
