"""Where a web address leads on to: the addresses of others that it carries. Pure.

Purpose: a link to a search engine, a translator or a filter of mail goes on to the place that it names, and is another
         one for each reader. What is blocked, and evidence, is that place.
Hostile: the address. What it carries counts as a link of the mail would, neither more nor less.
Limits:  what the service alone can look up (short addresses, numbers of trackers) or decrypt.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

MAX_DEPTH, MAX_CARRIED = 3, 8
_WEB = re.compile(r"https?:/", re.IGNORECASE)
_BASE64 = re.compile(r"aHR0c(?:HM6L|DovL)[\w+/-]*", re.ASCII)
"""``https:/`` or ``http:/`` and what follows: Bing, trackers."""
_SAME_SCHEME = re.compile(r"(?:^|=)(//[\w-]+(?:\.[\w-]+)+(?:[/?#:].*)?)\Z")
"""As DoubleClick takes its ``adurl``."""
_AMP = re.compile(r"(?:^|[/=])(?:amp|[cv])/(s/)?([^/?&]+\.[^?&]+)")


def led_on(url: str, fragment: str = "") -> list[str]:
    """The addresses that ``url`` carries, and that these carry, each once, as they are written; at most
    ``MAX_CARRIED``. ``url``: canonical; ``fragment``: what stood behind its "#", which scripts of the page read."""
    found: dict[str, None] = {}
    around = [f"{url}#{fragment}"]
    for _ in range(MAX_DEPTH):
        inner = [one for outer in around for one in _carried(outer) if one not in found]
        around = inner[: MAX_CARRIED - len(found)]
        found |= dict.fromkeys(around)
    return list(found)


def _carried(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    host, path = parts.hostname or "", unquote(parts.path)
    behind = f"?{parts.query}" if parts.query else ""
    if at := _WEB.search(path):
        # Proofpoint writes "__https://...__;", then what it keeps for itself.
        yield (path[at.start() :] + behind).partition("__;")[0]
    pieces = parts.query.split("&")
    for piece in (*pieces, *parts.fragment.split("&")):
        plain = _readable(piece)
        if at := _WEB.search(plain):
            yield plain[at.start() :]
        elif beside := _SAME_SCHEME.search(plain):
            yield f"https:{beside[1]}"
        elif "-3A__" in piece:  # Proofpoint, as it wrote before
            yield unquote(piece.partition("=")[2].replace("_", "/").replace("-", "%"))
    for piece in (*parts.path.split("/"), *pieces):
        for token in _BASE64.findall(unquote(piece)):
            yield _decoded(token)
    if host.endswith(".translate.goog"):
        name = host.removesuffix(".translate.goog").replace("--", "\0").replace("-", ".").replace("\0", "-")
        kept = "&".join(piece for piece in pieces if not piece.startswith("_x_tr_"))
        yield f"https://{name}{parts.path}" + (f"?{kept}" if kept else "")
    is_amp = host.startswith("www.google.") or host.endswith(".cdn.ampproject.org")
    if is_amp and (amp := _AMP.search(path + unquote(behind))):
        yield f"http{'s' if amp[1] else ''}://{amp[2]}"


def _readable(piece: str) -> str:
    """A service that hands it to the next one has it in percents once more. No further than needed: an address may have
    some of its own."""
    for _ in range(MAX_DEPTH):
        piece = unquote(piece)
        if _WEB.search(piece) or "%" not in piece:
            break
    return piece


def _decoded(token: str) -> str:
    whole = token[: -1 if len(token) % 4 == 1 else None].replace("-", "+").replace("_", "/")
    return b64decode(f"{whole}==").decode("utf-8", "ignore")
