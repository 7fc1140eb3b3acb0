"""What a mail that is attached as a file carries: the files in it, where it leads, and whether every program finds the
same files. Pure.

Read by Python's own ``email``; a mail saved by Outlook (.msg) is an OLE file (office.py), a winmail.dat TNEF (tnef.py).
Hostile: everything; what ``email`` raises is the caller's to catch.
Source:  RFC 5322, RFC 2045 to 2047, RFC 2231; docs/decisions/0062-mail-in-a-file.md.
"""

from __future__ import annotations

import binascii
import email
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import errors
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value
from itertools import islice

from beffroi.scan import kinds, pages

_ONCE = ("Content-Type", "Content-Transfer-Encoding", "Content-Disposition")
_MAX_BOUNDARY, _MAX_HEADER = 70, 8192
# What a reader does with these is its own affair: files begin elsewhere, or nowhere.
_UNCLEAR = (
    errors.MissingHeaderBodySeparatorDefect,
    errors.NoBoundaryInMultipartDefect,
    errors.StartBoundaryNotFoundDefect,
    errors.MultipartInvariantViolationDefect,
    errors.InvalidMultipartContentTransferEncodingDefect,
)
WEB = re.compile(
    r"(?:https?://|(?:\bfile:[/\\]{2,5}|\\\\)(?=[\w-]+\.))[^\s\0<>\"']+[^\s\0<>\"'.,;:!?)]", re.IGNORECASE
)
"""What programs make a link of in a text, shares among it."""
_CUT = re.compile(r"(?<!\n--) \r?\n>* ?")
"""Where a line of ``format=flowed; delsp=yes`` goes on (RFC 3676, 4.2)."""
_MOST_UUENCODED = 10


@dataclass
class Inside:
    """``embedded``: (name, content) of each file, once for every name that some program reads; ``links``: of its texts;
    ``texts``: themselves, pages among them; ``clear``: False where two programs may find different files."""

    embedded: list[tuple[str, bytes]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    clear: bool = True


def look(data: bytes) -> Inside:
    """The files of an attached mail, those of mails in it included. Errors: those of ``email``."""
    found = Inside()
    mail = email.message_from_bytes(data)
    found.clear = not _is_ambiguous(data, mail)
    for part in mail.walk():
        found.clear &= not any(isinstance(one, _UNCLEAR) for one in part.defects)
        found.clear &= not any(len(part.get_all(name, ())) > 1 for name in _ONCE)
        found.links.append(_elsewhere(part))
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue
        if any(len(str(part.get(name, ""))) > _MAX_HEADER for name in _ONCE):
            # Python takes minutes to put a long name together.
            found.clear = False
            found.embedded.append(("", content))
            continue
        names = list(dict.fromkeys(_names(part)))
        if (
            part.get_content_maintype() == "text"
            and not names
            and part.get_content_disposition() != "attachment"
        ):
            found.clear &= not kinds.UUENCODED.search(content) and not kinds.ENCODED_OTHERWISE.search(content)
            written = _in(part.get_content_charset(), content)
            if str(part.get_param("delsp")).lower() == "yes":
                written = _CUT.sub("", written)
            is_page = part.get_content_subtype() == "html"
            found.links += pages.links(written) if is_page else WEB.findall(written)
            found.texts.append(written)
            continue
        found.embedded += [(name, content) for name in names or [""]]
    return found


def _elsewhere(part: Message) -> str:
    """Where its content is said to be: programs show an attached file, and fetch it on a click."""
    place = part.get("X-Mozilla-External-Attachment-URL")
    is_body = not place and part.get_content_type() == "message/external-body"
    if is_body and len(str(part.get("Content-Type", ""))) <= _MAX_HEADER:
        place = collapse_rfc2231_value(part.get_param("url") or "")
    return "".join(str(place or "").split())


def uuencoded(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each file that stands in a text, as far as it can be read."""
    for begun in islice(kinds.UUENCODED.finditer(data), _MOST_UUENCODED):
        content = bytearray()
        try:
            for line in data[begun.end() :].splitlines():
                if line.rstrip() in (b"end", b"`", b""):
                    break
                content += binascii.a2b_uu(line)
        except binascii.Error:
            pass  # up to here programs read it
        yield begun[1].decode("utf-8", "replace"), bytes(content)


def text(data: bytes) -> str:
    """What a mail says: what it is about, between whom, its texts, the names of its files. Errors: as ``look``."""
    mail = email.message_from_bytes(data)
    told = [_header(str(mail.get(name, ""))[:_MAX_HEADER]) for name in ("Subject", "From", "To", "Cc")]
    texts: dict[bool, list[str]] = {True: [], False: []}
    for part, names, is_file in _leaves(mail):
        content = None if is_file else part.get_payload(decode=True)
        if not isinstance(content, bytes):
            told += names
            continue
        written = _in(part.get_content_charset(), content)
        is_page = part.get_content_subtype() == "html"
        texts[is_page].append(pages.said(written) if is_page else written)
    body = texts[False] if any(one.strip() for one in texts[False]) else texts[True]
    return "\n".join((*told, *body))


def attached(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each file of a mail, as programs save them. Errors: as ``look``."""
    for part, names, is_file in _leaves(email.message_from_bytes(data)):
        content = part.get_payload(decode=True) if is_file else None
        if isinstance(content, bytes):
            yield next(iter(names), ""), content


def _leaves(mail: Message) -> Iterator[tuple[Message, list[str], bool]]:
    """(part, its names, whether it is a file) of what stands in a mail and in the mails in it."""
    for part in mail.walk():
        if part.is_multipart() or any(len(str(part.get(name, ""))) > _MAX_HEADER for name in _ONCE):
            continue
        names = list(dict.fromkeys(_names(part)))
        is_text = part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment"
        yield part, names, bool(names) or not is_text


def _header(value: str) -> str:
    pieces = decode_header(value)
    return "".join(one if isinstance(one, str) else _in(letters, one) for one, letters in pieces)


def _in(letters: str | None, data: bytes) -> str:
    try:
        return data.decode(letters or "utf-8", "replace")
    except (LookupError, UnicodeError):
        return data.decode("latin-1")


def _names(part: Message) -> Iterator[str]:
    """Every name of a file: "name" and "filename", by RFC 2231 and by RFC 2047."""
    for header, parameter in (("Content-Disposition", "filename"), ("Content-Type", "name")):
        value = part.get_param(parameter, header=header)
        if value:
            yield _words(collapse_rfc2231_value(value))


def _words(name: str) -> str:
    return "".join(
        piece if isinstance(piece, str) else piece.decode("utf-8", "replace")
        for piece, _ in decode_header(name)
    )


def _is_ambiguous(data: bytes, mail: Message) -> bool:
    """Whether a line is a boundary for one program and not for the next (as the mail door asks of a whole mail)."""
    boundaries = {part.get_boundary() or "" for part in mail.walk() if part.is_multipart()} - {""}
    if any(len(one) > _MAX_BOUNDARY for one in boundaries):
        return True
    marks = tuple(b"--" + one.encode("utf-8", "surrogateescape") for one in boundaries)
    if not marks:
        return False
    whole = {mark + end for mark in marks for end in (b"", b"--")}
    return any(
        line.startswith(marks) and line.rstrip(b"\r") not in whole
        for line in data.split(b"\n")
        if line.startswith(b"--")
    )
