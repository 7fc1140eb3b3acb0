"""Look at one file and at all that is packed in it: kinds, macros, active content, YARA rules, text. Pure.

Process: a child of ``scan`` (worker.py); it knows nothing but the bytes.
Long:    what is longer than a window meets the rules window by window; archives, old Office and PDF are read by
         position. What no reader takes so (mail) and what a cap left out makes the report say that it is not whole.
Hostile: everything; libraries that read such bytes raise what they like, and every such error means the same.
Fails:   closed: what cannot be read to its end is UNREADABLE, unless what is found says more.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

from beffroi.scan import (
    archives,
    bodies,
    cards,
    codes,
    kinds,
    letter,
    normal,
    office,
    pages,
    pdf,
    rtf,
    scripts,
    signed,
    values,
)
from beffroi.scan.archives import Budget, OutOfTime, TooMuch
from beffroi.scan.bodies import Body
from beffroi.scan.kinds import File
from beffroi.scan.values import Report

READER = 4
"""To be raised when more is looked into: what is stored is looked at once more, as by newer rules. 4: templates of RTF
in any spelling, PDFs that open a share, pages that act in another spelling, documents without their end,
fields of Office."""
_OF_DOCUMENTS = ("", "html", "eml")
"""What parts of a document look like: texts and pictures."""
_CARRIERS = ("", "pdf")
"""What an archive is put behind: pictures, sounds, texts, PDFs."""
_MOST_BEHIND = 8
_TEXT_BYTES, _FORM_SIGNS = 4 * 1024 * 1024, 1024 * 1024
"""Of all texts that are nothing else, and of all scripts that a normal form is made of: tables are longer, scripts are
not."""
_WEB = re.compile(r"[\0- ]*https?:", re.IGNORECASE)
type Matches = Callable[[bytes], Iterable[tuple[str, str]]]
"""What rules say of some bytes: (finding, name of the rule)."""


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def examine(
    body: Body,
    matches: Matches,
    budget: Budget | None = None,
    early: Callable[[Report], object] = lambda report: None,
    codes_cpu_s: float = 0,
) -> Report:
    """Look at a file whose name is not known. ``sha256`` of the answer: "" for a long one. ``early``: takes what the
    rules say, before anything is opened. ``codes_cpu_s``: of the processor, for QR codes in pictures; past it no
    further one is opened. Errors: MemoryError."""
    look = _Look(matches, budget or Budget.of(bodies.length(body)), early, codes_cpu_s)
    try:
        look.file(body)
    except (TooMuch, OutOfTime, MemoryError, RecursionError):  # what was found before counts
        look.add(kinds.UNREADABLE)
    return look.report(hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else "")


@dataclass
class _Seen:
    """One file so far. ``kind``: by content; the rest as in ``kinds.File``."""

    kind: str
    flags: set[str] = field(default_factory=set)
    inner: set[str] = field(default_factory=set)


class _Look:
    def __init__(
        self, matches: Matches, budget: Budget, early: Callable[[Report], object], codes_cpu_s: float
    ) -> None:
        self._matches, self._budget, self._early = matches, budget, early
        self._codes_left_s = codes_cpu_s
        self._again = replace(budget)
        """Of what is unpacked once more."""
        self._found: dict[str, set[str]] = {}
        self._text: list[str] = []
        self._text_left = values.MAX_TEXT
        self._links: dict[str, None] = {}
        self._links_left = values.MAX_LINKS_TEXT
        self._more_links = False
        self._of_codes: dict[str, None] = {}
        self._malware, self._carriers, self._carried = (dict[str, None]() for _ in range(3))
        """SHA-256 of files in it that are malware themselves, of those in which something was found with normal
        forms, and of others."""
        self._known = [False]
        """Whether the rules know the file that is looked at, and those around it, without what is in each."""
        self._texts_left, self._forms_left = _TEXT_BYTES, _FORM_SIGNS
        self._is_whole = True

    def add(self, code: str, detail: str = "") -> None:
        self._known[-1] |= code == kinds.MALWARE
        details = self._found.setdefault(code, set())
        if detail:
            details.add(detail)

    def report(self, sha256: str) -> Report:
        known = {code: sorted(self._found[code]) for code in kinds.ORDER if code in self._found}
        left = values.MAX_DETAILS
        for code, details in known.items():
            known[code] = details[:left]
            left -= len(known[code])
        is_whole = self._is_whole and not self._budget.is_spent and not self._again.is_spent
        return Report(
            known,
            "\n".join(self._text)[: values.MAX_TEXT],
            sha256,
            is_whole,
            list(self._links),
            self._more_links,
            [link for link in self._of_codes if link in self._links][: values.MAX_CODES],
            list(self._malware | self._carriers | self._carried)[: values.MAX_FILES],
            list(self._malware),
        )

    def file(self, body: Body, name: str = "", depth: int = 0) -> None:
        """Errors: TooMuch."""
        if depth > self._budget.depth:
            raise TooMuch("depth")
        extension, before = kinds.extensions(name)
        ends = bodies.ends(body)
        seen = _Seen(kinds.detect(ends))
        if kinds.hides(name):
            seen.flags.add("hidden")
        self._known.append(False)
        is_known = sum(self._rules(window) for window in bodies.windows(body)) > 0
        if not depth:
            self._early(self.report(""))
        try:
            self._picture(ends)
            others = kinds.others(ends, seen.kind)
            self._inside(body, ends, name, seen, depth)
            for kind in others:
                self._besides(body, kind, depth)
            if seen.kind in _CARRIERS:
                self._behind(body, depth)
        finally:  # what was seen before a cap counts, too
            one = File(
                extension or seen.kind, before, seen.kind, frozenset(seen.flags), frozenset(seen.inner)
            )
            codes_of_it = kinds.found([one])
            for code in codes_of_it:
                self.add(code)
            is_malware = self._known.pop()
            if depth and isinstance(body, bytes):
                self._carry(body, bool(codes_of_it) or is_known, is_malware)

    def _inside(self, body: Body, ends: bytes, name: str, seen: _Seen, depth: int) -> None:
        extension, _ = kinds.extensions(name)
        if kinds.is_page(extension, seen.kind):
            if kinds.is_active(ends):
                seen.flags.add("active")
            self._page(kinds.plain(ends).decode("utf-8", "replace"), depth)
        if seen.kind == "ole":
            self._ole(body, seen, depth)
        elif seen.kind == "pdf":
            self._pdf(body, seen, depth)
        elif seen.kind in ("eml", "tnef", "p7m"):
            self._letter(body, ends, name, seen.kind, depth)
        elif seen.kind in kinds.UNPACKED:
            self._archive(body, seen, depth)
        elif seen.kind in kinds.SHUT:
            self.add(kinds.UNREADABLE)
        else:
            self._written(ends, seen.kind, depth)

    def _letter(self, body: Body, ends: bytes, name: str, kind: str, depth: int) -> None:
        if not isinstance(body, bytes):
            self._is_whole = False  # their readers would hold it several times
        elif kind == "eml":
            self._mail(ends, depth)
        elif kind == "p7m":
            self._signed(ends, name, depth)
        elif self._read(lambda: letter.tnef_carries_files(ends)) is not False:
            self.add(kinds.UNREADABLE)

    def _written(self, data: bytes, kind: str, depth: int) -> None:
        """What is text, whatever it carries."""
        if kind == "rtf":
            self._fetches(map(office.fetched, rtf.templates(data)))
            self._lead_on(rtf.links(data))
            self._embedded(rtf.embedded(data), depth)
        elif kind == "card":
            plain = cards.unfolded(data)
            self._lead_on(cards.links(plain))
            self._embedded(cards.embedded(plain), depth)
        elif kind == "uue":
            self._embedded(letter.uuencoded(data), depth)
        elif kind == "lnk":
            if (found := self._read(lambda: scripts.shortcut(data))) is not None:
                self._lead_on(scripts.addresses(found.said))
                self._know(normal.of_shortcut(found))
        elif office.is_flat(data):
            self._tied(data)
        elif kind == "" and not kinds.is_binary(data):
            data = data[: self._texts_left]
            self._texts_left -= len(data)
            self._plain(kinds.plain(data).decode("utf-8", "replace"), depth)

    def _plain(self, text: str, depth: int) -> None:
        """A text whose name would make a page, a script, a shortcut or a table of it."""
        if pages.MARKUP.search(text):
            self._page(text, depth)
        elif scripts.is_script(text):
            self._lead_on(scripts.links(text))
            self._know_script(text)
        self._lead_on(office.formulas(text))

    def _page(self, text: str, depth: int) -> None:
        self._lead_on(pages.links(text))
        self._embedded(pages.carried(text), depth)
        if pages.SCRIPT.search(text):
            self._know_script(text)

    def _besides(self, body: Body, kind: str, depth: int) -> None:
        """What another program sees in a file that is two at once. That it cannot be read as one says nothing."""
        if kind == "pdf":
            found = self._read(lambda: pdf.look(body, most_text=0))
            if found is not None:
                if found.active:
                    self.add(kinds.ACTIVE_PDF)
                self._is_whole &= found.is_whole and not found.has_more
                self._lead(found.links)
                self._codes(found.pictures)
                self._embedded(found.embedded, depth)
            return
        with contextlib.suppress(archives.Broken):
            for member in archives.members(body, kind, self._budget, self._rules):
                self.file(member.data, member.name, depth + 1)

    def _behind(self, body: Body, depth: int) -> None:
        places = list(islice(kinds.archives_behind(bodies.head(body)), _MOST_BEHIND + 1))
        self._is_whole &= len(places) <= _MOST_BEHIND
        for kind, start in places[:_MOST_BEHIND]:
            if start:
                self._besides(bodies.behind(body, start), kind, depth)

    def _carry(self, data: bytes, is_carrier: bool, is_malware: bool = False) -> None:
        is_plain = codes.is_picture(data) and not (is_carrier or is_malware)
        if len(data) < values.FEWEST_BYTES or is_plain:
            return
        found = self._malware if is_malware else self._carriers if is_carrier else self._carried
        if len(found) < values.MAX_FILES:
            found[_digest(data).hex()] = None

    def _know_script(self, text: str) -> None:
        if len(text) <= self._forms_left:
            self._forms_left -= len(text)
            self._know(normal.of_script(text))

    def _know(self, form: str) -> None:
        """By its normal form, beside what is in it."""
        if form and len(self._carriers) < values.MAX_FILES:
            self._carriers[_digest(form.encode()).hex()] = None

    def _rules(self, data: bytes) -> bool:
        """Whether one of them matches."""
        found = list(self._matches(data))
        for code, rule in found:
            self.add(code, rule)
        return bool(found)

    def _read[T](self, step: Callable[[], T]) -> T | None:
        """What a reader of hostile bytes says; None for whatever goes wrong in it."""
        try:
            return step()
        except (MemoryError, RecursionError):
            raise
        except Exception:  # noqa: BLE001 - the libraries' errors have no common base, and all mean: not readable
            return None

    def _macros(self, names: Iterable[str], seen: _Seen) -> None:
        for name in names:
            seen.flags.add("macro")
            self.add(kinds.MACRO, name)

    def _embedded(self, files: Iterable[tuple[str, bytes]], depth: int) -> None:
        for name, content in files:
            self._budget.take_file()
            self._budget.take(len(content))
            self.file(content, name, depth + 1)

    def _say(self, text: str) -> None:
        self._lead_on(scripts.commanded(text[: values.MAX_TEXT]))
        if text.strip() and self._text_left > 0:
            self._text.append(text[: self._text_left])
            self._text_left -= len(text)

    def _lead(self, links: Iterable[str]) -> None:
        for link in links:
            if link in self._links or not _WEB.match(link):
                continue
            self._links_left -= len(link)
            if self._links_left < 0 or len(link) > values.MAX_LINK or len(self._links) >= values.MAX_LINKS:
                self._more_links = True
                return
            self._links[link] = None

    def _lead_on(self, links: Iterable[str]) -> None:
        """Of pages and mails, whose links are long for good reasons: as of a mail's own text, the beginning counts."""
        self._lead(link[: values.MAX_LINK] for link in links)

    def _picture(self, data: bytes) -> None:
        if codes.is_picture(data):
            self._codes([lambda: data])

    def _codes(self, pictures: Iterable[pdf.Picture]) -> None:
        """Where the QR codes of pictures lead: as links do."""
        left = iter(pictures)
        while self._codes_left_s > 0 and (read := self._read(partial(next, left, None))):
            begun_s = time.process_time()
            try:
                if (picture := self._read(read)) is not None:
                    found = codes.links(picture)
                    self._of_codes |= dict.fromkeys(found)
                    self._lead(found)
            except codes.TooLarge:
                self.add(kinds.UNREADABLE)
            self._codes_left_s -= time.process_time() - begun_s

    def _ole(self, body: Body, seen: _Seen, depth: int) -> None:
        seen.kind = "doc"
        found = self._read(lambda: office.old(body))
        if found is None:
            self.add(kinds.UNREADABLE)
            return
        seen.kind = found.kind
        self._macros(found.macros, seen)
        if found.encrypted:
            seen.flags.add("encrypted")
        for page in found.pages:
            self._lead_on(pages.links(page))
        for text in found.texts:
            self._lead_on(letter.WEB.findall(text))
        self._embedded(found.embedded, depth)

    def _tied(self, part: bytes) -> None:
        self._fetches(one.finding for one in office.relations(part))

    def _fetches(self, findings: Iterable[str]) -> None:
        for finding in filter(None, findings):
            self.add(finding, office.FETCHES)

    def _pdf(self, body: Body, seen: _Seen, depth: int) -> None:
        found = self._read(lambda: pdf.look(body, most_text=self._text_left))
        if found is None:
            if any(pdf.broken_is_active(window) for window in bodies.windows(body)):
                self.add(kinds.ACTIVE_PDF)
            self._is_whole = False
            return
        if found.active:
            self.add(kinds.ACTIVE_PDF)
        if found.encrypted:
            seen.flags.add("encrypted")
        if found.has_more:
            self.add(kinds.UNREADABLE)
        self._is_whole &= found.is_whole
        self._lead(found.links)
        self._say(found.text)
        self._codes(found.pictures)
        self._embedded(found.embedded, depth)

    def _mail(self, data: bytes, depth: int) -> None:
        found = self._read(lambda: letter.look(data))
        if found is None or not found.clear:
            self.add(kinds.UNREADABLE)
        if found is not None:
            self._lead_on(found.links)
            self._embedded(found.embedded, depth)

    def _signed(self, data: bytes, name: str, depth: int) -> None:
        found = self._read(lambda: signed.content(data))
        if found is None:
            self.add(kinds.UNREADABLE)
        elif found:
            extension, _ = kinds.extensions(name)
            inner = name[: name.lower().rfind(".p7m")] if extension == "p7m" else ""
            self._embedded([(inner, found)], depth)

    def _archive(self, body: Body, seen: _Seen, depth: int) -> None:
        kind, listed, document = seen.kind, set[bytes](), False
        try:
            if document := kind == "zip" and office.is_document(archives.names(body, kind)):
                seen.kind = "docx"
            for member in archives.members(body, kind, self._budget, self._rules):
                if kind == "zip":
                    listed.add(_digest(member.data))
                if member.encrypted:
                    seen.flags.add("encrypted")
                if document:
                    self._part(member, seen, depth)
                    continue
                extension, _ = kinds.extensions(member.name)
                seen.inner.add(extension or kinds.detect(member.data))
                self.file(member.data, member.name, depth + 1)
        except archives.Encrypted:
            seen.flags.add("encrypted")
        except archives.Broken:
            self.add(kinds.UNREADABLE)
        if kind == "zip":
            self._listed(body, seen, document)
            self._unlisted(body, listed, seen, document, depth)

    def _listed(self, body: Body, seen: _Seen, document: bool) -> None:
        """A name in a zip's list may be another one than before the file itself; most programs show the list's."""
        for one in self._read(lambda: list(archives.listed(body))) or ():
            if kinds.hides(one.filename):
                seen.flags.add("hidden")
            if not document:
                seen.inner.add(kinds.extensions(one.filename)[0])
            if one.flag_bits & archives.LOCKED:
                self._know(normal.of_locked(one.CRC, one.file_size))

    def _unlisted(self, body: Body, listed: Set[bytes], seen: _Seen, document: bool, depth: int) -> None:
        """What a zip holds besides the files of its list: some programs read the first of two lists, or none; Word
        mends a document whose list is cut off."""
        with contextlib.suppress(archives.Broken):
            for member in archives.members(body, archives.UNLISTED, self._again, self._rules):
                if member.encrypted or _digest(member.data) in listed:
                    continue
                if document := document or office.is_list(member.name):
                    self._part(member, seen, depth)
                else:
                    self.file(member.data, member.name, depth + 1)

    def _part(self, member: archives.Member, seen: _Seen, depth: int) -> None:
        """One part of an Office document."""
        self._rules(member.data)
        if member.name.lower().endswith(".rels"):
            self._tied(member.data)
        if macros := office.macros_of(member.name, member.data):
            self._macros(macros, seen)
            if not office.is_list(member.name):
                self._carry(member.data, is_carrier=True)
        part = office.readable(member.data)
        if part != member.data:
            self._rules(part)
        if office.commands_of(member.name, part):
            self.add(kinds.MALWARE, office.COMMAND)
        self._lead(office.links_of(member.name, part))
        self._say(office.text_of(member.name, part, self._text_left))
        self._picture(member.data)
        extension, _ = kinds.extensions(member.name)
        if office.is_embedded(member.name):
            self.file(member.data, "", depth + 1)
        elif kinds.detect(member.data) not in _OF_DOCUMENTS or kinds.found([File(extension)]):
            self.file(
                member.data, member.name, depth + 1
            )  # it stands in a document's place and is none of its parts
