"""RPNT's criteria and internet.nl's mail test, as far as DNS, SMTP, TLS, HTTPS and RPKI from here can say. Pure.

What is not tested is UNKNOWN and said so: a level is given only where every criterion of it is known.
Source: RPNT v0.2.1 of 10 July 2026; internet.nl, test of mail, 2026. Levels: ``a`` needs SPF though it is only
"recommended", and not 1.6; ``aa`` needs all sixteen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from beffroi.mail.domains.declared import RPNT_TLDS

RPNT = (
    "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8",
    "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8",
)  # fmt: skip
RPNT_A = frozenset(("1.1", "1.2", "1.3", "1.4", "1.5", "2.1", "2.2", "2.3", "2.4", "2.5", "2.8"))
_FROM_ITEMS = {
    "1.3": "site_https", "1.4": "site_http", "1.5": "site_certificate", "1.6": "site_same", "1.7": "site_www",
    "1.8": "declared_site", "2.3": "declared_address", "2.8": "mx_country",
    "2.4": "mx", "2.5": "spf", "2.6": "dmarc", "2.7": "dmarc_strong",
}  # fmt: skip
RPNT_DECLARED = frozenset(("1.1", "1.8", "2.1", "2.2", "2.3"))
"""Known from what the référent or the Département declared on the page."""
_PRESENT = frozenset(("differs", "p_not_first", "testing", "no_reports", "others", "elsewhere", "without_us"))
"""What RPNT does not look at: it asks that the record is there, once."""

_ELSEWHERE = frozenset(("elsewhere", "others", "absent"))
"""The best MX is not ours, or may not be: where it stands is not known here."""

INTERNET_NL = {
    "ipv6": ("ns_ipv6", "mx_ipv6"),
    "dnssec": ("dnssec", "dnssec_mx"),
    "auth": ("dmarc", "dmarc_strong", "reports", "domainkey", "spf", "spf_lookups"),
    "tls": (
        "starttls", "tls_versions", "tls_suites", "tls_order", "tls_parameters", "tls_compression", "tls_renegotiation",
        "tls_master_secret", "tls_early_data", "tls_key", "dane",
    ),
    "rpki": ("rpki_mx", "rpki_ns", "rpki_mx_ns"),
}  # fmt: skip
"""Categories of its mail test, and our items in each. Trust in the certificate and CAA are notices only, there too."""
_OF_THE_SERVER = frozenset(("mx_ipv6", "dnssec_mx", "rpki_mx", "rpki_mx_ns", *INTERNET_NL["tls"]))
"""What we know of our own server, and of no other: unknown where the domain's MX are not ours alone."""
_INTERNET_NL_PRESENT = frozenset(("differs", "no_reports", "without_us", "p_not_first"))


@dataclass(frozen=True)
class Score:
    """``points``: name -> True, False or None (not tested here). ``level``: RPNT's, "" where not all is known."""

    points: Mapping[str, bool | None]
    level: str = ""

    @property
    def passed(self) -> int:
        return sum(one is True for one in self.points.values())

    @property
    def tested(self) -> int:
        return sum(one is not None for one in self.points.values())

    @property
    def percent(self) -> int:
        """Of what is tested here."""
        return 100 * self.passed // self.tested if self.tested else 0


def _passes(found: Mapping[str, tuple[str, str]], item: str, present: frozenset[str]) -> bool | None:
    """``found``: item -> (state, code)."""
    state, code = found.get(item, ("unknown", ""))
    if state == "unknown":
        return None
    return state == "ok" or code in present


def rpnt(domain: str, found: Mapping[str, tuple[str, str]]) -> Score:
    points: dict[str, bool | None] = dict.fromkeys(RPNT)
    points["1.2"] = domain.rpartition(".")[2] in RPNT_TLDS
    for number, item in _FROM_ITEMS.items():
        points[number] = _passes(found, item, _PRESENT)
    if "site_top_level" in found:
        points["1.2"] = _passes(found, "site_top_level", frozenset())
    points["1.1"] = _passes(found, "declared_site", frozenset({"not_https"}))
    points["2.1"] = _passes(found, "declared_address", frozenset({"generic", "other_domain"}))
    told = found.get("declared_address", ("unknown", ""))
    points["2.2"] = None if told[0] == "unknown" else told[1] != "generic"
    if found.get("mx", ("", ""))[1] in _ELSEWHERE:
        points["2.8"] = None
    if points["2.6"] is False:
        points["2.7"] = False
    level = ""
    if all(points.values()):
        level = "aa"
    elif all(points[one] for one in RPNT_A):
        level = "a"
    return Score(points, level)


def internet_nl(found: Mapping[str, tuple[str, str]]) -> Score:
    names = [item for items in INTERNET_NL.values() for item in items]
    points = {item: _passes(found, item, _INTERNET_NL_PRESENT) for item in names}
    if found.get("mx", ("", ""))[1] in _ELSEWHERE:
        points |= dict.fromkeys(_OF_THE_SERVER)
    return Score(points)
