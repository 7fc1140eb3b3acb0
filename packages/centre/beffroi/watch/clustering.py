"""From a sighting's payload to indicators, and what joins sightings. Pure.

Input:   hostile: indicators of a mail that an attacker wrote, or of a box; each is brought to its canonical
         spelling or dropped, and at most ``MAX_INDICATORS`` count.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64decode
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise

MAX_INDICATORS = 100
CAMPAIGN_DAYS = 14
"""A sighting joins a campaign that was seen in the last days; later it is a new one."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_MAIL_DOMAIN = re.compile(r"[A-Za-z0-9._%+-]@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
_JOINING = frozenset({Kind.URL, Kind.DOMAIN, Kind.SHA256, Kind.SKETCH})


def read(pairs: Iterable[Sequence[str]]) -> list[Indicator]:
    """Return the canonical indicators of a payload, with the host of each link, without repeats.

    A pair may carry a role ("client": the host that handed the mail in). It weighs nothing: such an address needs
    what every address needs, and joins nothing.
    """
    found: dict[Indicator, None] = {}
    for pair in list(pairs)[:MAX_INDICATORS]:
        try:
            indicator = normalise(str(pair[0]), str(pair[1]))
        except (IndicatorInvalid, IndexError):
            continue
        found[indicator] = None
        if indicator.kind is Kind.URL:
            found[link_host(indicator)] = None
    return list(found)


def link_host(url: Indicator) -> Indicator:
    """Return the host of a canonical URL, as a name or an address."""
    host = urlsplit(url.value).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return Indicator(Kind.DOMAIN, host)
    return normalise(Kind.IP, host)


def led_to(indicators: Iterable[Indicator], evidence: Mapping[str, object]) -> frozenset[Indicator]:
    """Return the addresses that links of a mail name as their hosts: its author's word, but for the one that handed the
    mail in."""
    hosts = {link_host(i) for i in indicators if i.kind is Kind.URL}
    return frozenset(h for h in hosts if h.kind is Kind.IP and h.value != evidence.get("client_ip"))


def mail_domains(url: Indicator) -> set[str]:
    """Return the domains of the mail addresses that a link carries: as they are, escaped, or in base64."""
    text = unquote(url.value.partition("://")[2].partition("/")[2])
    tokens = [token.replace("-", "+").replace("_", "/") for token in _BASE64.findall(text)]
    for start in (token[offset:] for token in tokens for offset in range(4)):  # a path may stand before it
        whole = start[: len(start) // 4 * 4 if len(start) % 4 == 1 else None]
        text += " " + b64decode(whole + "=" * (-len(whole) % 4)).decode("latin-1")
    return {found.lower() for found in _MAIL_DOMAIN.findall(text)}


def link_hosts(indicators: Iterable[Indicator]) -> set[str]:
    """Return the names that links lead to."""
    hosts = (link_host(i) for i in indicators if i.kind is Kind.URL)
    return {h.value for h in hosts if h.kind is Kind.DOMAIN}


def joining(indicators: Iterable[Indicator], protected: Callable[[Indicator], str]) -> list[Indicator]:
    """Return those that make two sightings one campaign: never a shared or protected place, or all mail with
    a link to it would be one campaign; never an address or a sender, which many share."""
    found = list(indicators)
    hosts = link_hosts(found)
    return [
        i
        for i in found
        if i.kind in _JOINING and (i.kind is not Kind.DOMAIN or i.value in hosts) and not protected(i)
    ]


def beside(joins: Iterable[Indicator], settled: Collection[Indicator]) -> list[Indicator]:
    """Return what a sighting names beside what a person dismissed or took back: another place, another file. Another
    page of the same place is none, and a text that goes otherwise says nothing by itself."""
    found = [i for i in joins if not is_settled(i, settled)]
    return found if any(i.kind is not Kind.SKETCH for i in found) else []


def is_settled(indicator: Indicator, settled: Collection[Indicator]) -> bool:
    """Whether it is one of these, or a page of their places."""
    return indicator in settled or (indicator.kind is Kind.URL and link_host(indicator) in settled)


def known_before(indicators: Sequence[Indicator], evidence: Mapping[str, object]) -> frozenset[Indicator]:
    """Return the files, texts, web addresses and names that mail had long before: an imitation shares them with the
    real."""
    kinds, values = (Kind.SHA256, Kind.SKETCH, Kind.URL, Kind.DOMAIN), told_known(evidence)
    return frozenset(i for i in indicators if i.kind in kinds and i.value in values)


def known_senders(indicators: Sequence[Indicator], evidence: Mapping[str, object]) -> frozenset[Indicator]:
    """Return the senders from whom mail came long before. It stops no decision about them."""
    values = told_known(evidence)
    return frozenset(i for i in indicators if i.kind is Kind.SENDER and i.value in values)


def told_known(evidence: Mapping[str, object]) -> set[str]:
    """Return the values that mail had long before, of whichever kind."""
    told = evidence.get("known_before")
    return {str(one) for one in told} if isinstance(told, list | tuple) else set()


def is_learning(evidence: Mapping[str, object]) -> bool:
    """Whether nobody can say yet what mail knew long before."""
    return evidence.get("learning") is True


def forged(indicators: Sequence[Indicator], evidence: Mapping[str, object]) -> frozenset[Indicator]:
    """Return the indicators that name a sender of the mail for whom no check spoke: the victim of a forgery must not
    be blocked for it. A link's host is never among them."""
    told = evidence.get("proved_senders")
    proved = {str(one) for one in told} if isinstance(told, list | tuple) else set()
    senders = {i for i in indicators if i.kind is Kind.SENDER and i.value not in proved}
    domains = {i.value.rpartition("@")[2] for i in senders}
    domains -= {one.rpartition("@")[2] for one in proved} | link_hosts(indicators)
    return frozenset(senders | {i for i in indicators if i.kind is Kind.DOMAIN and i.value in domains})
