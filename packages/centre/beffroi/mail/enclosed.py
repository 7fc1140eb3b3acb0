"""A mail that is enclosed in its signature (S/MIME, signed-data): Dovecot sees one attached file.

Process: web. The file is opened in the process ``scan``; here its text arrives, and one of
         its files as bytes that a person saves.
Hostile: the file. Nobody checks the signature: who signs is known to no list of ours, and the mail door has proved, or
         not, who sent it.
Fails:   towards no text and no file.
Source:  RFC 8551, 3.5.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, NotFound, Unavailable, existing
from beffroi.mail import compose
from beffroi.mail.reader import MAX_ATTACHMENT_BYTES, Attachment, MessageView
from beffroi.scan import values, wire

KINDS = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_PATIENCE_S = 15.0


class TooMuchEnclosed(BeffroiError):
    """Opening what this signed mail encloses takes more than the scanner may use; a mail program opens it."""

    code = "mail.too_much_enclosed"
    http_status = 413


@dataclass(frozen=True)
class File:
    """``number``: its place in the mail, from 0 on; ``name``: hostile."""

    number: int
    name: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        return compose.file_name(self.name)


@dataclass(frozen=True)
class Enclosed:
    """``part``: its IMAP section; ``text``: with the names of its files."""

    part: str = ""
    text: str = ""
    files: tuple[File, ...] = ()

    @property
    def may_have_more(self) -> bool:
        return len(self.files) == values.MAX_ATTACHED


def part_of(view: MessageView) -> Attachment | None:
    """What may be such a mail, or an encrypted one."""
    if view.text.strip() or view.html:
        return None
    found = (one for one in view.attachments if one.content_type in KINDS)
    return next((one for one in found if one.size_bytes <= MAX_ATTACHMENT_BYTES), None)


def read(config: Config, data: bytes, part: str) -> Enclosed:
    """Nothing of what is encrypted, or where ``scan`` does not answer."""
    try:
        answer = wire.ask(wire.files_socket_path(config.state), wire.WORDS, data, timeout_s=_PATIENCE_S)
        found = values.decode(answer, most_text=values.MOST_WORDS_TEXT)
    except (OSError, wire.Ended, ValueError):
        return Enclosed()
    files = (File(nth, name, size) for nth, (name, size) in enumerate(found.attached))
    return Enclosed(part, found.text.strip(), tuple(files))


def piece(config: Config, data: bytes, number: int) -> tuple[str, bytes]:
    """(name to save it under, content) of one of its files; hostile. Errors: NotFound, TooMuchEnclosed, Unavailable."""
    if number >= values.MAX_ATTACHED:
        raise NotFound("attachment")
    try:
        path = wire.files_socket_path(config.state)
        found = wire.ask_piece(path, number, data, timeout_s=_PATIENCE_S)
    except OSError:
        raise Unavailable("The scanner") from None
    except wire.Ended:
        raise TooMuchEnclosed from None
    name, content = existing(found, "attachment")
    return compose.file_name(name), content
