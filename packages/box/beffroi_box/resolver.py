"""The box's resolver: dnsdist refuses listed names, Unbound behind it resolves the others and validates DNSSEC.

Purpose: a listed name and all below it answer NXDOMAIN. dnsdist asks constant databases, ``urgent.cdb`` (the
         decisions, written by the agent) and ``bulk.cdb`` (the lists, written by the loader): a million names
         cost no memory, a new file counts from the next question on, and a restart needs no replay. Names in
         ``spared.cdb`` (local exceptions) are not refused; those in ``watched.cdb`` and ``observed.cdb`` (lists on
         trial, written by the loader) are told and answered. An address that asks faster than a whole office is told,
         and waits: it takes the resolver from nobody else.
Process: dnsdist and Unbound, each as its own user. The agent makes dnsdist read a new file by a question for
         ``RELOAD`` from the loopback address: its answer says that both files were read.
Fails:   without the agent, dnsdist goes on with its files; without dnsdist, the files wait for its start, and the
         agent asks again every second.
Source:  dnsdist.org/reference/kvs.html; RFC 8914 (error 15: blocked); docs/decisions/0011.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from beffroi_box.cdb import wire_name, write_keys
from beffroi_box.config import BoxConfig
from beffroi_box.errors import ResolverUnavailable
from beffroi_box.store import sync_directory

log = logging.getLogger("beffroi_box.resolver")

RELOAD = "reload.beffroi-box.invalid"
TIMEOUT_S = 0.5
LONG_NAME_BYTES = 52
"""Shorter questions never leave dnsdist; a tunnel's are longer."""
PACE_PER_S, PACE_BURST = 200, 1000
"""Questions of one address. Thirty people behind one address that open their day ask some hundred a second."""
PACED = "paced"
"""How dnsdist signs what it tells of an address that asks faster."""
_PACE = f"MaxQPSIPRule({PACE_PER_S}, 32, 128, {PACE_BURST}, 10, 5, 1)"
"""Each address of IPv4 and IPv6. An allowance is full again after 5 s, and forgotten after 10."""


UNDATED = 'val-override-date: "-1"'
"""Signatures are checked, their dates are not (``clock``)."""


def unbound_file(config: BoxConfig) -> Path:
    """Beside dnsdist's, in a directory of root: ``resolver`` is Unbound's own, and root writes nothing there."""
    return config.state / "names" / "unbound.conf"


def unbound_configuration(config: BoxConfig, *, dated: bool = True) -> str:
    """``dated`` False: the machine's clock is known to be wrong."""
    directory = config.state / "resolver"
    forward = "".join(f"    forward-addr: {address}\n" for address in config.resolver_forward)
    zone = f'forward-zone:\n    name: "."\n{forward}' if forward else ""
    modules = "validator iterator" if config.resolver_dnssec else "iterator"
    anchor = 'trust-anchor-file: "/usr/share/dns/root.key"' if config.resolver_dnssec else ""
    if anchor and not dated:
        anchor += f"\n    {UNDATED}"
    return f"""# Written by beffroi-box; changes are lost.
server:
    interface: 127.0.0.1
    access-control: 127.0.0.0/8 allow_snoop
    port: {config.recursor_port}
    do-daemonize: no
    username: "{config.resolver_user}"
    chroot: ""
    directory: "{directory}"
    pidfile: "{directory}/unbound.pid"
    use-syslog: no
    logfile: ""
    verbosity: 0
    num-threads: 1
    msg-cache-size: 8m
    rrset-cache-size: 16m
    hide-identity: yes
    hide-version: yes
    module-config: "{modules}"
    {anchor}
remote-control:
    control-enable: no
{zone}"""


def dnsdist_configuration(config: BoxConfig) -> str:
    """Listens on loopback and the LAN's side only: its unit waits for that interface (``dnsdist_environment``). No
    console, no security poll, no memory of who asked what."""
    port, lan = config.resolver_port, config.own_interface
    urgent, spared, watched = own_files(config)
    return f"""-- Written by beffroi-box; changes are lost.
setSecurityPollSuffix("")
setRingBuffersOptions({{recordQueries=false, recordResponses=false}})
setRingBuffersSize(100, 1)
setMaxUDPOutstanding(4096)
setLocal("127.0.0.1:{port}", {{interface="lo"}})
addLocal("[::1]:{port}", {{interface="lo"}})
addLocal("0.0.0.0:{port}", {{interface="{lan}"}})
addLocal("[::]:{port}", {{interface="{lan}"}})
setACL({{"0.0.0.0/0", "::/0"}})
newServer({{address="127.0.0.1:{config.recursor_port}", name="unbound"}}):setUp()
local urgent = newCDBKVStore("{urgent}", 0)
local bulk = newCDBKVStore("{bulk_file(config)}", 0)
local spared = newCDBKVStore("{spared}", 0)
local watched = newCDBKVStore("{watched}", 0)
local observed = newCDBKVStore("{observed_file(config)}", 0)
local told = newFrameStreamUnixLogger("{refusals_socket(config)}", {{flushTimeout=1, reopenInterval=1}})
-- Told too: by the next write only dnsdist notices that the agent it told was replaced.
local agent = AndRule({{QNameRule("{RELOAD}."), NetmaskGroupRule({{"127.0.0.0/8"}})}})
addAction(agent, DnstapLogAction("box", told))
addAction(agent, LuaAction(function(dq)
  local all = urgent:reload() and bulk:reload() and spared:reload() and watched:reload() and observed:reload()
  return all and DNSAction.Spoof or DNSAction.ServFail, "127.0.0.1"
end))
-- A listed name has two labels at least.
local suffix = KeyValueLookupKeySuffix(2)
local listed = AndRule({{
  OrRule({{KeyValueStoreLookupRule(urgent, suffix), KeyValueStoreLookupRule(bulk, suffix)}}),
  NotRule(KeyValueStoreLookupRule(spared, suffix))
}})
-- The databases are asked once a question, and their answer kept as a tag.
addAction(listed, SetTagAction("listed", "yes"))
local refused = TagRule("listed")
addAction(refused, DnstapLogAction("box", told))
addAction(refused, SetExtendedDNSErrorAction(15, "Beffroi"))
addAction(refused, RCodeAction(DNSRCode.NXDOMAIN))
-- One machine does not take the resolver from the others. By TCP, which nobody forges, it has as much again: so who
-- asks in the name of another machine makes that one ask by TCP, and takes nothing from it.
local fast = OrRule({{
  AndRule({{TCPRule(false), {_PACE}}}), AndRule({{TCPRule(true), {_PACE}}})
}})
addAction(fast, SetTagAction("{PACED}", "yes"))
local paced = TagRule("{PACED}")
addAction(AndRule({{paced, MaxQPSRule(5)}}), DnstapLogAction("{PACED}", told))
addAction(AndRule({{paced, TCPRule(true)}}), RCodeAction(DNSRCode.REFUSED))
addAction(paced, TCAction())
-- Observed names, and names so long that they may carry data: the agent judges them in memory.
local seen = OrRule({{
  KeyValueStoreLookupRule(watched, suffix), KeyValueStoreLookupRule(observed, suffix),
  QNameWireLengthRule(0, {LONG_NAME_BYTES})
}})
addAction(seen, DnstapLogAction("box", told))
getPool(""):setCache(newPacketCache(10000))
"""


def dnsdist_environment(config: BoxConfig) -> str:
    """Named by the unit. The interface of a bridge is made after it starts; of a new box, when a cable is plugged."""
    return f"LAN={config.own_interface}\n"


def prepare(config: BoxConfig) -> None:
    """Make the run directory: a memory disk is empty after a start. Errors: OSError."""
    config.run_directory.mkdir(parents=True, exist_ok=True)
    config.run_directory.chmod(0o711)


def own_files(config: BoxConfig) -> tuple[Path, Path, Path]:
    """What the agent writes: refused, excepted, observed names."""
    urgent, spared, watched = (config.run_directory / f"{n}.cdb" for n in ("urgent", "spared", "watched"))
    return urgent, spared, watched


def bulk_file(config: BoxConfig) -> Path:
    return config.state / "names" / "bulk.cdb"


def observed_file(config: BoxConfig) -> Path:
    """Names of lists on trial."""
    return config.state / "names" / "observed.cdb"


def refusals_socket(config: BoxConfig) -> Path:
    return config.run_directory / "refusals.sock"


def write_names(path: Path, names: Iterable[bytes]) -> int:
    """Replace a file of names; return how many. Errors: OSError, ValueError (too many), old file kept."""
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)  # dnsdist reads it as its own user
            count = write_keys(file, map(wire_name, names))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)
    sync_directory(path.parent)
    return count


class Resolver:
    """The names that dnsdist refuses. Safe for several threads."""

    def __init__(self, config: BoxConfig) -> None:
        self._files = own_files(config)
        self._port = config.resolver_port
        self._lock = threading.Lock()
        self._due: dict[Path, set[str]] = {}
        self._written: dict[Path, set[str]] = {}
        self._unread = True
        self.trouble = ""

    def refuse(self, names: Iterable[str], spared: Iterable[str] = (), watched: Iterable[str] = ()) -> None:
        """Refuse exactly these names, the lists' apart. What fails now, ``keep_up`` does later."""
        with self._lock:
            for path, wanted in zip(self._files, (set(names), set(spared), set(watched)), strict=True):
                if wanted == self._written.get(path):
                    self._due.pop(path, None)
                else:
                    self._due[path] = wanted
        self.keep_up()

    def reload(self) -> None:
        """A file was replaced."""
        with self._lock:
            self._unread = True
        self.keep_up()

    def keep_up(self) -> None:
        """Write and read what is due; asked every second."""
        with self._lock:
            try:
                while self._due:
                    path, names = next(iter(self._due.items()))
                    write_names(path, [name.encode() for name in sorted(names)])
                    self._written[path] = self._due.pop(path)
                    self._unread = True
                if self._unread:
                    self._read()
                    self._unread = False
                trouble = ""
            except OSError as error:
                trouble = f"the names could not be written: {error.strerror}"
            except ResolverUnavailable as error:
                trouble = str(error)
            if trouble and trouble != self.trouble:
                log.warning("%s", trouble)
            self.trouble = trouble

    def watch(self) -> None:
        """Notice a resolver that does not answer. It needs no replay: it reads its files at its start."""
        with self._lock:
            self._unread = True
        self.keep_up()

    def _read(self) -> None:
        """Errors: ResolverUnavailable."""
        question = struct.pack(">6H", int(time.monotonic()) & 0xFFFF, 0x100, 1, 0, 0, 0)
        question += wire_name(RELOAD.encode()) + b"\0\1\0\1"
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(TIMEOUT_S)
                client.connect(("127.0.0.1", self._port))
                client.send(question)
                answer = client.recv(512)
        except OSError as error:
            raise ResolverUnavailable(type(error).__name__) from None
        if answer[:2] != question[:2] or answer[3] & 15 or answer[6:8] != b"\0\1":
            raise ResolverUnavailable("a file of names was not read")
