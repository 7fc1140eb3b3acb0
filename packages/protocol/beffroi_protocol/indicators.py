"""Indicators in their one canonical spelling.

Purpose: two reports of the same thing must compare equal, and no engine may meet a value it would read
         differently (nft resolves a bad address as a host name).
Input:   hostile; every value goes through ``normalise`` before it is stored, signed or matched.
Rule:    a web address is read as a browser reads it (backslashes, encoded hosts, addresses in decimal):
         where two readers differ, a report could block an innocent host.
Source:  STIX 2.1 cyber-observables for the kinds; RFC 3986 section 6 and the WHATWG URL standard for web
         addresses; UTS 46 (non-transitional) for names.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from beffroi_protocol.errors import IndicatorInvalid

MAX_VALUE_BYTES = 2048
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_LONGEST_NAME = 253
_CANONICAL_NAME = re.compile(
    rf"(?:{_LABEL.pattern}\.)+(?!(?:[0-9]+|0x[0-9a-f]*)\Z){_LABEL.pattern}", re.ASCII
)
"""What ``_domain`` would leave as it is: most names of a list, at a tenth of the cost."""
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SKETCH = re.compile(r"[0-9a-f]{16,256}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_SCHEME = re.compile(r"(https?):[/\\]*", re.ASCII | re.IGNORECASE)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_IGNORED = re.compile("[\u00ad\u034f\u180b-\u180d\u180f\u200b\u2060\u2064\ufe00-\ufe0f\ufeff]")
"""Signs of a name that nobody sees and UTS 46 leaves out."""
_DOTS = re.compile("[\u3002\uff0e\uff61]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_KEPT_IN_PATH = "%/:@!$&'()*+,;=~-._[]|^"
_KEPT_IN_QUERY = _KEPT_IN_PATH + "?{}`"
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
    """Return the canonical Indicator; a network of one address becomes that address. Errors: IndicatorInvalid."""
    if kind is Kind.DOMAIN and len(value) <= _LONGEST_NAME and _CANONICAL_NAME.fullmatch(value):
        return Indicator(Kind.DOMAIN, value)
    # A door asks for the address and the sender of one mail a dozen times: each table, list and rule reads it anew.
    return _lately(kind, value) if len(value) <= _LONGEST_NAME else _normalised(kind, value)


def _normalised(kind: Kind | str, value: str) -> Indicator:
    try:
        known = Kind(kind)
    except ValueError:
        raise IndicatorInvalid(kind, "unknown kind") from None
    text = value.strip()
    if not text or len(text.encode("utf-8", "surrogatepass")) > MAX_VALUE_BYTES:
        raise IndicatorInvalid(known, "empty or too long")
    try:
        canonical = _CANONICAL[known](text)
        if len(canonical.encode()) > MAX_VALUE_BYTES:
            raise ValueError("too long")
    except (ValueError, UnicodeError):
        raise IndicatorInvalid(known, text[:80].encode("ascii", "backslashreplace").decode()) from None
    if known is Kind.CIDR and (single := _single_address(canonical)):
        return Indicator(Kind.IP, single)
    return Indicator(known, canonical)


_lately = lru_cache(1024)(_normalised)


def is_canonical(indicator: Indicator) -> bool:
    """True when ``normalise`` would leave it as it is: what an engine may be given."""
    try:
        return normalise(indicator.kind, indicator.value) == indicator
    except IndicatorInvalid:
        return False


def registered_names(name: str) -> list[str]:
    """Return ``name`` and each of its parent names, longest first: a.b.c -> [a.b.c, b.c, c]."""
    names, at = [name], name.find(".")
    while at >= 0:
        names.append(name[at + 1 :])
        at = name.find(".", at + 1)
    return names


def _ip(text: str) -> str:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    if getattr(address, "scope_id", None):
        raise ValueError("scoped address")
    return str(mapped or address)


def _cidr(text: str) -> str:
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network):
        if getattr(network.network_address, "scope_id", None):
            raise ValueError("scoped network")
        if network.prefixlen >= 96 and (mapped := network.network_address.ipv4_mapped) is not None:
            return f"{mapped}/{network.prefixlen - 96}"
    return str(network)


def _single_address(cidr: str) -> str:
    network = ipaddress.ip_network(cidr)
    return str(network.network_address) if network.num_addresses == 1 else ""


def _domain(text: str) -> str:
    name = ".".join(_label(label) for label in _DOTS.sub(".", text).removesuffix(".").split("."))
    if (
        len(name) > _LONGEST_NAME
        or "." not in name
        or not all(_LABEL.fullmatch(label) for label in name.split("."))
    ):
        raise ValueError("not a host name")
    if _NUMBER.fullmatch(name.rsplit(".", 1)[1]):
        raise ValueError("an address, not a name")
    return name


def _label(label: str) -> str:
    """To ASCII as browsers do. Python's own codec reads sharp s as ss: another, innocent name."""
    if label.isascii():
        return label.lower()
    mapped = unicodedata.normalize("NFKC", _IGNORED.sub("", label.lower())).lower()
    mapped = unicodedata.normalize("NFC", mapped)
    if mapped.isascii():
        return mapped
    if not all(c == "-" or unicodedata.category(c)[0] in "LMN" for c in mapped):
        raise ValueError("not a letter")
    return "xn--" + mapped.encode("punycode").decode("ascii")


def _url(text: str) -> str:
    before, mark, after = _split_at_query(_strip_controls(text))
    scheme, found = _SCHEME.match(before), before.replace("\\", "/")
    if scheme is None:
        raise ValueError("not a web address")
    name = str(scheme[1]).lower()
    parts = urlsplit(f"{name}://{found[scheme.end() :]}{mark}{after}")
    if "[" in parts.netloc and ":" not in (parts.hostname or ""):
        raise ValueError("brackets without an address")
    host = _host(parts.hostname or "")
    port = parts.port
    netloc = host if port in (None, _DEFAULT_PORTS[name]) else f"{host}:{port}"
    path = _without_dots(_escaped(parts.path, _KEPT_IN_PATH)) or "/"
    # urlunsplit would read a path that begins with two slashes as a host.
    return urlunsplit((name, netloc, path, _escaped(parts.query, _KEPT_IN_QUERY), ""))


def _strip_controls(text: str) -> str:
    return text.strip("".join(map(chr, range(33)))).translate({9: None, 10: None, 13: None})


def _split_at_query(text: str) -> tuple[str, str, str]:
    """Split before the first ? or #: only before it is a backslash a slash."""
    at = min((i for i in (text.find("?"), text.find("#")) if i >= 0), default=len(text))
    return text[:at], text[at : at + 1], text[at + 1 :]


def _host(text: str) -> str:
    host = unquote(text, errors="strict") if "%" in text else text
    if ":" in host:
        address = _ip(host)
        return f"[{address}]" if ":" in address else address
    host = _DOTS.sub(".", host).removesuffix(".")
    if _NUMBER.fullmatch(unicodedata.normalize("NFKC", host).lower().rsplit(".", 1)[-1]):
        return _old_ipv4(unicodedata.normalize("NFKC", host).lower())
    return _domain(host)


def _old_ipv4(text: str) -> str:
    """Read 2130706433, 0x7f.1 and 0177.0.0.1 as browsers do."""
    parts = text.split(".")
    if len(parts) > 4 or any(len(p) > 20 or not _NUMBER.fullmatch(p) for p in parts):
        raise ValueError("not an address")
    numbers = [_old_number(p) for p in parts]
    if any(n > 255 for n in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        raise ValueError("not an address")
    high = sum(n << (24 - 8 * i) for i, n in enumerate(numbers[:-1]))
    return str(ipaddress.IPv4Address(high + numbers[-1]))


def _old_number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if len(text) > 1 and text.startswith("0") else 10)


def _escaped(text: str, kept: str) -> str:
    """One spelling of escapes: upper case, and none where none is needed."""
    return quote(_ESCAPE.sub(_unescape, text), safe=kept)


def _unescape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else f"%{match[1].upper()}"


def _without_dots(path: str) -> str:
    """Remove . and .. segments (RFC 3986 section 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for i, segment in enumerate(segments):
        last = i == len(segments) - 1
        if segment == "..":
            del kept[-1:]
        if segment not in (".", ".."):
            kept.append(segment)
        elif last:
            kept.append("")
    return "/" + "/".join(kept)


def _sha256(text: str) -> str:
    digest = text.lower()
    if not _SHA256.fullmatch(digest):
        raise ValueError("not a SHA-256")
    return digest


def _sender(text: str) -> str:
    local, at, domain = text.strip("<>").rpartition("@")
    if not at or not local or any(c.isspace() or unicodedata.category(c)[0] == "C" for c in local):
        raise ValueError("not an address")
    return f"{unicodedata.normalize('NFC', local.lower())}@{_domain(domain)}"


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
