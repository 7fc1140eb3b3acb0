"""What is told of texts, pictures and relations, which hold no files. Pure.

Process: as ``looking``, which goes through the files and what is packed in them.
Hostile: everything; libraries that read such bytes raise what they like, and every such error means the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from urllib.parse import unquote

from beffroi.scan import codes, drawn, kinds, normal, office, older, pages, pdf, scripts, values
from beffroi.scan.findings import Findings

_FORM_SIGNS = 1024 * 1024
"""Of all scripts that a normal form is made of."""
type Matches = Callable[[bytes], Iterable[tuple[str, str]]]
"""What rules say of some bytes: (finding, name of the rule)."""


class Telling:
    """``codes_cpu_s``: of the processor, for QR codes; past it no further one is read."""

    def __init__(self, matches: Matches, codes_cpu_s: float) -> None:
        self._matches, self._codes_left_s, self._forms_left = matches, codes_cpu_s, _FORM_SIGNS
        self.told = Findings()

    def rules(self, data: bytes) -> bool:
        """Whether one of them matches."""
        found = list(self._matches(data))
        for code, rule in found:
            self.told.add(code, rule)
        return bool(found)

    def read[T](self, step: Callable[[], T]) -> T | None:
        """What a reader of hostile bytes says; None for whatever goes wrong in it."""
        try:
            return step()
        except (MemoryError, RecursionError):
            raise
        except Exception:  # noqa: BLE001 - the libraries' errors have no common base, and all mean: not readable
            return None

    def lead_on_from(self, links: Callable[[], Iterable[str]]) -> None:
        """What is told before an error counts, and the error does."""

        def tell() -> bool:
            self.told.lead_on(links())
            return True

        if not self.read(tell):
            self.told.add(kinds.UNREADABLE)

    def text(self, text: str) -> None:
        """QR codes that a text or a page draws, or has pictures of in itself."""
        self.codes(drawn.drawings(text))
        self.codes(partial(bytes, one) for one in pages.pictures(text))

    def say(self, text: str) -> None:
        self.text(text)
        self.told.lead_on(scripts.commanded(text[: values.MAX_TEXT]))
        self.told.say(text)

    def know_script(self, text: str) -> None:
        if len(text) <= self._forms_left:
            self._forms_left -= len(text)
            self.told.has_form(normal.of_script(text))

    def picture(self, data: bytes) -> None:
        if codes.is_picture(data):
            self.codes([lambda: data])

    def codes(self, pictures: Iterable[pdf.Picture]) -> None:
        """Where the QR codes of pictures lead: as links do."""
        left = iter(pictures)
        while self._codes_left_s > 0 and (read := self.read(partial(next, left, None))):
            begun_s = time.process_time()
            try:
                if (picture := self.read(read)) is not None:
                    self.told.lead_by_code(codes.links(picture))
            except codes.TooLarge:
                self.told.add(kinds.UNREADABLE)
            self._codes_left_s -= time.process_time() - begun_s

    def tied(self, part: bytes) -> None:
        """``part``: as ``office.readable``."""
        relations = office.relations(part)
        self.fetches(one.finding for one in relations)
        places = [one.target for one in relations if one.kind != "image"]
        self.told.lead((*places, *(link for place in places for link in scripts.commanded(unquote(place)))))

    def flat(self, part: bytes) -> None:
        """A document in one XML. ``part``: as ``office.readable``."""
        self.tied(part)
        self.fields(office.fields_of(part))
        text = part.decode("utf-8", "replace")
        self.told.lead((*older.of_flat(text), *office.formulas(text)))

    def fields(self, fields: str) -> None:
        """``fields``: as ``office.fields_of``."""
        if office.has_command(fields):
            self.told.add(kinds.MALWARE, office.COMMAND)
        self.told.lead(office.field_links(fields))

    def fetches(self, findings: Iterable[str]) -> None:
        for finding in filter(None, findings):
            self.told.add(finding, office.FETCHES)
