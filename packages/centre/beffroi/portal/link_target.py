"""Where a link of a mail leads, as a browser reads it. Pure.

Purpose: a page that says "leads to ..." must mean the host that the browser opens. Browsers read addresses by rules of
         their own: a backslash is a slash, one slash after the scheme is as good as two, a host may be percent-encoded,
         in wide letters, or one number. So the address is written again in the one form that nobody reads otherwise,
         and that form is what the page links to.
Input:   hostile.
Fails:   closed: None for what has no such form; the text stays, without a link.
Source:  https://url.spec.whatwg.org/ (host parser, special schemes).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import idna

MAX_CHARS = 8000
_SCHEME = re.compile(r"(https?|mailto):|(?=[\\/]{2})", re.IGNORECASE)
_ENDS = "".join(map(chr, range(0x21)))
_REMOVED = dict.fromkeys(map(ord, "\t\r\n"))
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"0*[0-9]{1,5}")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")


@dataclass(frozen=True)
class Target:
    """``url``: to be linked to; ``host``: in ASCII and lower case, "" for an address of mail."""

    url: str
    host: str


def target(url: str) -> Target | None:
    """None: neither web nor mail, relative (a mail has no place of its own), or of no host that exists."""
    text = url.strip(_ENDS).translate(_REMOVED)
    scheme = _SCHEME.match(text)
    if scheme is None or len(text) > MAX_CHARS:
        return None
    name, rest = (scheme[1] or "https").lower(), text[scheme.end() :]
    if name == "mailto":
        return Target(f"mailto:{_encoded(rest)}", "")
    before, mark, after = (*re.split("([?#])", rest, maxsplit=1), "", "")[:3]
    authority, _, path = before.replace("\\", "/").lstrip("/").partition("/")
    # Name and password in an address are there to be taken for its host.
    place = authority.rpartition("@")[2]
    bare, colon, port = place.rpartition(":") if re.search(r":[0-9]*$", place) else (place, "", "")
    host = host_name(bare)
    if not host or (port and not (_PORT.fullmatch(port) and int(port) < 65536)):
        return None
    shown = f"[{host}]" if ":" in host else host
    kept = f":{int(port)}" if colon and port else ""
    return Target(f"{name}://{shown}{kept}/{_encoded(path)}{mark}{_encoded(after)}", host.rstrip("."))


def _encoded(text: str) -> str:
    """Without signs that end an attribute, or that one program reads otherwise than the next."""
    return _UNSAFE.sub(lambda sign: f"%{ord(sign[0]):02X}", text)


def host_name(text: str) -> str:
    """A host as it is written: in ASCII and lower case; a number is an address of IPv4. "" for none."""
    if text.startswith("["):
        try:
            return ipaddress.IPv6Address(text.removeprefix("[").removesuffix("]")).compressed
        except ValueError:
            return ""
    try:
        name = unquote_to_bytes(text).decode("utf-8")
        # Plain names may hold an underscore, which IDNA forbids and browsers do not mind.
        ascii_name = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
    except (ValueError, UnicodeError):
        return ""
    if not _HOST.fullmatch(ascii_name):
        return ""
    if _NUMBER.fullmatch(ascii_name.rstrip(".").rpartition(".")[2]):
        try:
            return socket.inet_ntoa(socket.inet_aton(ascii_name.rstrip(".")))
        except OSError:
            return ""
    return ascii_name
