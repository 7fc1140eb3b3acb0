"""What a commune's zone must say so that its mail comes to us, leaves well and is believed.

Purpose: (domain, our servers, its choices, its DKIM keys) -> records. Pure: no I/O, no Django.
Input:   names that ``indicators.normalise`` let pass, and our own settings.
Traps:   ``p=`` stands first in DMARC: RPNT reads ``v=DMARC1; sp=none; p=reject`` as none. A name with a CNAME has no
         other record, so CAA stands at the domain itself, and says something of the website too.
Source:  RFC 7208 (SPF), 6376 and 8301 (DKIM), 7489 (DMARC), 8461 (MTA-STS), 8460 (TLS-RPT), 6186, 8314 and 5804 (SRV),
         8659 (CAA).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

TTL_S = 3600
STS_MAX_AGE_S = {"testing": 86400, "enforce": 14 * 86400}
STRING_BYTES = 255
MX_PREFERENCE = 10


class Purpose(StrEnum):
    """Why a record is there; ``portal.domain_words`` says it in French."""

    MX = "mx"
    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    STS = "mta_sts"
    STS_HOST = "mta_sts_host"
    TLS_RPT = "tls_rpt"
    AUTOCONFIG = "autoconfig"
    AUTODISCOVER = "autodiscover"
    SRV_IMAPS = "srv_imaps"
    SRV_SUBMISSIONS = "srv_submissions"
    SRV_SUBMISSION = "srv_submission"
    SRV_SIEVE = "srv_sieve"
    SRV_AUTODISCOVER = "srv_autodiscover"
    CAA = "caa"
    REPORTS = "reports"
    DELEGATION = "delegation"


ESSENTIAL = frozenset({Purpose.MX, Purpose.SPF, Purpose.DKIM, Purpose.DMARC})
"""Without these mail does not come, or is not believed. The others make it safer or easier."""


@dataclass(frozen=True)
class Servers:
    """The centre as the world sees it. ``spf``: mechanisms of what sends for us; ``dkim_zone``: a zone of ours that
    holds all DKIM keys, so that a commune's zone only points to it; ``submissions_port`` 0: no TLS from the first byte
    for sending."""

    mx: str
    front: str
    imaps_port: int
    submission_port: int
    front_port: int = 443
    submissions_port: int = 0
    sieve_port: int = 0
    spf: str = "mx"
    reports: str = ""
    caa: tuple[str, ...] = ()
    dkim_zone: str = ""


@dataclass(frozen=True)
class Choices:
    """What differs from one domain to the next. ``also_sends``: SPF mechanisms of the old provider, while it still
    sends; ``old_mx``: its server, while mailboxes are moved one by one: Postfix hands it what is not here yet;
    ``dmarc``: none, quarantine, reject; ``sts``: none, testing, enforce."""

    dmarc: str = "none"
    sts: str = "testing"
    also_sends: tuple[str, ...] = ()
    old_mx: str = ""


@dataclass(frozen=True)
class PublicKey:
    """``text``: base64 of the key's DER (SubjectPublicKeyInfo), as it stands in DNS."""

    selector: str
    text: str


@dataclass(frozen=True)
class Record:
    """``name``: absolute without the last dot. ``data``: as in a zone file, but a TXT unquoted and in one piece; host
    names in it end with a dot."""

    name: str
    type: str
    data: str
    purpose: Purpose
    ttl_s: int = TTL_S

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.type

    @property
    def rdata(self) -> str:
        """The data as a zone file wants it: a TXT quoted, in strings of at most 255 bytes."""
        return quoted(self.data) if self.type == "TXT" else self.data


def quoted(text: str) -> str:
    """RFC 1035 5.1. Everything we publish is ASCII."""
    pieces = [text[i : i + STRING_BYTES] for i in range(0, len(text), STRING_BYTES)] or [""]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)


def spf(servers: Servers, choices: Choices) -> str:
    mechanisms = dict.fromkeys([*servers.spf.split(), *choices.also_sends])
    # While another server still sends, what we do not know of is only doubtful.
    end = "~all" if choices.also_sends or choices.old_mx else "-all"
    return " ".join(["v=spf1", *mechanisms, end])


def dkim(key: PublicKey) -> str:
    return f"v=DKIM1; k=rsa; p={key.text}"


def dmarc(servers: Servers, choices: Choices) -> str:
    reports = f"; rua=mailto:{servers.reports}" if servers.reports else ""
    return f"v=DMARC1; p={choices.dmarc}{reports}"


def sts_policy(servers: Servers, choices: Choices) -> str:
    """The text of https://mta-sts.DOMAIN/.well-known/mta-sts.txt; empty where the commune has none."""
    if choices.sts not in STS_MAX_AGE_S:
        return ""
    lines = ["version: STSv1", f"mode: {choices.sts}", f"mx: {servers.mx}"]
    return "\r\n".join([*lines, f"max_age: {STS_MAX_AGE_S[choices.sts]}"]) + "\r\n"


def sts_id(policy: str) -> str:
    """Changes when the policy does, and never else: 1 to 32 letters and digits (RFC 8461 3.1)."""
    return hashlib.sha256(policy.encode()).hexdigest()[:20]


def dkim_target(domain: str, selector: str, servers: Servers) -> str:
    """Where our own zone holds this key, if there is one. The domain's dots stay: no two domains share a name."""
    return f"{selector}.{domain}.{servers.dkim_zone}"


def plan(domain: str, servers: Servers, choices: Choices, keys: Sequence[PublicKey]) -> list[Record]:
    """Every record of the domain, the essential ones first. ``keys``: those to publish."""
    found = [Record(domain, "MX", f"{MX_PREFERENCE} {servers.mx}.", Purpose.MX)]
    found.append(Record(domain, "TXT", spf(servers, choices), Purpose.SPF))
    for key in keys:
        name = f"{key.selector}._domainkey.{domain}"
        if servers.dkim_zone:
            target = dkim_target(domain, key.selector, servers)
            found.append(Record(name, "CNAME", f"{target}.", Purpose.DKIM))
        else:
            found.append(Record(name, "TXT", dkim(key), Purpose.DKIM))
    found.append(Record(f"_dmarc.{domain}", "TXT", dmarc(servers, choices), Purpose.DMARC))
    policy = sts_policy(servers, choices)
    if policy:
        text = f"v=STSv1; id={sts_id(policy)};"
        found.append(Record(f"_mta-sts.{domain}", "TXT", text, Purpose.STS))
        found.append(Record(f"mta-sts.{domain}", "CNAME", f"{servers.front}.", Purpose.STS_HOST))
    if servers.reports:
        text = f"v=TLSRPTv1; rua=mailto:{servers.reports}"
        found.append(Record(f"_smtp._tls.{domain}", "TXT", text, Purpose.TLS_RPT))
    return [*found, *_for_clients(domain, servers), *_authorities(domain, servers)]


def _for_clients(domain: str, servers: Servers) -> Iterable[Record]:
    yield Record(f"autoconfig.{domain}", "CNAME", f"{servers.front}.", Purpose.AUTOCONFIG)
    yield Record(f"autodiscover.{domain}", "CNAME", f"{servers.front}.", Purpose.AUTODISCOVER)
    for service, port, host, purpose in (
        ("imaps", servers.imaps_port, servers.mx, Purpose.SRV_IMAPS),
        ("submissions", servers.submissions_port, servers.mx, Purpose.SRV_SUBMISSIONS),
        ("submission", servers.submission_port, servers.mx, Purpose.SRV_SUBMISSION),
        ("sieve", servers.sieve_port, servers.mx, Purpose.SRV_SIEVE),
        ("autodiscover", servers.front_port, servers.front, Purpose.SRV_AUTODISCOVER),
    ):
        if port:
            yield Record(f"_{service}._tcp.{domain}", "SRV", f"0 1 {port} {host}.", purpose)


def _authorities(domain: str, servers: Servers) -> Iterable[Record]:
    for issuer in servers.caa:
        yield Record(domain, "CAA", f'0 issue "{issuer}"', Purpose.CAA)


def own_records(
    domains: Iterable[str], servers: Servers, keys: dict[str, Sequence[PublicKey]]
) -> list[Record]:
    """What the Département's own zones must say: that reports of these domains may come to us (RFC 7489 7.1), and the
    keys where ``dkim_zone`` holds them."""
    found = []
    report_domain = servers.reports.rpartition("@")[2]
    for domain in domains:
        if report_domain and report_domain != domain:
            name = f"{domain}._report._dmarc.{report_domain}"
            found.append(Record(name, "TXT", "v=DMARC1", Purpose.REPORTS))
        if servers.dkim_zone:
            for key in keys.get(domain, ()):
                name = dkim_target(domain, key.selector, servers)
                found.append(Record(name, "TXT", dkim(key), Purpose.DKIM))
    return found
