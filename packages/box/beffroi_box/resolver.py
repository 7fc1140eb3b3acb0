"""The box's resolver: Unbound's configuration, and refusals of listed names over its control socket.

Purpose: a listed name and all below it answer NXDOMAIN, without a restart of Unbound.
Process: Unbound as its own user; the agent speaks ``UBCT1`` on the Unix socket.
Fails:   the list is also written to an include file, so Unbound refuses from its first answer, without the agent;
         after a restart of Unbound the agent compares and replays.
Source:  unbound-control(8).
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from beffroi_box.config import BoxConfig
from beffroi_box.errors import ResolverUnavailable
from beffroi_box.store import write_atomic

log = logging.getLogger("beffroi_box.resolver")

ZONE_TYPE = "always_nxdomain"
TIMEOUT_S = 5.0
MANY = 20
"""From so many names on, one command with a list is shorter than one command a name."""
_PID = re.compile(r"\(pid (\d+)\)")


def configuration(config: BoxConfig) -> str:
    """Return unbound.conf for this box; the log of local actions is how refused look-ups are counted."""
    directory = config.state / "resolver"
    forward = "".join(f"    forward-addr: {address}\n" for address in config.resolver_forward)
    zone = f'forward-zone:\n    name: "."\n{forward}' if forward else ""
    modules = "validator iterator" if config.resolver_dnssec else "iterator"
    anchor = 'trust-anchor-file: "/usr/share/dns/root.key"' if config.resolver_dnssec else ""
    return f"""# Written by beffroi-box; changes are lost.
server:
    interface: 127.0.0.1
    interface: ::1
    interface: {config.own_interface}
    interface-action: {config.own_interface} allow
    port: {config.resolver_port}
    do-daemonize: no
    username: "{config.resolver_user}"
    chroot: ""
    directory: "{directory}"
    pidfile: "{directory}/unbound.pid"
    use-syslog: no
    logfile: "{refusals_log(config)}"
    verbosity: 0
    log-local-actions: yes
    log-time-ascii: no
    num-threads: 1
    msg-cache-size: 8m
    rrset-cache-size: 16m
    hide-identity: yes
    hide-version: yes
    module-config: "{modules}"
    {anchor}
    include: "{include_file(config)}"
remote-control:
    control-enable: yes
    control-interface: "{config.control_socket}"
    control-use-cert: no
{zone}"""


def include_file(config: BoxConfig) -> Path:
    return config.state / "resolver" / "refused.conf"


def refusals_log(config: BoxConfig) -> Path:
    return config.state / "resolver" / "log" / "refusals.log"


def write_include(config: BoxConfig, names: Iterable[str]) -> None:
    """Errors: OSError."""
    body = "".join(f'local-zone: "{name}." {ZONE_TYPE}\n' for name in sorted(names))
    write_atomic(include_file(config), body.encode(), mode=0o644)


class Resolver:
    """One command a connection, as unbound-control does it."""

    def __init__(self, control_socket: str) -> None:
        self._path = control_socket

    def pid(self) -> int:
        """Return Unbound's process id: a change means a restart. Errors: ResolverUnavailable."""
        found = _PID.search(self._command("status"))
        return int(found.group(1)) if found else 0

    def refuse(self, names: Iterable[str]) -> None:
        """Names are canonical host names. Errors: ResolverUnavailable."""
        wanted = sorted(names)
        if len(wanted) >= MANY:
            self._command("local_zones", [f"{name}. {ZONE_TYPE}" for name in wanted])
            return
        for name in wanted:
            self._expect_ok(self._command(f"local_zone {name}. {ZONE_TYPE}"))

    def release(self, names: Iterable[str]) -> None:
        """Errors: ResolverUnavailable."""
        wanted = sorted(names)
        if len(wanted) >= MANY:
            self._command("local_zones_remove", [f"{name}." for name in wanted])
            return
        for name in wanted:
            self._expect_ok(self._command(f"local_zone_remove {name}."))

    def refused(self) -> set[str]:
        """Return the names that are refused now. Errors: ResolverUnavailable."""
        lines = (line.split() for line in self._command("list_local_zones").splitlines())
        return {p[0].rstrip(".") for p in lines if len(p) == 2 and p[1] == ZONE_TYPE}

    def reconcile(self, names: Iterable[str]) -> int:
        """Make exactly ``names`` refused; return how many differed. Errors: ResolverUnavailable."""
        wanted, present = set(names), self.refused()
        self.refuse(wanted - present)
        self.release(present - wanted)
        return len(wanted ^ present)

    @staticmethod
    def _expect_ok(answer: str) -> None:
        if not answer.startswith("ok"):
            raise ResolverUnavailable("command refused")

    def _command(self, command: str, lines: list[str] | None = None) -> str:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(self._path)
                body = f"UBCT1 {command}\n"
                if lines is not None:
                    body += "".join(f"{line}\n" for line in lines) + "\x04\n"
                connection.sendall(body.encode("ascii"))
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
        except (OSError, UnicodeEncodeError) as error:
            raise ResolverUnavailable(type(error).__name__) from None
        text = answer.decode("ascii", "replace")
        if text.startswith("error"):
            raise ResolverUnavailable("command refused")
        return text
