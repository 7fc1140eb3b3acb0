"""What a page says, without its tags. Pure, and for hostile pages: nothing is parsed."""

from __future__ import annotations

import re
from html import unescape

_UNSEEN = re.compile(r"<(script|style)\b[^<>]*>[^<]*", re.I)
_TAGS = re.compile(r"<[^<>]*>")


def said(page: str) -> str:
    return unescape(_TAGS.sub(" ", _UNSEEN.sub(" ", page)))
