"""A whole département, running: internet, centre, town halls with boxes, and hands in every place.

Purpose: one context for the scenario, the tests and the benchmarks; leaving it stops and removes everything.
Process: the laboratory's own, as root.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.protected import reason_protected

from beffroi_lab import authority, boxes, history, names, topology
from beffroi_lab import plan as plans
from beffroi_lab.boxes import Box
from beffroi_lab.campaign import Campaign, Lure, signer
from beffroi_lab.centre import Centre
from beffroi_lab.names import Sender
from beffroi_lab.plan import Plan
from beffroi_lab.running import Hands, Program, wait_until
from beffroi_lab.screens import ConsoleDesk, Screens
from beffroi_lab.topology import PATIENCE_S, LabFailed, Network

LANDING_TEXT, INNOCENT_TEXT = "page d'atterrissage", "service légitime"


class World:
    """``hands``: by place (inet, dept, lanA..). ``boxes``: by letter.

    ``past``: what was aged, in words ("" without history). ``enrolled_by_page``: letters of the boxes that were
    enrolled on the console's pages.
    """

    def __init__(self, network: Network, directory: Path, lures: Sequence[Lure]) -> None:
        self.network = network
        self.plan = network.plan
        self.directory = directory
        self.lures = lures
        self.hands: dict[str, Hands] = {}
        self.boxes: dict[str, Box] = {}
        self.centre: Centre
        self.screens: Screens
        self.history_days = 0
        self.past = ""
        self.enrolled_by_page: list[str] = []
        self._dkim_private, self._dkim_public = authority.dkim_key()

    def landing_hosts(self, lure: Lure) -> list[str]:
        """Link hosts that the attacker holds in this scenario: those that no one protects."""
        return [h for h in lure.link_hosts if not protected(h)]

    def campaign(self, lure: Lure) -> Campaign:
        """Return the maker of the lure's messages, signed where the sender's domain is the attacker's own."""
        domain = lure.header_from.rpartition("@")[2].lower()
        if not domain or domain not in lure.sender_domains or protected(domain):
            return Campaign(lure)
        return Campaign(lure, signer(domain, self._dkim_private))

    def browsing_hands(self) -> dict[str, Hands]:
        """Hands of a second person in every town hall, by letter, so that what they measure is theirs alone."""
        for commune in self.plan.communes:
            place = f"lan{commune.letter}"
            if f"{place}-browsing" not in self.hands:
                log = self.directory / f"hands-{place}-browsing.log"
                self.hands[f"{place}-browsing"] = Hands(self.network[place], log)
        return {c.letter: self.hands[f"lan{c.letter}-browsing"] for c in self.plan.communes}

    def stop_hands(self) -> None:
        for hands in self.hands.values():
            hands.stop()

    def foreign_names(self) -> list[str]:
        path = self.directory / "foreign-names.txt"
        return path.read_text("ascii").split() if path.exists() else []

    def start_internet(self) -> Program:
        """Errors: LabFailed."""
        hostile = [h for lure in self.lures for h in self.landing_hosts(lure)]
        innocent = [h for lure in self.lures for h in lure.link_hosts if protected(h)]
        innocent += [h for lure in self.lures for h in lure.image_hosts if h not in hostile]
        senders = [
            Sender(domain, spf_pass=not protected(domain), dkim_public=self._dkim_public)
            for domain in dict.fromkeys(d for lure in self.lures for d in lure.sender_domains)
        ]
        innocent += [*names.PROTECTED_EXAMPLES, *history.link_hosts()]
        senders += [Sender(domain, spf_pass=True, origin=plans.INNOCENT) for domain in history.domains()]
        zone = names.zone(self.plan, hostile=hostile, innocent=innocent, senders=senders)
        certificate, key = authority.web_certificate([*hostile, *innocent], self.directory)
        path = self.directory / "internet.json"
        path.write_text(
            json.dumps(
                {
                    "zone": zone,
                    "dns": list(plans.DNS.both),
                    "foreign_names": str(self.directory / "foreign-names.txt"),
                    "certificate": str(certificate),
                    "key": str(key),
                    "sites": {LANDING_TEXT: plans.ATTACKER_LANDING.both, INNOCENT_TEXT: plans.INNOCENT.both},
                }
            ),
            "utf-8",
        )
        log = self.directory / "internet.log"
        program = Program(
            self.network["inet"], [sys.executable, "-u", "-m", "beffroi_lab.internet", str(path)], log
        )
        wait_until(lambda: "ready" in program.tail() or not program.running, PATIENCE_S, 0.05)
        if "ready" not in program.tail():
            raise LabFailed(f"the internet of the laboratory did not start:\n{program.tail()}")
        return program


def protected(name: str) -> bool:
    """Whether no decision may block this name: then it has an innocent address here."""
    # The centre's lists are read only now: they take a second, and settings of Django are not needed.
    from beffroi.core.decisions import warning_lists  # noqa: PLC0415

    indicator = normalise(Kind.DOMAIN, name)
    return bool(reason_protected(indicator) or warning_lists.load().name(indicator.value))


@contextmanager
def world(
    plan: Plan,
    lures: Sequence[Lure],
    *,
    say: Callable[[str], None] = lambda text: None,
    keep: bool = False,
    heartbeat_s: int = 20,
    history_days: int = history.DAYS,
    browsers: bool = False,
    local_hour: int | None = None,
) -> Iterator[World]:
    """Build and start everything. Errors: LabImpossible, LabFailed.

    ``browsers``: the first box is enrolled on the console's pages. ``history_days``: 0 for a centre without a past.
    ``local_hour``: what the boxes' time zone makes of the present hour.
    """
    topology.check_possible()
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix=topology.directory_prefix(str(os.getpid()), kept=keep)))
        memory = topology.memory_directory(directory)
        for one in (directory, memory):
            one.mkdir(exist_ok=True)
            one.chmod(0o755)
        stack.callback(shutil.rmtree, memory, ignore_errors=True)
        stack.callback(_leave, directory, keep, say)
        say(f"building the networks of {len(plan.communes)} town halls")
        network = stack.enter_context(topology.network(plan, directory))
        made = World(network, directory, lures)
        stack.callback(made.start_internet().stop)
        stack.callback(made.stop_hands)
        for place in ("inet", "dept", *(f"lan{c.letter}" for c in plan.communes)):
            made.hands[place] = Hands(network[place], directory / f"hands-{place}.log")
        say("starting the centre")
        made.centre = Centre(network, plan, directory, heartbeat_s=heartbeat_s)
        stack.callback(made.centre.stop)
        made.centre.start()
        made.screens = Screens(network, made.centre, directory)
        made.enrolled_by_page = [plan.communes[0].letter] if browsers else []
        desks = {letter: ConsoleDesk(made.screens) for letter in made.enrolled_by_page}
        say("enrolling the boxes")
        made.boxes = boxes.start_all(network, made.centre, directory, desks, local_hour=local_hour)
        stack.callback(_stop_boxes, made)
        made.history_days = history_days
        if history_days:
            made.past = history.live_through(made.hands["inet"], made.centre, plan, history_days)
            say(f"a past of {history_days} days: {made.past}")
        yield made


def _stop_boxes(made: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Box.stop, made.boxes.values()))


def _leave(directory: Path, keep: bool, say: Callable[[str], None]) -> None:
    if keep:
        say(f"kept: {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
