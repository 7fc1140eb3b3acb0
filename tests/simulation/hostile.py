"""Machines against the immunity: boxes that lie, whoever stands on a line, attackers of the communes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beffroi.lib.errors import BeffroiError
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.facts import FactBatch, FlowsBlocked, Sighting
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Ack, AckBatch, decode_feed, encode
from beffroi_protocol.signing import Signer, split_line
from beffroi_protocol.table import overlay

from tests.simulation import checks
from tests.simulation.box import Box
from tests.simulation.people import address

if TYPE_CHECKING:
    from tests.simulation.world import World


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
    if deed == "acks":
        world.centre.say(box.row, body)
        return
    if deed == "facts":
        other = rng.choice(world.boxes)
        victim = Indicator(Kind.IP, address(world))
        flows = FlowsBlocked(f"lie_{other.id}", victim, "in", 2**40, 1, 2)
        body = encode(FactBatch(1, (flows, flows)))
    elif deed == "sighting":
        seen = Sighting("lie_sighting", "honeyport", (Indicator(Kind.DOMAIN, "impots.gouv.fr"),), 1)
        body = encode(FactBatch(1, (seen,)))
    try:
        world.centre.post(box.row, "/v1/facts", body)
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
        line = stranger.line(decode_feed(payload))
        line = line.replace(stranger.kid.encode(), kid.encode(), 1)
    elif how == "junk":
        line = world.rng.randbytes(60).replace(b"\n", b"")
    world.tell("%s gets a line that is %s", getattr(node, "id", getattr(node, "name", "")), how)
    before = _state(node) if how != "old" else b""
    world.inject(node, line)
    if how != "old":
        checks.require(_state(node) == before, "a %s line changed a table", how)


def _state(node: object) -> bytes:
    if isinstance(node, Box):
        tables = node.agent.session.tables if node.agent else {}
    else:
        tables = node.follower._session.tables  # type: ignore[attr-defined]
    return b"".join(t.dump() for t in tables.values())


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
