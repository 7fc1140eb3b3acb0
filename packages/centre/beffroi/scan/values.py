"""What is found in one file, as it travels from the child that looked to whoever asked; and the caps of looking. Pure.

Hostile: the child may have been taken over by the file it looked at: ``decode`` lets only names of our own through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.scan import kinds

MAX_FILE_BYTES = 64 * 1024 * 1024
"""More than Postfix takes: no mail waits for ever because of its length."""
MAX_LONG_BYTES = 16 * 1024 * 1024 * 1024
"""Of a content that is read by position. Of a longer one this much, and it counts as looked at in part."""
MAX_TEXT = 64 * 1024
MOST_WORDS_TEXT = 128 * 1024
"""Characters for an index of words: some forty pages."""
MAX_LINKS, MAX_LINK, MAX_LINKS_TEXT = 1000, 2048, 128 * 1024
"""Of web addresses of one attached file: how many, characters of each, of all together."""
MAX_FILES, FEWEST_BYTES = 20, 32
"""Files in a file that are told; shorter ones say nothing."""
MAX_CODES = 20
"""Of links in QR codes: so many are told as such."""
MAX_ATTACHED, MAX_NAME = 100, 255
"""Files of a mail within its signature: how many, characters of a name."""
MAX_ANSWER_BYTES = 640 * 1024
MAX_DETAILS = 20
_DETAIL = re.compile(r"[A-Za-z0-9_]{1,64}")


class Report(msgspec.Struct, frozen=True):
    """``found``: code (``kinds.ORDER``) → details, each a word such as "Excel4" or the name of a YARA rule.
    ``text``: of a PDF or of an Office document, characters, for who looks for bank details; never to a log.
    ``links``: web addresses that a click in one of them opens, or a QR code in a picture, as they are written; never to
    a log.
    ``more_links``: there are others. ``codes``: those of the links that stand in a QR code.
    ``files``: SHA-256 of the files in it, without pictures, and of normal forms (``normal``); first those in which
    something was found. An archive is packed anew for each reader, what is in it is not. ``malware``: those of
    them that are known as such themselves.
    ``attached``: (name, bytes) of the files of a mail within its signature; never to a log.
    ``is_whole``: False where a part was left out that nothing is known of."""

    found: dict[str, list[str]] = {}
    text: str = ""
    sha256: str = ""
    is_whole: bool = True
    links: list[str] = []
    more_links: bool = False
    codes: list[str] = []
    files: list[str] = []
    malware: list[str] = []
    attached: list[tuple[str, int]] = []

    def names(self) -> Iterator[str]:
        """Names of the findings as clamd would tell them, strongest first: "Beffroi.Macro.Excel4"."""
        for code in kinds.ORDER:
            if code in self.found:
                stem = "Beffroi." + "".join(part.capitalize() for part in code.split("_"))
                yield from (
                    (f"{stem}.{detail}" for detail in self.found[code]) if self.found[code] else (stem,)
                )


UNREADABLE = Report({kinds.UNREADABLE: []})
"""What is said of a file that ended the child which looked at it."""
_DECODER = msgspec.json.Decoder(Report)


def encode(report: Report) -> bytes:
    return msgspec.json.encode(report)


def decode(data: bytes, *, most_text: int = MAX_TEXT) -> Report:
    """Errors: ValueError for anything that a child of ours would not say."""
    try:
        report = _DECODER.decode(data)
    except UNDECODABLE as error:
        raise ValueError("no report") from error
    details = [detail for found in report.found.values() for detail in found]
    if not set(report.found) <= set(kinds.ORDER) or len(details) > MAX_DETAILS:
        raise ValueError("unknown findings")
    if not all(_DETAIL.fullmatch(detail) for detail in details) or len(report.text) > most_text:
        raise ValueError("details or text")
    if len(report.links) > MAX_LINKS or sum(map(len, report.links)) > MAX_LINKS_TEXT:
        raise ValueError("links")
    if not set(report.codes) <= set(report.links):
        raise ValueError("codes")
    if not re.fullmatch(r"[0-9a-f]{64}|", report.sha256):
        raise ValueError("sha256")
    if len(report.files) > MAX_FILES or not all(re.fullmatch(r"[0-9a-f]{64}", one) for one in report.files):
        raise ValueError("files")
    if len(report.attached) > MAX_ATTACHED or any(len(name) > MAX_NAME for name, _ in report.attached):
        raise ValueError("attached")
    if not set(report.malware) <= set(report.files):
        raise ValueError("files: malware")
    return report
