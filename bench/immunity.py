"""`bench immunity`: from a decision to every box, every packet, every mailbox, and back; several rounds in one world.

Peers:   fail2ban and CrowdSec, where they are installed (bench.peers), with the same packets and the same proof.
         Both block on one machine only; nothing at hand does the whole.
Process: root; the laboratory's namespaces.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beffroi_lab import campaign, plan
from beffroi_lab.campaign import Lure
from beffroi_lab.report import Report, percentiles
from beffroi_lab.running import Hands
from beffroi_lab.scenario import Scenario
from beffroi_lab.topology import LabFailed
from beffroi_lab.world import World, world

from bench import peers
from bench.peers import Measured
from bench.rows import Row

ROUNDS_BLOCK = 30
PACKET_LIMIT_S = 20.0
_FAR_ADDRESS = "91.240.118.{}"
_STATISTICS = {"p50": "half of the rounds", "p99": "p99", "max": "slowest round"}


def run(say: Callable[[str], None]) -> list[Row]:
    lures = [campaign.load(path) for path in campaign.choose(None)]
    with world(plan.make(3), lures[:1], say=say) as made:
        block, undo = _rounds(made, say)
        ours = _last_packets(made, say)
        scenes = [_scene(made, lures[0], say)]
    # A world for each lure: every one lands on the same address, and a host to which several campaigns lead counts as
    # shared; reports that were undone count against who made them.
    for lure in lures[1:]:
        with world(plan.make(3), [lure], say=say) as made:
            scenes.append(_scene(made, lure, say))
    say("measuring the peers")  # after the worlds, whose programs would take time from them
    with tempfile.TemporaryDirectory(prefix="beffroi-peers-") as directory:
        Path(directory).chmod(0o755)
        rivals = [peers.fail2ban(Path(directory), say), *peers.crowdsec(Path(directory), say)]
    clean = percentiles(s.figures["clean_ms"] for s in scenes if s.figures.get("clean_ms"))
    back = percentiles(s.figures["undo_ms"] for s in scenes if s.figures.get("undo_ms"))
    failures = [f for s in scenes for f in s.failures]
    return [
        Row("decision to a box enforcing, p50 of 3 boxes", "ms", block["p50"]),
        Row("decision to a box enforcing, p99 of 3 boxes", "ms", block["p99"], target=200),
        Row("decision to the last box enforcing", "ms", block["max"], target=1000),
        Row("end of a decision to a box releasing, p99", "ms", undo["p99"], target=200),
        *_packet_rows(ours, rivals),
        Row("decision to the last mailbox clean (by IMAP), worst", "ms", clean["max"], target=2000),
        Row("undo to packets and mails back everywhere, worst", "ms", back["max"], target=2000),
        Row(
            "proofs of the scenario not seen",
            "count",
            len(failures),
            target=0,
            note="; ".join(failures)[:200],
        ),
    ]


def _scene(made: World, lure: Lure, say: Callable[[str], None]) -> Report:
    report = Report(say=say)
    Scenario(made, lure, report, browsers=False).run()
    return report


def _packet_rows(ours: list[float], rivals: list[Measured]) -> list[Row]:
    """One row a statistic and peer; ours is the slowest of the three town halls in each round."""
    mine = percentiles(ours)
    rows = []
    for name, words in _STATISTICS.items():
        work = f"decision to the attacker's last packet, {words}"
        rows.append(Row(work, "ms", mine[name], target=1000 if name != "p50" else None))
        for rival in rivals:
            theirs = percentiles(rival.times_ms)[name]
            rows.append(Row("the same", "ms", mine[name], theirs, rival.name, note=rival.why))
    return rows


def _last_packets(made: World, say: Callable[[str], None]) -> list[float]:
    """Block an address whose packets reach a PC in each town hall; ms until the last of them came through."""
    say(f"{peers.ROUNDS} blocks of an address that sends to every town hall")
    places = [f"lan{c.letter}" for c in made.plan.communes]
    hands = {
        place: Hands(made.network[place], made.directory / f"flow-{place}.log", module="bench.flow")
        for place in ("inet", *places)
    }
    innocent = plan.INNOCENT.v4
    taken = []
    try:
        for number in range(peers.ROUNDS):
            address = peers.ATTACKER.format(peers.FIRST_HOST + number)
            made.network["inet"].run(["ip", "addr", "add", f"{address}/32", "dev", "lo"])
            sending = hands["inet"].start("send", sources=[address, innocent], limit_s=3 * PACKET_LIMIT_S)
            asked: dict[str, Any] = {"attacker": address, "innocent": innocent}
            for place in places:
                if not (opened := hands[place].ask("open_flow", limit_s=5, **asked))["ok"]:
                    raise LabFailed(f"the packets to {place} did not arrive: {opened}")
            last = [hands[place].start("last_packet", limit_s=PACKET_LIMIT_S, **asked) for place in places]
            since = int(time.time() * 1000) - 1
            decision_id = made.centre.ask("block", kind="ip", value=address)["decision_id"]
            answers = [future.result(PACKET_LIMIT_S + 10) for future in last]
            hands["inet"].ask("stop")
            sending.result(10)
            if not all(answer["ok"] for answer in answers):
                raise LabFailed(f"packets of a blocked address still pass: {answers}")
            began_ms = _began(made, decision_id, since, ended=False)
            taken.append(max(answer["at_ms"] for answer in answers) - began_ms)
            made.centre.ask("withdraw", decision_id=decision_id)
    finally:
        for one in hands.values():
            one.stop()
    return taken


def _rounds(made: World, say: Callable[[str], None]) -> tuple[dict[str, Any], dict[str, Any]]:
    say(f"{ROUNDS_BLOCK} blocks and releases of one address")
    block: list[int] = []
    undo: list[int] = []
    for number in range(ROUNDS_BLOCK):
        since = int(time.time() * 1000) - 1
        made_id = made.centre.ask("block", kind="ip", value=_FAR_ADDRESS.format(number + 100))["decision_id"]
        block += _times(made, made_id, since, ended=False)
        made.centre.ask("withdraw", decision_id=made_id)
        undo += _times(made, made_id, since, ended=True)
    return percentiles(block), percentiles(undo)


def _times(made: World, decision_id: str, since: int, *, ended: bool) -> list[int]:
    began = _began(made, decision_id, since, ended=ended)
    seen = made.centre.ask("enforced", decision_ids=[decision_id], boxes_wanted=len(made.boxes), ended=ended)
    return [at - began for at in seen["boxes"].values()]


def _began(made: World, decision_id: str, since: int, *, ended: bool) -> int:
    """Return when the decision was made (before its commit), or ended, in epoch ms."""
    rows = made.centre.ask("decided", since_ms=since)["decisions"]
    return int(next(d["ended_ms" if ended else "activated_ms"] for d in rows if d["id"] == decision_id))
