"""What was found in one file so far, bounded: it becomes the report. Pure.

Hostile: the content of everything; each list ends at the length that ``values`` names for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import chain
from urllib.parse import unquote

from beffroi.scan import kinds, scripts, values
from beffroi.scan.values import Report

_WEB = re.compile(r"[\0- ]*https?:", re.IGNORECASE)
_ELSEWHERE = re.compile(r"[\0- ]*(?:(?!mailto:|data:|javascript:)[a-z][\w+.-]+:|\\\\)", re.IGNORECASE)
"""What Windows hands to another program, with the address to open ("ms-word:ofe|u|https:…", "search-ms:…"); a share."""
_OF_PROGRAM = re.compile(
    r"[\0- ]*(?!file:|android-app:)[\w+.-]+:[/\\]{2}([\w-]+\.[\w.-]+[^\s\"'<>]*)", re.IGNORECASE
)
"""A host that another program asks ("smb://host/a"): the box blocks its name."""
_CALENDAR = re.compile(r"[\0- ]*webcals?:", re.IGNORECASE)
"""One that is subscribed to."""
_HOST = re.compile(r"\s*//[\w-]+\.\w")
"""The scheme is that of the page."""


def _places(link: str) -> Iterable[str]:
    """Web addresses that a link has in it, or is one itself."""
    if _WEB.match(link):
        return (link,)
    if _CALENDAR.match(link):
        return (_CALENDAR.sub("https:", link),)
    if _ELSEWHERE.match(link):
        plain = unquote(link[: values.MAX_LINK])
        found = list(scripts.addresses(plain))
        beyond = [] if found else [f"http://{one[1]}" for one in [_OF_PROGRAM.match(plain)] if one]
        return found or beyond
    return (f"https:{link.lstrip()}",) if _HOST.match(link) else ()


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Findings:
    """``is_whole``: nothing was left out so far. ``text_left``: signs of text for which there is room."""

    def __init__(self) -> None:
        self.is_whole = True
        self.text_left = values.MAX_TEXT
        self._found: dict[str, set[str]] = {}
        self._text: list[str] = []
        self._links: dict[str, None] = {}
        self._links_left = values.MAX_LINKS_TEXT
        self._more_links = False
        self._in_codes: dict[str, None] = {}
        self._malware, self._carriers, self._carried = (dict[str, None]() for _ in range(3))
        """SHA-256 of files and normal forms in it that are malware themselves, in which something was found, and of
        others."""
        self._is_malware = [False]
        """Whether the file that is looked at, and those around it, is malware itself, without what is in each."""

    def add(self, code: str, detail: str = "") -> None:
        self._is_malware[-1] |= code == kinds.MALWARE
        details = self._found.setdefault(code, set())
        if detail:
            details.add(detail)

    def begin(self) -> None:
        """From now on it is about a file inside."""
        self._is_malware.append(False)

    def end(self, data: bytes | None, is_carrier: bool) -> None:
        """Of what ``begin`` began. ``data``: it, where it is known by its hash."""
        is_malware = self._is_malware.pop()
        if data is not None:
            self._keep(data, self._malware if is_malware else self._carriers if is_carrier else self._carried)

    def carries(self, data: bytes) -> None:
        """A part in which something was found, and that is looked at as no file of its own."""
        self._keep(data, self._carriers)

    def has_form(self, form: str) -> None:
        """The normal form of what is looked at: as such, or beside what is in it. "" is none."""
        hashes = self._malware if self._is_malware[-1] else self._carriers
        if form and len(hashes) < values.MAX_FILES:
            hashes[digest(form.encode()).hex()] = None

    def _keep(self, data: bytes, hashes: dict[str, None]) -> None:
        if len(data) >= values.FEWEST_BYTES and len(hashes) < values.MAX_FILES:
            hashes[digest(data).hex()] = None

    def say(self, text: str) -> None:
        if text.strip() and self.text_left > 0:
            self._text.append(text[: self.text_left])
            self.text_left -= len(text)

    def lead(self, links: Iterable[str]) -> None:
        for link in chain.from_iterable(map(_places, links)):
            if link in self._links or not _WEB.match(link):
                continue
            self._links_left -= len(link)
            if self._links_left < 0 or len(link) > values.MAX_LINK or len(self._links) >= values.MAX_LINKS:
                self._more_links = True
                return
            self._links[link] = None

    def lead_on(self, links: Iterable[str]) -> None:
        """Of pages and mails, whose links are long for good reasons: as of a mail's own text, the beginning counts."""
        self.lead(link[: values.MAX_LINK] for link in links)

    def lead_by_code(self, links: Iterable[str]) -> None:
        """Of a QR code."""
        found = dict.fromkeys(links)
        self._in_codes |= found
        self.lead(found)

    def report(self, sha256: str, is_whole: bool) -> Report:
        known = {code: sorted(self._found[code]) for code in kinds.ORDER if code in self._found}
        left = values.MAX_DETAILS
        for code, details in known.items():
            known[code] = details[:left]
            left -= len(known[code])
        return Report(
            known,
            "\n".join(self._text)[: values.MAX_TEXT],
            sha256,
            is_whole and self.is_whole,
            list(self._links),
            self._more_links,
            [link for link in self._in_codes if link in self._links][: values.MAX_CODES],
            list(self._malware | self._carriers | self._carried)[: values.MAX_FILES],
            list(self._malware),
        )
