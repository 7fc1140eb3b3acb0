"""The boxes of the scenario: the real agent, real dnsdist and Unbound in each town hall's box namespace.

Purpose: enrolled for real: key made, code issued, fingerprint compared and confirmed, at a desk: the console's
         pages, or the clerk's short way through the same actions.
Process: Debian's Python as on the appliance, with the two packages it carries; root in its namespace.
Source:  docs/internals/lab.md; docs/internals/box.md.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from beffroi_box.config import load
from beffroi_box.refusals import listen
from beffroi_box.resolver import refusals_socket
from beffroi_box.store import user_id

from beffroi_lab import plan as plans
from beffroi_lab import topology
from beffroi_lab.centre import BOX_PORT, BOXES, Centre
from beffroi_lab.plan import CommunePlan
from beffroi_lab.running import Program, wait_until
from beffroi_lab.topology import PATIENCE_S, LabFailed, Namespace, Network

_ROOT = Path(__file__).resolve().parents[2]
_PATH = {
    "PYTHONPATH": f"{_ROOT / 'packages/protocol'}:{_ROOT / 'packages/box'}",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_AGENT = ("/usr/bin/python3", "-m", "beffroi_box")
INSPECTOR = "nobody"


class Desk(Protocol):
    """Where the Département enrols a box."""

    def code(self, commune: CommunePlan) -> str: ...

    def confirm(self, commune: CommunePlan, fingerprint: str) -> bool: ...


class ClerkDesk:
    """The short way, through the same actions as the pages."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre

    def code(self, commune: CommunePlan) -> str:
        return str(self._centre.ask("box_code", domain=commune.domain)["code"])

    def confirm(self, commune: CommunePlan, fingerprint: str) -> bool:
        asked = {"do": "confirm_box", "fingerprint": fingerprint}
        return wait_until(lambda: self._centre.ask(**asked)["ok"], PATIENCE_S, 0.2)


class Box:
    """One town hall's box."""

    def __init__(
        self,
        space: Namespace,
        commune: CommunePlan,
        directory: Path,
        *,
        local_hour: int | None = None,
        name: str = "",
    ) -> None:
        """``local_hour``: what the box's time zone makes of the present hour; None for the machine's own zone.
        ``name``: of its state directory, where a town hall has a second one."""
        zone = {} if local_hour is None else {"TZ": f"LAB{time.gmtime().tm_hour - local_hour:+d}"}
        self._environment = _PATH | zone
        self.commune = commune
        self.state = directory / (name or f"box{commune.letter}")
        self.state.mkdir(mode=0o755)
        # Urgent names are on a memory disk, as on the appliance.
        names = topology.memory_directory(directory) / self.state.name
        self._space = space
        self._directory = directory
        self._programs: dict[str, Program] = {}
        self._refusals: socket.socket | None = None
        self.box_id = ""
        (self.state / "box.toml").write_text(settings(names), "utf-8")

    def enrol(self, centre: Centre, desk: Desk) -> None:
        """Errors: LabFailed."""
        label = json.loads(self._run("keygen", "--json"))
        code = desk.code(self.commune)
        asking = self._program(
            "enrol",
            [
                *_AGENT,
                "--state",
                str(self.state),
                "enrol",
                code,
                "--ca",
                str(centre.authority),
                "--wait",
                "30",
            ],
        )
        confirmed = desk.confirm(self.commune, label["fingerprint"])
        if not confirmed or asking.process.wait(PATIENCE_S) != 0:
            raise LabFailed(f"box {self.commune.letter} was not enrolled:\n{asking.tail()}")
        self.box_id = centre.ask("box_id", fingerprint=label["fingerprint"])["box_id"]

    def start(self) -> None:
        """Start Unbound, dnsdist and the agent, as the appliance does: first the socket between the last two."""
        unbound, dnsdist, _for_its_unit = self._run("resolver-config").split()
        config = load(self.state)
        self._refusals = listen(refusals_socket(config), user_id(config.dnsdist_user))
        as_user = ("-u", "_dnsdist", "-g", "_dnsdist")
        self._programs["unbound"] = self._program("unbound", ["unbound", "-d", "-c", unbound])
        self._programs["dnsdist"] = self._program(
            "dnsdist", ["dnsdist", "--supervised", "-C", dnsdist, *as_user]
        )
        self.start_agent()

    def start_agent(self) -> None:
        argv = [*_AGENT, "--state", str(self.state), "run"]
        self._programs["agent"] = self._program("agent", argv, listening=self._refusals)

    def start_inspector(self) -> None:
        """Start the keeper of the inspection engine, with the rights that its unit gives."""
        self._space.run(["sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1"])
        own = self.state / "inspection"
        own.mkdir()
        shutil.chown(own, INSPECTOR)
        rights = [
            f"--{kind}=-all,+net_admin,+net_raw" for kind in ("bounding-set", "inh-caps", "ambient-caps")
        ]
        argv = [
            "setpriv",
            f"--reuid={INSPECTOR}",
            "--regid=nogroup",
            "--groups=root",
            "--no-new-privs",
            *rights,
        ]
        places = [
            "--socket",
            str(load(self.state).run_directory / "inspection.sock"),
            "--directory",
            str(own),
        ]
        self._programs["inspector"] = self._program("inspector", [*argv, "--", *_AGENT, "inspect", *places])

    def kill_agent(self) -> None:
        """SIGKILL, as a fault would."""
        agent = self._programs["agent"]
        os.killpg(agent.process.pid, signal.SIGKILL)
        agent.process.wait(5)

    def wait_connected(self) -> None:
        """Errors: LabFailed."""
        if not wait_until(self._connected, PATIENCE_S):
            raise LabFailed(f"box {self.commune.letter} did not connect:\n{self._programs['agent'].tail()}")

    def _connected(self) -> bool:
        status = self.status()
        return bool(status.get("connected")) and status.get("policy_version", 0) >= 1

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.state / "status.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def stop(self) -> None:
        for program in self._programs.values():
            program.stop(timeout_s=5)
        if self._refusals is not None:
            self._refusals.close()

    def _program(self, name: str, argv: list[str], listening: socket.socket | None = None) -> Program:
        log = self._directory / f"box{self.commune.letter}-{name}.log"
        return Program(self._space, argv, log, environment=self._environment, listening=listening)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            self._space.command([*_AGENT, "--state", str(self.state), *arguments]),
            env={**os.environ, **_PATH},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode != 0:
            raise LabFailed(f"box {self.commune.letter}, {arguments[0]}: {done.stderr.strip()[-400:]}")
        return done.stdout


def settings(names: Path) -> str:
    """Return box.toml; the scenario's DNS is unsigned, so that DNSSEC is off. ``names``: where urgent names go. The
    package's users are not on a machine that runs a checkout: the page stays root's, and none is started."""
    addresses = ", ".join(f'"{a}"' for a in plans.CENTRE.both)
    return f"""centre = "https://{BOXES}:{BOX_PORT}"
centre_addresses = [{addresses}]
masquerade = true
resolver_forward = ["{plans.DNS.v4}"]
resolver_dnssec = false
lan_probe = "{plans.INNOCENT.v4}:80"
probe_grace_s = 4
page_user = ""
inspection_user = "{INSPECTOR}"
run = "{names}"
"""


def start_all(
    network: Network,
    centre: Centre,
    directory: Path,
    desks: Mapping[str, Desk] | None = None,
    *,
    local_hour: int | None = None,
) -> dict[str, Box]:
    """Enrol and start a box in each town hall; ``desks`` by letter, the clerk's where none is named.

    Errors: LabFailed.
    """
    made = {
        c.letter: Box(network[f"box{c.letter}"], c, directory, local_hour=local_hour)
        for c in network.plan.communes
    }

    def bring_up(box: Box) -> None:
        box.enrol(centre, (desks or {}).get(box.commune.letter, ClerkDesk(centre)))
        box.start()
        box.wait_connected()

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(bring_up, made.values()))
    except BaseException:
        for box in made.values():
            box.stop()
        raise
    return made
