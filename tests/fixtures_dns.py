"""Real DNS for tests: Knot is the authority (and takes updates with TSIG), unbound the resolver that validates.

On loopback, ports 22790 and 22791; knotd and unbound run from a directory of their own.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
from beffroi.mail.domains.records import Servers

from tests.waiting import PATIENCE_S

ADDRESS = "127.0.0.1"
KNOT_PORT, UNBOUND_PORT = 22790, 22791
KEY_NAME = "beffroi-update"
SECRET = base64.b64encode(b"k" * 32).decode()
CENTRE = Servers(
    mx="mx.cloud.example",
    front="portail.cloud.example",
    imaps_port=993,
    submission_port=587,
    reports="rapports@cloud.example",
    caa=("letsencrypt.org",),
)
"""Of the centre whose records stand in the zones."""
_KNOT = """
server:
    rundir: "{home}"
    listen: [{listen}]
log:
  - target: stderr
    any: warning
database:
    storage: "{home}/db"
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: ours
    key: {key}
    action: update
template:
  - id: default
    storage: "{home}"
    acl: ours
    zonefile-load: whole
    dnssec-signing: {signing}
zone:
{zones}
"""
_UNBOUND = """
server:
    directory: "{home}"
    username: ""
    chroot: ""
    pidfile: ""
    use-syslog: no
    logfile: "{home}/unbound.log"
    interface: {address}@{port}
    do-not-query-localhost: no
    module-config: "{modules}"
    cache-max-ttl: 0
    cache-max-negative-ttl: 0
{anchors}
remote-control:
    control-enable: no
{stubs}
"""


@dataclass(frozen=True)
class Authority:
    home: Path
    zones: tuple[str, ...]
    address: str = ADDRESS

    def ask(self, name: str, kind: str) -> list[str]:
        answer = dns.query.tcp(dns.message.make_query(name, kind), self.address, timeout=5, port=KNOT_PORT)
        return [row.to_text() for one in answer.answer for row in one]

    def change(self, zone: str, *changes: tuple[str, str, str]) -> None:
        """(name, type, data) each: what stood there goes, and data comes, if any. As the server's administrator."""
        message = self._update(zone)
        for name, kind, data in changes:
            # Knot loses both where a CNAME is deleted and added in one update.
            if kind != "CNAME" or not data:
                message.delete(f"{name}.", kind)
            if data:
                message.add(f"{name}.", 60, kind, data)
        self._send(message)

    def add(self, zone: str, name: str, kind: str, data: str) -> None:
        message = self._update(zone)
        message.add(f"{name}.", 60, kind, data)
        self._send(message)

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(
            zone,
            keyring=dns.tsigkeyring.from_text({KEY_NAME: SECRET}),
            keyname=dns.name.from_text(KEY_NAME),
            keyalgorithm="hmac-sha256",
        )

    def _send(self, message: dns.message.Message) -> None:
        answer = dns.query.tcp(message, self.address, timeout=5, port=KNOT_PORT)
        assert answer.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(answer.rcode())


@contextmanager
def authority(
    zones: Mapping[str, str], *, signed: bool = False, address: str = ADDRESS, servers: tuple[str, ...] = ()
) -> Iterator[Authority]:
    """Run knotd with these zones: name -> lines of a zone file below SOA and NS. ``servers``: name servers of them all;
    without, each zone names one of its own."""
    home = Path(tempfile.mkdtemp(prefix="bfdns-"))
    (home / "db").mkdir()
    for name, lines in zones.items():
        head = f"$TTL 60\n@ SOA ns1.{name}. root.{name}. 1 3600 900 604800 60\n"
        head += "".join(f"@ NS {one}.\n" for one in servers) or f"@ NS ns1.{name}.\nns1 A {address}\n"
        (home / f"{name}.zone").write_text(head + lines)
    text = _KNOT.format(
        home=home,
        # A second server beside it has an IPv4 address of its own.
        listen=f"{address}@{KNOT_PORT}" + (f', "::1@{KNOT_PORT}"' if address == ADDRESS else ""),
        key=KEY_NAME,
        secret=SECRET,
        signing="on" if signed else "off",
        zones="\n".join(f"  - domain: {name}\n    file: {name}.zone" for name in zones),
    )
    (home / "knot.conf").write_text(text)
    try:
        with _running(home, "/usr/sbin/knotd", "-c", str(home / "knot.conf")):
            found = Authority(home, tuple(zones), address)
            _until(lambda: all(found.ask(name, "SOA") for name in zones))
            yield found
    finally:
        if not os.environ.get("BEFFROI_KEEP"):
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def resolver(behind: Authority, *others: Authority, validating: bool = False) -> Iterator[tuple[str, int]]:
    """Run unbound before the authorities; (address, port). A zone that several hold is asked of the first."""
    anchors = ""
    if validating:
        _until(lambda: all(behind.ask(zone, "DNSKEY") for zone in behind.zones))
        keys = [(zone, row) for zone in behind.zones for row in behind.ask(zone, "DNSKEY")]
        anchors = "\n".join(f'    trust-anchor: "{zone}. DNSKEY {row}"' for zone, row in keys)
    asked = {zone: one.address for one in reversed((behind, *others)) for zone in one.zones}
    stubs = "".join(
        f"stub-zone:\n    name: {zone}\n    stub-addr: {address}@{KNOT_PORT}\n    stub-no-cache: yes\n"
        for zone, address in asked.items()
    )
    text = _UNBOUND.format(
        home=behind.home,
        address=ADDRESS,
        port=UNBOUND_PORT,
        modules="validator iterator" if validating else "iterator",
        anchors=anchors,
        stubs=stubs,
    )
    (behind.home / "unbound.conf").write_text(text)
    with _running(behind.home, "/usr/sbin/unbound", "-d", "-p", "-c", str(behind.home / "unbound.conf")):
        query = dns.message.make_query(behind.zones[0], "SOA")
        _until(lambda: bool(dns.query.udp(query, ADDRESS, timeout=1, port=UNBOUND_PORT).answer))
        yield ADDRESS, UNBOUND_PORT


@contextmanager
def _running(home: Path, *argv: str) -> Iterator[None]:
    with (home / "out.log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=home)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _until(ready: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except (OSError, EOFError, dns.exception.DNSException):
            pass
        assert time.monotonic() < end, "the DNS server does not answer"
        time.sleep(0.05)
