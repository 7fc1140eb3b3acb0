"""Network namespaces of a scenario: an internet, a datacenter, town halls with their boxes and LANs.

Purpose: real packets between real programs, on one machine, with no way out.
Process: the laboratory's own, as root. Every namespace is called ``bl-<pid>-<place>``; leaving the context
         ends what runs in it and removes it, and a later run removes what a killed one left behind.
Proof:   the internet's nft table counts each packet of the datacenter or a town hall to an address outside the
         scenario, and remembers where it wanted to go.
Source:  docs/internals/lab.md; ip-netns(8).
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from beffroi_lab import plan as plans
from beffroi_lab.plan import Pair, Plan

NETNS = Path("/run/netns")
PREFIX = "bl-"
_MEMORY = Path("/dev/shm")
PATIENCE_S = 240.0
"""So long the laboratory waits for what must come; for a broken run alone, since how long it took is told by itself."""
_STOP_S = 5.0


class LabImpossible(Exception):
    """The laboratory cannot run here; the text says what is missing and what to do."""


@dataclass(frozen=True)
class Namespace:
    """A network namespace, and the resolver that programs in it ask."""

    name: str
    resolv_conf: Path

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs ``argv`` in here, with this place's own resolver.

        ``ip netns exec`` would also mount another /sys, without control groups: hence nsenter.
        """
        mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        enter = ["nsenter", f"--net={NETNS / self.name}", "--"]
        private = ["unshare", "--mount", "--propagation", "private", "--"]
        return [*enter, *private, "sh", "-c", mount, str(self.resolv_conf), *argv]

    def run(self, argv: Sequence[str], *, stdin: str | None = None) -> str:
        """Run a short command in here and return its output."""
        return _run(["nsenter", f"--net={NETNS / self.name}", "--", *argv], stdin=stdin)

    def memory_bytes(self) -> int:
        """Proportional set size of all that runs in here."""
        return sum(memory_bytes(pid) for pid in self.pids())

    def pids(self) -> list[int]:
        argv = ["ip", "netns", "pids", self.name]
        # Ctrl-C reaches all of a session, and this is asked when all is removed.
        done = subprocess.run(argv, capture_output=True, text=True, check=False, start_new_session=True)
        return [int(line) for line in done.stdout.split()]


class Network:
    """The namespaces of one run. ``places``: inet, dc, dept, boxA.., lanA.."""

    def __init__(self, run: str, plan: Plan, directory: Path) -> None:
        self.run_id = run
        self.plan = plan
        self.directory = directory
        self.places: dict[str, Namespace] = {}

    def __getitem__(self, place: str) -> Namespace:
        return self.places[place]

    def build(self) -> None:
        self._add("inet", plans.DNS)
        for name, address in _internet_hosts().items():
            for one in address.both:
                self._ip("inet", f"addr add {one}/{_host_bits(one)} dev lo {_nodad(one)}", why=name)
        self._link("dc", "dc0", plans.CENTRE, plans.CENTRE_GATEWAY)
        self._link("dept", "dept0", plans.DEPARTEMENT, plans.DEPARTEMENT_GATEWAY)
        for commune in self.plan.communes:
            self._town_hall(commune)
        self.places["inet"].run(["nft", "-f", "-"], stdin=foreign_counter(self.plan))

    def cut(self, letter: str, *, down: bool) -> None:
        """Take the WAN of a town hall away, or give it back."""
        rule = f"fault_{letter}"
        if down:
            self["inet"].run(
                ["nft", "-f", "-"],
                stdin=f"""table inet {rule} {{
                    chain through {{ type filter hook prerouting priority -310; iifname "w{letter}" drop; }}
                    chain back {{ type filter hook postrouting priority 310; oifname "w{letter}" drop; }}
                }}""",
            )
        else:
            self["inet"].run(["nft", "delete", "table", "inet", rule])

    def cut_centre(self, letter: str, *, down: bool) -> None:
        """Take only the centre away from a town hall, or give it back: the rest of the internet stays."""
        rule = f"partition_{letter}"
        if not down:
            self["inet"].run(["nft", "delete", "table", "inet", rule])
            return
        rules = "\n".join(
            f'iifname "w{letter}" {family} daddr {address} drop\noifname "w{letter}" {family} saddr {address} drop'
            for family, address in zip(("ip", "ip6"), plans.CENTRE.both, strict=True)
        )
        chain = f"chain through {{\ntype filter hook forward priority -310;\n{rules}\n}}"
        self["inet"].run(["nft", "-f", "-"], stdin=f"table inet {rule} {{\n{chain}\n}}")

    def give(self, addresses: Sequence[str]) -> None:
        """Give the attacker on the internet these IPv4 addresses; they are part of the scenario from now on."""
        for address in addresses:
            self._ip("inet", f"addr add {address}/32 dev lo")
        places = [ipaddress.ip_network(one) for one in self.plan.known_v4]
        new = [a for a in addresses if not any(ipaddress.ip_address(a) in one for one in places)]
        if new:
            self["inet"].run(["nft", f"add element inet beffroi_lab known4 {{ {', '.join(new)} }}"])

    def foreign(self) -> tuple[int, list[str]]:
        """Return (packets that wanted to leave the scenario, the addresses they were for)."""
        listed = json.loads(self["inet"].run(["nft", "-j", "list", "table", "inet", "beffroi_lab"]))
        packets, addresses = 0, []
        for item in listed["nftables"]:
            if "counter" in item:
                packets += item["counter"]["packets"]
            if item.get("set", {}).get("name", "").startswith("seen"):
                addresses += [str(e) for e in item["set"].get("elem", [])]
        return packets, addresses

    def remove(self) -> None:
        _remove([ns.name for ns in self.places.values()])
        self.places.clear()

    def _add(self, place: str, resolver: Pair) -> None:
        name = f"{PREFIX}{self.run_id}-{place}"
        resolv = self.directory / f"resolv-{place}.conf"
        resolv.write_text("".join(f"nameserver {a}\n" for a in resolver.both) + "options timeout:2\n")
        _run(["ip", "netns", "add", name])
        space = self.places[place] = Namespace(name, resolv)
        # No wait for duplicate address detection in a test bench, and no router advertisements.
        keys = ("all.accept_dad=0", "default.accept_dad=0", "default.accept_ra=0", "all.accept_ra=0")
        space.run(["sysctl", "-qw", *(f"net.ipv6.conf.{key}" for key in keys)])
        if place == "inet" or place.startswith("box"):
            space.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
        self._ip(place, "link set lo up")

    def _link(self, place: str, at_inet: str, host: Pair, gateway: Pair) -> None:
        if place not in self.places:
            self._add(place, plans.DNS)
        _veth(self["inet"], at_inet, self[place], "wan")
        for one in gateway.both:
            self._ip("inet", f"addr add {one}/{_net_bits(one)} dev {at_inet} {_nodad(one)}")
        for one, via in zip(host.both, gateway.both, strict=True):
            self._ip(place, f"addr add {one}/{_net_bits(one)} dev wan {_nodad(one)}")
            self._ip(place, f"route add default via {via} dev wan")

    def _town_hall(self, commune: plans.CommunePlan) -> None:
        box, lan = f"box{commune.letter}", f"lan{commune.letter}"
        self._add(box, plans.DNS)
        self._link(box, f"w{commune.letter}", commune.wan, commune.wan_gateway)
        self._add(lan, commune.lan)
        _veth(self[box], "lan", self[lan], "pc")
        for one, host in zip(commune.lan.both, commune.pc.both, strict=True):
            self._ip(box, f"addr add {one}/{_net_bits(one)} dev lan {_nodad(one)}")
            self._ip(lan, f"addr add {host}/{_net_bits(host)} dev pc {_nodad(host)}")
            self._ip(lan, f"route add default via {one} dev pc")
        # The operator's side knows the way back to each LAN; where the box translates IPv4, it is not used.
        self._ip("inet", f"route add {commune.lan4} via {commune.wan.v4}")
        self._ip("inet", f"route add {commune.lan6} via {commune.wan.v6}")

    def _ip(self, place: str, arguments: str, *, why: str = "") -> None:
        family = "-6" if ":" in arguments and "link" not in arguments else "-4"
        _run(["ip", family, "-n", self[place].name, *arguments.split()], why=why)


def _internet_hosts() -> dict[str, Pair]:
    return {
        "dns": plans.DNS,
        "landing": plans.ATTACKER_LANDING,
        "sender": plans.ATTACKER_SENDER,
        "other": plans.ATTACKER_OTHER,
        "innocent": plans.INNOCENT,
    }


def foreign_counter(plan: Plan) -> str:
    """Return the ruleset that counts packets to addresses outside the scenario.

    Neighbour discovery and link-local multicast are not counted: they cannot pass a router.
    """
    v4, v6 = ", ".join(plan.known_v4), ", ".join(plan.known_v6)
    return f"""table inet beffroi_lab {{
        set known4 {{ type ipv4_addr; flags interval; elements = {{ {v4}, 224.0.0.0/24 }} }}
        set known6 {{ type ipv6_addr; flags interval; elements = {{ {v6}, fe80::/10, ff02::/16 }} }}
        set seen4 {{ type ipv4_addr; flags dynamic; size 1024; }}
        set seen6 {{ type ipv6_addr; flags dynamic; size 1024; }}
        counter foreign {{ }}
        chain watch {{
            type filter hook prerouting priority raw; policy accept;
            iifname "lo" accept
            ip daddr @known4 accept
            ip6 daddr @known6 accept
            meta nfproto ipv4 add @seen4 {{ ip daddr }}
            meta nfproto ipv6 add @seen6 {{ ip6 daddr }}
            counter name foreign drop
        }}
    }}
    """


def check_possible() -> None:
    """Errors: LabImpossible, with the next step."""
    if os.geteuid() != 0:
        raise LabImpossible(
            "The laboratory makes network namespaces: run it as root (sudo ./beffroi lab ...)."
        )
    missing = [tool for tool in ("ip", "nft", "nsenter", "unshare") if not _which(tool)]
    if missing:
        raise LabImpossible(f"Not installed: {', '.join(missing)}. Run: apt-get install iproute2 nftables")
    probe = f"{PREFIX}{os.getpid()}-probe"
    try:
        _run(["ip", "netns", "add", probe])
    except LabFailed as error:
        raise LabImpossible(
            f"This machine allows no network namespaces ({error}). An unprivileged container cannot run the "
            "laboratory; a virtual machine or a privileged container can."
        ) from None
    _remove([probe])


class LabFailed(Exception):
    """A step of the laboratory failed; the text says which."""


def remove_leftovers() -> list[str]:
    """Remove the namespaces and directories of runs whose process is gone, but for what was to be kept; return the
    namespaces' names."""
    found = [p.name for p in NETNS.glob(f"{PREFIX}*")] if NETNS.exists() else []
    dead = {name: pid for name in found if not _alive(pid := name.removeprefix(PREFIX).partition("-")[0])}
    _remove(list(dead))
    # By the names of its networks only: a process id says nothing of a run in another namespace of processes.
    for pid in set(dead.values()):
        for left in (
            *Path(tempfile.gettempdir()).glob(f"{directory_prefix(pid)}*"),
            *_MEMORY.glob(f"{directory_prefix(pid)}*"),
            *_MEMORY.glob(f"{directory_prefix(pid, kept=True)}*"),
        ):
            shutil.rmtree(left, ignore_errors=True)
    return list(dead)


def directory_prefix(pid: str, *, kept: bool = False) -> str:
    """How the directory of a run is called."""
    return f"beffroi-lab-{'kept-' if kept else ''}{pid}-"


def memory_directory(directory: Path) -> Path:
    """Where a run with this directory keeps what an appliance keeps on a memory disk."""
    return _MEMORY / directory.name


@contextmanager
def network(plan: Plan, directory: Path) -> Iterator[Network]:
    """Build the namespaces, and remove them and all that runs in them at the end."""
    remove_leftovers()
    built = Network(str(os.getpid()), plan, directory)
    try:
        built.build()
        yield built
    finally:
        try:
            built.remove()
        except KeyboardInterrupt:  # it came at the very end
            built.remove()
            raise


def memory_bytes(pid: int) -> int:
    """Proportional share (PSS) of one process: what processes hold in common counts once. 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0  # it has ended
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _alive(pid: str) -> bool:
    if pid == str(os.getpid()):
        return True
    try:
        command = Path(f"/proc/{int(pid)}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    # A process id is reused after a while: only a laboratory's or a test's own counts.
    return any(word in command for word in (b"beffroi_lab", b"pytest", b"bench"))


def _remove(names: Sequence[str]) -> None:
    spaces = [Namespace(name, Path()) for name in names]
    for number in (signal.SIGTERM, signal.SIGKILL):
        pids = {pid for space in spaces for pid in space.pids()}
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + _STOP_S
        while pids and time.monotonic() < deadline:
            pids = {pid for pid in pids if Path(f"/proc/{pid}").exists()}
            time.sleep(0.05)
    deadline = time.monotonic() + _STOP_S
    for name in names:
        # Not once: one was seen to stay, on a busy machine.
        while (NETNS / name).exists() and time.monotonic() < deadline:
            argv = ("ip", "netns", "del", name)
            subprocess.run(argv, capture_output=True, check=False, start_new_session=True)


def _veth(near: Namespace, near_name: str, far: Namespace, far_name: str) -> None:
    pair = f"ip link add {near_name} netns {near.name} type veth peer name {far_name} netns {far.name}"
    _run(pair.split())
    _run(["ip", "-n", near.name, "link", "set", near_name, "up"])
    _run(["ip", "-n", far.name, "link", "set", far_name, "up"])


def _host_bits(address: str) -> int:
    return 128 if ":" in address else 32


def _net_bits(address: str) -> int:
    return 64 if ":" in address else 24


def _nodad(address: str) -> str:
    return "nodad" if ":" in address else ""


def _which(tool: str) -> bool:
    return any((Path(d) / tool).exists() for d in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))


def _run(argv: Sequence[str], *, stdin: str | None = None, why: str = "") -> str:
    done = subprocess.run(
        list(argv), input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if done.returncode != 0:
        what = f" for {why}" if why else ""
        raise LabFailed(f"{' '.join(argv[:12])}{what}: {done.stderr.strip()[:300]}")
    return done.stdout
