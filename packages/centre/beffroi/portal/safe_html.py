"""A mail's HTML made harmless: no script, no style, no form, nothing loaded, links that say where they lead.

Process: web.
Input:   hostile. nh3 (ammonia) parses like a browser and writes well-formed HTML from an allow-list; what is
         added afterwards is our own text, escaped. The result is still shown in a sandboxed frame of an opaque
         origin with ``default-src 'none'``: each of the three walls is enough alone.
         ``tame_html`` comes before, so that no shape of a mail costs more than its length.
Fails:   closed: what is not on the list is dropped.
Source:  https://nh3.readthedocs.io/ ; https://html.spec.whatwg.org/#attr-iframe-sandbox
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape, unescape
from html.parser import HTMLParser
from unicodedata import normalize
from urllib.parse import unquote

import nh3
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from django.utils.translation import gettext as _

from beffroi.lib.unseen import DIRECTION, TURNING, ZERO_WIDTH
from beffroi.mail.gate import wrapped
from beffroi.portal.link_target import host_name, target
from beffroi.portal.tame_html import bounded

MAX_LINKS = 200
MAX_PICTURES = 30
# fmt: off
_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup", "dd",
    "del", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "i", "img", "ins", "li", "ol", "p", "pre", "q", "s", "small", "span", "strike", "strong", "sub",
    "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul",
}
# fmt: on
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align"},
    "ol": {"start"},
}
_CLEAN_CONTENT = {
    "script",
    "style",
    "title",
    "head",
    "noscript",
    "template",
    "iframe",
    "object",
    "svg",
    "math",
}
_INLINE_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]{1,400000}", re.ASCII)
_OWN_PICTURE = re.compile(r"""\bcid:([^"'\s<>]{1,250})""", re.IGNORECASE)
_UNSEEN = re.compile(f"[{ZERO_WIDTH}{DIRECTION}{TURNING}]")
_ADDRESS = re.compile(r"[^\s@/]+@[^\s@/]+")
_NAMES = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_LAST_NAME = re.compile(r"[a-z]{2,24}\b", re.IGNORECASE)

STYLE = (
    "body{margin:16px;font:16px/1.5 system-ui,sans-serif;color:#1d2733;background:#fff;overflow-wrap:anywhere}"
    "table{max-width:100%}pre{white-space:pre-wrap}img{max-width:100%;height:auto}"
    "blockquote{margin:0 0 0 8px;padding-left:12px;border-left:2px solid #e4dfd5}"
    ".beffroi-lien{font-size:14px;color:#5b6b7d}.beffroi-faux{color:#8f3421;font-weight:700}"
)
STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
"""For ``style-src`` of the frame: our style and no other."""


@dataclass(frozen=True)
class Link:
    """``shown_host``: the host that the text names when the link leads to another, else "". ``onward``: hosts of other
    addresses that it carries: a search engine, a filter of mail, or a tracker goes on there."""

    text: str
    url: str
    host: str
    shown_host: str = ""
    onward: tuple[str, ...] = ()

    @property
    def deceptive(self) -> bool:
        return bool(self.shown_host)


@dataclass(frozen=True)
class SafeMail:
    """``document``: a whole page for the frame. ``blocked_images``: pictures that would have been fetched."""

    document: str
    links: tuple[Link, ...]
    blocked_images: int


def clean(hostile: str, pictures: Mapping[str, str] | None = None) -> SafeMail:
    """Make the HTML of a mail harmless. ``pictures``: those of the mail itself, Content-ID -> a data: address."""
    blocked = 0

    def keep(tag: str, attribute: str, value: str) -> str | None:
        nonlocal blocked
        if value[:4].lower() == "cid:":
            return (pictures or {}).get(unquote(value[4:])) if attribute == "src" else None
        if tag == "img" and attribute == "src" and not _INLINE_IMAGE.fullmatch(value):
            blocked += 1
            return None
        if tag == "a" and attribute == "href":
            # What the page says of the link and what the browser opens are one text.
            led = target(value)
            return led.url if led else None
        return value

    body = nh3.clean(
        bounded(hostile, _TAGS | _CLEAN_CONTENT, _ATTRIBUTES),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        clean_content_tags=_CLEAN_CONTENT,
        url_schemes={"http", "https", "mailto", "data", "cid"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        attribute_filter=keep,
        strip_comments=True,
    )
    writer = _LinkWriter()
    writer.feed(body)
    writer.close()
    document = (
        '<!doctype html><html lang="fr"><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(_('Contenu du courriel'))}</title><style>{STYLE}</style></head>"
        f"<body>{writer.text}</body></html>"
    )
    return SafeMail(document, tuple(writer.links), blocked)


def pictures_in(hostile: str) -> frozenset[str]:
    """The Content-IDs of the pictures that a mail's HTML shows."""
    found = dict.fromkeys(unquote(unescape(one)) for one in _OWN_PICTURE.findall(hostile))
    return frozenset(list(found)[:MAX_PICTURES])


def links_in_text(text: str) -> tuple[Link, ...]:
    """The web addresses of a plain-text mail; they show what they are."""
    found = re.findall(r"https?://[^\s<>\"'\u00a0]{1,2000}", text)[:MAX_LINKS]
    return tuple(Link(url, url, host_of(url), onward=onward(url)) for url in dict.fromkeys(found))


def words_in(hostile: str) -> str:
    """The words of a mail that has HTML only, line by line."""
    lines = re.sub(r"(?i)<br\s*/?>|</(?:p|div|tr|li|h[1-6])>", "\n", hostile[:500_000])
    bare = unescape(
        nh3.clean(bounded(lines, _CLEAN_CONTENT, {}), tags=set(), clean_content_tags=_CLEAN_CONTENT)
    )
    return re.sub(r"\n\s*\n\s*\n+", "\n\n", re.sub(r"[ \t]+", " ", bare)).strip()


def host_of(url: str) -> str:
    """As a browser reads it; "" for what leads to none."""
    led = target(url)
    return led.host if led else ""


def onward(url: str) -> tuple[str, ...]:
    """The hosts to which its own host may go on, each once. All of them: whoever writes a link may carry an honest
    address along."""
    try:
        carried = wrapped.led_on(normalise(Kind.URL, url).value, url.partition("#")[2])
    except IndicatorInvalid:
        return ()
    hosts = dict.fromkeys(map(host_of, carried))
    return tuple(host for host in hosts if host and host != host_of(url))


def imitated_host(text: str, host: str) -> str:
    """The host that the visible text names, if it is neither the target nor above or below it; else ""."""
    # Dots of other scripts, and leaders, look like one, and browsers take most of them for one.
    visible = normalize("NFKC", _UNSEEN.sub("", text)).replace("\u3002", ".").strip()
    if not host or _ADDRESS.fullmatch(visible):
        return ""
    shown = next(filter(None, map(_host_in, re.split(r"[\s/]+", visible))), "").removeprefix("www.")
    if not shown:
        return ""
    # Compared as they are asked of DNS: letters with accents are written in two ways.
    name, led = host_name(shown) or shown, host.removeprefix("www.")
    same = led == name or led.endswith("." + name) or name.endswith("." + led)
    return "" if same else shown


def _host_in(word: str) -> str:
    """The host in a word, behind a name and a password; "" without one. Takes time by the word's length: a mail may
    have words of a megabyte."""
    for piece in reversed(word.split("@")):
        for names in _NAMES.findall(piece):
            labels = names.lower().split(".")
            for at in range(len(labels) - 1, 0, -1):
                if last := _LAST_NAME.match(labels[at]):
                    return ".".join([*labels[:at], last[0]])
    return ""


def _missing(alternative: str) -> str:
    """Stands for a picture that was not loaded. ``alternative`` is hostile text."""
    words = (
        _("image non chargée : %(text)s") % {"text": alternative} if alternative else _("image non chargée")
    )
    return f'<span class="beffroi-lien">[{escape(words)}]</span>'


class _LinkWriter(HTMLParser):
    """Writes nh3's own output again, and at the end of each link the host it leads to."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.links: list[Link] = []
        self._out: list[str] = []
        self._url: str | None = None
        self._words: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._out)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            url = dict(attrs).get("href") or ""
            if not url:
                self._out.append("<a>")
                return
            self._url, self._words = url, []
        if tag == "img" and not dict(attrs).get("src"):
            alternative = dict(attrs).get("alt") or ""
            self._words.append(alternative)  # shown in the picture's place
            self._out.append(_missing(alternative))
            return
        self._out.append(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._url is not None:
            # Inside the link: who goes through the links by keyboard or by ear meets its target with its name.
            self._note(self._url, " ".join("".join(self._words).split()))
            self._url = None
        self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._words.append(data)
        self._out.append(data if "<" not in data else escape(data, quote=False))

    def handle_entityref(self, name: str) -> None:
        self._words.append(unescape(f"&{name};"))
        self._out.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._words.append(unescape(f"&#{name};"))
        self._out.append(f"&#{name};")

    def _note(self, url: str, text: str) -> None:
        host = host_of(url)
        if not host:
            return
        false, led_on = imitated_host(text, host), onward(url)
        if false or len(self.links) < MAX_LINKS:  # two hundred honest ones in front hide none
            self.links.append(Link(text or url, url, host, false, led_on))
        style = "beffroi-lien beffroi-faux" if false else "beffroi-lien"
        words = (_("mène en réalité à %(host)s") if false else _("mène à %(host)s")) % {"host": host}
        if led_on:
            words += _(", qui renvoie vers %(hosts)s") % {"hosts": ", ".join(led_on)}
        self._out.append(f' <span class="{style}">[{escape(words)}]</span>')
