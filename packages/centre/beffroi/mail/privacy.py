"""What is personal in a professional mailbox, and so not for whoever reads it in its owner's stead. Pure.

Purpose: one answer for lists, search, counts and single mails, wherever somebody else than the owner opens a mailbox.
Hostile: folder names, subjects, headers. A sender who marks a mail hides it from the delegate, as a sender may.
Fails:   closed: where the words may mean either, the mail is personal (``lib.personal``).
Source:  ``lib.personal``, the judgements of the Cour de cassation; RFC 2156, 5.3.4 (Sensitivity).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from beffroi.lib.personal import (
    ALWAYS,
    MARKS,
    MAX_CHARS,
    UNSEEN,
    is_personal_name,
    says,
    words_in,
    words_of,
)

_LETTERS = words_in("courriel courrier lettre mail message mails messages courriels courriers")
_ANSWER = re.compile(
    r"\s*(?:re|ré|rép|rep|réf|tr|fw|fwd|aw|wg|sv|vs|antw|inoltra|rv|res)\s*(?:\[\d+\])?\s*[:：]", re.I
)
_BRACKETS = re.compile(r"[\[(<{«*_#]+([^\])>}»*_#]{1,40})[\])>}»*_#]+")
_END = re.compile(r"[-–—:|/,;.!]\s*([^-–—:|/,;.!]{1,40})[\s.!]*$")


def is_private(
    *, folder: str, separator: str = "/", subjects: Sequence[str] = (), sensitivities: Sequence[str] = ()
) -> bool:
    """Whether a mail in this folder is its owner's alone. ``subjects`` and ``sensitivities``: each header of the name,
    decoded; there may be several, and one is enough."""
    return (
        is_private_folder(folder, separator)
        or any(is_private_subject(one) for one in subjects)
        or any({"personal", "private"} & set(words_of(one)) for one in sensitivities)
    )


def is_private_folder(name: str, separator: str = "/") -> bool:
    """The folder's own name, or that of one above it, says so anywhere in it."""
    return any(is_personal_name(part) for part in name.split(separator or "/"))


def is_private_subject(subject: str) -> bool:
    """The subject begins or ends with the word, holds it in brackets, or speaks of a personal mail. A word in the
    middle of a sentence identifies nothing."""
    text = UNSEEN.sub("", subject[:MAX_CHARS])
    while found := _ANSWER.match(text):
        text = text[found.end() :]
    if any(says(words_of(one)) for one in _BRACKETS.findall(text)):
        return True
    end = _END.search(text)
    if end and len(words_of(end[1])) == 1 and says(words_of(end[1])):
        return True
    words = words_of(_BRACKETS.sub(" ", text)) or words_of(text)
    return says(words) or bool(ALWAYS & set(words)) or _of_a_letter(words)


def _of_a_letter(words: Sequence[str]) -> bool:
    """« Message personnel », « à titre privé », « personnel et confidentiel »."""
    for at, word in enumerate(words):
        if word not in MARKS:
            continue
        before = words[at - 1] if at else ""
        after = words[at + 1 : at + 3]
        if before in _LETTERS | {"titre", "strictement"}:
            return True
        if len(after) == 2 and after[0] in ("et", "and") and after[1].startswith("confiden"):
            return True
    return False
