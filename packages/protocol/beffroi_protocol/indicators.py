"""Indicators in their one canonical spelling.

Purpose: two reports of the same thing must compare equal, and no engine may meet a value it would read
         differently (nft resolves a bad address as a host name).
Input:   hostile; every value goes through ``normalise`` before it is stored, signed or matched.
Source:  STIX 2.1 cyber-observables for the kinds; RFC 3986 section 6 for URLs; RFC 5891 for names.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

import msgspec

from beffroi_protocol.errors import IndicatorInvalid

MAX_VALUE_BYTES = 2048
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SKETCH = re.compile(r"[0-9a-f]{16,256}", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Kind(StrEnum):
    IP = "ip"
    CIDR = "cidr"
    DOMAIN = "domain"
    URL = "url"
    SHA256 = "sha256"
    SENDER = "sender"
    SKETCH = "sketch"


class Indicator(msgspec.Struct, frozen=True, order=True):
    """What a decision is about. ``value`` is canonical: build with ``normalise``."""

    kind: Kind
    value: str


def normalise(kind: Kind | str, value: str) -> Indicator:
    """Return the canonical Indicator. Errors: IndicatorInvalid."""
    try:
        known = Kind(kind)
    except ValueError:
        raise IndicatorInvalid(kind, "unknown kind") from None
    text = value.strip()
    if not text or len(text.encode("utf-8", "surrogatepass")) > MAX_VALUE_BYTES:
        raise IndicatorInvalid(known, "empty or too long")
    try:
        return Indicator(known, _CANONICAL[known](text))
    except (ValueError, UnicodeError):
        raise IndicatorInvalid(known, text[:80].encode("ascii", "backslashreplace").decode()) from None


def registered_names(name: str) -> list[str]:
    """Return ``name`` and each of its parent names, longest first: a.b.c -> [a.b.c, b.c, c]."""
    labels = name.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]


def _ip(text: str) -> str:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    if getattr(address, "scope_id", None):
        raise ValueError("scoped address")
    return str(mapped or address)


def _cidr(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))


def _domain(text: str) -> str:
    name = text.rstrip(".").lower()
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    if len(name) > 253 or "." not in name or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("not a host name")
    if name.rsplit(".", 1)[1].isdigit():
        raise ValueError("an address, not a name")
    return name


def _url(text: str) -> str:
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not a web address")
    try:
        host = _ip(parts.hostname)
        host = f"[{host}]" if ":" in host else host
    except ValueError:
        host = _domain(parts.hostname)
    port = parts.port
    netloc = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    return urlunsplit((scheme, netloc, parts.path or "/", parts.query, ""))


def _sha256(text: str) -> str:
    digest = text.lower()
    if not _SHA256.fullmatch(digest):
        raise ValueError("not a SHA-256")
    return digest


def _sender(text: str) -> str:
    local, at, domain = text.strip("<>").rpartition("@")
    if not at or not local or any(c.isspace() or ord(c) < 32 for c in local):
        raise ValueError("not an address")
    return f"{local.lower()}@{_domain(domain)}"


def _sketch(text: str) -> str:
    digest = text.lower()
    if not _SKETCH.fullmatch(digest):
        raise ValueError("not a sketch")
    return digest


_CANONICAL = {
    Kind.IP: _ip,
    Kind.CIDR: _cidr,
    Kind.DOMAIN: _domain,
    Kind.URL: _url,
    Kind.SHA256: _sha256,
    Kind.SENDER: _sender,
    Kind.SKETCH: _sketch,
}
