"""From a mail to the texts of its reports: MIME, gzip, zip. Pure.

Input:   hostile. Caps on bytes (packed, unpacked, ratio), parts and members; an archive in an archive stays closed.
Fails:   ReportRefused.
Source:  RFC 7489 7.2.1.1, RFC 8460 5.3; RFC 1952; what Google, Microsoft and Yahoo send.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from email import policy
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses

from beffroi.mail.reports.errors import NoReport, TooBig, TooMany, Unreadable

MAX_MAIL_BYTES = 12 * 1024 * 1024
MAX_TEXT_BYTES = 24 * 1024 * 1024
"""All texts of one mail together, unpacked."""
MAX_RATIO = 250
FREE_BYTES = 1024 * 1024
"""Below this a ratio says nothing: a short report packs well."""
MAX_PARTS = 30
MAX_MEMBERS = 5
_PIECE = 64 * 1024
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_NO_REPORT = ("text/plain", "text/html", "message/delivery-status")


def parse(data: bytes) -> Message:
    """Errors: TooBig, Unreadable."""
    if len(data) > MAX_MAIL_BYTES:
        raise TooBig(f"{MAX_MAIL_BYTES // 1048576} MiB")
    try:
        return BytesParser(policy=policy.compat32).parsebytes(data)
    except (ValueError, LookupError, RecursionError) as error:
        raise Unreadable(type(error).__name__) from None


def texts(message: Message) -> list[bytes]:
    """Every text that may be a report. Errors: NoReport, TooBig, TooMany, Unreadable."""
    found: list[bytes] = []
    left = MAX_TEXT_BYTES
    for number, part in enumerate(message.walk()):
        if number >= MAX_PARTS:
            raise TooMany(f"{MAX_PARTS} parts")
        if part.is_multipart() or part.get_content_type() in _NO_REPORT:
            continue
        body = part.get_payload(decode=True)
        for text in _unpacked(body, left) if isinstance(body, bytes) else ():
            left -= len(text)
            found.append(text)
    if not found:
        raise NoReport
    return found


def _unpacked(body: bytes, left: int) -> Iterator[bytes]:
    if body.startswith(_GZIP):
        yield _gunzip(body, left)
    elif body.startswith(_ZIP):
        yield from _members(body, left)
    elif body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{"):
        if len(body) > left:
            raise TooBig(f"{MAX_TEXT_BYTES // 1048576} MiB")
        yield body


def _limit(packed: int, left: int) -> int:
    """How many bytes this much may become."""
    return min(left, max(FREE_BYTES, packed * MAX_RATIO))


def _gunzip(body: bytes, left: int) -> bytes:
    limit = _limit(len(body), left)
    stream = zlib.decompressobj(wbits=31)
    try:
        text = stream.decompress(body, limit + 1)
    except zlib.error:
        raise Unreadable("gzip") from None
    if len(text) > limit:
        raise TooBig(f"{limit} bytes")
    if not stream.eof:
        raise Unreadable("gzip is cut")
    return text


def _members(body: bytes, left: int) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise TooMany(f"{MAX_MEMBERS} members")
            for one in members:
                if not one.filename.lower().endswith((".xml", ".json")):
                    continue
                # Others are not what reporters use, and have limits of their own to get around.
                if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise Unreadable("zip method")
                limit = _limit(len(body), left)
                text = b"".join(_pieces(archive, one, limit))
                left -= len(text)
                yield text
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError, ValueError):
        raise Unreadable("zip") from None


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> Iterator[bytes]:
    """What stands in the headers about sizes is the sender's word: what comes out is counted."""
    total = 0
    with archive.open(member) as file:
        while piece := file.read(_PIECE):
            total += len(piece)
            if total > limit:
                raise TooBig(f"{limit} bytes")
            yield piece


def origin(message: Message) -> tuple[str, bool]:
    """(domain of the visible sender, whether our mail door saw it proved).

    Proved: DMARC passed; or SPF did for an envelope of the same domain, where that domain publishes no DMARC. The door
    removes every header of this name that came from outside.
    """
    senders = getaddresses([str(one) for one in message.get_all("From", [])])
    domain = senders[0][1].rpartition("@")[2].lower()[:253] if len(senders) == 1 else ""
    stamps = message.get_all("X-Beffroi-Auth", [])
    if not domain or len(stamps) != 1:
        return domain, False
    auth = dict(part.strip().partition("=")[::2] for part in str(stamps[0]).split(";"))
    envelope = str(message.get("Return-Path", "")).strip("<> \t\r\n").rpartition("@")[2].lower()
    by_spf = auth.get("spf") == "pass" and auth.get("dmarc") == "none" and envelope == domain
    return domain, auth.get("dmarc") == "pass" or by_spf
