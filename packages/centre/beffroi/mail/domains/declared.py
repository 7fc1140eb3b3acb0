"""What a commune declared to Service-Public, as RPNT reads it: its website and its mail address. Pure.

Input:  typed by the Département from the commune's page; nothing is fetched.
Source: RPNT v0.2.1 of 10 July 2026, criteria 1.1, 1.2, 1.8, 2.1 to 2.3 and 2.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

RPNT_TLDS = frozenset(
    [
        "fr",
        "alsace",
        "bzh",
        "corsica",
        "paris",
        "eu",
        "re",
        "yt",
        "gp",
        "mq",
        "gf",
        "pm",
        "wf",
        "tf",
        "nc",
        "pf",
    ]
)
VERB = "mail:domain:declared"
"""In the audit log."""
UNION = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)
"""The European Union, as ISO 3166 names its members."""
GENERIC = frozenset(
    [
        "aol.com",
        "aliceadsl.fr",
        "aol.fr",
        "bbox.fr",
        "cegetel.net",
        "club-internet.fr",
        "collectivite47.fr",
        "free.fr",
        "googlemail.com",
        "gmail.com",
        "gmx.fr",
        "hotmail.com",
        "hotmail.fr",
        "icloud.com",
        "info46.fr",
        "inforoutes.fr",
        "laposte.net",
        "live.com",
        "live.fr",
        "msn.com",
        "me.com",
        "neuf.fr",
        "numericable.fr",
        "orange.fr",
        "outlook.com",
        "outlook.fr",
        "proton.me",
        "protonmail.com",
        "sfr.fr",
        "wanadoo.fr",
        "yahoo.com",
        "yahoo.fr",
    ]
)
"""The usual ones of RPNT's list, with mutualised domains that it holds; the whole list is the State's and changes."""
_ADDRESS = re.compile(r"[A-Za-z0-9._-]{1,64}@(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_SITE = re.compile(
    r"https?://(?=[^/]{1,253}(/|$))[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+(/[!-~]*)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Declared:
    """``site``: as declared, with its scheme; ``address``: as declared. "" where nobody told it here."""

    site: str = ""
    address: str = ""

    @property
    def host(self) -> str:
        """Name of the site without www."""
        return (urlsplit(self.site).hostname or "").removeprefix("www.") if _SITE.fullmatch(self.site) else ""


def items(declared: Declared, domain: str, country: str) -> Iterator[tuple[str, str, str, str]]:
    """(item, state, code, what was seen). ``domain``: of the commune's mail here; ``country``: where our servers
    stand, "" where the setting does not say."""
    yield "declared_site", *_site(declared)
    top = declared.host.rpartition(".")[2]
    if top:
        good = top in RPNT_TLDS
        yield "site_top_level", "ok" if good else "warn", "ok" if good else "foreign", top
    yield "declared_address", *_address(declared, domain)
    inside = country.upper() in UNION
    state = ("ok" if inside else "warn") if country else "unknown"
    yield "mx_country", state, ("ok" if inside else "outside") if country else "not_told", country


def _site(declared: Declared) -> tuple[str, str, str]:
    if not declared.site:
        return "unknown", "not_told", ""
    if not declared.host:
        return "warn", "malformed", declared.site
    plain = declared.site.lower().startswith("http://")
    return "warn" if plain else "ok", "not_https" if plain else "ok", declared.site


def _address(declared: Declared, domain: str) -> tuple[str, str, str]:
    if not declared.address:
        return "unknown", "not_told", ""
    if not _ADDRESS.fullmatch(declared.address):
        return "warn", "malformed", declared.address
    name = declared.address.rpartition("@")[2].lower()
    if name in GENERIC:
        return "warn", "generic", declared.address
    if name != domain or (declared.host and declared.host != name):
        return "warn", "other_domain", declared.address
    return "ok", "ok", declared.address
