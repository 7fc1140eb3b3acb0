"""Well-known free sources, as suggestions: nothing here is fetched before an administrator adds and starts it.

Rule: address and licence as their publishers state them; what an administrator accepts is the publisher's page, not
      this table. The weight is the cautious one. ``{key}``: the publisher gives one free of charge and wants it there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from beffroi_protocol.threats import Threat

from beffroi.watch.sources.models import FeedSource

HOUR_S, DAY_S = 3600, 86400
_Format, _Weight = FeedSource.Format, FeedSource.Weight


@dataclass(frozen=True)
class Suggestion:
    """``terms``: the page that says under which conditions the list may be used."""

    key: str
    name: str
    publisher: str
    address: str
    format: str
    licence: str
    terms: str
    weight: str
    threat: str = ""
    kinds: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    ttl_s: int = 2 * DAY_S
    every_s: int = 6 * HOUR_S


CATALOGUE: tuple[Suggestion, ...] = (
    Suggestion(
        "cert-fr-misp",
        "CERT-FR, indicateurs",
        "ANSSI",
        "https://misp.cert.ssi.gouv.fr/feed-misp/manifest.json",
        _Format.MISP_FEED,
        "Licence Ouverte 2.0, TLP:CLEAR",
        "https://www.cert.ssi.gouv.fr/ioc/CERTFR-2022-IOC-001/",
        _Weight.EVIDENCE,
        kinds=("domain", "url", "sha256"),
        ttl_s=30 * DAY_S,
        every_s=24 * HOUR_S,
    ),
    Suggestion(
        "cert-fr-rss",
        "CERT-FR, alertes et avis",
        "ANSSI",
        "https://www.cert.ssi.gouv.fr/feed/",
        _Format.RSS,
        "Licence Ouverte 2.0",
        "https://www.cert.ssi.gouv.fr/",
        _Weight.OBSERVE,
        every_s=2 * HOUR_S,
    ),
    Suggestion(
        "circl-osint",
        "CIRCL OSINT",
        "CIRCL (Luxembourg)",
        "https://www.circl.lu/doc/misp/feed-osint/manifest.json",
        _Format.MISP_FEED,
        "TLP:CLEAR, conditions du CIRCL",
        "https://www.circl.lu/doc/misp/feed-osint/",
        _Weight.EVIDENCE,
        kinds=("domain", "url", "sha256"),
        options={"days": 90},
        ttl_s=30 * DAY_S,
        every_s=24 * HOUR_S,
    ),
    Suggestion(
        "feodo",
        "Feodo Tracker",
        "abuse.ch",
        "https://feodotracker.abuse.ch/downloads/ipblocklist.txt",
        _Format.PLAIN,
        "CC0 1.0",
        "https://feodotracker.abuse.ch/blocklist/",
        _Weight.LIST,
        threat=Threat.COMMAND_SERVER,
        kinds=("ip",),
        every_s=HOUR_S,
    ),
    Suggestion(
        "ipsum",
        "IPsum",
        "stamparm",
        "https://raw.githubusercontent.com/stamparm/ipsum/master/ipsum.txt",
        _Format.PLAIN,
        "Unlicense",
        "https://github.com/stamparm/ipsum",
        _Weight.OBSERVE,
        threat=Threat.SCANNER,
        kinds=("ip",),
        every_s=24 * HOUR_S,
    ),
    Suggestion(
        "urlhaus",
        "URLhaus, adresses récentes",
        "abuse.ch",
        "https://urlhaus-api.abuse.ch/files/exports/recent.csv?auth-key={key}",
        _Format.CSV,
        "CC0 1.0",
        "https://urlhaus.abuse.ch/api/",
        _Weight.LIST,
        threat=Threat.MALWARE,
        kinds=("url",),
        options={"column": "3"},
        every_s=HOUR_S,
    ),
)


def find(key: str) -> Suggestion | None:
    return next((one for one in CATALOGUE if one.key == key), None)
