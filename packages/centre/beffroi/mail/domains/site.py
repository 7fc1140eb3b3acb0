"""The commune's website as RPNT visits it: does it answer, encrypted, under its own name, with and without www?

Purpose: criteria 1.3 to 1.7, for the site that the mail domain leads to.
Hostile: the site, and the addresses that its zone names: only public ones are visited, so that no zone makes the
         centre call its own network. Of an answer only the status and Location are read; bodies stay unread.
Fails:   a site that is not there, or out of reach, is not known; it is no fault of the mail domain.
Source:  RPNT v0.2.1, 10 July 2026.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from beffroi.lib import public
from beffroi.mail.domains.asking import Asker

HOPS = 5
VISIT_S = 10.0
_FRIENDS = (".collectivite.fr", ".gouv.fr")


@dataclass(frozen=True)
class Way:
    """How sites are reached. ``private``, ``authorities``, ports: of a laboratory."""

    http_port: int = 80
    https_port: int = 443
    private: bool = False
    authorities: str | None = None


@dataclass(frozen=True)
class Visit:
    """``problem``: "" or silent, certificate, private, loop. ``foreign``: a redirect led to another domain."""

    problem: str = ""
    status: int = 0
    scheme: str = ""
    host: str = ""
    foreign: bool = False

    @property
    def well(self) -> bool:
        return not self.problem and self.status == 200


def follow(url: str, domain: str, asker: Asker, way: Way) -> Visit:
    """Visit ``url`` and where it leads, at most ``HOPS`` times further."""
    foreign = False
    for _hop in range(HOPS + 1):
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if parts.scheme not in ("http", "https") or not host:
            return Visit("loop", foreign=foreign)
        foreign = foreign or not _same(host, domain)
        problem, status, target = _get(parts.scheme, host, parts.path or "/", asker, way)
        if problem or status not in (301, 302, 303, 307, 308) or not target:
            return Visit(problem, status, parts.scheme, host, foreign)
        try:
            url = urljoin(url, target)
        except ValueError:  # an address that none can be
            return Visit("loop", foreign=foreign)
    return Visit("loop", foreign=foreign)


def _same(host: str, domain: str) -> bool:
    return host in (domain, f"www.{domain}") or host.endswith(_FRIENDS)


def _get(scheme: str, host: str, path: str, asker: Asker, way: Way) -> tuple[str, int, str]:
    """(problem, status, Location)."""
    addresses = sorted(asker.addresses(host), key=lambda one: ":" in one)
    allowed = [one for one in addresses if way.private or public.is_public(public.reached(one))]
    if not allowed:
        return ("private" if addresses else "silent"), 0, ""
    secure = scheme == "https"
    connection = http.client.HTTPConnection(
        host, way.https_port if secure else way.http_port, timeout=VISIT_S
    )
    try:
        raw: socket.socket = socket.create_connection((allowed[0], connection.port), VISIT_S)
        connection.sock = raw
        if secure:
            context = ssl.create_default_context()
            if way.authorities:
                context.load_verify_locations(cafile=way.authorities)
            connection.sock = context.wrap_socket(raw, server_hostname=host)
        connection.request("GET", path, headers={"Host": host, "User-Agent": "Beffroi"})
        answer = connection.getresponse()
        return "", answer.status, answer.headers.get("Location", "")
    except ssl.SSLCertVerificationError:
        return "certificate", 0, ""
    except (OSError, ValueError, http.client.HTTPException):
        return "silent", 0, ""
    finally:
        connection.close()


def look(domain: str, asker: Asker, way: Way) -> dict[str, tuple[str, str]]:
    """item -> (state, code); an empty one where no site is there."""
    if not asker.addresses(domain) and not asker.addresses(f"www.{domain}"):
        return {}
    plain = follow(f"http://{domain}/", domain, asker, way)
    bare = follow(f"https://{domain}/", domain, asker, way)
    www = follow(f"https://www.{domain}/", domain, asker, way)
    first = bare if bare.well or not www.well else www
    return {
        "site_https": _state(first, first.well and first.scheme == "https", "not_answering"),
        "site_http": _state(plain, plain.well and plain.scheme == "https", "not_https"),
        "site_certificate": _state(first, first.problem != "certificate", "certificate"),
        "site_same": _state(first, not first.foreign, "foreign"),
        "site_www": _state(first, bare.well and www.well and not (bare.foreign or www.foreign), "one_only"),
    }


def _state(visit: Visit, good: bool, code: str) -> tuple[str, str]:
    if visit.problem in ("silent", "private"):
        return "unknown", "unanswered"
    return ("ok", "ok") if good else ("warn", code)
