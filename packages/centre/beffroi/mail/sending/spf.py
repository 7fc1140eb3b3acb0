"""Whether the SPF that communes publish lets one of our addresses send.

Purpose: a record that is included stands in a zone of the Département's; a new address has to be in it.
Process: sources; asks the centre's resolver.
Hostile: nothing but errors: the records are the Département's own. At most ``LOOKUPS`` are followed.
Fails:   None where DNS does not answer: nothing is said then.
Source:  RFC 7208, 5 and 6.1. Of a commune's domain only its MX is known here: the mail server's name.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from beffroi.mail.domains.asking import Asker

LOOKUPS = 10


def allows(mechanisms: str, address: str, *, mail_name: str, asker: Asker) -> bool | None:
    """``mechanisms``: what stands between "v=spf1" and "-all"."""
    return _Question(address, mail_name, asker).allowed(mechanisms.lower().split(), "")


@dataclass
class _Question:
    """One address. ``met``: the records that were followed."""

    address: str
    mail_name: str
    asker: Asker
    met: set[str] = field(default_factory=set)

    def allowed(self, terms: list[str], domain: str) -> bool | None:
        """``domain``: whose record it is; "" for a commune's."""
        found = [self._term(one, domain) for one in terms]
        if True in found:
            return True
        return None if None in found else False

    def _term(self, term: str, domain: str) -> bool | None:
        word, _, value = term.lstrip("+").replace("=", ":", 1).partition(":")
        if word in ("ip4", "ip6"):
            return _within(self.address, value)
        if word == "mx" and not value and not domain:
            return self._leads(self.mail_name)
        if word == "a" and (value or domain):
            return self._leads(value or domain)
        if word in ("include", "redirect") and value not in self.met and len(self.met) < LOOKUPS:
            self.met.add(value)
            answer = self.asker.ask(value.rstrip("."), "TXT")
            if answer.status == "unanswered":
                return None
            texts = [row.lower().split()[1:] for row in answer.rows if row.lower().startswith("v=spf1")]
            return self.allowed(texts[0], value) if texts else False
        return False

    def _leads(self, name: str) -> bool | None:
        answer = self.asker.ask(name.rstrip("."), "AAAA" if ":" in self.address else "A")
        if answer.status == "unanswered":
            return None
        return ipaddress.ip_address(self.address) in {ipaddress.ip_address(row) for row in answer.rows}


def _within(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
