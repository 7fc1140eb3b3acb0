"""The text of one document, for who looks for a word in it: PDF, Office, OpenDocument, RTF, a mail in a file, and
these within a signature (.p7m). Pure.

Process: a child of ``scan`` (worker.py); it knows nothing but the bytes.
Hostile: everything; libraries that read such bytes raise what they like, and every such error means: no text.
Fails:   towards less text: what is read before a cap or an error is what there is.
"""

from __future__ import annotations

import hashlib
import re
from itertools import islice

from beffroi.scan import archives, kinds, letter, office, pdf, rtf, signed, values
from beffroi.scan.archives import Budget, TooMuch
from beffroi.scan.values import Report

CPU_S = 4.0
_SIGNS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]+")
"""What no text needs, and what would be six times as long in the answer."""


def read(data: bytes) -> Report:
    """``text``: at most MOST_WORDS_TEXT characters. Errors: MemoryError, RecursionError."""
    text = ""
    attached: list[tuple[str, int]] = []
    try:
        text = _text(data)
        attached = [(name[: values.MAX_NAME], len(content)) for name, content in enclosed(data)]
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - the libraries' errors have no common base, and all mean: not readable
        attached = []
    text = _SIGNS.sub(" ", text)[: values.MOST_WORDS_TEXT]
    return Report({}, text, hashlib.sha256(data).hexdigest(), attached=attached)


def enclosed(data: bytes) -> list[tuple[str, bytes]]:
    """(name, content) of the files of a mail within its signature, the first ones. Errors: those of the libraries."""
    if kinds.detect(data) != "p7m":
        return []
    mail = signed.content(data)
    return list(islice(letter.attached(mail), values.MAX_ATTACHED)) if _is_mail(mail, is_signed=True) else []


def piece(data: bytes, number: int) -> tuple[str, bytes] | None:
    """One of these files, counted from 0. Errors: MemoryError, RecursionError."""
    try:
        return next(islice(enclosed(data), number, None), None)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - as above
        return None


def _text(data: bytes, *, is_signed: bool = False) -> str:
    kind = kinds.detect(data)
    if kind == "pdf":
        return pdf.words(data, most_text=values.MOST_WORDS_TEXT, cpu_s=CPU_S)
    if kind == "zip" and office.is_document(archives.names(data, kind)):
        return _of_parts(data)
    if kind == "rtf":
        return rtf.text(data, values.MOST_WORDS_TEXT)
    if kind == "p7m" and not is_signed:
        return _text(signed.content(data), is_signed=True)
    return letter.text(data) if _is_mail(data, is_signed=is_signed) else ""


def _is_mail(data: bytes, *, is_signed: bool) -> bool:
    kind = kinds.detect(data)
    return kind == "eml" or (is_signed and not kind and not kinds.is_binary(data))


def _of_parts(data: bytes) -> str:
    pieces: list[str] = []
    left = values.MOST_WORDS_TEXT
    try:
        for member in archives.members(data, "zip", Budget()):
            is_read = left > 0 and not member.encrypted
            piece = office.text_of(member.name, office.readable(member.data), left) if is_read else ""
            if piece.strip():
                pieces.append(piece)
                left -= len(piece)
    except (TooMuch, archives.Broken):
        pass  # what came before is text all the same
    return "\n".join(pieces)
