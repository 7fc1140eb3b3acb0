"""Look at one file and at all that is packed in it: kinds, macros, active content, YARA rules, text. Pure.

Process: a child of ``scan`` (worker.py); it knows nothing but the bytes.
Long:    what is longer than a window meets the rules window by window; archives, old Office and PDF are read by
         position. What no reader takes so (mail) and what a cap left out makes the report say that it is not whole.
Hostile: everything; libraries that read such bytes raise what they like, and every such error means the same.
Fails:   closed: what cannot be read to its end is UNREADABLE, unless what is found says more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field, replace
from functools import partial
from html import unescape
from itertools import islice

from beffroi.scan import (
    archives,
    bodies,
    cards,
    codes,
    composed,
    disks,
    kinds,
    letter,
    normal,
    office,
    older,
    pages,
    pdf,
    rar,
    rtf,
    scripts,
    sevenzip,
    signed,
    tnef,
)
from beffroi.scan.archives import Budget, OutOfTime, TooMuch
from beffroi.scan.bodies import Body
from beffroi.scan.findings import digest
from beffroi.scan.kinds import File
from beffroi.scan.telling import Matches, Telling
from beffroi.scan.values import Report

READER = 8
"""To be raised when more is looked into: what is stored is looked at once more, as by newer rules. 8: disk images
with FAT, exFAT, NTFS or UDF."""
_OF_DOCUMENTS = ("", "html", "eml")
"""What parts of a document look like: texts and pictures."""
_WHOLE_PAGES = ("mht", "mhtml", "eml")
"""What Word takes in as a part of its text."""
_CARRIERS = ("", "pdf")
"""What an archive is put behind: pictures, sounds, texts, PDFs."""
_MOST_BEHIND = 8
_PROPERTIES = b"bplist00"
"""As a Mac keeps a link that is pulled out of its browser (.webloc)."""
_TEXT_BYTES = 4 * 1024 * 1024
"""Of all texts that are nothing else: tables are longer than scripts."""


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
        look.told.add(kinds.UNREADABLE)
    return look.report(digest(body).hex() if isinstance(body, bytes) else "")


def led_by(text: bytes, codes_cpu_s: float) -> Report:
    """Of a text of a mail, in UTF-8: where the QR codes lead that it draws, and the commands that it tells to paste.
    ``codes_cpu_s``: as ``examine``."""
    look = _Look(lambda _: (), Budget(), lambda _: None, codes_cpu_s)
    written = text.decode("utf-8", "replace")
    look.told.lead_on(scripts.commanded(unescape(written)))
    look.text(written)
    return look.report("")


@dataclass
class _Seen:
    """One file so far. ``kind``: by content; the rest as in ``kinds.File``."""

    kind: str
    flags: set[str] = field(default_factory=set)
    inner: set[str] = field(default_factory=set)


class _Look(Telling):
    def __init__(
        self, matches: Matches, budget: Budget, early: Callable[[Report], object], codes_cpu_s: float
    ) -> None:
        super().__init__(matches, codes_cpu_s)
        self._budget, self._early = budget, early
        self._again = replace(budget)
        """Of what is unpacked once more."""
        self._texts_left = _TEXT_BYTES

    def report(self, sha256: str) -> Report:
        return self.told.report(sha256, not self._budget.is_spent and not self._again.is_spent)

    def file(self, body: Body, name: str = "", depth: int = 0) -> None:
        """Errors: TooMuch."""
        if depth > self._budget.depth:
            raise TooMuch("depth")
        extension, before = kinds.extensions(name)
        ends = bodies.ends(body)
        seen = _Seen(kinds.detect(ends))
        if kinds.hides(name):
            seen.flags.add("hidden")
        self.told.begin()
        is_known = sum(self.rules(window) for window in bodies.windows(body)) > 0
        if not depth:
            self._early(self.report(""))
        try:
            self.picture(ends)
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
                self.told.add(code)
            is_carrier = bool(codes_of_it) or is_known
            is_named = depth > 0 and (is_carrier or not codes.is_picture(ends))
            self.told.end(body if is_named and isinstance(body, bytes) else None, is_carrier)

    def _inside(self, body: Body, ends: bytes, name: str, seen: _Seen, depth: int) -> None:
        extension, _ = kinds.extensions(name)
        if kinds.is_page(extension, seen.kind):
            text = kinds.text(ends)
            page = composed.declared(text)
            if kinds.is_active(ends) or (
                page is not text and kinds.is_active(page.encode("utf-8", "replace"))
            ):
                seen.flags.add("active")
            self._page(page, depth)
        if seen.kind == "ole":
            self._ole(body, seen, depth)
        elif seen.kind == "pdf":
            self._pdf(body, seen, depth)
        elif seen.kind in ("eml", "tnef", "p7m"):
            self._letter(body, ends, name, seen.kind, depth)
        elif seen.kind in kinds.UNPACKED:
            self._archive(body, seen, depth)
        elif seen.kind in kinds.SHUT:
            self.told.add(kinds.UNREADABLE)
        else:
            self._written(ends, seen.kind, depth)

    def _letter(self, body: Body, ends: bytes, name: str, kind: str, depth: int) -> None:
        if not isinstance(body, bytes):
            self.told.is_whole = False  # their readers would hold it several times
        elif kind == "eml":
            self._mail(ends, depth)
        elif kind == "p7m":
            self._signed(ends, name, depth)
        else:
            if self.read(lambda: tnef.carries_files(ends)) is not False:
                self.told.add(kinds.UNREADABLE)
            self.lead_on_from(lambda: tnef.links(ends))

    def _written(self, data: bytes, kind: str, depth: int) -> None:
        """What is text, whatever it carries."""
        if kind == "rtf":
            self.fetches(map(office.fetched, rtf.templates(data)))
            self.told.lead_on(rtf.links(data))
            self._embedded(rtf.embedded(data), depth)
        elif kind == "card":
            plain = cards.unfolded(data)
            self.told.lead_on(cards.links(plain))
            self._embedded(cards.embedded(plain), depth)
        elif kind == "uue":
            self._embedded(letter.uuencoded(data), depth)
        elif kind == "lnk":
            if (found := self.read(lambda: scripts.shortcut(data))) is not None:
                self.told.lead_on(scripts.addresses(found.said))
                self.told.has_form(normal.of_shortcut(found))
        elif kind == "one":
            self.told.lead_on(letter.WEB.findall(scripts.readable(data)))
            self._embedded((("", one) for one in office.in_notes(data)), depth)
        elif data.startswith(_PROPERTIES):
            self.told.lead_on(letter.WEB.findall(scripts.readable(data)))
        elif older.is_flat(kinds.plain(data[: older.FLAT_WITHIN_BYTES])):
            self.flat(office.readable(data))
        elif kind == "" and not kinds.is_binary(data):
            data = data[: self._texts_left]
            self._texts_left -= len(data)
            self._plain(kinds.text(data), depth)

    def _plain(self, text: str, depth: int) -> None:
        """A text whose name would make a page, a script, a shortcut or a table of it."""
        if pages.MARKUP.search(text):
            self._page(text, depth)
            return
        if scripts.is_script(text):
            self.told.lead_on(scripts.links(text))
            self.know_script(text)
        self.text(text)
        self.told.lead_on((*office.formulas(text), *scripts.shares(text)))

    def _page(self, text: str, depth: int) -> None:
        self.told.lead_on(pages.links(text))
        self.text(text)
        self._embedded(pages.carried(text), depth)
        if pages.SCRIPT.search(text):
            self.know_script(text)

    def _besides(self, body: Body, kind: str, depth: int) -> None:
        """What another program sees in a file that is two at once. That it cannot be read as one says nothing."""
        if kind == "pdf":
            found = self.read(lambda: pdf.look(body, most_text=0))
            if found is not None:
                if found.active:
                    self.told.add(kinds.ACTIVE_PDF)
                self.told.is_whole &= found.is_whole and not found.has_more
                self.told.lead(found.links)
                self.codes(found.pictures)
                self._embedded(found.embedded, depth)
            return
        with contextlib.suppress(archives.Broken):
            for member in self._members(body, kind, self._budget):
                self.file(member.data, member.name, depth + 1)

    def _behind(self, body: Body, depth: int) -> None:
        places = list(islice(kinds.archives_behind(bodies.head(body)), _MOST_BEHIND + 1))
        self.told.is_whole &= len(places) <= _MOST_BEHIND
        for kind, start in places[:_MOST_BEHIND]:
            if start:
                self._besides(bodies.behind(body, start), kind, depth)

    def _macros(self, names: Iterable[str], seen: _Seen) -> None:
        for name in names:
            seen.flags.add("macro")
            self.told.add(kinds.MACRO, name)

    def _embedded(self, files: Iterable[tuple[str, bytes]], depth: int) -> None:
        for name, content in files:
            self._budget.take_file()
            self._budget.take(len(content))
            self.file(content, name, depth + 1)

    def _ole(self, body: Body, seen: _Seen, depth: int) -> None:
        seen.kind = "doc"
        found = self.read(lambda: office.old(body))
        if found is None:
            self.told.add(kinds.UNREADABLE)
            return
        seen.kind = found.kind
        self._macros(found.macros, seen)
        if found.encrypted:
            seen.flags.add("encrypted")
        self.told.lead(found.links)
        for page in found.pages:
            self.told.lead_on(pages.links(page))
        for text in found.texts:
            self.told.lead_on(letter.WEB.findall(text))
        for packed in found.packed:
            self.lead_on_from(partial(rtf.packed_links, packed))
        self._embedded(found.embedded, depth)

    def _queries(self, name: str, part: bytes) -> None:
        for package in self.read(lambda: list(office.queries(name, part))) or ():
            with contextlib.suppress(archives.Broken):
                for member in archives.members(package, "zip", self._budget):
                    self.told.lead_on(scripts.links(kinds.text(member.data)))

    def _pdf(self, body: Body, seen: _Seen, depth: int) -> None:
        found = self.read(lambda: pdf.look(body, most_text=self.told.text_left))
        if found is None:
            if any(pdf.broken_is_active(window) for window in bodies.windows(body)):
                self.told.add(kinds.ACTIVE_PDF)
            self.told.is_whole = False
            return
        if found.active:
            self.told.add(kinds.ACTIVE_PDF)
        if found.encrypted:
            seen.flags.add("encrypted")
        if found.has_more:
            self.told.add(kinds.UNREADABLE)
        self.told.is_whole &= found.is_whole
        self.told.lead(found.links)
        self.say(found.text)
        self.codes(found.pictures)
        self._embedded(found.embedded, depth)

    def _mail(self, data: bytes, depth: int) -> None:
        found = self.read(lambda: letter.look(data))
        if found is None or not found.clear:
            self.told.add(kinds.UNREADABLE)
        if found is not None:
            self.told.lead_on(found.links)
            for text in found.texts:
                self.text(text)
            self._embedded(found.embedded, depth)

    def _signed(self, data: bytes, name: str, depth: int) -> None:
        found = self.read(lambda: signed.content(data))
        if found is None:
            self.told.add(kinds.UNREADABLE)
        elif found:
            if kinds.detect(found) in ("", "eml") and not kinds.is_binary(found):
                # A mail needs no header in there: what has none is a text.
                self.lead_on_from(lambda: letter.look(found).links)
                self.say(self.read(lambda: letter.text(found)) or "")
            extension, _ = kinds.extensions(name)
            inner = name[: name.lower().rfind(".p7m")] if extension == "p7m" else ""
            self._embedded([(inner, found)], depth)

    def _archive(self, body: Body, seen: _Seen, depth: int) -> None:
        kind, listed, document = seen.kind, set[bytes](), False
        locked = list(rar.named(body)) if kind == "rar" else []
        try:
            if document := kind == "zip" and office.is_document(archives.names(body, kind)):
                seen.kind = "docx"
            for member in self._members(body, kind, self._budget):
                if kind == "zip":
                    listed.add(digest(member.data))
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
            if not locked:
                self.told.add(kinds.UNREADABLE)
        self._locked(body, kind, locked, seen)
        if kind == "zip":
            self._listed(body, seen, document)
            self._unlisted(body, listed, seen, document, depth)

    def _locked(self, body: Body, kind: str, named: Iterable[tuple[str, int, int]], seen: _Seen) -> None:
        """What is behind a password is known by what the list tells of it."""
        for told in named:
            seen.flags.add("encrypted")
            self.told.has_form(normal.of_named(*told))
        if told_by := {"7z": sevenzip.locked, "rar": rar.locked}.get(kind):
            for crc, size_bytes in self.read(lambda: list(told_by(body))) or ():
                seen.flags.add("encrypted")
                self.told.has_form(normal.of_locked(crc, size_bytes))

    def _members(self, body: Body, kind: str, budget: Budget) -> Iterator[archives.Member]:
        """Of a disc that is ISO 9660 and UDF, Windows shows the second. Errors: Broken, TooMuch."""
        if kind in kinds.DISKS:
            yield from disks.members(body, budget, self.rules)
            return
        broken: archives.Broken | None = None
        try:
            yield from archives.members(body, kind, budget, self.rules)
        except archives.Broken as error:
            broken = error
        if kind == "iso" and kinds.is_udf(bodies.head(body)):
            yield from disks.members(body, self._again, self.rules)
        if broken:
            raise broken

    def _listed(self, body: Body, seen: _Seen, document: bool) -> None:
        """A name in a zip's list may be another one than before the file itself; most programs show the list's."""
        for one in self.read(lambda: list(archives.listed(body))) or ():
            if kinds.hides(one.filename):
                seen.flags.add("hidden")
            if not document:
                seen.inner.add(kinds.extensions(one.filename)[0])
            if one.flag_bits & archives.LOCKED:
                self.told.has_form(
                    normal.of_locked(one.CRC, one.file_size)
                    or normal.of_named(one.filename, one.file_size, one.compress_size)
                )

    def _unlisted(self, body: Body, listed: Set[bytes], seen: _Seen, document: bool, depth: int) -> None:
        """What a zip holds besides the files of its list: some programs read the first of two lists, or none; Word
        mends a document whose list is cut off."""
        with contextlib.suppress(archives.Broken):
            for member in archives.members(body, archives.UNLISTED, self._again, self.rules):
                if member.encrypted or digest(member.data) in listed:
                    continue
                if document := document or office.is_list(member.name):
                    self._part(member, seen, depth)
                else:
                    self.file(member.data, member.name, depth + 1)

    def _part(self, member: archives.Member, seen: _Seen, depth: int) -> None:
        """One part of an Office document."""
        self.rules(member.data)
        if macros := office.macros_of(member.name, member.data):
            self._macros(macros, seen)
            if not office.is_list(member.name):
                self.told.carries(member.data)
        part = office.readable(member.data)
        if part != member.data:
            self.rules(part)
        if office.is_text(member.name):
            self.fields(office.fields_of(part))
        if office.starts_program(member.name, part):
            self.told.add(kinds.PROGRAM, office.STARTS)
        if member.name.lower().endswith(".rels"):
            self.tied(part)
        self._queries(member.name, part)
        self.told.lead(office.links_of(member.name, part))
        self.say(office.text_of(member.name, part, self.told.text_left))
        self.picture(member.data)
        extension, _ = kinds.extensions(member.name)
        if office.is_embedded(member.name):
            self.file(member.data, "", depth + 1)
        elif (
            (kind := kinds.detect(member.data)) not in _OF_DOCUMENTS
            or kinds.found([File(extension)])
            or extension in _WHOLE_PAGES
        ):
            # It stands in a document's place and is none of its parts.
            self.file(member.data, member.name, depth + 1)
        elif kind == "html":  # a drawing, or a page that the document takes in (altChunk)
            self._page(kinds.text(member.data), depth)
