"""Which attached files, and which shapes of a mail, are held before their owner has it. Pure.

Rule:    held, never refused and never deleted: the owner reads why, and what to do. A collectivité lets some kinds pass
         (``LOOSENED``); programs, what is disguised, shortcuts and known malware never.
Hostile: names and kinds, as rspamd found them (templates/rspamd/beffroi-content.lua), and names of what the process
         scan found inside; nothing is opened here.
Source:  docs/decisions/0039-scanning-of-attachments.md, 0046-scanner-process.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from beffroi.scan import kinds
from beffroi.scan.kinds import (
    ACTIVE_PAGE,
    ACTIVE_PDF,
    DISGUISED,
    DISK_IMAGE,
    ENCRYPTED,
    MACRO,
    MALWARE,
    NESTED,
    PROGRAM,
    SHORTCUT,
    UNREADABLE,
    File,
)

VIRUS, UNPARSEABLE, FORGED_BANK = "virus", "unparseable", "forged_bank"
STRICT = frozenset({VIRUS, MALWARE, PROGRAM, DISGUISED, SHORTCUT, UNPARSEABLE})
"""No collectivité lets these pass, and no one person releases them: what cannot be read may hide any of the others."""
LOOSENED = (MACRO, ENCRYPTED, NESTED, ACTIVE_PAGE, ACTIVE_PDF, DISK_IMAGE)
"""What a référent may let pass, in the order in which a page shows it."""
ORDER = (VIRUS, *kinds.ORDER, UNPARSEABLE, FORGED_BANK)
"""Strongest first: a page shows the first reason."""


@dataclass(frozen=True)
class Attached:
    """One attached file: as rspamd describes it, and what the process scan found in it."""

    file: File
    inside: frozenset[str] = frozenset()

    @property
    def codes(self) -> frozenset[str]:
        codes = kinds.found([self.file]) | self.inside & frozenset(kinds.ORDER)
        # That it could not be read to its end matters where nothing else is known of it.
        return codes - {UNREADABLE} or codes


def found(files: Iterable[Attached]) -> frozenset[str]:
    """Every code that one of the files gives."""
    return frozenset(code for file in files for code in file.codes)


def held(
    files: Iterable[Attached],
    *,
    allowed: Iterable[str],
    virus: bool,
    unparseable: bool,
    forged_bank: bool,
    signed_in: bool,
) -> tuple[str, ...]:
    """Return why the mail is held, strongest first; () when it is not.

    ``allowed``: what all its collectivités let pass; ``virus``: an antivirus knows one of the files. A colleague's mail
    is held for what no one lets pass alone, and for a shape that hides such a file: who took over an account writes it.
    """
    codes = found(files) | ({VIRUS} if virus else set())
    codes |= {UNPARSEABLE} if unparseable else set()
    if signed_in:
        return tuple(code for code in ORDER if code in codes & STRICT)
    codes -= frozenset(allowed) & frozenset(LOOSENED)
    codes |= {FORGED_BANK} if forged_bank else set()
    return tuple(code for code in ORDER if code in codes)
