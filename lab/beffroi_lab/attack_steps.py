"""What every attack of `lab attacks` is shown with: who attacks, who is tried, what the console says.

Purpose: the place on which attacks are played: the attacker with addresses of a public list, a service in each town
         hall that its policy lets in, tries in both directions, the console.
Process: the laboratory's own.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab.console import Console
from beffroi_lab.doors import Doors, now_ms
from beffroi_lab.feeds import Feed
from beffroi_lab.plan import CommunePlan
from beffroi_lab.report import Report, percentiles
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S, LabFailed
from beffroi_lab.world import World

SERVICE_PORT, COMMAND_PORT = 80, 80
HONEYPORTS = (23, 3389, 5900)
LEAK_BYTES_HOUR = 8_000_000
BEACON_FROM_S, BEACON_BEATS = 10, 8
"""The shortest that a policy may ask for: a minute and a half instead of twelve."""
Answer = dict[str, Any]


@dataclass
class Outcome:
    """What is known of one attack. ``seen_ms``: from its first packet until the centre holds the evidence.

    ``block_ms``: from the decision to the first refused connection, of every box in both directions and of every
    door. ``refused``: what was tried then. ``explained``: the words found on the console's page, "" when they were
    not there.
    """

    seen_ms: int | None = None
    decided_by: str = ""
    block_ms: dict[str, int | None] = field(default_factory=lambda: percentiles([]))
    refused: dict[str, Any] = field(default_factory=lambda: {"seen": False})
    explained: str = ""
    undone: bool = False

    def as_object(self) -> dict[str, Any]:
        return asdict(self)


class Stage:
    """A running world with an attacker in it. ``doors``: those of sign-in; ``console``: signed in."""

    def __init__(self, world: World, report: Report, feed: Feed) -> None:
        self.world = world
        self.report = report
        self.feed = feed
        self.communes = world.plan.communes
        self.inet = world.hands["inet"]
        self.doors = Doors(world)
        self.console = Console(world.hands["dept"], world.centre.accounts["departement"])

    def prepare(self) -> None:
        """Give the attacker its addresses, let a service in everywhere, sign in. Errors: LabFailed."""
        self.world.network.give(self.feed.addresses)
        self.inet.ask("serve", addresses=list(self.feed.addresses), port=COMMAND_PORT)
        for commune in self.communes:
            self.lan(commune).ask("serve", addresses=[commune.pc.v4], port=SERVICE_PORT)
            changes = {
                "inbound_tcp_ports": [SERVICE_PORT],
                "observe_until": 0,
                "honeyports": list(HONEYPORTS),
                "leak_bytes_hour": LEAK_BYTES_HOUR,
                "beacon_from_s": BEACON_FROM_S,
                "beacon_beats": BEACON_BEATS,
            }
            version = self.world.centre.ask("set_policy", domain=commune.domain, changes=changes)["version"]
            box = self.world.boxes[commune.letter]
            if not wait_until(lambda b=box, v=version: b.status().get("policy_version", 0) >= v, PATIENCE_S):  # type: ignore[misc]
                raise LabFailed(f"box {commune.letter} did not take its policy:\n{box.status()}")
        self.doors.open_mailboxes()
        self.console.sign_in()
        self.report.tell(
            f"the attacker holds {len(self.feed.addresses)} addresses of {self.feed.source}; every town hall lets "
            "a service in by policy"
        )

    def lan(self, commune: CommunePlan) -> Any:
        return self.world.hands[f"lan{commune.letter}"]

    # -- connections ---------------------------------------------------------------------------------------

    def tries(self, addresses: Iterable[str], communes: Sequence[CommunePlan] = ()) -> Answer:
        """Connect in both directions between each address and each town hall, and to and from an innocent one.

        ``in``, ``out``: how many of ``each`` passed; ``innocent``: whether all innocent ones did.
        """
        asked: dict[str, list[Future[Answer]]] = {"in": [], "out": [], "innocent": []}
        for c in communes or self.communes:
            for address in addresses:
                asked["in"].append(self._in(c, address))
                asked["out"].append(self.lan(c).start("tcp", address=address, port=COMMAND_PORT))
            asked["innocent"].append(self._in(c, plans.INNOCENT.v4))
            asked["innocent"].append(self.lan(c).start("tcp", address=plans.INNOCENT.v4, port=80))
        passed = {way: [bool(one.result(60)["ok"]) for one in futures] for way, futures in asked.items()}
        return {
            "each": len(passed["in"]),
            "in": sum(passed["in"]),
            "out": sum(passed["out"]),
            "innocent": all(passed["innocent"]),
        }

    def _in(self, commune: CommunePlan, source: str) -> Future[Answer]:
        return self.inet.start("tcp", address=commune.pc.v4, port=SERVICE_PORT, source=source)

    def all_pass(self, address_tries: Answer) -> bool:
        each = address_tries["each"]
        return bool(address_tries["in"] == each == address_tries["out"] and address_tries["innocent"])

    def none_passes(self, address_tries: Answer) -> bool:
        return bool(not address_tries["in"] and not address_tries["out"] and address_tries["innocent"])

    def watch(
        self, address: str, *, open_: bool, communes: Sequence[CommunePlan] = ()
    ) -> list[Future[Answer]]:
        """Try again and again, from every LAN and into every LAN, until it works, or no longer does."""
        watchers = []
        for c in communes or self.communes:
            same: dict[str, Any] = {"open_": open_, "limit_s": PATIENCE_S}
            watchers.append(
                self.lan(c).start(
                    "until", address=address, port=COMMAND_PORT, witness=plans.INNOCENT.v4, **same
                )
            )
            watchers.append(
                self.inet.start(
                    "until",
                    address=c.pc.v4,
                    port=SERVICE_PORT,
                    source=address,
                    witness=c.pc.v4,
                    witness_source=plans.INNOCENT.v4,
                    **same,
                )
            )
        return watchers

    def moments(self, watchers: Sequence[Future[Answer]]) -> list[int]:
        """When each watcher saw it, in epoch ms; those that did not are missing."""
        answers = [one.result(PATIENCE_S + 30) for one in watchers]
        return [int(a["at_ms"]) for a in answers if a["ok"]]

    # -- the centre ----------------------------------------------------------------------------------------

    def decision_about(self, address: str, since_ms: int, limit_s: float) -> Answer | None:
        """Wait for an active decision that names the address."""
        found: list[Answer] = []

        def made() -> bool:
            rows = self.world.centre.ask("decided", since_ms=since_ms)["decisions"]
            found[:] = [d for d in rows if d["value"] == address and d["state"] == "active"]
            return bool(found)

        return found[0] if wait_until(made, limit_s, 0.05) else None

    def sighting(self, detector: str, value: str, since_ms: int, limit_s: float) -> Answer | None:
        """Wait for a sighting of the detector that names ``value``; ``at_ms``: when the centre took it in."""
        found: list[Answer] = []

        def told() -> bool:
            rows = self.world.centre.ask("sightings", since_ms=since_ms)["sightings"]
            found[:] = [s for s in rows if s["detector"] == detector and value in s["values"]]
            return bool(found)

        return found[0] if wait_until(told, limit_s, 0.05) else None

    def incident_that_says(self, words: str) -> str:
        """Return the words as an incident's page shows them, "" when none does."""
        for path in sorted(
            set(re.findall(r'href="(/dossiers/inc_[^/"]+/)"', self.console.html("/dossiers/")))
        ):
            if found := self.explained(path, words):
                return found
        return ""

    def explained(self, path: str, *words: str) -> str:
        """Return the words as the console's page shows them, "" when one of them is not there."""
        text = self.console.text(path)
        places = [text.lower().find(word.lower()) for word in words]
        if min(places) < 0:
            return ""
        return " · ".join(text[at : at + len(word)] for at, word in zip(places, words, strict=True))

    def undo_by_page(self, campaign_id: str) -> int:
        """Press Annuler on the campaign's page; return when, in epoch ms. Errors: LabFailed."""
        pressed_ms = now_ms()
        self.press(f"/decisions/{campaign_id}/annuler/")
        return pressed_ms

    def press(self, path: str) -> None:
        """Press the button of a page. Errors: LabFailed."""
        answer = self.console.press(path)
        if answer["status"] != 302:
            raise LabFailed(f"{path} answered {answer['status']}")
