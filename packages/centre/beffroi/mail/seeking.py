"""What a person looks for in their mail, as IMAP asks it: words, and ``de:``, ``à:``, ``objet:``, ``depuis:``,
``avant:``. Pure.

Hostile: what was typed: whatever means something to IMAP divides words.
Source:  RFC 9051, 6.4.4.
"""

from __future__ import annotations

import re
from datetime import date

from beffroi.lib.unseen import CONTROLS, HALVES, LINE_ENDS
from beffroi.mail.compose import unaccented

MAX_WORDS = 8
_SIGNS = re.compile(rf'[{CONTROLS}{LINE_ENDS}{HALVES}"\\(){{}}%*\[\]]')
"""Signs that divide words in the index, and mean something to IMAP."""
_TO = ("TO", "CC")
_FIELDS = {
    **dict.fromkeys(("de", "from"), ("FROM",)),
    **dict.fromkeys(("à", "a", "to"), _TO),
    **dict.fromkeys(("objet", "subject"), ("SUBJECT",)),
}
_DAYS = {**dict.fromkeys(("depuis", "since"), "SINCE"), **dict.fromkeys(("avant", "before"), "BEFORE")}
_DAY = re.compile(r"(?:(?:(?P<day>\d{1,2})[/.-])?(?P<month>\d{1,2})[/.-])?(?P<year>\d{4})")
_ISO = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?")


def words_of(text: str) -> list[str]:
    """What a search looks for, at most ``MAX_WORDS`` of 100 characters: nothing that means something to IMAP."""
    return [word[:100] for word in _SIGNS.sub(" ", text).split()[:MAX_WORDS]]


def criteria(text: str) -> list[object]:
    """For SEARCH; empty for no word. All must be true; a word may stand anywhere in a mail. Days are those of receipt,
    ``avant:`` excludes its own. Dovecot folds no accents in addresses: a name that is typed with them is also asked for
    without, as an address writes it."""
    out: list[object] = []
    for word in words_of(text):
        name, _, value = word.partition(":")
        fields, before = _FIELDS.get(name.lower()), _DAYS.get(name.lower())
        day = day_of(value) if before else None
        if value and fields:
            keys = [(field, one) for field in fields for one in dict.fromkeys((value, unaccented(value)))]
            out += ["OR"] * (len(keys) - 1) + [part for key in keys for part in key]
        elif before and day:
            out += [before, day]
        else:
            out += ["TEXT", word]
    return out


def day_of(text: str) -> date | None:
    """31/12/2025 or 2025-12-31; the first of a month (12/2025) or of a year (2025); None for what is no day, or one
    that other programs have no word for."""
    found = _DAY.fullmatch(text) or _ISO.fullmatch(text)
    if found is None:
        return None
    year, month, day = (int(found[name] or 1) for name in ("year", "month", "day"))
    try:
        return date(year, month, day) if 1970 <= year < 9999 else None
    except ValueError:
        return None
