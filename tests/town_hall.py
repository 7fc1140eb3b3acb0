"""A town hall in namespaces: an internet, a box with the real agent, real dnsdist and Unbound, a LAN.

The network is in tests/town_hall_network.py, the fixtures are in tests/fixtures_box.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from beffroi_box.refusals import listen
from beffroi_box.store import Identity, Store, user_id
from beffroi_lab.running import handing_over
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Action, BulkList, Entry, Policy
from beffroi_protocol.signing import b64, public_bytes

from tests.fixtures_box_centre import BOX_ID, COLLECTIVITE, NAME, FeedCentre
from tests.town_hall_network import (
    BOX,
    CENTRE_PORT,
    ECHO_PORT,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    LAN_BOX,
    NET,
    UNLISTED,
    WAN_BOX,
    WAN_NET,
    connects,
    family,
    inside,
    listening,
    look_up,
    make_spaces,
    remove_spaces,
    run,
    serve,
    socket_in,
)
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[1]
_CAPABILITIES = ("bounding-set", "inh-caps", "ambient-caps")
_AGENT = ("/usr/bin/python3", "-m", "beffroi_box")
_PATH = {"PYTHONPATH": f"{ROOT}/packages/protocol:{ROOT}/packages/box", "PYTHONDONTWRITEBYTECODE": "1"}

_NO_NEW_CODE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""MemoryDenyWriteExecute of a unit: 65 is PR_SET_MDWE."""

needs_network = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]


@dataclass
class TownHall:
    """``pc``: the LAN's addresses."""

    state: Path
    centre: FeedCentre
    pc: tuple[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    sockets: list[socket.socket] = field(default_factory=list)
    refusals: socket.socket | None = None

    # -- agent -------------------------------------------------------------------------------------------

    def start(self, name: str, *argv: str, listening: socket.socket | None = None) -> None:
        log = (self.state.parent / f"{name}.log").open("ab")
        # The box asks the internet's DNS, not the resolver of the machine that runs the tests.
        mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        private = ("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", mount)
        resolv_conf = self.state.parent / "resolv.conf"
        resolv_conf.write_text(f"nameserver {WAN_NET}\noptions timeout:1 attempts:1\n")
        self.processes[name] = subprocess.Popen(
            inside(BOX, *private, str(resolv_conf), *(handing_over(listening, argv) if listening else argv)),
            env={**os.environ, **_PATH},
            pass_fds=(listening.fileno(),) if listening else (),
            stdout=log,
            stderr=log,
        )

    def start_page(self) -> None:
        page_socket = self.state.parent / "run" / "page.sock"
        nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs")
        only = (
            f"--{kind}={'' if kind == 'ambient-caps' else '-all,'}+net_bind_service" for kind in _CAPABILITIES
        )
        self.start("page", *nobody, *only, "--", *_AGENT, "page", "--socket", str(page_socket))
        until(lambda: self.page() is not None, "the page does not answer")

    def page(
        self, space: str = LAN, address: str = "", path: str = "/", *, post: str = "", **headers: str
    ) -> tuple[int, dict[str, str], str] | None:
        """Ask for a page by HTTP on port 80; None when nobody answers."""
        address = address or self.resolver
        host = f"[{address}]" if ":" in address else address
        lines = {"Host": host, **headers, **({"Content-Length": str(len(post))} if post else {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with socket_in(space, family(address), socket.SOCK_STREAM) as client:
            try:
                client.connect((address, 80))
                client.settimeout(PATIENCE_S)
                client.sendall(f"{'POST' if post else 'GET'} {path} HTTP/1.1\r\n{head}\r\n{post}".encode())
                answer = b""
                while piece := client.recv(65536):
                    answer += piece
            except OSError:
                return None
        if not answer:
            return None
        top, _, body = answer.decode().partition("\r\n\r\n")
        first, *rest = top.split("\r\n")
        return int(first.split(" ")[1]), dict(line.split(": ", 1) for line in rest), body

    def start_inspector(self) -> None:
        """The keeper of the inspection engine, as its unit starts it."""
        directory = self.state.parent / "inspection"
        directory.mkdir(exist_ok=True)
        shutil.chown(directory, "nobody")
        user = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=root", "--no-new-privs")
        only = (f"--{kind}=-all,+net_admin,+net_raw" for kind in _CAPABILITIES)
        places = ("--socket", f"{self.state.parent}/run/inspection.sock", "--directory", str(directory))
        sealed = ("/usr/bin/python3", "-c", _NO_NEW_CODE)
        self.start("inspector", *user, *only, "--", *sealed, *_AGENT, "inspect", *places)

    def start_relay(self) -> None:
        """The relay for copiers, as its unit starts it once the agent's socket is there."""
        directory = self.state.parent / "relay"
        directory.mkdir(exist_ok=True)
        shutil.chown(directory, "nobody")
        relay_socket = self.state.parent / "run" / "relay.sock"
        until(relay_socket.exists, f"the agent wants no relay: {self.log()}")
        nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs")
        only = (
            f"--{kind}={'' if kind == 'ambient-caps' else '-all,'}+net_bind_service" for kind in _CAPABILITIES
        )
        places = ("--socket", str(relay_socket), "--directory", str(directory))
        sealed = ("/usr/bin/python3", "-c", _NO_NEW_CODE)
        self.start("relay", *nobody, *only, "--", *sealed, *_AGENT, "relay", *places)

    def start_agent(self) -> None:
        self.start("agent", *_AGENT, "--state", str(self.state), "run", listening=self.refusals)

    def stop_serving(self) -> None:
        """End the centre and the servers of both sides."""
        self.centre.stop()
        for one in self.sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in it
            one.close()

    def connected(self) -> None:
        """Wait until the agent follows the feed and enforces the centre's last word."""
        until(lambda: self.status().get("connected"), f"agent not connected: {self.log()}")
        until(lambda: self.status()["versions"]["box"].endswith(f":{self.centre.version}"), "not in step")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(PATIENCE_S)
        if name == "agent":
            (self.state / "status.json").unlink(missing_ok=True)

    def start_resolver(self) -> None:
        self.start("unbound", "/usr/sbin/unbound", "-d", "-c", str(self.state / "names" / "unbound.conf"))
        self.start_dnsdist()

    def start_dnsdist(self) -> None:
        configuration = str(self.state / "names" / "dnsdist.conf")
        user = ("-u", "_dnsdist", "-g", "_dnsdist")
        self.start("dnsdist", "/usr/bin/dnsdist", "--supervised", "-C", configuration, *user)
        until(lambda: look_up(LAN, UNLISTED, self.resolver) == 0, "the resolver does not answer")

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.state / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return found

    def log(self) -> str:
        return (self.state.parent / "agent.log").read_text()[-2000:]

    resolver = LAN_BOX

    # -- the centre's word -------------------------------------------------------------------------------

    def block(self, *values: str, life_s: int = 3600) -> tuple[str, ...]:
        """Publish entries, wait for their enforcement, return their ids."""
        entries = [entry(value, self.centre.now() + life_s) for value in values]
        version = self.centre.publish(*entries)
        until(lambda: self.centre.enforced(version), f"version {version} is not enforced: {self.log()}")
        return tuple(one.id for one in entries)

    def unblock(self, *ids: str) -> None:
        version = self.centre.publish(removed=ids)
        until(lambda: self.centre.enforced(version), f"version {version} is not enforced: {self.log()}")

    def listed(self, *lists: BulkList) -> None:
        """Publish lists and wait until they are in force."""
        self.centre.publish(lists=lists)
        wanted = set(self.centre.lists.values())
        until(lambda: self.in_force() >= {one.sha256 for one in wanted}, f"not in force: {self.log()}")

    def in_force(self) -> set[str]:
        """Digests of the lists in force."""
        try:
            found = json.loads((self.state / "lists" / "in-force").read_text().partition("\n")[2])
        except (OSError, ValueError):
            return set()
        return {one["sha256"] for _, one in found["lists"]}

    def unlisted(self, *names: str) -> None:
        self.centre.publish(lists_removed=names)
        wanted = {one.sha256 for one in self.centre.lists.values()}
        until(lambda: self.in_force() == wanted, f"still in force: {self.log()}")

    def clear(self) -> None:
        """Leave no entry, no list and no memory of attempts to the next test."""
        if self.centre.entries:
            self.unblock(*self.centre.entries)
        if self.centre.lists:
            self.unlisted(*self.centre.lists)
        sets = (
            f"{name}{version}_{way}"
            for name in ("tried", "bare")
            for version in (4, 6)
            for way in ("in", "out")
        )
        flush = "".join(f"flush set inet beffroi {name}\n" for name in (*sets, "callers4", "callers6"))
        run(*inside(BOX, "nft", "-f", "-"), stdin=flush)

    def cut(self, *, down: bool) -> None:
        """Take the box's way to the internet, or give it back."""
        chain = "chain c {\n type filter hook prerouting priority -310;\n iifname n0 drop\n }\n"
        text = f"table inet cut {{\n {chain} }}\n" if down else "delete table inet cut\n"
        run(*inside(NET, "nft", "-f", "-"), stdin=text)

    def elements(self) -> dict[str, list[str]]:
        """The deny sets in the kernel, without their timers."""
        found: dict[str, list[str]] = {}
        for name in ("hot4", "hot6", "cold4", "cold6"):
            listed = json.loads(run(*inside(BOX, "nft", "-j", "list", "set", "inet", "beffroi", name)))
            elements = listed["nftables"][1]["set"].get("elem", [])
            found[name] = sorted(json.dumps(e["elem"]["val"] if "elem" in e else e) for e in elements)
        return found

    def memory_kib(self) -> dict[str, int]:
        text = Path(f"/proc/{self.processes['agent'].pid}/smaps_rollup").read_text()
        fields = (line.split() for line in text.splitlines()[1:])
        return {f[0].rstrip(":"): int(f[1]) for f in fields if f[0] in ("Rss:", "Pss:")}


def entry(value: str, expires_at: int, *, name: str = "") -> Entry:
    kind = Kind.DOMAIN
    if value.replace(".", "").isdigit() or ":" in value:
        kind = Kind.IP
    if "/" in value:
        kind = Kind.CIDR
    made = name or f"dec_{os.urandom(6).hex()}"
    return Entry(made, normalise(kind, value), Action.BLOCK, expires_at)


@contextmanager
def town_hall(
    *, bridge: bool = False, ahead_s: int = 0, state_mib: int = 32, enrolled: bool = True
) -> Iterator[TownHall]:
    """The state directory is a small disk of its own, which a test may fill. ``enrolled`` False: a new box, which
    knows its centre and waits for a code."""
    directory = Path(tempfile.mkdtemp(prefix="bxt-"))
    directory.chmod(0o755)
    state = directory / "state"
    state.mkdir()
    remove_spaces()
    hall: TownHall | None = None
    run("mount", "-t", "tmpfs", "-o", f"size={state_mib}m,mode=755", "bxt", str(state))
    try:
        make_spaces(bridge=bridge)
        pc = ("185.10.20.3", "2a0c:e300:1::3") if bridge else ("185.11.30.2", "2a0c:e300:2::2")
        hall = TownHall(state, FeedCentre(directory, ahead_s), pc)
        if bridge:
            hall.resolver = WAN_BOX
        hall.centre.serve(listening(NET, WAN_NET, CENTRE_PORT))
        hall.sockets += serve()
        enrol(hall, bridge=bridge)
        if not enrolled:
            forget_enrolment(state)
        for evil in (EVIL, EVIL6):
            until(lambda evil=evil: connects(LAN, evil), f"no way to {evil} before the box has rules")
        run(
            *inside(BOX, "env", f"PYTHONPATH={_PATH['PYTHONPATH']}"),
            *_AGENT,
            "--state",
            str(state),
            "resolver-config",
        )
        # As the package's socket unit does, before dnsdist starts.
        hall.refusals = listen(hall.state.parent / "run" / "refusals.sock", user_id("_dnsdist"))
        hall.sockets.append(hall.refusals)
        hall.start_agent()
        if not enrolled:
            yield hall
            return
        hall.start_resolver()
        hall.connected()
        until(lambda: hall.status().get("policy_version") == 1, f"first policy not proved: {hall.log()}")
        yield hall
    finally:
        if hall is not None:
            for process in hall.processes.values():
                process.kill()
                process.wait()
            hall.stop_serving()
        remove_spaces()
        subprocess.run(["umount", "-l", str(state)], check=False)
        shutil.rmtree(directory)


def enrol(hall: TownHall, *, bridge: bool, installed: bool = False) -> None:
    """The state of a box whose enrolment is done; its first policy is still to be proved. ``installed``: with users and
    places of the package's."""
    store = Store(hall.state)
    store.prepare()
    centre = hall.centre
    centre.box_key = public_bytes(store.key())
    root = b64(public_bytes(centre.root))
    address = f"https://{NAME}:{CENTRE_PORT}"
    store.save_identity(Identity(1, BOX_ID, COLLECTIVITE, "Beaune", root, address))
    store.save_trust(centre.trust())
    centre.set_policy(good_policy(bridge=bridge))
    assert centre.policy is not None
    store.save_policy(centre.signer.line(centre.policy), "policy-candidate")
    (hall.state / "ca.pem").write_bytes((centre.directory / "centre.pem").read_bytes())
    probe = "" if bridge else f'lan_probe = "{GOOD}:{ECHO_PORT}"\n'
    lan = 'lan = "lan"\n' + ('management = "br0"\n' if bridge else "")
    users = 'page_user = "nobody"\ninspection_user = "nobody"\nrelay_user = "nobody"\n'
    (hall.state / "box.toml").write_text(
        f'centre = "{address}"\ncentre_addresses = ["{WAN_NET}"]\nwan = "wan"\n{lan}{probe}'
        + ("" if installed else f'{users}run = "{hall.state.parent}/run"\n')
        + f'resolver_forward = ["{WAN_NET}"]\nresolver_dnssec = false\nheartbeat_s = 2\nprobe_grace_s = 3\n'
    )


def forget_enrolment(state: Path) -> None:
    """A new box again, which knows its centre and waits for a code."""
    for name in ("identity.json", "root.pub", "delegations", "policy-candidate"):
        for path in state.glob(name + "*"):
            path.unlink()


def good_policy(*, bridge: bool = False, **values: Any) -> Policy:
    return Policy(mode="bridge" if bridge else "router", inbound_tcp_ports=(ECHO_PORT,), **values)
