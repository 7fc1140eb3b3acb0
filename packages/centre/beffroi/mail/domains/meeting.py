"""Our own mail server and the domain's name servers as strangers meet them, over IPv4 and IPv6.

Purpose: internet.nl's questions that need a connection: reach over IPv6, STARTTLS, certificate, DANE, and TLS in full.
Hostile: every answer; name servers are the zone's word, so only public addresses are asked anything.
Fails:   what is out of reach from here is not known: this machine may have no IPv6, or no way to its public address.
Source:  internet.nl's mail test, 2026; RFC 7672 (DANE), 8446 4.2.10 (early data).
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import dns.exception
import dns.message
import dns.query
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from beffroi.lib import public
from beffroi.mail.domains import asking, hellos
from beffroi.mail.domains.asking import Asker, Greeting
from beffroi.mail.domains.results import Result

NAME_SERVERS = 2
"""That must answer over IPv6."""
HELLOS_S = 20.0
QUESTION_S = 3.0
EARLY_S = 6.0
_ADDRESSES = 4
_NAME_SERVERS_ASKED = 8
_RSA_BITS, _CURVE_BITS = 2048, 224
_FRESH_S = 600.0
_UNREACHABLE = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT))
_ORDER = ("bad", "warn", "unknown", "ok")
_TLS_ITEMS = ("certificate", "tls_key", "dane", *hellos.ITEMS, "tls_early_data")
_known: dict[tuple[str, int, str], tuple[float, list[Result]]] = {}
"""Hellos of the last minutes: one server stands behind every domain, and a night's check of all asks it once."""


@dataclass(frozen=True)
class Server:
    """Where ours is met. ``authorities``: a file of certificates to trust besides the public ones (laboratory)."""

    name: str
    port: int = 25
    authorities: str | None = None


def meet(server: Server, asker: Asker) -> Iterator[Result]:
    """``mx_ipv6``, ``starttls``, and what TLS says where it can be met; the worst of its addresses counts."""
    addresses = sorted(asker.addresses(server.name), key=lambda one: (":" in one, one))[:_ADDRESSES]
    greetings = {
        one: asking.greet(one, server.port, server.name, authorities=server.authorities) for one in addresses
    }
    met = {address: one for address, one in greetings.items() if not one.problem}
    yield _six(server.name, asker, greetings)
    if not addresses:
        yield from (Result(one, "unknown", "no_host", server.name) for one in ("starttls", *_TLS_ITEMS))
        return
    broken = {address: one.problem for address, one in greetings.items() if one.problem not in ("", "silent")}
    if broken or not met:
        address, problem = next(iter(broken.items()), ("", "silent"))
        yield Result("starttls", "bad" if broken else "unknown", problem, address or server.name)
    else:
        yield Result("starttls", "ok", "ok", ", ".join(sorted({one.version for one in met.values()})))
    if not met:
        yield from (Result(one, "unknown", "silent", server.name) for one in _TLS_ITEMS)
        return
    found = [one for address, greeting in met.items() for one in _judge(server, asker, address, greeting)]
    for item in _TLS_ITEMS:
        yield min((one for one in found if one.item == item), key=lambda one: _ORDER.index(one.state))


def _six(name: str, asker: Asker, greetings: dict[str, Greeting]) -> Result:
    answer = asker.ask(name, "AAAA")
    if answer.status == "unanswered":
        return Result("mx_ipv6", "unknown", "unanswered", name)
    if not answer.rows:
        return Result("mx_ipv6", "warn", "absent", name)
    silent = [address for address, one in greetings.items() if ":" in address and one.problem == "silent"]
    if not silent:
        return Result("mx_ipv6", "ok", "ok", name)
    reached = any(one.problem != "silent" for one in greetings.values())
    if reached and any(greetings[one].refused for one in silent):
        return Result("mx_ipv6", "warn", "refused", silent[0])
    return Result("mx_ipv6", "unknown", "silent", silent[0])


def _judge(server: Server, asker: Asker, address: str, met: Greeting) -> Iterator[Result]:
    yield Result(
        "certificate", "ok" if met.trusted else "warn", "ok" if met.trusted else "untrusted", server.name
    )
    yield key(met.certificate)
    yield dane(asker, f"_25._tcp.{server.name}", met.certificate)
    place = (address, server.port, server.name)
    at, found = _known.get(place, (0.0, []))
    if not found or time.monotonic() - at > _FRESH_S:
        found = [*hellos.look(*place, budget_s=HELLOS_S), early_data(*place)]
        found = [replace(one, seen=f"{one.seen} ({address})") if one.seen else one for one in found]
        if all(one.state != "unknown" for one in found):
            _known[place] = (time.monotonic(), found)
    yield from found


def key(certificate: bytes) -> Result:
    """Strength of the key and of the signature on it."""
    one = x509.load_der_x509_certificate(certificate)
    public = one.public_key()
    kind = type(public).__name__.removeprefix("_").removesuffix("PublicKey")
    bits = public.key_size if isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else 0
    short = (isinstance(public, rsa.RSAPublicKey) and bits < _RSA_BITS) or (
        isinstance(public, ec.EllipticCurvePublicKey) and bits < _CURVE_BITS
    )
    if short or isinstance(public, dsa.DSAPublicKey):
        return Result("tls_key", "bad", "short", f"{kind} {bits}".strip())
    signed = one.signature_hash_algorithm
    if signed is not None and signed.name in ("md5", "sha1"):
        return Result("tls_key", "bad", "signature", signed.name)
    return Result("tls_key", "ok", "ok", f"{kind} {bits}" if bits else kind)


def early_data(address: str, port: int, name: str) -> Result:
    """Whether a ticket of TLS 1.3 lets data come before the handshake, which can be replayed: s_client shows it."""
    program = shutil.which("openssl")
    if program is None:
        return Result("tls_early_data", "unknown", "no_program")
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    argv = (program, "s_client", "-connect", where, "-starttls", "smtp", "-tls1_3", "-servername", name)
    try:
        done = subprocess.run(
            (*argv, "-ign_eof"), input=b"QUIT\r\n", capture_output=True, timeout=EARLY_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return Result("tls_early_data", "unknown", "unanswered")
    sizes = [int(one) for one in re.findall(rb"Max Early Data: (\d{1,10})", done.stdout)]
    taken = max(sizes, default=0)
    return Result(
        "tls_early_data", "bad" if taken else "ok", "taken" if taken else "ok", str(taken) if taken else ""
    )


def dane(asker: Asker, name: str, certificate: bytes) -> Result:
    answer = asker.ask(name, "TLSA")
    if answer.status == "unanswered":
        return Result("dane", "unknown", "unanswered", "", name)
    if not answer.rows:
        return Result("dane", "warn", "absent", "", name)
    seen = " / ".join(answer.rows)
    if not any(matches(row, certificate) for row in answer.rows):
        return Result("dane", "bad", "differs", seen, name)
    # Without DNSSEC nobody may believe it.
    return Result(
        "dane", "ok" if answer.authentic else "warn", "ok" if answer.authentic else "unsigned", seen, name
    )


def matches(row: str, certificate: bytes) -> bool:
    """Usage 3 (DANE-EE); another usage is about an authority, which is not looked at here."""
    usage, selector, kind, digest = [*row.split(maxsplit=3), "", "", ""][:4]
    if usage != "3":
        return usage == "2"
    data = certificate
    if selector == "1":
        public = x509.load_der_x509_certificate(certificate).public_key()
        data = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    hashed = {"0": data.hex(), "1": hashlib.sha256(data).hexdigest(), "2": hashlib.sha512(data).hexdigest()}
    return hashed.get(kind) == digest.replace(" ", "").lower()


def name_servers(asker: Asker, domain: str, *, port: int = 53, private: bool = False) -> Result:
    """Do two of the zone's servers answer over IPv6? ``port``, ``private``: of a laboratory."""
    answer = asker.ask(domain, "NS")
    if answer.status == "unanswered" or not answer.rows:
        return Result("ns_ipv6", "unknown", "unanswered")
    hosts = [row.rstrip(".").lower() for row in answer.rows]
    six = {one: asker.ask(one, "AAAA").rows for one in hosts[:_NAME_SERVERS_ASKED]}
    named = [one for one, rows in six.items() if rows]
    seen = f"{len(named)}/{len(hosts)}"
    if len(named) < NAME_SERVERS:
        return Result("ns_ipv6", "warn", "absent", seen)
    answers = [
        _answers(domain, [row for row in six[one] if private or public.is_public(public.reached(row))], port)
        for one in named
    ]
    if answers.count(True) >= NAME_SERVERS:
        return Result("ns_ipv6", "ok", "ok", seen)
    if None in answers:
        return Result("ns_ipv6", "unknown", "no_way")
    return Result("ns_ipv6", "warn", "silent", f"{answers.count(True)}/{len(hosts)}")


def _answers(domain: str, addresses: Sequence[str], port: int) -> bool | None:
    """None: this machine has no way to IPv6."""
    question = dns.message.make_query(f"{domain}.", "SOA")
    for address in addresses:
        try:
            dns.query.udp(question, address, QUESTION_S, port)
        except OSError as error:
            if error.errno in _UNREACHABLE:
                return None
        except dns.exception.DNSException:
            continue
        else:
            return True
    return False
