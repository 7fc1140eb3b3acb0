"""Take a real lure apart, in a process that may die of it.

Purpose: `python -m beffroi_lab.extract` reads one JSON request on stdin (the mail and the wanted variants) and
         writes one JSON answer: sender, link hosts as a machine finds them, and the messages to send.
Process: a child with limits on memory, CPU time and files; the parent also limits the wall time.
Input:   hostile through and through: Python's mail parser raises nearly anything on malformed mail. What it
         cannot read is searched as bytes, and the variants then differ in their headers only.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import base64
import json
import quopri
import re
import resource
import sys
from dataclasses import dataclass, field
from email import message_from_bytes
from email.charset import QP, Charset
from email.message import Message
from email.utils import parseaddr
from html.parser import HTMLParser
from urllib.parse import urlsplit

MAX_MAIL_BYTES = 2 * 1024 * 1024
MAX_LINKS = 200
_MAX_PARTS = 60
_MEMORY_BYTES = 1024 * 1024 * 1024
_CPU_S = 8
_FOLLOWED = frozenset({"a", "area", "form"})
_URL = re.compile(rb"https?://[^\s\"'<>\\)\]}]{4,1500}", re.IGNORECASE)
_DROPPED = re.compile(
    rb"(received|return-path|delivered-to|authentication-results|arc-[a-z-]+|dkim-signature|received-spf|x-ms-.*|"
    rb"x-forefront-.*|x-microsoft-.*|x-eop.*|x-sid-.*|x-sender-ip|x-incoming.*|x-message-(info|delivery)|"
    rb"message-id|to|cc|bcc|date|resent-.*|sender|domainkey-signature|return-receipt-to|"
    rb"disposition-notification-to)",
    re.IGNORECASE,
)


@dataclass
class Found:
    """What a machine reads in the lure. ``images`` are fetched, not followed."""

    mail_from: str = ""
    header_from: str = ""
    subject: str = ""
    links: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    parsed: bool = True


class _Links(HTMLParser):
    def __init__(self, found: Found) -> None:
        super().__init__(convert_charrefs=True)
        self._found = found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in {"href", "action"} and tag in _FOLLOWED:
                _keep(self._found.links, value)
            elif value and name in {"href", "src", "background"}:
                _keep(self._found.images, value)


def _keep(into: list[str], url: str) -> None:
    text = url.strip()
    try:
        host = urlsplit(text).hostname
    except ValueError:
        return
    web = text.lower().startswith(("http://", "https://"))
    if web and host and "." in host and text not in into and len(into) < MAX_LINKS:
        into.append(text)


def read(raw: bytes) -> Found:
    """Return what can be read; ``parsed`` is False where only a search in the bytes was possible."""
    found = Found()
    try:
        message = message_from_bytes(raw)
        found.mail_from = parseaddr(str(message.get("Return-Path", "")))[1]
        found.header_from = parseaddr(str(message.get("From", "")))[1]
        found.subject = str(message.get("Subject", ""))[:500]
        for part in _texts(message):
            _read_part(part, found)
    except Exception:  # noqa: BLE001 - the parser raises anything; the bytes are searched below
        found.parsed = False
    if not found.links:
        for data in (raw, quopri.decodestring(raw)):
            for match in _URL.findall(data):
                _keep(found.links, match.decode("ascii", "ignore"))
    return found


def _texts(message: Message) -> list[Message]:
    parts = []
    for index, part in enumerate(message.walk()):
        if index >= _MAX_PARTS:
            break
        if part.get_content_type() in {"text/plain", "text/html"}:
            parts.append(part)
    return parts


def _read_part(part: Message, found: Found) -> None:
    text = _text_of(part)
    if part.get_content_type() == "text/html":
        _Links(found).feed(text)
    else:
        for match in _URL.findall(text.encode("utf-8", "ignore")):
            _keep(found.links, match.decode("utf-8", "ignore").rstrip(".,;"))


def _text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset() or "utf-8"
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("latin-1")


def original(raw: bytes, headers: dict[str, str]) -> bytes:
    """Return the mail as it was, without the traces of its first journey, with ``headers`` put first."""
    head, separator, body = _split(raw)
    kept: list[bytes] = []
    dropping = False
    for line in head.split(b"\n"):
        if line[:1] not in {b" ", b"\t"}:
            name = line.partition(b":")[0].strip()
            dropping = _DROPPED.fullmatch(name) is not None or not line.strip()
        if not dropping:
            kept.append(line)
    return _header_bytes(headers) + b"\n".join(kept).rstrip(b"\n") + b"\n" + separator[-1:] + body


def variant(raw: bytes, headers: dict[str, str], *, subject: str, sentence: str) -> bytes:
    """Return the same campaign in other words: another subject and another sentence, the same links."""
    try:
        message = message_from_bytes(original(raw, {}))
        for part in _texts(message):
            _reword(part, sentence)
        del message["Subject"]
        message["Subject"] = subject
        return _header_bytes(headers) + message.as_bytes()
    except Exception:  # noqa: BLE001 - see the module: then only the headers differ
        head, separator, body = _split(original(raw, {}))
        lines = [line for line in head.split(b"\n") if not line.lower().startswith(b"subject:")]
        return _header_bytes({**headers, "Subject": subject}) + b"\n".join(lines) + separator + body


def _reword(part: Message, sentence: str) -> None:
    text = _text_of(part)
    if part.get_content_type() == "text/html":
        opening = re.search(r"<body[^>]{0,2000}>", text, re.IGNORECASE)
        at = opening.end() if opening else 0
        text = f"{text[:at]}<p>{sentence}</p>{text[at:]}"
    else:
        text = f"{sentence}\r\n\r\n{text}"
    charset = Charset("utf-8")
    charset.body_encoding = QP
    del part["Content-Transfer-Encoding"]
    part.set_payload(text, charset)


def _split(raw: bytes) -> tuple[bytes, bytes, bytes]:
    text = raw.replace(b"\r\n", b"\n")
    head, separator, body = text.partition(b"\n\n")
    return head, separator or b"\n\n", body


def _header_bytes(headers: dict[str, str]) -> bytes:
    return b"".join(f"{name}: {value}\n".encode() for name, value in headers.items())


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    _limit()
    request = json.load(sys.stdin)
    raw = base64.b64decode(request["mail"])[:MAX_MAIL_BYTES]
    found = read(raw)
    messages = []
    for wanted in request["messages"]:
        if wanted.get("sentence"):
            made = variant(raw, wanted["headers"], subject=wanted["subject"], sentence=wanted["sentence"])
        else:
            made = original(raw, wanted["headers"])
        messages.append(base64.b64encode(made).decode())
    json.dump({"found": found.__dict__, "messages": messages}, sys.stdout)


if __name__ == "__main__":
    main()
