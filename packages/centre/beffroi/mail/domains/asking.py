"""Questions to real DNS, and what the answers were; our own mail server and front door as strangers meet them.

Purpose: what the check of a domain knows of the world.
Process: the group ``sources``, and a person's command.
Hostile: every answer. Connections go only to our own servers' names; the website is ``site``'s.
Fails:   a question without an answer is UNANSWERED, never "absent"; after ``budget_s`` nothing more is asked.
Source:  RFC 4035 (the AD bit), 3207 (STARTTLS), 8461 3.3 (fetching a policy).
"""

from __future__ import annotations

import http.client
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Literal

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.resolver

Status = Literal["found", "absent", "no_name", "unanswered"]
QUESTION_S = 4.0
SERVER_S = 2.0
BUDGET_S = 45.0
CONNECT_S = 8.0
_POLICY_BYTES = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """``rows``: rdata as text, a TXT in one piece without quotes; ``name``: where the chain of CNAME ends, without the
    last dot; ``authentic``: the resolver validated it by DNSSEC."""

    status: Status
    rows: tuple[str, ...] = ()
    name: str = ""
    authentic: bool = False


@dataclass
class Asker:
    """One check's questions; each is asked once. ``address``, ``port``: the resolver."""

    address: str
    port: int = 53
    budget_s: float = BUDGET_S
    _known: dict[tuple[str, str], Answer] = field(default_factory=dict)
    _until: float = 0.0

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.budget_s
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = [self.address]
        self._resolver.port = self.port
        self._resolver.lifetime = self._resolver.timeout = QUESTION_S
        self._resolver.use_edns(0, dns.flags.DO, 1232)
        self._resolver.flags = dns.flags.RD | dns.flags.AD

    def ask(self, name: str, kind: str) -> Answer:
        found = self._known.get((name, kind))
        if found is None:
            left = time.monotonic() < self._until
            found = self._known[name, kind] = self._asked(name, kind) if left else Answer("unanswered")
        return found

    def _asked(self, name: str, kind: str) -> Answer:
        try:
            answer = self._resolver.resolve(f"{name}.", kind, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN as error:
            flags = [one.flags for one in error.responses().values()]  # type: ignore[no-untyped-call]
            return Answer("no_name", authentic=any(one & dns.flags.AD for one in flags))
        except (dns.exception.DNSException, OSError, ValueError):
            return Answer("unanswered")
        authentic = bool(answer.response.flags & dns.flags.AD)
        end = answer.canonical_name.to_text().rstrip(".").lower()
        if answer.rrset is None:
            return Answer("absent", name=end, authentic=authentic)
        if kind == "TXT":
            # PostgreSQL's JSON holds no null byte.
            texts = (b"".join(one.strings).decode("ascii", "replace") for one in answer)
            rows = tuple(one.replace("\0", "\N{REPLACEMENT CHARACTER}") for one in texts)
        else:
            rows = tuple(one.to_text() for one in answer)
        return Answer("found", rows, end, authentic)

    def ask_server(self, address: str, port: int, name: str, kind: str) -> dns.message.Message | None:
        """What one name server says of itself, without recursion; None where it says nothing."""
        if time.monotonic() >= self._until:
            return None
        query = dns.message.make_query(f"{name}.", kind, flags=0)
        try:
            return dns.query.udp_with_fallback(query, address, timeout=SERVER_S, port=port)[0]
        except (OSError, EOFError, dns.exception.DNSException, ValueError):
            return None

    def addresses(self, name: str) -> set[str]:
        return {row for kind in ("A", "AAAA") for row in self.ask(name, kind).rows}


@dataclass(frozen=True)
class Greeting:
    """How a mail server met us. ``problem``: "" or silent, no_starttls, handshake; ``refused``: silent, because nothing
    listens there; ``trusted``: its certificate is of
    a public authority and bears its name; ``certificate``: DER."""

    problem: str
    version: str = ""
    trusted: bool = False
    certificate: bytes = b""
    refused: bool = False


def greet(address: str, port: int, name: str, *, authorities: str | None = None) -> Greeting:
    """Say EHLO and STARTTLS, and leave. ``authorities``: file of certificates to trust besides the public ones."""
    trusted = True
    for context in (_trusting(authorities), _any()):
        try:
            with smtplib.SMTP(timeout=CONNECT_S) as client:
                client._host = name  # type: ignore[attr-defined] # SNI, and the name to verify
                client.connect(address, port)
                client.ehlo("check.invalid")
                if not client.has_extn("starttls"):
                    return Greeting("no_starttls")
                client.starttls(context=context)
                tls = client.sock
                assert isinstance(tls, ssl.SSLSocket)
                return Greeting("", tls.version() or "", trusted, tls.getpeercert(binary_form=True) or b"")
        except ssl.SSLCertVerificationError:
            trusted = False
        except ssl.SSLError:
            return Greeting("handshake")
        except (OSError, smtplib.SMTPException) as error:
            return Greeting("silent", refused=isinstance(error, ConnectionRefusedError))
    return Greeting("handshake")


def _trusting(authorities: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cafile=authorities)
    return context


def _any() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class _At(http.client.HTTPSConnection):
    """HTTPS to a name at an address that was looked up by the check's own resolver."""

    def __init__(self, name: str, address: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(name, port, timeout=CONNECT_S, context=context)
        self._address, self._tls = address, context

    def connect(self) -> None:
        raw = socket.create_connection((self._address, self.port), CONNECT_S)
        self.sock = self._tls.wrap_socket(raw, server_hostname=self.host)


def fetch_policy(name: str, address: str, port: int, *, authorities: str | None = None) -> tuple[str, str]:
    """(problem, text) of an MTA-STS policy, as a sender fetches it: no redirect, a certificate that holds.

    problem: "" or silent, certificate, missing.
    """
    connection = _At(name, address, port, _trusting(authorities))
    try:
        connection.request("GET", "/.well-known/mta-sts.txt")
        answer = connection.getresponse()
        body = answer.read(_POLICY_BYTES)
    except ssl.SSLCertVerificationError:
        return "certificate", ""
    except (OSError, http.client.HTTPException):
        return "silent", ""
    finally:
        connection.close()
    if answer.status != 200 or answer.headers.get_content_type() != "text/plain":
        return "missing", ""
    return "", body.decode("ascii", "replace")
