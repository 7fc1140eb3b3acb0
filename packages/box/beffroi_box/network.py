"""Makes the chosen mode real, and proves it: ``beffroi-box network``.

Purpose: look at the ports, try the plans of ``modes.py`` one after the other until one is proved (the box reaches its
         centre, or its router where no centre is known; a machine of the LAN reaches the internet), watch the cables.
Process: one, as root. Writes files of systemd-networkd, ``network.toml`` (read by every other process of the box) and
         ``network.json`` (what it found: ``found``).
Fails:   where nothing can be proved, the plan that last proved itself comes back, else a bridge: whatever worked
         without the box works through it. Then it looks again, every minute at first. Rules in the kernel stay.
         A centre that is away says nothing against a plan whose router answers: no other one is tried for it.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import enum
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi_box import config as settings
from beffroi_box.bridgeprobe import bridged_machine_reaches
from beffroi_box.client import Centre
from beffroi_box.found import read
from beffroi_box.lanprobe import lan_reaches, probe_target
from beffroi_box.look import Seen, look
from beffroi_box.modes import (
    BRIDGE,
    PREFIX,
    Plan,
    contradicts,
    files,
    gives_addresses,
    plans,
    trouble,
    unproved,
)
from beffroi_box.modes import settings as plan_settings
from beffroi_box.store import Store, write_atomic

log = logging.getLogger("beffroi_box.network")

DIRECTORY = Path("/etc/systemd/network")
LOOK_S, PROOF_S = 4.0, 20.0
POLL_S, AGAIN_FIRST_S, AGAIN_LAST_S = 2.0, 60.0, 900.0
_AFTER = ("beffroi-box.service", "beffroi-box-dnsdist.service", "beffroi-box-page.service")


def restart_units(before: Callable[[], None]) -> None:
    """Stop systemd-networkd, run ``before``, start it and what depends on the names of interfaces."""
    networkd = "systemd-networkd.service"
    subprocess.run(["systemctl", "stop", f"{networkd[:-8]}.socket", networkd], check=False, timeout=60)
    before()
    subprocess.run(["systemctl", "start", networkd], check=True, timeout=60)
    own = [sys.executable, "-m", "beffroi_box", "resolver-config"]
    subprocess.run(own, check=False, timeout=60, stdout=subprocess.DEVNULL)
    subprocess.run(["systemctl", "try-restart", *_AFTER], check=False, timeout=120)


class Proof(enum.Enum):
    """What a plan came to. CENTRE_AWAY: the box's router answers, so no other plan would do better."""

    PROVED = enum.auto()
    CENTRE_AWAY = enum.auto()
    FAILED = enum.auto()


class Network:
    """``restart``: as ``restart_units``; the tests start the engines themselves."""

    def __init__(
        self,
        state: Path,
        *,
        directory: Path = DIRECTORY,
        restart: Callable[[Callable[[], None]], None] = restart_units,
    ) -> None:
        self._state = state
        self._directory = directory
        self._restart = restart
        self.found = read(state)
        self.ports = settings.load(state).ports or physical_ports()

    def run(self, stopping: threading.Event) -> None:
        """Look whenever a cable is plugged or pulled, and again later while nothing is proved."""
        known: dict[str, bool] = {}
        for port in self.ports:
            _ip("link", "set", port, "up")  # a card that is down tells nothing of its cable
        again_s, again_at = AGAIN_FIRST_S, 0.0
        while True:
            cables = self.cables()
            changed = cables != known
            if changed:
                again_s = AGAIN_FIRST_S
                stopping.wait(POLL_S)  # a plug in a socket is noisy
            if changed or (not self.found.proved and time.monotonic() >= again_at):
                known = self.cables()
                self.step()
                again_at = time.monotonic() + again_s
                again_s = min(AGAIN_LAST_S, again_s * 2)
            if stopping.wait(POLL_S):
                return

    def step(self) -> None:
        """Look once; keep the plan in force where it still proves itself, else try others."""
        try:
            self._look()
        except OSError as error:
            log.error("what is in force stays: %s", error.strerror)
            self._note(proved=False)

    def _look(self) -> None:
        """Errors: OSError (disk)."""
        for port in self.ports:
            _ip("link", "set", port, "up")
        seen = look(self.ports, LOOK_S, _routers())
        problem = trouble(seen) if len(seen) > 1 else "no_second_port"
        plan = self.found.plan
        if problem:
            self._note(trouble=problem, proved=False)
            if problem == "same_network" and plan is not None and plan.mode == "bridge":
                _ip("link", "set", plan.lan, "nomaster")  # or frames go round for ever
            return
        if plan is not None and not contradicts(seen, plan):
            if self.found.trouble == "same_network" or not self._is_real(plan):
                self._apply(plan)
            if self._prove(plan, seen) is not Proof.FAILED:
                return
            if not gives_addresses(seen) and (plan.mode == "bridge" or plan == self.found.last_proved):
                # Where addresses are fixed people work through it: trying others would cut them, time and again. Where
                # the operator's router is off, no other plan does better.
                self._note(trouble=unproved(seen), proved=False)
                return
        self._try(seen)

    def _try(self, seen: Mapping[str, Seen]) -> None:
        wanted = settings.load(self._state).wanted_mode
        proposed = plans(seen, last=self.found.last_proved, wanted=wanted)
        for plan in proposed:
            log.info("tries %s, internet at %s", plan.mode, plan.wan)
            self._apply(plan)
            if self._prove(plan, seen) is not Proof.FAILED:
                return
        bridges = [plan for plan in proposed if plan.mode == "bridge"]
        last = self.found.last_proved or next(iter(bridges or proposed), None)
        log.warning("no plan could be proved")
        if last is not None and last != self.found.plan:
            self._apply(last)
        self._note(trouble=unproved(seen), proved=False)

    # -- in force ----------------------------------------------------------------------------------------

    def _apply(self, plan: Plan) -> None:
        """Errors: OSError (disk; nothing was taken apart)."""

        def before() -> None:
            if plan.mode == "router":
                _ip("link", "del", BRIDGE)
            for port in self.ports:
                if plan.mode == "router":
                    _ip("link", "set", port, "nomaster")
                _ip("addr", "flush", "dev", port, "scope", "global")
                _ip("link", "set", port, "up")

        self._write(plan)
        self._restart(before)
        self._note(plan=plan, proved=False)

    def _write(self, plan: Plan) -> None:
        """All of it or nothing, as far as the disk allows. Errors: OSError."""
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        mac = next((link.address for link in _json("link", "show", "dev", plan.wan)), "")
        made = {self._directory / name: text for name, text in files(plan, mac).items()}
        coming = {path: path.with_name(f"{path.name}.next") for path in made}  # which networkd does not read
        for path, text in made.items():
            write_atomic(coming[path], text.encode(), mode=0o644)
        write_atomic(self._state / "network.toml", _toml(plan))
        for path in made:
            coming[path].replace(path)
        for path in self._directory.glob(PREFIX + "*.net*"):
            # A directory beside one is a person's (systemd.network(5)).
            if path not in made and path.is_file():
                path.unlink()

    def _is_real(self, plan: Plan) -> bool:
        """Whether networkd and the box's other processes read this plan as this software writes it: what the disk
        damaged, or an earlier one wrote otherwise, is written again. Not for another card's address alone."""
        try:
            if (self._state / "network.toml").read_bytes() != _toml(plan):
                return False
            texts = {name: (self._directory / name).read_text("utf-8") for name in files(plan)}
        except (OSError, UnicodeDecodeError):
            return False
        return files(plan) == {
            name: re.sub("^MACAddress=.*\n", "", text, flags=re.M) for name, text in texts.items()
        }

    def _prove(self, plan: Plan, seen: Mapping[str, Seen]) -> Proof:
        """Note what is found, but for FAILED: then others may be tried."""
        end = time.monotonic() + PROOF_S
        config = settings.load(self._state)
        centre = Centre(config, Store(self._state).centre_addresses())
        while not (centre.reached() if config.centre else router_answers()):
            if time.monotonic() > end:
                log.warning("%s: the way out does not work", plan.mode)
                if not config.centre or not router_answers():
                    return Proof.FAILED
                self._note(trouble=unproved(seen), proved=False)
                return Proof.CENTRE_AWAY
            time.sleep(0.5)
        target = config.lan_probe
        if not target and config.centre:
            target = probe_target(centre.addresses(), config.centre_port)
        left = max(8.0, end - time.monotonic())
        if plan.mode == "bridge" and not gives_addresses(seen) and not target.startswith("["):
            # The machines have fixed ones, and one more would have none: the box itself, with one by hand, got out.
            reached = not contradicts(look(self.ports, LOOK_S, _routers()), plan)
        elif plan.mode == "bridge":
            reached = bridged_machine_reaches(BRIDGE, target, left)
        else:
            reached = not target or lan_reaches(target, left)
        if not reached:
            log.warning("%s: the LAN does not get out", plan.mode)
            return Proof.FAILED
        self._note(proved=True, proved_at=int(time.time()), trouble="", last_proved=plan)
        log.info("%s proved, internet at %s", plan.mode, plan.wan)
        return Proof.PROVED

    def _note(self, **values: object) -> None:
        for name, value in values.items():
            setattr(self.found, name, value)
        try:
            write_atomic(self._state / "network.json", msgspec.json.encode(self.found))
        except OSError as error:
            log.error("network.json: %s", error.strerror)

    def cables(self) -> dict[str, bool]:
        """Return for each port whether its cable is plugged in at both ends."""
        return {port: _has_cable(port) for port in self.ports}


def _toml(plan: Plan) -> bytes:
    return settings.toml_text(plan_settings(plan)).encode()


def physical_ports() -> tuple[str, ...]:
    """Ethernet cards by name; no bridges, no wireless."""
    found = []
    for path in sorted(Path("/sys/class/net").iterdir()):
        kind = (path / "type").read_text().strip() if (path / "type").exists() else ""
        if (path / "device").exists() and kind == "1" and not (path / "phy80211").exists():
            found.append(path.name)
    return tuple(found)


def router_answers() -> bool:
    """There is a default route, and its router answers on the wire."""
    for family in ("-4", "-6"):
        for route in _json("route", "show", "default", family=family):
            via, device = route.gateway, route.dev
            if not via or not device:
                continue
            # Forgotten, it must be found again on the wire: that it is known would prove nothing.
            _ip("neigh", "del", via, "dev", device)
            _knock(via, device)
            time.sleep(0.4)
            known = _json("neigh", "show", via, "dev", device, family=family)
            if any("REACHABLE" in one.state for one in known):
                return True
    return False


def _routers() -> set[str]:
    """The default routers of IPv4 that the kernel knows."""
    return {route.gateway for route in _json("route", "show", "default")} - {""}


def _knock(address: str, device: str) -> None:
    """Send one datagram that nobody needs to answer."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(kind, socket.SOCK_DGRAM) as client, suppress(OSError):
        scope = (0, socket.if_nametoindex(device)) if kind == socket.AF_INET6 else ()
        client.sendto(b"", (address, 9, *scope))


def _has_cable(port: str) -> bool:
    return any("LOWER_UP" in link.flags for link in _json("link", "show", "dev", port))


class _Shown(msgspec.Struct):
    """One route, neighbour or link, as ``ip -json`` says it."""

    gateway: str = ""
    dev: str = ""
    state: list[str] = []
    flags: list[str] = []
    address: str = ""


def _json(*arguments: str, family: str = "-4") -> list[_Shown]:
    done = subprocess.run(["ip", family, "-json", *arguments], capture_output=True, check=False, timeout=10)
    try:
        return msgspec.json.decode(done.stdout or b"[]", type=list[_Shown])
    except UNDECODABLE:
        return []


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=False, timeout=10)
