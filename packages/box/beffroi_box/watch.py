"""Reads what the kernel counts, and makes of it: the diary, look-backs, what is learned, alarms, local blocks.

Process: the agent's thread ``watch``; questions told by the resolver come from the thread ``names``.
Rhythm:  strangers every 5 s, met flows every 10 s (5 where the policy asks for short beacons), the rest every minute.
Input:   addresses, ports and names of the internet and the LAN: hostile; every table behind this is bounded.
Fails:   what cannot be read is read next time; neither rules nor deny entries depend on it. Without disk the diary
         goes on in memory.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, Kind, normalise, registered_names

from beffroi_box import ask
from beffroi_box.alarms import Alarms
from beffroi_box.config import BoxConfig
from beffroi_box.diary import DAY_S, Diary
from beffroi_box.doh import DOH_NAMES
from beffroi_box.enforce import Enforcer
from beffroi_box.errors import RulesRefused
from beffroi_box.facts import FactSpool
from beffroi_box.labels import Labels
from beffroi_box.lanprobe import FAR_ADDRESSES
from beffroi_box.leaks import BEAT_FROM_S, Beacons, Leak, Tunnels, Volumes, clear_passwords
from beffroi_box.learn import Learner, Rounds
from beffroi_box.meetings import Meetings
from beffroi_box.refusals import Question
from beffroi_box.resolver import PACE_PER_S
from beffroi_box.ruleset import TABLE
from beffroi_box.services import NAMES
from beffroi_box.tallies import Tallies, Tally
from beffroi_box.totals import Room
from beffroi_box.traps import Strangers, Touch
from beffroi_box.uplink import Uplink

log = logging.getLogger("beffroi_box.watch")

TURN_S, FLOWS_EVERY, SLOW_EVERY, PLACES_EVERY = 5.0, 2, 12, 720
REFUSED_HERE_S = 600
_DOH_NAMES = frozenset(DOH_NAMES)
_DETECTED = {
    "flow_flood": "crowds",
    "dns_flood": "askers",
    "dhcp_flood": "leasers",
    "gateway_spoof": "posers",
}
"""Detector -> the kernel's set of machines."""


class Watch:
    """``now`` returns trusted epoch seconds. Errors of the constructor: OSError."""

    def __init__(
        self, config: BoxConfig, box_id: str, enforcer: Enforcer, spool: FactSpool, now: Callable[[], int]
    ) -> None:
        self._config = config
        self._box_id = box_id
        self._enforcer = enforcer
        self._spool = spool
        self._now = now
        self._lock = threading.Lock()  # alarms are told by several threads
        self._tallies = Tallies(TABLE)
        self.diary = Diary(config.state / "diary")
        self._labels = Labels(config.state, self.diary.label_key())
        self._alarms = Alarms(spool, now)
        self._strangers, self._volumes, self._beacons, self._tunnels = (
            Strangers(), Volumes(), Beacons(), Tunnels(),
        )  # fmt: skip
        self._learner, self._rounds = Learner(spool), Rounds(spool)
        self._uplink, self._room = Uplink(config.wan), Room()
        self._places: dict[str, str] = {}
        self.meetings = Meetings(config, box_id, enforcer, spool, self.diary, now)

    # -- the thread --------------------------------------------------------------------------------------

    def run(self, stopping: threading.Event) -> None:
        turn = 0
        self._room.lacking()  # what was refused before is nobody's news; what is from here on is told
        while not stopping.wait(TURN_S):
            turn += 1
            try:
                self.turn(flows=turn % self._flows_every == 0, slow=turn % SLOW_EVERY == 0)
            except OSError as error:  # the rules are gone: the keeper brings them back
                log.warning("the kernel's counts cannot be read: %s", error.strerror)
            if self._observing and turn % PLACES_EVERY == 1:
                self._look_for_places()
        self.keep()

    def turn(self, *, flows: bool, slow: bool) -> None:
        """One round. Errors: OSError (the kernel does not answer)."""
        self._strange()
        for detector, counted in _DETECTED.items():
            if counted != "posers" or self._mode == "bridge":
                self._machines(detector, self._tallies.machines(counted))
        if flows:
            self._flows()
        self.meetings.answer()
        if slow:
            self._slow()

    def keep(self) -> None:
        try:
            self.diary.keep()
        except OSError as error:
            log.warning("the diary stays in memory: %s", error.strerror)

    @property
    def alarms_held_back(self) -> int:
        return self._alarms.held_back

    @property
    def _flows_every(self) -> int:
        """Turns between two readings of what was met: a short rhythm is seen in short ones only."""
        return FLOWS_EVERY if self._enforcer.policy.beacon_from_s >= BEAT_FROM_S else 1

    @property
    def _mode(self) -> str:
        return self._config.mode or self._enforcer.policy.mode

    @property
    def _observing(self) -> bool:
        return self._enforcer.observes(self._enforcer.policy)

    def _take(self, name: str) -> list[Tally]:
        return [t for t in self._tallies.take(name) if t.address not in FAR_ADDRESSES.values()]

    def _strange(self) -> None:
        monotonic = time.monotonic()
        for source, ports in self._strangers.scanned(
            iter(self._take("refused")), monotonic=monotonic
        ).items():
            evidence = {"ports": str(ports), "window_s": "60", "completed_tcp": "false"}
            self._stranger("port_scan", source, evidence)
        guests = self._take("guests")
        for (source, port), count in self._strangers.guessed(iter(guests), monotonic=monotonic).items():
            evidence = {
                "port": str(port), "connections": str(count), "window_s": "60", "completed_tcp": "true",
            }  # fmt: skip
            self._stranger("brute_force", source, evidence)
        if self._observing:
            trap = self._enforcer.site.trap_port
            self._learner.inbound((t for t in guests if t.port not in (trap, trap + 1)), now=self._now())

    def _flows(self) -> None:
        now, met = self._now(), self._take("met")
        self.diary.count(((t.other, t.packets) for t in met), now=now)
        self.meetings.count(met)
        self.meetings.tell()
        if self._enforcer.policy.redirect_dns:  # else nobody need ask the box
            self._rounds.talked(met)
        if self._observing:
            self._learner.outbound(met, self._places, now=now)
        policy = self._enforcer.policy
        beacons = self._beacons.judge(
            met,
            now=now,
            from_s=policy.beacon_from_s,
            beats=policy.beacon_beats,
            read_s=TURN_S * self._flows_every,
        )
        for leak in (*beacons, *clear_passwords(met)):
            if leak.detector != "beacon" or not self._enforcer.is_protected(leak.remote):
                self._leak(leak)

    def _slow(self) -> None:
        now = self._now()
        self._rounds.tried(self._take("round"))
        self._rounds.asked(self._take("asks"))
        for tally in self._take("others"):
            self._rounds.seen("other_router" if ":" in tally.address else "other_dhcp", tally.address)
        for kind in self._room.lacking():
            self._rounds.seen(kind, str(now // 3600))  # counted: the hours of a day
        self._beside()
        self._rounds.tell(now=now)
        self._labels.forget(now=now)
        self._learner.tell(now=now)
        if limit_bytes := self._enforcer.policy.leak_bytes_hour:
            hour = time.localtime(now).tm_hour
            sent = self._take("sent")
            for leak in self._volumes.judge(sent, limit_bytes=limit_bytes, now=now, local_hour=hour):
                if self._is_new(leak.remote, now):
                    self._leak(leak)
        self.keep()

    def _machines(self, detector: str, macs: Iterable[str]) -> None:
        """The rules refused what these did: the town hall goes on, and somebody looks for the machine."""
        for mac in macs:
            with self._lock:
                if label := self._labels.of(mac, now=self._now()):
                    self._alarms.tell(detector, mac, (), {"machine": label})

    def _beside(self) -> None:
        """Before a bridge everybody is in one network, and nobody can tell who goes round."""
        if self._mode != "router":
            return
        try:
            for mac in self._uplink.machines(now=int(time.monotonic())):
                self._rounds.seen("uplink", mac)
        except OSError as error:
            log.info("who stands beside the box is not heard: %s", error.strerror)

    def _is_new(self, remote: str, now: int) -> bool:
        place = Indicator(Kind.IP, remote)
        met = self.diary.look_back([place], now=now).get(place)
        return met is None or met.first_at // DAY_S == now // DAY_S

    def _look_for_places(self) -> None:
        if self._enforcer.resolver is None:
            return
        try:
            for name, service in NAMES:
                for address in ask.addresses(name, self._config.recursor_port):
                    self._places[address] = service
        except OSError:
            log.warning("the recursor is silent: services are recognised by port only")

    # -- alarms ------------------------------------------------------------------------------------------

    def _stranger(self, detector: str, source: str, evidence: dict[str, str]) -> None:
        try:
            refused = self._enforcer.refuse_for_a_while(source, REFUSED_HERE_S)
        except RulesRefused as error:
            log.warning("a source could not be refused: %s", error)
            refused = False
        evidence["refused_here_s"] = str(REFUSED_HERE_S if refused else 0)
        with self._lock:
            self._alarms.tell(
                detector, f"{source} {evidence.get('port', '')}", (Indicator(Kind.IP, source),), evidence
            )

    def label(self, address: str) -> str:
        """Name a machine of the LAN to the centre; "" for the box itself, which asks for nobody."""
        return self._labels.of(address, now=self._now())

    def named(self, address: str) -> list[str]:
        """What this machine was called in alarms of the last 30 days."""
        return self._labels.named(address)

    def touched(self, touch: Touch) -> None:
        """A honeyport was touched."""
        evidence = {
            "port": str(touch.port),
            "completed_tcp": "true",
            "side": "lan" if touch.from_lan else "wan",
        }
        if not touch.from_lan:
            self._stranger("honeyport", touch.remote, evidence)
            return
        with self._lock:
            evidence["machine"] = self._labels.of(touch.remote, now=self._now())
            self._alarms.tell("honeyport", f"{touch.remote} {touch.port}", (), evidence)

    def _leak(self, leak: Leak) -> None:
        """The remote is an indicator where it may be the attacker's; a mail server asked in clear is not."""
        indicators: tuple[Indicator, ...] = ()
        evidence = dict(leak.evidence)
        if leak.detector == "cleartext_password":
            evidence["remote"] = leak.remote
        else:
            kind = Kind.DOMAIN if leak.detector == "dns_tunnel" else Kind.IP
            try:
                indicators = (normalise(kind, leak.remote),)
            except ProtocolError:
                return
        with self._lock:
            evidence["machine"] = self._labels.of(leak.machine, now=self._now())
            self._alarms.tell(leak.detector, f"{leak.machine} {leak.remote}", indicators, evidence)

    # -- names -------------------------------------------------------------------------------------------

    def asked(self, question: Question) -> None:
        """A question that dnsdist told and that names no listed name."""
        policy = self._enforcer.policy
        parents = list(registered_names(question.name))
        if canary := next((p for p in (question.name, *parents) if p in policy.canary_names), None):
            with self._lock:
                evidence = {"name": canary, "machine": self._labels.of(question.machine, now=self._now())}
                self._alarms.tell("canary_name", f"{question.machine} {canary}", (), evidence)
        elif policy.refuse_doh and any(p in _DOH_NAMES for p in parents):
            self._rounds.seen("doh", question.machine)
        elif not self.meetings.asked(question.name) and (
            leak := self._tunnels.judge(question.machine, question.name, question.kind, now=self._now())
        ):
            self._leak(leak)

    def asked_too_fast(self, machine: str) -> None:
        """dnsdist made it wait. An observation: a program in a loop does it too, and its address may be forged."""
        evidence = {"questions_per_s": str(PACE_PER_S)}
        with self._lock:
            if label := self._labels.of(machine, now=self._now()):
                self._alarms.tell("dns_flood", machine, (), evidence | {"machine": label})
