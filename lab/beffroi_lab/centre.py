"""The real centre in the datacenter's namespace, with a state of its own and the scenario's people.

Purpose: `python -m beffroi.cli up` exactly as a Département runs it, on public ports and addresses.
Process: started as root; the centre's own processes drop to their users.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beffroi_lab import plan as plans
from beffroi_lab.plan import CENTRE_DOMAIN, Plan
from beffroi_lab.running import Hands, Program, wait_until
from beffroi_lab.topology import LabFailed, Network

READY_S = 150
USER = "beffroi"
PORTAL, CONSOLE, BOXES, MX = (
    f"{label}.{CENTRE_DOMAIN}" for label in ("portail", "console", "boitiers", "mx")
)
PORTAL_PORT, CONSOLE_PORT, BOX_PORT, SMTP_PORT, IMAPS_PORT = 443, 8444, 8445, 25, 993


@dataclass(frozen=True)
class Account:
    """A person of the scenario as they sign in."""

    email: str
    password: str
    totp_secret: str = ""


class Centre:
    """Start, ask, stop. ``clerk`` is there once it is ready."""

    def __init__(self, network: Network, plan: Plan, directory: Path, *, heartbeat_s: int = 20) -> None:
        self.state = directory / "centre"
        self._network = network
        self._directory = directory
        self._program: Program | None = None
        self.clerk: Hands
        self.accounts: dict[str, Account] = {}
        self.state.mkdir(mode=0o755)
        (self.state / "beffroi.toml").write_text(settings(heartbeat_s), "utf-8")
        (directory / "seed.toml").write_text(seed(plan), "utf-8")

    def start(self) -> None:
        """Errors: LabFailed with the end of the log."""
        ready = self._directory / "ready.json"
        ready.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "beffroi.cli", "up", "--state", str(self.state), "--no-install"]
        argv += ["--demo", str(self._directory / "seed.toml"), "--json-ready", str(ready)]
        self._program = Program(self._network["dc"], argv, self._directory / "centre.log")
        wait_until(lambda: ready.exists() or not self._running, READY_S)
        if not ready.exists():
            raise LabFailed(f"the centre did not become ready:\n{self._program.tail()}")
        values = json.loads((self.state / "secrets" / "demo-accounts.json").read_text("utf-8"))
        for one in values["accounts"]:
            account = Account(one["email"], one["password"], one["totp_secret"])
            self.accounts["departement" if one["console"] else one["email"]] = account
        before = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
        environment = {"BEFFROI_STATE": str(self.state), "DJANGO_SETTINGS_MODULE": "beffroi.settings.base"}
        self.clerk = Hands(
            self._network["dc"],
            self._directory / "clerk.log",
            module="beffroi_lab.clerk",
            before=before,
            environment={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        )

    @property
    def _running(self) -> bool:
        return self._program is not None and self._program.running

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        return self.clerk.ask(do, **arguments)

    @property
    def authority(self) -> Path:
        return self.state / "tls" / "ca.pem"

    def kill(self, process: str) -> int:
        """SIGKILL one process of the centre, as a fault would; the supervisor starts it again."""
        pid = int(self._children()[process]["pid"])  # of a session and group of its own
        os.killpg(pid, signal.SIGKILL)
        return pid

    def restart(self, process: str) -> int:
        """SIGTERM to the leader of one process of the centre; the supervisor starts it again."""
        pid = int(self._children()[process]["pid"])
        os.kill(pid, signal.SIGTERM)
        return pid

    def pid_of(self, process: str) -> int:
        return int(self._children().get(process, {"pid": 0})["pid"])

    def pids(self) -> dict[str, int]:
        return {name: int(row["pid"]) for name, row in self._children().items()}

    def _children(self) -> dict[str, Any]:
        listed = json.loads((self.state / "supervisor" / "children.json").read_text("utf-8"))
        rows = listed["children"] if isinstance(listed, dict) else listed
        return {row["name"]: row for row in rows}

    def stop(self) -> None:
        if hasattr(self, "clerk"):
            self.clerk.stop()
        if self._program is not None:
            self._program.stop(timeout_s=40)


def settings(heartbeat_s: int) -> str:
    """Return beffroi.toml: public names and ports; every name is asked of the scenario's DNS."""
    return f"""user = "{USER}"
listen = "*"
console_listen = "*"
portal_name = "{PORTAL}"
console_name = "{CONSOLE}"
box_name = "{BOXES}"
mail_name = "{MX}"
portal_port = {PORTAL_PORT}
console_port = {CONSOLE_PORT}
box_port = {BOX_PORT}
smtp_port = {SMTP_PORT}
imap_port = 143
imaps_port = {IMAPS_PORT}
submission_port = 587
submissions_port = 465
sieve_port = 4190
dns_forward = "{plans.DNS.v4}@53"
own_addresses = "{plans.CENTRE.v4} {plans.CENTRE.v6}"
heartbeat_s = {heartbeat_s}
"""


def seed(plan: Plan) -> str:
    """Return the people and communes of the scenario, as `up --demo FILE` reads them."""
    lines = [f'administrator_email = "dsi@{CENTRE_DOMAIN}"']
    for commune in plan.communes:
        lines += ["[[communes]]", f'insee = "{commune.insee}"', f'domain = "{commune.domain}"', "people = ["]
        lines += [
            f'  {{ email = "{p.email}", name = "{p.name} ({commune.letter})", role = "{p.role}" }},'
            for p in commune.people
        ]
        lines.append("]")
    return "\n".join(lines) + "\n"
