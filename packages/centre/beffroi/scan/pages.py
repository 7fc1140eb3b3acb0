"""What a page says, without its tags, and where it leads. Pure, and for hostile pages: nothing is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

_UNSEEN = re.compile(r"<(script|style)\b[^<>]*>[^<]*", re.I)
_TAGS = re.compile(r"<[^<>]*>")
_FOLLOWED = re.compile(
    r"""(?:href|action|location|[;,]\s*url)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
"""What a browser follows, as the mail door reads it of a mail's own text (beffroi-links.lua)."""
_REMOVED = dict.fromkeys(map(ord, "\t\r\n"))


def said(page: str) -> str:
    return unescape(_TAGS.sub(" ", _UNSEEN.sub(" ", page)))


def links(page: str) -> Iterator[str]:
    """Each address that a browser would follow, without its place in a page; with repeats, of any scheme."""
    for found in _FOLLOWED.finditer(page):
        value = unescape(found[found.lastindex or 0]).translate(_REMOVED)
        yield value.lstrip("".join(map(chr, range(33)))).partition("#")[0]
