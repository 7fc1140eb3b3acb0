"""A box that broke, and one that was stolen: replaced and revoked on the console's pages, with the real agent.

Purpose: a new box takes the place of a dead one with nothing but a code, and has all that the town hall had: policy,
         exceptions, feed. The key of the old one opens nothing from the moment of the confirmation.
Process: the laboratory's own.
Source:  docs/runbooks/box-fleet.md; docs/security/stolen-box.md.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

from beffroi_lab import plan as plans
from beffroi_lab.boxes import Box
from beffroi_lab.console import Console
from beffroi_lab.plan import CommunePlan
from beffroi_lab.report import Report
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S, LabFailed
from beffroi_lab.world import World

BLOCKED, EXCEPTED, LATER = plans.ATTACKER_LANDING.v4, plans.ATTACKER_OTHER.v4, plans.ATTACKER_SENDER.v4
PORT, SERVICE_PORT = 80, 8080
REVOKED_S = 60.0
"""What is promised of a box that was revoked."""
_ASK = """
import json, sys
from pathlib import Path
from beffroi_box.client import Centre, SignedSession
from beffroi_box.config import load
from beffroi_box.errors import CentreRefused
from beffroi_box.store import Store
state = Path(sys.argv[1])
store = Store(state)
who = store.identity().box_id
session = SignedSession(Centre(load(state)), lambda: who, store.key())
answers = {}
for method, path in (("open_feed", "/v1/feed?since=box:0:0:"), ("post", "/v1/facts")):
    try:
        if method == "post":
            session.post(path, b"{}")
        else:
            session.open_feed(path, read_timeout_s=5.0)
        answers[path] = "taken"
    except CentreRefused as error:
        answers[path] = error.problem
    session.close()
print(json.dumps(answers))
"""


class Pages:
    """The desk of a replacement: the code and the confirmation are read and pressed on the console's pages."""

    def __init__(self, console: Console, old: str) -> None:
        self._console = console
        self._old = old

    def code(self, commune: CommunePlan) -> str:
        """Errors: LabFailed."""
        answer = self._console.press(f"/boitiers/{self._old}/remplacer/")
        found = re.search(r'id="code">([^<]+)<', answer["text"])
        if found is None:
            raise LabFailed(f"no code to replace {self._old}: {answer['status']}")
        return found[1]

    def confirm(self, commune: CommunePlan, fingerprint: str) -> bool:
        return wait_until(lambda: self._confirmed(fingerprint), PATIENCE_S, 0.1)

    def _confirmed(self, fingerprint: str) -> bool:
        for path in sorted(
            set(re.findall(r'"(/boitiers/[^"/]+/confirmer/)"', self._console.html("/boitiers/")))
        ):
            shown = re.search(r'id="fingerprint">([^<]+)<', self._console.html(path))
            if shown is not None and shown[1].replace(" ", "") == fingerprint.replace(" ", ""):
                return bool(self._console.press(path)["status"] == 302)
        return False


def play(world: World, report: Report) -> None:
    """Replace the box of the first town hall, revoke that of the second. Errors: LabFailed."""
    console = Console(world.hands["dept"], world.centre.accounts["departement"])
    console.sign_in()
    first, second, third = world.plan.communes[:3]
    _prepare(world, report, first)
    _replace(world, report, console, first)
    _revoke(world, report, console, second, third)


def _prepare(world: World, report: Report, commune: CommunePlan) -> None:
    """Two addresses blocked for all, one of which this town hall lets through; a policy of its own."""
    world.hands["inet"].ask("serve", addresses=[EXCEPTED, LATER], port=PORT)
    for address in (BLOCKED, EXCEPTED):
        _block(world, address)
    world.centre.ask("except_locally", domain=commune.domain, kind="ip", value=EXCEPTED)
    changes = {"inbound_tcp_ports": [SERVICE_PORT], "observe_until": 0}
    version = world.centre.ask("set_policy", domain=commune.domain, changes=changes)["version"]
    box = world.boxes[commune.letter]
    taken = wait_until(lambda: box.status().get("policy_version", 0) >= version, PATIENCE_S)
    report.prove("old_box_enforced", taken and _holds(world, commune), f"before it broke: {box.status()}")


def _replace(world: World, report: Report, console: Console, commune: CommunePlan) -> None:
    old, place = world.boxes[commune.letter], world.network[f"box{commune.letter}"]
    wanted = old.status()["policy_version"]
    old.stop()  # its power supply died
    place.run(["nft", "flush", "ruleset"])  # and another machine is plugged in: nothing is in its kernel
    place.run(["sh", "-c", "conntrack -F 2>/dev/null || true"])
    new = Box(place, commune, world.directory, name=f"box{commune.letter}-new")
    began = time.monotonic()
    new.enrol(world.centre, Pages(console, old.box_id))
    refused = _asked(world, commune, old.state)
    new.start()
    world.boxes[commune.letter] = new
    new.wait_connected()
    ready = wait_until(
        lambda: new.status().get("policy_version", 0) == wanted and _holds(world, commune), PATIENCE_S
    )
    took_s = time.monotonic() - began
    report.figures["replacement_s"] = round(took_s, 1)
    report.prove("new_box_enforces", ready, f"the new box: {new.status()}", new.status().get("versions"))
    report.prove(
        "old_key_refused", set(refused.values()) == {"box.revoked"}, f"the old key: {refused}", refused
    )
    report.prove("another_key", new.box_id not in ("", old.box_id), "the new box has the old one's identity")
    _block(world, LATER)
    follows = wait_until(lambda: not _passes(world, commune, LATER), PATIENCE_S)
    report.prove("new_box_follows", follows, "the new box does not enforce what was decided since")
    report.tell(
        f"{commune.name}: another box enforces everything {took_s:.1f} s after its code was asked for"
    )


def _revoke(
    world: World, report: Report, console: Console, commune: CommunePlan, neighbour: CommunePlan
) -> None:
    """A stolen box: its stream ends, its key opens nothing, and it learns nothing that is decided from then on."""
    box = world.boxes[commune.letter]
    began = time.monotonic()
    pressed = console.press(f"/boitiers/{box.box_id}/revoquer/")["status"] == 302
    refused = _asked(world, commune, box.state)
    ended = wait_until(lambda: not box.status().get("connected", True), REVOKED_S)
    report.figures["revoked_ms"] = round((time.monotonic() - began) * 1000)
    report.prove("revoked_within_a_minute", pressed and ended, f"the agent goes on: {box.status()}")
    report.prove(
        "revoked_key_refused", set(refused.values()) == {"box.revoked"}, f"its key: {refused}", refused
    )
    before = box.status().get("versions")
    world.centre.ask("block", kind="domain", value="apres-le-vol.example.net")
    known = world.boxes[neighbour.letter]
    heard = wait_until(lambda: known.status().get("versions") != before, PATIENCE_S)
    learns = box.status().get("versions") != before
    report.prove("revoked_box_learns_nothing", heard and not learns, f"{before}: {box.status()}")
    report.prove(
        "revoked_box_keeps_its_list", not _passes(world, commune, BLOCKED), "it lets a listed address pass"
    )
    report.tell(
        f"{commune.name}: the agent of the revoked box lost its stream {report.figures['revoked_ms']} ms after"
    )


def _block(world: World, address: str) -> None:
    made = world.centre.ask("block", kind="ip", value=address)
    if not made["ok"]:
        raise LabFailed(f"{address} was not blocked: {made['code']}")


def _holds(world: World, commune: CommunePlan) -> bool:
    """What is blocked is refused, what the town hall lets through and what is innocent passes."""
    return (
        not _passes(world, commune, BLOCKED)
        and _passes(world, commune, EXCEPTED)
        and _passes(world, commune, plans.INNOCENT.v4)
    )


def _passes(world: World, commune: CommunePlan, address: str) -> bool:
    return bool(world.hands[f"lan{commune.letter}"].ask("tcp", address=address, port=PORT)["ok"])


def _asked(world: World, commune: CommunePlan, state: Path) -> dict[str, str]:
    """What the centre answers to soundly signed requests of the box with this state directory, by path."""
    root = Path(__file__).resolve().parents[2]
    path = f"{root / 'packages/protocol'}:{root / 'packages/box'}"
    argv = ["env", f"PYTHONPATH={path}", "/usr/bin/python3", "-c", _ASK, str(state)]
    done = subprocess.run(
        world.network[f"box{commune.letter}"].command(argv),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise LabFailed(f"the old key could not be tried: {done.stderr[-400:]}")
    answers: dict[str, str] = json.loads(done.stdout)
    return answers
