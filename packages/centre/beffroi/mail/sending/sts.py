"""MTA-STS of those we send to: what their policy says, and what Postfix is to do about it.

Purpose: a partner that demands a proved certificate gets one, or no mail; DANE, which proves more, always goes first.
Process: sources; asks the centre's resolver, and fetches from public addresses over HTTPS alone.
Hostile: DNS without DNSSEC, the policy's server.
Fails:   open for what was never known (opportunistic TLS, as RFC 8461 leaves it), closed for what was: a policy holds
         until its time is over, whatever DNS or its server say or do not say meanwhile.
Source:  RFC 8461, sections 2, 3 and 5; postconf(5) smtp_tls_policy_maps; TLS_README.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from beffroi.lib import public
from beffroi.mail.domains import asking
from beffroi.mail.domains.asking import Asker
from beffroi.mail.domains.site import Way

MOST_AGE_S = 31_557_600
MAX_MX = 30
_MX = re.compile(r"(\*\.)?(?=.{1,253}\Z)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")


@dataclass(frozen=True)
class Policy:
    """``mode``: enforce, testing or none; ``mx``: names, ``*.name`` for one label; ``max_age_s``: how long it holds."""

    mode: str
    mx: tuple[str, ...]
    max_age_s: int

    @property
    def postfix(self) -> str:
        """The row of Postfix's map; "" where nothing is demanded. ``.name`` is how Postfix writes ``*.name``."""
        if self.mode != "enforce":
            return ""
        names = ":".join(one.removeprefix("*") for one in self.mx)
        return f"secure match={names} servername=hostname"


@dataclass(frozen=True)
class Known:
    """What was learned of one domain: its policy's identifier, Postfix's row and until when it holds, when it was
    last asked (epoch seconds)."""

    domain: str
    id: str = ""
    row: str = ""
    until_s: int = 0
    asked_s: int = 0


def parse(text: str) -> Policy | None:
    """None for what is no policy."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            values.setdefault(name.strip().lower(), []).append(value.strip().lower())
    mode, age = values.get("mode", [""])[0], values.get("max_age", [""])[0]
    mx = tuple(one.rstrip(".") for one in values.get("mx", []))
    good = (
        values.get("version", [""])[0] == "stsv1"
        and mode in ("enforce", "testing", "none")
        and age.isascii()
        and age.isdigit()
        and len(age) <= 10
        and len(mx) <= MAX_MX
        and all(_MX.fullmatch(one) for one in mx)
        and (bool(mx) or mode == "none")
    )
    return Policy(mode, mx, min(int(age), MOST_AGE_S)) if good else None


def learn(before: Known, asker: Asker, way: Way, *, now_s: int) -> Known:
    """What is known of the domain now."""
    kept = before if now_s < before.until_s else Known(before.domain)
    asked = Known(kept.domain, kept.id, kept.row, kept.until_s, now_s)
    dane = proved_by_dane(before.domain, asker)
    if dane is None:
        return asked  # DNS does not answer: nothing changes
    if dane:
        return Known(before.domain, asked_s=now_s)
    told = [row for row in asker.ask(f"_mta-sts.{before.domain}", "TXT").rows if row.startswith("v=STSv1")]
    if len(told) != 1:
        return asked
    number = next((p.strip()[3:][:32] for p in told[0].split(";") if p.strip().startswith("id=")), "")
    policy = _fetched(before.domain, asker, way)
    if not number or policy is None:
        return asked
    return Known(before.domain, number, policy.postfix, now_s + policy.max_age_s, now_s)


def _fetched(domain: str, asker: Asker, way: Way) -> Policy | None:
    name = f"mta-sts.{domain}"
    for address in sorted(asker.addresses(name), key=lambda one: ":" in one)[:2]:
        if way.private or public.is_public(public.reached(address)):
            problem, text = asking.fetch_policy(name, address, way.https_port, authorities=way.authorities)
            return None if problem else parse(text)
    return None


def proved_by_dane(domain: str, asker: Asker) -> bool | None:
    """Whether DNSSEC names a certificate for any of its servers; None where DNS does not answer."""
    answer = asker.ask(domain, "MX")
    if answer.status == "unanswered":
        return None
    if not answer.authentic:
        return False
    for row in answer.rows[:MAX_MX]:
        host = row.split()[-1].rstrip(".").lower()
        found = asker.ask(f"_25._tcp.{host}", "TLSA")
        if found.status == "unanswered":
            return None
        if found.authentic and found.rows:
            return True
    return False
