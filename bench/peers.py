"""fail2ban and CrowdSec, each with the attacker and the machine that it protects in two namespaces of its own.

Purpose: the same packets and the same proof as for a box (bench.flow), in the same run.
Process: root; the Debian packages' programs with a private configuration and state, none of the system's services.
         Nothing leaves: the two namespaces have a link to each other and no other; CrowdSec is not registered.
Rule:    doubtful time counts for the peer: its clock starts when the log lines are written or when ``cscli`` has
         returned, its first ban is not counted, and the rounds of CrowdSec are spread evenly over its polling interval.
Fails:   a peer that is not installed or does not ban gives a reason instead of times.
Source:  /etc/fail2ban/jail.conf, /etc/crowdsec/config.yaml, /etc/crowdsec/bouncers/crowdsec-firewall-bouncer.yaml of
         Debian 13; README.Debian of crowdsec.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from beffroi_lab.running import Hands, Program
from beffroi_lab.topology import PREFIX, LabFailed, Namespace

PROTECTED, INNOCENT = "45.151.20.10", "37.187.20.80"
ATTACKER = "5.181.80.{}"
FIRST_HOST = 100
ROUNDS = 10
BAN_LIMIT_S = 40.0
START_LIMIT_S = 30.0
IMPORT_LIMIT_S, IMPORT_TRIES = 60.0, 3
POLL_S = 10.0
"""``update_frequency`` of the bouncer as Debian ships it."""
_FAILED_LOGINS = 6  # fail2ban's maxretry is 5, CrowdSec's ssh-bf bans at the sixth


@dataclass(frozen=True)
class Measured:
    """``times_ms``: from the decision to the last packet through, one a round; empty when ``why`` says why."""

    name: str
    times_ms: tuple[float, ...] = ()
    why: str = ""


class Pair:
    """The protected machine and its attacker."""

    def __init__(self, name: str, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        resolver = directory / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\n")
        self.protected, self.foe = (
            Namespace(f"{PREFIX}{os.getpid()}-{name}-{side}", resolver) for side in ("host", "foe")
        )
        self.log = directory / "auth.log"
        self.log.touch()

    @contextmanager
    def built(self) -> Iterator[None]:
        foes = [ATTACKER.format(FIRST_HOST + n) for n in range(ROUNDS + 1)]
        with ExitStack() as stack:
            for space in (self.protected, self.foe):
                _run(["ip", "netns", "add", space.name])
                stack.callback(_run, ["ip", "netns", "del", space.name])
                space.run(["ip", "link", "set", "lo", "up"])
            link = f"link add wire netns {self.protected.name} type veth peer name wire netns {self.foe.name}"
            _run(["ip", *link.split()])
            for space, addresses in ((self.protected, [PROTECTED]), (self.foe, [INNOCENT, *foes])):
                space.run(["ip", "link", "set", "wire", "up"])
                for address in addresses:
                    space.run(["ip", "addr", "add", f"{address}/32", "dev", "wire"])
                space.run(["ip", "route", "add", "default", "dev", "wire", "src", addresses[0]])
            self.sink = Hands(self.protected, self.directory / "sink.log", module="bench.flow")
            stack.callback(self.sink.stop)
            self.source = Hands(self.foe, self.directory / "source.log", module="bench.flow")
            stack.callback(self.source.stop)
            yield

    def round(self, number: int, decide: Callable[[str], float]) -> float | None:
        """Return ms from the decision to the attacker's last packet; None when it was not banned in time."""
        address = ATTACKER.format(FIRST_HOST + number)
        sending = self.source.start("send", sources=[address, INNOCENT], limit_s=2 * BAN_LIMIT_S)
        try:
            opened = self.sink.ask("open_flow", attacker=address, innocent=INNOCENT, limit_s=5)
            if not opened["ok"]:
                raise LabFailed(f"the packets of the comparison did not arrive: {opened}")
            last = self.sink.start("last_packet", attacker=address, innocent=INNOCENT, limit_s=BAN_LIMIT_S)
            began_ms = decide(address)
            answer = last.result(BAN_LIMIT_S + 10)
        finally:
            self.source.ask("stop")
            sending.result(10)
        # A ban that fell while the command of the decision was still running took no time after it.
        return max(0.0, answer["at_ms"] - began_ms) if answer["ok"] else None

    def attack(self, address: str) -> float:
        """Write the lines that a guesser of passwords leaves behind; return the epoch ms after it."""
        stamp = time.strftime("%b %e %H:%M:%S")
        with self.log.open("a") as file:
            for number in range(_FAILED_LOGINS):
                file.write(
                    f"{stamp} mairie sshd[{4000 + number}]: Failed password for root from {address}"
                    f" port {50000 + number} ssh2\n"
                )
        return time.time() * 1000


def fail2ban(directory: Path, say: Callable[[str], None]) -> Measured:
    name = "fail2ban, its own machine only: log lines of an attack"
    if missing := _missing("fail2ban-server"):
        return Measured(name, why=missing)
    name = f"fail2ban {_version('fail2ban')}, its own machine only: log lines of an attack"
    pair = Pair("f2b", directory / "fail2ban")
    state = pair.directory / "etc"
    shutil.copytree("/etc/fail2ban", state)
    for one in (state / "jail.d").iterdir():
        one.unlink()
    (state / "fail2ban.local").write_text(
        f"[Definition]\nlogtarget = {pair.directory}/fail2ban.log\ndbfile = {pair.directory}/fail2ban.sqlite3\n"
    )
    (state / "jail.local").write_text(
        f"[sshd]\nenabled = true\nbackend = auto\nlogpath = {pair.log}\nprotocol = tcp,udp\n"
        "banaction = nftables[type=allports]\n"
    )
    socket, pid = f"{pair.directory}/s", f"{pair.directory}/p"
    control = ["-c", str(state), "-s", socket, "-p", pid]
    with pair.built(), ExitStack() as stack:
        server = Program(
            pair.protected, ["fail2ban-server", "-f", *control, "start"], pair.directory / "server.log"
        )
        stack.callback(server.stop)
        ping = ["fail2ban-client", *control, "status", "sshd"]
        if not _answers(lambda: pair.protected.run(ping), server):
            return Measured(name, why=f"did not start: {server.tail(2)}")
        say(f"fail2ban: {ROUNDS} bans, and one before them")
        return _measured(name, [pair.round(number, pair.attack) for number in range(ROUNDS + 1)])


def crowdsec(directory: Path, say: Callable[[str], None]) -> list[Measured]:
    """Return two measurements: from a decision, and from log lines."""
    names = [
        "CrowdSec, its own machine only: decision",
        "CrowdSec, its own machine only: log lines of an attack",
    ]
    if missing := _missing("crowdsec", "cscli", "crowdsec-firewall-bouncer"):
        return [Measured(name, why=missing) for name in names]
    names = [name.replace("CrowdSec", f"CrowdSec {_version('crowdsec')}") for name in names]
    measured = []
    for name, from_log in zip(names, (False, True), strict=True):
        pair = Pair("csl" if from_log else "csd", directory / f"crowdsec-{'log' if from_log else 'decision'}")
        with pair.built(), ExitStack() as stack:
            say(f"CrowdSec: {ROUNDS} bans{' from log lines' if from_log else ''}, and one before them")
            if why := _start_crowdsec(pair, stack):
                measured.append(Measured(name, why=why))
                continue
            decide = pair.attack if from_log else lambda address, pair=pair: _decide(pair, address)
            times = []
            for number in range(ROUNDS + 1):
                times.append(pair.round(number, decide))
                if number < ROUNDS:
                    # The ban just came at a poll: the next decision falls at another part of the interval.
                    time.sleep(POLL_S * (number + 0.5) / ROUNDS)
            measured.append(_measured(name, times))
    return measured


def crowdsec_list(directory: Path, addresses: Sequence[str], say: Callable[[str], None]) -> Measured:
    """Import a list of decisions; return the ms until its bouncer has a sample of twenty in the kernel."""
    name = "CrowdSec: import, until its bouncer has them"
    if missing := _missing("crowdsec", "cscli", "crowdsec-firewall-bouncer"):
        return Measured(name, why=missing.replace("immunity", "lists"))
    name = name.replace("CrowdSec", f"CrowdSec {_version('crowdsec')}")
    pair = Pair(f"csi{len(addresses)}", directory / f"crowdsec-import-{len(addresses)}")
    with pair.built(), ExitStack() as stack:
        if why := _start_crowdsec(pair, stack):
            return Measured(name, why=why)
        say(f"CrowdSec: {len(addresses)} addresses")
        path = pair.directory / "list.csv"
        path.write_text("duration,scope,value\n" + "".join(f"24h,ip,{one}\n" for one in addresses))
        checked = ", ".join(addresses[:: max(1, len(addresses) // 20)])
        asked = ["nft", f"get element ip crowdsec crowdsec-blacklists {{ {checked} }}"]
        started, why = _import(pair, path)
        if why:
            return Measured(name, why=why)
        while time.monotonic() < started + IMPORT_LIMIT_S:
            try:
                pair.protected.run(asked)
            except LabFailed:
                time.sleep(0.1)
            else:
                return Measured(name, ((time.monotonic() - started) * 1000,))
        return Measured(name, why=f"not in the kernel within {IMPORT_LIMIT_S:g} s")


def _import(pair: Pair, path: Path) -> tuple[float, str]:
    """Return when the import that worked began, or why none did: its database is locked at times."""
    configuration, why = str(pair.directory / "etc/config.yaml"), ""
    for _ in range(IMPORT_TRIES):
        started = time.monotonic()
        argv = pair.protected.command(["cscli", "-c", configuration, "decisions", "import", "-i", str(path)])
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=IMPORT_LIMIT_S)
        except subprocess.TimeoutExpired:
            return 0.0, f"the import did not end within {IMPORT_LIMIT_S:g} s"
        if done.returncode == 0:
            return started, ""
        why = done.stderr.strip()[-160:]
    return 0.0, f"the import failed {IMPORT_TRIES} times: {why}"


def _start_crowdsec(pair: Pair, stack: ExitStack) -> str:
    """Start both programs; return why they do not run, or nothing."""
    home = pair.directory
    shutil.copytree("/etc/crowdsec", home / "etc", symlinks=True)
    shutil.copytree("/var/lib/crowdsec/data", home / "data", ignore=shutil.ignore_patterns("*.db*"))
    (home / "etc/acquis.yaml").write_text(f"filenames:\n - {pair.log}\nlabels:\n  type: syslog\n")
    (home / "etc/config.yaml.local").unlink(missing_ok=True)
    configuration = home / "etc/config.yaml"
    configuration.write_text(
        f"""common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: {home}}}
config_paths:
  config_dir: {home}/etc/
  data_dir: {home}/data/
  simulation_path: {home}/etc/simulation.yaml
  hub_dir: /var/lib/crowdsec/hub/
  index_path: /var/lib/crowdsec/hub/.index.json
crowdsec_service: {{acquisition_path: {home}/etc/acquis.yaml, parser_routines: 1}}
cscli: {{output: human}}
db_config: {{type: sqlite, db_path: {home}/data/crowdsec.db, use_wal: true}}
api:
  client: {{credentials_path: {home}/etc/local_api_credentials.yaml}}
  server: {{listen_uri: "127.0.0.1:8080", profiles_path: {home}/etc/profiles.yaml}}
prometheus: {{enabled: false}}
"""
    )
    cscli = ["cscli", "-c", str(configuration)]
    key = secrets.token_hex(16)
    try:
        pair.protected.run(
            [*cscli, "machines", "add", "bench", "--password", secrets.token_hex(16), "--force"]
        )
        pair.protected.run([*cscli, "bouncers", "add", "bench", "-k", key])
    except LabFailed as error:
        return str(error)
    engine = Program(pair.protected, ["crowdsec", "-c", str(configuration)], home / "crowdsec.log")
    stack.callback(engine.stop)
    if not _answers(lambda: pair.protected.run([*cscli, "lapi", "status"]), engine):
        return f"did not start: {engine.tail(2)}"
    bouncer_file = home / "bouncer.yaml"
    shipped = Path("/etc/crowdsec/bouncers/crowdsec-firewall-bouncer.yaml").read_text("utf-8")
    for given, private in (
        ("${BACKEND}", "nftables"),
        ("${API_KEY}", key),
        ("daemonize: true", "daemonize: false"),
        ("log_mode: file", "log_mode: stdout"),
        ("pid_dir: /var/run/", f"pid_dir: {home}/"),
    ):
        shipped = shipped.replace(given, private)
    bouncer_file.write_text(shipped)
    bouncer = Program(
        pair.protected, ["crowdsec-firewall-bouncer", "-c", str(bouncer_file)], home / "bouncer.log"
    )
    stack.callback(bouncer.stop)
    if not _answers(lambda: pair.protected.run(["nft", "list", "table", "ip", "crowdsec"]), bouncer):
        return f"its bouncer did not start: {bouncer.tail(2)}"
    return ""


def _decide(pair: Pair, address: str) -> float:
    configuration = str(pair.directory / "etc/config.yaml")
    pair.protected.run(
        ["cscli", "-c", configuration, "decisions", "add", "--ip", address, "--duration", "1h"]
    )
    return time.time() * 1000


def _measured(name: str, rounds: list[float | None]) -> Measured:
    """The first round is not counted."""
    times = tuple(taken for taken in rounds[1:] if taken is not None)
    if len(times) < len(rounds) - 1:
        return Measured(
            name, why=f"banned in {len(times)} of {len(rounds) - 1} rounds within {BAN_LIMIT_S:g} s"
        )
    return Measured(name, times)


def _answers(ask: Callable[[], str], program: Program) -> bool:
    deadline = time.monotonic() + START_LIMIT_S
    while program.running and time.monotonic() < deadline:
        try:
            ask()
        except LabFailed:
            time.sleep(0.2)
        else:
            return True
    return False


def _missing(*programs: str) -> str:
    absent = [program for program in programs if shutil.which(program) is None]
    return f"not installed here ({', '.join(absent)}): ./beffroi bench --peers immunity" if absent else ""


def _version(package: str) -> str:
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    return asked.stdout.partition("-")[0]


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabFailed(f"{' '.join(argv[:10])}: {done.stderr.strip()[:300]}")
