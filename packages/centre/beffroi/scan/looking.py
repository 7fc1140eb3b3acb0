"""Look at one file and at all that is packed in it: kinds, macros, active content, YARA rules, text. Pure.

Process: a child of ``scan`` (worker.py); it knows nothing but the bytes.
Hostile: everything; libraries that read such bytes raise what they like, and every such error means the same.
Fails:   closed: what cannot be read to its end is UNREADABLE, unless what is found says more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from beffroi.scan import archives, kinds, office, pdf, values
from beffroi.scan.archives import Budget, TooMuch
from beffroi.scan.kinds import File
from beffroi.scan.values import Report

type Matches = Callable[[bytes], Iterable[tuple[str, str]]]
"""What rules say of some bytes: (finding, name of the rule)."""


def examine(data: bytes, matches: Matches, budget: Budget | None = None) -> Report:
    """Look at a file whose name is not known. Errors: MemoryError, RecursionError."""
    look = _Look(matches, budget or Budget())
    try:
        look.file(data)
    except TooMuch:
        look.add(kinds.UNREADABLE)
    return look.report(hashlib.sha256(data).hexdigest())


class _Look:
    def __init__(self, matches: Matches, budget: Budget) -> None:
        self._matches, self._budget = matches, budget
        self._found: dict[str, set[str]] = {}
        self._text: list[str] = []
        self._text_left = values.MAX_TEXT

    def add(self, code: str, detail: str = "") -> None:
        details = self._found.setdefault(code, set())
        if detail:
            details.add(detail)

    def report(self, sha256: str) -> Report:
        known = {code: sorted(self._found[code]) for code in kinds.ORDER if code in self._found}
        left = values.MAX_DETAILS
        for code, details in known.items():
            known[code] = details[:left]
            left -= len(known[code])
        return Report(known, "\n".join(self._text)[: values.MAX_TEXT], sha256)

    def file(self, data: bytes, name: str = "", depth: int = 0) -> None:
        """Errors: TooMuch."""
        if depth > self._budget.depth:
            raise TooMuch("depth")
        extension, before = kinds.extensions(name)
        detected = kinds.detect(data)
        flags: set[str] = set()
        inner: set[str] = set()
        self._rules(data)
        if kinds.hides(name):
            flags.add("hidden")
        if detected == "ole":
            detected = self._ole(data, flags, depth)
        elif detected == "pdf":
            self._pdf(data, flags, depth)
        elif detected in kinds.UNPACKED:
            detected = self._archive(data, detected, flags, inner, depth)
        elif kinds.is_page(extension, detected) and kinds.is_active(data):
            flags.add("active")
        one = File(extension or detected, before, detected, frozenset(flags), frozenset(inner))
        for code in kinds.found([one]):
            self.add(code)

    def _rules(self, data: bytes) -> None:
        for code, rule in self._matches(data):
            self.add(code, rule)

    def _read[T](self, step: Callable[[], T]) -> T | None:
        """What a reader of hostile bytes says; None for whatever goes wrong in it."""
        try:
            return step()
        except (MemoryError, RecursionError):
            raise
        except Exception:  # noqa: BLE001 - the libraries' errors have no common base, and all mean: not readable
            return None

    def _macros(self, names: Iterable[str], flags: set[str]) -> None:
        for name in names:
            flags.add("macro")
            self.add(kinds.MACRO, name)

    def _embedded(self, files: Iterable[tuple[str, bytes]], depth: int) -> None:
        for name, content in files:
            self._budget.take_file()
            self._budget.take(len(content))
            self.file(content, name, depth + 1)

    def _say(self, text: str) -> None:
        if text.strip() and self._text_left > 0:
            self._text.append(text[: self._text_left])
            self._text_left -= len(text)

    def _ole(self, data: bytes, flags: set[str], depth: int) -> str:
        found = self._read(lambda: office.old(data))
        if found is None:
            self.add(kinds.UNREADABLE)
            return "doc"
        self._macros(found.macros, flags)
        if found.encrypted:
            flags.add("encrypted")
        self._embedded(found.embedded, depth)
        return found.kind

    def _pdf(self, data: bytes, flags: set[str], depth: int) -> None:
        found = self._read(lambda: pdf.look(data, most_text=self._text_left))
        if found is None:
            if pdf.broken_is_active(data):
                self.add(kinds.ACTIVE_PDF)
            return
        if found.active:
            self.add(kinds.ACTIVE_PDF)
        if found.encrypted:
            flags.add("encrypted")
        self._say(found.text)
        self._embedded(found.embedded, depth)

    def _archive(self, data: bytes, kind: str, flags: set[str], inner: set[str], depth: int) -> str:
        """What the archive turns out to be: itself, or a document of Office."""
        document = False
        try:
            document = kind == "zip" and office.is_document(archives.names(data, kind))
            for member in archives.members(data, kind, self._budget):
                if member.encrypted:
                    flags.add("encrypted")
                if document:
                    self._part(member, flags, depth)
                    continue
                extension, _ = kinds.extensions(member.name)
                inner.add(extension or kinds.detect(member.data))
                self.file(member.data, member.name, depth + 1)
        except archives.Encrypted:
            flags.add("encrypted")
        except archives.Broken:
            self.add(kinds.UNREADABLE)
        return "docx" if document else kind

    def _part(self, member: archives.Member, flags: set[str], depth: int) -> None:
        """One part of an Office document."""
        self._rules(member.data)
        if macro := office.macro_of(member.name):
            self._macros((macro,), flags)
        self._say(office.text_of(member.name, member.data, self._text_left))
        if office.is_embedded(member.name):
            self.file(member.data, "", depth + 1)
