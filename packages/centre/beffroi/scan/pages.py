"""What a page says, without its tags, where it leads, and what it makes files of. Pure, and for hostile pages: nothing
is parsed or run."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from html import unescape
from itertools import chain, islice
from urllib.parse import unquote, urljoin

from beffroi.scan import composed, computed, scripts

MARKUP = re.compile(
    r"<(?:\w{1,40}:)?(?:a|area|asx|base|body|button|form|head|iframe|img|meta|script|svg)[\s/>]|<\?xml-stylesheet\s",
    re.I,
)
"""A browser shows what has a page's name as a page, whatever it begins with."""
_BASE = re.compile(
    r"""<base\s(?:[^<>]{0,300}?[\s"'/])?href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
_UNSEEN = re.compile(r"<(script|style)\b[^<>]*>[^<]*", re.I)
_TAGS = re.compile(r"<[^<>]*>")
_FOLLOWED = re.compile(
    r"""(?:href|action|location|[;,]\s*url)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""",
    re.IGNORECASE,
)
"""What a browser follows, as the mail door reads it of a mail's own text (beffroi-links.lua)."""
_SET = re.compile(r"""<(?:set|animate)\s[^<>]*?\b(?:to|values)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.I)
"""Where a link of SVG leads in the end."""
_FRAMES = re.compile(
    r"""<(?:i?frame|embed|object)\b[^<>]*?\s(?:src|data)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I
)
SCRIPT, _SCRIPT_END = (
    re.compile(r"<(?:\w{1,40}:)?script\b[^<>]*>", re.I),
    re.compile(r"</(?:\w{1,40}:)?script", re.I),
)
_HANDLERS = re.compile(r"""\son[a-z]+\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>][^\s>]*))""", re.I)
_OWN_DATA = re.compile(
    r"""(?:src|href|url)\s*=\s*["']?\s*data:(?!image/(?!svg))([^,"'<>]{0,99}),([^"'<>\s]*)""", re.IGNORECASE
)
"""A script, or a page, that stands in an address."""
_QUOTED = re.compile(r"""["'`]\s*((?:https?:\\?/\\?/|(?:search-ms|search|ms-[a-z-]+):)[^"'`\s<>]+)""", re.I)
_SUPPLIES = re.compile(r"\.(?:m?js|css|json|png|jpe?g|gif|svg|ico|webp|woff2?|ttf)(?:[?#].*)?$", re.I)
"""What a script loads, and nobody is led to: libraries, logos."""
_ENCODED = re.compile(r"(?:aHR0c(?:HM6L|DovL)|YUhSMGN)[\w+/-]*", re.ASCII)
"""``https:/`` or ``http:/`` and what follows, in base64, once or twice."""
_BACKWARDS, _MOST_BACKWARDS = re.compile(r"L(?:6MH|voD)c0RHa"), 2048
"""The same from its end."""
_WEB = re.compile(r"https?://[^\s\0<>\"']+", re.I)
_HEX = re.compile(r"68747470(?:73)?3a2f(?:[0-9a-f]{2})+", re.IGNORECASE)
"""The same by the numbers of its signs."""
_WIDE = re.compile(r"%u([0-9a-f]{4})", re.IGNORECASE)
_ASKS_FOR_CODE = re.compile(
    r"""\ssrc\s*=\s*["']?(https?:(?=[^\s"'<>]*qr)[^\s"'<>]*?[?&;]\w+=(https?[:%&][^\s"'<>#]*)[^\s"'<>]*)""",
    re.I,
)
"""A picture that a service draws as a QR code: from its address, as beffroi-links.lua reads it of a mail's own text."""
_ESCAPED = re.compile(r"""(?:unescape|decodeURI(?:Component)?)\(\s*["'`]([^"'`]*)["'`]""")
_CARRIED = re.compile(
    r"(?<![\w+/])(?:UEsDB|TV[opqr]|N3q8r|UmFyIR|JVBERi|0M8R4K|TVNDR|H4sI|TAAAAAEUAg|PGh0bW|PEhUTU|PHNjcm|PHN2Zy|PCFET0|PCFkb2)"
    r"[\w+/]{60,}",
    re.ASCII,
)
"""Archives, programs, PDFs, old documents, shortcuts and pages, in base64: what a script hands to the reader as a file,
or writes in its own place."""
_PICTURE = re.compile(r"data:\s{0,9}image/[^,<>]{0,90}base64\s{0,9},([\w+/=\s]++)", re.I | re.ASCII)
_CALLED = re.compile(r"""download(?:\s*=\s*|["']\s*,\s*)["']([^"'<>]{1,255})["']""", re.I)
_MOST_CARRIED = 20
_NOT_BASE64 = re.compile(r"[^\w+/-]", re.ASCII)
_REMOVED = dict.fromkeys(map(ord, "\t\r\n"))


def said(page: str) -> str:
    return unescape(_TAGS.sub(" ", _UNSEEN.sub(" ", page)))


def links(page: str) -> Iterator[str]:
    """Each address that a browser would follow, without its place in a page; with repeats, of any scheme. Of scripts
    the addresses that they name, and those in base64."""
    begins = _BASE.search(page)
    base = _value(begins) if begins else ""
    for pattern in (_FOLLOWED, _FRAMES, _SET):
        for found in pattern.finditer(page):
            yield _based(base, _value(found))
    for script in chain.from_iterable(map(composed.spellings, _scripts(page))):
        for link in _QUOTED.findall(script):
            if not _SUPPLIES.search(plain := link.replace("\\", "")):
                yield plain
        yield from scripts.commanded(script)
        yield from _packed(script)
    yield from _packed(page)
    for escaped in _ESCAPED.findall(page):
        yield _unescaped(escaped)
    for _, asked in _ASKS_FOR_CODE.findall(page):
        yield unquote(unescape(asked).partition("&")[0])
    if SCRIPT.search(page):
        yield from computed.links(page)
    yield from scripts.commanded(unescape(page))


def _packed(page: str) -> Iterator[str]:
    """In base64, or by the numbers of its signs."""
    for token in _tokens(page):
        plain = decoded(token)
        if plain.startswith(b"aHR0c"):
            plain = decoded(plain.decode("ascii", "ignore"))
        yield from _WEB.findall(plain.decode("utf-8", "ignore"))[:1]
    for numbers in _HEX.findall(page):
        yield from _WEB.findall(bytes.fromhex(numbers).decode("utf-8", "ignore"))[:1]


def _unescaped(text: str) -> str:
    return unquote(_WIDE.sub(lambda found: chr(int(found[1], 16)), text))


def _tokens(page: str) -> Iterator[str]:
    yield from _ENCODED.findall(page)
    for found in islice(_BACKWARDS.finditer(page), _MOST_CARRIED):
        turned = page[max(0, found.end() - _MOST_BACKWARDS) : found.end()][::-1]
        yield _NOT_BASE64.split(turned, maxsplit=1)[0]


def _value(found: re.Match[str]) -> str:
    value = unescape(found[found.lastindex or 0]).translate(_REMOVED)
    return value.lstrip("".join(map(chr, range(33)))).partition("#")[0]


def _based(base: str, value: str) -> str:
    """Without a base what is relative leads to a file beside the page."""
    if not base or not value:
        return value
    try:
        return urljoin(base, value)
    except ValueError:
        return value


def carried(page: str) -> Iterator[tuple[str, bytes]]:
    """(name or "", content) of the files that it holds in base64, the first ones."""
    name = _CALLED.search(page)
    for found in islice(_CARRIED.finditer(page), _MOST_CARRIED):
        yield name[1] if name else "", decoded(found[0])
    for found in islice(_ESCAPED.finditer(page), _MOST_CARRIED):
        if MARKUP.search(plain := _unescaped(found[1])):
            yield "", plain.encode("utf-8", "replace")


def pictures(page: str) -> Iterator[bytes]:
    """That stand in it in base64, the first ones."""
    return (decoded(found[1]) for found in islice(_PICTURE.finditer(page), _MOST_CARRIED))


def _scripts(page: str) -> Iterator[str]:
    for begun in SCRIPT.split(page)[1:]:
        yield _SCRIPT_END.split(begun, maxsplit=1)[0]
    for one in _HANDLERS.finditer(page):
        yield unescape(one[one.lastindex or 0])
    for kind, data in islice(_OWN_DATA.findall(page), _MOST_CARRIED):
        if kind.lower().endswith("base64"):
            yield decoded(unquote(data)).decode("utf-8", "replace")
        else:
            yield unquote(data)


def decoded(token: str) -> bytes:
    """Of base64 in either spelling, however it ends."""
    token = _NOT_BASE64.sub("", token)
    whole = token[: -1 if len(token) % 4 == 1 else None].replace("-", "+").replace("_", "/")
    return b64decode(f"{whole}==")
