"""The DNS of the scenario: what every name of it answers, and nothing else.

Purpose: MX and addresses of the communes and the centre, SPF, DKIM and DMARC of the senders, the addresses of the
         lure's link hosts. A name outside the scenario is NXDOMAIN at once, and is noted: it shows who asks
         the world for what.
Process: part of the laboratory's internet process, in its namespace; authoritative, no recursion.
Input:   queries of the centre, the boxes and the PCs; dnslib parses them.
Source:  docs/internals/lab.md; RFC 7208, 6376, 7489.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer, TCPServer, UDPServer

from beffroi_lab import plan as plans
from beffroi_lab.plan import CENTRE_DOMAIN, Pair, Plan

TTL_S = 5
"""Short, so that a look-up after a decision asks again and is not answered from a cache."""

CENTRE_NAMES = tuple(f"{label}.{CENTRE_DOMAIN}" for label in ("portail", "console", "boitiers", "mx"))
PROTECTED_EXAMPLES = ("www.impots.gouv.fr", "www.service-public.fr", "ants.gouv.fr")
TUNNEL_ZONE = "relais-statistiques.net"
"""The attacker's own zone: every name in it has an answer, as a tunnel's server gives."""
_MAX_NOTED = 500


@dataclass(frozen=True)
class Sender:
    """A domain that mail is sent for, from ``origin``. ``spf_pass`` False: a name the attacker only forges."""

    domain: str
    spf_pass: bool
    dkim_public: str = ""
    origin: Pair = plans.ATTACKER_SENDER


def zone(
    plan: Plan, *, hostile: Iterable[str], innocent: Iterable[str], senders: Sequence[Sender]
) -> list[str]:
    """Return the records of the scenario in zone file form. ``hostile`` names have the attacker's address."""
    lines: list[str] = []
    for name in CENTRE_NAMES:
        lines += _addresses(name, plans.CENTRE)
    for domain in (CENTRE_DOMAIN, *(c.domain for c in plan.communes)):
        lines += _mail_domain(domain)
    taken = {*CENTRE_NAMES, CENTRE_DOMAIN, *(c.domain for c in plan.communes)}
    for name in dict.fromkeys(innocent):
        if name not in taken:
            taken.add(name)
            lines += _addresses(name, plans.INNOCENT)
    for name in dict.fromkeys(hostile):
        if name not in taken:
            taken.add(name)
            lines += _addresses(name, plans.ATTACKER_LANDING)
    lines.append(f'*.{TUNNEL_ZONE}. 0 IN TXT "ack"')
    for sender in senders:
        lines += _sender(sender, has_address=sender.domain in taken)
    return lines


def _addresses(name: str, pair: Pair) -> list[str]:
    return [f"{name}. {TTL_S} IN A {pair.v4}", f"{name}. {TTL_S} IN AAAA {pair.v6}"]


def _mail_domain(domain: str) -> list[str]:
    return [
        *_addresses(domain, plans.CENTRE),
        f"{domain}. {TTL_S} IN MX 10 mx.{CENTRE_DOMAIN}.",
        f'{domain}. {TTL_S} IN TXT "v=spf1 mx -all"',
        f'_dmarc.{domain}. {TTL_S} IN TXT "v=DMARC1; p=reject"',
    ]


def _sender(sender: Sender, *, has_address: bool) -> list[str]:
    origin = sender.origin
    allowed = f"ip4:{origin.v4} ip6:{origin.v6} " if sender.spf_pass else ""
    lines = [] if has_address else _addresses(sender.domain, origin)
    lines += [
        f"{sender.domain}. {TTL_S} IN MX 10 {sender.domain}.",
        f'{sender.domain}. {TTL_S} IN TXT "v=spf1 {allowed}~all"',
        f'_dmarc.{sender.domain}. {TTL_S} IN TXT "v=DMARC1; p=none"',
    ]
    if sender.dkim_public:
        value = f"v=DKIM1; k=rsa; p={sender.dkim_public}"
        pieces = " ".join(f'"{value[i : i + 200]}"' for i in range(0, len(value), 200))
        lines.append(f"lab._domainkey.{sender.domain}. {TTL_S} IN TXT {pieces}")
    return lines


class Zone(BaseResolver):  # type: ignore[misc]
    """Answers from the records; can be replaced while it runs."""

    def __init__(self, lines: Iterable[str], noted: Path | None = None) -> None:
        self._records: dict[tuple[str, str], list[RR]] = {}
        self._names: set[str] = set()
        self._noted_path = noted
        self._noted: set[str] = set()
        self._lock = threading.Lock()
        self.load(lines)

    def load(self, lines: Iterable[str]) -> None:
        records: dict[tuple[str, str], list[RR]] = {}
        for line in lines:
            for record in RR.fromZone(line):
                key = (str(record.rname).lower(), QTYPE[record.rtype])
                records.setdefault(key, []).append(record)
        names = {name for name, _ in records}
        for name in list(names):  # an inner node of the tree exists, with no records of its own
            labels = name.split(".")
            names.update(".".join(labels[i:]) for i in range(1, len(labels) - 1))
        self._records, self._names = records, names

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        reply = request.reply()
        name = str(request.q.qname).lower()
        kind = QTYPE[request.q.qtype]
        found = self._records.get((name, kind))
        if found:
            reply.add_answer(*found)
        elif made := self._records.get(("*." + name.partition(".")[2], kind)):
            reply.add_answer(*(RR(request.q.qname, r.rtype, ttl=r.ttl, rdata=r.rdata) for r in made))
        elif name not in self._names:
            reply.header.rcode = RCODE.NXDOMAIN
            self._note(name)
        return reply

    def _note(self, name: str) -> None:
        with self._lock:
            if self._noted_path is None or name in self._noted or len(self._noted) >= _MAX_NOTED:
                return
            self._noted.add(name)
            with self._noted_path.open("a", encoding="ascii", errors="backslashreplace") as file:
                file.write(name + "\n")


class _UDP4(UDPServer):  # type: ignore[misc]
    pass


class _UDP6(UDPServer):  # type: ignore[misc]
    address_family = socket.AF_INET6


class _TCP4(TCPServer):  # type: ignore[misc]
    request_queue_size = 64


class _TCP6(_TCP4):
    address_family = socket.AF_INET6


def serve(resolver: Zone, addresses: Pair, port: int = 53) -> list[DNSServer]:
    """Start UDP and TCP servers on both addresses."""
    silent = DNSLogger("-request,-reply,-truncated,-error", prefix=False)
    servers = []
    for address, kinds in ((addresses.v4, (_UDP4, _TCP4)), (addresses.v6, (_UDP6, _TCP6))):
        for kind in kinds:
            server = DNSServer(
                resolver,
                address=address,
                port=port,
                tcp=issubclass(kind, TCPServer),
                logger=silent,
                server=kind,
            )
            server.start_thread()
            servers.append(server)
    return servers
